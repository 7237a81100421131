"""What goes with an item: rules with support, confidence and lift, as a table and as edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug import checks
from hinaug.errors import ParameterError
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN

RANKS = ("lift", "confidence", "support")


@dataclass(frozen=True)
class Associations:
    """Rules src -> dst. table: src, dst, n, support, confidence, lift, strongest first for each
    src. delta: the same as edges (item, "associated", end).
    """

    table: pa.Table
    delta: Delta


def associations(
    hin: HIN,
    item: Any = None,
    path: Sequence[str] = ("item", "user", "item"),
    *,
    k: int = 10,
    least: int = 3,
    by: str = "lift",
    name: str = "associated",
) -> Associations:
    """The ends of a path that go with an item more often than chance has it.

    Agrawal, Imielinski and Swami, "Mining association rules", SIGMOD 1993. The second type of the
    path gives the baskets, such as users. With n_i of the N baskets that hold item i, n_j those
    that hold or lead to j, and n_ij those of both,

        support = n_ij / N    confidence = n_ij / n_i    lift = n_ij N / (n_i n_j)

    Parameters
    ----------
    hin
        The graph to read, `split.train` where something is held out. Generated rows do not count.
    item
        An id or a list of ids of the path's first type; None is all of them.
    path
        Node types: the item, the baskets, and on to what is associated, such as ("item", "user",
        "item") or ("item", "user", "item", "genre").
    k
        Rules an item, at most.
    least
        Baskets of both, n_ij, at least: lift is a noisy number where they are few.
    by
        "lift", "confidence" or "support": what strongest means. Equal ones by n_ij, then by id.
    name
        The middle word of the edges' type.

    Raises ParameterError for a path of fewer than three types or another `by`. Memory grows with
    the pairs that share a basket, of the items asked for.

    Example
    -------
    >>> edges = {"src": list("aabbc"), "dst": list("pqpqr")}
    >>> nodes = {"user": {"id": list("abc")}, "item": {"id": list("pqr")}}
    >>> hin = HIN.from_tables(nodes, {("user", "rates", "item"): edges})
    >>> found = associations(hin, "p", least=2)
    >>> found.table.select(["src", "dst", "n", "confidence", "lift"]).to_pylist()
    [{'src': 'p', 'dst': 'q', 'n': 2, 'confidence': 1.0, 'lift': 1.5}]
    """
    path = tuple(path)
    if len(path) < 3 or by not in RANKS:
        raise ParameterError(
            f"associations: path={path}, by={by!r}: at least three node types, (item, basket, "
            f"..., end), and one of {RANKS} are needed",
            asked=(path, by),
            there=RANKS,
        )
    checks.whole(k, "associations: k", 1)
    checks.whole(least, "associations: least", 1)
    hin = hin.observed()
    baskets, ends = _binary(hin.metapath(*path[:2])), _binary(hin.metapath(*path[1:]))
    asked = [item] if isinstance(item, str | int) else item
    rows = np.arange(baskets.shape[0]) if asked is None else hin.positions(path[0], list(asked))
    found = _rules(baskets, ends, rows, path[0] == path[-1], k, least, by)
    table = pa.table(
        {
            "src": hin.ids(path[0], found.pop("row")).cast(pa.string()),
            "dst": hin.ids(path[-1], found.pop("col")).cast(pa.string()),
            **found,
        }
    )
    edges = {(path[0], name, path[-1]): table}
    delta = Delta(edges=edges, origin="associations", fitted_on=(hin.fingerprint(),))
    return Associations(table, delta)


def _rules(
    baskets: sp.csr_array,
    ends: sp.csr_array,
    rows: np.ndarray,
    same: bool,
    k: int,
    least: int,
    by: str,
) -> dict[str, Any]:
    """The columns of the strongest rules."""
    both = (baskets[rows] @ ends).tocoo()
    at, col = both.coords
    row, n = rows[at], both.data
    kept = (n >= least) & ~(same & (row == col))
    at, row, col, n = at[kept], row[kept], col[kept], n[kept]
    n_i, n_j = baskets.sum(axis=1)[row], ends.sum(axis=0)[col]
    rank: dict[str, Any] = {
        "support": n / ends.shape[0],
        "confidence": n / n_i,
        "lift": n * ends.shape[0] / (n_i * n_j),
    }
    order = np.lexsort((col, -n, -rank[by], at))
    at = at[order]
    best = order[np.arange(len(at)) - np.searchsorted(at, at) < k]
    counts = {"row": row[best], "col": col[best], "n": n[best].astype(np.int64)}
    return counts | {name: values[best] for name, values in rank.items()}


def _binary(links: sp.csr_array) -> sp.csr_array:
    out = sp.csr_array(links, dtype=np.float64, copy=True)
    out.data[:] = 1
    return out
