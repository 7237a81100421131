"""evaluate(protocol=): new items alone, and one list of warm and new items."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from methods import Fixed

from hinaug.datasets import planted
from hinaug.datasets.planted import RATES
from hinaug.errors import LeakError, ParameterError
from hinaug.evaluation import JointResult, compare, evaluate
from hinaug.graph.hin import HIN
from hinaug.predictors import Popularity
from hinaug.predictors.base import LinkPredictor
from hinaug.split.base import Split
from hinaug.split.cold import cold_items


def split_by_hand():
    """v, w and x are warm, y and z new. Held out: a - w, a - z, b - y, c - w."""
    nodes = {"user": {"id": list("abc")}, "item": {"id": list("vwxyz")}}
    train = [("a", "v"), ("b", "v"), ("b", "w"), ("c", "x")]
    valid = [("a", "w"), ("a", "z"), ("b", "y"), ("c", "w")]

    def graph(pairs):
        src, dst = zip(*pairs, strict=True)
        return HIN.from_tables(nodes, {RATES: {"src": list(src), "dst": list(dst)}})

    src, dst = zip(*valid, strict=True)
    held = pa.table({"src": list(src), "dst": list(dst)})
    full = graph(train + valid)
    return Split(full, RATES, graph(train), full, held, held.slice(0, 0))


#          v  w  x  y  z
SCORES = [[9, 3, 5, 1, 4], [9, 8, 2, 3, 4], [1, 3, 9, 5, 2]]


def lists_by_hand():
    """The lists are a: x z w y, b: z y x, c: y w z v."""
    split = split_by_hand()
    return split, Fixed(RATES, SCORES).fit(split.train)


def test_joint_by_hand():
    split, model = lists_by_hand()
    found = evaluate(model, split.train, split, k=(1, 3), protocol="joint")
    assert isinstance(found, JointResult)
    assert found.users.to_pylist() == ["a", "b", "c"]
    dcg = {rank: 1 / np.log2(rank + 1) for rank in (1, 2, 3)}
    whole = [(dcg[2] + dcg[3]) / (dcg[1] + dcg[2]), dcg[2], dcg[2]]
    np.testing.assert_allclose(found.values["NDCG@3"], whole)
    assert found.warm.users.to_pylist() == ["a", "c"]
    np.testing.assert_allclose(found.warm.values["NDCG@3"], [dcg[3], dcg[2]])
    assert found.new.users.to_pylist() == ["a", "b"]
    np.testing.assert_allclose(found.new.values["NDCG@3"], [dcg[2], dcg[2]])
    assert found.new["Recall@3"] == 1
    assert found.new["Recall@1"] == found.warm["Recall@1"] == 0
    assert found.overall["New items@1"] == pytest.approx(2 / 3)  # z of b and y of c
    assert found.overall["New items@3"] == pytest.approx(5 / 9)
    assert len({found.split, found.warm.split, found.new.split}) == 3
    assert "new: NDCG@1" in repr(found)


def test_all_targets_are_judged_as_without_a_protocol():
    split, model = lists_by_hand()
    plain = evaluate(model, split.train, split, k=3)
    joint = evaluate(model, split.train, split, k=3, protocol="joint")
    for name, values in plain.values.items():
        np.testing.assert_array_equal(values, joint.values[name])
    assert plain.split == joint.split
    assert compare(plain, joint, "NDCG@3").difference == 0


def test_new_alone_by_hand():
    split, model = lists_by_hand()
    found = evaluate(model, split.train, split, k=1, protocol="new")
    assert found.users.to_pylist() == ["a", "b"]  # of y and z, a ranks z first, and b too
    np.testing.assert_allclose(found.values["NDCG@1"], [1, 0])
    assert found.split == evaluate(model, split.train, split, k=1, protocol="joint").new.split


def test_graphs_with_other_nodes_and_order_have_the_same_new_items():
    split, model = lists_by_hand()
    ids = split.train.ids("item").to_pylist()
    other = HIN.from_tables(
        {"user": {"id": list("cab")}, "item": {"id": ids[::-1]}},
        {RATES: {"src": list("abbc"), "dst": list("vvwx")}},
    )
    moved = Fixed(RATES, np.asarray(SCORES)[[2, 0, 1], ::-1]).fit(other)
    one = evaluate(model, split.train, split, k=3, protocol="joint")
    two = evaluate(moved, other, split, k=3, protocol="joint")
    for kind in ("warm", "new"):
        for metric in ("NDCG@3", "Recall@3"):
            assert getattr(one, kind)[metric] == pytest.approx(getattr(two, kind)[metric])


def test_against_a_loop():
    split = cold_items(
        planted(80, 60, 4, dim=0, rng=1), RATES, evidence=["review"], warm=0.2, rng=1
    )
    graph = split.train_valid
    scores = np.random.default_rng(0).random((80, 60))
    found = evaluate(
        Fixed(RATES, scores).fit(graph), graph, split, k=10, on="test", protocol="joint"
    )
    linked = set(graph.links(RATES)[1].tolist())
    wanted: dict[int, dict[str, set[int]]] = {}
    for user, item in zip(
        graph.positions("user", split.test["src"]),
        graph.positions("item", split.test["dst"]),
        strict=True,
    ):
        kinds = wanted.setdefault(int(user), {"warm": set(), "new": set()})
        kinds["warm" if int(item) in linked else "new"].add(int(item))
    seen = {user: set(graph.adjacency(RATES)[[user]].indices.tolist()) for user in wanted}
    for kind in ("warm", "new"):
        values = []
        for user, kinds in sorted(wanted.items()):
            if not kinds[kind]:
                continue
            order = [i for i in np.argsort(-scores[user]).tolist() if i not in seen[user]][:10]
            gain = sum(1 / np.log2(j + 2) for j, i in enumerate(order) if i in kinds[kind])
            ideal = sum(1 / np.log2(j + 2) for j in range(min(10, len(kinds[kind]))))
            values.append(gain / ideal)
        np.testing.assert_allclose(getattr(found, kind).values["NDCG@10"], values)


def test_slices_and_rules_of_a_part():
    split = cold_items(
        planted(80, 60, 4, dim=0, rng=1), RATES, evidence=["review"], warm=0.1, rng=1
    )
    found = evaluate(Popularity(RATES).fit(split.train), split.train, split, k=20, protocol="joint")
    assert found.new["NDCG@20"] == 0  # nobody had them, so popularity ranks them last
    assert found.overall["New items@20"] == 0
    for part in (found, found.warm, found.new):
        for labels in part.slices.values():
            assert len(labels) == len(part.users)
    knows = Popularity(RATES).fit(split.train_valid)
    with pytest.raises(LeakError):
        evaluate(knows, split.train_valid, split, protocol="joint")


def test_what_is_not_held_out_cannot_be_judged():
    split, model = lists_by_hand()
    with pytest.raises(ParameterError) as told:
        evaluate(model, split.train, split, protocol="cold")
    assert told.value.there == ("all", "new", "joint")
    warm_only = dataclasses.replace(split, valid=split.valid.take([0, 3]))
    for protocol in ("new", "joint"):
        with pytest.raises(ParameterError) as told:
            evaluate(model, split.train, warm_only, protocol=protocol)
        assert told.value.there == {"warm": 2, "new": 0}
    new_only = dataclasses.replace(split, valid=split.valid.take([1, 2]))
    with pytest.raises(ParameterError) as told:
        evaluate(model, split.train, new_only, protocol="joint")
    assert told.value.there == {"warm": 0, "new": 2}
    assert evaluate(model, split.train, new_only, k=1, protocol="new")["NDCG@1"] == 0.5


def test_every_predictor_may_be_judged():
    class Silent(LinkPredictor):
        def _fit(self, hin, valid, rng):
            self.done_ = True

        def _score(self, hin, src):
            return np.full((len(src), hin.n("item")), np.nan, np.float32)

    split, _ = lists_by_hand()
    found = evaluate(Silent(RATES).fit(split.train), split.train, split, k=3, protocol="joint")
    assert found["NDCG@3"] == found.warm["NDCG@3"] == found.new["NDCG@3"] == 0
    assert found.overall["New items@3"] == 0
