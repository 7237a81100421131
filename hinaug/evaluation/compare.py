"""Compare two ways of making a model.

plain = [evaluate(EASE(R).fit(split.train), split.train, split)]
found = compare(plain, [evaluate(m, split.train, split) for m in eight_fits])
print(found.verdict())
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from hinaug import checks
from hinaug.errors import KindError, ParameterError
from hinaug.evaluation.intervals import check_level, gain_interval, mean_interval
from hinaug.evaluation.result import Result, ordered_labels
from hinaug.evaluation.variance import Spread, same_fits, spread
from hinaug.graph import arrow as tb

LEVEL = 0.005  # p of a verdict
ENOUGH = 8  # fits, or splits, that a verdict needs where they vary
POWER = 0.8  # with which a number of fits shows the smallest effect worth having

Outcome = Literal["helps", "hurts", "no verdict"]
Given = Result | Sequence[Result] | Sequence[Sequence[Result]]


@dataclass(eq=False)
class Comparison:
    """b against a: the mean difference of a metric, an interval and a test over users and fits.

    mean_a, mean_b: means over users and fits. difference: mean_b - mean_a.
    low, high: its 95 % interval over users and fits; over users alone where `p` is None.
    p: two-sided; None where fits were not repeated, and for figures without values per user.
    users: how many users were judged; 0 for figures without values per user.
    fits: how many different fits a and b have; 1 for a pipeline without chance in it.
    random: whether fits of a, and of b, can differ.
    splits: how many splits were repeated; 1 for a comparison on one split.
    wins, losses: users with a higher and a lower mean under b.
    slices: {slice: {label: {users, before, difference, low, high, wins, losses}}}; the labels'
        differences, weighted by users, add up to the whole.
    needed: how many fits (or splits) would show a change of `worth` with a power of .8, None where
        that cannot be told, or no number would.
    worth: the smallest change worth having, as a share of a's mean.
    barred: why no gain may be reported whatever p is, such as a base on the edge of its search
        space; "" for no reason.
    """

    metric: str
    a: str
    b: str
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    p: float | None
    users: int
    fits: tuple[int, int]
    random: tuple[bool, bool]
    splits: int
    wins: int
    losses: int
    slices: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    needed: int | None = None
    worth: float = 0.02
    barred: str = ""

    @property
    def relative(self) -> float:
        """The difference as a share of a's mean, 0.1 for 10 % more; NaN where that mean is 0."""
        return self.difference / self.mean_a if self.mean_a else float("nan")

    @property
    def enough(self) -> bool:
        """Whether there are the eight fits, or splits, that a verdict needs where they vary."""
        if self.splits > 1:
            return self.splits >= ENOUGH
        return all(n >= ENOUGH or not can for n, can in zip(self.fits, self.random, strict=True))

    def outcome(self, level: float = LEVEL, p: float | None = None) -> Outcome:
        """What may be said: helps, hurts, or no verdict.

        level: of p. p: one that is corrected for the comparisons of a table; without it `self.p`.
        """
        p = self.p if p is None else p
        if self.p is None or p is None or not p < level or not self.enough:
            return "no verdict"
        if self.difference < 0:
            return "hurts"
        return "no verdict" if self.barred else "helps"

    def verdict(self, level: float = LEVEL, p: float | None = None) -> str:
        """One sentence: whether b helps or hurts, by how much, and on what that rests.

        level, p: as in `outcome`.
        """
        outcome = self.outcome(level, p)
        if outcome != "no verdict":
            word = "helps" if outcome == "helps" else "HURTS"
            return f"{self.b} {word} against {self.a} {self.where()}: {self.basis(p)}"
        said = f"no verdict on {self.b} against {self.a} {self.where()}: {self.basis(p)}"
        return f"{said}; {self.reason(level, p)}"

    def where(self) -> str:
        """What the comparison is about: this split, or several."""
        return "on this split" if self.splits == 1 else f"over {self.splits} splits"

    def change(self) -> str:
        """The two means, and the change in percent."""
        return (
            f"{self.metric} {self.mean_a:.4f} -> {self.mean_b:.4f} ({100 * self.relative:+.1f} %)"
        )

    def basis(self, p: float | None = None) -> str:
        """The change, p, and how many fits and users it rests on."""
        p = self.p if p is None else p
        parts = [self.change(), *([] if p is None else [f"p = {p:.2g}"]), self._fits_in_words()]
        parts += [f"{self.users:,} user{'s' * (self.users != 1)}"] if self.users else []
        return ", ".join(parts)

    def reason(self, level: float = LEVEL, p: float | None = None) -> str:
        """Why there is no verdict, and what would give one."""
        p = self.p if p is None else p
        if not self.users:
            return f"{self.metric} has no value per user, so there is no test"
        if p is None:
            return "one fit: users vary, fits were not repeated"
        if p < level and self.enough:
            return self.barred
        what = "fits" if self.splits == 1 else "splits"
        if not self.enough:
            few = f"a verdict needs at least {ENOUGH} {what}"
        else:
            few = "no effect could be shown"
        return f"{few}{self._needed_in_words(what)}"

    def _needed_in_words(self, what: str) -> str:
        change = f"a change of {100 * self.worth:g} %"
        if self.needed is not None:
            return f"; {self.needed} {what} would show {change}"
        if any(self.random) or self.splits > 1:
            return f"; these users are too few to show {change}, however many {what} there are"
        return ""

    def _fits_in_words(self) -> str:
        if self.splits > 1:
            return f"{self.splits} splits"
        a, b = self.fits
        if not any(self.random):
            return "nothing random in the fits"
        if all(self.random) and a == b:
            return f"{a} fit{'s' * (a != 1)} each"
        return f"{a} and {b} fits"

    def __repr__(self) -> str:
        tested = "not tested" if self.p is None else f"p = {self.p:.2g}"
        return (
            f"Comparison({self.b} - {self.a}: {self.metric} {self.difference:+.4f} "
            f"[{self.low:+.4f}, {self.high:+.4f}], {100 * self.relative:+.1f} %, {tested}, "
            f"{self.users} users, {self._fits_in_words()}, {self.wins} won, {self.losses} lost)"
        )


def compare(
    a: Given,
    b: Given,
    metric: str = "NDCG@20",
    names: tuple[str, str] = ("plain", "augmented"),
    *,
    splits: bool = False,
    paired: bool = False,
    deterministic: bool = False,
    worth: float = 0.02,
) -> Comparison:
    """Whether b does better than a: a test in which users vary, and repeated fits do.

    A fit is the whole pipeline (generator, delta, model) under one seed. p is given from two fits
    on; fits that all give the same values count as one, and need no repetition. A verdict needs
    p < .005, and eight fits where fits vary. `hinaug.evaluation.variance` has the formula.

    Parameters
    ----------
    a, b
        Results of `evaluate` on one split, one a fit; a and b may have unlike numbers of them.
    metric
        One with values per user is tested. Of a figure over all lists (such as coverage) there is
        an interval over fits, and no p.
    names
        What a and b are called.
    splits
        a and b are lists with a list of results for each split, in the same order. The test is
        then over users and splits; what the fits of a split differ by is part of what splits
        differ by. Without it a comparison is about the one split.
    paired
        Fit i of a and fit i of b share their seed in a way that makes them alike, such as one delta
        or one start. The test is then over their differences. Without it they are independent
        draws, which holds as well, but may miss a difference that pairs would show.
    deterministic
        A single fit of a, or of b, has no chance in it. Results of `evaluate` know this for
        methods in closed form without a delta; pass it for pipelines of your own.
    worth
        The smallest change worth having, as a share of a's mean. Where there is no verdict, it is
        told how many fits would show that change.

    Raises KindError for what is no result of `evaluate`, UnknownNameError for a metric that was
    not measured, and ParameterError where users, parts (`on`) or splits differ.
    """
    _check_options(names, worth)
    before, after = (_by_split(side, splits) for side in (a, b))
    _check_sides(before, after, paired)
    if metric in before[0][0].overall:
        table = _figures(before, after, metric, deterministic, paired)
    else:
        table = _values(before, after, metric, deterministic, paired)
    return table.compared(metric, names, worth, _barred(before, after, names))


def mean_over_fits(
    results: Sequence[Result], metric: str, level: float = 0.95
) -> tuple[float, float, float]:
    """The mean of a metric over users and fits, and the two ends of its interval.

    results: one a fit. A single one has the interval over its users.
    """
    check_level(level)
    users, values = per_user(results, metric)
    low, high = mean_interval(values, level)
    mean, layout = float(values.mean()), _layout([[r] for r in results], users, metric)
    found = spread(values, [layout])
    return mean, *_wider(mean, low, high, found, level)


def per_user(results: Sequence[Result], metric: str) -> tuple[pa.Array, np.ndarray]:
    """The users of these results, one result a fit, and each user's mean over the fits."""
    users = _users(results)
    return users, np.nanmean(_layout([[r] for r in results], users, metric), axis=0)


def holm(p: Mapping[Any, float | None]) -> dict[Any, Any]:
    """Holm's step-down correction for the comparisons of one table (Holm, 1979).

    p: {name: p}. A name with None was not tested: it stays None, and does not count.
    """
    if not isinstance(p, Mapping):
        raise KindError(f"holm takes a dict, {{name: p}}, got {checks.kind(p)}")
    tested = {name: value for name, value in p.items() if value is not None}
    order = sorted(tested, key=lambda name: tested[name])
    out: dict[Any, float] = {}
    highest = 0.0
    for i, name in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - i) * tested[name]))
        out[name] = highest
    return {name: out.get(name) for name in p}


# ---- the two sides of a comparison ---------------------------------------------------------------


@dataclass(frozen=True)
class _Table:
    """All that is tested. The layouts are independent draws.

    before, gain: each user's mean under a, and what b has more, float [users].
    layouts: float [repetitions, users], NaN for a user not judged: what varies.
    labels: {slice: label of each user}.
    tested: whether all that varies was repeated.
    per_user: whether the columns are users; else the one column is a figure over all lists.
    """

    before: np.ndarray
    gain: np.ndarray
    layouts: list[np.ndarray]
    labels: dict[str, np.ndarray]
    fits: tuple[int, int]
    random: tuple[bool, bool]
    splits: int
    tested: bool
    per_user: bool = True

    def compared(
        self, metric: str, names: tuple[str, str], worth: float, barred: str
    ) -> Comparison:
        mean_a, difference = float(self.before.mean()), float(self.gain.mean())
        found = spread(self.gain, self.layouts)
        low, high = self._interval(found)
        needed = found.fits_needed(worth * mean_a, LEVEL, ENOUGH, POWER) if self._can_plan else None
        return Comparison(
            metric=metric,
            a=names[0],
            b=names[1],
            mean_a=mean_a,
            mean_b=mean_a + difference,
            difference=difference,
            low=low,
            high=high,
            p=found.p(difference) if self.per_user and self.tested else None,
            users=len(self.gain) if self.per_user else 0,
            fits=self.fits,
            random=self.random,
            splits=self.splits,
            wins=int((self.gain > 0).sum()) if self.per_user else 0,
            losses=int((self.gain < 0).sum()) if self.per_user else 0,
            slices={name: self._slice(labels) for name, labels in self.labels.items()},
            needed=needed,
            worth=worth,
            barred=barred,
        )

    @property
    def _can_plan(self) -> bool:
        """Whether the variances are known that say how many fits are needed."""
        return self.per_user and self.tested and len(self.gain) > 1

    def _interval(self, found: Spread) -> tuple[float, float]:
        difference = float(self.gain.mean())
        if self.per_user:
            return _wider(difference, *gain_interval(self.gain), found, 0.95)
        if not self.tested:
            return float("nan"), float("nan")
        half = found.half_width(0.95)
        return difference - half, difference + half

    def _slice(self, labels: np.ndarray) -> dict[str, dict[str, float]]:
        """{label: what became of its users}."""
        return {str(label): self._part(labels == label) for label in ordered_labels(labels)}

    def _part(self, mask: np.ndarray) -> dict[str, float]:
        gain = self.gain[mask]
        layouts = [layout[:, mask] for layout in self.layouts]
        layouts = [layout[~np.isnan(layout).all(axis=1)] for layout in layouts]
        difference = float(gain.mean())
        low, high = _wider(difference, *gain_interval(gain), spread(gain, layouts), 0.95)
        return {
            "users": len(gain),
            "before": float(self.before[mask].mean()),
            "difference": difference,
            "low": low,
            "high": high,
            "wins": int((gain > 0).sum()),
            "losses": int((gain < 0).sum()),
        }


BySplit = list[list[Result]]  # the fits of each split


def _values(
    before: BySplit, after: BySplit, metric: str, deterministic: bool, paired: bool
) -> _Table:
    """The table of a metric with values per user."""
    runs = _flat(before)
    users = _users(runs)
    one, two = (_layout(_units(side), users, metric) for side in (before, after))
    before_of_user, after_of_user = np.nanmean(one, axis=0), np.nanmean(two, axis=0)
    fits, random = _counts(before, after, metric, deterministic)
    return _Table(
        before=before_of_user,
        gain=after_of_user - before_of_user,
        layouts=[two - one] if paired or len(before) > 1 else [one, two],
        labels=_labels(runs, users),
        fits=fits,
        random=random,
        splits=len(before),
        tested=_tested(before, after, deterministic),
    )


def _figures(
    before: BySplit, after: BySplit, metric: str, deterministic: bool, paired: bool
) -> _Table:
    """The table of a figure over all lists: one column, so nothing varies but fits or splits."""
    one, two = (
        np.array([[np.mean([run[metric] for run in runs])] for runs in _units(side)])
        for side in (before, after)
    )
    fits, random = _counts(before, after, metric, deterministic)
    return _Table(
        before=one.mean(axis=0),
        gain=two.mean(axis=0) - one.mean(axis=0),
        layouts=[two - one] if paired or len(before) > 1 else [one, two],
        labels={},
        fits=fits,
        random=random,
        splits=len(before),
        tested=_tested(before, after, deterministic),
        per_user=False,
    )


def _flat(side: BySplit) -> list[Result]:
    return [run for runs in side for run in runs]


def _units(side: BySplit) -> BySplit:
    """What is repeated: the splits, or where there is one, its fits."""
    return side if len(side) > 1 else [[run] for run in side[0]]


def _counts(
    before: BySplit, after: BySplit, metric: str, deterministic: bool
) -> tuple[tuple[int, int], tuple[bool, bool]]:
    """How many fits there are of a and of b, and whether they can differ."""
    can = [
        not all(_no_chance(runs, metric, deterministic) for runs in side)
        for side in (before, after)
    ]
    n_before, n_after = (
        len(_flat(side)) if random else 1 for side, random in zip((before, after), can, strict=True)
    )
    return (n_before, n_after), (can[0], can[1])


def _tested(before: BySplit, after: BySplit, deterministic: bool) -> bool:
    """Whether all that varies was repeated: the splits, or where there is one, its fits."""
    if len(before) > 1 or deterministic:
        return True
    return all(len(runs) > 1 or runs[0].deterministic for runs in (before[0], after[0]))


def _no_chance(runs: Sequence[Result], metric: str, deterministic: bool) -> bool:
    """Whether another fit would give the same values."""
    if len(runs) == 1:
        return deterministic or runs[0].deterministic
    if metric in runs[0].overall:
        return len({run[metric] for run in runs}) == 1
    return same_fits(np.stack([run._of(metric) for run in runs]))


def _layout(runs_of_unit: BySplit, users: pa.Array, metric: str) -> np.ndarray:
    """The mean of each user over the runs of a unit, float [units, users]; NaN if not judged."""
    out = np.full((len(runs_of_unit), len(users)), np.nan)
    for row, runs in zip(out, runs_of_unit, strict=True):
        judged = tb.lookup(users, runs[0].users.cast(pa.string()))
        row[judged] = np.mean([run._of(metric) for run in runs], axis=0)
    return out


def _users(runs: Sequence[Result]) -> pa.Array:
    """The users of any of these results, each once."""
    return pa.concat_arrays([run.users.cast(pa.string()) for run in runs]).unique()


def _labels(runs: Sequence[Result], users: pa.Array) -> dict[str, np.ndarray]:
    """{slice: label of each user}, for slices that all results have.

    A user whose label varies between splits has that of the first.
    """
    out = {}
    for name in runs[0].slices:
        if all(name in run.slices for run in runs):
            out[name] = np.empty(len(users), object)
            for run in reversed(runs):
                out[name][tb.lookup(users, run.users.cast(pa.string()))] = run.slices[name]
    return out


def _wider(
    mean: float, low: float, high: float, found: Spread, level: float
) -> tuple[float, float]:
    """An interval over users, widened by what fits add to the variance.

    It is right near the ends of the range as that over users is, and never narrower than that of
    the test.
    """
    if not found.repeats:
        return low, high
    more = found.half_width(level) * np.sqrt(
        max(found.variance - found.by_users, 0) / (found.variance or 1.0)
    )
    half = found.half_width(level)
    below, above = max(np.hypot(mean - low, more), half), max(np.hypot(high - mean, more), half)
    return float(mean - below), float(mean + above)


# ---- what may be compared ------------------------------------------------------------------------


def _by_split(side: Given, splits: bool) -> BySplit:
    """The results of each split; one list without `splits`."""
    listed: list[Any] = list(side) if isinstance(side, Iterable) else [side]
    if not splits:
        return [_results(listed)]
    if not listed or not all(isinstance(runs, Iterable) for runs in listed):
        raise ParameterError(
            "compare(splits=True) takes a list of results for each split, such as "
            "[[first, second], [third, fourth]]",
            asked=len(listed),
        )
    return [_results(list(runs)) for runs in listed]


def _results(runs: list[Any]) -> list[Result]:
    wrong = [run for run in runs if not isinstance(run, Result)]
    if wrong:
        raise KindError(
            "compare takes results of evaluate, or lists of them, one a fit; got "
            f"{checks.kind(wrong[0])}; evaluate each model on one split first",
            asked=wrong[0],
        )
    if not runs:
        raise ParameterError("compare: 0 results on one side; give at least one fit of each")
    return runs


def _check_options(names: Any, worth: Any) -> None:
    if len(names) != 2 or isinstance(names, str):
        raise ParameterError(f"compare: names={names!r}: two names, of a and of b", asked=names)
    if not (checks.is_number(worth) and worth > 0):
        raise ParameterError(
            f"compare: worth={worth!r}: a share above 0 is needed, such as 0.02 for 2 %",
            asked=worth,
        )


def _check_sides(before: BySplit, after: BySplit, paired: bool) -> None:
    """Raises unless these are results of the same users, split by split."""
    if len(before) != len(after):
        raise ParameterError(
            f"compare: {len(before)} splits against {len(after)}; evaluate a and b on the same",
            asked=(len(before), len(after)),
        )
    for one, two in zip(before, after, strict=True):
        if paired and len(one) != len(two):
            raise ParameterError(
                f"compare: {len(one)} results against {len(two)}; pairs need one of each a seed",
                asked=(len(one), len(two)),
            )
        for run in (*one, *two):
            _check_same_users(one[0], run)


def _check_same_users(one: Result, two: Result) -> None:
    if one.on != two.on or not one.users.equals(two.users):
        raise ParameterError(
            f"compare: results of unlike users or parts ({one.on}, {len(one.users)} users; "
            f"{two.on}, {len(two.users)} users); evaluate all fits on one split with the same on=, "
            "or pass splits=True and a list of results for each split",
            asked=(one.on, two.on),
            there=(len(one.users), len(two.users)),
        )
    if one.split and two.split and one.split != two.split:
        raise ParameterError(
            "compare: results of unlike held-out pairs; evaluate all fits on one split, or pass "
            "splits=True and a list of results for each split",
            asked=two.split,
            there=one.split,
        )


def _barred(before: BySplit, after: BySplit, names: tuple[str, str]) -> str:
    """Why no gain of b over a may be reported; "" for no reason."""
    edges = sorted({name for run in _flat(before) for name in run.edges})
    if edges:
        return (
            f"no gain is reported: {names[0]} was tuned to the edge of its search space "
            f"({', '.join(edges)}); widen it"
        )
    one, two = ({run.trials for run in _flat(side)} for side in (before, after))
    if one != two:
        return (
            f"no gain is reported: {names[0]} was tuned with {_trials(one)} trials and {names[1]} "
            f"with {_trials(two)}; give both the same"
        )
    return ""


def _trials(counts: set[int | None]) -> str:
    """Numbers of trials in words."""
    return " or ".join("no" if n is None else str(n) for n in sorted(counts, key=str))
