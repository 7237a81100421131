"""results.jsonl, from which the page of a run is made."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hinaug.evaluation import Comparison, Result, mean_over_fits
from hinaug.evaluation.compare import per_user
from hinaug.graph import EdgeType
from hinaug.report.wording import METRICS

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


class Log:
    """One JSON object a line, written as the run goes.

    Until `end` the file is called results.jsonl.part, so an older run stays until a newer one is
    complete.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.part = path, path.with_name(path.name + ".part")
        self.part.write_text("")

    def write(self, **row: Any) -> None:
        """Any line; `kind` says what it holds."""
        with self.part.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def end(self, seconds: float) -> None:
        """The last line; an older results.jsonl is replaced."""
        self.write(kind="end", seconds=seconds)
        self.part.replace(self.path)

    def run(self, data: str, relation: EdgeType, seeds: Iterable[int], **facts: Any) -> None:
        """What is run, and with which versions.

        facts: more for the page: source, terms, notes, encoder, command, stores.
        """
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
        """The figures of one fit. where: regime, seed, model, arm."""
        figures = {m: result[m] for m in [*result.values, *result.overall]}
        self.write(kind="result", **where, on=result.on, users=len(result.users), **figures)

    def means(self, results: list[Result], **where: Any) -> None:
        """Means over the seeds, as tables show them: {metric: [mean, low, high]}."""
        figures = {metric: list(mean_over_fits(results, metric)) for metric in METRICS}
        users = len(per_user(results, METRICS[0])[0])
        self.write(kind="means", **where, users=users, figures=figures)

    def comparison(self, c: Comparison, **where: Any) -> None:
        """One comparison. where: regime, model, pair, p_holm."""
        self.write(kind="comparison", **where, relative=c.relative, **vars(c))
