"""Items that nobody has seen yet: a ridge on their features, edges, and places in the list.

All by default; nothing is tuned. Beside it: places filled at random, by predicted popularity, and
from features of other items.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from hinaug.cli.demo.jobs import Job
from hinaug.ensembles.reserved_places import ReservedPlaces
from hinaug.evaluation import JointResult, compare, evaluate
from hinaug.evaluation.probes import Chance, PredictedPopularity
from hinaug.features.axes import PrincipalAxes
from hinaug.features.columns import Features
from hinaug.generators import RelationGenerator
from hinaug.graph import HIN, Delta
from hinaug.graph.pairs import linked_targets
from hinaug.io import save
from hinaug.predictors import EASE, KernelRidge
from hinaug.predictors.base import LinkPredictor
from hinaug.progress import track
from hinaug.report import Finding, Lines, Log, Table, Text
from hinaug.serving import recommend
from hinaug.split import Split, cold_items

TIMES = 4.0  # edges of the new items, in units of the mean degree of the others
L2 = 300.0
PLACES = (1, 2, 4)  # of LENGTH, for new items
MAIN, LENGTH = 2, 20
METRIC = f"Recall@{LENGTH}"
OURS = "by the items' features"
FILLERS = (OURS, "by features of other items", "by predicted popularity", "at random")

EXAMPLES, USERS = 3, 300
FEATURES, SHUFFLED = "features", "shuffled features"

Results = dict[tuple[str, int], list[JointResult]]  # (what fills the places, how many)


def new_items(job: Job, seeds: Sequence[int], log: Log, folder: Path) -> list[Finding]:
    """Runs the step over all seeds, a split each, and tells what was found."""
    item = job.relation[2]
    log.section(
        f"{item.capitalize()}s that nobody has seen yet",
        f"A tenth of the {item}s lose all their links. A ridge on their features proposes "
        f"{TIMES:g} times as many as the others have; {MAIN} of the {LENGTH} places of EASE's list "
        "go to new ones. Warm and new are judged in one list.",
    )
    hin = described(job)
    results: Results = {}
    for seed in track(list(seeds), f"splits with new {item}s"):
        split = cold_items(hin, job.relation, evidence=job.evidence, warm=0.1, rng=seed)
        model, graph = _one_seed(job, split, seed, results)
        if seed == seeds[0]:
            save(graph, folder)
            examples = _examples(job, split, model, graph)
    log.add(*_table(results), _curves(results))
    log.add(*examples)
    return [_finding(item, results)]


def _one_seed(job: Job, split: Split, seed: int, results: Results) -> tuple[LinkPredictor, HIN]:
    """Judges every list of one split. Gives the list with two places, and its graph."""
    relation, full = job.relation, split.train_valid
    plain = EASE(relation, l2=L2).fit(full)
    _judge(results, ("plain", 0), plain, full, split)
    learned = EASE(relation, l2=L2, weight="confidence")
    ridge = KernelRidge(relation, FEATURES)
    graph, dealt = (full + _edges(job, full, column, seed) for column in (FEATURES, SHUFFLED))
    fillers: dict[str, tuple[LinkPredictor, HIN]] = {
        OURS: (learned.clone().fit(graph), graph),
        "by features of other items": (learned.clone().fit(dealt), dealt),
        "by predicted popularity": (PredictedPopularity(relation, ridge).fit(full), full),
        "at random": (Chance(relation, seed).fit(full), full),
    }
    for name, (filler, hin) in fillers.items():
        for places in PLACES if name == OURS else (MAIN,):
            members = [plain, filler]
            model = ReservedPlaces(members, places, LENGTH).fit_with(members, hin)
            _judge(results, (name, places), model, hin, split)
            if (name, places) == (OURS, MAIN):
                shown = model
    return shown, graph


def _edges(job: Job, full: HIN, column: str, seed: int) -> Delta:
    """Links of the new items that a ridge on one column proposes, the likeliest first."""
    links = full.observed().adjacency(job.relation)
    is_new = ~linked_targets(links)
    size = TIMES * links.nnz / (~is_new).sum() * is_new.sum()
    ridge = KernelRidge(job.relation, column)
    generator = RelationGenerator(ridge, targets="cold", evidence=job.evidence)
    return generator.fit(full, rng=seed).generate(full, round(size), rng=seed)


def described(job: Job) -> HIN:
    """The graph with the features of its items as one column, and as another one the control: each
    item has those of another item.
    """
    item = job.relation[2]
    paths = [source for source in job.features if isinstance(source, tuple) and len(source) == 1]
    columns = [source for source in job.features if source not in paths]
    parts = [Features(item, columns).fit(job.hin).encode(job.hin)[0]] if columns else []
    parts += [PrincipalAxes(item, paths).fit_transform(job.hin)] if paths else []
    rows = np.concatenate(parts, axis=1)
    dealt = rows[np.random.default_rng(0).permutation(len(rows))]
    hin = job.hin.with_column(item, FEATURES, rows, lineage="row")
    return hin.with_column(item, SHUFFLED, dealt, lineage="row")


def _judge(
    results: Results, key: tuple[str, int], model: LinkPredictor, hin: HIN, split: Split
) -> None:
    found = evaluate(model, hin, split, k=LENGTH, on="test", protocol="joint")
    results.setdefault(key, []).append(found)


def _means(results: Results, key: tuple[str, int]) -> tuple[float, float, float, float]:
    """Recall and NDCG of new items, NDCG of warm ones and of all."""
    parts = results[key]
    ndcg = f"NDCG@{LENGTH}"
    values = [[r.new[METRIC], r.new[ndcg], r.warm[ndcg], r[ndcg]] for r in parts]
    new, new_ndcg, warm, every = np.mean(values, axis=0)
    return float(new), float(new_ndcg), float(warm), float(every)


def _table(results: Results) -> list[Text | Table]:
    _, _, warm, every = _means(results, ("plain", 0))
    rows: list[list[Any]] = [["none", 0, *_means(results, ("plain", 0))[:2], "", ""]]
    for name in FILLERS:
        for places in PLACES:
            if (name, places) in results:
                recall, ndcg, w, e = _means(results, (name, places))
                change = [percent(w, warm), percent(e, every)]
                rows.append([name, places, recall, ndcg, *change])
    columns = ["places filled", "places", f"new: {METRIC}", f"new: NDCG@{LENGTH}"]
    columns += ["warm NDCG", "NDCG of all"]
    recall, _, w, _ = _means(results, (OURS, MAIN))
    others = "; ".join(f"{name} {_means(results, (name, MAIN))[0]:.3f}" for name in FILLERS[1:])
    told = (
        f"With {MAIN} places of {LENGTH}, {100 * recall:.1f} % of the demand for new items is "
        f"reached, and warm accuracy changes by {100 * (w / warm - 1):+.1f} %. Recall without "
        f"places: {_means(results, ('plain', 0))[0]:.3f}; {others}."
    )
    marked = [i for i, row in enumerate(rows) if row[0] == OURS]
    return [Text(told), Table("New and warm items in one list", columns, rows, marked)]


def percent(now: float, before: float) -> str:
    return f"{100 * (now / before - 1):+.1f} %"


def _curves(results: Results) -> Lines:
    """Demand reached against warm accuracy lost, by places."""
    _, _, warm, _ = _means(results, ("plain", 0))
    series: dict[str, list[list[float]]] = {}
    labels: dict[str, list[str]] = {}
    for name in FILLERS:
        points = [p for p in PLACES if (name, p) in results]
        found = [_means(results, (name, p)) for p in points]
        loss = [0.0, *(100 * (1 - w / warm) for _, _, w, _ in found)]
        series[name] = [loss, [0.0, *(recall for recall, *_ in found)]]
        labels[name] = ["", *(f"{p} places" if p > 1 else "1 place" for p in points)]
    y = f"demand for new items reached, {METRIC}"
    title = "What places for new items cost and bring"
    return Lines(title, "warm NDCG lost, %", y, series, "", [OURS], {OURS: labels[OURS]})


def _finding(item: str, results: Results) -> Finding:
    ours, control, plain = (
        [[r.new] for r in results[key]] for key in ((OURS, MAIN), ("at random", MAIN), ("plain", 0))
    )
    beyond = compare(control, ours, METRIC, ("at random", OURS), splits=True)
    plainly = compare(plain, ours, METRIC, ("no places", OURS), splits=True)
    return Finding(
        f"New {item}s, {MAIN} of {LENGTH} places",
        f"{METRIC} of new {item}s",
        plainly.mean_a,
        plainly.mean_b,
        beyond.mean_a,
        f"0 → {plainly.mean_b:.3f}" if not plainly.mean_a else f"{100 * plainly.relative:+.0f} %",
        beyond.outcome(),
        beyond.verdict(),
        control_name="places at random",
        plain_name="no places",
        augmented_name=OURS,
    )


def _examples(job: Job, split: Split, model: LinkPredictor, graph: HIN) -> list[Table]:
    """Three users who are shown a new item that they later liked, with what they liked before."""
    (source, _, target), full, title = job.relation, split.train_valid, job.title()
    links = full.observed().adjacency(job.relation)
    held = split.test.select(["src", "dst"])
    new = full.ids(target, np.flatnonzero(~linked_targets(links)))
    held = held.filter(pc.is_in(held["dst"], new))
    users = pc.unique(held["src"])[:USERS]
    shown = recommend(model, graph, users, k=LENGTH)
    hits = shown.select([source, "item"]).join(
        held, [source, "item"], ["src", "dst"], join_type="inner"
    )
    hits = hits.sort_by([(source, "ascending"), ("item", "ascending")])
    rows: dict[Any, list[Any]] = {}
    for user, item in zip(*(hits[name].to_pylist() for name in (source, "item")), strict=True):
        is_known = any(title(item) == row[1] for row in rows.values())
        if user not in rows and not is_known and len(rows) < EXAMPLES:
            near = "; ".join(map(title, _nearest(full, job, user, item)))
            rows[user] = [str(user), title(item), near]
    columns = [source, f"new {target}, shown and later liked", "nearest in the history"]
    return [Table("New ones that reached their people", columns, [*rows.values()])] if rows else []


def _nearest(hin: HIN, job: Job, user: Any, item: Any) -> list[Any]:
    """The items of a history whose features are nearest to those of another item."""
    source, _, target = job.relation
    rows, _ = Features(target, FEATURES).fit(hin).encode(hin)
    mine = hin.observed().adjacency(job.relation)[hin.positions(source, [user])].indices
    at = hin.positions(target, [item])[0]
    length = np.linalg.norm(rows, axis=1) + 1e-9
    near = rows[mine] @ rows[at] / (length[mine] * length[at])
    return hin.ids(target, mine[np.argsort(-near, kind="stable")[:EXAMPLES]]).to_pylist()
