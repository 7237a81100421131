"""What augmentation and side information changed, one table a data set."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean

from pages.tables import SPLITS, Row, figure, rows, table

CASES = {
    "tuned": "tuned LightGCN, all data",
    "teacher": "a fifth of the links, edges of an ensemble",
    "pupil": "a fifth of the links, LightGCN on edges of an ensemble",
    "users": "users without and with three links",
    "moonshot": "item - item edges from features in a tuned LightGCN",
}


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
        lines += [*places(data), *side(data)]
        yield f"### {data}\n\n" + table([*head, "p", "verdict"], lines)
