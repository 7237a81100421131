"""Plans of A/B tests, and a test that may be looked at every day.

An offline gain says which model to try; whether people like it, only a live test says. Users are
assigned to arm A (as it is) or arm B (with the change) at random, and each gives one value: a rate
(came back: 0 or 1) or a mean (minutes played). `sample_size` says how many users a fixed test
needs. `SequentialTest` may be looked at after every day and be stopped at any look.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from scipy import optimize, stats

from hinaug import checks
from hinaug.errors import KindError, ParameterError
from hinaug.evaluation.intervals import check_level

LEAST_USERS = 100  # users of each arm before which a mean is not judged: its variance is unknown
LEAST_EVENTS = 10  # hits and misses of both arms together before which a rate is not judged
Kind = Literal["rate", "mean"]


# ---- a fixed test --------------------------------------------------------------------------------


def sample_size(
    baseline: float,
    *,
    relative: float | None = None,
    absolute: float | None = None,
    sd: float | None = None,
    power: float = 0.8,
    level: float = 0.05,
) -> int:
    """How many users *each* of two arms needs, to show an effect in a two-sided test at the end.

    Rates: the test of two proportions with a common variance under no effect (Fleiss, Levin & Paik,
    "Statistical Methods for Rates and Proportions", 2003, formula 4.14). Means: the t test, its
    power from the noncentral t distribution.

    Parameters
    ----------
    baseline
        The value of arm A: a rate between 0 and 1, or a mean.
    relative, absolute
        The effect worth having; give one of them. relative=0.02 is 2 % of the baseline,
        absolute=0.02 is 0.02 more.
    sd
        The standard deviation of a value; None says that the values are 0 and 1.
    power
        The probability to show an effect of this size.
    level
        The probability to show one where there is none.

    Raises ParameterError for a rate that would leave 0 to 1, and for an effect of 0.

    Example
    -------
    >>> sample_size(0.1, relative=0.1)
    14751
    >>> sample_size(30.0, absolute=1.0, sd=20.0)
    6281
    """
    _check_probability("power", power)
    check_level(level)
    effect = effect_size(baseline, relative=relative, absolute=absolute)
    if sd is None:
        return _users_for_rates(baseline, baseline + effect, power, level)
    if not (checks.is_number(sd) and sd > 0):
        raise ParameterError(f"sd={sd!r}: a standard deviation above 0 is needed", asked=sd)
    return _users_for_means(abs(effect) / sd, power, level)


def effect_size(
    baseline: float, *, relative: float | None = None, absolute: float | None = None
) -> float:
    """The effect in units of the value: `absolute`, or `relative` times the baseline.

    Raises ParameterError unless exactly one of them is given, and for an effect of 0.
    """
    if (relative is None) == (absolute is None):
        raise ParameterError(
            "give the effect either as relative= (0.02 is 2 % of the baseline) or as absolute= "
            "(0.02 is 0.02 more), one of them",
            asked={"relative": relative, "absolute": absolute},
        )
    for name, value in {"baseline": baseline, "relative": relative, "absolute": absolute}.items():
        if value is not None:
            checks.number(value, name, "a number")
    effect = absolute if absolute is not None else relative * baseline  # type: ignore[operator]
    if not (math.isfinite(effect) and effect != 0):
        raise ParameterError(
            f"the effect is {effect}, of a baseline of {baseline}; name one that is not 0",
            asked=effect,
        )
    return float(effect)


def _check_probability(name: str, value: float) -> None:
    if not (checks.is_number(value) and 0 < value < 1):
        raise ParameterError(
            f"{name}={value!r}: a number between 0 and 1 is needed, such as 0.8", asked=value
        )


def _users_for_rates(before: float, after: float, power: float, level: float) -> int:
    for name, rate in {"baseline": before, "baseline with the effect": after}.items():
        if not 0 < rate < 1:
            raise ParameterError(
                f"{name}: {rate:g} is no rate between 0 and 1; for a mean, give its standard "
                "deviation as sd",
                asked=rate,
            )
    pooled = (before + after) / 2
    by_chance = stats.norm.isf(level / 2) * math.sqrt(2 * pooled * (1 - pooled))
    by_power = stats.norm.ppf(power) * math.sqrt(before * (1 - before) + after * (1 - after))
    return math.ceil(((by_chance + by_power) / (after - before)) ** 2)


def _users_for_means(size: float, power: float, level: float) -> int:
    """The smallest n at which the t test has the power. size: the effect in standard deviations."""
    n = max(2, math.floor(2 * (_quantiles(level, power) / size) ** 2))  # that of the z test
    while _power_of_t(n, size, level) < power:  # a few steps: t needs little more than z
        n += 1
    return n


def _quantiles(level: float, power: float) -> float:
    return float(stats.norm.isf(level / 2) + stats.norm.ppf(power))


def _power_of_t(n: int, size: float, level: float) -> float:
    """The power of the two-sided t test with n users in each arm."""
    df = 2 * n - 2
    return float(stats.nct.sf(stats.t.isf(level / 2, df), df, size * math.sqrt(n / 2)))


# ---- a test that may be looked at ----------------------------------------------------------------


class Totals(NamedTuple):
    """What is kept of the users of an arm. squares: the sum of the squared values."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: Any) -> Totals:
        """The totals of an array of values, one a user."""
        values = np.asarray(values, np.float64)
        if values.ndim != 1 or not np.isfinite(values).all():
            raise ParameterError(
                "the values of an arm are one finite number a user, float [users]; got shape "
                f"{values.shape}",
                asked=values.shape,
            )
        return cls(len(values), float(values.sum()), float(values @ values))

    @property
    def mean(self) -> float:
        """The mean value; NaN without users."""
        return self.total / self.n if self.n else float("nan")

    @property
    def variance(self) -> float:
        """The variance of the values (of a sample); NaN below two users."""
        if self.n < 2:
            return float("nan")
        return max(self.squares - self.total**2 / self.n, 0.0) / (self.n - 1)


@dataclass(frozen=True)
class Look:
    """What a `SequentialTest` says at one look.

    n_a, n_b: users so far. mean_a, mean_b: their means.
    difference, low, high: B less A, and its interval, which holds at all looks together.
    p: always valid: the smallest up to this look.
    outcome: "B is better", "A is better", "not decided" or "too early".
    needed: how many more users each arm needs, to show the effect worth having with the power asked
        for; 0 where there are enough, or where it is decided; None where it is too early to say.
    """

    n_a: int
    n_b: int
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    p: float
    outcome: str
    needed: int | None


@dataclass
class SequentialTest:
    """A test of two arms that may be looked at as often as one likes, and stopped at any look.

    At most `level` of the tests of two equal arms ever say that one is better, however many looks
    there are. The price: for the same power, more users than a fixed test (`benchmarks/ab.py`).

    It is the mixture sequential probability ratio test (Robbins, Annals of Mathematical Statistics
    41, 1970; Johari, Koomen, Pekelis & Walsh, Operations Research 70, 2022). With D the difference
    of means and V its variance, and a normal prior of mean 0 and standard deviation `effect`,

        ratio = sqrt(V / (V + effect^2)) exp(effect^2 D^2 / (2 V (V + effect^2))),

    and p is 1 / ratio at its lowest so far. The interval holds the differences that the ratio does
    not refuse. V is estimated, so the level holds for large samples: nothing is judged before both
    arms have `LEAST_USERS` users, and a rate not before `LEAST_EVENTS` hits and misses.

    Values are independent: one value a user, each user in one arm and in one update.

    Parameters
    ----------
    effect
        The effect worth having, in units of the value (see `effect_size`). Choose it before the
        first look.
    kind
        "rate" for values of 0 and 1, "mean" for others.
    level
        The probability of a wrong claim where the arms are equal.
    power
        The probability with which `needed` more users show the effect.

    Example
    -------
    >>> import numpy as np
    >>> test = SequentialTest(effect=0.05, kind="rate")
    >>> a, b = np.arange(1000) % 10 < 1, np.arange(1000) % 10 < 2
    >>> look = test.update(a, b)
    >>> look.outcome, round(look.difference, 2)
    ('B is better', 0.1)
    >>> SequentialTest.from_json(test.to_json()) == test
    True
    """

    effect: float
    kind: Kind = "rate"
    level: float = 0.05
    power: float = 0.8
    a: Totals = field(default_factory=Totals)
    b: Totals = field(default_factory=Totals)
    looks: int = 0
    p: float = 1.0
    sign: int = 0  # of the difference where p was smallest

    def __post_init__(self) -> None:
        if not (checks.is_number(self.effect) and 0 < abs(self.effect) < math.inf):
            raise ParameterError(
                f"effect={self.effect!r}: the size of the effect worth having, not 0",
                asked=self.effect,
            )
        if self.kind not in ("rate", "mean"):
            raise ParameterError(
                f"kind={self.kind!r}: 'rate' for values of 0 and 1, 'mean' for others",
                asked=self.kind,
                there=["rate", "mean"],
            )
        check_level(self.level)
        _check_probability("power", self.power)
        self.a, self.b = Totals(*self.a), Totals(*self.b)

    def update(self, a: Any, b: Any) -> Look:
        """Adds the users who came since the last look, and looks.

        a, b: the values of the new users of each arm, float [users]; or their `Totals`.
        """
        new_a, new_b = (x if isinstance(x, Totals) else Totals.of(x) for x in (a, b))
        for arm in (new_a, new_b):
            self._check(arm)
        self.a, self.b = _sum(self.a, new_a), _sum(self.b, new_b)
        self.looks += 1
        difference = self.b.mean - self.a.mean
        if self._is_early():
            return self._look(difference, math.inf, "too early", None)
        variance = self.variance()
        p = float(np.exp(-np.maximum(log_ratio(difference, variance, self.effect), 0)))
        if p < self.p:
            self.p, self.sign = p, 1 if difference > 0 else -1
        half = float(half_width(variance, self.effect, self.level))
        if self.p > self.level:
            return self._look(difference, half, "not decided", self._needed())
        return self._look(difference, half, f"{'AB'[self.sign > 0]} is better", 0)

    def variance(self) -> float:
        """The variance of the difference of means."""
        spread_a, spread_b = self._spreads()
        return spread_a / self.a.n + spread_b / self.b.n

    def _spreads(self) -> tuple[float, float]:
        """The variance of one value in each arm.

        That of a rate is the variance under no difference, or those of the two rates where they
        say more; one hit and one miss are added, so that it is never 0.
        """
        a, b = self.a, self.b
        if self.kind == "mean":
            return a.variance, b.variance
        rate = (a.total + b.total + 1) / (a.n + b.n + 2)
        alike, of_a, of_b = (r * (1 - r) for r in (rate, a.mean, b.mean))
        if of_a / a.n + of_b / b.n > alike * (1 / a.n + 1 / b.n):
            return of_a, of_b
        return alike, alike

    def to_json(self) -> str:
        """The whole state, to go on another day."""
        return json.dumps({**asdict(self), "a": self.a._asdict(), "b": self.b._asdict()})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The test whose state this is; ParameterError where it is none."""
        try:
            state = json.loads(text)
            state |= {name: Totals(**state[name]) for name in ("a", "b")}
            return cls(**state)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ParameterError(
                f"this is no state of a SequentialTest ({error}); to_json makes one"
            ) from error

    def _check(self, arm: Totals) -> None:
        if not isinstance(arm.n, int | np.integer) or arm.n < 0:
            raise KindError(f"Totals: n={arm.n!r}: a whole number of users is needed")
        if self.kind == "rate" and not (0 <= arm.total <= arm.n and arm.squares == arm.total):
            raise ParameterError(
                "kind 'rate' takes values of 0 and 1 alone; use kind='mean' for other values",
                asked=tuple(arm),
            )

    def _is_early(self) -> bool:
        if min(self.a.n, self.b.n) < LEAST_USERS:
            return True
        if self.kind == "mean":
            return self.a.variance + self.b.variance <= 0
        hits, users = self.a.total + self.b.total, self.a.n + self.b.n
        return min(hits, users - hits) < LEAST_EVENTS

    def _look(self, difference: float, half: float, outcome: str, needed: int | None) -> Look:
        means = (self.a.mean, self.b.mean)
        ends = (difference - half, difference + half)
        return Look(self.a.n, self.b.n, *means, difference, *ends, self.p, outcome, needed)

    def _needed(self) -> int:
        """How many more users of each arm make the variance small enough for the effect."""
        enough = variance_for_power(self.effect, self.level, self.power)
        arms = list(zip((self.a.n, self.b.n), self._spreads(), strict=True))

        def excess(more: float) -> float:
            return sum(spread / (n + more) for n, spread in arms) - enough

        if excess(0) <= 0:
            return 0
        most = sum(spread for _, spread in arms) / enough
        return math.ceil(optimize.brentq(excess, 0, most))


def _sum(one: Totals, other: Totals) -> Totals:
    return Totals(one.n + other.n, one.total + other.total, one.squares + other.squares)


def log_ratio(difference: Any, variance: Any, effect: float) -> Any:
    """The logarithm of the mixture ratio of `SequentialTest`; arrays or numbers."""
    total = variance + effect**2
    return 0.5 * np.log(variance / total) + effect**2 * difference**2 / (2 * variance * total)


def half_width(variance: Any, effect: float, level: float) -> Any:
    """Half the always-valid interval: the difference at which the ratio is 1 / level."""
    total = variance + effect**2
    return np.sqrt(variance * total / effect**2 * (np.log(total / variance) - 2 * np.log(level)))


def variance_for_power(effect: float, level: float, power: float) -> float:
    """The variance of the difference of means at which one look shows the effect with this power.

    The difference is normal around the effect; it is shown where it exceeds `half_width`.
    """
    effect, quantile = abs(effect), float(stats.norm.ppf(power))

    def excess(log_variance: float) -> float:
        variance = math.exp(log_variance) * effect**2
        return float(half_width(variance, effect, level)) + quantile * math.sqrt(variance) - effect

    return math.exp(optimize.brentq(excess, -50, 5)) * effect**2
