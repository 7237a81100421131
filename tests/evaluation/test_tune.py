"""tune: finds a known best, keeps its hands off test, prunes, goes on after a kill as if nothing
had been.
"""

import dataclasses
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from raising import raises

import hinaug
from hinaug.datasets import planted
from hinaug.ensembles import RankFusion, Weighted
from hinaug.errors import EdgeWarning, ParameterError, StoreError
from hinaug.evaluation import compare, evaluate
from hinaug.evaluation.draws import difference, draws
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
            if row["state"] != "interrupted"
        ]

    assert ended(again) == ended(whole)
    Aim.fits = 0
    assert hinaug.tune(aim, SPACE, split, trials=14, rng=0, file=file).value == whole.value
    assert Aim.fits == 0  # the budget is used up
    with raises(ValueError, asked="{'x': (0.1, 1.0)}"):
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
    with pytest.warns(EdgeWarning):
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
    ("space", "told"),
    [
        ({"weigth": [None]}, {"asked": "weigth", "names": "did you mean 'weight'"}),
        ({"l2": (1.0, 0.1)}, {"asked": (1.0, 0.1), "names": "space['l2']"}),
        ({"l2": (0.0, 1.0, "log")}, {"asked": (0.0, 1.0, "log")}),
        ({"l2": []}, {"asked": []}),
        ({"l2": "log"}, {"asked": "log"}),
    ],
)
def test_a_bad_space_is_refused(split, space, told):
    with raises(ParameterError, **told):
        hinaug.tune(EASE(RATES), space, split, trials=1)


def test_bad_arguments_are_refused(split):
    space = {"l2": (1.0, 10.0)}
    with raises(TypeError, names="EASE"):
        hinaug.tune("EASE", space, split)
    with raises(TypeError, names="tune"):
        hinaug.tune(EASE(RATES), space, split.train)
    with raises(ValueError, asked=(0, None)):
        hinaug.tune(EASE(RATES), space, split, trials=0)
    with raises(ValueError, names="valid"):
        hinaug.tune(EASE(RATES), space, dataclasses.replace(split, valid=split.valid.slice(0, 0)))
    with raises(ValueError, asked=0):
        hinaug.tune(EASE(RATES), space, split, users=0)


# ---- the choice ----------------------------------------------------------------------------------


@dataclass(eq=False)
class Steps(Aim):
    """Scores that get better with `level`, by little from 1 on."""

    level: int = 0
    off = (3.0, 1.0, 1.0 - 1e-4, 0.2)

    def _fit(self, hin, valid, rng):
        noise = np.random.default_rng(0).normal(size=self.truth.shape)
        noise += 1e-3 * np.random.default_rng(self.level).normal(size=self.truth.shape)
        self.known_ = (self.truth + self.off[self.level] * noise).astype(np.float32)


@pytest.mark.filterwarnings("ignore::hinaug.evaluation.tune.EdgeWarning")
def test_of_values_within_one_standard_error_the_simplest_is_chosen(split, aim):
    model = Steps(RATES)
    for levels in ([0, 1, 2], [0, 2, 1]):
        found = hinaug.tune(model, {"level": levels}, split, trials=8, rng=0)
        assert found.best.level == levels[1]
        best = max(v for v in found.trials["value"].to_pylist() if v is not None)
        assert found.value <= best
    assert hinaug.tune(model, {"level": [0, 1, 3]}, split, trials=8, rng=0).best.level == 3
    apart = hinaug.tune(model, {"level": [0, 1, 3]}, split, trials=8, rng=0)
    assert "none that is simpler is within one standard error" in apart.why
    assert apart.why in repr(apart)


@pytest.mark.filterwarnings("ignore::hinaug.evaluation.tune.EdgeWarning")
def test_the_reason_names_the_best_and_the_error(split, aim):
    Steps.off = (1.0, 1.0 - 1e-6, 3.0)
    try:
        found = hinaug.tune(Steps(RATES, level=2), {"level": [0, 1, 2]}, split, trials=8, rng=0)
    finally:
        Steps.off = (3.0, 1.0, 1.0 - 1e-4, 0.2)
    assert found.best.level == 0
    assert found.value < max(found.trials["value"].to_pylist())
    assert "the simplest within one standard error (0.0" in found.why
    assert "of the best, which has 0." in found.why


def test_the_standard_error_is_that_of_paired_users(split):
    judged = draws(Popularity(RATES), split, None, 1, 20, 0)
    n = len(judged[0].measure.users)
    one, two = np.random.default_rng(0).random((2, n))
    expected = (one - two).var(ddof=1) / n
    assert difference([one], [two], judged).variance == pytest.approx(expected)


# ---- draws ---------------------------------------------------------------------------------------


def test_each_draw_holds_out_other_pairs_of_the_same_users(split):
    found = draws(EASE(RATES), split, None, 3, 20, 5)
    assert found[0].train is split.train
    assert found[0].valid.equals(split.valid)

    def pairs(table):
        return set(zip(table["src"].to_pylist(), table["dst"].to_pylist(), strict=True))

    test = pairs(split.test)
    for draw in found:
        held = pairs(draw.valid)
        assert sorted(u for u, _ in held) == sorted(u for u, _ in pairs(split.valid))
        graph = draw.train
        src, dst = graph.links(RATES)
        known = set(
            zip(graph.ids("user", src).to_pylist(), graph.ids("item", dst).to_pylist(), strict=True)
        )
        assert not known & held
        assert not (known | held) & test
        assert len(known) + len(held) == split.train_valid.adjacency(RATES).nnz
    assert len({draw.seed for draw in found}) == 3
    assert pairs(found[1].valid) != pairs(found[2].valid) != pairs(split.valid)


def test_where_a_rule_chose_the_pairs_only_the_seed_is_another(split):
    last = dataclasses.replace(split, how={"split": "leave_last"})
    found = draws(EASE(RATES), last, None, 2, 20, 5)
    assert found[1].train is split.train
    assert found[1].valid.equals(split.valid)
    assert found[0].seed != found[1].seed


@pytest.mark.filterwarnings("ignore::hinaug.evaluation.tune.EdgeWarning")
def test_several_draws_are_averaged(split):
    found = hinaug.tune(EASE(RATES), {"l2": [20.0, 300.0]}, split, trials=1, n_valid=3, rng=0)
    seed = int(np.random.default_rng(0).integers(2**31))
    values = []
    for draw in draws(EASE(RATES), split, None, 3, 20, seed):
        model = EASE(RATES, l2=found.best.l2).fit(draw.train)
        values.append(draw.measure(lambda src, m=model, d=draw: m.score(d.train, src)))
    assert found.value == pytest.approx(np.mean(values))
    with raises(ValueError, names="n_valid"):
        hinaug.tune(EASE(RATES), {"l2": [20.0, 300.0]}, split, n_valid=0)


def test_an_ensemble_is_judged_by_users_whose_pairs_its_weights_have_not_seen(split):
    found = draws(Weighted([EASE(RATES), Popularity(RATES)]), split, None, 2, 20, 0)
    users = split.train.ids("user")
    for draw in found:
        given = set(draw.valid["src"].to_pylist())
        judged = set(users.take(draw.measure.users).to_pylist())
        assert given
        assert judged
        assert not given & judged
    fusion = draws(RankFusion([EASE(RATES), Popularity(RATES)]), split, None, 1, 20, 0)
    assert fusion[0].valid.equals(split.valid)
    one = split.valid.slice(0, 1)
    with raises(ParameterError, there=1):
        draws(Weighted([EASE(RATES)]), dataclasses.replace(split, valid=one), None, 1, 20, 0)


@dataclass(eq=False)
class Memo(LinkPredictor):
    """Noise, and where `learns` what valid says."""

    learns: int = 0

    def _fit(self, hin, valid, rng):
        scores = np.random.default_rng(7).normal(size=(hin.n("user"), hin.n("item")))
        if self.learns and valid is not None:
            src, dst = (hin.positions(*p) for p in (("user", valid["src"]), ("item", valid["dst"])))
            scores[src, dst] += 100
        self.known_ = scores.astype(np.float32)

    def _score(self, hin, src):
        return self._columns(hin, self.known_[self._rows(hin, src)])


@pytest.mark.filterwarnings("ignore::hinaug.evaluation.tune.EdgeWarning")
def test_a_member_that_memorises_valid_is_not_rewarded(split):
    sure, memo = (
        hinaug.tune(Weighted([one]), {"margin": [0.0]}, split, trials=1, rng=0).value
        for one in (EASE(RATES, l2=20.0), Memo(RATES, learns=1))
    )
    assert memo < 0.5 * sure


# ---- edges ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [[0.01, 0.02, 0.05], (0.001, 0.05, "log")])
def test_a_natural_end_is_no_edge(split, aim, values, recwarn):
    found = hinaug.tune(
        aim, {"x": values}, split, trials=30, natural={"x": [0.0, 0.05]}, prune=False, rng=0
    )
    assert found.edges == ()
    assert found.natural_ends == ("x",)
    assert "at a natural end: x" in repr(found)
    assert not [w for w in recwarn if issubclass(w.category, EdgeWarning)]
    with raises(ValueError, asked="n"):
        hinaug.tune(aim, {"x": values}, split, trials=1, natural={"n": 1})


@pytest.mark.filterwarnings("ignore::hinaug.evaluation.tune.EdgeWarning")
def test_results_carry_the_mark_and_nothing_gains_over_an_edge(split):
    found = hinaug.tune(EASE(RATES), {"l2": [1000.0, 2000.0, 4000.0]}, split, trials=4, rng=0)
    assert found.edges == ("l2",)
    base = evaluate(found.best.clone().fit(split.train), split.train, split)
    assert (base.edges, base.trials) == (("l2",), 4)
    better = dataclasses.replace(base, edges=(), values={"NDCG@20": base.values["NDCG@20"] + 0.1})
    over = compare(base, better)
    assert over.p < 0.005
    assert over.outcome() == "no verdict"
    assert "edge of its search space (l2)" in over.verdict()


# ---- what goes wrong -----------------------------------------------------------------------------


@dataclass(eq=False)
class Fails(Popularity):
    """Fails for some values."""

    c: int = 0
    fits = 0

    def _fit(self, hin, valid, rng):
        type(self).fits += 1
        if self.c:
            raise np.linalg.LinAlgError("singular")
        super()._fit(hin, valid, rng)


def test_a_trial_that_fails_is_noted_and_not_tried_again(split, tmp_path):
    file = tmp_path / "search.log"
    found = hinaug.tune(Fails(RATES), {"c": [0, 1]}, split, trials=8, file=file, rng=0)
    rows = found.trials.to_pylist()
    assert len(rows) == 8
    failed = [row for row in rows if row["state"] == "failed"]
    assert failed
    assert {row["reason"] for row in failed} == {"LinAlgError: singular"}
    assert found.best.c == 0
    Fails.fits = 0
    again = hinaug.tune(Fails(RATES), {"c": [0, 1]}, split, trials=8, file=file, rng=0)
    assert Fails.fits == 0
    assert plain(again.trials) == plain(found.trials)
    with raises(ParameterError, there=2):
        hinaug.tune(Fails(RATES, c=1), {"c": [1]}, split, trials=2, rng=0)


def test_a_broken_file_is_one_clear_error(split, tmp_path):
    for content in ("{]\n", '{"a": 1}\n{"a": 2}\n', "src,dst\n1,2\n"):
        file = tmp_path / "search.log"
        file.write_text(content)
        with raises(
            StoreError,
            asked=str(file),
        ):
            hinaug.tune(Popularity(RATES), {"weight": [None]}, split, trials=1, file=file)
    with raises(
        StoreError,
        asked=str(file / "x"),
    ):
        hinaug.tune(Popularity(RATES), {"weight": [None]}, split, trials=1, file=file / "x")
    with raises(StoreError, asked=str(tmp_path)):
        hinaug.tune(Popularity(RATES), {"weight": [None]}, split, trials=1, file=tmp_path)


def test_a_file_cut_in_the_middle_of_a_line_goes_on(split, tmp_path):
    file = tmp_path / "search.log"
    whole = hinaug.tune(Popularity(RATES), {"weight": [None]}, split, trials=3, file=file, rng=0)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) - 7])
    cut = hinaug.tune(Popularity(RATES), {"weight": [None]}, split, trials=3, file=file, rng=0)
    assert cut.value == whole.value


def test_two_processes_on_one_file(split, tmp_path):
    file = tmp_path / "search.log"
    hold = (
        "import filelock, sys\n"
        f"with filelock.FileLock({str(file) + '.search'!r}):\n"
        "    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "held\n"
    try:
        with raises(
            StoreError,
            asked=str(file),
        ):
            hinaug.tune(Popularity(RATES), {"weight": [None]}, split, trials=1, file=file)
    finally:
        other.communicate("")
    assert hinaug.tune(Popularity(RATES), {"weight": [None]}, split, trials=1, file=file).value
