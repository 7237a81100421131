"""Probes of `advise` for the goal "cold": are items without links worth edges and reserved places?

Of the items with links, a tenth loses all of them, five times. All of it is made of the graph at
hand; the split's own held-out pairs are not looked at.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hinaug.ensembles.reserved_places import ReservedPlaces
from hinaug.evaluation.draws import sample
from hinaug.evaluation.evaluate import evaluate, new_targets
from hinaug.evaluation.probes import (
    Case,
    Chance,
    Found,
    PredictedPopularity,
    Proposal,
    gain_of_draws,
    weakest,
    weighed,
)
from hinaug.evaluation.result import JointResult, Result
from hinaug.features import kinds
from hinaug.features.axes import PrincipalAxes, Source
from hinaug.generators import RelationGenerator
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import linked_targets
from hinaug.graph.schema import EdgeType
from hinaug.predictors import KernelRidge
from hinaug.predictors.base import LinkPredictor
from hinaug.split.base import Split
from hinaug.split.cold import cold_items

HIDES = 5  # of a tenth of the items each
HIDDEN = 0.1  # share of the items, and of the other pairs of each user
MOST_ITEMS = 3000  # items with links that are looked at; a ridge costs their cube
MOST_USERS = 3000  # users judged in a hide
FEWEST = 20  # items with links, below which nothing is measured
AXES = 512  # of one kind of features, at most
TIMES = 4.0  # links that an item gets, in units of the mean
PLACES, LENGTH = 2, 20
METRIC = "Recall@20"
NDCG = "NDCG"  # of the hidden items among themselves
FEATURES, SHUFFLED = "hinaug features", "hinaug shuffled features"
USABLE = ("vector", "number", "boolean", "category")


def ridge_against_shuffled(case: Case) -> Found:
    """New items ranked by a ridge on their features, against features of other items.

    NDCG among the hidden items alone, see `_among_new`; l2 as the ridge chooses it in the first
    hide, from links that are not hidden.
    """
    columns, left_out = feature_columns(case.hin, case.relation, case.split.evidence)
    hin, target = case.hin.observed(), case.relation[2]
    linked = linked_targets(hin.adjacency(case.relation))
    n_new, n_linked = int((~linked).sum()), int(linked.sum())
    said = f"{n_new:,} of {len(linked):,} {target}s have no link; {_named(columns, left_out)}"
    if not n_new or not columns or n_linked < FEWEST:
        few = f"; {n_linked} {target}s with links are too few" if n_linked < FEWEST else ""
        return Found(None, said + few)
    rows, described = PrincipalAxes(target, columns, AXES).fit(hin).encode(hin)
    n_described = int((described & ~linked).sum())
    said += f"; {n_described:,} of the new ones have some of these"
    if not n_described:
        return Found(None, said)
    hides = _hides(case, np.where(described[:, None], rows, np.nan), np.flatnonzero(linked))
    with case.budget.step("l2 of the ridge"):
        l2 = KernelRidge(case.relation, FEATURES).fit(hides[0].train).l2_
    case.kept |= {"hides": hides, "columns": columns, "l2": l2}
    results: dict[str, list[Result]] = {FEATURES: [], SHUFFLED: []}
    for split in hides:
        with case.budget.step("two ridges"):
            for name, found in results.items():
                found.append(_among_new(_ridge(case, name), split))
        case.tick()
    gain = gain_of_draws(results[FEATURES], results[SHUFFLED], NDCG)
    return Found(gain, f"{said}; l2 = {l2:.4g}")


def places_for_new_items(case: Case) -> Found:
    """Reserved places filled by the model that learned from edges of new items, against places
    filled at random and by predicted popularity: Recall@20 of the hidden items, in one list.
    """
    arms: dict[str, list[JointResult]] = {}
    for split in case.kept["hides"]:
        with case.budget.step("lists with places"):
            for name, result in _lists(case, split).items():
                arms.setdefault(name, []).append(result)
        case.tick()
    edges = [result.new for result in arms["edges"]]
    controls = {name: [r.new for r in arms[name]] for name in ("random", "popularity")}
    gains = {name: gain_of_draws(edges, other, METRIC) for name, other in controls.items()}
    case.proposal = _proposal(case, case.kept["columns"])
    change = {
        name: 100 * (_mean(arms["edges"], name) / max(_mean(arms["plain"], name), 1e-12) - 1)
        for name in ("all", "warm")
    }
    said = (
        f"{PLACES} of {LENGTH} places, {TIMES:g} times the mean links an item: {METRIC} of new "
        f"items {gains['random'].value:.3f}, places at random {gains['random'].control:.3f}, by "
        f"predicted popularity {gains['popularity'].control:.3f}; NDCG@20 of all targets "
        f"{change['all']:+.1f} %, of warm ones {change['warm']:+.1f} %"
    )
    return Found(weakest(list(gains.values())), said)


def _proposal(case: Case, columns: Any) -> Proposal:
    """Edges for items without links from a ridge, and a list with places for these items."""
    ridge, evidence = _ridge(case, columns), case.split.evidence
    generator = RelationGenerator(ridge, targets="cold", evidence=evidence)
    return Proposal(reserved(case.model), generator, TIMES)


def _ridge(case: Case, columns: Any) -> KernelRidge:
    return KernelRidge(case.relation, columns, l2=case.kept["l2"])


def reserved(model: LinkPredictor) -> ReservedPlaces:
    """The list of the model, with the last places for new items by the model with edges."""
    return ReservedPlaces([model.clone(), weighed(model)], places=PLACES, length=LENGTH)


def feature_columns(
    hin: HIN, relation: EdgeType, evidence: tuple[str, ...]
) -> tuple[list[Source], list[str]]:
    """Columns that describe targets, also those without links; and what was left out, in words.

    Taken are vectors, numbers and categories of the target type, and node types next to it of which
    several targets share some. Left out are columns that are made of links (lineage "aggregate")
    and types that also stand next to sources: these tell of links.
    """
    source, _, target = relation
    observed = hin.observed()
    taken: list[Source] = []
    left_out = []
    for entry in observed.nodes[target].schema:
        if entry.name == "id":
            continue
        kind = kinds.kind_of(observed.column(target, entry.name), rows_per_category=2.0)
        if tb.lineage_of(entry) == "aggregate":
            left_out.append(f"{entry.name} (made of links)")
        elif kind in USABLE:
            taken.append(entry.name)
        elif kind == "text":
            left_out.append(f"{entry.name} (text; embed_text makes vectors of it)")
    for node in _types_next_to(observed, target, {source, target, *evidence}):
        if source in _neighbours(observed, node):
            continue
        if np.bincount(observed.metapath(target, node).indices).max(initial=0) > 1:
            taken.append((node,))
    return taken, left_out


def _types_next_to(hin: HIN, target: str, without: set[str]) -> list[str]:
    """Node types joined with the target by one relation."""
    ends = [a if b == target else b for a, _, b in hin.edges if target in (a, b)]
    return sorted({node for node in ends if ends.count(node) == 1} - without)


def _neighbours(hin: HIN, node: str) -> set[str]:
    return {a if b == node else b for a, _, b in hin.edges if node in (a, b)}


def _named(columns: list[Source], left_out: list[str]) -> str:
    names = [name if isinstance(name, str) else f"{name[0]} nodes" for name in columns]
    said = f"features: {', '.join(names)}" if names else "no features"
    return said + (f" (not read: {', '.join(left_out)})" if left_out else "")


def _hides(case: Case, rows: np.ndarray, linked: np.ndarray) -> list[Split]:
    """Worlds in which items with links are new, with their features and with those of others.

    rows: features of all items [n, d], NaN for none. linked: positions of those with links.
    """
    target, rng, hin = case.relation[2], case.rng, case.hin.observed()
    if len(linked) > MOST_ITEMS:
        linked = np.sort(rng.choice(linked, MOST_ITEMS, replace=False))
    keep = np.zeros(len(rows), bool)
    keep[linked] = True
    dealt = np.full_like(rows, np.nan)
    dealt[linked] = rows[rng.permutation(linked)]
    for name, values in ((FEATURES, rows), (SHUFFLED, dealt)):
        hin = hin.with_column(target, name, values, lineage="row")
    hin = hin.filter_nodes(target, keep)
    return [_hide(hin, case, child) for child in rng.spawn(HIDES)]


def _hide(hin: HIN, case: Case, rng: np.random.Generator) -> Split:
    keep = [(a, name, b) for a, name, b in case.split.how.get("keep", ())]
    split = cold_items(
        hin,
        case.relation,
        evidence=case.split.evidence,
        valid=HIDDEN,
        test=0.0,
        warm=HIDDEN,
        keep=keep,
        rng=rng,
    )
    return replace(split, valid=sample(split.valid, MOST_USERS, int(rng.integers(2**31))))


def _among_new(model: LinkPredictor, split: Split) -> Result:
    """NDCG of the hidden items among themselves, cut at a tenth of them, from 3 to 20.

    Where a list holds them all, any order of them looks good.
    """
    hidden = int(new_targets(split.train, split, "valid").sum())
    k = min(LENGTH, max(3, hidden // 10))
    found = evaluate(model.fit(split.train), split.train, split, k=k, protocol="new")
    found.values[NDCG] = found.values.pop(f"NDCG@{k}")
    return found


def _lists(case: Case, split: Split) -> dict[str, JointResult]:
    """One list of warm and new items for each way to fill the reserved places, judged."""
    train, relation = split.train, case.relation
    graph = train + _proposal(case, FEATURES).delta(train, case.rng)
    plain = case.model.clone().fit(train, rng=case.rng)
    augmented = weighed(case.model).fit(graph, rng=case.rng)
    seed = int(case.rng.integers(2**20))
    others = {
        "random": Chance(relation, seed).fit(train),
        "popularity": PredictedPopularity(relation, _ridge(case, FEATURES)).fit(train),
    }
    lists: dict[str, Any] = {"plain": (plain, train)}
    for name, filler, hin in (
        ("edges", augmented, graph),
        *((name, filler, train) for name, filler in others.items()),
    ):
        members = [plain, filler]
        lists[name] = (ReservedPlaces(members, PLACES, LENGTH).fit_with(members, hin), hin)
    return {
        name: evaluate(model, hin, split, k=LENGTH, protocol="joint")
        for name, (model, hin) in lists.items()
    }


def _mean(results: list[JointResult], kind: str) -> float:
    parts: list[Any] = results if kind == "all" else [result.warm for result in results]
    return float(np.mean([part["NDCG@20"] for part in parts]))
