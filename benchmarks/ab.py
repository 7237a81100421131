"""Do the plans of A/B tests keep what they promise? Level and power, by simulation.

    python benchmarks/ab.py [--worlds 20000]

Three questions. Does a fixed test with `sample_size` users have its power? How often does
`SequentialTest`, looked at on 30 days, find a difference between equal arms? How often does it
find one that is there, beside the fixed test at the end, and after how many days? A rate of 1 to
50 %, minutes played (normal), and money spent (3 % of users spend, log-normal amounts). Exit status
1 where a bar is missed: power at least 0.78 of 0.8 planned, at most 5 % false positives.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from scipy import stats

from hinaug.evaluation.ab import (
    LEAST_EVENTS,
    LEAST_USERS,
    half_width,
    log_ratio,
    sample_size,
    variance_for_power,
)

DAYS = 30
LEVEL = 0.05
Draw = Callable[[np.random.Generator, int, int], tuple[np.ndarray, np.ndarray]]


def rate(p: float) -> Draw:
    """Sums and sums of squares of `users` values of 0 and 1, for each of `worlds` worlds."""

    def draw(rng: np.random.Generator, worlds: int, users: int) -> tuple[np.ndarray, np.ndarray]:
        hits = rng.binomial(users, p, worlds).astype(float)
        return hits, hits

    return draw


def minutes(mean: float) -> Draw:
    return values(lambda rng, shape: rng.normal(mean, 20, shape))


def money(mean: float) -> Draw:
    """3 % of the users spend; amounts are log-normal with a sigma of 1."""
    amount = mean / 0.03 / np.exp(0.5)

    def spent(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
        return (rng.random(shape) < 0.03) * amount * rng.lognormal(0, 1, shape)

    return values(spent)


def values(sample: Callable[[np.random.Generator, tuple[int, int]], np.ndarray]) -> Draw:
    def draw(rng: np.random.Generator, worlds: int, users: int) -> tuple[np.ndarray, np.ndarray]:
        parts = []
        for start in range(0, worlds, 500):
            x = sample(rng, (min(500, worlds - start), users))
            parts.append((x.sum(axis=1), (x**2).sum(axis=1)))
        total, squares = (np.concatenate(each) for each in zip(*parts, strict=True))
        return total, squares

    return draw


def looks(
    a: Draw, b: Draw, is_rate: bool, worlds: int, a_day: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Difference, variance and whether it is early, [DAYS, worlds]: as SequentialTest has them."""
    sums = np.array([draw(rng, worlds, a_day) for _ in range(DAYS) for draw in (a, b)])
    total, squares = np.moveaxis(sums.reshape(DAYS, 2, 2, worlds).cumsum(axis=0), 2, 0)
    n = (a_day * np.arange(1, DAYS + 1))[:, None]
    mean = total / n[:, None]
    difference = mean[:, 1] - mean[:, 0]
    if is_rate:
        hits = total.sum(axis=1)
        pooled = (hits + 1) / (2 * n + 2)
        own = (mean * (1 - mean)).sum(axis=1) / n
        variance = np.maximum(pooled * (1 - pooled) * 2 / n, own)
        early = (n < LEAST_USERS) | (np.minimum(hits, 2 * n - hits) < LEAST_EVENTS)
    else:
        variance = ((squares / n[:, None] - mean**2) * (n / (n - 1))[:, None]).sum(axis=1) / n
        early = (n < LEAST_USERS) | (variance <= 0)
    return difference, variance, early


def sequential(difference, variance, early, effect: float) -> np.ndarray:
    """The day on which each world is decided; DAYS where none is."""
    found = log_ratio(difference, np.maximum(variance, 1e-300), effect) >= -np.log(LEVEL)
    found &= ~early
    return np.where(found.any(axis=0), found.argmax(axis=0), DAYS)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", type=int, default=20000)
    worlds = parser.parse_args().worlds
    rng = np.random.default_rng(0)
    print(HEAD)
    missed = [miss for case in CASES for miss in measured(*case, worlds, rng)]
    if missed:
        raise SystemExit("\n".join(missed))


def measured(name, make, base, sd, relative, worlds, rng) -> list[str]:
    """Prints the line of one case; gives the bars that it misses."""
    effect, is_rate = base * relative, sd is None
    n = sample_size(base, relative=relative, sd=sd)
    pooled = base + effect / 2
    spread = pooled * (1 - pooled) if is_rate else sd**2
    needed = int(np.ceil(2 * spread / variance_for_power(effect, LEVEL, 0.8)))
    count = worlds if is_rate else min(worlds, WORLDS_OF_VALUES)
    a_day, a_day_needed = (-(-users // DAYS) for users in (n, needed))
    null = looks(make(base), make(base), is_rate, count, a_day, rng)
    real = looks(make(base), make(base + effect), is_rate, count, a_day, rng)
    long = looks(make(base), make(base + effect), is_rate, count, a_day_needed, rng)
    false = (sequential(*null, effect) < DAYS).mean()
    peeking = fixed(*null[:2]).any(axis=0).mean()
    at_end = fixed(*real[:2])[-1].mean()
    same = (sequential(*real, effect) < DAYS).mean()
    day = sequential(*long, effect)
    power, stopped = (day < DAYS).mean(), a_day_needed * np.minimum(day + 1, DAYS).mean()
    wide = np.abs(null[0]) <= half_width(np.maximum(null[1], 1e-300), effect, LEVEL)
    cover = (wide | null[2]).all(axis=0).mean()
    print(
        f"{name:26} {relative:7.1%} {n:8,} {at_end:6.3f} {false:12.4f} {peeking:12.3f} "
        f"{same:10.3f} {needed:9,} {power:6.3f} {stopped:12,.0f}",
        flush=True,
    )
    bars = {
        f"{name}: the fixed test has a power of {at_end:.3f}": at_end >= 0.78,
        f"{name}: {false:.1%} false positives": false <= LEVEL,
        f"{name}: the interval holds in {cover:.1%} of the worlds": cover >= 1 - LEVEL,
        f"{name}: a power of {power:.3f} with the users said to do": power >= 0.78,
    }
    return [miss for miss, is_met in bars.items() if not is_met]


def fixed(difference: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Whether the usual z test finds a difference, at each look and world."""
    error = np.sqrt(np.maximum(variance, 1e-300))
    return np.abs(difference) / error > stats.norm.isf(LEVEL / 2)


HEAD = (
    "                                       fixed test   30 looks at equal arms   sequential   "
    "sequential, needed users\n"
    "value                       effect        n  power   sequential   fixed test  the same n   "
    "   n  power  mean until decided"
)
WORLDS_OF_VALUES = 2000  # worlds of values are drawn value by value
CASES = [  # name, how values are drawn, the mean of arm A, the sd over both arms, the effect
    ("rate 1 %", rate, 0.01, None, 0.2),
    ("rate 1 %, a large effect", rate, 0.01, None, 1.0),
    ("rate 10 %", rate, 0.1, None, 0.05),
    ("rate 10 %, a large effect", rate, 0.1, None, 0.5),
    ("rate 50 %", rate, 0.5, None, 0.02),
    ("minutes, mean 30, sd 20", minutes, 30.0, 20.0, 0.05),
    ("money, mean 1", money, 1.0, float(np.sqrt((np.e / 0.03 - 1) * (1 + 1.2**2) / 2)), 0.2),
]


if __name__ == "__main__":
    main()
