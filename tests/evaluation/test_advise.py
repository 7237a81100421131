"""advise: worlds in which the right answer is known, what it gives back, and what it refuses."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hinaug import advise, cold_items, evaluate, random_split
from hinaug.datasets import planted
from hinaug.datasets.planted import HAS, RATES
from hinaug.errors import KindError, LeakError, ParameterError
from hinaug.evaluation import Advice
from hinaug.evaluation.advise import GOALS, RULES, in_short
from hinaug.evaluation.advise_cold import feature_columns
from hinaug.graph.hin import HIN
from hinaug.predictors import ALS, BSPM, EASE, Popularity

TEACHERS = [ALS(RATES)]


def cold_world(seed=0, dealt=False, **more):
    """A tenth of the items new on test; dealt: with the texts of other items."""
    hin = planted(250, 150, 4, thin=0.0, rng=seed, **more)
    if dealt:
        order = np.random.default_rng(seed).permutation(hin.n("item"))
        hin = hin.with_column("item", "x", hin.column("item", "x").take(order), lineage="row")
    return cold_items(hin, RATES, evidence=["review"], warm=0.1, rng=seed)


def thin_world(within=0.8, links=4, seed=0):
    """So many links of each user in train, 4 on valid and 20 on test."""
    hin = planted(300, 200, 4, degree=links + 24, thin=0.0, within=within, dim=0, rng=seed)
    return random_split(hin, RATES, evidence=["review"], valid=4, test=20, rng=seed)


@pytest.fixture(scope="module")
def cold():
    split = cold_world()
    return split, advise(split.train, split, "cold", rng=0)


@pytest.fixture(scope="module")
def accuracy():
    split = thin_world()
    return split, advise(split.train, split, "accuracy", teachers=TEACHERS, rng=0)


# ---- the right answer ----------------------------------------------------------------------------


def test_new_items_with_telling_features(cold):
    split, advice = cold
    assert advice.answer == "yes"
    assert [probe.answer for probe in advice.probes] == ["yes", "yes"]
    share, low, high = advice.gain
    assert 0 < low < share < high
    graph = split.train_valid + advice.delta(split.train_valid, rng=0)
    model = advice.model.clone().fit(graph, rng=0)
    found = evaluate(model, graph, split, k=20, on="test", protocol="joint")
    plain = EASE(RATES).fit(split.train_valid)
    before = evaluate(plain, split.train_valid, split, k=20, on="test", protocol="joint")
    assert found.new["Recall@20"] > 0.2
    assert before.new["Recall@20"] == 0
    assert found.warm["NDCG@20"] > 0.95 * before.warm["NDCG@20"]


def test_features_of_other_items_get_no_yes():
    split = cold_world(dealt=True)
    advice = advise(split.train, split, "cold", rng=0)
    assert advice.answer != "yes"
    assert len(advice.probes) == 1
    assert advice.gain is None
    assert not len(advice.delta(split.train, rng=0))
    assert isinstance(advice.model, EASE)


def test_nothing_to_do_where_no_item_is_new_or_none_is_described():
    hin = planted(120, 60, 4, thin=0.0, rng=0)
    split = random_split(hin, RATES, evidence=["review"], rng=0)
    assert advise(split.train, split, "cold", rng=0).answer == "no"
    bare = cold_items(
        planted(120, 60, 4, thin=0.0, dim=0, rng=0), RATES, evidence=["review"], rng=0
    )
    advice = advise(bare.train, bare, "cold", rng=0)
    assert advice.answer == "no"
    assert "no features" in advice.probes[0].said


def test_thin_data_with_tastes(accuracy):
    split, advice = accuracy
    assert advice.answer == "yes"
    graph = split.train + advice.delta(split.train, rng=0)
    model = advice.model.clone().fit(graph, rng=0)
    followed = evaluate(model, graph, split, k=20, on="test")
    for other in (EASE(RATES), Popularity(RATES)):
        plain = evaluate(other.fit(split.train), split.train, split, k=20, on="test")
        assert followed["NDCG@20"] > 1.1 * plain["NDCG@20"]


def test_users_without_tastes_get_no_yes():
    split = thin_world(within=0.25)
    advice = advise(split.train, split, teachers=TEACHERS, rng=0)
    assert advice.answer != "yes"
    assert not len(advice.delta(split.train, rng=0))


# ---- what it gives back --------------------------------------------------------------------------


def test_a_page_a_table_and_a_document(cold, accuracy):
    for _, advice in (cold, accuracy):
        page = str(advice)
        assert page.count("\n") < 60
        assert max(map(len, page.splitlines())) <= 110
        assert "yes" in page.splitlines()[0]
        table = advice.table()
        assert table.num_rows == len(advice.probes)
        assert set(table["answer"].to_pylist()) <= {"yes", "no", "abstain"}
        assert all(seconds >= 0 for seconds in table["seconds"].to_pylist())
        document = json.loads(json.dumps(advice.document()))
        assert document["answer"] == "yes"
        assert document["probes"][-1]["low"] > 1
        assert advice.seconds < 60


def test_the_seed_decides():
    split = cold_world(dealt=True)
    advice, again, other = (advise(split.train, split, "cold", rng=seed) for seed in (0, 0, 1))
    figures = [[(p.value, p.low, p.high) for p in a.probes] for a in (advice, again, other)]
    assert figures[0] == figures[1] != figures[2]


def test_own_l2_is_advised_where_the_model_has_a_bad_one():
    split = thin_world(within=0.25, links=8)
    bad = EASE(RATES, l2=0.01)
    advice = advise(split.train, split, model=bad, teachers=TEACHERS, rng=0)
    assert advice.probes[0].answer == "yes"
    assert advice.model.l2 > 1
    assert bad.l2 == 0.01
    assert advice.answer != "yes"


def test_a_model_without_l2_and_an_edge_of_a_grid(monkeypatch):
    split = thin_world(within=0.25, links=4)
    advice = advise(split.train, split, model=BSPM(RATES), teachers=TEACHERS, rng=0)
    assert advice.probes[0].answer == "no"
    assert len(advice.probes) == 4
    monkeypatch.setattr("hinaug.evaluation.probes.WIDEST", 1)
    advice = advise(split.train, split, model=EASE(RATES), teachers=TEACHERS, rng=0)
    assert [probe.answer for probe in advice.probes] == ["abstain"]
    assert "widen" in advice.probes[0].said
    assert advice.answer == "abstain"


@pytest.mark.parametrize("goal", GOALS)
def test_without_time_there_is_no_advice(goal):
    split = cold_world() if goal == "cold" else thin_world()
    advice = advise(split.train, split, goal, minutes=1e-6, rng=0)
    assert advice.answer == "abstain"
    assert "out of time" in str(advice)
    assert advice.gain is None
    assert advice.seconds < 1


def test_any_relation():
    """Users who follow users: one node type on both sides, with a column."""
    rng = np.random.default_rng(0)
    topic = np.arange(240) % 4
    src = np.repeat(np.arange(240), 8)
    dst = topic[src] + 4 * rng.integers(0, 60, len(src))
    keep = (src != dst) & (dst < 220)
    follows = ("person", "follows", "person")
    names = [f"p{k}" for k in range(240)]
    hin = HIN.from_tables(
        {"person": {"id": names, "job": [f"job{t}" for t in topic]}},
        {follows: {"src": [names[k] for k in src[keep]], "dst": [names[k] for k in dst[keep]]}},
        lineage="row",
    )
    split = random_split(hin, follows, valid=1, test=1, rng=0)
    for goal in GOALS:
        advice = advise(split.train, split, goal, teachers=[EASE(follows)], rng=0)
        assert isinstance(advice, Advice)
        graph = split.train + advice.delta(split.train, rng=0)
        advice.model.clone().fit(graph, rng=0).score(graph, [0])
        assert goal != "cold" or advice.answer == "yes"


def test_columns_that_describe_new_items():
    hin = planted(60, 40, 4, tags=True, rng=0)
    columns, left_out = feature_columns(hin, RATES, ("review",))
    assert columns == ["x", ("tag",)]
    assert [text.split()[0] for text in left_out] == ["title", "text"]
    degree = np.bincount(hin.links(RATES)[1], minlength=40)
    made = hin.with_column("item", "degree", degree, lineage="aggregate")
    columns, left_out = feature_columns(made, RATES, ("review",))
    assert "degree" not in columns
    assert any(text.startswith("degree") for text in left_out)
    assert ("review",) not in feature_columns(hin, RATES, ())[0]  # users write reviews
    assert feature_columns(hin.drop(HAS), RATES, ())[0] == ["x"]


def test_the_rules():
    for goal in GOALS:
        rules = [rule for rule in RULES if rule.goal == goal]
        assert rules[-1].decides
        assert all(rule.threshold >= 1 for rule in rules)
    assert GOALS == ("cold", "accuracy")


def test_methods_in_short():
    assert in_short(EASE(RATES)) == f"EASE({RATES!r})"
    assert in_short(EASE(RATES, l2=1 / 3)) == f"EASE({RATES!r}, l2=0.3333)"


# ---- what is refused -----------------------------------------------------------------------------


def test_errors(accuracy):
    split, _ = accuracy
    for wrong in (
        lambda: advise(split, split),
        lambda: advise(split.train, split.train),
        lambda: advise(split.train, split, model="EASE"),
        lambda: advise(split.train, split, minutes="five"),
        lambda: advise(split.train, split, rng="seed"),
    ):
        with pytest.raises(KindError):
            wrong()
    with pytest.raises(ParameterError) as told:
        advise(split.train, split, "profit")
    assert told.value.there == GOALS
    for wrong in ({"minutes": 0}, {"model": EASE(("user", "wrote", "review"))}):
        with pytest.raises(ParameterError):
            advise(split.train, split, **wrong)
    with pytest.raises(LeakError):
        advise(split.train_valid, split)


def test_nothing_to_judge_by(accuracy):
    split, _ = accuracy
    empty = replace(split, valid=split.valid.slice(0, 0))
    advice = advise(split.train, empty, teachers=TEACHERS, rng=0)
    assert [probe.answer for probe in advice.probes] == ["abstain"]
    assert "too few users" in advice.probes[0].said
