"""Amazon files that we have not seen: the form of 2023, nested and missing values, odd ids, odd
files.
"""

import codecs
import gzip
import itertools
import json
import logging

import pytest
from dataset_rows import content, ids, linked, nodes
from raising import raises

from hinaug.datasets import amazon_reviews
from hinaug.datasets.amazon import ABOUT, RATES

NEW = {
    "user_id": "A",
    "asin": "v1",
    "parent_asin": "p1",
    "rating": 5.0,
    "title": "good &amp; loud",
    "text": "Great<br />",
    "timestamp": 1588687728923,
    "images": [{"small": "x"}],
    "helpful_vote": 3,
    "verified_purchase": True,
}
OLD = {"reviewerID": "A", "asin": "i1", "overall": 4.0, "reviewText": "fine", "unixReviewTime": 100}


def read(tmp_path, *rows, name="r.json", **options):
    path = tmp_path / name
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return amazon_reviews(path, **options)


def meta(tmp_path, *rows):
    path = tmp_path / "meta_r.json"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def test_2023(tmp_path):
    rows = [
        NEW,
        {
            **NEW,
            "user_id": "B",
            "parent_asin": None,
            "timestamp": 1588687728,
            "helpful_vote": 0,
            "title": None,
        },
    ]
    about = {
        "parent_asin": "p1",
        "title": "Strings",
        "features": ["steel", "six"],
        "description": ["Nickel"],
        "price": "12.5",
        "store": "Acme",
        "categories": ["Music", "Strings"],
        "main_category": "Instruments",
        "bought_together": ["v1"],
        "details": {"Brand": "no", "Rank": {"x": 1}},
        "average_rating": 4.5,
        "rating_number": 99,
    }
    hin = read(tmp_path, *rows, metadata=meta(tmp_path, about))
    assert linked(hin, RATES) == [("A", "p1"), ("B", "v1")]  # the parent where there is one
    assert nodes(hin, "review") == [
        {
            "id": "A/p1",
            "text": "Great<br />",
            "summary": "good & loud",
            "rating": 5.0,
            "time": 1588687728,
            "helpful_yes": 3,
            "verified": True,
        },
        {
            "id": "B/v1",
            "text": "Great<br />",
            "summary": None,
            "rating": 5.0,
            "time": 1588687728,
            "helpful_yes": 0,
            "verified": True,
        },
    ]
    assert nodes(hin, "item")[0] == {
        "id": "p1",
        "title": "Strings",
        "price": 12.5,
        "text": "Strings Nickel steel six",
    }
    assert linked(hin, ("item", "made_by", "brand")) == [("p1", "Acme")]
    assert [c for _, c in linked(hin, ("item", "in", "category"))] == [
        "Instruments",
        "Music",
        "Strings",
    ]
    assert linked(hin, ("item", "bought_together", "item")) == [("p1", "v1")]
    assert hin.schema.edge_lineage["item", "bought_together", "item"] is None


def test_2023_as_csv(tmp_path):
    (tmp_path / "r.csv").write_text(
        "user_id,parent_asin,rating,timestamp\r\nA,p1,5.0,1588687728923\r\nB,p1,1.0,1588687728000\r\n"
    )
    hin = amazon_reviews(tmp_path)
    assert hin.nodes["review"].column_names == ["id", "rating", "time"]
    assert hin.edges[RATES]["time"].to_pylist() == [1588687728, 1588687728]


def test_a_product_title_beside_an_old_review_is_not_its_summary(tmp_path):
    hin = read(
        tmp_path, {**OLD, "title": "Guitar", "text": "page", "rating": 1, "unknown": {"x": [1]}}
    )
    assert hin.nodes["review"].to_pylist() == [
        {"id": "A/i1", "text": "fine", "rating": 4.0, "time": 100}
    ]


def test_columns_that_the_file_does_not_have_are_not_there(tmp_path):
    hin = read(
        tmp_path,
        {
            "reviewerID": "A",
            "asin": "i",
            "helpful": [None, None],
            "vote": float("nan"),
            "reviewText": " ",
        },
    )
    assert hin.nodes["review"].column_names == ["id"]
    assert hin.edges[RATES].column_names == ["src", "dst"]


@pytest.mark.parametrize(
    ("value", "name"), [(0, "0"), (5, "5"), (5.0, "5"), ("007", "007"), (" ü漢 ", "ü漢")]
)
def test_ids(tmp_path, value, name):
    hin = read(
        tmp_path,
        {**OLD, "asin": value, "reviewerID": value},
        metadata=meta(tmp_path, {"asin": value, "title": 7}),
    )
    assert hin.ids("item").to_pylist() == hin.ids("user").to_pylist() == [name]
    assert hin.nodes["item"]["title"].to_pylist() == ["7"]


@pytest.mark.parametrize("value", [None, "", " ", float("nan"), True, ["i"], {}, "\ud83d"])
def test_what_is_no_id(tmp_path, value):
    with raises(ValueError, names="asin"):
        read(tmp_path, OLD, {**OLD, "asin": value})
    report = {}
    hin = read(
        tmp_path,
        OLD,
        {**OLD, "reviewerID": value},
        metadata=meta(tmp_path, {"asin": value}),
        errors="skip",
        report=report,
    )
    assert hin.n("review") == 1
    assert report["unreadable"] == report["metadata_unreadable"] == 1


def test_review_ids_are_unique_whatever_the_ids_hold(tmp_path):
    pairs = list(
        itertools.product(
            ["a", "a/b", "a#2", "a%2F", "x"], ["c", "b/c", "x", "x#2", "x%232", "2Fc"]
        )
    )
    rows = [
        {**OLD, "reviewerID": u, "asin": i, "reviewText": t}
        for u, i in pairs
        for t in ("one", "two")
    ]
    hin = read(tmp_path, *rows)
    assert hin.n("review") == len(set(hin.ids("review").to_pylist())) == 2 * len(pairs)
    assert sorted(set(linked(hin, RATES))) == sorted(pairs)
    assert dict(linked(hin, ABOUT))["a%2Fb/x%232#2"] == "x#2"


TIMES = [
    (100, 100),
    ("100", 100),
    (100.7, 100),
    (1400000000000, 1400000000),
    (1400000000999, 1400000000),
    (0, 0),
    (None, 1393545600),
    ("", 1393545600),
    (float("nan"), 1393545600),
    (-86400, -86400),
]


@pytest.mark.parametrize(("stamp", "seconds"), TIMES)
def test_times(tmp_path, stamp, seconds):
    hin = read(tmp_path, {**OLD, "unixReviewTime": stamp, "reviewTime": "02 28, 2014"})
    assert hin.nodes["review"]["time"].to_pylist() == [seconds]


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("overall", [5], "the rating is '.5.'"),
        ("overall", {"a": 1}, "the rating"),
        ("unixReviewTime", "May", "the time stamp is 'May'"),
        ("unixReviewTime", 1e17, "expected seconds or milliseconds"),
        ("vote", "some", "the number of votes"),
        ("helpful", [1, 2, 3], "expected .yes, all."),
        ("unixReviewTime", None, "day is out of range"),
    ],
)
def test_odd_numbers_are_named(tmp_path, field, value, why):
    row = {"reviewerName": "Jane", "reviewTime": "02 30, 2014", **OLD, field: value}
    with raises(ValueError, names="r.json") as error:
        read(tmp_path, row)
    assert "Jane" not in str(error.value)


VOTES = [
    ([2, 3], 2, 3),
    (["2", "3"], 2, 3),
    ("[2, 3]", 2, 3),
    ("2.0, 3.0", 2, 3),
    ([], None, None),
    ("[]", None, None),
    (None, None, None),
    ({"yes": 1}, None, None),
    ([float("nan")] * 2, None, None),
]


@pytest.mark.parametrize(("helpful", "yes", "total"), VOTES)
def test_helpful(tmp_path, helpful, yes, total):
    review = read(tmp_path, {**OLD, "helpful": helpful}).nodes["review"].to_pylist()[0]
    assert (review.get("helpful_yes"), review.get("helpful_total")) == (yes, total)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (["one &amp;", ["two", None, "  "]], "one &\ntwo"),
        (7, "7"),
        ({"en": "hello", "n": 3}, "hello"),
        ([], None),
        (False, None),
        ("[sic]", "[sic]"),
        ("NaN", "NaN"),
        (float("nan"), None),
    ],
)
def test_text_in_odd_places(tmp_path, value, said):
    assert (
        read(tmp_path, {**OLD, "reviewText": value}).nodes["review"].to_pylist()[0].get("text")
        == said
    )


def test_the_same_review_twice(tmp_path):
    """It may differ in votes, name, style and the order of its fields; the file's order does not
    matter.
    """
    row = {**OLD, "reviewerName": "Jane", "helpful": [1, 2], "style": {"Size": "L"}}
    rows = [
        row,
        {**row, "helpful": [4, 6]},
        dict(reversed({**row, "reviewerName": "J."}.items())),
        {**row, "helpful": None},
        {**row, "overall": 1.0},
        {**row, "verified": True},
    ]
    graphs = []
    for order in list(itertools.permutations(rows))[::31]:
        report = {}
        hin = read(tmp_path, *order, report=report)
        assert report == {"rows": 6, "duplicates": 3, "unreadable": 0}
        graphs.append(content(hin))
    assert all(graph == graphs[0] for graph in graphs)
    assert hin.n("review") == 3  # another rating, or a verified purchase: another review
    assert max(hin.nodes["review"]["helpful_total"].to_pylist()) == 6


def test_metadata_in_odd_places(tmp_path):
    rows = [
        {
            "asin": "i1",
            "related": None,
            "brand": ["by Acme", "Beta", "Acme"],
            "categories": [[["a", "b"], ["c"]], [None, "a"]],
            "also_buy": "i2",
            "also_view": {"i3": 4, "i1": 2},
            "bought_together": {"x": ["i2"], "y": "zz"},
            "price": float("nan"),
        },
        {
            "asin": "i2",
            "related": "{'also_bought': ['i3'], 'also_viewed': []}",
            "also_buy": [],
            "also_view": [None, "i2", 3],
            "description": {"a": "short", "b": ["long"]},
            "brand": {},
            "price": "$1 - $2",
        },
        {"asin": "none of the graph", "also_buy": ["i1"]},
    ]
    report = {}
    reviews = [{**OLD, "asin": i} for i in ("i1", "i2", "i3")]
    hin = read(tmp_path, *reviews, metadata=meta(tmp_path, *rows), report=report)
    assert nodes(hin, "item") == [
        {"id": i, "text": t} for i, t in (("i1", None), ("i2", "short long"), ("i3", None))
    ]
    assert linked(hin, ("item", "made_by", "brand")) == [("i1", "Acme"), ("i1", "Beta")]
    assert [c for _, c in linked(hin, ("item", "in", "category"))] == ["a", "b", "c"]
    assert linked(hin, ("item", "also_bought", "item")) == [("i1", "i2"), ("i2", "i3")]
    assert linked(hin, ("item", "also_viewed", "item")) == [("i1", "i3")]
    assert linked(hin, ("item", "bought_together", "item")) == [("i1", "i2")]
    assert report["metadata_items"] == 2


def test_metadata_of_another_category_is_said(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        hin = read(
            tmp_path,
            OLD,
            metadata=meta(tmp_path, {"asin": "other", "title": "x", "also_buy": ["i1"]}),
        )
    assert "no item of the reviews is in it" in caplog.text
    assert hin.nodes["item"].column_names == ["id"]
    assert list(hin.nodes) == ["user", "item", "review"]


def test_metadata_as_csv_beside_the_reviews(tmp_path):
    (tmp_path / "r.jsonl").write_text(json.dumps(OLD) + "\n")
    (tmp_path / "meta_r.csv").write_text(
        "asin,title,categories\ni1,Guitar,\"['Music', ['Strings']]\"\n"
    )
    (tmp_path / ".r.jsonl").write_text("hidden")
    assert amazon_reviews(tmp_path).nodes["item"].column_names == ["id"]
    hin = amazon_reviews(tmp_path, metadata=tmp_path)
    assert ids(hin, "category") == ["Music", "Strings"]


FORMS = {
    "list.json": json.dumps([OLD, NEW]).encode(),
    "indented.json": b"\n" + json.dumps([OLD, NEW], indent=1).encode(),
    "marked.json": codecs.BOM_UTF8 + f"{json.dumps(OLD)}\r\n\r\n \r\n{json.dumps(NEW)}".encode(),
    "marked_list.json": codecs.BOM_UTF8 + json.dumps([OLD, NEW]).encode(),
    "python.json": f"{OLD!r}\n{NEW!r}".encode(),
    "lines.jsonl.gz": gzip.compress(f"{json.dumps(OLD)}\n{json.dumps(NEW)}\n".encode()),
    "unpacked.jsonl.gz": f"{json.dumps(OLD)}\n{json.dumps(NEW)}\n".encode(),
    "packed.jsonl": gzip.compress(f"{json.dumps(OLD)}\n{json.dumps(NEW)}\n".encode()),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_of_files(tmp_path, name):
    (tmp_path / name).write_bytes(FORMS[name])
    hin = amazon_reviews(tmp_path / name)
    assert hin.fingerprint() == read(tmp_path, OLD, NEW).fingerprint()


BROKEN = {
    "cut.json": (
        json.dumps(OLD) + "\n\n" + json.dumps(NEW)[:-9],
        "line 3: neither JSON nor a Python dict",
    ),
    "cut_list.json": (
        "[" + json.dumps(OLD) + ",\n" + json.dumps(NEW)[:-9],
        "starts as a JSON list .* line 2",
    ),
    "mixed_list.json": (json.dumps([OLD, 3]), "record 2: not a dict"),
    "deep.json": (json.dumps(OLD) + "\n" + "[" * 100_000, "line 2: neither JSON"),
    "latin.json": (
        b'{"reviewerID": "Andr\xe9", "asin": "i"}',
        "line 1: neither JSON nor a Python dict in UTF-8",
    ),
    "name.json": (json.dumps(OLD) + '\n{"asin": "i", "reviewerName": "Jane', "line 2"),
    "empty.json": ("[]", "no reviews in it"),
    "r.csv": ("reviewerID,asin,reviewerName\nA,i,x\nB,i\nJane\n", "cannot be read"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_say_where(tmp_path, name):
    content, why = BROKEN[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=rf"{name}.*{why}") as error:
        amazon_reviews(tmp_path / name)
    assert "Jane" not in str(error.value)
