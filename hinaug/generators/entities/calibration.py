"""Temperature and popularity of a method's logits, found on a pool of new nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse as sp

from hinaug.generators.entities.links import (
    JUDGED,
    Logits,
    calibrated,
    coherent_temperature,
    drawn_by,
)
from hinaug.generators.entities.real import Real

POOL = 2000  # generated nodes that popularity is fitted on
MOST_LOGITS = 2**26  # of a pool that are kept

ViewLogits = Callable[[int, Sequence[sp.csr_array], slice], np.ndarray]


def pool_of(real: Real, rng: np.random.Generator) -> np.ndarray:
    """Random real nodes, 2,000 at most, that pool nodes are made after."""
    return rng.permutation(len(real.nodes))[:POOL]


def calibrate(
    real: Real,
    pool: np.ndarray,
    logits_of: ViewLogits,
    temperature: float | None,
    rng: np.random.Generator,
) -> tuple[list[float], list[np.ndarray]]:
    """For each view, in chain order, a temperature and offsets: draws by logits / temperature +
    offsets are as coherent and their targets as popular as real ones.

    Parameters
    ----------
    real, pool
        Real nodes, and those that pool nodes are made after.
    logits_of
        Plain logits [b, m] of pool nodes: (view, their links in the views before, rows).
    temperature
        None finds one for each view.
    """
    n = len(real.nodes)
    temperatures, all_offsets = [], []
    drawn: list[sp.csr_array] = []
    for at, view in enumerate(real.views):
        plain = _kept(logits_of, at, drawn, len(pool), len(view.targets))
        degree, found = view.degree[pool], temperature or 1.0
        offsets = np.zeros(len(view.targets), np.float32)
        # profiles that temperatures are judged by stand first in the pool
        judged = pool[: min(JUDGED, n // 2)]
        if temperature is None and len(judged):
            basis = view.links[np.setdiff1d(np.arange(n), judged)]
            first = degree[: len(judged)]
            found, offsets = coherent_temperature(
                plain, first, view.counts, basis, view.links[judged], rng
            )
        at_temperature = _scaled(plain, found)
        offsets = calibrated(at_temperature, degree, view.counts, offsets, steps=10)
        temperatures.append(found)
        all_offsets.append(offsets)
        made = drawn_by(at_temperature, offsets, degree, rng)
        drawn.append(made.matrix(len(pool), len(view.targets)))
    return temperatures, all_offsets


def _kept(
    logits_of: ViewLogits, at: int, drawn: Sequence[sp.csr_array], n: int, width: int
) -> Logits:
    """The logits of a pool, kept where they are few, since many passes need them."""
    if n * width > MOST_LOGITS:
        return lambda rows: logits_of(at, drawn, rows)
    kept = logits_of(at, drawn, slice(0, n))
    return lambda rows: kept[rows]


def _scaled(logits_of: Logits, temperature: float) -> Logits:
    return lambda rows: logits_of(rows) / np.float32(temperature)
