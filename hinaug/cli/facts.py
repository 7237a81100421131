"""What a graph, a delta, a split or a model holds: for people and for machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from hinaug import report
from hinaug.cli.output import answer, table, tell
from hinaug.graph import HIN, Delta
from hinaug.graph.arrow import lineage_of
from hinaug.io import save
from hinaug.split import Split

OWN_COLUMNS = ("id", "src", "dst", "origin", "confidence", "key")


def describe(thing: Any, console: Any) -> None:
    """Prints a graph, delta, split or model."""
    if isinstance(thing, HIN):
        tell(console, thing.summary())
    elif isinstance(thing, Delta):
        report.show(report.generated(thing, repr(thing)), console)
    elif isinstance(thing, Split):
        evidence = ", ".join(thing.evidence) or "none"
        tell(
            console,
            f"{thing!r}\nevidence: {evidence}\nhow: {thing.how}\n{thing.source.summary()}",
        )
    else:
        has_weights = hasattr(thing, "weights_") and hasattr(thing, "summary")
        tell(console, thing.summary() if has_weights else repr(thing))


def facts_of(thing: Any) -> dict[str, Any]:
    """The same for machines."""
    if isinstance(thing, HIN):
        return _facts_of_graph(thing)
    if isinstance(thing, Delta):
        return {"kind": "delta", "rows": len(thing), "parts": thing.summary().to_pylist()}
    if isinstance(thing, Split):
        return _facts_of_split(thing)
    return {
        "kind": "estimator",
        "class": type(thing).__name__,
        "settings": repr(thing),
        "relation": getattr(thing, "relation", None),
    }


def _facts_of_graph(hin: HIN) -> dict[str, Any]:
    return {
        "kind": "hin",
        "nodes": {name: _facts_of_table(hin.table(name)) for name in hin.nodes},
        "edges": {name: _facts_of_table(hin.table(name)) for name in hin.edges},
        "deltas": [repr(delta) for delta in hin.deltas],
    }


def _facts_of_table(rows: pa.Table) -> dict[str, Any]:
    has_origin = "origin" in rows.column_names
    generated = rows.num_rows - rows["origin"].null_count if has_origin else 0
    columns = [
        {
            "name": field.name,
            "type": str(field.type),
            "nulls": rows[field.name].null_count,
            "lineage": lineage_of(field),
        }
        for field in rows.schema
        if field.name not in OWN_COLUMNS
    ]
    return {"observed": rows.num_rows - generated, "generated": generated, "columns": columns}


def _facts_of_split(split: Split) -> dict[str, Any]:
    return {
        "kind": "split",
        "target": list(split.target),
        "train": len(split.train.adjacency(split.target).data),
        "valid": len(split.valid),
        "test": len(split.test),
        "evidence": list(split.evidence),
        "how": split.how,
        "source": facts_of(split.source),
    }


def save_and_describe(thing: Any, out: Path, as_json: bool, **facts: Any) -> None:
    """Saves what was read from files, and answers with what it holds.

    facts: more for the JSON document; `counts` are also shown as a table of what was read.
    """
    save(thing, out)

    def show(console: Any) -> None:
        if facts.get("counts"):
            console.print(_table_of_counts(facts["counts"]))
        describe(thing, console)
        tell(console, f"saved to {out}")

    answer(as_json, {"store": out, **facts, **facts_of(thing)}, show)


def _table_of_counts(counts: list[dict[str, Any]]) -> Any:
    rows = table("what was read", "from", "read", "kept", "notes")
    for count in counts:
        first = {why: f" (first: {'; '.join(rows)})" for why, rows in count["first"].items()}
        notes = "; ".join(f"{why}: {n:,}{first.get(why, '')}" for why, n in count["notes"].items())
        rows.add_row(count["what"], f"{count['read']:,}", f"{count['kept']:,}", notes)
    return rows
