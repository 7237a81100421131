"""A matrix of links as a graph of hinaug."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from hinaug.graph.hin import HIN

RELATION = ("user", "interacts", "item")


def graph(matrix: Any) -> HIN:
    """Users and items numbered as the rows and columns of a sparse matrix, one edge for each entry."""
    coo = sp.coo_array(matrix)
    ids = {name: {"id": np.arange(n)} for name, n in zip(("user", "item"), coo.shape, strict=True)}
    return HIN(ids, {RELATION: {"src": coo.row.astype(np.int32), "dst": coo.col.astype(np.int32)}})
