"""Results as blocks: comparisons, errors, deltas, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import pyarrow as pa

from hinaug.errors import ParameterError
from hinaug.evaluation import Comparison, ErrorAnalysis, Result, compare, holm, mean_over_fits
from hinaug.graph import Delta
from hinaug.report.blocks import Bars, Block, Finding, Intervals, Section, Table, Text
from hinaug.report.wording import ARMS, METRICS, RULE, change, outcome, shown, verdict

MAIN = METRICS[0]  # the metric that is compared

Results = Mapping[tuple[str, str], Sequence[Result]]  # (model, arm) -> a result a fit or split


@dataclass
class Arms:
    """Plain, random and augmented of several models, compared.

    found: {(model, "augmented - plain"): comparison}; p: the same keys, after Holm's correction.
    """

    where: str
    results: Results
    found: dict[tuple[str, str], Comparison]
    p: dict[tuple[str, str], float | None]

    @property
    def models(self) -> list[str]:
        """The models, in their order."""
        return list(dict.fromkeys(model for model, _ in self.results))

    def sentence(self, model: str) -> str:
        """What may be said of one model."""
        return verdict(*self._both(model))

    def documents(self) -> list[dict[str, Any]]:
        """Each comparison for machines, with its p after correction."""
        return [
            {"kind": "comparison", "where": self.where, "model": model, "pair": pair,
             "p_holm": self.p[model, pair], "relative": c.relative, **vars(c)}
            for (model, pair), c in self.found.items()
        ]  # fmt: skip

    def finding(self, model: str) -> Finding:
        """The comparison of one model in short."""
        plain, _, _, _ = both = self._both(model)
        control = self.found[model, "random - plain"].mean_b
        return Finding(
            f"{self.where}, {model}",
            MAIN,
            plain.mean_a,
            plain.mean_b,
            control,
            change(plain.mean_a, plain.mean_b),
            outcome(*both),
            verdict(*both),
        )

    def _both(self, model: str) -> tuple[Comparison, Comparison, float | None, float | None]:
        pairs = [(model, f"augmented - {arm}") for arm in ("plain", "random")]
        return self.found[pairs[0]], self.found[pairs[1]], self.p[pairs[0]], self.p[pairs[1]]

    def blocks(self) -> list[Block]:
        """The table of arms, what may be said, bars, and who gains."""
        out: list[Block] = [self.table()]
        out += [Text(f"{model}: {self.sentence(model)}.") for model in self.models]
        out += [Text(RULE), self.bars(), *(self.slices(model) for model in self.models)]
        return [*out, *(_slices_table(self.where, m, self.found) for m in self.models)]

    def table(self) -> Table:
        """One row a model and arm, with the gain over plain first."""
        columns = ["", MAIN, "% over plain [95 %]", "p", *METRICS[1:]]
        keys = [(model, arm) for model in self.models for arm in ARMS]
        rows = [self._row(model, arm) for model, arm in keys]
        first = self.results[keys[0]]
        caption = f"{self.where}: {first[0].on}, full ranking; ± half the 95 % interval"
        return Table(
            caption, columns, rows, marked=[i for i, k in enumerate(keys) if k[1] == ARMS[2]]
        )

    def _row(self, model: str, arm: str) -> list[Any]:
        first, *others = (_mean(self.results[model, arm], metric) for metric in METRICS)
        gain = ["", ""]
        if arm != ARMS[0]:
            pair = (model, f"{arm} - {ARMS[0]}")
            gain = [in_percent(self.found[pair]), shown(self.p[pair])]
        return [f"{model}, {arm}", first, *gain, *others]

    def bars(self) -> Bars:
        """The means of all arms, with their intervals."""
        values: dict[str, dict[str, list[float]]] = {model: {} for model in self.models}
        for (model, arm), results in self.results.items():
            values[model][arm] = [float(v) for v in mean_over_fits(results, MAIN)]
        return Bars(f"{self.where}: {MAIN}", MAIN, values, [ARMS[2]])

    def slices(self, model: str) -> Intervals:
        """Who gains: all users, the control, and slices of users."""
        rows: list[list[Any]] = []
        for arm in ("augmented", "random"):
            c = self.found[model, f"{arm} - plain"]
            rows.append(["all users", arm, c.users, c.difference, c.low, c.high])
        for by, parts in self.found[model, "augmented - plain"].slices.items():
            rows += [
                [f"by {by}", label, p["users"], p["difference"], p["low"], p["high"]]
                for label, p in parts.items()
            ]
        title = f"{self.where}, {model}: who gains"
        return Intervals(title, f"{MAIN}, augmented − plain", rows, ["random"])


def compared(where: str, results: Results, *, splits: bool = False) -> Arms:
    """Every arm against plain and against random. splits: each result has its own split."""
    found = {}
    for model in dict.fromkeys(name for name, _ in results):
        for a, b in ((ARMS[0], ARMS[1]), (ARMS[0], ARMS[2]), (ARMS[1], ARMS[2])):
            one, two = (_fits(results[model, arm], splits) for arm in (a, b))
            found[model, f"{b} - {a}"] = compare(one, two, MAIN, (a, b), splits=splits)
    return Arms(where, results, found, holm({key: c.p for key, c in found.items()}))


def _mean(results: Sequence[Result], metric: str) -> str:
    """Each user counts once, with its mean over the fits, as in the comparison."""
    mean, low, high = mean_over_fits(list(results), metric)
    return f"{mean:.4f} ±{f'{(high - low) / 2:.3f}'.lstrip('0')}"


def _fits(results: Sequence[Result], splits: bool) -> list[Any]:
    return [[result] for result in results] if splits else list(results)


def in_percent(c: Comparison) -> str:
    """The change in percent of plain, with its interval."""
    low, high = (100 * bound / c.mean_a if c.mean_a else float("nan") for bound in (c.low, c.high))
    return f"{100 * c.relative:+.1f} [{low:.1f}, {high:.1f}]"


def _slices_table(where: str, model: str, found: Mapping[Any, Comparison]) -> Table:
    columns = ["slice", "users", "plain", "augmented - plain", "95 % interval", "won", "lost"]
    rows = [
        _slice(f"{by}: {label}", p)
        for by, parts in found[model, "augmented - plain"].slices.items()
        for label, p in parts.items()
    ]
    return Table(f"{where}, {model}: {MAIN} by slice", columns, rows, folded=True)


def _slice(name: str, p: Mapping[str, float]) -> list[Any]:
    interval = f"[{p['low']:+.4f}, {p['high']:+.4f}]"
    counts = [int(p["wins"]), int(p["losses"])]
    return [
        name,
        int(p["users"]),
        f"{p['before']:.4f}",
        f"{p['difference']:+.4f}",
        interval,
        *counts,
    ]


# ---- what a page takes from Python ---------------------------------------------------------------


@singledispatch
def section_of(result: Any) -> Section:
    """A result as a section of a page; one function for each kind."""
    raise ParameterError(
        f"a page has no place for {type(result).__name__}; give a Comparison, an ErrorAnalysis, a "
        "Delta, a pyarrow table, a picture or another block, or a Section",
        asked=type(result).__name__,
    )


@section_of.register
def _(block: Block) -> Section:
    return Section(getattr(block, "title", getattr(block, "caption", "Notes")), "", [block])


@section_of.register
def _(table: pa.Table) -> Section:
    rows = [[_cell(v) for v in row.values()] for row in table.to_pylist()]
    return Section("Table", "", [Table("", table.column_names, rows)])


def _cell(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float) else str(value)


@section_of.register
def _(c: Comparison) -> Section:
    rows: list[list[Any]] = [["all users", "", c.users, c.difference, c.low, c.high]]
    rows += [
        [f"by {by}", label, p["users"], p["difference"], p["low"], p["high"]]
        for by, parts in c.slices.items()
        for label, p in parts.items()
    ]
    values = {c.metric: {c.a: [c.mean_a], c.b: [c.mean_b]}}
    pictures = [
        Bars(c.metric, c.metric, values, [c.b]),
        Intervals("Who gains", f"{c.metric}, {c.b} − {c.a}", rows),
    ]
    return Section(f"{c.b} against {c.a}", "", [Text(c.verdict() + "."), *pictures])


@section_of.register
def _(delta: Delta) -> Section:
    return Section("What was generated", "", [generated(delta)])


def generated(delta: Delta, caption: str = "what was generated") -> Table:
    """One row for each part, type and generator, with the spread of confidence."""
    columns = ["what", "by", "rows", "confidence: lowest", "mean", "highest"]
    rows: list[list[Any]] = [
        [f"{row['part']}: {row['type']}", row["origin"], row["rows"]]
        + [None if row[c] is None else f"{row[c]:.3f}" for c in ("min", "mean", "max")]
        for row in delta.summary().to_pylist()
    ]
    return Table(caption, columns, rows)


@section_of.register
def _(errors: ErrorAnalysis) -> Section:
    return Section(
        f"What is missed: {errors.name} on {errors.on}",
        "Which held-out items were not among the first of the list, and what stood in their place. "
        "Each is counted once, under the first kind that fits. A slice is named only if users and "
        "items that were not used to find it do worse there, beyond chance.",
        errors_blocks(errors),
    )


def errors_blocks(found: ErrorAnalysis) -> list[Block]:
    """Kinds of misses, the worst slices, and examples."""
    title = (
        f"{found.name} on {found.on}: {100 * found.missed:.1f} % of {len(found.pairs):,} held-out "
        f"pairs are not among the first {found.k}"
    )
    kinds: list[list[Any]] = [
        [row["kind"], f"{100 * row['share']:.1f}", row["pairs"], row["meaning"]]
        for row in found.kinds.to_pylist()
    ]
    examples: list[list[Any]] = [
        [row["kind"], str(row["user"]), str(row["item"]), str(row["rank"] or f"> {2 * found.k}"),
         ", ".join(map(str, row["instead"]))]
        for row in found.examples.to_pylist()
    ]  # fmt: skip
    columns = ["kind", "user", "held out", "rank", "in its place"]
    return [
        Table(title, ["kind", "% of misses", "pairs", "what it means"], kinds),
        _worst(found),
        Table("examples", columns, examples, folded=True),
    ]


def _worst(found: ErrorAnalysis) -> Block:
    looked = f"{found.looked_at} slices were looked at; p is corrected for that."
    if not found.slices.num_rows:
        return Text(f"No slice is worse than the rest beyond chance. {looked}")
    columns = ["slice", "% of pairs", "gain", "rest", "difference [95 %]", "p", "mostly"]
    rows: list[list[Any]] = [
        [row["where"], f"{100 * row['share']:.0f}", f"{row['gain']:.3f}", f"{row['rest']:.3f}",
         f"{row['difference']:+.3f} [{row['low']:.3f}, {row['high']:.3f}]", shown(row["p"]),
         row["mostly"] or ""]
        for row in found.slices.to_pylist()
    ]  # fmt: skip
    return Table(f"worst slices (gain: NDCG@{found.k} of each pair). {looked}", columns, rows)
