"""Refuses to evaluate on pairs that a model or graph has seen."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from hinaug.errors import LeakError
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import among, distinct
from hinaug.graph.schema import EdgeType
from hinaug.predictors.base import LinkPredictor
from hinaug.split.base import Split


def refuse_leaks(
    predictor: LinkPredictor, hin: HIN, split: Split, pairs: pa.Table, on: str
) -> None:
    what = f"{on} pairs"
    seen = predictor.saw(pairs["src"], pairs["dst"])
    if seen.any():
        first = {c: pairs[c][int(np.flatnonzero(seen)[0])].as_py() for c in ("src", "dst")}
        raise LeakError(
            f"{int(seen.sum())} of {len(seen)} {what} are edges of the graph that this predictor "
            f"was fitted on (first: {first}); "
            f"fit it on split.train{'' if on == 'valid' else ' or split.train_valid'}, with or "
            "without a delta"
        )
    observed = hin.observed()
    src, dst = observed.links(split.target)
    width = observed.n(split.target[2])
    held = observed.positions(split.target[0], pairs["src"]) * width + observed.positions(
        split.target[2], pairs["dst"]
    )
    there = int(among(held, distinct(src.astype(np.int64) * width + dst)).sum())
    if there:
        raise LeakError(
            f"{there} of {len(held)} {what} are edges of the graph to score on; pass "
            f"split.train{'' if on == 'valid' else '_valid'}"
        )
    clean = split.train if on == "valid" else split.train_valid
    for edge in observed.edges:
        twins = _twins(split, observed, edge, held) - _twins(split, clean.observed(), edge, held)
        if twins > 0:
            raise LeakError(
                f"{twins} {what} stand as {edge} edges in the graph to score on, and not in the "
                "split's own; "
                f"pass split.train{'' if on == 'valid' else '_valid'}"
            )
    for node in split.evidence:
        if node in observed.nodes:
            extra = (
                tb.lookup(
                    clean.observed().nodes[node]["id"].chunk(0), observed.nodes[node]["id"].chunk(0)
                )
                < 0
            )
            if extra.any():
                raise LeakError(
                    f"{int(extra.sum())} {node!r} nodes in the graph to score on left the split "
                    "as evidence of held-out pairs; "
                    f"pass split.train{'' if on == 'valid' else '_valid'}"
                )


def _twins(split: Split, hin: HIN, edge: EdgeType, held: np.ndarray) -> int:
    """How many held-out pairs stand as edges of another type, or the other way round."""
    a, _, b = split.target
    if edge not in hin.edges or (edge[0], edge[2]) not in ((a, b), (b, a)):
        return 0
    src, dst = (p.astype(np.int64) for p in hin.links(edge))
    ways = [(src, dst)] if (edge[0], edge[2]) == (a, b) and edge != split.target else []
    ways += [(dst, src)] if (edge[2], edge[0]) == (a, b) else []
    there = [u * hin.n(b) + i for u, i in ways]
    return int(np.isin(held, np.concatenate(there)).sum()) if there else 0
