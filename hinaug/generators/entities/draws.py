"""Offsets of scores that keep the popularity of drawn links real."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hinaug.generators.pairs import rows_at_once

NEVER = -30.0  # the logit of a target that no link speaks for


def _arrived(
    logits: np.ndarray, n: np.ndarray, t: np.ndarray | None, newton_steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """The probability that each column is among the n drawn without replacement [b, m], and the
    times [b, 1] that give it.

    The draw is a race of exponential clocks with rates exp(logit), stopped after n arrivals. Let t
    be the time at which n arrivals are expected. By then column j has arrived with probability
    1 - exp(-t exp(logit_j)). Newton steps find log t.

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
    step compares the expected count of each column with its share of the real
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
