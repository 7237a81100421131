"""Graphs of bare numbers, and the split beside them."""

import pytest
from dataset_rows import ids, linked
from raising import raises

from hinaug.datasets import amazon_hin, lightgcn_split, yelp_hin

AMAZON = {
    "user_item.dat": "7\t0\t5\t200\n7\t1\t3\t100\n0\t0\t1\t50\n",
    "item_brand.dat": "0,0\n1,0\n",
    "item_category.dat": "0,3\n0,1\n",
    "item_view.dat": "1,9\n",
}
YELP = {
    "user_business.dat": "1\t3\t5\n2\t3\t4\n",
    "user_user.dat": "1\t2\t1\n2\t1\t1\n",
    "user_compliment.dat": "9\t1\t1\n",
    "business_city.dat": "3\t1\t1\n",
    "business_category.dat": "3\t2\t1\n4\t2\t1\n",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in (AMAZON | YELP).items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_amazon(folder):
    hin = amazon_hin(folder)
    assert {t: ids(hin, t) for t in hin.nodes} == {
        "user": [0, 7],
        "item": [0, 1],
        "brand": [0],
        "category": [1, 3],
        "view": [9],
    }
    rates = ("user", "rates", "item")
    assert linked(hin, rates) == [(7, 0), (7, 1), (0, 0)]  # as in the file
    assert hin.edges[rates].drop_columns(["src", "dst"]).to_pylist() == [
        {"rating": 5, "time": 200},
        {"rating": 3, "time": 100},
        {"rating": 1, "time": 50},
    ]
    assert linked(hin, ("item", "in", "category")) == [(0, 3), (0, 1)]
    assert hin.schema.edge_lineage["item", "made_by", "brand"] == "row"
    assert hin.schema.edge_lineage["item", "has", "view"] is None


def test_yelp_and_its_split(folder):
    hin = yelp_hin(folder)
    assert ids(hin, "user") == [1, 2, 9]  # one only has a compliment
    assert ids(hin, "business") == [3, 4]
    assert hin.edges["business", "has", "category"].column_names == [
        "src",
        "dst",
    ]  # without the ones
    assert hin.n(("user", "friend", "user")) == 2
    assert hin.schema.edge_lineage["user", "received", "compliment"] is None
    (folder / "train.txt").write_text("0 2\n")
    (folder / "test.txt").write_text("1 2\n")
    split = lightgcn_split(folder, hin, ("user", "rates", "business"), first_id=1, valid=0)
    assert split.test.to_pylist() == [{"src": 2, "dst": 3, "rating": 4}]


BAD = [
    ("1\t2\t3\t4\t5\n", "expected 2 to 4 fields"),
    ("1\tx\t3\t4\n", "cannot be read"),
    ("1\t2\t3\t4\n1\t\t3\t4\n", "an empty field dst in line 2"),
    ("", "expected 2 to 4"),
]


@pytest.mark.parametrize(("text", "why"), BAD)
def test_errors_name_the_file(folder, text, why):
    (folder / "user_item.dat").write_text(text)
    with raises(ValueError, names="user_item.dat"):
        amazon_hin(folder)
    (folder / "user_item.dat").unlink()
    with raises(FileNotFoundError, names="user_item.dat"):
        amazon_hin(folder)
