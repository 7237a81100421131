"""Compare two ways of making a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import stats

from hinaug import checks
from hinaug.errors import KindError, ParameterError
from hinaug.evaluation.result import Result, mean_interval, ordered_labels
from hinaug.graph import arrow as tb


@dataclass(eq=False)
class Comparison:
    """b against a: the mean difference of a metric over users, its 95 % interval, a paired t-test.

    Seeds are averaged per user before the test, so n is the number of users.

    mean_a, mean_b: means over the users. difference: mean_b - mean_a; low, high: its interval.
    p: two-sided. wins, losses: users with a higher and a lower value under b.
    slices: {slice: {label: {users, before, difference, low, high, wins, losses}}}; the labels'
        differences, weighted by users, add up to the whole.
    """

    metric: str
    a: str
    b: str
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    p: float
    users: int
    seeds: int
    wins: int
    losses: int
    slices: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)

    @property
    def relative(self) -> float:
        """The difference as a share of a's mean, 0.1 for 10 % more; NaN where that mean is 0."""
        return self.difference / self.mean_a if self.mean_a else float("nan")

    def verdict(self, level: float = 0.005) -> str:
        """One sentence: helps, HURTS, or no difference where p is not below `level`."""
        change = (
            f"{self.metric} {self.mean_a:.4f} -> {self.mean_b:.4f} "
            f"({100 * self.relative:+.1f} %, p = {self.p:.2g})"
        )
        if not self.p < level:
            return f"{self.b}: no difference from {self.a} could be shown: {change}"
        return f"{self.b} {'helps' if self.difference > 0 else 'HURTS'} against {self.a}: {change}"

    def __repr__(self) -> str:
        return (
            f"Comparison({self.b} - {self.a}: {self.metric} {self.difference:+.4f} "
            f"[{self.low:+.4f}, {self.high:+.4f}], "
            f"{100 * self.relative:+.1f} %, p = {self.p:.2g}, {self.users} users x {self.seeds} "
            f"seeds, {self.wins} won, {self.losses} lost)"
        )


def compare(
    a: Result | Sequence[Result],
    b: Result | Sequence[Result],
    metric: str = "NDCG@20",
    names: tuple[str, str] = ("plain", "augmented"),
) -> Comparison:
    """Paired comparison of two results, or of two lists of results with the same seeds in order.

    a, b: results of `evaluate` on one split; in lists, one a seed.
    metric: one that has values per user.
    names: what a and b are called.

    Raises KindError for what is no result of `evaluate`, UnknownNameError for a metric that was
    not measured, and ParameterError where users or parts (`on`) differ.
    """
    before_runs, after_runs = (list(r) if isinstance(r, Iterable) else [r] for r in (a, b))
    _check_runs(before_runs, after_runs, names)
    users, before = per_user(before_runs, metric)
    _, after = per_user(after_runs, metric)
    gain = after - before
    low, high = mean_interval(gain)
    return Comparison(
        metric=metric,
        a=names[0],
        b=names[1],
        mean_a=float(before.mean()),
        mean_b=float(after.mean()),
        difference=float(gain.mean()),
        low=low,
        high=high,
        p=_paired_p(gain),
        users=len(users),
        seeds=len(before_runs),
        wins=int((gain > 0).sum()),
        losses=int((gain < 0).sum()),
        slices={
            name: _slice_gains(_labels_of(before_runs, name, users), before, gain)
            for name in before_runs[0].slices
            if all(name in run.slices for run in before_runs)
        },
    )


def _check_runs(
    before_runs: Sequence[Result], after_runs: Sequence[Result], names: tuple[str, str]
) -> None:
    """Raises unless these are results of the same users, one pair a seed."""
    wrong = [r for r in (*before_runs, *after_runs) if not isinstance(r, Result)]
    if wrong:
        raise KindError(
            "compare takes two results of evaluate, or two lists of them, one a seed; got "
            f"{checks.kind(wrong[0])}; evaluate each model on one split first",
            asked=wrong[0],
        )
    if len(names) != 2 or isinstance(names, str):
        raise ParameterError(f"compare: names={names!r}: two names, of a and of b", asked=names)
    if len(before_runs) != len(after_runs) or not before_runs:
        raise ParameterError(
            f"compare: {len(before_runs)} results against {len(after_runs)}; give one of each per "
            "seed, in the same order",
            asked=(len(before_runs), len(after_runs)),
        )
    for one, two in zip(before_runs, after_runs, strict=True):
        _check_same_users(one, two)


def _check_same_users(one: Result, two: Result) -> None:
    if one.on != two.on or not one.users.equals(two.users):
        raise ParameterError(
            f"compare: results of unlike users or parts ({one.on}, {len(one.users)} users; "
            f"{two.on}, {len(two.users)} users); evaluate both on one split with the same on=",
            asked=(one.on, two.on),
            there=(len(one.users), len(two.users)),
        )


def _labels_of(runs: Sequence[Result], slice: str, users: pa.Array) -> np.ndarray:
    """The label of each user; one whose label varies between seeds has that of the first seed."""
    labels = np.empty(len(users), object)
    for run in reversed(runs):
        labels[tb.lookup(users, run.users.cast(pa.string()))] = run.slices[slice]
    return labels


def _slice_gains(
    labels: np.ndarray, before: np.ndarray, gain: np.ndarray
) -> dict[str, dict[str, float]]:
    """{label: what became of its users}."""
    out: dict[str, dict[str, float]] = {}
    for label in ordered_labels(labels):
        part = gain[labels == label]
        low, high = mean_interval(part)
        out[str(label)] = {
            "users": len(part),
            "before": float(before[labels == label].mean()),
            "difference": float(part.mean()),
            "low": low,
            "high": high,
            "wins": int((part > 0).sum()),
            "losses": int((part < 0).sum()),
        }
    return out


def per_user(results: Sequence[Result], metric: str) -> tuple[pa.Array, np.ndarray]:
    """The users of these results, one result a seed, and each user's mean over the seeds."""
    codes = pa.concat_arrays([r.users.cast(pa.string()) for r in results]).dictionary_encode()
    index, n = codes.indices.to_numpy(), len(codes.dictionary)
    total = np.bincount(index, np.concatenate([r._of(metric) for r in results]), minlength=n)
    return codes.dictionary, total / np.bincount(index, minlength=n)


def holm(p: Mapping[Any, float]) -> dict[Any, float]:
    """Holm's step-down correction for the comparisons of one table (Holm, 1979). p: {name: p}."""
    if not isinstance(p, Mapping):
        raise KindError(f"holm takes a dict, {{name: p}}, got {checks.kind(p)}")
    order = sorted(p, key=lambda name: p[name])
    out, highest = {}, 0.0
    for i, name in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - i) * p[name]))
        out[name] = highest
    return {name: out[name] for name in p}


def _paired_p(gain: np.ndarray) -> float:
    """Two-sided p of a paired t-test.

    1 where nothing changed or there is one user only, 0 where all users changed by the same.
    """
    n, mean = len(gain), float(gain.mean())
    spread = float(gain.std(ddof=1)) if n > 1 else 0.0
    if spread <= 1e-12 * abs(mean) or n < 2:
        return 1.0 if n < 2 or mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / (spread / np.sqrt(n)), n - 1))
