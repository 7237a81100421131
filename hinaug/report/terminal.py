"""What a run found, as tables on the terminal and as JSON lines."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from hinaug.evaluation.compare import Comparison, compare, holm, per_user
from hinaug.evaluation.result import Result, mean_interval
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
from hinaug.predictors.base import LinkPredictor
from hinaug.serving.recommend import recommend
from hinaug.split.base import Split

ARMS = ("plain", "random", "augmented")
METRICS = ("NDCG@20", "Recall@20", "MAP@20", "Hit@10")
PACKAGES = (
    "hinaug",
    "numpy",
    "scipy",
    "pyarrow",
    "torch",
    "torch-geometric",
    "scikit-learn",
    "transformers",
)
LEVEL = 0.005  # of a p after correction; anything above counts as nothing found

Results = Mapping[tuple[str, str], list[Result]]  # (model, arm) -> one result a seed


class Log:
    """results.jsonl: one JSON object a line, written as the run goes; `hinaug.report` makes a page
    of it.

    Until `end` it is called results.jsonl.part, so that an older run is there until a newer one is
    complete.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.part = path, path.with_name(path.name + ".part")
        self.part.write_text("")

    def write(self, **row: Any) -> None:
        with self.part.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def end(self, seconds: float) -> None:
        """The last line; what was there before gives way."""
        self.write(kind="end", seconds=seconds)
        self.part.replace(self.path)

    def run(self, data: str, relation: EdgeType, seeds: Iterable[int], **facts: Any) -> None:
        """What is run, and with which versions; facts: source, terms, notes, encoder, command."""
        versions = {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        }
        whole = {
            "data": data,
            "relation": list(relation),
            "seeds": list(map(int, seeds)),
            "versions": versions,
        }
        self.write(kind="run", **whole, **facts)

    def result(self, result: Result, **where: Any) -> None:
        figures = {m: result[m] for m in [*result.values, *result.overall]}
        self.write(kind="result", **where, on=result.on, users=len(result.users), **figures)

    def means(self, results: list[Result], **where: Any) -> None:
        """Over the seeds, as tables show them: {metric: [mean, low, high]}."""
        figures = {}
        for metric in METRICS:
            values = per_user(results, metric)[1]
            figures[metric] = [float(values.mean()), *mean_interval(values)]
        self.write(kind="means", **where, users=len(values), figures=figures)

    def comparison(self, c: Comparison, **where: Any) -> None:
        self.write(kind="comparison", **where, relative=c.relative, **vars(c))


def show_generated(delta: Delta, console: Console, title: str = "what was generated") -> None:
    """One row per part, type and generator, with the spread of confidence."""
    table = _table(title, "what", "by", "rows", "confidence: lowest", "mean", "highest")
    for row in delta.summary().to_pylist():
        spread = [f"{row[c]:.3f}" for c in ("min", "mean", "max")]
        table.add_row(f"{row['part']}: {row['type']}", row["origin"], f"{row['rows']:,}", *spread)
    console.print(table)


def show_recommendations(
    model: LinkPredictor,
    graph: HIN,
    split: Split,
    delta: Delta,
    title: Callable[[Any], str],
    regime: str,
    log: Log,
    console: Console,
) -> None:
    """Ten recommendations for two users, with the generated edges behind them."""
    source, _, target = split.target
    matrix = split.train_valid.adjacency(split.target)
    by_degree = np.argsort(-np.diff(matrix.indptr), kind="stable")
    guesses: dict[str, dict[str, float]] = {}
    fans: Counter[str] = Counter()
    if split.target in delta.edges:
        rows = delta.edges[split.target]
        made = set(delta.nodes[source]["id"].to_pylist()) if source in delta.nodes else set()
        for s, d, c in zip(
            *(rows[n].to_pylist() for n in ("src", "dst", "confidence")), strict=True
        ):
            if s in made:
                fans[d] += 1
            else:
                guesses.setdefault(s, {})[d] = c
    for position in (by_degree[len(by_degree) // 4], by_degree[len(by_degree) // 2]):
        user = graph.ids(source, [position])[0].as_py()
        known = split.train_valid.ids(target, matrix[[position]].indices).to_pylist()
        mine = guesses.get(str(user), {})
        console.print(
            f"\nten for {source} {user}, who is known for {len(known)}: "
            f"{'; '.join(map(title, known[:4]))} ...",
            markup=False,
        )
        items: list[dict[str, Any]] = []
        for row in recommend(model, graph, [user], k=10).to_pylist():
            item = str(row["item"])
            told = {"rank": row["rank"], "title": title(row["item"]), "score": row["score"]}
            items.append(told | {"confidence": mine.get(item), "fans": fans[item]})
            why = [f"a generated edge, confidence {mine[item]:.2f}"] if item in mine else []
            why += (
                [f"in {fans[item]} generated {_plural(source, fans[item])}"] if fans[item] else []
            )
            mark = "*" if item in mine else " "
            console.print(
                f"  {row['rank']:>2} {mark} {title(row['item']):<42.42} {row['score']:6.2f}  "
                f"{', '.join(why)}",
                markup=False,
            )
        names = dict(
            zip(map(str, graph.ids(target).to_pylist()), graph.ids(target).to_pylist(), strict=True)
        )
        best = sorted(mine.items(), key=lambda g: -g[1])[:5]
        surest = "; ".join(f"{title(names[i])} ({c:.2f})" for i, c in best) or "none"
        console.print(
            f"  generated edges of this {source}: {len(mine)}. Surest: {surest}", markup=False
        )
        history = [title(i) for i in known[:4]]
        who: dict[str, Any] = {
            "user": str(user),
            "known": len(known),
            "history": history,
            "edges": len(mine),
        }
        who["surest"] = [{"title": title(names[i]), "confidence": c} for i, c in best]
        log.write(kind="recommendation", regime=regime, **who, items=items)


def show_comparisons(results: Results, regime: str, log: Log, console: Console) -> list[Comparison]:
    """The honest table: every arm against plain and against random, with intervals, corrected p and
    slices.
    """
    models = list(dict.fromkeys(name for name, _ in results))
    found: dict[tuple[str, str], Comparison] = {}
    for m in models:
        for a, b in (("plain", "random"), ("plain", "augmented"), ("random", "augmented")):
            found[m, f"{b} - {a}"] = compare(results[m, a], results[m, b], "NDCG@20", (a, b))
    corrected = holm({key: c.p for key, c in found.items()})
    seeds = results[models[0], "plain"]
    judged = len(per_user(seeds, "NDCG@20")[0])
    counts = f"{len(seeds)} {_plural('seed', len(seeds))}, {judged} {_plural('user', judged)}"
    title = f"{regime}: test, full ranking, {counts}; ± half the 95 % interval"
    table = _table(title, "model", "data", *METRICS, "NDCG % over plain", "p")
    for m in models:
        for arm in ARMS:
            cells = [_mean(results[m, arm], metric) for metric in METRICS]
            if arm != "plain":
                c = found[m, f"{arm} - plain"]
                low, high = (
                    100 * bound / c.mean_a if c.mean_a else float("nan")
                    for bound in (c.low, c.high)
                )
                cells += [
                    f"{100 * c.relative:+.1f} [{low:.1f}, {high:.1f}]",
                    f"{corrected[m, f'{arm} - plain']:.1g}",
                ]
            table.add_row("" if arm != "plain" else m, arm, *cells)
    console.print(table)
    for slice, parts in found[models[0], "augmented - plain"].slices.items():
        head = f"{regime}: {models[0]}, NDCG@20 by {slice}"
        table = _table(
            head, slice, "users", "plain", "augmented - plain", "95 % interval", "won", "lost"
        )
        for label, p in parts.items():
            change = [
                f"{p['before']:.4f}",
                f"{p['difference']:+.4f}",
                f"[{p['low']:+.4f}, {p['high']:+.4f}]",
            ]
            table.add_row(label, str(p["users"]), *change, str(p["wins"]), str(p["losses"]))
        console.print(table)
    for (m, arm), of_seeds in results.items():
        log.means(of_seeds, regime=regime, model=m, arm=arm)
    for (m, pair), c in found.items():
        log.comparison(c, regime=regime, model=m, pair=pair, p_holm=corrected[m, pair])
    for m in models:
        plain, random = ((m, f"augmented - {a}") for a in ("plain", "random"))
        said = verdict(found[plain], found[random], corrected[plain], corrected[random])
        console.print(f"[bold]{regime}, {m}:[/] {said}")
    console.print(
        "  (p: paired t-test over users, seeds averaged, Holm over this table; 0.005 or more "
        "counts as nothing)"
    )
    return list(found.values())


def verdict(plain: Comparison, random: Comparison, p: float, p_random: float) -> str:
    """The sentence that a reader should take away, from augmented - plain and augmented - random."""
    change = f"NDCG@20 {plain.mean_a:.4f} -> {plain.mean_b:.4f}, {100 * plain.relative:+.1f} %, p = {p:.2g}"
    beside = (
        f"{100 * random.relative:+.1f} % over a random delta of the same size, p = {p_random:.2g}"
    )
    if not p < LEVEL:
        return f"the augmentation does not help: no difference could be shown ({change})"
    if plain.difference < 0:
        return f"the augmentation HURTS ({change}; {beside})"
    if not p_random < LEVEL or random.difference < 0:
        return f"it rises ({change}), but not beyond chance over the control ({beside})"
    return f"the augmentation helps ({change}; {beside})"


def _mean(results: list[Result], metric: str) -> str:
    """Each user counts once, with its mean over the seeds, as in the comparison."""
    values = per_user(results, metric)[1]
    low, high = mean_interval(values)
    return f"{values.mean():.4f} ±{f'{(high - low) / 2:.3f}'.lstrip('0')}"


def _plural(name: str, n: int) -> str:
    return name if n == 1 else f"{name}s"


def _table(title: str, *columns: str) -> Table:
    return Table(*columns, title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
