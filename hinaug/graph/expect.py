"""Was a graph, or a table of pairs, handed over?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from hinaug.checks import kind
from hinaug.errors import KindError, SchemaError
from hinaug.graph.hin import HIN


def graph(value: Any, who: str) -> None:
    """TypeError unless `value` is a HIN."""
    if isinstance(value, HIN):
        return
    if hasattr(value, "train_valid"):
        hint = "pass one of its graphs: split.train to fit on, split.train_valid to refit on"
    elif (
        isinstance(value, Mapping | list)
        or hasattr(value, "columns")
        or hasattr(value, "__arrow_c_stream__")
    ):
        hint = "make one of tables with HIN.from_tables(nodes, edges)"
    else:
        hint = "a graph is made with HIN.from_tables, hinaug.load or a reader of hinaug.datasets"
    raise KindError(f"{who} takes a HIN, got {kind(value)}; {hint}")


def pairs(value: Any, who: str) -> None:
    """TypeError unless `value` is None or a table of held-out pairs; SchemaError where it lacks an
    end.
    """
    if value is None:
        return
    if not isinstance(value, pa.Table):
        raise KindError(
            f"{who}: valid is an Arrow table of held-out pairs, got {kind(value)}; pass "
            "valid=split.valid, or "
            "valid=pyarrow.table({'src': ids, 'dst': ids})"
        )
    missing = [side for side in ("src", "dst") if side not in value.column_names]
    if missing:
        raise SchemaError(
            f"{who}: valid has no column {missing[0]!r}, there is {value.column_names}; name the "
            "columns of external ids "
            "'src' and 'dst'"
        )
