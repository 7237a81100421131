"""The verb demo: the main job, from raw files to a comparison of plain and augmented.

raw files -> graph -> text features -> split -> deltas -> ensemble -> comparison. Read it from top
to bottom as the example of how the folders of hinaug fit together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from threadpoolctl import threadpool_limits

from hinaug.cli.folders import check_out, check_place
from hinaug.cli.options import Json
from hinaug.cli.output import answer, make_console
from hinaug.datasets import amazon_reviews, find, movielens_100k
from hinaug.ensembles import Weighted
from hinaug.errors import ParameterError, UnknownNameError
from hinaug.evaluation import Comparison, Result, evaluate
from hinaug.features import TextEncoder, embed_text
from hinaug.generators import WGAN, RelationGenerator, random_delta
from hinaug.graph import HIN, Delta, EdgeType, merge
from hinaug.io import save
from hinaug.predictors import EASE, ItemKNN, LightGCN, NearestNeighbors
from hinaug.predictors.base import LinkPredictor
from hinaug.progress import track
from hinaug.report import (
    ARMS,
    Command,
    Facts,
    Findings,
    Log,
    Text,
    brief,
    compared,
    graph_blocks,
    lists,
    report,
    section_of,
)
from hinaug.split import Split, audit, random_split, thin

# shares of edges and of users to generate, to choose from on valid
SIZES = ((0.02, 0.02), (0.1, 0.1), (0.5, 0.2))

# what was chosen on valid at the first seed: size, and the members of each arm
Settings = dict[str, Any]
Results = dict[tuple[str, str], list[Result]]  # (model, arm) -> one result a seed


def demo(
    dataset: Annotated[
        str, typer.Argument(help="ml-100k or amazon-musical-instruments")
    ] = "ml-100k",
    data: Annotated[
        Path | None,
        typer.Option(help="Folder that holds the data's files; found or fetched without it."),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for results.jsonl and the augmented stores.")
    ] = Path("hinaug-demo"),
    encoder: Annotated[
        str,
        typer.Option(
            help="Text encoder: 'minilm', a hub name such as bert-base-uncased, or a folder."
        ),
    ] = "minilm",
    seeds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Random splits; a verdict needs eight.")
    ] = 2,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="The first of them.")] = 0,
    as_json: Json = False,
) -> None:
    """From raw files to honest recommendations: plain, random and augmented side by side.

    About five minutes on MovieLens 100K. Leaves results, augmented graphs and
    report.html in --out.

    Example:
      hinaug demo ml-100k --out hinaug-demo
    """
    if out.is_file():
        raise ParameterError(f"--out {out} is a file; name a folder", asked=out)
    check_place(out, "--out")
    for regime in ("all", "thin"):
        check_out(out / regime, "hin", force=False)
    own = {"console": make_console(to_stderr=True, markup=True)} if as_json else {}
    found = run(
        dataset, folder=data, out=out, encoder=encoder, seeds=range(seed, seed + seeds), **own
    )
    if as_json:
        comparisons = {regime: [vars(c) for c in each] for regime, each in found.items()}
        answer(True, {"data": dataset, "out": out, "comparisons": comparisons}, lambda _: None)


@dataclass
class Job:
    """What differs between data sets.

    hin, relation, evidence: the graph, the edges to rank, and the nodes that witness them.
    title: how to print an item.
    embed: the node type whose text is embedded.
    through: the node type that item vectors come from, where items have none of their own.
    notes: what a reader should know of the data.
    facts: for the report: data, source, terms, encoder, command.
    """

    hin: HIN
    relation: EdgeType
    evidence: tuple[str, ...]
    title: Callable[[Any], str]
    embed: str
    through: str | None = None
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def movielens(folder: Path) -> Job:
    hin = movielens_100k(folder)
    relation = ("user", "rates", "movie")
    liked = np.asarray(hin.edges[relation]["rating"]) >= 4
    titles = dict(
        zip(hin.ids("movie").to_pylist(), hin.nodes["movie"]["title"].to_pylist(), strict=True)
    )
    note = f"a rating of 4 or 5 counts as a link: {int(liked.sum()):,} of {len(liked):,} ratings"
    return Job(
        hin.filter_edges(relation, liked),
        relation,
        (),
        lambda i: titles[i] or str(i),
        "movie",
        notes=[note],
    )


def amazon(folder: Path) -> Job:
    hin = amazon_reviews(folder, folder if any(folder.glob("meta_*")) else None)
    titles = {}
    if "title" in hin.nodes["item"].column_names:
        titles = dict(
            zip(hin.ids("item").to_pylist(), hin.nodes["item"]["title"].to_pylist(), strict=True)
        )
    notes = ["every review counts as a link, whatever its rating"]
    notes += [] if titles else ["there is no meta_* file, so items show by their number"]
    return Job(
        hin,
        ("user", "rates", "item"),
        ("review",),
        lambda i: titles.get(i) or str(i),
        "review",
        "review",
        notes,
    )


JOBS = {"ml-100k": movielens, "amazon-musical-instruments": amazon}


def run(
    dataset: str = "ml-100k",
    *,
    folder: Path | None = None,
    out: Path | str = "hinaug-demo",
    encoder: str = "minilm",
    seeds: Iterable[int] = (0, 1),
    console: Console | None = None,
) -> dict[str, list[Comparison]]:
    """Runs the demo on a public data set, and prints what it finds.

    Writes results.jsonl, report.html and the augmented stores to `out`.
    """
    console = console or Console(width=120, highlight=False)
    if dataset not in JOBS:
        raise UnknownNameError(
            f"no demo for {dataset!r}; there are {list(JOBS)}", asked=dataset, there=list(JOBS)
        )
    found = find(dataset, folder)
    console.print(f"[bold]{dataset}[/]: read from {found.source}\n  terms: {found.terms}")
    job, seeds = JOBS[dataset](found.folder), tuple(seeds)
    command = f"hinaug demo {dataset} --encoder {encoder} --seeds {len(seeds)}"
    job.facts = {
        "data": dataset,
        "source": str(found.source),
        "terms": found.terms,
        "encoder": encoder,
        "command": command,
    }
    started = time.perf_counter()
    job.hin = embed_text(job.hin, job.embed, TextEncoder(encoder))
    console.print(
        f"  text of {job.embed} nodes embedded with {encoder} in "
        f"{time.perf_counter() - started:.1f} s"
    )
    # small matrices: more threads would mostly wait for each other
    with threadpool_limits(1, "blas"):
        return experiment(job, out=Path(out), seeds=seeds, console=console)


def experiment(
    job: Job, *, out: Path, seeds: tuple[int, ...], console: Console, quick: bool = False
) -> dict[str, list[Comparison]]:
    """Both regimes of one job.

    quick: small models, for a smoke test.
    """
    started = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    facts = {"data": "a graph of your own", "command": "", **job.facts}
    log = Log(
        out / "results.jsonl", f"{facts['data']}: did the augmentation help?", console=console
    )
    console.print(job.hin.summary())
    found, findings = {}, []
    for regime in ("all data", "thin data"):
        log.section(regime.capitalize())
        results: Results = {}
        settings: Settings = {}
        for seed in seeds:
            split = random_split(job.hin, job.relation, evidence=job.evidence, rng=seed)
            if regime == "thin data":
                split = thin(split, 0.2, rng=seed)
            if seed == seeds[0]:
                console.print(f"{split}\naudit: {audit(split)}")
            made = one_seed(job, split, seed, settings, results, log, regime, console, quick)
            if seed == seeds[0]:
                delta, models = made
                graph = models["augmented"][1]
                log.add(*section_of(delta).blocks)
                log.add(*graph_blocks(graph, job.relation, regime), quiet=True)
                log.add(*lists(models["plain"], models["augmented"], split, job.title))
                save(graph, out / regime.split()[0])
        arms = compared(regime.capitalize(), results, splits=True)
        log.add(*arms.blocks())
        log.write(*arms.documents())
        log.add(Text(f"Chosen on valid at the first seed: {chosen(settings)}."))
        findings += [arms.finding(model) for model in arms.models]
        found[regime] = list(arms.found.values())
    log.section("")
    log.add(Findings("Where the augmentation helped", findings), *told(job, seeds, facts))
    log.end(time.perf_counter() - started)
    console.print(f"results: {log.path}; augmented stores: {out}/all, {out}/thin")
    console.print(f"report: {report(out)}")
    console.print(f"done in {time.perf_counter() - started:.0f} s")
    return found


def told(job: Job, seeds: tuple[int, ...], facts: dict[str, Any]) -> list[Facts | Command]:
    """What the head of the page says of the run."""
    rows = {
        "Data": facts["data"],
        "Source": facts.get("source", ""),
        "Terms": facts.get("terms", ""),
        "Links": " ".join(job.relation),
        "Notes": "; ".join(job.notes),
        "Text encoder": facts.get("encoder", ""),
        "Seeds": ", ".join(map(str, seeds)),
    }
    return [Facts(rows), *([Command(facts["command"])] if facts["command"] else [])]


def chosen(settings: Settings) -> str:
    edges, nodes = SIZES[settings["size"]]
    members = "; ".join(f"{arm} {list(map(repr, settings[arm].values()))}" for arm in ARMS)
    return brief(f"{edges:.0%} of the edges, {nodes:.0%} of the users; {members}")


def one_seed(
    job: Job,
    split: Split,
    seed: int,
    settings: Settings,
    results: Results,
    log: Log,
    regime: str,
    console: Console,
    quick: bool,
) -> tuple[Delta, dict[str, tuple[Weighted, HIN]]]:
    """One seed of a regime: generates on train, then fits and judges each arm.

    An arm learns on train with choices on valid, is refitted on train + valid and evaluated on
    test. Gives the delta, and the model and the graph of each arm.
    """
    clock = time.perf_counter()
    relation, train = job.relation, split.train
    if "plain" not in settings:
        settings["plain"] = choose(grids(relation, quick), train, split, seed)
    delta = generated(job, split, seed, settings, quick)
    deltas = {"plain": None, "random": random_delta(train, delta, rng=seed), "augmented": delta}
    console.print(
        f"seed {seed}: generated {len(delta):,} rows in {time.perf_counter() - clock:.1f} s"
    )
    models = {}
    for arm, extra in deltas.items():
        clock = time.perf_counter()
        known, full = (g if extra is None else g + extra for g in (train, split.train_valid))
        if arm not in settings:
            candidates = grids(relation, quick, settings["plain"]["LightGCN"])
            settings[arm] = choose(candidates, known, split, seed)
        members = [m.clone() for m in settings[arm].values()]
        members += [ItemKNN(relation), NearestNeighbors(relation, through=job.through)]
        model = Weighted(members).fit(known, valid=split.valid, rng=seed).refit(full, rng=seed)
        alone = {f"{name} alone": model.predictors_[i] for i, name in enumerate(settings[arm])}
        for name, predictor in {"ensemble": model, **alone}.items():
            result = evaluate(predictor, full, split, on="test")
            results.setdefault((name, arm), []).append(result)
            log.result(
                result, regime=regime, seed=seed, model=name, arm=arm, settings=repr(predictor)
            )
        seconds = time.perf_counter() - clock
        console.print(f"  {arm}: ensemble of {weights_of(model, members)}, in {seconds:.1f} s")
        models[arm] = model, full
    return delta, models


def generated(job: Job, split: Split, seed: int, settings: Settings, quick: bool) -> Delta:
    """New edges and new users, learned on train; how many is chosen on valid at the first seed."""
    relation, train = job.relation, split.train
    teacher = RelationGenerator(settings["plain"]["LightGCN"].clone()).fit(
        train, valid=split.valid, rng=seed
    )
    users = WGAN("user", relation=relation, steps=50 if quick else WGAN.steps).fit(train, rng=seed)
    offers = [
        merge([teacher.generate(train, edges, rng=seed), users.generate(train, nodes, rng=seed)])
        for edges, nodes in SIZES
    ]
    if "size" not in settings:  # judged by what it does to the stronger member
        trials = [(teacher.predictor, train + offer) for offer in offers]
        settings["size"] = which(trials, split, seed, "the size")
    return offers[settings["size"]]


def weights_of(model: Weighted, members: list[LinkPredictor]) -> str:
    """The members of an ensemble with a weight above 0, as words."""
    pairs = zip(members, model.weights_, strict=True)
    return ", ".join(f"{type(m).__name__} {w:.2f}" for m, w in pairs if w > 0)


def grids(
    relation: EdgeType, quick: bool, plain: LinkPredictor | None = None
) -> dict[str, list[LinkPredictor]]:
    """What an arm may choose from on valid: as many trials for each.

    Without generated edges l2 is tuned; with them (`plain` is then what was chosen without) the
    choice is also whether they count in full or by their confidence.
    """
    if plain is None:
        gcn = LightGCN(relation, loss="softmax", lr=0.1, embedding_dim=64)
        gcn = gcn.clone(epochs=10) if quick else gcn
        return {
            "EASE": [EASE(relation, l2=l2) for l2 in (30, 100, 200, 300, 500, 1000, 2000, 3000)],
            "LightGCN": [gcn.clone(l2=l2) for l2 in (1.0, 2.0)],
        }
    by = (None, "confidence")
    return {
        "EASE": [EASE(relation, l2=l2, weight=w) for l2 in (100, 300, 1000, 3000) for w in by],
        "LightGCN": [plain.clone(weight=w) for w in by],
    }


def choose(
    grids: dict[str, list[LinkPredictor]], graph: HIN, split: Split, seed: int
) -> dict[str, LinkPredictor]:
    """Of each grid the candidate that ranks valid best after learning from the graph; unfitted."""
    return {
        name: grid[which([(m, graph) for m in grid], split, seed, name)]
        for name, grid in grids.items()
    }


def which(trials: list[tuple[LinkPredictor, HIN]], split: Split, seed: int, what: str) -> int:
    """The number of the trial, a model and the graph that it learns from, that ranks valid best."""
    found = []
    for candidate, graph in track(trials, f"choosing {what}"):
        model = candidate.clone().fit(graph, valid=split.valid, rng=seed)
        found.append(evaluate(model, graph, split, k=20)["NDCG@20"])
    return int(np.argmax(found))
