"""The section on errors, which `hinaug errors --run` adds to a run that is already there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from hinaug.errors import ReportError
from hinaug.evaluation import ErrorAnalysis
from hinaug.report.pieces import data, table
from hinaug.report.read import Run
from hinaug.report.svg import clean, signed
from hinaug.report.wording import shown

KIND = "errors"  # of the line in results.jsonl


def keep_errors(folder: str | os.PathLike[str], errors: ErrorAnalysis) -> None:
    """Adds an analysis to the results of a run; an older one of the same part is replaced.

    Raises ReportError where the folder holds no finished run.
    """
    path = Path(folder) / "results.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if not _is_older(json.loads(line), errors.on)]
    except (OSError, ValueError) as error:
        raise ReportError(
            f"{path}: {error}; errors are added to a finished run (hinaug demo, or hinaug evaluate "
            "--run)"
        ) from error
    row = json.dumps({"kind": KIND, **errors.document()}, default=str)
    draft = path.with_name(f"{path.name}.part")
    draft.write_text("\n".join([*kept, row]) + "\n", encoding="utf-8")
    draft.replace(path)


def _is_older(row: Any, on: str) -> bool:
    return isinstance(row, dict) and row.get("kind") == KIND and row.get("on") == on


def section(run: Run) -> tuple[str, str]:
    """What is missed, where it is worst, and examples."""
    about = (
        "<p>Which held-out items were not among the first of the list, and what stood in their "
        "place. Each is counted once, under the first kind that fits.</p>"
        "<p>A slice is named only if users and items that were not used to find it do worse there, "
        "beyond chance.</p>"
    )
    return about, "".join(_tables(row, run) for row in run.lines[KIND])


def _tables(row: dict[str, Any], run: Run) -> str:
    source, _, target = run.relation
    told = (
        f"{data(row['name'])} on {data(row['on'])}: of {row['pairs']:,} held-out "
        f"{data(target)}s of {row['users']:,} {data(source)}s, {100 * row['missed']:.1f} % are not "
        f"among the first {row['k']}."
    )
    return f"<p>{told}</p>{_kinds(row)}{_slices(row)}{_examples(row, source, target)}"


def _kinds(row: dict[str, Any]) -> str:
    head = [("kind", "left"), ("% of misses", ""), ("pairs", ""), ("what it means", "text")]
    rows = "".join(
        f'<tr><th scope="row" class="left arm">{data(kind["kind"])}</th>'
        f"<td>{100 * kind['share']:.1f}</td><td>{kind['pairs']:,}</td>"
        f'<td class="text">{data(kind["meaning"])}</td></tr>'
        for kind in row["kinds"]
    )
    return table("Kinds of misses", head, [f"<tbody>{rows}</tbody>"])


def _slices(row: dict[str, Any]) -> str:
    looked = f"{row['looked_at']} slices were looked at; p is corrected for that."
    if not row["slices"]:
        return f"<p>No slice does worse than the rest beyond chance. {looked}</p>"
    head = [
        ("slice", "text"),
        ("% of pairs", ""),
        ("gain", ""),
        ("of the rest", ""),
        ("difference [95 %]", "wrap"),
        ("p", ""),
        ("mostly", "left"),
    ]
    rows = "".join(_row_of_slice(one) for one in row["slices"])
    told = f"<p>Gain is the NDCG@{row['k']} of each held-out item by itself. {looked}</p>"
    return table("The worst slices", head, [f"<tbody>{rows}</tbody>"]) + told


def _row_of_slice(one: dict[str, Any]) -> str:
    change, low, high = (signed(one[name], 3) for name in ("difference", "low", "high"))
    return (
        f'<tr><th scope="row" class="text">{data(one["where"])}</th>'
        f"<td>{100 * one['share']:.0f}</td><td>{one['gain']:.3f}</td><td>{one['rest']:.3f}</td>"
        f'<td>{change} <span class="muted">[{low}, {high}]</span></td><td>{shown(one["p"])}</td>'
        f'<td class="left">{data(one["mostly"] or "")}</td></tr>'
    )


def _examples(row: dict[str, Any], source: str, target: str) -> str:
    names = ("kind", source, f"held-out {target}", "rank", "in its place")
    beyond = f"> {2 * row['k']}"
    rows = "".join(
        f'<tr><td class="left">{data(one["kind"])}</td><td class="left">{data(one["user"])}</td>'
        f'<td class="left">{data(one["item"])}</td><td>{one["rank"] or clean(beyond)}</td>'
        f'<td class="left">{data(", ".join(map(str, one["instead"])))}</td></tr>'
        for one in row["examples"]
    )
    head = [(name, "" if name == "rank" else "left") for name in names]
    made = table("Examples of misses", head, [f"<tbody>{rows}</tbody>"])
    return f"<details><summary>Examples</summary>{made}</details>"
