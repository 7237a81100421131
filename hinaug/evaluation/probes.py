"""What the probes of `advise` share: a budget of time, choices that are not judged by what they
were made on, gains with intervals, and the controls of new items.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug import checks
from hinaug.checks import Rng
from hinaug.evaluation.intervals import gain_interval
from hinaug.evaluation.result import Result
from hinaug.evaluation.variance import spread
from hinaug.generators import Generator
from hinaug.graph.arrow import hashed, stirred
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import linked_targets
from hinaug.graph.schema import EdgeType
from hinaug.predictors import KernelRidge
from hinaug.predictors.base import LinkPredictor
from hinaug.split.base import Split

STRENGTHS = ("l2", "shrinkage")  # parameters that hold a model back; the first that it has
STEP = 3.0  # from one value of a grid to the next
FLAT = 0.005  # the last three values of a grid that differ by less, as a share, have a limit
WIDEST = 13  # values of a grid at most
ODD = np.uint64(0x9E3779B97F4A7C15)  # spreads the codes of pairs over 64 bits
FOLDS = 5  # of users; what is chosen on the others is judged on one


class OutOfTimeError(Exception):
    """A step of a probe would not end within the budget."""


class Budget:
    """The time that probes may still take. A step that has begun is not cut short."""

    def __init__(self, seconds: float) -> None:
        self.start = time.monotonic()
        self.seconds = seconds
        self.longest: dict[str, float] = {}

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.start

    def allows(self, kind: str) -> bool:
        """Whether another step of a kind ends in time, if it lasts as long as the longest yet."""
        return self.spent + self.longest.get(kind, 0.0) < self.seconds

    @contextmanager
    def step(self, kind: str) -> Iterator[None]:
        """Runs a step; OutOfTimeError where it would not end in time."""
        if not self.allows(kind):
            raise OutOfTimeError(kind)
        begin = time.monotonic()
        yield
        self.longest[kind] = max(self.longest.get(kind, 0.0), time.monotonic() - begin)


# ---- what probes are given and give --------------------------------------------------------------


@dataclass
class Proposal:
    """What is advised, ready to be done.

    model: to be fitted on the graph with the delta.
    generator: proposes the edges; None for no edges.
    times: how many edges for each target without links, in units of the mean links of one that has
        some; None for as many as the generator allows.
    confidence: one for all edges, instead of their own; None for their own.
    """

    model: LinkPredictor
    generator: Generator | None = None
    times: float | None = None
    confidence: float | None = None

    def delta(self, hin: HIN, rng: Rng = None) -> Delta:
        """The edges for a graph; an empty delta where none are advised."""
        if self.generator is None:
            return Delta(origin="advise")
        draws = checks.generator(rng, "Proposal.delta")
        size = None
        if self.times is not None:
            links = hin.observed().adjacency(self.model.relation)
            n_linked = int(linked_targets(links).sum())
            n_new = links.shape[1] - n_linked
            size = round(self.times * links.nnz / max(n_linked, 1) * n_new)
        if size == 0:
            return Delta(origin="advise")
        made = self.generator.clone().fit(hin, rng=draws).generate(hin, size, rng=draws)
        return made if self.confidence is None else made.with_confidence(self.confidence)


@dataclass
class Case:
    """What a probe is given. `kept` is what earlier probes leave to later ones; `proposal` what
    the last probe that had something to propose proposes. steps: shows which step it is.
    """

    hin: HIN
    split: Split
    model: LinkPredictor
    teachers: Sequence[LinkPredictor]
    budget: Budget
    rng: np.random.Generator
    steps: Iterator[int]
    kept: dict[str, Any] = field(default_factory=dict)
    proposal: Proposal | None = None

    def tick(self) -> None:
        """Says that a step is done."""
        next(self.steps)

    @property
    def relation(self) -> EdgeType:
        """The relation whose links are held out."""
        return self.split.target


@dataclass
class Found:
    """What a probe found: the gain, None where its condition does not hold, and what else to say.

    barred: why no advice may rest on it, whatever the gain; "" for no reason.
    """

    gain: Gain | None
    said: str = ""
    barred: str = ""


def weighed(model: LinkPredictor) -> LinkPredictor:
    """A clone that weighs generated edges by their confidence, where the method can."""
    names = {entry.name for entry in fields(model) if entry.init}
    return model.clone(weight="confidence") if "weight" in names else model.clone()


# ---- choices -------------------------------------------------------------------------------------


@dataclass
class Grid:
    """Values of one parameter, and what each of them reached.

    name: of the parameter. values: ascending. figures: float [values, users].
    inside: whether the best has neighbours on both sides, or figures no longer change towards the
        end where it stands: a wider grid would find none better.
    """

    name: str
    values: list[float]
    figures: np.ndarray
    inside: bool

    @property
    def best(self) -> float:
        """The value with the highest mean."""
        return self.values[int(self.figures.mean(axis=1).argmax())]

    def clone(self, model: LinkPredictor) -> LinkPredictor:
        """The model, unfitted, with the best value."""
        return model.clone(**{self.name: self.best})


def widened_grid(
    name: str,
    start: float,
    measure: Callable[[float], np.ndarray],
    budget: Budget,
    kind: str,
) -> Grid:
    """Values around `start` by factors of three, more of them until the best is inside.

    measure: gives the figures of the users for a value. The grid ends early where the budget does.
    """
    found: dict[float, np.ndarray] = {}
    wanted = [start, start * STEP, start / STEP]
    while wanted and len(found) < WIDEST and (not found or budget.allows(kind)):
        value = wanted.pop(0)
        with budget.step(kind):
            found[value] = measure(value)
        wanted = wanted or _beyond(found)
    order = sorted(found)
    inside = len(found) >= 3 and not _beyond(found)
    return Grid(name, order, np.stack([found[value] for value in order]), inside)


def _beyond(found: dict[float, np.ndarray]) -> list[float]:
    """The next value of a grid whose best is at its end and still rising there, else none."""
    order = sorted(found)
    means = np.array([found[value].mean() for value in order])
    at = int(means.argmax())
    if 0 < at < len(order) - 1:
        return []
    last = means[:3] if at == 0 else means[::-1][:3]
    if len(order) > 3 and np.ptp(last) <= FLAT * last.max():
        return []
    return [order[0] / STEP] if at == 0 else [order[-1] * STEP]


def strength_of(model: LinkPredictor) -> str | None:
    """The parameter that holds a model back, such as l2; None where it has none."""
    names = {entry.name for entry in fields(model) if entry.init}
    return next((name for name in STRENGTHS if name in names), None)


def cross_fitted(figures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The figures of the best option, chosen for each user on the users of the other folds.

    figures: float [options, users]. The best of several on the same users would flatter itself.
    """
    n = figures.shape[1]
    fold = rng.permutation(n) % min(FOLDS, max(n, 1))
    out = np.empty(n)
    for part in np.unique(fold):
        others = figures[:, fold != part]
        best = int(others.mean(axis=1).argmax()) if others.shape[1] else 0
        out[fold == part] = figures[best, fold == part]
    return out


# ---- gains ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gain:
    """What a method reaches beside a control, each the mean of a metric over users and draws.

    low, high: the 95 % interval of the difference, over users and draws.
    """

    control: float
    value: float
    low: float
    high: float

    @property
    def ratio(self) -> float:
        """The method over its control; 1 is no gain."""
        return self._over(self.value)

    @property
    def ratio_interval(self) -> tuple[float, float]:
        """The interval of the difference, on the scale of `ratio`."""
        return self._over(self.control + self.low), self._over(self.control + self.high)

    def _over(self, value: float) -> float:
        if self.control > 0:
            return value / self.control
        return 1.0 if value == self.control else float("inf") * np.sign(value - self.control)


def gain_of_users(method: np.ndarray, control: np.ndarray) -> Gain:
    """The gain over the same users, both float [users]."""
    low, high = gain_interval(method - control)
    return Gain(float(control.mean()), float(method.mean()), low, high)


def gain_of_draws(method: Sequence[Result], control: Sequence[Result], metric: str) -> Gain:
    """The gain over draws that differ in their users, such as hides of other items.

    Users and draws both vary: a draw of items is common to all of its users (see `variance`).
    """
    users = np.unique(np.concatenate([_names(result) for result in method]))
    layout = np.full((len(method), len(users)), np.nan)
    for row, one, other in zip(layout, method, control, strict=True):
        row[np.searchsorted(users, _names(one))] = one.values[metric] - other.values[metric]
    found = spread(np.nanmean(layout, axis=0), [layout])
    means = [float(np.mean([r[metric] for r in results])) for results in (control, method)]
    difference, half = means[1] - means[0], found.half_width(0.95)
    return Gain(means[0], means[1], difference - half, difference + half)


def weakest(gains: Sequence[Gain]) -> Gain:
    """The gain over the hardest of several controls: the one of the lowest end of the interval."""
    return min(gains, key=lambda gain: gain.low)


def _names(result: Result) -> np.ndarray:
    return np.asarray(result.users.cast(pa.string()).to_pylist(), str)


# ---- controls of new items -----------------------------------------------------------------------


@dataclass(eq=False)
class Chance(LinkPredictor):
    """Scores every pair at random, by a hash of the pair: what places in a list reach by chance."""

    STOCHASTIC = False
    seed: int = 0

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        self.seed_ = self.seed

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        source, _, target = self.relation
        one, other = (hashed(hin.nodes[node]["id"].chunk(0)) for node in (source, target))
        code = one[src][:, None] + np.uint64(2) * other + np.uint64(self.seed_)
        return (stirred(code * ODD) >> np.uint64(40)).astype(np.float32)


@dataclass(eq=False)
class PredictedPopularity(LinkPredictor):
    """The same list for everybody: the popularity of items as their features predict it.

        score(u, j) = mean over the sources v of the score of (v, j) by a kernel ridge

    which is the ridge regression of the items' popularity, as the ridge is linear in the links.
    """

    STOCHASTIC = False
    ridge: KernelRidge | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        assert self.ridge is not None
        ridge = self.ridge.clone().fit(hin)
        links = hin.adjacency(self.relation)
        mean = np.asarray(links.sum(axis=0)).ravel() / max(links.shape[0], 1)
        self.scores_ = ridge.fold_in(sp.csr_array(mean[None, :]))[0]

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        return np.repeat(self._columns(hin, self.scores_[None, :]), len(src), axis=0)
