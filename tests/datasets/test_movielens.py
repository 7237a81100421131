"""MovieLens readers on tiny files in the published layout."""

import datetime

from dataset_rows import content, ids, linked, nodes
from raising import raises

from hinaug.datasets import movielens_100k, movielens_latest_small
from hinaug.datasets.movielens import HAS, RATES
from hinaug.datasets.movielens_small import ABOUT, USES, WROTE


def test_100k_official(ml_100k):
    hin = movielens_100k(ml_100k)
    assert ids(hin, "user") == [2, 10]
    assert ids(hin, "movie") == [1, 2, 267, 1412]
    assert hin.n("genre") == 19
    assert linked(hin, RATES) == [(10, 2), (2, 1), (2, 267), (10, 1)]  # as in the file
    assert hin.column(RATES, "rating").to_pylist() == [3, 5, 1, 4]
    assert hin.column(RATES, "time").to_pylist() == [881250949, 881250900, 881250900, 881250000]
    assert nodes(hin, "user")[1] == {
        "id": 10,
        "age": 24,
        "gender": "M",
        "occupation": "technician",
        "zip": "T8H1N",
    }
    movies = nodes(hin, "movie")
    assert [m["title"] for m in movies] == [
        '12 "Angry" Men',
        "Misérables, Les",
        "unknown",
        "Land Before Time III",
    ]
    assert [m["year"] for m in movies] == [1957, 1995, None, 1995]
    assert [m["date"] for m in movies[1:3]] == [datetime.date(1996, 2, 1), None]
    assert movies[1]["text"] == "Misérables, Les (1995). Genres: Action, Adventure."
    assert linked(hin, HAS)[:3] == [(2, "Action"), (2, "Adventure"), (1, "Drama")]
    assert {
        c.lineage
        for t in (hin.schema.nodes, hin.schema.edges)
        for cols in t.values()
        for c in cols.values()
    } == {"row"}


def test_100k_copy_gives_the_same_graph(ml_100k, ml_100k_copy):
    one, two = movielens_100k(ml_100k), movielens_100k(ml_100k_copy)
    for type in ("user", "genre", RATES):
        assert one.table(type).equals(two.table(type)), type
    assert one.nodes["movie"].drop_columns(["date"]).equals(two.nodes["movie"])
    assert content(one)[HAS] == content(two)[HAS]


def test_100k_freebase(ml_100k, ml_100k_copy):
    hin = movielens_100k(ml_100k_copy, freebase=True)
    assert linked(hin, ("movie", "is", "entity")) == [(1, "m.01"), (2, "m.02")]
    assert linked(hin, ("entity", "film.film.actor", "entity")) == [
        ("m.01", "m.a"),
        ("m.02", "m.a"),
    ]
    with raises(FileNotFoundError, names="RecBole's"):
        movielens_100k(ml_100k, freebase=True)


def test_100k_errors(tmp_path, ml_100k):
    with raises(FileNotFoundError, names="nowhere"):
        movielens_100k(tmp_path / "nowhere")
    with raises(FileNotFoundError, names="u.data"):
        movielens_100k(ml_100k / "u.data")
    (ml_100k / "u.user").unlink()
    with raises(FileNotFoundError, names="u.user"):
        movielens_100k(ml_100k)
    (ml_100k / "u.user").write_text("1|many|F|other|1\n")
    with raises(ValueError, names="u.user"):
        movielens_100k(ml_100k)


def test_latest_small_with_taggings_and_plots(ml_small):
    hin = movielens_latest_small(ml_small, ml_small, tag_nodes=True)
    assert ids(hin, "user") == [1, 2, 4]  # user 4 only tagged
    assert linked(hin, RATES) == [(2, 5), (1, 5), (2, 3)]
    movies = nodes(hin, "movie")
    assert [(m["title"], m["year"]) for m in movies] == [
        ("American President, The", 1995),
        ("Babylon 5", None),
        ("Death Note", 2006),
    ]
    assert (
        movies[0]["text"]
        == 'American President, The (1995). Genres: Comedy, Drama. A "widowed" president'
    )
    assert [m["plot"] for m in movies[1:]] == [None, None]
    assert movies[1]["text"] == "Babylon 5."
    assert linked(hin, WROTE) == [(2, "2:5:2"), (2, "2:5:1"), (4, "4:3:1")]  # numbered by time
    assert linked(hin, ABOUT)[0] == ("2:5:2", 5)
    assert [t["text"] for t in nodes(hin, "tagging")] == ['said "boo"', "Mafia", "mafia"]
    assert linked(hin, USES) == [("2:5:2", "mafia"), ("2:5:1", 'said "boo"'), ("4:3:1", "mafia")]


def test_latest_small_without(ml_small):
    hin = movielens_latest_small(ml_small, tags=False)
    assert list(hin.nodes) == ["user", "movie", "genre"]
    assert "plot" not in hin.nodes["movie"].column_names
    (ml_small / "tags.csv").unlink()
    with raises(FileNotFoundError, names="tags.csv"):
        movielens_latest_small(ml_small)
