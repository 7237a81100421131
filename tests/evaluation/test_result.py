"""Result: written and read back it is tested, and barred from gains, as before."""

import copy
import pickle

import numpy as np
import pyarrow as pa
import pytest

import hinaug
from hinaug.datasets import planted
from hinaug.errors import KindError, StoreError
from hinaug.evaluation import JointResult, Result, compare, evaluate, tune
from hinaug.predictors import EASE, Popularity
from hinaug.split.cold import cold_items
from hinaug.split.random import random_split

RATES = ("user", "rates", "item")


@pytest.fixture(scope="module")
def split():
    return random_split(planted(n_users=120, n_items=60, rng=1), RATES, rng=0)


@pytest.fixture(scope="module")
def edge(split):
    """EASE, left on the edge of its space by a search of four trials."""
    space = {"l2": [1000.0, 2000.0, 4000.0]}
    with pytest.warns(hinaug.errors.EdgeWarning):
        return tune(EASE(RATES), space, split, trials=4, rng=0).best


def judged(model, split):
    return evaluate(model, split.train, split)


def better(result):
    """As many trials, a higher value, and no edge."""
    other = copy.copy(result)
    other.values = {m: np.minimum(v + 0.1, 1) for m, v in result.values.items()}
    other.edges = ()
    return other


def test_all_comes_back(split, edge, tmp_path):
    found = judged(edge.clone().fit(split.train), split)
    found.save(tmp_path / "result")
    again = Result.load(tmp_path / "result")
    for name, value in vars(found).items():
        if name not in ("users", "values", "slices"):
            assert getattr(again, name) == value
    assert again.users.equals(found.users)
    for part in ("values", "slices"):
        one, two = getattr(found, part), getattr(again, part)
        assert list(one) == list(two)
        assert all(np.array_equal(one[n], two[n]) for n in one)
    assert (again.edges, again.trials, again.deterministic) == (("l2",), 4, True)


def test_the_marks_by_which_gains_are_refused_come_back(split, edge, tmp_path):
    base = judged(edge.clone().fit(split.train), split)
    untuned = judged(Popularity(RATES).fit(split.train), split)
    base.save(tmp_path / "base")
    untuned.save(tmp_path / "untuned")
    kept, plain = (Result.load(tmp_path / name) for name in ("base", "untuned"))
    over = compare(kept, better(base))
    assert (over.outcome(), over.barred) == ("no verdict", compare(base, better(base)).barred)
    assert "edge of its search space (l2)" in over.barred
    not_tuned = better(kept)
    not_tuned.trials = None
    tuned = better(base)
    tuned.trials, kept.edges = 5, ()
    for one, two in ((plain, better(base)), (kept, not_tuned), (kept, tuned)):
        assert compare(one, two).outcome() == "no verdict"
        assert compare(one, two).barred
    assert compare(better(base), kept).outcome() == "hurts"


def test_a_tuned_model_keeps_the_mark_on_every_way(split, edge, tmp_path):
    fitted = edge.clone().fit(split.train)
    hinaug.save(edge, tmp_path / "unfitted")
    hinaug.save(fitted, tmp_path / "fitted")
    ways = [
        hinaug.load(tmp_path / "unfitted").fit(split.train),
        hinaug.load(tmp_path / "fitted"),
        pickle.loads(pickle.dumps(fitted)),
        copy.deepcopy(fitted),
        fitted.clone().fit(split.train).refit(split.train),
    ]
    for model in ways:
        found = judged(model, split)
        assert (found.edges, found.trials) == (("l2",), 4)
    with pytest.raises(hinaug.errors.NotFittedError):
        hinaug.load(tmp_path / "unfitted").score(split.train, [0])


def test_a_joint_result_comes_back_whole(tmp_path):
    split = cold_items(planted(rng=0), RATES, evidence=["review"], warm=0.1, rng=0)
    model = Popularity(RATES).fit(split.train)
    found = evaluate(model, split.train, split, k=20, protocol="joint")
    found.save(tmp_path)
    again = JointResult.load(tmp_path)
    for part in ("warm", "new"):
        one, two = getattr(found, part), getattr(again, part)
        assert one["NDCG@20"] == two["NDCG@20"]
        assert one.users.equals(two.users)
        assert np.array_equal(one.slices["train degree"], two.slices["train degree"])


def test_what_is_no_result_is_refused(tmp_path, split):
    hinaug.save(split.train, tmp_path / "graph")
    with pytest.raises(KindError) as wrong:
        Result.load(tmp_path / "graph")
    assert (wrong.value.asked, wrong.value.there) == ("Result", "HIN")
    with pytest.raises(StoreError):
        Result.load(tmp_path / "nothing")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").write_text("mine")
    values = {"NDCG@20": np.array([0.5])}
    with pytest.raises(StoreError):
        Result("M", "test", pa.array(["ann"]), values, {}, {}).save(tmp_path / "other")
