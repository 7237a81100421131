"""tune: finds a known best, keeps its hands off test, prunes, goes on after a kill as if nothing
had been.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

import hinaug
from hinaug.datasets import planted
from hinaug.ensembles import Weighted
from hinaug.errors import EdgeWarning
from hinaug.predictors import EASE, LightGCN, Popularity
from hinaug.predictors.base import LinkPredictor
from hinaug.split.random import random_split
from hinaug.training.validation import Validation

RATES = ("user", "rates", "item")


@dataclass(eq=False)
class Aim(LinkPredictor):
    """The nearer x is to 0.3 and mode to "good", the less noise is in its scores."""

    x: float = 0.9
    n: int = 1
    mode: str = "bad"
    truth, fits, stop_at = None, 0, 10**9

    def _fit(self, hin, valid, rng):
        type(self).fits += 1
        if type(self).fits > self.stop_at:
            raise KeyboardInterrupt
        off = abs(np.log(self.x / 0.3)) + (self.mode != "good")
        noise = np.random.default_rng(0).normal(size=self.truth.shape)
        self.known_ = (self.truth + off * noise).astype(np.float32)

    def _score(self, hin, src):
        return self._columns(hin, self.known_[self._rows(hin, src)])


@pytest.fixture(scope="module")
def split():
    return random_split(planted(n_users=120, n_items=60, rng=1), RATES, rng=0)


@pytest.fixture
def aim(split):
    truth = np.zeros((split.train.n("user"), split.train.n("item")))
    truth[
        split.train.positions("user", split.valid["src"]),
        split.train.positions("item", split.valid["dst"]),
    ] = 1
    Aim.truth, Aim.fits, Aim.stop_at = truth, 0, 10**9
    return Aim(RATES)


SPACE = {"x": (0.01, 1.0, "log"), "mode": ["bad", "good"], "n": (1, 9)}


def plain(table):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in table.to_pylist()]


@pytest.mark.filterwarnings("ignore::hinaug.evaluation.tune.EdgeWarning")
def test_finds_the_best_and_says_what_it_did(split, aim):
    found = hinaug.tune(aim, SPACE, split, trials=40, rng=0)
    assert found.best.mode == "good"
    assert abs(np.log(found.best.x / 0.3)) < 0.5
    assert isinstance(found.best.n, int)
    assert not hasattr(found.best, "known_")
    first = found.trials.to_pylist()[0]
    assert (first["x"], first["mode"], first["n"]) == (
        0.9,
        "bad",
        1,
    )  # the predictor's own values come first
    assert found.value == max(found.trials["value"].to_pylist()) > first["value"] + 0.1
    assert found.trials.num_rows == 40
    assert "40 complete trials" in repr(found)
    model = found.best.fit(split.train)
    assert found.value == Validation(split.train, RATES, split.valid)(
        lambda src: model.score(split.train, src)
    )


@pytest.mark.filterwarnings("ignore::hinaug.evaluation.tune.EdgeWarning")
def test_one_seed_one_search_and_test_is_never_looked_at(split, aim):
    blind = dataclasses.replace(split, test=split.test.slice(0, 0), source=None)
    a, b, c = (
        hinaug.tune(aim, SPACE, s, trials=12, rng=r)
        for s, r in ((split, 3), (blind, 3), (split, 4))
    )
    assert plain(a.trials) == plain(b.trials)
    assert plain(a.trials) != plain(c.trials)


@pytest.mark.filterwarnings("ignore::hinaug.evaluation.tune.EdgeWarning")
def test_a_killed_search_ends_as_if_it_had_not_been(split, aim, tmp_path):
    whole = hinaug.tune(aim, SPACE, split, trials=14, rng=0)
    file = tmp_path / "search.log"
    for stop in (1, 3, 9):
        Aim.fits, Aim.stop_at = 0, stop
        with pytest.raises(KeyboardInterrupt):
            hinaug.tune(aim, SPACE, split, trials=14, rng=0, file=file)
    Aim.fits, Aim.stop_at = 0, 10**9
    again = hinaug.tune(aim, SPACE, split, trials=14, rng=0, file=file)

    def ended(found):
        return [
            {k: v for k, v in row.items() if k != "number"}
            for row in plain(found.trials)
            if row["state"] != "failed"
        ]

    assert ended(again) == ended(whole)
    Aim.fits = 0
    assert hinaug.tune(aim, SPACE, split, trials=14, rng=0, file=file).value == whole.value
    assert Aim.fits == 0  # the budget is used up
    with pytest.raises(ValueError, match="holds another search, whose space is"):
        hinaug.tune(aim, {"x": (0.1, 1.0)}, split, trials=14, rng=0, file=file)


def test_prunes_what_learns_badly_and_keeps_the_good(split):
    model = LightGCN(RATES, embedding_dim=16, epochs=60, check_every=5, patience=12)
    space = {"lr": [1e-6, 0.01, 0.03], "l2": (0.05, 0.5, "log")}
    found = hinaug.tune(model, space, split, trials=14, rng=0)
    states = found.trials["state"].to_pylist()
    assert "pruned" in states
    assert "complete" in states
    pruned = [row["lr"] for row in found.trials.to_pylist() if row["state"] == "pruned"]
    assert 1e-6 in pruned
    assert found.best.lr > 1e-6
    whole = hinaug.tune(model, space, split, trials=8, prune=False, rng=0)
    assert set(whole.trials["state"].to_pylist()) == {"complete"}


@pytest.mark.filterwarnings("ignore::hinaug.evaluation.tune.EdgeWarning")
def test_a_trial_that_diverges_is_counted_and_the_search_goes_on(split):
    model = LightGCN(RATES, embedding_dim=8, epochs=5)
    found = hinaug.tune(model, {"lr": [0.01, 0.03, 1e38]}, split, trials=8, prune=False, rng=0)
    rows = found.trials.to_pylist()
    assert len(rows) == 8
    assert {row["lr"] for row in rows if row["state"] == "diverged"} == {1e38}
    assert found.best.lr < 1


@pytest.mark.filterwarnings("ignore::hinaug.evaluation.tune.EdgeWarning")
def test_the_budget_and_the_quick_form(split, aim):
    short = hinaug.tune(aim, SPACE, split, trials=10_000, seconds=0.3, rng=0)
    assert 1 <= short.trials.num_rows < 10_000
    found = hinaug.tune(
        aim, {"x": (0.01, 1.0, "log")}, split, trials=5, quick={"mode": "good"}, rng=0
    )
    slow = hinaug.tune(aim, {"x": (0.01, 1.0, "log")}, split, trials=5, rng=0)
    assert found.best.mode == "bad"
    assert found.value > slow.value


def test_a_sample_of_users_judges(split):
    seen = []

    @dataclass(eq=False)
    class Look(Popularity):
        c: int = 1

        def _fit(self, hin, valid, rng):
            seen.append((hin, valid))
            super()._fit(hin, valid, rng)

    found = hinaug.tune(Look(RATES), {"c": [1, 2]}, split, trials=3, users=0.25, rng=0)
    _, valid = seen[0]
    users, rows = set(valid["src"].to_pylist()), split.valid.to_pylist()
    assert len(users) == round(0.25 * len({row["src"] for row in rows}))
    assert valid.to_pylist() == [row for row in rows if row["src"] in users]
    assert all(g is split.train and v.equals(valid) for g, v in seen)
    model = Popularity(RATES).fit(split.train)
    assert found.value == Validation(split.train, RATES, valid)(
        lambda src: model.score(split.train, src)
    )


@pytest.mark.parametrize("values", [[0.01, 0.02, 0.05], (0.001, 0.05, "log")])
def test_warns_of_an_edge(split, aim, values):
    with pytest.warns(EdgeWarning, match=r"on the edge of the space: x=.* widen it"):
        found = hinaug.tune(aim, {"x": values}, split, trials=30, rng=0)
    assert found.edges == ("x",)
    assert found.best.x == pytest.approx(0.05, rel=0.09)


def test_no_warning_inside(split, aim):
    assert hinaug.tune(aim, {"x": [0.1, 0.3, 0.9]}, split, trials=12, rng=0).edges == ()


@pytest.mark.filterwarnings("ignore::hinaug.evaluation.tune.EdgeWarning")
def test_ensembles_are_tuned_too(split):
    found = hinaug.tune(
        Weighted([EASE(RATES, l2=20.0), Popularity(RATES)]),
        {"margin": (0.0, 2.0)},
        split,
        trials=2,
        rng=0,
    )
    assert 0 <= found.best.margin <= 2


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"weigth": [None]}, r"EASE has no parameter 'weigth'; it has .*did you mean 'weight'"),
        (
            {"l2": (1.0, 0.1)},
            r"space\['l2'\]=\(1.0, 0.1\); expected a list of values, \(low, high\)",
        ),
        ({"l2": (0.0, 1.0, "log")}, r"with 0 < low < high"),
        ({"l2": []}, "expected a list"),
        ({"l2": "log"}, "expected a list"),
    ],
)
def test_a_bad_space_is_refused(split, space, words):
    with pytest.raises(ValueError, match=words):
        hinaug.tune(EASE(RATES), space, split, trials=1)


def test_bad_arguments_are_refused(split):
    space = {"l2": (1.0, 10.0)}
    with pytest.raises(TypeError, match="takes an unfitted link predictor"):
        hinaug.tune("EASE", space, split)
    with pytest.raises(TypeError, match="takes a split"):
        hinaug.tune(EASE(RATES), space, split.train)
    with pytest.raises(ValueError, match="at least one trial"):
        hinaug.tune(EASE(RATES), space, split, trials=0)
    with pytest.raises(ValueError, match="has no pairs to judge by"):
        hinaug.tune(EASE(RATES), space, dataclasses.replace(split, valid=split.valid.slice(0, 0)))
    with pytest.raises(ValueError, match="users=0"):
        hinaug.tune(EASE(RATES), space, split, users=0)
