"""Confidence intervals of means over users that hold near the ends of their range too.

A hit rate of 1 % over 100 users has one hit, or none. The t interval then is too narrow, or empty:
64 % of such intervals hold the true rate instead of 95 %.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from hinaug import checks
from hinaug.errors import ParameterError


def check_level(level: float) -> float:
    """The level itself; ParameterError unless it is between 0 and 1."""
    if not (checks.is_number(level) and 0 < level < 1):
        raise ParameterError(
            f"level={level!r}: a number between 0 and 1 is needed, such as 0.95", asked=level
        )
    return level


def mean_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Confidence interval of the mean of values between 0 and 1, such as NDCG or hits of users.

    Values of 0 and 1 have the exact interval (Clopper & Pearson, Biometrika 26, 1934). Others have
    that of a rate with the same mean and the same standard error: n m (1 - m) / s^2 users, where s
    is the spread of the values together with one more at 0 and one more at 1. So a few users who
    were all missed do not give an empty interval. At least 93 % of the intervals hold the true
    mean at level .95, whatever the rate. They are wider than a t interval where few users have
    values above 0: for Precision over few users three to four times as wide.

    Values outside 0 to 1 (such as gains) have the interval of the t distribution.

    values: float [n]. Both ends are NaN where n = 0.
    """
    check_level(level)
    if not len(values):
        return float("nan"), float("nan")
    if values.min() < 0 or values.max() > 1:
        return _t_interval(values, level)
    return _rate_interval(values, (0.0, 1.0), level)


def gain_interval(gains: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Confidence interval of the mean of gains between -1 and 1, where most may be 0.

    Gains and losses are two rates, each with the interval of `mean_interval`; the squares of their
    distances from the means add up (Newcombe, Statistics in Medicine 17, 1998, method 10). Within
    -1 to 1 it is never narrower than the t interval.

    gains: float [n]. Both ends are NaN where n = 0.
    """
    check_level(level)
    if not len(gains):
        return float("nan"), float("nan")
    up, down = np.maximum(gains, 0), np.maximum(-gains, 0)
    largest = float(np.abs(gains).max())
    up_low, up_high = _rate_interval(up, (0.0, largest), level)
    down_low, down_high = _rate_interval(down, (0.0, largest), level)
    mean, up_mean, down_mean = float(gains.mean()), float(up.mean()), float(down.mean())
    low = mean - np.hypot(up_mean - up_low, down_high - down_mean)
    high = mean + np.hypot(up_high - up_mean, down_mean - down_low)
    t_low, t_high = _t_interval(gains, level)
    return max(float(min(low, t_low)), -1.0), min(float(max(high, t_high)), 1.0)


def _rate_interval(
    values: np.ndarray, more: tuple[float, float], level: float
) -> tuple[float, float]:
    """The interval of a mean of values in 0 to 1. more: two values that widen the spread."""
    n, mean = len(values), min(max(float(values.mean()), 0.0), 1.0)
    widened = np.r_[values, more]
    variance, center = float(widened.var()), float(widened.mean())
    users = n if variance == 0 else max(n, n * center * (1 - center) / variance)
    hits, misses = users * mean, users * (1 - mean)
    tail = (1 - level) / 2
    low = float(stats.beta.ppf(tail, hits, misses + 1)) if hits > 0 else 0.0
    high = float(stats.beta.isf(tail, hits + 1, misses)) if misses > 0 else 1.0
    return min(low, mean), max(high, mean)


def _t_interval(values: np.ndarray, level: float) -> tuple[float, float]:
    """The interval by the t distribution; both ends are the mean where n = 1."""
    n, mean = len(values), float(values.mean())
    if n < 2:
        return mean, mean
    half = float(stats.t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return mean - half, mean + half
