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

    The draw is a race of exponential clocks with rates exp(logit), stopped after n arrivals; with t
    the time at which n arrivals are expected, column j has arrived with probability 1 - exp(-t
    exp(logit_j)). Newton steps find log t.
    """
    return _arrived(logits, n, None)[0]


def _arrived(
    logits: np.ndarray, n: np.ndarray, t: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities, and the times [b, 1], which are a good start for logits that are much the
    same.
    """
    rate = np.exp(logits - logits.max(axis=1, keepdims=True))
    rate /= rate.sum(axis=1, keepdims=True)
    wanted = np.minimum(n, 0.999 * (rate > 0).sum(axis=1)).astype(rate.dtype)[:, None]
    t = np.maximum(wanted, 1e-9) if t is None else t
    for _ in range(30):
        there = rate * -t
        slope = -there
        np.expm1(there, out=there)  # minus the probability of having arrived
        excess = -there.sum(axis=1, keepdims=True) - wanted
        if np.abs(excess).max(initial=0) < 1e-3:
            break
        slope = np.einsum("ij,ij->i", slope, 1 + there)[:, None]
        t = t * np.exp(np.clip(-excess / np.maximum(slope, 1e-12), -2, 2))
    return -np.expm1(rate * -t), t


def popularity_offsets(
    logits_of: Callable[[slice], np.ndarray], n: np.ndarray, counts: np.ndarray, steps: int = 15
) -> np.ndarray:
    """What to add to each column's logit so that draws meet the real popularity: iterative
    proportional fitting.

    logits_of: a block of rows -> logits. n: links of each row. counts: real links of each column.
    In each step the expected count of a column under `inclusion` is compared with its share of the
    real ones, and the log of the ratio is added; 15 steps bring it within a few per cent. Columns
    without a real link are never drawn.
    """
    target = counts * (n.sum() / max(counts.sum(), 1))
    never, block = counts <= 0, rows_at_once(len(counts))
    offsets = np.where(never, NEVER, 0.0)
    times: dict[int, np.ndarray] = {}
    for _ in range(steps):
        expected = np.zeros(len(counts))
        for at in range(0, len(n), block):
            rows = slice(at, min(at + block, len(n)))
            logits = (logits_of(rows) + offsets).astype(np.float32)
            arrived, times[at] = _arrived(logits, n[rows], times.get(at))
            expected += arrived.sum(axis=0, dtype=np.float64)
        step = np.log(np.maximum(target, 1e-9) / np.maximum(expected, 1e-9))
        offsets = np.where(never, NEVER, offsets + np.clip(step, -3, 3))
    return offsets
