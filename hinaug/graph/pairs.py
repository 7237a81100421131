"""Pairs of a relation as an object."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType


def distinct(codes: np.ndarray) -> np.ndarray:
    """The distinct codes (whole numbers), sorted. `np.unique` hashes them, and codes of pairs
    collide: many times slower.
    """
    codes = np.sort(codes)
    return codes[np.append(True, codes[1:] != codes[:-1])[: len(codes)]]


def among(codes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which codes stand among `others`, which are sorted; bool. None is below 0."""
    return np.append(others, -1)[np.searchsorted(others, codes)] == codes


def interactions(hin: HIN, relation: EdgeType, weight: str | None = None) -> sp.csr_array:
    """The relation as CSR; weight "confidence" counts observed edges as 1 and generated ones as
    they say.
    """
    return (
        hin.adjacency(relation)
        if weight is None
        else hin.adjacency(relation, weight=weight, duplicates="max")
    )


def held_out(hin: HIN, relation: EdgeType, pairs: pa.Table) -> tuple[np.ndarray, sp.csr_array]:
    """Held-out pairs as (source positions [m], CSR [m, n_targets]); only the sources that have
    some.
    """
    src, dst = hin.positions(relation[0], pairs["src"]), hin.positions(relation[2], pairs["dst"])
    users, row = np.unique(src, return_inverse=True)
    matrix = sp.csr_array(
        (np.ones(len(row), np.float32), (row, dst)), shape=(len(users), hin.n(relation[2]))
    )
    matrix.data[:] = 1
    return users, matrix
