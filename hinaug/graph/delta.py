"""Delta: a reversible difference to a graph. Generators return deltas, never graphs.

A delta adds nodes and edges, masks edges and fills missing attribute values. It knows nodes by
their external ids, so one made on `split.train` applies to `split.train_valid` and to the whole
graph. Every row carries

    origin       which generator made it,
    confidence   in [0, 1]; what it means is the generator's to say,
    key          "delta:row", given once and kept by `select`, `top` and `merge`.

`hin + delta` puts the delta on, `hin - delta` takes it off; the observed tables are never touched.
The laws: `(h + d) - d == h`; independent deltas commute up to row order; observed positions never
move; a mask covers all parallel rows of its pair; where a generated edge has since been observed,
or a missing value has since been filled in the data, the observation wins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.checks import is_number, kind
from hinaug.errors import KindError, ParameterError, SchemaError, some
from hinaug.graph import arrow as tb
from hinaug.graph.schema import EdgeType

PARTS = ("nodes", "edges", "masks", "values")
_IDS = {"nodes": ("id",), "edges": ("src", "dst"), "masks": ("src", "dst"), "values": ("id",)}
_KEY = {
    "nodes": "a node type",
    "edges": "(source, relation, target)",
    "masks": "(source, relation, target)",
    "values": "(node type, column)",
}


class Delta:
    """Nodes and edges added, edges masked, missing values filled.

    nodes: {type: table with "id" and attributes}; ids must be new to the graph.
    edges: {edge type: table with "src", "dst" (external ids) and attributes}.
    masks: {edge type: table with "src", "dst"}: pairs whose rows are hidden.
    values: {(node type, column): table with "id", "value"}: fill where the graph has null.
    Every table may have "confidence" (1 where it is missing).
    origin: the generator's name. fitted_on: fingerprints of the graphs it learned from, which
    `audit` reads.
    """

    def __init__(
        self,
        nodes: Mapping[str, Any] | None = None,
        edges: Mapping[EdgeType, Any] | None = None,
        masks: Mapping[EdgeType, Any] | None = None,
        values: Mapping[tuple[str, str], Any] | None = None,
        *,
        origin: str = "unnamed",
        fitted_on: Iterable[str] = (),
    ) -> None:
        given: dict[str, Any] = {"nodes": nodes, "edges": edges, "masks": masks, "values": values}
        given = {part: {} if tables is None else tables for part, tables in given.items()}
        for part, tables in given.items():
            if not isinstance(tables, Mapping):
                raise KindError(
                    f"Delta: {part} is a dict of tables, {{{_KEY[part]}: table}}; got "
                    f"{kind(tables)}"
                )
        prints = list(fitted_on) if isinstance(fitted_on, Iterable) else [fitted_on]
        if isinstance(fitted_on, str) or not all(isinstance(p, str) for p in prints):
            raise KindError(
                "Delta: fitted_on is a list of fingerprints, [hin.fingerprint()]; got "
                f"{kind(fitted_on)}"
            )
        if not isinstance(origin, str):
            raise KindError(
                f"Delta: origin={origin!r}: a string is needed, such as the name of the generator"
            )
        self.fitted_on = tuple(sorted(set(prints)))
        parts = {
            part: {t: _check(part, t, table, origin) for t, table in given[part].items()}
            for part in PARTS
        }
        parts = {
            part: {t: table for t, table in tables.items() if table.num_rows}
            for part, tables in parts.items()
        }
        made = _digest(parts)[:12]
        row = 0
        for tables in parts.values():
            for type, table in tables.items():
                if "key" not in table.column_names:
                    keys = pa.array([f"{made}:{i}" for i in range(row, row + table.num_rows)])
                    tables[type] = table.append_column("key", keys)
                row += table.num_rows
        self._parts: dict[str, dict[Any, pa.Table]] = parts
        keys = self.keys()
        if len(pc.unique(keys)) != len(keys):
            twice = [v["values"] for v in pc.value_counts(keys).to_pylist() if v["counts"] > 1]
            raise SchemaError(
                "delta, column 'key': a key stands for one row, and some stand more than once: "
                f"{some(twice)}; "
                "leave the column out and new keys are made"
            )
        self.uid = _digest(parts)

    nodes = property(lambda self: self._parts["nodes"], doc="{type: pa.Table} of added nodes")
    edges = property(
        lambda self: self._parts["edges"],
        doc="{edge type: pa.Table} of added edges, by external id",
    )
    masks = property(lambda self: self._parts["masks"], doc="{edge type: pa.Table} of hidden pairs")
    values = property(
        lambda self: self._parts["values"], doc="{(type, column): pa.Table} of filled cells"
    )

    def tables(self) -> Iterable[tuple[str, Any, pa.Table]]:
        """(part, type, table) of everything that is there."""
        return ((part, type, table) for part in PARTS for type, table in self._parts[part].items())

    def keys(self) -> pa.Array:
        """The key of every row, strings, in the order of `tables`: nodes, edges, masks, values."""
        return (
            pa.concat_arrays([table["key"].chunk(0) for *_, table in self.tables()])
            if len(self)
            else pa.array([], pa.string())
        )

    def __len__(self) -> int:
        return sum(table.num_rows for *_, table in self.tables())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Delta) and self.uid == other.uid

    def __hash__(self) -> int:
        return hash(self.uid)

    def __add__(self, other: object) -> Delta:
        raise KindError(
            f"delta + {kind(other)}: a delta is put on a graph, hin + delta; two become one by "
            "merge([first, second])"
        )

    def select(self, rule: Any) -> Delta:
        """The rows that `rule` keeps; edges, masks and values of a generated node that goes, go
        with it. Keys survive.

        rule: a pyarrow expression (`pc.field("confidence") > 0.5`), a function table -> bool mask,
        or {type: bool mask}. Tables that lack a column of the expression are kept whole.
        """
        kept: dict[str, dict[Any, pa.Table]] = {part: {} for part in PARTS}
        for part, type, table in self.tables():
            kept[part][type] = table.filter(_mask(rule, type, table))
        for type, table in self.nodes.items():
            gone = pc.filter(
                table["id"], pc.invert(pc.is_in(table["id"], value_set=kept["nodes"][type]["id"]))
            )
            for part in ("edges", "masks"):
                for edge, rows in kept[part].items():
                    for side, node in (("src", edge[0]), ("dst", edge[2])):
                        if node == type:
                            rows = rows.filter(pc.invert(pc.is_in(rows[side], value_set=gone)))
                    kept[part][edge] = rows
            for cell, rows in kept["values"].items():
                if cell[0] == type:
                    kept["values"][cell] = rows.filter(
                        pc.invert(pc.is_in(rows["id"], value_set=gone))
                    )
        return Delta(*(kept[part] for part in PARTS), fitted_on=self.fitted_on)

    def top(self, k: int, per: str | None = None) -> Delta:
        """The k edges of highest confidence in each edge type, or per "src" or "dst" node; ties by
        row order.
        """
        if not (is_number(k, Integral) and k >= 0) or per not in (None, "src", "dst"):
            raise ParameterError(
                f"top(k={k!r}, per={per!r}): k is at least 0, a whole number, and per is None, "
                "'src' or 'dst'"
            )
        edges = {}
        for type, table in self.edges.items():
            confidence = table["confidence"].to_numpy()
            group = (
                np.zeros(table.num_rows, np.int64)
                if per is None
                else pc.dictionary_encode(table[per]).combine_chunks().indices.to_numpy()
            )
            order = np.lexsort((-confidence, group))
            sorted_group = group[order]
            first = np.searchsorted(sorted_group, sorted_group)
            keep = np.sort(order[np.arange(len(order)) - first < k])
            edges[type] = table.take(pa.array(keep))
        return Delta(self.nodes, edges, self.masks, self.values, fitted_on=self.fitted_on)

    def summary(self) -> pa.Table:
        """One row per part, type and origin: how many rows, lowest, mean and highest confidence."""
        rows = []
        for part, type, table in self.tables():
            groups = table.group_by("origin", use_threads=False).aggregate(
                [("confidence", f) for f in ("count", "min", "mean", "max")]
            )
            for g in groups.to_pylist():
                name = " ".join(type) if isinstance(type, tuple) else type
                rows.append(
                    {
                        "part": part,
                        "type": name,
                        "origin": g["origin"],
                        "rows": g["confidence_count"],
                        "min": g["confidence_min"],
                        "mean": g["confidence_mean"],
                        "max": g["confidence_max"],
                    }
                )
        names = {
            "part": pa.string(),
            "type": pa.string(),
            "origin": pa.string(),
            "rows": pa.int64(),
            "min": pa.float64(),
            "mean": pa.float64(),
            "max": pa.float64(),
        }
        return pa.Table.from_pylist(rows, schema=pa.schema(list(names.items())))

    def __repr__(self) -> str:
        if not len(self):
            return "Delta(empty)"
        parts = []
        for part, type, table in self.tables():
            parts.append(
                f"{table.num_rows:,} {' '.join(type) if isinstance(type, tuple) else type} {part}"
            )
        origins = sorted(
            {o for *_, table in self.tables() for o in pc.unique(table["origin"]).to_pylist()}
        )
        return f"Delta({', '.join(parts)} by {', '.join(origins)})"


def merge(deltas: Sequence[Delta], how: str = "union") -> Delta:
    """One delta from several: an ensemble of generators votes.

    how: "union" keeps every claim once (the most confident row of a pair or cell, with its key and
        origin); "majority" keeps the pairs and cells that more than half of the deltas claim,
        "intersection" those that all do; confidence is then the mean over the claims, and a column
        "votes" counts them.
    Generated nodes, and the edges that touch them, are in one delta only and nothing to vote on:
    they always stay.
    """
    given = list(deltas) if isinstance(deltas, Iterable) else [deltas]
    wrong = [d for d in given if not isinstance(d, Delta) or d is deltas]
    if wrong:
        raise KindError(
            f"merge takes a list of deltas, such as merge([first, second]); got {kind(wrong[0])}"
        )
    deltas = given
    if how not in ("union", "majority", "intersection"):
        raise ParameterError(f"how={how!r}: expected 'union', 'majority' or 'intersection'")
    if not deltas:
        return Delta()
    need = {"union": 1, "majority": len(deltas) // 2 + 1, "intersection": len(deltas)}[how]
    new_ids: dict[str, list[pa.Array]] = {}
    for delta in deltas:
        for type, table in delta.nodes.items():
            new_ids.setdefault(type, []).append(table["id"].chunk(0))
    merged: dict[str, dict[Any, pa.Table]] = {part: {} for part in PARTS}
    for part in PARTS:
        for type in dict.fromkeys(t for d in deltas for t in d._parts[part]):
            tables = [
                (i, d._parts[part][type]) for i, d in enumerate(deltas) if type in d._parts[part]
            ]
            rows = tb.concat([t for _, t in tables])
            voter = np.concatenate([np.full(t.num_rows, i) for i, t in tables])
            free = np.zeros(rows.num_rows, bool)
            if part == "nodes":
                free[:] = True
            elif part == "edges":
                for side, node in (("src", type[0]), ("dst", type[2])):
                    if node in new_ids:
                        free |= pc.is_in(
                            rows[side], value_set=pa.concat_arrays(new_ids[node])
                        ).to_numpy(zero_copy_only=False)
            merged[part][type] = _vote(rows, voter, _IDS[part], need, free, mean=how != "union")
    return Delta(
        *(merged[part] for part in PARTS), fitted_on=[f for d in deltas for f in d.fitted_on]
    )


def _vote(
    rows: pa.Table, voter: np.ndarray, names: Sequence[str], need: int, free: np.ndarray, mean: bool
) -> pa.Table:
    claim = np.zeros(rows.num_rows, np.int64)
    for name in names:
        codes = pc.dictionary_encode(rows[name]).combine_chunks()
        claim = claim * (len(codes.dictionary) + 1) + codes.indices.to_numpy()
    _, claim = np.unique(claim, return_inverse=True)
    confidence = rows["confidence"].to_numpy().astype(np.float64)
    pairs = np.unique(np.stack([claim, voter]), axis=1)
    votes = np.bincount(pairs[0], minlength=claim.max(initial=-1) + 1)
    order = np.lexsort((np.arange(len(claim)), -confidence, claim))
    best = order[np.r_[True, np.diff(claim[order]) != 0]] if len(order) else order
    keep = np.sort(best[(votes[claim[best]] >= need) | free[best]])
    out = rows.take(pa.array(keep))
    if mean:
        average = np.bincount(claim, confidence) / np.maximum(np.bincount(claim), 1)
        at = out.column_names.index("confidence")
        out = out.set_column(at, "confidence", pa.array(average[claim[keep]], pa.float32()))
        out = out.drop_columns([c for c in ("votes",) if c in out.column_names])
        out = out.append_column("votes", pa.array(votes[claim[keep]], pa.int32()))
    return out


def _check(part: str, type: Any, table: Any, origin: str) -> pa.Table:
    where = f"delta, {part} {type!r}"
    edge = part in ("edges", "masks")
    shape_ok = (
        isinstance(type, str)
        if part == "nodes"
        else isinstance(type, tuple) and len(type) == (3 if edge else 2)
    )
    if not shape_ok:
        raise SchemaError(
            f"{where}: the key of {part} is {_KEY[part]}, "
            f"{'a string' if part == 'nodes' else 'a tuple'}"
        )
    table = tb.as_table(table, where)
    needed = [*_IDS[part], *(["value"] if part == "values" else [])]
    for name in needed:
        if name not in table.column_names:
            raise SchemaError(
                f"{where}: no column {name!r}; there is {table.column_names}; rename one or add it"
            )
    if not table.num_rows:  # left out by the caller; empty columns often have no type
        return table
    for name in _IDS[part]:
        ids, _ = tb.id_strings(table[name].chunk(0), f"{where}, column {name!r}")
        table = table.set_column(table.column_names.index(name), name, ids)
    if part in ("nodes", "values") and len(pc.unique(table["id"])) != table.num_rows:
        twice = [v["values"] for v in pc.value_counts(table["id"]).to_pylist() if v["counts"] > 1]
        raise SchemaError(
            f"{where}, column 'id': {some(twice)} stand more than once; keep one row each"
        )
    if part == "values" and table["value"].null_count:
        raise SchemaError(f"{where}: a filled value cannot be null; leave those rows out")
    if "confidence" not in table.column_names:
        table = table.append_column("confidence", pa.array(np.ones(table.num_rows, np.float32)))
    if not tb.is_number(table["confidence"].type):
        raise SchemaError(
            f"{where}, column 'confidence': numbers in [0, 1], these are "
            f"{table['confidence'].type}; cast or drop the column"
        )
    confidence = table["confidence"].cast(pa.float32())
    span = pc.min_max(confidence).as_py()
    if confidence.null_count or span["min"] < 0 or span["max"] > 1:
        raise SchemaError(
            f"{where}, column 'confidence': numbers in [0, 1] without nulls; found {span['min']} "
            f"to {span['max']} and "
            f"{confidence.null_count} nulls; scale and fill the column, or drop it"
        )
    table = table.set_column(table.column_names.index("confidence"), "confidence", confidence)
    if "origin" not in table.column_names:
        table = table.append_column("origin", pa.array([origin] * table.num_rows, pa.string()))
    for name in ("origin", "key"):
        if name in table.column_names:
            words = tb.one_chunk(table[name])
            if not tb.is_text(words.type) or words.null_count:
                raise SchemaError(
                    f"{where}, column {name!r}: text without nulls; found {words.type}, "
                    f"{words.null_count} nulls; "
                    "cast and fill the column, or drop it"
                )
    first = [*needed, "confidence", "origin"]
    rest = [c for c in table.column_names if c not in first and c != "key"]
    return table.select(
        [*needed, *rest, "confidence", "origin", *(["key"] if "key" in table.column_names else [])]
    ).combine_chunks()


def _mask(rule: Any, type: Any, table: pa.Table) -> pa.Array:
    if isinstance(rule, pc.Expression):
        try:
            return (
                pa.table({"m": pa.array([], pa.bool_())})["m"]
                if not table.num_rows
                else _evaluate(rule, table)
            )
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            if "No match for FieldRef" in str(error):
                return pa.array(np.ones(table.num_rows, bool))
            raise ParameterError(
                f"select: {rule} cannot be read on {type!r}, whose columns are "
                f"{table.column_names}: {error}; "
                "write a comparison, such as pc.field('confidence') > 0.5"
            ) from error
    if isinstance(rule, Mapping):
        chosen = rule.get(type, np.ones(table.num_rows, bool))
    elif isinstance(rule, Callable):  # type: ignore[arg-type]
        chosen = rule(table)
    else:
        raise ParameterError(
            f"select takes an expression, a function table -> mask, or {{type: mask}}; got {rule!r}"
        )
    if isinstance(chosen, pa.ChunkedArray):
        chosen = chosen.combine_chunks()
    chosen = np.asarray(chosen)
    if chosen.dtype != bool or chosen.shape != (table.num_rows,):
        raise ParameterError(
            f"select: the mask of {type!r} has {chosen.dtype} {chosen.shape}; one bool per row "
            f"({table.num_rows}) is needed"
        )
    return pa.array(chosen)


def _evaluate(rule: pc.Expression, table: pa.Table) -> pa.Array:
    import pyarrow.acero as acero

    source = acero.Declaration("table_source", acero.TableSourceNodeOptions(table))
    project = acero.Declaration("project", acero.ProjectNodeOptions([rule], ["m"]), inputs=[source])
    mask = project.to_table(use_threads=False)["m"].combine_chunks()
    if not pa.types.is_boolean(mask.type):
        raise pa.ArrowTypeError(f"it gives {mask.type}, not true or false")
    return mask.fill_null(False)


def _digest(parts: Mapping[str, Mapping[Any, pa.Table]]) -> str:
    digest = hashlib.sha256()
    for part, tables in parts.items():
        for type in sorted(tables, key=str):
            digest.update(f"{part}:{type}:{tb.content_hash(tables[type])};".encode())
    return digest.hexdigest()
