"""What a run found, as tables on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from hinaug.evaluation import Comparison, Result, compare, holm, mean_over_fits
from hinaug.evaluation.compare import per_user
from hinaug.graph import HIN, Delta
from hinaug.predictors.base import LinkPredictor
from hinaug.report.log import Log
from hinaug.report.wording import ARMS, METRICS, RULE, plural, shown, verdict
from hinaug.serving import recommend
from hinaug.split import Split

MAIN = METRICS[0]  # the metric that is compared

Results = Mapping[tuple[str, str], list[Result]]  # (model, arm) -> one result a split
ByPair = Mapping[tuple[str, str], Any]  # (model, "augmented - plain") -> something of the pair


# ---- what was generated --------------------------------------------------------------------------


def show_generated(delta: Delta, console: Console, title: str = "what was generated") -> None:
    """Prints one row per part, type and generator, with the spread of confidence."""
    table = _table(title, "what", "by", "rows", "confidence: lowest", "mean", "highest")
    for row in delta.summary().to_pylist():
        spread = [f"{row[c]:.3f}" for c in ("min", "mean", "max")]
        table.add_row(f"{row['part']}: {row['type']}", row["origin"], f"{row['rows']:,}", *spread)
    console.print(table)


# ---- recommendations and the generated edges behind them -----------------------------------------


@dataclass
class _Guesses:
    """The generated edges of the relation that is ranked.

    of_user: {observed user: {item: confidence}}.
    fans: {item: how many generated users are linked to it}.
    """

    of_user: dict[str, dict[str, float]] = field(default_factory=dict)
    fans: Counter[str] = field(default_factory=Counter)


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
    """Prints and logs ten recommendations for two users, with the generated edges behind them."""
    source, _, target = split.target
    matrix = split.train_valid.adjacency(split.target)
    guesses = _guesses(delta, split)
    ids = {str(i): i for i in graph.ids(target).to_pylist()}
    for position in _two_users(matrix):
        user = graph.ids(source, [position])[0].as_py()
        known = split.train_valid.ids(target, matrix[[position]].indices).to_pylist()
        mine = guesses.of_user.get(str(user), {})
        history = [title(i) for i in known[:4]]
        console.print(
            f"\nten for {source} {user}, who is known for {len(known)}: {'; '.join(history)} ...",
            markup=False,
        )
        items = [
            _item(row, mine, guesses.fans, title)
            for row in recommend(model, graph, [user], k=10).to_pylist()
        ]
        for item in items:
            console.print(_line_of(item, source), markup=False)
        best = sorted(mine.items(), key=lambda guess: -guess[1])[:5]
        surest = [{"title": title(ids[i]), "confidence": c} for i, c in best]
        named = "; ".join(f"{s['title']} ({s['confidence']:.2f})" for s in surest) or "none"
        console.print(
            f"  generated edges of this {source}: {len(mine)}. Surest: {named}", markup=False
        )
        log.write(
            kind="recommendation",
            regime=regime,
            user=str(user),
            known=len(known),
            history=history,
            edges=len(mine),
            surest=surest,
            items=items,
        )


def _two_users(matrix: Any) -> tuple[int, int]:
    """The users with a quarter, and with half, of all others above them in links."""
    by_degree = np.argsort(-np.diff(matrix.indptr), kind="stable")
    return by_degree[len(by_degree) // 4], by_degree[len(by_degree) // 2]


def _guesses(delta: Delta, split: Split) -> _Guesses:
    found, source = _Guesses(), split.target[0]
    if split.target not in delta.edges:
        return found
    rows = delta.edges[split.target]
    made = set(delta.nodes[source]["id"].to_pylist()) if source in delta.nodes else set()
    columns = (rows[name].to_pylist() for name in ("src", "dst", "confidence"))
    for user, item, confidence in zip(*columns, strict=True):
        if user in made:
            found.fans[item] += 1
        else:
            found.of_user.setdefault(user, {})[item] = confidence
    return found


def _item(
    row: dict[str, Any], mine: dict[str, float], fans: Counter[str], title: Callable[[Any], str]
) -> dict[str, Any]:
    """One recommendation, as it is logged."""
    item = str(row["item"])
    return {
        "rank": row["rank"],
        "title": title(row["item"]),
        "score": row["score"],
        "confidence": mine.get(item),
        "fans": fans[item],
    }


def _line_of(item: dict[str, Any], source: str) -> str:
    """One recommendation, as it is printed; * marks an item to which a generated edge leads."""
    direct, fans = item["confidence"] is not None, item["fans"]
    why = [f"a generated edge, confidence {item['confidence']:.2f}"] if direct else []
    why += [f"in {fans} generated {plural(source, fans)}"] if fans else []
    mark = "*" if direct else " "
    return (
        f"  {item['rank']:>2} {mark} {item['title']:<42.42} {item['score']:6.2f}  {', '.join(why)}"
    )


# ---- comparisons ---------------------------------------------------------------------------------


def show_comparisons(results: Results, regime: str, log: Log, console: Console) -> list[Comparison]:
    """Prints and logs every arm against plain and against random; each seed has its own split.

    With intervals, p after Holm's correction over the regime, and slices of users.
    """
    models = list(dict.fromkeys(name for name, _ in results))
    found = {pair: c for m in models for pair, c in _compared(results, m).items()}
    corrected = holm({key: c.p for key, c in found.items()})
    console.print(_table_of_arms(results, models, found, corrected, regime))
    for by, parts in found[models[0], "augmented - plain"].slices.items():
        console.print(_table_of_slices(f"{regime}: {models[0]}, {MAIN} by {by}", by, parts))
    for (m, arm), of_seeds in results.items():
        log.means(of_seeds, regime=regime, model=m, arm=arm)
    for (m, pair), c in found.items():
        log.comparison(c, regime=regime, model=m, pair=pair, p_holm=corrected[m, pair])
    for m in models:
        plain, random = ((m, f"augmented - {a}") for a in ("plain", "random"))
        said = verdict(found[plain], found[random], corrected[plain], corrected[random])
        console.print(f"[bold]{regime}, {m}:[/] {said}")
    console.print(f"  ({RULE})")
    return list(found.values())


def _compared(results: Results, model: str) -> dict[tuple[str, str], Comparison]:
    """{(model, "augmented - plain"): the comparison over splits}, and the other two."""
    found = {}
    for a, b in (("plain", "random"), ("plain", "augmented"), ("random", "augmented")):
        one, two = ([[result] for result in results[model, arm]] for arm in (a, b))
        found[model, f"{b} - {a}"] = compare(one, two, MAIN, (a, b), splits=True)
    return found


def _table_of_arms(
    results: Results, models: list[str], found: ByPair, corrected: ByPair, regime: str
) -> Table:
    seeds = results[models[0], "plain"]
    judged = len(per_user(seeds, MAIN)[0])
    counts = f"{len(seeds)} {plural('seed', len(seeds))}, {judged} {plural('user', judged)}"
    title = f"{regime}: test, full ranking, {counts}; ± half the 95 % interval"
    table = _table(title, "model", "data", *METRICS, "NDCG % over plain", "p")
    for m in models:
        for arm in ARMS:
            cells = [_mean(results[m, arm], metric) for metric in METRICS]
            if arm != "plain":
                pair = (m, f"{arm} - plain")
                cells += [_change(found[pair]), shown(corrected[pair])]
            table.add_row("" if arm != "plain" else m, arm, *cells)
    return table


def _change(c: Comparison) -> str:
    """The difference with its interval, in percent of the first mean."""
    low, high = (100 * bound / c.mean_a if c.mean_a else float("nan") for bound in (c.low, c.high))
    return f"{100 * c.relative:+.1f} [{low:.1f}, {high:.1f}]"


def _table_of_slices(title: str, by: str, parts: Mapping[str, Any]) -> Table:
    columns = ("users", "plain", "augmented - plain", "95 % interval", "won", "lost")
    table = _table(title, by, *columns)
    for label, p in parts.items():
        table.add_row(
            label,
            str(p["users"]),
            f"{p['before']:.4f}",
            f"{p['difference']:+.4f}",
            f"[{p['low']:+.4f}, {p['high']:+.4f}]",
            str(p["wins"]),
            str(p["losses"]),
        )
    return table


def _mean(results: list[Result], metric: str) -> str:
    """Each user counts once, with its mean over the seeds, as in the comparison."""
    mean, low, high = mean_over_fits(results, metric)
    return f"{mean:.4f} ±{f'{(high - low) / 2:.3f}'.lstrip('0')}"


def _table(title: str, *columns: str) -> Table:
    return Table(*columns, title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
