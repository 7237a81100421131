"""random_delta: as many changes as a given delta makes, drawn at random, to compare with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hinaug import checks
from hinaug.checks import Rng
from hinaug.errors import KindError, ParameterError, some
from hinaug.generators.pairs import rows_at_once, rows_of_pairs, turned
from hinaug.graph import arrow as tb
from hinaug.graph import expect
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import relation_shape
from hinaug.graph.schema import EdgeType

BY = ("uniform", "popularity")


def random_delta(hin: HIN, like: Delta, rng: Rng = None, *, by: str = "popularity") -> Delta:
    """A delta with as many changes as `like`, drawn at random.

    What `like` gains beyond it is due to what `like` holds, not to its size.

    edges: the same sources, each as often as before, with other targets: unobserved ones of the
        graph, none twice, never the source itself, uniform or in proportion to their degree. Where
        only the target is a generated node, the sources are redrawn instead. Confidence and
        attributes (a rating) stay on their rows. What `like` says twice is drawn once: a pair that
        also stands in another relation, or in the other direction, does so in the control.
    nodes: as many new ones, with the same links per relation as those of `like`. Each column is
        drawn from the observed rows on its own (a bootstrap), nulls included: the margins are
        real, and no column depends on another.
    masks: as many observed pairs, uniform.
    values: the same cells, each with a value observed elsewhere in its column.
    columns: the same cells with their values shuffled, so that a value says nothing of its row.
        Values that fill such a column are drawn from it.
    Cells of generated nodes and edges go to those that stand in their place.

    hin: the graph that `like` was made for.
    by: "popularity" (the harder control, hence the default) or "uniform".

    Confidence is that of the row of `like` which is replaced. Raises ParameterError where too few
    unobserved pairs are left.
    """
    expect.graph(hin, "random_delta")
    if not isinstance(like, Delta):
        raise KindError(
            f"random_delta(hin, like) takes a Delta to be like, got {checks.kind(like)}; see the "
            "generators"
        )
    if by not in BY:
        raise ParameterError(f"by={by!r}: expected one of {BY}", asked=by, there=BY)
    rng = checks.generator(rng, "random_delta")
    new_ids = {type: _new_ids(type, rows, like) for type, rows in like.nodes.items()}
    nodes = {
        type: _random_nodes(hin, type, rows, new_ids[type], rng)
        for type, rows in like.nodes.items()
    }
    edges = _all_random_edges(hin, like, new_ids, by, rng)
    masks = {type: _random_masks(hin, type, rows, rng) for type, rows in like.masks.items()}

    def moved(key: Any, cells: pa.Table) -> pa.Table:
        return _moved_cells(key[0], cells, like, edges, new_ids)

    values = {
        key: _drawn_values(moved(key, cells), _values_to_draw(hin, *key, like), rng)
        for key, cells in like.values.items()
    }
    columns = {key: _shuffled_values(moved(key, cells), rng) for key, cells in like.columns.items()}
    fitted_on = [hin.fingerprint()]
    return Delta(nodes, edges, masks, values, columns, origin=f"random({by})", fitted_on=fitted_on)


def _new_ids(type: str, rows: pa.Table, like: Delta) -> pa.Array:
    digest = hashlib.sha256(f"{like.uid}:{type}".encode()).hexdigest()[:8]
    return pa.array([f"random-{digest}-{i}" for i in range(rows.num_rows)])


def _random_nodes(
    hin: HIN, type: str, rows: pa.Table, ids: pa.Array, rng: np.random.Generator
) -> pa.Table:
    """As many nodes as `rows`, each column drawn on its own from the observed nodes."""
    real, columns = hin.nodes[type].slice(0, hin.n_observed(type)), {"id": ids}
    if not real.num_rows:
        raise ParameterError(
            f"random_delta: there are no {type!r} nodes to draw attributes from; pass a graph "
            "that has some",
            asked=type,
        )
    for name in rows.column_names:
        if name in real.column_names and name != "id":
            drawn = rng.integers(real.num_rows, size=rows.num_rows)
            columns[name] = real[name].take(pa.array(drawn))
    return pa.table({**columns, "confidence": rows["confidence"]})


def _random_masks(hin: HIN, type: EdgeType, rows: pa.Table, rng: np.random.Generator) -> pa.Table:
    """As many masks as `rows`, of observed pairs that are not masked yet.

    Where the type has generated edges alone, of pairs of those.
    """
    observed = hin.observed()
    n_sources, n_targets = relation_shape(observed, type)
    visible = hin.adjacency(type)[:n_sources, :n_targets]
    if type in observed.edges:
        visible = sp.csr_array(visible.multiply(observed.adjacency(type)))
    src, dst = visible.nonzero()
    drawn = rng.choice(len(src), min(rows.num_rows, len(src)), replace=False)
    return pa.table(
        {
            "src": observed.ids(type[0], src[drawn]),
            "dst": observed.ids(type[2], dst[drawn]),
            "confidence": rows["confidence"].slice(0, len(drawn)),
        }
    )


def _values_to_draw(hin: HIN, type: Any, column: str, like: Delta) -> pa.Array:
    """The values of a column that is filled: the observed ones; else those of deltas."""
    if (type, column) in like.columns:
        return tb.one_chunk(like.columns[type, column]["value"])
    observed = hin.observed()
    is_observed = type in (observed.edges if isinstance(type, tuple) else observed.nodes)
    if is_observed and column in observed.table(type).column_names:
        hin = observed
    values = hin.column(type, column).drop_null()
    if not len(values):
        raise ParameterError(
            f"random_delta: column {column!r} of {type!r} has no observed value to draw from; "
            "leave its values out of `like`",
            asked=(type, column),
        )
    return values


def _drawn_values(cells: pa.Table, values: pa.Array, rng: np.random.Generator) -> pa.Table:
    """The cells, each with one of these values."""
    drawn = values.take(pa.array(rng.integers(len(values), size=cells.num_rows)))
    return cells.set_column(cells.column_names.index("value"), "value", drawn)


def _shuffled_values(cells: pa.Table, rng: np.random.Generator) -> pa.Table:
    """The cells with their values in another order; the lineage of the column stays."""
    at = cells.column_names.index("value")
    values = tb.one_chunk(cells["value"]).take(pa.array(rng.permutation(cells.num_rows)))
    return cells.set_column(at, cells.schema.field(at), values)


def _moved_cells(
    type: Any,
    cells: pa.Table,
    like: Delta,
    edges: dict[EdgeType, pa.Table],
    new_ids: dict[str, pa.Array],
) -> pa.Table:
    """Cells without their marks, of the new nodes and edges that stand for those of `like`."""
    cells = cells.drop_columns(["origin", "key"])
    if not isinstance(type, tuple):
        return _with_ids(cells, {"id": _stand_in(cells["id"], type, like, new_ids)})
    ends = {
        side: _stand_in(cells[side], node, like, new_ids)
        for side, node in (("src", type[0]), ("dst", type[2]))
    }
    if type in like.edges:
        row = rows_of_pairs(like.edges[type], cells)
        is_generated = pa.array(row >= 0)
        for side, ids in ends.items():
            drawn = tb.one_chunk(edges[type][side]).take(pa.array(np.maximum(row, 0)))
            ends[side] = pc.if_else(is_generated, drawn, ids)
    return _with_ids(cells, ends)


def _stand_in(
    ids: pa.ChunkedArray, node: str, like: Delta, new_ids: dict[str, pa.Array]
) -> pa.Array:
    """The ids, with the new node of the control for each one that `like` generated."""
    ids = tb.one_chunk(ids)
    if node not in like.nodes:
        return ids
    row = tb.lookup(tb.one_chunk(like.nodes[node]["id"]), ids)
    made = new_ids[node].take(pa.array(np.maximum(row, 0)))
    return pc.if_else(pa.array(row >= 0), made, ids)


def _with_ids(cells: pa.Table, ids: dict[str, pa.Array]) -> pa.Table:
    for name, column in ids.items():
        cells = cells.set_column(cells.column_names.index(name), name, column)
    return cells


def _all_random_edges(
    hin: HIN, like: Delta, new_ids: dict[str, pa.Array], by: str, rng: np.random.Generator
) -> dict[EdgeType, pa.Table]:
    edges: dict[EdgeType, pa.Table] = {}
    for type, rows in like.edges.items():
        twin, reverse = _drawn_twin(type, rows, like, edges), rows_of_pairs(rows, turned(rows))
        if twin is not None:
            edges[type] = twin
        elif type[0] == type[2] and (reverse >= 0).all():
            edges[type] = (
                _random_mirrored(hin, type, rows, reverse, like, new_ids, by, rng)
                if type[0] in new_ids
                else _random_symmetric(hin, type, rows, reverse, by, rng)
            )
        else:
            edges[type] = _random_edges(hin, type, rows, like, new_ids, by, rng)
    return edges


def _drawn_twin(
    type: EdgeType, rows: pa.Table, like: Delta, drawn: dict[EdgeType, pa.Table]
) -> pa.Table | None:
    """The rows with the ends of those that stand for them in a relation that is drawn already,
    where that has all their pairs; else None.
    """
    for other, made in drawn.items():
        for ends, sides in (((0, 2), ("src", "dst")), ((2, 0), ("dst", "src"))):
            if (type[0], type[2]) != (other[ends[0]], other[ends[1]]):
                continue
            asked = pa.table({"src": rows[sides[0]], "dst": rows[sides[1]]})
            row = pa.array(rows_of_pairs(like.edges[other], asked))
            if pc.all(pc.greater_equal(row, 0)).as_py():
                found = {"src": made[sides[0]].take(row), "dst": made[sides[1]].take(row)}
                return _with_ids(rows, found).drop_columns(["origin", "key"])
    return None


def _random_edges(
    hin: HIN,
    type: EdgeType,
    rows: pa.Table,
    like: Delta,
    new_ids: dict[str, pa.Array],
    by: str,
    rng: np.random.Generator,
) -> pa.Table:
    """The rows with one end redrawn: the target, unless that is generated and the source is not."""
    node = {"src": type[0], "dst": type[2]}
    ends = {side: _end_positions(hin, node[side], rows[side], like) for side in node}
    is_new = {side: ends[side] >= hin.n(node[side]) for side in node}
    known = _known_links(hin, type)
    for redrawn, fixed, free in (
        (~is_new["dst"], "src", "dst"),
        (is_new["dst"] & ~is_new["src"], "dst", "src"),
    ):
        at = np.flatnonzero(redrawn)
        at = at[np.argsort(ends[fixed][at], kind="stable")]
        matrix = known if fixed == "src" else known.T.tocsr()
        n = hin.n_observed(node[free])
        for place, drawn in _draw(matrix, ends[fixed][at], n, by, type[0] == type[2], rng):
            ends[free][at[place]] = drawn
    every = {
        name: pa.concat_arrays([tb.one_chunk(hin.nodes[name]["id"]), *_listed(new_ids.get(name))])
        for name in node.values()
    }
    drawn_ids = {side: every[name].take(pa.array(ends[side])) for side, name in node.items()}
    return _with_ids(rows, drawn_ids).drop_columns(["origin", "key"])


def _listed(ids: pa.Array | None) -> list[pa.Array]:
    return [] if ids is None else [ids]


def _random_symmetric(
    hin: HIN,
    type: EdgeType,
    rows: pa.Table,
    reverse: np.ndarray,
    by: str,
    rng: np.random.Generator,
) -> pa.Table:
    """The rows of a symmetric relation with redrawn pairs of nodes, each in both directions.

    reverse: the row of each pair in the other direction, int64 [rows].
    """
    ends = [hin.positions(type[0], rows[side]) for side in ("src", "dst")]
    known = _known_links(hin, type)
    known = sp.csr_array(known + known.T)
    n = hin.n(type[0])
    waiting = np.flatnonzero(np.arange(len(reverse)) <= reverse)
    while len(waiting):  # two nodes may draw each other, and one of the two draws again
        waiting = waiting[np.argsort(ends[0][waiting], kind="stable")]
        drawn = np.empty(len(waiting), np.int64)
        for place, targets in _draw(
            known, ends[0][waiting], hin.n_observed(type[0]), by, True, rng
        ):
            drawn[place] = targets
        low, high = (f(ends[0][waiting], drawn) for f in (np.minimum, np.maximum))
        _, first = np.unique(low * n + high, return_index=True)
        done = waiting[first]
        ends[1][done] = drawn[first]
        pairs = (np.append(low[first], high[first]), np.append(high[first], low[first]))
        known = sp.csr_array(known + sp.csr_array((np.ones(2 * len(first)), pairs), shape=(n, n)))
        waiting = np.delete(waiting, first)
    second = np.flatnonzero(np.arange(len(reverse)) > reverse)
    both = [ends[side][reverse[second]] for side in (1, 0)]
    for side in (0, 1):
        ends[side][second] = both[side]
        ids = tb.one_chunk(hin.nodes[type[0]]["id"]).take(pa.array(ends[side]))
        rows = _with_ids(rows, {("src", "dst")[side]: ids})
    return rows.drop_columns(["origin", "key"])


def _random_mirrored(
    hin: HIN,
    type: EdgeType,
    rows: pa.Table,
    reverse: np.ndarray,
    like: Delta,
    new_ids: dict[str, pa.Array],
    by: str,
    rng: np.random.Generator,
) -> pa.Table:
    """The rows of a symmetric relation of new nodes: one direction of each pair drawn from its new
    node, the other turned round.

    reverse: the row of each pair in the other direction, int64 [rows].
    """
    first = np.flatnonzero(np.arange(len(reverse)) <= reverse)
    half, is_new = rows.take(pa.array(first)), like.nodes[type[0]]["id"]
    turned_round = pc.and_not(
        pc.is_in(half["dst"], value_set=is_new), pc.is_in(half["src"], value_set=is_new)
    )
    ends = half["src"], half["dst"]
    half = _with_ids(
        half, {"src": pc.if_else(turned_round, *ends[::-1]), "dst": pc.if_else(turned_round, *ends)}
    )
    drawn = _random_edges(hin, type, half, like, new_ids, by, rng)
    place, is_turned = np.empty(len(rows), np.int64), np.empty(len(rows), bool)
    flags = turned_round.to_numpy()
    for at, flag in ((reverse[first], ~flags), (first, flags)):
        place[at], is_turned[at] = np.arange(len(first)), flag
    src, dst = (tb.one_chunk(drawn[side]).take(pa.array(place)) for side in ("src", "dst"))
    flip = pa.array(is_turned)
    ids = {"src": pc.if_else(flip, dst, src), "dst": pc.if_else(flip, src, dst)}
    return _with_ids(rows, ids).drop_columns(["origin", "key"])


def _end_positions(hin: HIN, node: str, ids: pa.ChunkedArray, like: Delta) -> np.ndarray:
    """Positions of the ends of edges, int64; the new nodes of `like` follow those of the graph."""
    ids = tb.one_chunk(ids)
    real = tb.lookup(tb.one_chunk(hin.nodes[node]["id"]), ids).astype(np.int64)
    new = np.full(len(ids), -1)
    if node in like.nodes:
        new = tb.lookup(tb.one_chunk(like.nodes[node]["id"]), ids).astype(np.int64)
    found = np.where(real >= 0, real, np.where(new >= 0, hin.n(node) + new, -1))
    if (found < 0).any():
        unknown = ids.filter(pa.array(found < 0)).to_pylist()
        raise ParameterError(
            f"random_delta: {some(unknown)} are no {node!r} nodes of this graph or of `like`; "
            "pass the graph that `like` was made for",
            asked=unknown,
        )
    return found


def _known_links(hin: HIN, type: EdgeType) -> sp.csr_array:
    """Links that are not drawn: those of the graph, and observed ones that are masked."""
    shape = relation_shape(hin, type)
    known = hin.adjacency(type) if type in hin.edges else sp.csr_array(shape, dtype=np.float32)
    if type in hin.observed().edges:
        observed = hin.observed().adjacency(type).tocoo()
        known = sp.csr_array(known + sp.csr_array((observed.data, observed.coords), shape=shape))
    return known


def _draw(
    known: sp.csr_array,
    source: np.ndarray,
    n_targets: int,
    by: str,
    square: bool,
    rng: np.random.Generator,
) -> Iterator[tuple[slice, np.ndarray]]:
    """Targets for rows sorted by source, without replacement, among those it is not linked to.

    Yields (slice of the rows, target of each) for one block of sources after another. square:
    sources and targets are nodes of one type, and none is linked to itself.
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
                "make `like` smaller, such as like.top(k, per='src')",
                asked=int(n.max()),
                there=int(np.isfinite(keys).sum(axis=1).min()),
            )
        best = np.argsort(-keys, axis=1)[:, : n.max()]
        drawn = best[np.arange(n.max())[None, :] < n[:, None]]
        start = first[at]
        yield slice(start, start + len(drawn)), drawn
