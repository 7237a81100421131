"""Last.fm of HetRec 2011: listening, friends, and tagging as evidence."""

import pytest
from dataset_rows import ids, linked, nodes
from raising import raises

from hinaug import random_split
from hinaug.datasets import hetrec_lastfm
from hinaug.datasets.hetrec import ABOUT, FRIEND, LISTENS, USES, WROTE

FILES = {
    "artists.dat": "id\tname\turl\tpictureURL\n12\tRoyce da 5'9\"\tu\tp\n3\tMötley Crüe\tu\tp\n",
    "tags.dat": "tagID\ttagValue\n8\tmetal\n1\t80s\n",
    "user_artists.dat": "userID\tartistID\tweight\n10\t12\t5\n2\t12\t70\n2\t3\t9\n",
    "user_friends.dat": "userID\tfriendID\n2\t10\n10\t2\n",
    "user_taggedartists.dat": "userID\tartistID\ttagID\tday\tmonth\tyear\n"
    "2\t3\t8\t1\t4\t2009\n2\t3\t1\t2\t1\t1970\n"
    "2\t99\t8\t1\t4\t2009\n10\t12\t8\t1\t5\t2010\n",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text.replace("\n", "\r\n"), encoding="utf-8", newline="")
    return tmp_path


def test_graph(folder):
    hin = hetrec_lastfm(folder)
    assert nodes(hin, "artist") == [
        {"id": 3, "name": "Mötley Crüe"},
        {"id": 12, "name": "Royce da 5'9\""},
    ]
    assert ids(hin, "user") == [2, 10]
    assert linked(hin, LISTENS) == [(10, 12), (2, 12), (2, 3)]  # as in the file
    assert hin.edges[LISTENS]["weight"].to_pylist() == [5, 70, 9]
    assert linked(hin, FRIEND) == [(2, 10), (10, 2)]
    assert nodes(hin, "tagging") == [
        {"id": "10:12:1", "text": "metal", "time": 1272672000},
        {"id": "2:3:1", "text": "metal", "time": 1238544000},
        {"id": "2:3:2", "text": "80s", "time": None},
        {"id": "2:99:1", "text": "metal", "time": 1238544000},
    ]
    assert linked(hin, WROTE) == [(2, "2:3:1"), (2, "2:3:2"), (2, "2:99:1"), (10, "10:12:1")]
    assert linked(hin, ABOUT) == [("2:3:1", 3), ("2:3:2", 3), ("10:12:1", 12)]  # 99 is in no list
    assert linked(hin, USES) == [("2:3:1", 8), ("2:3:2", 1), ("2:99:1", 8), ("10:12:1", 8)]


def test_taggings_leave_with_the_listening_they_give_away(folder):
    hin = hetrec_lastfm(folder)
    split = random_split(hin, LISTENS, evidence=["tagging"], valid=0, test=1, min_train=0, rng=0)
    (user, artist) = next(
        p
        for p in zip(split.test["src"].to_pylist(), split.test["dst"].to_pylist(), strict=True)
        if p[0] == 10
    )
    assert (user, artist) == (10, 12)
    assert "10:12:1" not in split.train.ids("tagging").to_pylist()


def test_errors(folder):
    (folder / "tags.dat").write_text("tag\tvalue\n1\tx\n")
    with raises(ValueError, names="tags.dat"):
        hetrec_lastfm(folder)
    (folder / "tags.dat").unlink()
    with raises(FileNotFoundError, names="tags.dat"):
        hetrec_lastfm(folder)
