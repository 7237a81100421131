"""Near real rows for new nodes, and vectors that follow from links and attributes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from hinaug.features.kinds import present, vectors
from hinaug.generators.entities.attributes import MOST_ROWS
from hinaug.graph import arrow as tb

BLOCK = 512  # new rows that are compared with all real ones at once


def near_rows(real: np.ndarray, new: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """The k real rows [b, k] nearest to each new row, in random order, among at most 20,000."""
    rows = np.sort(rng.permutation(len(real))[:MOST_ROWS])
    base, asked = real[rows].astype(np.float32), new.astype(np.float32)
    k = min(k, len(rows))
    square = np.square(base).sum(axis=1)
    out = np.empty((len(new), k), np.int64)
    for at in range(0, len(new), BLOCK):
        far = square - 2 * asked[at : at + BLOCK] @ base.T
        out[at : at + BLOCK] = np.argpartition(far, k - 1, axis=1)[:, :k]
    return rng.permuted(rows[out], axis=1)


def new_vectors(
    column: pa.Array, real: np.ndarray, new: np.ndarray, donor: np.ndarray, l2: float = 1.0
) -> pa.Array:
    """Vectors of new nodes: v = f(new) + (v_d - f(real_d)), f by ridge regression.

    The residual of a near real row d gives them the spread of real vectors, which f alone lacks.
    Null where that of d is null or has infinite numbers.

    Parameters
    ----------
    column
        The real vectors, n rows.
    real, new
        What links and attributes say of real [n, w] and new nodes [k, w].
    donor
        A near real row of each new node [k].
    """
    values = vectors(column).astype(np.float64)
    known = present(column) & np.isfinite(values).all(axis=1)
    values[~known] = 0
    mean, spread = real.mean(axis=0), np.maximum(real.std(axis=0), 1e-6)
    x = (real - mean) / spread
    gram = x[known].T @ x[known] + l2 * np.eye(x.shape[1])
    centred = values[known] - values[known].mean(axis=0)
    slope = np.linalg.solve(gram, x[known].T @ centred)
    made = values[donor] + ((new - mean) / spread - x[donor]) @ slope
    return tb.vectors_array(made.astype(np.float32), known[donor]).cast(column.type)
