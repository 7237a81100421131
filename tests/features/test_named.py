"""What is handed over in another form than a name, a pair or a list of texts is told so."""

import doctest

import pytest
from raising import raises

from hinaug.datasets.planted import RATES, planted
from hinaug.errors import KindError
from hinaug.features import UserProfile, named
from hinaug.features.knowledge import Dictionary, Sentences, WrittenFacts, mentions
from hinaug.generators.values import WrittenText


def writer(prompts):
    return ["fine"] * len(prompts)


def test_one_name_is_a_list_of_one():
    hin = planted(60, 40, rng=0)
    one, two = (
        WrittenText("item", "note", writer, reads=reads).fit(hin).generate(hin, rng=0)
        for reads in ("title", ["title"])
    )
    assert one == two
    text = ("review", "text")
    assert mentions(hin, text, "item", "title") == mentions(hin, text, "item", ["title"])


@pytest.mark.parametrize("about", ["review", ("review", "text"), [("review",)], [("review", 3)], 5])
def test_what_is_no_list_of_pairs(about):
    hin = planted(60, 40, rng=0)
    with raises(KindError, names="about"):
        WrittenText("item", "note", writer, about=about).fit(hin).generate(hin, rng=0)
    with raises(KindError, names="about"):
        UserProfile(RATES, writer=writer, about=about).generate(hin)


def test_what_is_no_pair_and_no_name():
    hin = planted(60, 40, rng=0)
    with raises(KindError, names="vectors", asked="x"):
        UserProfile(RATES, vectors="x").generate(hin)
    with raises(KindError, names="mentions", asked="review"):
        mentions(hin, "review", "item")
    with raises(KindError, names="reads", asked=[3]):
        WrittenText("item", "note", writer, reads=["title", 3]).fit(hin)


@pytest.mark.parametrize("read", [Sentences(), WrittenFacts(writer), Dictionary({"amp": "a"}).find])
def test_one_text_alone_is_no_list_of_texts(read):
    with pytest.raises(KindError):
        read("It has a case.")
    with pytest.raises(KindError):
        read([3])


def test_the_examples_run():
    result = doctest.testmod(named)
    assert result.attempted > 0
    assert result.failed == 0
