"""Refuses to evaluate where the held-out pairs could have been seen.

A fitted model does not hold its training pairs. It stores their fingerprint
(`pairs_fingerprint_`, see `hinaug.graph.pairs.pairs_fingerprint`), and the guard compares that
with the fingerprints of the split's own graphs.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from hinaug.errors import LeakError
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import PairIndex, are_linked, pairs_fingerprint
from hinaug.graph.schema import EdgeType
from hinaug.predictors.base import LinkPredictor
from hinaug.split.base import Split


def refuse_leaks(
    predictor: LinkPredictor,
    hin: HIN,
    split: Split,
    pairs: pa.Table,
    on: str,
    trust: bool = False,
) -> None:
    """LeakError where the predictor, or the graph to score on, may know the held-out pairs.

    pairs: the held-out pairs that are judged, external ids in "src" and "dst".
    on: "valid" or "test", the part of the split that `pairs` are.
    trust: accept a predictor whose training pairs are none of the split's, see `refuse_fit`.
    """
    refuse_fit(predictor, split, pairs, on, trust)
    refuse_graph(hin, split, pairs, on)


def refuse_fit(
    predictor: LinkPredictor, split: Split, pairs: pa.Table, on: str, trust: bool
) -> None:
    """LeakError unless the predictor was fitted on pairs that do not hold the judged ones.

    Accepted are the observed pairs of split.train, on test also those of split.train_valid. What
    else the graph held does not matter: filtered features, more columns and deltas leave the
    observed pairs as they are. Pairs that are known to hold the judged ones (split.source, on
    valid also split.train_valid) are always refused. Any other set of pairs is unknown: it is
    refused unless `trust` says that the judged pairs were not among them.
    """
    fitted_on = predictor.pairs_fingerprint_
    allowed = {"split.train": split.train}
    if on == "test":
        allowed["split.train_valid"] = split.train_valid
    for name, graph in allowed.items():
        if pairs_fingerprint(graph, split.target) == fitted_on:
            return _refuse_pairs(graph, split.target, pairs, on, name)
    advice = f"fit it on {' or '.join(allowed)}, with or without a delta"
    for name, graph in (
        ("split.source", split.source),
        ("split.train_valid", split.train_valid),
    ):
        if pairs_fingerprint(graph, split.target) == fitted_on:
            raise LeakError(
                f"this predictor was fitted on the pairs of {name}, which hold the {on} pairs; "
                f"{advice}",
                asked=name,
                there=list(allowed),
            )
    if not trust:
        raise LeakError(
            f"this predictor was fitted on other {split.target} pairs than those of "
            f"{' and '.join(allowed)}, so whether it saw the {on} pairs cannot be known; {advice}, "
            "or pass trust=True to evaluate if its graph held none of them",
            asked=fitted_on,
            there=list(allowed),
        )
    return None


def refuse_graph(hin: HIN, split: Split, pairs: pa.Table, on: str) -> None:
    """LeakError where the graph to score on holds judged pairs, their twins or their evidence.

    A twin is an edge of another relation between the same two nodes, in either direction. Twins
    and evidence that the split's own graph holds too (by `keep`) are accepted.
    """
    observed = hin.observed()
    clean_name = "split.train" if on == "valid" else "split.train_valid"
    clean = (split.train if on == "valid" else split.train_valid).observed()
    _refuse_pairs(observed, split.target, pairs, on, "the graph to score on", clean_name)
    for edge in observed.edges:
        extra = _count_twins(observed, split.target, edge, pairs)
        if extra and edge in clean.edges:
            extra -= _count_twins(clean, split.target, edge, pairs)
        if extra > 0:
            raise LeakError(
                f"{extra} {on} pairs stand as {edge} edges in the graph to score on, and not in "
                f"the split's own; pass {clean_name}",
                asked=edge,
                there=extra,
            )
    for node in split.evidence:
        extra = _count_new_nodes(observed, clean, node)
        if extra:
            raise LeakError(
                f"{extra} {node!r} nodes in the graph to score on left the split as evidence of "
                f"held-out pairs; pass {clean_name}",
                asked=node,
                there=extra,
            )


def _refuse_pairs(
    graph: HIN, target: EdgeType, pairs: pa.Table, on: str, name: str, instead: str = ""
) -> None:
    """LeakError where the graph holds judged pairs."""
    held = PairIndex.from_ids(graph, target, pairs)
    found = int(are_linked(graph.observed(), target, held.src, held.dst).sum())
    if found:
        remedy = f"pass {instead}" if instead else "make the split anew"
        raise LeakError(
            f"{found} of {len(held)} {on} pairs are edges of {name}; {remedy}",
            asked=name,
            there=found,
        )


def _count_twins(hin: HIN, target: EdgeType, edge: EdgeType, pairs: pa.Table) -> int:
    """How many of the pairs are joined by an edge of another type, or by a reversed edge."""
    ends, wanted = (edge[0], edge[2]), (target[0], target[2])
    forward = ends == wanted and edge != target
    backward = ends[::-1] == wanted
    if not (forward or backward):
        return 0
    held = PairIndex.from_ids(hin, target, pairs)
    joined, observed = np.zeros(len(held), bool), hin.observed()
    if forward:
        joined |= are_linked(observed, edge, held.src, held.dst)
    if backward:
        joined |= are_linked(observed, edge, held.dst, held.src)
    return int(joined.sum())


def _count_new_nodes(hin: HIN, clean: HIN, node: str) -> int:
    """How many nodes of a type the graph has that the split's own graph does not."""
    if node not in hin.nodes:
        return 0
    ids, known = hin.nodes[node]["id"].chunk(0), clean.nodes[node]["id"].chunk(0)
    return int((tb.lookup(known, ids) < 0).sum())
