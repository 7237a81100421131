"""Drawing links from scores: exponential races, their inclusion probabilities, and offsets that
keep popularity real.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

NEVER = -30.0  # the logit of a target that no link speaks for


def rows_at_once(n_columns: int) -> int:
    """How many rows over all targets are held at once: 512, fewer where that is more than four
    million numbers.
    """
    return max(1, min(512, 2**22 // max(n_columns, 1)))


def gumbel_top(
    logits: np.ndarray, n: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """For each row of logits [b, m]: n different columns, drawn one after another in proportion to
    exp(logit).

    Adding Gumbel noise and taking the n largest does that in one go (Kool et al., "Stochastic Beams
    and Where to Find Them", ICML 2019). Columns at -inf are never drawn; the caller sees to it that
    n others are there. Returns (rows, columns), sorted by row.
    """
    if len(logits) == 0 or n.max(initial=0) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    keys = logits + rng.gumbel(size=logits.shape)
    width = min(int(n.max()), logits.shape[1])
    best = np.argpartition(-keys, width - 1, axis=1)[:, :width]
    best = np.take_along_axis(
        best, np.argsort(-np.take_along_axis(keys, best, axis=1), axis=1), axis=1
    )
    row, column = np.nonzero(np.arange(width)[None, :] < n[:, None])
    return row, best[row, column]


def inclusion(logits: np.ndarray, n: np.ndarray) -> np.ndarray:
    """The probability that each column is among the n drawn by `gumbel_top`, [b, m].

    The draw is a race of exponential clocks with rates exp(logit), stopped after n arrivals. Let t
    be the time at which n arrivals are expected. By then column j has arrived with probability
    1 - exp(-t exp(logit_j)). Newton steps find log t.
    """
    return _arrived(logits, n, None, newton_steps=30)[0]


def _arrived(
    logits: np.ndarray, n: np.ndarray, t: np.ndarray | None, newton_steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities of having arrived [b, m], and the times [b, 1].

    t: times to start from, such as those of similar logits; None starts from n.
    """
    rate = logits - logits.max(axis=1, keepdims=True)
    np.exp(rate, out=rate)
    rate /= rate.sum(axis=1, keepdims=True)
    n_possible = np.count_nonzero(rate, axis=1)
    wanted = np.minimum(n, 0.999 * n_possible).astype(rate.dtype)[:, None]
    t = np.maximum(wanted, 1e-9) if t is None else t
    for step in range(newton_steps + 1):
        waiting = np.exp(rate * -t)  # the probability of not having arrived
        arrived = 1 - waiting
        excess = arrived.sum(axis=1, keepdims=True) - wanted
        if step == newton_steps or np.abs(excess).max(initial=0) < 1e-3:
            break
        slope = t * np.einsum("ij,ij->i", rate, waiting)[:, None]
        t = t * np.exp(np.clip(-excess / np.maximum(slope, 1e-12), -2, 2))
    return arrived, t


def popularity_offsets(
    logits_of: Callable[[slice], np.ndarray], n: np.ndarray, counts: np.ndarray, steps: int = 15
) -> np.ndarray:
    """What to add to each column's logit so that draws meet the real popularity, float32 [m].

    Iterative proportional fitting (Deming and Stephan, Annals of Mathematical Statistics 1940): a
    step compares the expected count of each column under `inclusion` with its share of the real
    ones, and adds the log of the ratio. Fifteen steps bring it within a few per cent. Columns
    without a real link are never drawn.

    Parameters
    ----------
    logits_of
        Gives the logits of a block of rows, [b, m]; called once a block and step.
    n
        How many links each row draws, [k].
    counts
        The real links of each column, [m].
    steps
        Passes over all rows.

    Time O(steps x k x m), memory one block of some four million numbers.
    """
    counts = np.asarray(counts, np.float64)
    target = counts * (n.sum() / max(counts.sum(), 1))
    never, block = counts <= 0, rows_at_once(len(counts))
    offsets = np.where(never, NEVER, 0.0)
    times: dict[int, np.ndarray] = {}
    for _ in range(steps):
        expected = np.zeros(len(counts))
        for at in range(0, len(n), block):
            rows = slice(at, min(at + block, len(n)))
            logits = np.asarray(logits_of(rows), np.float32) + offsets.astype(np.float32)
            # a first pass finds the times; later ones correct them as the offsets change
            newton_steps = 2 if at in times else 10
            arrived, times[at] = _arrived(logits, n[rows], times.get(at), newton_steps)
            expected += arrived.sum(axis=0, dtype=np.float64)
        step = np.log(np.maximum(target, 1e-9) / np.maximum(expected, 1e-9))
        offsets = np.where(never, NEVER, offsets + np.clip(step, -3, 3))
    return offsets.astype(np.float32)
