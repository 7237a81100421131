"""recommend: the best real items that a user has not met."""

import numpy as np
import pyarrow as pa
import pytest
from methods import Fixed
from raising import raises

from hinaug.errors import EmptyListWarning, SchemaError
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.predictors import Popularity
from hinaug.predictors.ranking import BLOCK, ranked_lists
from hinaug.serving.recommend import recommend

RATES = ("user", "rates", "item")


def graph():
    return HIN.from_tables(
        {"user": {"id": ["a", "b", "c"]}, "item": {"id": ["w", "x", "y", "z"]}},
        {RATES: {"src": ["a", "b", "b"], "dst": ["w", "x", "y"]}},
    )


SCORES = [[9, 1, 3, 2], [5, 9, 8, 5], [1, np.nan, np.nan, 4]]


def lists(table):
    out = {}
    for row in table.to_pylist():
        assert row["rank"] == len(out.setdefault(row["user"], [])) + 1
        out[row["user"]].append(row["item"])
    return out


def test_best_first_without_what_was_observed():
    hin = graph()
    model = Fixed(RATES, SCORES).fit(hin)
    table = recommend(model, hin, ["a", "b", "c"], k=2)
    assert table.column_names == ["user", "item", "score", "rank"]
    assert lists(table) == {
        "a": ["y", "z"],
        "b": ["w", "z"],
        "c": ["z", "w"],
    }  # b: equal scores by position
    assert table["score"].to_pylist() == [3, 2, 5, 5, 4, 1]
    everything = recommend(model, hin, "a", k=9, exclude_observed=False)
    assert lists(everything) == {"a": ["w", "y", "z", "x"]}


def test_never_what_cannot_be_scored():
    with pytest.warns(EmptyListWarning) as told:
        table = recommend(Fixed(RATES, SCORES).fit(graph()), graph(), ["c"], k=4)
    assert (told[0].message.asked, told[0].message.there) == (4, {"short": 1, "empty": 0})
    assert lists(table) == {"c": ["z", "w"]}
    assert not np.isnan(table["score"].to_numpy()).any()
    nothing = Fixed(RATES, np.full((3, 4), np.nan)).fit(graph())
    with pytest.warns(EmptyListWarning) as told:
        assert recommend(nothing, graph(), ["a", "b"], k=3).num_rows == 0
    assert len(told) == 1
    assert "Popularity" in str(told[0].message)  # what serves everybody
    assert (told[0].message.asked, told[0].message.there) == (3, {"short": 2, "empty": 2})


def test_a_short_list_warns_only_where_scores_are_missing():
    model = Fixed(RATES, SCORES).fit(graph())
    # b has met two of four items, and all that is left is scored: nothing to warn of
    assert recommend(model, graph(), ["b"], k=4).num_rows == 2
    with pytest.warns(EmptyListWarning) as told:
        recommend(model, graph(), ["a", "b", "c"], k=3)
    assert told[0].message.there == {"short": 1, "empty": 0}
    # among these candidates c could get two and gets one
    with pytest.warns(EmptyListWarning) as told:
        recommend(model, graph(), ["c"], k=9, candidates=["x", "z"])
    assert told[0].message.there == {"short": 1, "empty": 0}


@pytest.mark.parametrize("exclude_observed", [True, False])
def test_nobody_is_recommended_to_oneself(exclude_observed):
    follows = ("user", "follows", "user")
    nodes = {"user": {"id": list("abc")}}
    hin = HIN.from_tables(nodes, {follows: {"src": ["a"], "dst": ["b"]}})
    model = Fixed(follows, np.eye(3) * 9 + 1).fit(hin)
    made = recommend(model, hin, list("abc"), k=3, exclude_observed=exclude_observed)
    expected = {"a": {"b", "c"}, "b": {"a", "c"}, "c": {"a", "b"}}
    if exclude_observed:
        expected["a"] = {"c"}
    assert {user: set(items) for user, items in lists(made).items()} == expected
    ghost = hin + Delta({"user": {"id": ["ghost"]}})
    assert len(recommend(Popularity(follows).fit(ghost), ghost, ["ghost"], k=9)) == 3


def test_candidates():
    hin = graph()
    model = Fixed(RATES, SCORES).fit(hin)
    assert lists(recommend(model, hin, ["a", "b"], k=3, candidates=["x", "w"])) == {
        "a": ["x"],
        "b": ["w"],
    }
    with pytest.warns(EmptyListWarning) as told:
        assert recommend(model, hin, ["a"], candidates=["w"]).num_rows == 0
    assert told[0].message.there == {"short": 1, "empty": 1}
    with pytest.warns(EmptyListWarning):
        assert recommend(model, hin, ["a"], candidates=[]).num_rows == 0
    with raises(SchemaError, names="nope"):
        recommend(model, hin, ["a"], candidates=["nope"])


def test_generated_items_are_never_recommended_and_generated_edges_hide_nothing():
    hin = graph()
    delta = Delta(
        nodes={"item": {"id": ["new"]}, "user": {"id": ["ghost"]}},
        edges={RATES: {"src": ["a", "a", "ghost"], "dst": ["y", "new", "w"]}},
    )
    model = Fixed(RATES, SCORES).fit(hin)
    assert lists(recommend(model, hin + delta, ["a", "ghost"], k=9)) == {
        "a": ["y", "z", "x"],
        "ghost": ["w", "y", "z", "x"],
    }
    assert lists(recommend(model, hin + delta, ["a"], k=9, candidates=["new", "z"])) == {"a": ["z"]}


def test_ids_come_back_in_their_own_type():
    hin = HIN.from_tables(
        {"user": {"id": [7, 8]}, "item": {"id": [70, 80]}}, {RATES: {"src": [7], "dst": [70]}}
    )
    table = recommend(Popularity(RATES).fit(hin), hin, np.int64(8), k=1)
    assert table.to_pylist() == [{"user": 8, "item": 70, "score": 1.0, "rank": 1}]
    assert recommend(Popularity(RATES).fit(hin), hin, 8, k=1).equals(table)


def test_errors():
    hin = graph()
    model = Popularity(RATES).fit(hin)
    with raises(SchemaError, names="aa"):
        recommend(model, hin, ["aa"])
    with raises(ValueError, names="recommend"):
        recommend(model, hin, ["a"], k=0)
    assert recommend(model, hin, [], k=3).num_rows == 0
    assert recommend(model, hin, pa.array(["b", "b"]), k=1)["user"].to_pylist() == ["b", "b"]


@pytest.mark.parametrize("scores_at_once", [20, 2**22])
def test_many_users_are_ranked_in_blocks(monkeypatch, scores_at_once):
    monkeypatch.setattr("hinaug.predictors.ranking.SCORES", scores_at_once)
    n = BLOCK + 3
    rng = np.random.default_rng(0)
    scores = rng.random((n, 6))
    hin = HIN.from_tables(
        {"user": {"id": np.arange(n)}, "item": {"id": list("abcdef")}},
        {
            RATES: {
                "src": np.arange(n),
                "dst": np.array(list("abcdef"))[rng.integers(6, size=n)].tolist(),
            }
        },
    )
    model = Fixed(RATES, scores).fit(hin)
    ranked, best = ranked_lists(model, hin, np.arange(n), 3, hin.adjacency(RATES))
    hidden = np.where(hin.adjacency(RATES).toarray() > 0, -1, scores.astype(np.float32))
    np.testing.assert_array_equal(ranked, np.argsort(-hidden, axis=1)[:, :3])
    np.testing.assert_allclose(best, -np.sort(-hidden, axis=1)[:, :3])
