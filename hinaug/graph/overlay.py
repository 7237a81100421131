"""Deltas on a graph: whether one can be put on or taken off, and the tables as seen through those
that are on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.errors import SchemaError, UnknownNameError, nearest, some
from hinaug.graph import arrow as tb
from hinaug.graph.schema import PROVENANCE, EdgeType

if TYPE_CHECKING:
    from hinaug.graph.delta import Delta
    from hinaug.graph.hin import HIN


def check_applicable(hin: HIN, delta: Delta) -> None:
    """Raises SchemaError where `hin + delta` has no meaning."""
    if any(d.uid == delta.uid for d in hin.deltas):
        raise SchemaError(
            f"{delta!r} is already applied to this graph; take it off with - before putting it on "
            "again"
        )
    for other in hin.deltas:
        both = (
            pc.sum(pc.is_in(delta.keys(), value_set=other.keys())).as_py()
            if len(delta) and len(other)
            else 0
        )
        if both:
            raise SchemaError(
                f"{both} rows of {delta!r} are already applied, as part of {other!r}; take that "
                "off first"
            )
    for type, table in delta.nodes.items():
        there = hin.nodes[type]
        taken = table["id"].filter(pc.is_in(table["id"], value_set=there["id"]))
        if len(taken):
            raise SchemaError(
                f"delta, nodes {type!r}: {len(taken)} ids are in the graph already: "
                f"{some(taken.slice(0, 1000).to_pylist())}; generated nodes need new ids"
            )
        _compatible(hin._nodes[type], table, f"delta, nodes {type!r}")
    for part in ("edges", "masks"):
        for type, table in delta._parts[part].items():
            if part == "masks":
                hin.edges[type]
            elif type in hin._edges:
                _compatible(
                    hin._edges[type].drop_columns(["src", "dst"]),
                    table.drop_columns(["src", "dst"]),
                    f"delta, edges {type}",
                )
            for side, node in (("src", type[0]), ("dst", type[2])):
                known = hin.nodes[node]["id"]
                missing = pc.invert(pc.is_in(table[side], value_set=known))
                if node in delta.nodes:
                    missing = pc.and_(
                        missing, pc.invert(pc.is_in(table[side], value_set=delta.nodes[node]["id"]))
                    )
                bad = table[side].filter(missing)
                if len(bad):
                    raise SchemaError(
                        f"delta, {part} {type}, column {side!r}: {len(bad)} ids are no {node!r} "
                        "nodes of this graph: "
                        f"{some(pc.unique(bad).slice(0, 1000).to_pylist())}; "
                        "apply the delta that generates them first, or use the graph that this "
                        "delta was made for"
                    )
    for (type, column), table in delta.values.items():
        known = hin._nodes_or_error(type).column_names
        if column not in known:
            raise UnknownNameError(
                f"delta, values: no column {column!r} in {type!r}; it has "
                f"{known}{nearest(column, known)}"
            )
        if column == "id":
            raise SchemaError(
                f"delta, values {(type, column)}: ids are never missing; a value cannot fill "
                f"them; name another of {known}"
            )
        _compatible(
            hin._nodes[type], pa.table({column: table["value"]}), f"delta, values of {type!r}"
        )
        bad = table["id"].filter(pc.invert(pc.is_in(table["id"], value_set=hin.nodes[type]["id"])))
        if len(bad):
            raise SchemaError(
                f"delta, values {(type, column)}: {len(bad)} ids are no {type!r} nodes of this "
                f"graph: {some(bad.to_pylist())}; "
                "apply the delta that generates them first, or use the graph that this delta was "
                "made for"
            )
        for other in hin.deltas:
            if (type, column) in other.values:
                both = table["id"].filter(
                    pc.is_in(table["id"], value_set=other.values[type, column]["id"])
                )
                if len(both):
                    raise SchemaError(
                        f"delta, values {(type, column)}: {other!r} already fills "
                        f"{some(both.to_pylist())}; "
                        "merge the two, or take one off"
                    )

    for part, there in (
        ("nodes", hin._nodes),
        ("edges", hin._edges),
    ):  # columns of unlike types raise here, not later
        for type, table in delta._parts[part].items():
            before = [d._parts[part][type] for d in hin.deltas if type in d._parts[part]]
            base = there.get(type, pa.table({}))
            ends = [c for c in ("src", "dst") if c in table.column_names]
            empty = [t.slice(0, 0).drop_columns(ends) for t in (*before, table)]
            tb.concat(
                [
                    _fit_types(t, base.select([c for c in base.column_names if c not in ends]))
                    for t in empty
                ]
            )


def check_removable(hin: HIN, delta: Delta) -> None:
    """Raises SchemaError where `hin - delta` has no meaning."""
    if not any(d.uid == delta.uid for d in hin.deltas):
        there = list(hin.deltas) or "none"
        raise SchemaError(
            f"{delta!r} is not applied to this graph; nothing was taken off; its deltas: {there}; "
            "take off the very delta put on"
        )
    for other in hin.deltas:
        if other.uid == delta.uid:
            continue
        for type, table in delta.nodes.items():
            sides = [
                rows[side]
                for part in ("edges", "masks")
                for edge, rows in other._parts[part].items()
                for side, node in (("src", edge[0]), ("dst", edge[2]))
                if node == type
            ]
            sides += [rows["id"] for (t, _), rows in other.values.items() if t == type]
            if any(pc.any(pc.is_in(ids, value_set=table["id"])).as_py() for ids in sides):
                raise SchemaError(
                    f"{other!r} uses {type!r} nodes that {delta!r} generated; take that off first"
                )
        rest = [d for d in hin.deltas if d.uid not in (delta.uid, other.uid)]
        for type in other.masks:
            if type not in hin._edges and not any(type in d.edges for d in rest):
                raise SchemaError(
                    f"{other!r} masks {type} edges, and only {delta!r} has that type; take that "
                    "off first"
                )


def _compatible(base: pa.Table, new: pa.Table, where: str) -> None:
    for field in new.schema:
        if field.name in base.column_names and field.name not in PROVENANCE:
            have = base.schema.field(field.name).type
            if pa.types.is_null(have):  # nothing is known of a column without a single value
                continue
            try:
                new[field.name].cast(have)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
                raise SchemaError(
                    f"{where}, column {field.name!r}: the graph has {have}, the delta "
                    f"{field.type}; cast the delta's column"
                ) from error


def _fit_types(new: pa.Table, base: pa.Table) -> pa.Table:
    known = {
        f.name: f.type
        for f in base.schema
        if f.name not in PROVENANCE and not pa.types.is_null(f.type)
    }
    fields = [pa.field(f.name, known[f.name]) if f.name in known else f for f in new.schema]
    return new.cast(pa.schema(fields))


def overlay_nodes(hin: HIN, type: str) -> pa.Table:
    """The node table as seen through the deltas: observed rows first, then the generated ones;
    filled cells filled.
    """
    base = hin._nodes[type]
    table = tb.concat(
        [base, *(_fit_types(d.nodes[type], base) for d in hin.deltas if type in d.nodes)]
    )
    for delta in hin.deltas:
        for (node, column), cells in delta.values.items():
            if node != type:
                continue
            at = table.column_names.index(column)
            values = tb.one_chunk(table[column])
            if pa.types.is_null(values.type):
                values = values.cast(cells["value"].type)
                table = table.set_column(at, column, values)
            found = tb.lookup(tb.one_chunk(cells["id"]), tb.one_chunk(table["id"]))
            filled = (
                tb.one_chunk(cells["value"])
                .cast(values.type)
                .take(pa.array(np.where(found < 0, 0, found), mask=found < 0))
            )
            hole = values.is_null().to_numpy(zero_copy_only=False) & (found >= 0)
            pick = np.where(hole, np.arange(len(values)) + len(values), np.arange(len(values)))
            table = table.set_column(
                at, table.schema.field(at), pa.concat_arrays([values, filled]).take(pa.array(pick))
            )
    return table


def overlay_edges(hin: HIN, type: EdgeType) -> pa.Table:
    """The edge table as seen through the deltas: observed rows, then generated ones whose pair was
    not observed; masked pairs left out.
    """
    base = hin._edges.get(type)
    if base is None:
        base = pa.table({"src": pa.array([], pa.int32()), "dst": pa.array([], pa.int32())})
    width = hin.n(type[2])
    sources, targets = (
        tb.one_chunk(hin.nodes[type[0]]["id"]),
        tb.one_chunk(hin.nodes[type[2]]["id"]),
    )

    def positions(rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        return tb.lookup(sources, tb.one_chunk(rows["src"])), tb.lookup(
            targets, tb.one_chunk(rows["dst"])
        )

    def codes(src: np.ndarray, dst: np.ndarray) -> np.ndarray:
        return src.astype(np.int64) * width + dst

    seen = codes(base["src"].to_numpy(), base["dst"].to_numpy())
    hidden = [codes(*positions(d.masks[type])) for d in hin.deltas if type in d.masks]
    masked = np.concatenate(hidden) if hidden else np.zeros(0, np.int64)
    parts = [base.filter(pa.array(~np.isin(seen, masked))) if masked.size else base]
    for delta in hin.deltas:
        if type in delta.edges:
            rows = delta.edges[type]
            src, dst = positions(rows)
            new = codes(src, dst)
            keep = ~np.isin(new, seen) & ~np.isin(new, masked)
            if not keep.any():
                continue
            rows = rows.set_column(0, "src", pa.array(src, pa.int32())).set_column(
                1, "dst", pa.array(dst, pa.int32())
            )
            parts.append(_fit_types(rows.filter(pa.array(keep)), base))
    return tb.concat(parts).combine_chunks()
