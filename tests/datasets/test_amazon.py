"""Amazon reviews in each published form: the same rows give the same graph."""

import csv
import gzip
import io
import json
import zipfile

import pytest
from dataset_rows import content, ids, linked, nodes
from raising import raises

from hinaug.datasets import amazon_reviews
from hinaug.datasets.amazon import ABOUT, RATES, WROTE

ROWS = [
    {
        "reviewerID": "B",
        "asin": "i2",
        "reviewerName": "Jane Doe",
        "helpful": [13, 14],
        "reviewText": "Works &amp; sounds\nfine",
        "overall": 5.0,
        "summary": "good",
        "unixReviewTime": 1393545600,
        "reviewTime": "02 28, 2014",
    },
    {
        "reviewerID": "A",
        "asin": "i2",
        "reviewerName": "NA",
        "helpful": [0, 0],
        "reviewText": "",
        "overall": 2.0,
        "summary": "NA",
        "unixReviewTime": 1363392000,
        "reviewTime": "03 16, 2013",
    },
    {
        "reviewerID": "A",
        "asin": "i1",
        "helpful": [0, 1],
        "reviewText": 'it\'s "ok"',
        "overall": 3.0,
        "summary": "meh",
        "unixReviewTime": 1363392000,
        "reviewTime": "03 16, 2013",
    },
]


def lines(path, rows, form=json.dumps):
    text = "\n".join(map(form, rows)) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def as_csv(rows):
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(ROWS[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def test_every_form_of_2014_gives_the_same_graph(tmp_path):
    zipped = tmp_path / "c.csv.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("c.csv", as_csv(ROWS))
    (tmp_path / "d.csv").write_bytes(as_csv(ROWS[::-1]))
    files = [
        lines(tmp_path / "a.json", ROWS),
        lines(tmp_path / "a.json.gz", ROWS[::-1]),
        lines(tmp_path / "b.jsonl", ROWS, repr),  # Python's notation, single quotes
        zipped,
        tmp_path / "d.csv",
    ]
    graphs = [amazon_reviews(f) for f in files]
    hin = graphs[0]
    same, turned = ({graphs[k].fingerprint() for k in which} for which in ((0, 2, 3), (1, 4)))
    assert (len(same), len(turned)) == (1, 1)
    assert all(content(g) == content(hin) for g in graphs)
    assert ids(hin, "user") == ["A", "B"]
    assert nodes(hin, "review")[1:] == [
        {
            "id": "A/i2",
            "text": None,
            "summary": "NA",
            "rating": 2.0,
            "time": 1363392000,
            "helpful_yes": 0,
            "helpful_total": 0,
        },
        {
            "id": "B/i2",
            "text": "Works & sounds\nfine",
            "summary": "good",
            "rating": 5.0,
            "time": 1393545600,
            "helpful_yes": 13,
            "helpful_total": 14,
        },
    ]
    assert linked(hin, RATES) == [("B", "i2"), ("A", "i2"), ("A", "i1")]  # as in the file
    assert linked(hin, WROTE) == [("B", "B/i2"), ("A", "A/i2"), ("A", "A/i1")]
    assert linked(hin, ABOUT) == [("B/i2", "i2"), ("A/i2", "i2"), ("A/i1", "i1")]
    assert "Jane" not in "".join(str(hin.table(t).to_pylist()) for t in [*hin.nodes, *hin.edges])
    lineage = {n: c.lineage for n, c in hin.schema.nodes["review"].items()}
    assert lineage["text"] == lineage["rating"] == hin.schema.edge_lineage[RATES] == "row"
    assert lineage["helpful_yes"] is None


def test_2018(tmp_path):
    rows = [
        {
            "reviewerID": "A",
            "asin": "i1",
            "overall": 4,
            "verified": True,
            "vote": "1,234",
            "reviewTime": "09 1, 2016",
            "style": {"Color:": " Red"},
            "image": ["https://x/1.jpg"],
        },
        {
            "reviewerID": "A",
            "asin": "i1",
            "overall": 5,
            "verified": False,
            "reviewText": "half \ud83d",
            "unixReviewTime": 1,
        },
        {"reviewerID": "B", "asin": "i1", "overall": None, "reviewText": 7},
    ]
    hin = amazon_reviews(lines(tmp_path / "r.json", rows))
    assert ids(hin, "review") == ["A/i1", "A/i1#2", "B/i1"]  # twice, both kept, by time
    assert hin.n(RATES) == 3
    review = nodes(hin, "review")
    assert [r["time"] for r in review] == [1, 1472688000, None]
    assert [r["verified"] for r in review] == [False, True, None]
    assert [r["helpful_yes"] for r in review] == [None, 1234, None]
    assert [r["rating"] for r in review] == [5, 4, None]
    assert review[0]["text"].startswith("half")
    assert not {"helpful_total", "style", "image"} & set(review[0])


def test_repeated_rows_are_dropped_and_counted(tmp_path):
    report = {}
    rows = [*ROWS, ROWS[0], {**ROWS[0], "reviewText": "another text"}]
    hin = amazon_reviews(lines(tmp_path / "r.json", rows), report=report)
    assert report == {"rows": 5, "duplicates": 1, "unreadable": 0}
    assert hin.n("review") == hin.n(RATES) == 4
    assert hin.adjacency(RATES).nnz == 3


@pytest.mark.parametrize(
    "bad",
    [
        "{not a dict",
        '["a", "list"]',
        '{"asin": "i1"}',
        '{"reviewerID": "A", "asin": "i", "overall": "many"}',
    ],
)
def test_unreadable_lines(tmp_path, bad):
    path = lines(tmp_path / "r.json", ROWS)
    path.write_text(path.read_text() + "\n" + bad + "\n")
    with raises(ValueError, names="r.json"):
        amazon_reviews(path)
    report = {}
    assert amazon_reviews(path, errors="skip", report=report).n("review") == 3
    assert report == {"rows": 4, "duplicates": 0, "unreadable": 1}


def test_unreadable_csv_and_archives(tmp_path):
    path = tmp_path / "r.csv"
    path.write_bytes(as_csv(ROWS) + b"too,short\r\n")
    with raises(ValueError, names="r.csv"):
        amazon_reviews(path)
    report = {}
    assert amazon_reviews(path, errors="skip", report=report).n("review") == 3
    assert report["unreadable"] == 1
    path.write_bytes(as_csv([{**ROWS[0], "helpful": "[1]"}]))
    with raises(ValueError, names="r.csv") as error:
        amazon_reviews(path)
    assert "Jane" not in str(error.value)
    cut = lines(tmp_path / "r.json.gz", ROWS * 50)
    cut.write_bytes(cut.read_bytes()[:-20])
    with raises(ValueError, names="damaged"):
        amazon_reviews(cut)
    path.write_text("a,b\n1,2\n")
    with raises(ValueError, names="reviewerID"):
        amazon_reviews(path)


def test_folder_errors(tmp_path):
    with raises(FileNotFoundError, names="none"):
        amazon_reviews(tmp_path / "none")
    with raises(FileNotFoundError, names=".jsonl"):
        amazon_reviews(tmp_path)
    lines(tmp_path / "a.json", ROWS)
    lines(tmp_path / "meta_a.json", [])
    assert amazon_reviews(tmp_path).n("review") == 3
    lines(tmp_path / "b.json", ROWS)
    with raises(FileNotFoundError, names="a.json"):
        amazon_reviews(tmp_path)
    with raises(ValueError, asked="ignore"):
        amazon_reviews(tmp_path / "a.json", errors="ignore")
    with raises(ValueError, names="meta_a.json"):
        amazon_reviews(tmp_path / "meta_a.json")


@pytest.mark.parametrize("year", [2014, 2018])
def test_metadata(tmp_path, year):
    if year == 2014:
        rows = [
            {
                "asin": "i1",
                "title": "Strings &amp; Co",
                "price": 9.5,
                "brand": "Acme",
                "categories": [["Music", "Strings"], ["Music"]],
                "related": {"also_bought": ["i2", "i2", "zz", "i1"], "also_viewed": ["i2"]},
                "description": "Nickel",
            },
            {"asin": "i1", "title": "again"},
            {"asin": "other", "title": "not in the graph"},
        ]
        meta = lines(tmp_path / "meta_x.json.gz", rows, repr)
    else:
        rows = [
            {
                "asin": "i1",
                "title": "Strings & Co",
                "price": "$9.50",
                "brand": "by\n   Acme",
                "category": ["Music", "Strings"],
                "also_buy": ["i2"],
                "also_view": ["i2"],
                "description": ["Nickel", ""],
            },
            {"asin": "i1", "title": "again"},
            {
                "asin": "i2",
                "title": "var aPageStart = (new Date()).getTime();",
                "price": "$1.00 - $2.00",
                "brand": "",
                "category": [],
            },
        ]
        meta = lines(tmp_path / "meta_x.json", rows)
    report = {}
    hin = amazon_reviews(lines(tmp_path / "r.json", ROWS), metadata=meta, report=report)
    assert nodes(hin, "item") == [
        {"id": "i1", "title": "Strings & Co", "price": 9.5, "text": "Strings & Co Nickel"},
        {"id": "i2", "title": None, "price": None, "text": None},
    ]
    assert hin.ids("brand").to_pylist() == ["Acme"]
    assert ids(hin, "category") == ["Music", "Strings"]
    for name in ("also_bought", "also_viewed"):
        assert linked(hin, ("item", name, "item")) == [("i1", "i2")]
        assert (
            hin.schema.edge_lineage["item", name, "item"] is None
        )  # may know the held-out purchases
    assert hin.schema.edge_lineage["item", "made_by", "brand"] == "row"
    assert report["metadata_repeated"] == 1
    assert report["metadata_items"] == (1 if year == 2014 else 2)
