"""Where the variance of a difference of means comes from: users, and repeated fits.

Training is chaotic: two fits of one method under two seeds differ, for all users in common. A test
over users alone takes this for an effect. Here users *and* fits are random, as in a two-way layout
(Searle, Casella & McCulloch, "Variance Components", 1992, chapter 4): the value of user u under
fit s is mean + user_u + fit_s + residual_us. `benchmarks/null.py` measures the level of the test.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from scipy import stats

MOST_FITS = 1000  # more repetitions than these are not proposed


@dataclass(frozen=True)
class Repeats:
    """What repeated fits of one pipeline add to the variance of its mean.

    n: how many fits there are; 1 where all gave the same values.
    between: the variance of the mean over fits: that of the fits' means, divided by n.
    overlap: the part of `between` that is residual, and that the variance by users holds too.
    """

    n: int
    between: float
    overlap: float


@dataclass(frozen=True)
class Spread:
    """The variance of a mean, or of a difference of means, over users and fits.

    by_users: the variance of the mean over users: that of the users' values, divided by n_users.
    n_users: how many users there are.
    repeats: what the fits of each pipeline add; none for a pipeline without chance.
    """

    by_users: float
    n_users: int
    repeats: tuple[Repeats, ...] = ()

    @property
    def by_fits(self) -> float:
        """The variance that the fits add, of all pipelines together."""
        return sum(repeat.between for repeat in self.repeats)

    @property
    def of_users(self) -> float:
        """The variance by users without the residual, which shrinks with the number of fits."""
        return max(self.by_users - sum(repeat.overlap for repeat in self.repeats), 0.0)

    @property
    def variance(self) -> float:
        """The sum of both sources, less what both hold, and never less than one of them."""
        return max(self.of_users + self.by_fits, self.by_users)

    @property
    def df(self) -> float:
        """Degrees of freedom by Satterthwaite (Biometrics Bulletin 2, 1946); at least 1.

        The residual counts as fits here, not as users: else many users would lend their number to a
        variance that rests on few fits, and false positives at .05 rise to 7 %.
        """
        parts = [(self.of_users, self.n_users - 1), *((r.between, r.n - 1) for r in self.repeats)]
        parts = [(part, df) for part, df in parts if part > 0 and df > 0]
        if not parts:
            return float(max(self.n_users - 1, 1))
        # shares, not squares: the square of a small variance would be 0
        return 1 / sum((part / self.variance) ** 2 / df for part, df in parts)

    def p(self, difference: float) -> float:
        """Two-sided p of a difference against none, by the t distribution.

        1 where there is one user, or nothing changed; 0 where every user and fit changed alike.
        """
        error = np.sqrt(self.variance)
        if self.n_users < 2 or difference == 0:
            return 1.0
        if error <= 1e-12 * abs(difference):
            return 0.0
        return float(2 * stats.t.sf(abs(difference) / error, self.df))

    def half_width(self, level: float) -> float:
        """Half the confidence interval by the t distribution."""
        return float(stats.t.ppf((1 + level) / 2, self.df) * np.sqrt(self.variance))

    def fits_needed(self, effect: float, level: float, least: int, power: float) -> int | None:
        """How many fits of each pipeline would show a difference of this size.

        The power of the test above, from the noncentral t distribution, with the variances found
        here: those by fits shrink with their number, that by users does not.

        level, power: of the test, such as .005 and .8. least: the fewest fits that are proposed.
        Returns None where `MOST_FITS` would not do: these users are too few.
        """
        if not self.repeats or not self.of_users + self.by_fits:
            return None
        counts = range(least, MOST_FITS + 1)
        at = bisect_left(counts, power, key=lambda n: self._power(n, effect, level))
        return counts[at] if at < len(counts) else None

    def _power(self, n: int, effect: float, level: float) -> float:
        """That of the test with n fits of each pipeline; it grows with n."""
        of_fits = np.array([repeat.n * repeat.between / n for repeat in self.repeats])
        total = self.of_users + of_fits.sum()
        # shares, not squares: the square of a small variance would be 0
        users, fits = (self.of_users / total) ** 2, np.square(of_fits / total).sum()
        df = 1 / (users / max(self.n_users - 1, 1) + fits / (n - 1))
        return float(stats.nct.sf(stats.t.isf(level / 2, df), df, abs(effect) / np.sqrt(total)))


def spread(by_user: np.ndarray, layouts: list[np.ndarray]) -> Spread:
    """The variance of the mean of `by_user`, which is made of the means of these layouts.

    Parameters
    ----------
    by_user
        A value a user, float [users]: a mean over fits, or a difference of two such means.
    layouts
        For each pipeline its values, float [fits, users]; NaN where a user was not judged. They
        are independent draws: fits that are paired by seed come as one layout of differences.
    """
    n = len(by_user)
    by_users = float(by_user.var(ddof=1)) / n if n > 1 else 0.0
    found = tuple(repeats(layout) for layout in layouts)
    return Spread(by_users, n, tuple(repeat for repeat in found if repeat.n > 1))


def repeats(layout: np.ndarray) -> Repeats:
    """What the fits of one pipeline add. layout: float [fits, users], NaN for a user not judged.

    Where users are missing, the means of the fits differ by that too: the variance is then a little
    too large, never too small.
    """
    n_fits = len(layout)
    if n_fits == 1 or same_fits(layout):
        return Repeats(1, 0.0, 0.0)
    between = float(np.nanmean(layout, axis=1).var(ddof=1)) / n_fits
    judged = ~np.isnan(layout)
    user_means = np.nanmean(layout, axis=0)
    deviation = layout - user_means
    residual = deviation - np.nanmean(deviation, axis=1, keepdims=True)
    df = judged.sum() - layout.shape[1] - n_fits + 1
    overlap = float(np.nansum(residual**2)) / df / judged.sum() if df > 0 else 0.0
    return Repeats(n_fits, between, overlap)


def same_fits(layout: np.ndarray) -> bool:
    """Whether all fits gave every user the same value: a pipeline without chance in it."""
    return bool(np.array_equal(layout, np.broadcast_to(layout[0], layout.shape), equal_nan=True))
