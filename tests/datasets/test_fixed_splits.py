"""Published splits: the very pairs of the files, whatever odd lines they hold; a graph beside them
keeps its columns.
"""

import numpy as np
import pytest
from dataset_rows import ids, linked
from raising import raises

from hinaug import audit
from hinaug.datasets import lightgcn_split
from hinaug.datasets.lightgcn import INTERACTS
from hinaug.graph.hin import HIN
from hinaug.split.thin import thin

RATES = ("user", "rates", "movie")


def write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.txt").write_bytes(text.encode())
    return folder


def pairs(what):
    if isinstance(what, HIN):
        return set(linked(what, INTERACTS))
    return set(zip(what["src"].to_pylist(), what["dst"].to_pylist(), strict=True))


def test_train_and_test(tmp_path):
    write(tmp_path, train="0 5 3 7\n2 5\n", test="2 3 9\n")
    split = lightgcn_split(tmp_path, valid=0)
    assert ids(split.source, "user") == [0, 2]
    assert ids(split.source, "item") == [3, 5, 7, 9]  # one of them only in test
    assert linked(split.source, INTERACTS) == [(0, 5), (0, 3), (0, 7), (2, 5), (2, 3), (2, 9)]
    assert pairs(split.train) == pairs(split.train_valid) == {(0, 5), (0, 3), (0, 7), (2, 5)}
    assert pairs(split.test) == {(2, 3), (2, 9)}
    assert split.valid.num_rows == 0
    assert not audit(split).leaks


def test_valid_txt_is_valid(tmp_path):
    write(tmp_path, train="0 1 2\n1 1\n", valid="0 3\n", test="1 3\n")
    split = lightgcn_split(tmp_path)
    assert pairs(split.train) == {(0, 1), (0, 2), (1, 1)}
    assert pairs(split.valid) == {(0, 3)}
    assert pairs(split.train_valid) == pairs(split.train) | {(0, 3)}
    assert split.how["valid"] == "valid.txt"
    drawn = lightgcn_split(tmp_path, valid=1, rng=0)  # drawn from both files
    assert pairs(drawn.train_valid) == pairs(split.train_valid)
    assert drawn.valid["src"].to_pylist() == [0]


def test_valid_is_drawn_per_user_and_test_is_not(tmp_path):
    rows = "\n".join(f"{u} " + " ".join(map(str, range(20))) for u in range(50))
    write(tmp_path, train=rows, test="\n".join(f"{u} 30" for u in range(50)))
    one, same, other = (lightgcn_split(tmp_path, rng=r) for r in (0, 0, 1))
    assert pairs(one.valid) == pairs(same.valid) != pairs(other.valid)
    assert pairs(one.test) == pairs(other.test) == {(u, 30) for u in range(50)}
    assert np.bincount(one.valid["src"]).tolist() == [2] * 50
    assert pairs(one.train) == pairs(one.train_valid) - pairs(one.valid)
    assert len(pairs(one.train_valid)) == 1000


def test_odd_lines(tmp_path):
    write(
        tmp_path,
        # a mark, items twice, a user on two lines, users without items
        train="\ufeff4 1 1 2\r\n\r\n5\r\n6 \r\n4 2 3\r\n",
        valid="\n",
        test="4 9 1\n7 1\n8",  # a pair of train again, users that train does not have
    )
    split = lightgcn_split(tmp_path)
    assert ids(split.source, "user") == [4, 5, 6, 7, 8]
    assert pairs(split.train_valid) == {(4, 1), (4, 2), (4, 3)}
    assert pairs(split.test) == {(4, 9), (7, 1)}
    assert (split.how["repeated"], split.how["overlap"]) == (2, 1)


@pytest.mark.parametrize(
    "line", ["1 x", "1.5 2", "-1 2", "1 99999999999", "1 99999999999999999999", "1,2,3"]
)
def test_what_is_no_number_is_named(tmp_path, line):
    write(tmp_path, train=f"0 1\n{line}\n", test="")
    with raises(ValueError, names="train.txt"):
        lightgcn_split(tmp_path)


def test_missing_files(tmp_path):
    write(tmp_path, train="0 1\n")
    with raises(FileNotFoundError, names="LightGCN"):
        lightgcn_split(tmp_path)


def graph():
    nodes = {
        "user": {"id": [1, 2, 3]},
        "movie": {"id": [1, 2, 3], "title": ["a", "b", "c"]},
        "review": {"id": ["x", "y"]},
    }
    edges = {
        RATES: {"src": [1, 1, 1, 2, 3], "dst": [2, 1, 2, 3, 3], "rating": [5, 4, 3, 2, 1]},
        ("user", "wrote", "review"): {"src": [1, 2], "dst": ["x", "y"]},
        ("review", "about", "movie"): {"src": ["x", "y"], "dst": [2, 3]},
    }
    return HIN.from_tables(nodes, edges, lineage="row")


def test_with_a_graph(tmp_path):
    write(tmp_path, train="0 0\n1 2\n", test="0 1\n2 2\n")
    split = lightgcn_split(tmp_path, graph(), RATES, evidence=["review"], first_id=1, valid=0)
    assert split.test.to_pylist() == [
        {"src": 1, "dst": 2, "rating": 5},
        {"src": 3, "dst": 3, "rating": 1},
    ]
    assert split.train.edges[RATES]["rating"].to_pylist() == [4, 2]  # both rows of the pair left
    assert split.train.ids("review").to_pylist() == ["y"]
    assert split.train.nodes["movie"]["title"].to_pylist() == ["a", "b", "c"]
    assert not audit(split).leaks
    assert thin(split, 0.5, rng=0).test.equals(split.test)


def test_a_graph_of_other_pairs_is_an_error(tmp_path):
    write(tmp_path, train="1 1\n2 3\n", test="1 2\n2 1\n")
    with raises(ValueError, asked=1):
        lightgcn_split(tmp_path, graph(), RATES)
    with raises(ValueError, names="first_id"):
        lightgcn_split(tmp_path, graph(), RATES, first_id=2)
    with raises(ValueError, asked=("user", "interacts", "item")):
        lightgcn_split(tmp_path, graph())
