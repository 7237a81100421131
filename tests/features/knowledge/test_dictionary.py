"""Names in texts: the longest at each place, whole words only, and where they stand."""

import numpy as np
import pytest

from hinaug.errors import ParameterError
from hinaug.features.knowledge import Dictionary

NAMES = {
    "guitar": "g",
    "blue guitar": "b",
    "blue guitar strap": "s",
    "AT&T": "t",
    "Tom & Jerry's": "j",
    "it": "short",
    "Straße": "street",
}


def found(texts, **options):
    table = Dictionary(NAMES, **options).find(texts)
    return [tuple(row.values()) for row in table.to_pylist()]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("A blue guitar strap", ["s"]),
        ("blue guitar, strap: guitar", ["s", "g"]),  # marks between words do not count
        ("BLUE blue Guitar", ["b"]),
        ("guitars and guitarist", []),
        ("blue blue guitar", ["b"]),
        ("at&amp;t and Tom &amp; Jerry&#39;s", ["t", "j"]),
        ("it is", []),
        ("STRASSE", ["street"]),
        ("", []),
        (None, []),
    ],
)
def test_matches(text, names):
    assert [row[3] for row in found([text])] == names


def test_spans_are_those_of_the_plain_text():
    text = "\u0130stanbul &amp; a Blue\u2014guitar, too"  # a letter whose small form is longer
    ((row, start, end, name),) = found([None, text])
    assert (row, name) == (1, "b")
    assert "\u0130stanbul & a Blue\u2014guitar, too"[start:end] == "Blue\u2014guitar"


def test_against_a_search_at_every_place():
    """Random texts over few words: the same matches as trying all names everywhere."""
    rng = np.random.default_rng(0)
    letters = ["aa", "bb", "cc"]
    names = {" ".join(rng.choice(letters, rng.integers(1, 4))): str(i) for i in range(12)}
    texts = [" ".join(rng.choice(letters, 12)) for _ in range(50)]
    table = Dictionary(names, least_letters=1).find(texts).to_pylist()
    expected = []
    for row, text in enumerate(texts):
        words, at = text.split(), 0
        while at < len(words):
            sizes = [n for n in (3, 2, 1) if " ".join(words[at : at + n]) in names]
            sizes = [n for n in sizes if at + n <= len(words)]
            if sizes:
                name = " ".join(words[at : at + sizes[0]])
                expected.append((row, 3 * at, 3 * at + len(name), names[name]))
            at += sizes[0] if sizes else 1
    assert [tuple(r.values()) for r in table] == expected


def test_many_names_cost_no_more_than_few():
    names = {f"name {i} of many": i for i in range(20_000)}
    table = Dictionary(names).find(["so name 7 of many, name 8"] * 100)
    assert table["id"].to_pylist() == ["7"] * 100


def test_no_name_is_an_error():
    with pytest.raises(ParameterError):
        Dictionary({"it": 1})
    assert [row[3] for row in found(["it is"], least_letters=2)] == ["short"]
