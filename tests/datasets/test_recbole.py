"""Atomic files: types in the header, missing side files, several data sets in a folder."""

import numpy as np
from dataset_rows import ids, linked
from raising import raises

from hinaug.datasets import recbole_atomic


def write(folder, name, *rows):
    (folder / name).write_text("\n".join("\t".join(r) for r in rows) + "\n", "utf-8")


def test_types_and_missing_rows(tmp_path):
    write(
        tmp_path,
        "d.inter",
        ("user_id:token", "item_id:token", "rating:float", "timestamp:float"),
        ("b", "10", "4", "7"),
        ("a", "9", "", "3"),
        ("a", "x", "2.5", "1"),
    )
    write(
        tmp_path,
        "d.item",
        ("item_id:token", "words:token_seq", "vec:float_seq", "note"),
        ("10", "red  blue", "1 2.5", "n"),
        ("9", "", "", ""),
        ("7", "w", "0 1", ""),
    )
    hin = recbole_atomic(tmp_path)
    assert ids(hin, "item") == ["10", "7", "9", "x"]  # also those of one file alone
    assert ids(hin, "user") == ["a", "b"]
    rates = ("user", "rates", "item")
    assert linked(hin, rates) == [("b", "10"), ("a", "9"), ("a", "x")]
    assert hin.column(rates, "time").to_pylist() == [7, 3, 1]
    assert hin.column(rates, "rating").to_pylist() == [4, None, 2.5]
    at = [hin.ids("item").to_pylist().index(name) for name in ("7", "9", "10", "x")]
    words = hin.column("item", "words").to_pylist()
    assert [words[k] for k in at] == [["w"], [], ["red", "blue"], None]
    np.testing.assert_array_equal(
        hin.vectors("item", "vec", fill=-1)[at], [[0, 1], [-1, -1], [1, 2.5], [-1, -1]]
    )
    assert "note" not in hin.nodes["item"].column_names
    assert (
        hin.schema.nodes["item"]["words"].lineage is None
    )  # the file does not say what it was computed from
    assert hin.schema.edge_lineage[rates] == "row"


def test_without_ratings_and_with_a_knowledge_graph(ml_100k_copy, tmp_path):
    write(tmp_path, "e.inter", ("uid_id:token", "poi_id:token"), ("1", "2"))
    assert list(recbole_atomic(tmp_path).edges) == [("uid", "interacts", "poi")]
    hin = recbole_atomic(ml_100k_copy)
    assert hin.n(("item", "is", "entity")) == 2
    assert hin.n(("entity", "film.film.sequel", "entity")) == 1


def test_errors(tmp_path):
    with raises(FileNotFoundError, names="NAME.inter"):
        recbole_atomic(tmp_path)
    write(tmp_path, "a.inter", ("user_id:token", "item_id:token"), ("1", "2"))
    write(tmp_path, "b.inter", ("user_id:token", "item_id:token", "r:float"), ("1", "2", "many"))
    with raises(FileNotFoundError, names="a.inter"):
        recbole_atomic(tmp_path)
    with raises(ValueError, names="b.inter"):
        recbole_atomic(tmp_path, "b")
    write(tmp_path, "a.item", ("id:token",), ("1",))
    with raises(ValueError, names="item_id"):
        recbole_atomic(tmp_path, "a")
    write(tmp_path, "a.inter", ("user", "item"), ("1", "2"))
    with raises(ValueError, names="name:type"):
        recbole_atomic(tmp_path, "a")
