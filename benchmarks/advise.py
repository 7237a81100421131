"""Is `advise` right? Planted worlds whose right answer is known, shuffled worlds, and public data.

    HINAUG_DATA=folder python benchmarks/advise.py [--parts planted shuffled real] [--table]

planted   40 worlds, half for each goal, from 2 to 40 links a user, with and without tastes, with features that tell, that belong
          to other items, or with none. The right answer for "accuracy" is measured with 20 held-out pairs of each user, ten
          times more than the adviser sees: yes where the edges that its last probe would advise gain 3 % or more over the best
          without (own l2, popularity, their mean). For "cold" it is built in: yes where users have tastes, items are new and
          features tell of tastes.
shuffled  60 worlds, half for each goal, in which who meets whom is chance, at the same degrees. Any yes is wrong.
real      MovieLens 100K (all, and a fifth of each user's links), ml-latest-small with plots and tags' genres, amazon-hin, both
          goals. Test, once: the advice followed against the model as it is, and against each arm that was probed.

Results are appended to results/advise.jsonl, and what stands there is not run again; --table writes results/advise.md from it.
A quarter of an hour for worlds, half an hour for data, on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hinaug import Split, advise, cold_items, evaluate, random_split, thin
from hinaug.datasets import amazon_hin, load, movielens_latest_small, planted
from hinaug.datasets.planted import RATES
from hinaug.ensembles import ScoreFusion
from hinaug.evaluation import advise_accuracy, compare
from hinaug.evaluation.advise import Advice, default_teachers
from hinaug.evaluation.probes import Budget, Case
from hinaug.graph.hin import HIN
from hinaug.predictors import EASE, Popularity

RESULTS = Path(__file__).parent / "results"
GAIN = 1.03  # from which edges are worth it
MOVIE = ("user", "rates", "movie")
WORLDS = 20  # planted ones for each goal
SHUFFLED = 30


# ---- worlds --------------------------------------------------------------------------------------


def accuracy_world(i: int, shuffle: bool = False) -> tuple[Split, dict[str, Any]]:
    """So many links of each user in train, 4 on valid, 20 on test."""
    how = {
        "users": (200, 300, 500)[i % 3],
        "items": (200, 400)[i % 2],
        "groups": (4, 8)[(i // 2) % 2],
        "links": (2, 4, 8, 16, 40)[i % 5],
        "tastes": 0.85 if (i // 5) % 2 == 0 else 0.0,
    }
    within = how["tastes"] or 1 / how["groups"]
    degree = how["links"] + 24
    hin = planted(
        how["users"], how["items"], how["groups"], degree=degree, thin=0.0, within=within, dim=0,
        rng=i, shuffle=shuffle,
    )  # fmt: skip
    return random_split(hin, RATES, evidence=["review"], valid=4, test=20, rng=i), how


def cold_world(i: int, shuffle: bool = False) -> tuple[Split, dict[str, Any]]:
    """A tenth of the items new on test; three kinds of worlds in four where nothing is to be had."""
    kind = ("telling", "telling", "no tastes", "of other items", "none", "nothing new")[i % 6]
    how = {
        "users": (200, 300, 500)[i % 3],
        "items": (150, 300)[(i // 2) % 2],
        "groups": (4, 6)[(i // 3) % 2],
        "links": (4, 8, 15, 30)[i % 4],
        "features": kind,
    }
    within = 1 / how["groups"] if kind == "no tastes" else 0.85
    hin = planted(
        how["users"], how["items"], how["groups"], degree=how["links"] * 1.4, thin=0.0,
        within=within, dim=0 if kind == "none" else 32, rng=100 + i, shuffle=shuffle,
    )  # fmt: skip
    if kind == "of other items":
        order = np.random.default_rng(i).permutation(hin.n("item"))
        hin = hin.with_column("item", "x", hin.column("item", "x").take(order), lineage="row")
    if kind == "nothing new":
        linked = np.bincount(hin.links(RATES)[1], minlength=hin.n("item")) > 0
        split = random_split(hin.filter_nodes("item", linked), RATES, evidence=["review"], rng=i)
        return all_linked(split), how
    return cold_items(hin, RATES, evidence=["review"], warm=0.1, rng=i), how


def all_linked(split: Split) -> Split:
    """The split without the items that lost all their links by chance."""
    linked = np.bincount(split.train.links(RATES)[1], minlength=split.train.n("item")) > 0
    source = split.source.filter_nodes("item", linked)
    return random_split(source, RATES, evidence=["review"], min_train=3, rng=1)


def true_gain(split: Split, seed: int) -> float:
    """What the edges of the last probe gain on test over the best without, each chosen on valid."""
    model = EASE(RATES)
    budget, rng = Budget(600), np.random.default_rng(seed)
    case = Case(split.train, split, model, default_teachers(model), budget, rng, iter(range(10**6)))
    for probe in (advise_accuracy.own_grid, advise_accuracy.teacher):
        probe(case)
    if "teacher" not in case.kept:
        return 0.0
    advise_accuracy.edges(case)

    def on_test(fitted: Any, graph: HIN) -> float:
        return evaluate(fitted, graph, split, k=20, on="test")["NDCG@20"]

    tuned = case.kept["tuned"]
    without = [tuned, EASE(RATES), Popularity(RATES), ScoreFusion([tuned, Popularity(RATES)])]
    best = max(on_test(m.clone().fit(split.train, rng=seed), split.train) for m in without)
    assert case.proposal is not None
    graph = split.train + case.proposal.delta(split.train, seed)
    return on_test(case.proposal.model.clone().fit(graph, rng=seed), graph) / best


def planted_rows() -> Iterator[dict[str, Any]]:
    for i in range(WORLDS):
        yield {"part": "planted", "goal": "accuracy", "world": i}
        yield {"part": "planted", "goal": "cold", "world": i}


def planted_row(row: dict[str, Any]) -> dict[str, Any]:
    i, goal = row["world"], row["goal"]
    split, how = (cold_world if goal == "cold" else accuracy_world)(i)
    found = {**row, **how, **told(advise(split.train, split, goal, rng=i))}
    if goal == "cold":
        right = how["features"] == "telling"
    else:
        found["true gain"] = round(true_gain(split, i), 3)
        right = found["true gain"] >= GAIN
    return found | {"right answer": "yes" if right else "not yes"}


def shuffled_rows() -> Iterator[dict[str, Any]]:
    for i in range(SHUFFLED):
        yield {"part": "shuffled", "goal": "accuracy", "world": i}
        yield {"part": "shuffled", "goal": "cold", "world": i}


def shuffled_row(row: dict[str, Any]) -> dict[str, Any]:
    """Worlds that would be a yes, but for who meets whom."""
    i, goal = row["world"], row["goal"]
    if goal == "cold":
        split, how = cold_world(6 * (i // 2) + i % 2, shuffle=True)
    else:
        split, how = accuracy_world(10 * (i // 5) + i % 5, shuffle=True)
    return {
        **row,
        **how,
        **told(advise(split.train, split, goal, rng=i)),
        "right answer": "not yes",
    }


def told(advice: Advice) -> dict[str, Any]:
    last = advice.probes[-1]
    value = None if last.value is None else [round(x, 3) for x in (last.value, last.low, last.high)]
    return {
        "answer": advice.answer,
        "last probe": value,
        "probes": [probe.answer for probe in advice.probes],
        "seconds": round(advice.seconds, 1),
    }


# ---- public data ---------------------------------------------------------------------------------


def folder() -> Path:
    return Path(os.environ.get("HINAUG_DATA", "."))


def liked(hin: HIN) -> HIN:
    """Ratings of at least 4, and the movies that have some."""
    hin = hin.filter_edges(MOVIE, hin.column(MOVIE, "rating").to_numpy() >= 4)
    return hin.filter_nodes("movie", np.bincount(hin.links(MOVIE)[1], minlength=hin.n("movie")) > 0)


def with_words(hin: HIN) -> HIN:
    from linear import words

    texts = hin.column("movie", "text").to_pylist()
    return hin.with_column("movie", "words", words(texts), lineage="row")


def data_set(name: str) -> HIN:
    if name == "ml-latest-small":
        small = folder() / "ml-latest-small"
        return with_words(liked(movielens_latest_small(small, plots=folder() / f"{name}-text")))
    if name == "amazon-hin":
        return amazon_hin(folder() / name)
    return with_words(liked(load("ml-100k")))


REAL = {  # data, share of the links kept
    "ml-100k": 1.0,
    "ml-100k, a fifth": 0.2,
    "ml-latest-small": 1.0,
    "amazon-hin": 1.0,
    "amazon-hin, a fifth": 0.2,
}


def real_rows() -> Iterator[dict[str, Any]]:
    for name, share in REAL.items():
        yield {"part": "real", "goal": "accuracy", "data": name}
        if share == 1:
            yield {"part": "real", "goal": "cold", "data": name}


def real_row(row: dict[str, Any]) -> dict[str, Any]:
    name, goal = row["data"], row["goal"]
    hin = data_set(name.split(",")[0])
    relation = next(edge for edge in hin.edges if edge[1] == "rates")
    evidence = [node for node in ("tagging",) if node in hin.nodes]
    if goal == "cold":
        split = cold_items(hin, relation, evidence=evidence, warm=0.1, rng=0)
    else:
        split = random_split(hin, relation, evidence=evidence, rng=0)
    if REAL[name] < 1:
        split = thin(split, REAL[name], rng=0)
    advice = advise(split.train, split, goal, minutes=15, rng=0)
    print(advice, flush=True)
    return {**row, **told(advice), **followed(advice, split, goal)}


def followed(advice: Advice, split: Split, goal: str) -> dict[str, Any]:
    """Test figures of the advice, of the model as it is, and of the last probe's edges."""
    graph, relation = split.train_valid, split.target
    metric = "Recall@20" if goal == "cold" else "NDCG@20"
    protocol = "joint" if goal == "cold" else "all"

    def on_test(model: Any, hin: HIN) -> Any:
        fitted = model.clone().fit(hin, rng=0)
        return evaluate(fitted, hin, split, k=20, on="test", protocol=protocol)

    plain, own = on_test(EASE(relation), graph), on_test(advice.proposal.model, graph)
    delta = advice.delta(graph, rng=0)
    with_edges = on_test(advice.model, graph + delta) if len(delta) else own
    out = {"nothing": plain["NDCG@20"], "followed": with_edges["NDCG@20"]}
    found = compare(plain, with_edges, "NDCG@20", ("nothing", "followed"))
    out |= {"change": found.relative, "low": found.low, "high": found.high, "p": found.p}
    if goal == "cold":
        out |= {
            "new before": plain.new[metric],
            "new": with_edges.new[metric],
            "warm": with_edges.warm["NDCG@20"] / plain.warm["NDCG@20"] - 1,
        }
    return {name: None if value is None else round(value, 5) for name, value in out.items()}


# ---- results -------------------------------------------------------------------------------------

PARTS = {
    "planted": (planted_rows, planted_row),
    "shuffled": (shuffled_rows, shuffled_row),
    "real": (real_rows, real_row),
}


def known(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def run(parts: list[str], file: Path) -> None:
    done = known(file)
    for part in parts:
        rows, measure = PARTS[part]
        for row in rows():
            if any(row.items() <= other.items() for other in done):
                continue
            begin = time.process_time()
            found = measure(row)
            found["cpu_s"] = round(time.process_time() - begin, 1)
            print(json.dumps(found), flush=True)
            with file.open("a") as out:
                out.write(json.dumps(found) + "\n")


def table(rows: list[dict[str, Any]]) -> str:
    """What was found, as a page."""
    lines = [
        "# Is `advise` right?",
        "",
        "`HINAUG_DATA=folder python benchmarks/advise.py`, then `--table`; one row a world in "
        "advise.jsonl. A yes counts where",
        "yes is right; elsewhere no and abstaining both do.",
        "",
        "| worlds | goal | right | of | said yes | yes is right in |",
        "|---|---|---|---|---|---|",
    ]
    for part in ("planted", "shuffled"):
        for goal in ("accuracy", "cold"):
            own = [row for row in rows if (row["part"], row["goal"]) == (part, goal)]
            said, right = ([r[k] == "yes" for r in own] for k in ("answer", "right answer"))
            n_right = sum(a == b for a, b in zip(said, right, strict=True))
            lines.append(
                f"| {part} | {goal} | {n_right} | {len(own)} | {sum(said)} | {sum(right)} |"
            )
    wrong = [
        row
        for row in rows
        if row["part"] != "real" and (row["answer"] == "yes") != (row["right answer"] == "yes")
    ]
    lines += ["", "Wrong answers:", ""]
    lines += [
        f"- {r['part']} {r['goal']} {r['world']}: said {r['answer']} at {r['last probe']}, right is "
        f"{r['right answer']}"
        for r in wrong
    ] or ["- none"]
    lines += ["", *real_table([row for row in rows if row["part"] == "real"])]
    return "\n".join(lines) + "\n"


def real_table(rows: list[dict[str, Any]]) -> list[str]:
    """Public data: the advice, and what following it does on test."""
    if not rows:
        return ["Public data: not run."]
    lines = [
        "| data | goal | answer | last probe | test: nothing | followed | change | p | s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        p = "-" if r["p"] is None else f"{r['p']:.2g}"
        lines.append(
            f"| {r['data']} | {r['goal']} | {r['answer']} | {r['last probe']} | {r['nothing']:.4f} | "
            f"{r['followed']:.4f} | {100 * r['change']:+.1f} % | {p} | {r['seconds']:.0f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--out", type=Path, default=RESULTS / "advise.jsonl")
    parser.add_argument("--table", action="store_true", help="write results/advise.md and end")
    options = parser.parse_args()
    if options.table:
        (RESULTS / "advise.md").write_text(table(known(options.out)))
        return
    run(options.parts, options.out)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="compare")
    main()
