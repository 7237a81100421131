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
    """b against a: mean difference of a metric over users, with a 95 % interval and a paired
    t-test.

    Seeds are averaged per user before the test, so n is a number of users. `slices`: {slice:
    {label: {users, difference, wins, losses}}}; the label's differences, weighted by users, add up
    to the whole.
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
        """One honest sentence. A p above 0.005 counts as nothing found."""
        change = f"{self.metric} {self.mean_a:.4f} -> {self.mean_b:.4f} ({100 * self.relative:+.1f} %, p = {self.p:.2g})"
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
    """Paired comparison of two results, or of two lists of results with the same seeds in the same
    order.

    metric: one that has values per user; names: what a and b are called. Raises TypeError for what
    is no result of `evaluate`, KeyError for a metric that was not measured, and ValueError where
    users or parts (`on`) differ.
    """
    left, right = (list(r) if isinstance(r, Iterable) else [r] for r in (a, b))
    wrong = [r for r in (*left, *right) if not isinstance(r, Result)]
    if wrong:
        raise KindError(
            "compare takes two results of evaluate, or two lists of them, one a seed; got "
            f"{checks.kind(wrong[0])}; "
            "evaluate each model on one split first"
        )
    if len(names) != 2 or isinstance(names, str):
        raise ParameterError(f"compare: names={names!r}: two names, of a and of b")
    if len(left) != len(right) or not left:
        raise ParameterError(
            f"compare: {len(left)} results against {len(right)}; give one of each per seed, in "
            "the same order"
        )
    for one, two in zip(left, right, strict=True):
        if one.on != two.on or not one.users.equals(two.users):
            raise ParameterError(
                f"compare: results of unlike users or parts ({one.on}, {len(one.users)} users; "
                f"{two.on}, {len(two.users)} users); "
                "evaluate both on one split with the same on="
            )
    users, before = per_user(left, metric)
    after = per_user(right, metric)[1]
    n = len(users)
    gain = after - before
    low, high = mean_interval(gain)
    p = _paired_p(gain)
    slices: dict[str, dict[str, dict[str, float]]] = {}
    for name in (s for s in left[0].slices if all(s in r.slices for r in left)):
        labels = np.empty(n, object)
        for result in reversed(
            left
        ):  # a user whose slice varies between seeds counts in that of the first seed
            at = tb.lookup(users, result.users.cast(pa.string()))
            labels[at] = result.slices[name]
        slices[name] = {}
        for label in ordered_labels(labels):
            part = gain[labels == label]
            base = before[labels == label]
            low_part, high_part = mean_interval(part)
            slices[name][str(label)] = {
                "users": len(part), "before": float(base.mean()), "difference": float(part.mean()), "low": low_part,
                "high": high_part, "wins": int((part > 0).sum()), "losses": int((part < 0).sum()),
            }  # fmt: skip
    return Comparison(
        metric, names[0], names[1], float(before.mean()), float(after.mean()), float(gain.mean()), low, high, p,
        n, len(left), int((gain > 0).sum()), int((gain < 0).sum()), slices,
    )  # fmt: skip


def per_user(results: Sequence[Result], metric: str) -> tuple[pa.Array, np.ndarray]:
    """Every user of these results, one a seed, and its mean over the seeds that judge it."""
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
    """Two-sided p of a paired t-test: 1 where nothing changed or one user cannot tell, 0 where all
    changed alike.
    """
    n, mean = len(gain), float(gain.mean())
    spread = float(gain.std(ddof=1)) if n > 1 else 0.0
    if spread <= 1e-12 * abs(mean) or n < 2:
        return 1.0 if n < 2 or mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / (spread / np.sqrt(n)), n - 1))
