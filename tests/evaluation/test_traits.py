"""Traits of nodes: their values and their words, by hand."""

import datetime as dt

import numpy as np
import pytest

from hinaug.evaluation.traits import Trait, categories_of, traits_of
from hinaug.graph.hin import HIN

RATES = ("user", "rates", "item")


def graph():
    items = {
        "id": ["a", "b", "c", "d", "e", "f"],
        "year": [1990, None, 2000, 2010, 1995, 1995],
        "kind": ["film", "film", "series", "series", "film", None],
        "adult": [True, False, None, False, False, True],
        "plot": ["one two three", None, "one", "four five", "six seven eight", "nine ten eleven"],
        "out": [dt.date(1990, 1, 1), None, *[dt.date(2000, 7, 2)] * 4],
        "x": np.arange(12.0).reshape(6, 2),
        "code": ["q1", "q2", "q3", "q4", "q5", "q6"],
    }
    return HIN.from_tables(
        {
            "user": {"id": ["u", "v"]},
            "item": items,
            "genre": {"id": ["drama", "war"]},
            "review": {"id": ["r1", "r2"]},
        },
        {
            RATES: {"src": ["u", "u", "v"], "dst": ["a", "b", "a"]},
            ("item", "has", "genre"): {
                "src": ["a", "b", "c", "d", "a", "c"],
                "dst": ["drama", "drama", "drama", "drama", "war", "war"],
            },
            ("review", "about", "item"): {"src": ["r1", "r2"], "dst": ["a", "b"]},
        },
        lineage="row",
    )


def test_values_of_each_sort_of_column():
    found = traits_of(graph(), "item", RATES)
    named = {(t.name, t.value): found.values[:, i] for i, t in enumerate(found.traits)}
    assert named["item links", None].tolist() == [2, 1, 0, 0, 0, 0]
    assert named["item kind", "film"].tolist() == [1, 1, 0, 0, 1, 0]
    assert named["item adult", "true"].tolist() == [1, 0, 0, 0, 0, 1]
    assert named["item genre", "war"].tolist() == [1, 0, 1, 0, 0, 0]
    year = named["item year", None]
    assert year[[0, 2, 3]].tolist() == [1990, 2000, 2010]
    assert year[1] == 1990 - 20 - 10
    assert named["item out, year", None][2] == pytest.approx(2000.5, abs=0.01)
    words = named["item plot, words", None]
    assert words[[0, 2, 3]].tolist() == [3, 1, 2]
    axes = [named["item x, axis 1", None], named["item x, axis 2", None]]
    assert np.ptp(axes[0]) > np.ptp(axes[1])
    names = {name for name, _ in named}
    assert not any("code" in name or "review" in name for name in names)


def test_users_have_their_links_alone_where_nothing_else_is_known():
    found = traits_of(graph(), "user", RATES)
    assert [t.name for t in found.traits] == ["user links"]
    assert found.values.ravel().tolist() == [2, 1]


@pytest.mark.parametrize(
    ("low", "high", "least", "words"),
    [
        (-np.inf, 20, -np.inf, "age <= 20"),
        (20, np.inf, -np.inf, "age > 20"),
        (20, 30, -np.inf, "age in (20, 30]"),
        (-np.inf, 20, 12.0, "age <= 20 or unknown"),
        (-np.inf, 5, 12.0, "age is unknown"),
        (5, np.inf, 12.0, "age is known"),
        (5, 20, 12.0, "age <= 20"),
        (20, 30, 12.0, "age in (20, 30]"),
    ],
)
def test_words_of_a_range(low, high, least, words):
    assert Trait("age").between(low, high, least) == words


def test_words_of_a_category():
    assert Trait("job", "baker").between(-np.inf, 0.5, -np.inf) == "job is not baker"
    assert Trait("job", "baker").between(0.5, np.inf, -np.inf) == "job is baker"


def test_categories_that_most_items_have_say_nothing():
    """Drama (4 of 6 items) is left out; war (2), film (3) and series (2) stay."""
    categories = categories_of(graph(), "item", RATES)
    shared = (categories @ categories.T).toarray() > 0
    np.fill_diagonal(shared, False)
    pairs = {(int(i), int(j)) for i, j in zip(*np.nonzero(np.triu(shared)), strict=True)}
    assert pairs == {(0, 2), (0, 1), (0, 4), (1, 4), (2, 3)}
