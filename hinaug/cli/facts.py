"""What a graph, a delta, a split or a model holds: for people and for machines."""

from __future__ import annotations

from typing import Any

from hinaug.cli.shared import tell


def describe(thing: Any, console: Any) -> None:
    """Prints a graph, delta, split or model."""
    from hinaug.graph.delta import Delta
    from hinaug.graph.hin import HIN
    from hinaug.split.base import Split

    if isinstance(thing, HIN):
        tell(console, thing.summary())
    elif isinstance(thing, Delta):
        from hinaug.report.terminal import (
            show_generated,
        )  # heavy: it brings the tests of evaluation

        show_generated(thing, console, repr(thing))
    elif isinstance(thing, Split):
        tell(
            console,
            f"{thing!r}\nevidence: {', '.join(thing.evidence) or 'none'}\nhow: "
            f"{thing.how}\n{thing.source.summary()}",
        )
    else:
        tell(
            console,
            thing.summary()
            if hasattr(thing, "weights_") and hasattr(thing, "summary")
            else repr(thing),
        )


def facts_of(thing: Any) -> dict[str, Any]:
    """The same for machines."""
    from hinaug.graph.arrow import lineage_of
    from hinaug.graph.delta import Delta
    from hinaug.graph.hin import HIN
    from hinaug.split.base import Split

    if isinstance(thing, HIN):
        tables = {}
        for name in [*thing.nodes, *thing.edges]:
            rows = thing.table(name)
            made = rows.num_rows - rows["origin"].null_count if "origin" in rows.column_names else 0
            columns = [
                {
                    "name": f.name,
                    "type": str(f.type),
                    "nulls": rows[f.name].null_count,
                    "lineage": lineage_of(f),
                }
                for f in rows.schema
                if f.name not in ("id", "src", "dst", "origin", "confidence", "key")
            ]
            tables[name] = {"observed": rows.num_rows - made, "generated": made, "columns": columns}
        nodes = {t: v for t, v in tables.items() if isinstance(t, str)}
        return {"kind": "hin", "nodes": nodes, "edges": {t: v for t, v in tables.items() if t not in nodes},
                "deltas": [repr(d) for d in thing.deltas]}  # fmt: skip
    if isinstance(thing, Delta):
        return {"kind": "delta", "rows": len(thing), "parts": thing.summary().to_pylist()}
    if isinstance(thing, Split):
        sizes = {
            "train": len(thing.train.adjacency(thing.target).data),
            "valid": len(thing.valid),
            "test": len(thing.test),
        }
        source = facts_of(thing.source)
        return {"kind": "split", "target": list(thing.target), **sizes, "evidence": list(thing.evidence), "how": thing.how,
                "source": source}  # fmt: skip
    relation = getattr(thing, "relation", None)
    return {
        "kind": "estimator",
        "class": type(thing).__name__,
        "settings": repr(thing),
        "relation": relation,
    }
