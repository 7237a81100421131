"""Writes benchmarks/README.md from benchmarks/results: goal, protocol, tables, misses.

    python benchmarks/page.py [--check]

A row of a table is a line of a .jsonl file there; nothing is typed by hand on the page. --check
ends with 1 where the page differs from what this would write.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import mean
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE / "README.md"
RESULTS = HERE / "results"
Row = dict[str, Any]

HEAD = """# What was measured

The goal: say honestly whether augmentation helps a recommender system, and keep every model of the
package at or above its published figures. This page is written by `benchmarks/page.py` from
the files in `results/`. Edit those, not this.

## Protocol

- Every item that a user has not seen is ranked. Hyperparameters are chosen on validation pairs
  alone, and test is looked at once.
- Augmentation is compared with the plain model *and* with a random delta of the same size. All arms
  have equal budgets of tuning.
- We call a difference real only if p < 0.005 over users and fits (or splits), and from eight fits or
  splits on. With fewer there is no verdict.
- Machine: two shared x86 cores, 24 GB, one thread, PyTorch on the CPU, unless a row says H100. CPU
  seconds are of such a machine; compare their ratios.
- `HINAUG_DATA` names a folder with the published files; `hinaug datasets` lists addresses and terms.
"""

SPLITS = 8  # the fewest that a verdict needs
CASES = {
    "tuned": "tuned LightGCN, all data",
    "teacher": "a fifth of the links, edges of an ensemble",
    "pupil": "a fifth of the links, LightGCN on edges of an ensemble",
    "users": "users without and with three links",
    "moonshot": "item - item edges from features in a tuned LightGCN",
}
TEXTS = {
    "side column": "EASE with the mean of users' texts",
    "prior column": "EASE with the items' texts as prior",
    "replaced reviews": "EASE with the mean of users' reviews",
}
PUBLISHED = """Hyperparameters stand in `chosen.json`; `published.py` has the protocol at its head.
*published* is the figure of the method's authors. *refit* is fitted on train and valid. CPU seconds
are of both fits. Means of three seeds have their standard deviation in brackets; other rows have one
seed. Rows of ensembles on gowalla, amazon-hin and yelp-hin are of an earlier form, in which members
saw the pairs that the weights were learned from. *Eight* is an ensemble of SLIM, EASE, GFCF, BSPM,
ALS, two LightGCN and XSimGCL. More in the
[note](notes/2026-11-29-published-splits.md).
"""

READING = """`reading.py` builds a graph of 10 million ratings with a short text each, and one of reviews
as JSON lines. An earlier commit is measured beside this tree.
"""


SCALE = """`python benchmarks/scale.py store --edges 1e8` under a limit of 4 GB that the system sets
(RLIMIT_DATA), on one thread of a busy machine: 40 edges a user, 250 an item. Private memory is the
most during a step; pages of mapped files are not counted. *csr* and *propagate* (three layers of 64
columns; the transpose is made first) are of the whole graph. The steps of 100 M ran in three
processes, each under the limit and from the saved graph. The goal was a ratio of at most 1.5 for
build, splits and csr, and 3 for a layer: build and csr miss it.

`python benchmarks/ranks.py --nodes 1e7 --model MF --limit 7`: 10 M nodes x 64 columns, 7.7 GB of
parameters and Adam, BPR with 4,096 links a step.
"""


def rows(name: str) -> list[Row]:
    """The lines of a file of results."""
    path = RESULTS / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def table(head: list[str], body: Iterable[list[str]]) -> str:
    """A markdown table, without the columns in which nothing stands."""
    body = list(body)
    kept = [i for i in range(len(head)) if any(line[i] for line in body)]
    lines = [[line[i] for i in kept] for line in [head, ["---"] * len(head), *body]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def figure(value: float | None) -> str:
    """.1849"""
    return "" if value is None else f"{value:.4f}".removeprefix("0")


def pair(values: list[float] | None, sd: list[float] | None = None) -> str:
    """.1787 / .1467 (.0012 / .0018)"""
    if values is None:
        return ""
    spread = f" ({' / '.join(map(figure, sd))})" if sd else ""
    return " / ".join(map(figure, values)) + spread


def seconds(value: float | str | None) -> str:
    """1,765"""
    return f"{value:,}" if isinstance(value, int | float) else value or ""


def groups(found: list[Row]) -> dict[str, list[Row]]:
    """{data: its rows} in the order of the file."""
    made: dict[str, list[Row]] = {}
    for row in found:
        made.setdefault(row["data"], []).append(row)
    return made


def published() -> Iterator[str]:
    """One table a data set of single models and ensembles."""
    for data, found in groups(rows("published")).items():
        head = [f"{data}: {found[0]['measure']}", "test", "published", "refit", "valid", "CPU s"]
        body = [
            [
                row["model"],
                pair(row.get("test"), row.get("sd")),
                pair(row.get("published")),
                pair(row.get("refit"), row.get("refit_sd")),
                figure(row.get("valid")),
                seconds(row.get("cpu_s")),
                row.get("note", ""),
            ]
            for row in found
        ]
        yield f"### {data}\n\n" + table([*head, ""], body)


def comparisons(row: Row, case: str) -> Iterator[list[str]]:
    """The lines of one row of relations.jsonl: every "a - b" in it, nested ones too."""
    for name, value in row.items():
        if not isinstance(value, dict):
            continue
        if "outcome" not in value:
            yield from comparisons(value, f"{case}, {name}")
            continue
        arm, _, base = name.partition(" - ")
        change = f"{value['%']:+.1f} % [{value['low']:+.1f}, {value['high']:+.1f}]"
        figures = [figure(row[base]), figure(row[arm])]
        yield [case, arm, base, *figures, change, f"{value['p']:.2g}", value["outcome"]]


def places(data: str) -> Iterator[list[str]]:
    """New items: Recall@20 of them, and what it costs the others; means over splits."""
    found = [row for row in rows("places") if row["data"] == data]
    arms = list(dict.fromkeys(row["arm"] for row in found))

    def average(arm: str, measure: str) -> float:
        return mean(row[measure] for row in found if row["arm"] == arm)

    for arm in arms[1:]:
        new, warm = average(arm, "new Recall@20"), average(arm, "warm NDCG@20")
        cost = f"others' NDCG@20 {100 * (warm / average('plain', 'warm NDCG@20') - 1):+.1f} %"
        splits = sum(row["arm"] == arm for row in found)
        case = f"new items, Recall@20 of them, {splits} split{'s' * (splits > 1)}"
        yield [
            case,
            arm,
            "plain",
            figure(average("plain", "new Recall@20")),
            figure(new),
            cost,
            "",
            "",
        ]


def demo(data: str) -> Iterator[list[str]]:
    """What `make demo` prints."""
    for row in rows("demo"):
        if row["data"] == data:
            for base in ("plain", "control"):
                change = f"{100 * (row['augmented'] / row[base] - 1):+.1f} %"
                figures = [figure(row[base]), figure(row["augmented"])]
                name = row["control_is"] if base == "control" else base
                yield [row["case"], "augmented", name, *figures, change, "", ""]


def side(data: str) -> Iterator[list[str]]:
    """Features of items in tuned models."""
    for row in rows("side_information"):
        if row["data"] == data:
            case = f"side information, {row['splits']} splits"
            verdict = "no verdict" if "change" in row and row["splits"] < SPLITS else ""
            start = [case, row["arm"], row.get("against", ""), "", figure(row["NDCG@20"])]
            yield [*start, row.get("change", ""), "", verdict]


def texts(data: str) -> Iterator[list[str]]:
    """Texts in EASE, and for new items; see large_models.py and large_models_new.py."""
    for row in rows("large_models"):
        if row["part"] in TEXTS and row["data"] == data:
            yield from in_ease(row)
        if row["part"] == "projection" and row["data"].split(",")[0] == data:
            yield from of_new_items(row)


def in_ease(row: Row) -> Iterator[list[str]]:
    """Fitted on train, and on train and valid; nothing for the base itself."""
    if row["side"] in ("none", "own"):
        return
    own = {"profile": "", "text": "", "permuted": ", dealt anew"}.get(
        row["side"], f", {row['side']}"
    )
    against = "own texts" if row["part"] == "replaced reviews" else "no text"
    for part, name in (("train", "fitted on train"), ("refit", "refit on train + valid")):
        ridge = "one ridge for all" if row["ridge"] == "shared" else "a ridge each"
        ridge += f" of {row['trials']}"
        case = f"{TEXTS[row['part']]}, {name}, {row['splits']} splits, {ridge}"
        found = row[part]
        figures = [figure(found["base"]), figure(found["arm"])]
        change, p = f"{found['%']:+.1f} %", f"{found['p']:.2g}"
        verdict = "" if row["splits"] >= SPLITS else "no verdict"
        yield [case, row["view"] + own, against, *figures, change, p, verdict]


def of_new_items(row: Row) -> Iterator[list[str]]:
    """A model for new items against the cosine of frozen vectors."""
    if row["model"] == "cosine":
        return
    case = f"new items alone, {row['data']}, {row['splits']} splits"
    figures = [figure(row["base"]), figure(row["NDCG@20"])]
    yield [case, row["model"], "cosine", *figures, f"{row['%']:+.1f} %", f"{row['p']:.2g}", ""]


def augmentation() -> Iterator[str]:
    """One table a data set of what augmentation and side information changed."""
    names = [
        row["data"] for name in ("relations", "places", "side_information") for row in rows(name)
    ]
    head = [
        "NDCG@20 unless a row says otherwise",
        "arm",
        "against",
        "base has",
        "arm has",
        "change",
    ]
    for data in dict.fromkeys(names):
        lines = list(demo(data))
        for row in rows("relations"):
            if row["data"] == data:
                lines += comparisons(row, CASES.get(row["part"], row["part"]))
        lines += [*places(data), *side(data), *texts(data)]
        yield f"### {data}\n\n" + table([*head, "p", "verdict"], lines)


def misses() -> str:
    """Goals that were not reached."""
    body = [[row["goal"], row["measured"], row["why"]] for row in rows("misses")]
    return table(["goal", "measured", "why"], body)


def reading() -> str:
    """Files to a graph, beside the first commit that had a reader of tables."""
    body = [
        [
            f"{row['file']}, {row['mb']} MB",
            row["tree"],
            seconds(row["cpu_s"]),
            f"{row['peak_mb']:,}",
            f"{row['peak_by_size']}",
        ]
        for row in rows("reading")
    ]
    return table(["file", "commit", "CPU s", "peak MB above imports", "peak / file"], body)


def store() -> str:
    """Steps of `scale.py`: nanoseconds an edge by the number of edges, and memory."""
    steps: dict[str, dict[float, Row]] = {}
    for row in rows("scale"):
        if row["part"] == "store":
            steps.setdefault(row["step"], {})[row["edges"]] = row
    body = []
    for step, by_size in steps.items():
        ten, hundred = (by_size.get(size) for size in (1e7, 1e8))
        both = ten and hundred
        body.append(
            [
                step,
                *(figure(None) if r is None else f"{r['ns_edge']:.0f}" for r in (ten, hundred)),
                f"{hundred['ns_edge'] / ten['ns_edge']:.2f}" if both else figure(None),
                figure(None) if hundred is None else f"{hundred['anon_mb']:,.0f}",
            ]
        )
    head = ["step", "10 M edges, ns an edge", "100 M", "ratio", "100 M: private MB"]
    return table(head, body)


def large_tables() -> str:
    """Tables under a limit of memory: `ranks.py --nodes`."""
    body = [
        [row["how"], row["limit"], row["result"], row["private_mb"], row["cpu_s"]]
        for row in rows("scale")
        if row["part"] == "columns"
    ]
    return table(["processes", "limit each", "result", "private MB", "CPU s a step"], body)


def others() -> Iterator[str]:
    """Links to results and notes that no table above shows."""
    for folder in ("results", "notes"):
        for path in sorted((HERE / folder).glob("*.md")):
            title = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
            date = f" ({path.stem[:10]})" if folder == "notes" else ""
            yield f"- [{title}]({folder}/{path.name}){date}"


def page() -> str:
    """The whole page."""
    parts = [HEAD, "## Does augmentation help?\n", *augmentation()]
    parts += ["## Models on published splits\n", PUBLISHED, *published()]
    parts += ["## Reading files\n", READING, reading()]
    parts += ["## Graphs and tables larger than memory\n", SCALE, store(), "", large_tables()]
    parts += [
        "## What was missed\n",
        misses(),
        "## Other measurements\n",
        "\n".join(others()) + "\n",
    ]
    return "\n".join(parts)


def main() -> None:
    if "--check" in sys.argv:
        sys.exit(page() != PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
