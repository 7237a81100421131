"""What a run left, read back and checked: results.jsonl and the augmented stores."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hinaug.errors import ReportError
from hinaug.evaluation import Comparison
from hinaug.graph import HIN, EdgeType
from hinaug.io import load
from hinaug.report.wording import ARMS, METRICS, verdict

PAIRS = ("random - plain", "augmented - plain", "augmented - random")
_NUMBER = (int, float)
_FIGURES = dict.fromkeys(
    ("users", "before", "difference", "low", "high", "wins", "losses"), _NUMBER
)
_NEED: dict[str, dict[str, Any]] = {  # the keys that the page reads, and what they hold
    "run": {"data": str, "relation": list, "seeds": list, "versions": dict},
    "means": {"regime": str, "model": str, "arm": str, "figures": dict},
    "comparison": {
        "regime": str, "model": str, "pair": str, "metric": str, "a": str, "b": str, "slices": dict,
        "fits": list, "random": list, "barred": str,
        **dict.fromkeys(("p", "p_holm", "needed"), (*_NUMBER, type(None))),
        **dict.fromkeys(("mean_a", "mean_b", "relative", "splits", "worth"), _NUMBER),
        **{key: kind for key, kind in _FIGURES.items() if key != "before"},
    },
    "chosen": {"regime": str, "size": str, "members": dict},
    "recommendation": {"regime": str, "user": str, "known": int, "history": list, "items": list,
                       "edges": int, "surest": list},
    "errors": {"name": str, "on": str, "k": int, "missed": _NUMBER, "users": int, "pairs": int,
               "looked_at": int, "kinds": list, "slices": list, "examples": list},
    "end": {"seconds": _NUMBER},
}  # fmt: skip
_ITEM = {
    "rank": int,
    "title": str,
    "score": _NUMBER,
    "confidence": (*_NUMBER, type(None)),
    "fans": int,
}
_GUESS = {"title": str, "confidence": _NUMBER}
_ERRORS: dict[str, dict[str, Any]] = {
    "kinds": {"kind": str, "meaning": str, "share": _NUMBER, "pairs": int},
    "slices": {
        "where": str,
        "mostly": (str, type(None)),
        **dict.fromkeys(("share", "gain", "rest", "difference", "low", "high", "p"), _NUMBER),
    },
    "examples": {
        "kind": str,
        "user": (str, int),
        "item": (str, int),
        "rank": (int, type(None)),
        "instead": list,
    },
}


@dataclass
class Run:
    """Everything that the page tells.

    lines: {kind: the lines of results.jsonl of that kind}.
    graphs: {regime: the augmented graph}.
    """

    lines: dict[str, list[dict[str, Any]]]
    graphs: dict[str, HIN]

    @property
    def facts(self) -> dict[str, Any]:
        return self.lines["run"][0]

    @property
    def relation(self) -> EdgeType:
        source, name, target = self.facts["relation"]
        return source, name, target

    @property
    def regimes(self) -> list[str]:
        return list(dict.fromkeys(row["regime"] for row in self.lines["means"]))

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys(row["model"] for row in self.lines["means"]))

    def mean(self, regime: str, model: str, arm: str, metric: str) -> tuple[float, float]:
        """Mean over users, seeds averaged for each, and half the 95 % interval."""
        where = (regime, model, arm)
        row = next(r for r in self.lines["means"] if (r["regime"], r["model"], r["arm"]) == where)
        mean, low, high = row["figures"][metric]
        return mean, (high - low) / 2

    def pair(self, regime: str, model: str, pair: str) -> dict[str, Any]:
        """The comparison line of one pair, such as "augmented - plain"."""
        where = (regime, model, pair)
        return next(
            c for c in self.lines["comparison"] if (c["regime"], c["model"], c["pair"]) == where
        )

    def verdict(self, regime: str, model: str) -> str:
        """The sentence that the terminal printed."""
        plain, random = (self.pair(regime, model, f"augmented - {a}") for a in ("plain", "random"))
        return verdict(_comparison(plain), _comparison(random), plain["p_holm"], random["p_holm"])


def read(folder: Path) -> Run:
    """The run that wrote `folder`.

    Raises ReportError, or StoreError for a store that cannot be read.
    """
    path = folder / "results.jsonl"
    lines: dict[str, list[dict[str, Any]]] = {kind: [] for kind in _NEED}
    for n, line in enumerate(_text(path).splitlines(), 1):
        row = _row(line, f"{path}, line {n}")
        if row["kind"] in _NEED:
            lines[row["kind"]].append(row)
    run = Run(lines, {})
    _complete(run, path)
    for regime in run.regimes:
        place = run.facts.get("stores", {}).get(regime, regime.split()[0])
        run.graphs[regime] = _graph(folder / place, run.relation)
    return run


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ReportError(
            f"cannot read {path}: {reason}; a report is made from the folder of a finished run "
            "(hinaug demo, or hinaug evaluate --run)"
        ) from error


# ---- one line ------------------------------------------------------------------------------------


def _row(line: str, where: str) -> dict[str, Any]:
    """A line as an object that holds all that its kind needs. where: for messages."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ReportError(f"{where} is not JSON ({error.msg}); run the demo again") from error
    if not isinstance(row, dict) or "kind" not in row:
        raise ReportError(f"{where}: every line is an object with a 'kind', this is {line[:60]!r}")
    kind = row["kind"]
    if kind in _NEED:
        _holds(row, _NEED[kind], f"{where} ({kind})")
        if kind in _CHECKS:
            _CHECKS[kind](row, where)
    return row


def _check_run(row: dict[str, Any], where: str) -> None:
    relation = row["relation"]
    if len(relation) != 3 or not all(isinstance(name, str) for name in relation):
        raise ReportError(f"{where} (run): 'relation' is three names, this is {relation!r}")
    if "stores" in row:
        _holds(row, {"stores": dict}, f"{where} (run)")
        _holds(row["stores"], dict.fromkeys(row["stores"], str), f"{where} (run), stores")


def _check_means(row: dict[str, Any], where: str) -> None:
    for metric in METRICS:
        figures = row["figures"].get(metric)
        is_triple = isinstance(figures, list) and len(figures) == 3
        if not is_triple or not all(isinstance(figure, _NUMBER) for figure in figures):
            raise ReportError(
                f"{where} (means): 'figures' has no [mean, low, high] of {metric}; run the "
                "demo again"
            )


def _check_comparison(row: dict[str, Any], where: str) -> None:
    for name, labels in row["slices"].items():
        _holds({name: labels}, {name: dict}, where)
        for label, figures in labels.items():
            _holds({label: figures}, {label: dict}, where)
            _holds(figures, _FIGURES, f"{where}, {name} {label}")


def _check_chosen(row: dict[str, Any], where: str) -> None:
    for members in row["members"].values():
        _holds({"members": members}, {"members": dict}, where)


def _check_recommendation(row: dict[str, Any], where: str) -> None:
    for name, need in (("items", _ITEM), ("surest", _GUESS)):
        for item in row[name]:
            _holds({name: item}, {name: dict}, where)
            _holds(item, need, f"{where}, {name}")


def _check_errors(row: dict[str, Any], where: str) -> None:
    for name, need in _ERRORS.items():
        for item in row[name]:
            _holds({name: item}, {name: dict}, where)
            _holds(item, need, f"{where}, {name}")


_CHECKS: dict[str, Callable[[dict[str, Any], str], None]] = {  # what is inside the keys of a kind
    "run": _check_run,
    "means": _check_means,
    "comparison": _check_comparison,
    "chosen": _check_chosen,
    "recommendation": _check_recommendation,
    "errors": _check_errors,
}


def _holds(row: dict[str, Any], need: dict[str, Any], where: str) -> None:
    """Raises ReportError where a key of `need` is missing, or of another type."""
    for key, kind in need.items():
        if key not in row:
            raise ReportError(
                f"{where} has no {key!r}: another version of hinaug wrote it; run the demo again"
            )
        if not isinstance(row[key], kind) or isinstance(row[key], bool):
            raise ReportError(
                f"{where}: {key!r} is {row[key]!r}, which a run does not write; run the demo again"
            )


# ---- the whole -----------------------------------------------------------------------------------


def _complete(run: Run, path: Path) -> None:
    """Raises ReportError where a line is missing without which there is no page."""
    needed = {"run": "what was run", "means": "any result", "comparison": "any comparison"}
    for kind, what in needed.items():
        if not run.lines[kind]:
            raise ReportError(
                f"{path} does not say {what} (no line of kind {kind!r}): the run did not finish; "
                "run it again"
            )
    for regime in run.regimes:
        for model in run.models:
            missing = _missing(run, regime, model)
            if missing:
                raise ReportError(
                    f"{path}: {regime}, {model} lacks {missing}: the run did not finish; run it "
                    "again",
                    there=missing,
                )


def _missing(run: Run, regime: str, model: str) -> list[str]:
    """The arms and the comparisons that one model lacks."""

    def those(kind: str, key: str) -> set[str]:
        rows = run.lines[kind]
        return {r[key] for r in rows if (r["regime"], r["model"]) == (regime, model)}

    arms, pairs = those("means", "arm"), those("comparison", "pair")
    return [arm for arm in ARMS if arm not in arms] + [p for p in PAIRS if p not in pairs]


def _graph(folder: Path, relation: EdgeType) -> HIN:
    graph = load(folder)
    if not isinstance(graph, HIN) or not graph.deltas:
        raise ReportError(
            f"{folder} holds {type(graph).__name__} without a delta; the demo saves an augmented "
            "graph there"
        )
    if relation not in graph.edges:
        raise ReportError(
            f"{folder} has no {relation} edges; it has {list(graph.edges)}; results and store do "
            "not match"
        )
    return graph


def _comparison(row: dict[str, Any]) -> Comparison:
    return Comparison(**{f.name: row[f.name] for f in fields(Comparison)})
