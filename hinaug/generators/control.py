"""random_delta: the control beside every claim, as many changes as a given delta makes, drawn at
random.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug import checks
from hinaug.checks import Rng
from hinaug.errors import KindError, ParameterError, some
from hinaug.generators.entities.draws import rows_at_once
from hinaug.graph import arrow as tb
from hinaug.graph import expect
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType

BY = ("uniform", "popularity")


def random_delta(hin: HIN, like: Delta, rng: Rng = None, *, by: str = "popularity") -> Delta:
    """A delta with the same numbers of everything as `like`, drawn at random. What `like` gains
    beyond it is its merit.

    edges: the same sources, each as often as before, with other targets: unobserved ones of the
        graph, none twice, uniform or in proportion to their degree. Where only the target is a
        generated node, the sources are redrawn instead. Confidence and attributes (a rating) stay
        on their rows.
    nodes: as many new ones, with the same links per relation as those of `like`; each column is
        drawn from the observed rows on its own (a bootstrap), nulls included, so that the margins
        are real and nothing depends on anything.
    masks: as many observed pairs, uniform. values: the same cells, each with a value observed
        elsewhere in its column.

    hin: the graph that `like` was made for. by: "popularity" (the harder control, hence the
        default) or "uniform".
    confidence: that of the row of `like` which is replaced. Raises ValueError where too few
    unobserved pairs are left.
    """
    expect.graph(hin, "random_delta")
    if not isinstance(like, Delta):
        raise KindError(
            f"random_delta(hin, like) takes a Delta to be like, got {checks.kind(like)}; see the "
            "generators"
        )
    if by not in BY:
        raise ParameterError(f"by={by!r}: expected one of {BY}")
    rng = checks.generator(rng, "random_delta")
    origin = f"random({by})"
    new_ids = {type: _new_ids(type, rows, like) for type, rows in like.nodes.items()}
    old_ids = {type: tb.one_chunk(rows["id"]) for type, rows in like.nodes.items()}
    nodes = {}
    for type, rows in like.nodes.items():
        real, columns = hin.nodes[type].slice(0, hin.n_observed(type)), {"id": new_ids[type]}
        if not real.num_rows:
            raise ParameterError(
                f"random_delta: there are no {type!r} nodes to draw attributes from; pass a graph "
                "that has some"
            )
        for name in rows.column_names:
            if name in real.column_names and name != "id":
                pick = rng.integers(real.num_rows, size=rows.num_rows)
                columns[name] = real[name].take(pa.array(pick))
        nodes[type] = pa.table({**columns, "confidence": rows["confidence"]})
    edges = {
        type: _edges(hin, type, rows, old_ids, new_ids, by, rng)
        for type, rows in like.edges.items()
    }
    masks = {}
    for type, rows in like.masks.items():
        src, dst = hin.adjacency(type)[
            : hin.n_observed(type[0]), : hin.n_observed(type[2])
        ].nonzero()
        pick = rng.choice(len(src), min(rows.num_rows, len(src)), replace=False)
        ids = hin.observed()
        confidence = rows["confidence"].slice(0, len(pick))
        masks[type] = pa.table(
            {
                "src": ids.ids(type[0], src[pick]),
                "dst": ids.ids(type[2], dst[pick]),
                "confidence": confidence,
            }
        )
    values = {}
    for (type, column), cells in like.values.items():
        there = hin.observed().column(type, column).drop_null()
        if not len(there):
            raise ParameterError(
                f"random_delta: column {column!r} of {type!r} has no observed value to draw from; "
                "leave its values out of `like`"
            )
        drawn = there.take(pa.array(rng.integers(len(there), size=cells.num_rows)))
        values[type, column] = pa.table(
            {"id": cells["id"], "value": drawn, "confidence": cells["confidence"]}
        )
    return Delta(nodes, edges, masks, values, origin=origin, fitted_on=[hin.fingerprint()])


def _new_ids(type: str, rows: pa.Table, like: Delta) -> pa.Array:
    digest = hashlib.sha256(f"{like.uid}:{type}".encode()).hexdigest()[:8]
    return pa.array([f"random-{digest}-{i}" for i in range(rows.num_rows)])


def _edges(
    hin: HIN,
    type: EdgeType,
    rows: pa.Table,
    old: dict,
    new: dict,
    by: str,
    rng: np.random.Generator,
) -> pa.Table:
    """The rows with one end redrawn: the target, unless that is generated and the source is not."""
    ends = {}  # position among the real nodes, or that of a generated node after them
    for side, node in (("src", type[0]), ("dst", type[2])):
        ids = tb.one_chunk(rows[side])
        real = tb.lookup(tb.one_chunk(hin.nodes[node]["id"]), ids).astype(np.int64)
        made = tb.lookup(old[node], ids).astype(np.int64) if node in old else np.full(len(ids), -1)
        ends[side] = np.where(real >= 0, real, np.where(made >= 0, hin.n(node) + made, -1))
        if (ends[side] < 0).any():
            unknown = ids.filter(pa.array(ends[side] < 0)).to_pylist()
            raise ParameterError(
                f"random_delta: {some(unknown)} are no {node!r} nodes of this graph or of `like`; "
                "pass the graph that `like` was made for"
            )
    width = {"src": hin.n(type[0]), "dst": hin.n(type[2])}
    fake = {side: ends[side] >= width[side] for side in ends}
    known = (
        hin.adjacency(type)
        if type in hin.edges
        else sp.csr_array((width["src"], width["dst"]), dtype=np.float32)
    )
    if type in hin.observed().edges:  # masked pairs were observed too
        base = hin.observed().adjacency(type).tocoo()
        known = sp.csr_array(known + sp.csr_array((base.data, base.coords), shape=known.shape))
    for rows_of, fixed, free in (
        (~fake["dst"], "src", "dst"),
        (fake["dst"] & ~fake["src"], "dst", "src"),
    ):
        at = np.flatnonzero(rows_of)
        matrix = known if fixed == "src" else known.T.tocsr()
        at = at[np.argsort(ends[fixed][at], kind="stable")]
        n = hin.n_observed(type[2] if free == "dst" else type[0])
        for place, drawn in _draw(matrix, ends[fixed][at], n, by, type[0] == type[2], rng):
            ends[free][at[place]] = drawn
    for side, node in (("src", type[0]), ("dst", type[2])):
        ids = [tb.one_chunk(hin.nodes[node]["id"]), *([new[node]] if node in new else [])]
        column = pa.concat_arrays(ids).take(pa.array(ends[side]))
        rows = rows.set_column(rows.column_names.index(side), side, column)
    return rows.drop_columns(["origin", "key"])


def _draw(
    known: sp.csr_array,
    source: np.ndarray,
    n_targets: int,
    by: str,
    square: bool,
    rng: np.random.Generator,
) -> Iterator[tuple[slice, np.ndarray]]:
    """For rows sorted by source: targets without replacement among those a source has not met, a
    block at a time.
    """
    known = known[:, :n_targets]
    degree = np.bincount(known.indices, minlength=n_targets)
    appeal = np.log(np.maximum(degree, 1e-6)) if by == "popularity" else np.zeros(n_targets)
    sources, first, count = np.unique(source, return_index=True, return_counts=True)
    block = rows_at_once(n_targets)
    for at in range(0, len(sources), block):
        src, n = sources[at : at + block], count[at : at + block]
        keys = appeal[None, :] + rng.gumbel(size=(len(src), n_targets))
        real = np.flatnonzero(src < known.shape[0])
        row, column = known[src[real]].nonzero()
        keys[real[row], column] = -np.inf
        if square:
            own = np.flatnonzero(src < n_targets)
            keys[own, src[own]] = -np.inf
        short = np.isfinite(keys).sum(axis=1) < n
        if short.any():
            raise ParameterError(
                f"random_delta: {short.sum()} sources have fewer unobserved targets than edges to "
                f"draw, of {n_targets:,} targets; "
                "make `like` smaller, such as like.top(k, per='src')"
            )
        best = np.argsort(-keys, axis=1)[:, : n.max()]
        drawn = best[np.arange(n.max())[None, :] < n[:, None]]
        start = first[at]
        yield slice(start, start + len(drawn)), drawn
