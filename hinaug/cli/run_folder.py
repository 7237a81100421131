"""The folder of a run: what `hinaug evaluate --run` keeps, and `hinaug report` makes a page of."""

from __future__ import annotations

import io
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from hinaug.cli.arms import Learned, control
from hinaug.cli.places import check_place, drafted
from hinaug.cli.shared import words
from hinaug.errors import ParameterError
from hinaug.evaluation.compare import Comparison
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.io.store import save
from hinaug.predictors.base import LinkPredictor
from hinaug.report.pieces import brief
from hinaug.report.terminal import Log, show_recommendations
from hinaug.split.base import Split

OWN = ("results.jsonl", "report.html")


def check_run(folder: Path, deltas: Mapping[str, Any], on: str) -> None:
    """Asked before any work: an older run may be replaced, nothing else."""
    if on != "test":
        raise ParameterError(
            "--run keeps what a report is made of, and that is judged on test; add --on test"
        )
    if not deltas:
        raise ParameterError(
            "--run keeps a comparison, and there is nothing to compare with; add --delta"
        )
    check_place(folder, "--run")
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / OWN[0]).is_file():
        raise ParameterError(f"--run {folder} is there and is no older run; name a new folder")
    strangers = [p.name for p in folder.iterdir() if not _is_own(p)]
    if strangers:
        raise ParameterError(
            f"--run {folder} holds {', '.join(strangers[:3])} beside an older run; name a new "
            "folder"
        )


def _is_own(path: Path) -> bool:
    return path.name in OWN or (path.is_dir() and path.name.startswith("augmented"))


def told_of(
    folder: Path, split: Split, predictor: LinkPredictor, options: Mapping[str, Any]
) -> dict[str, Any]:
    """What the page says of a run: the split and how it was made, the model, and the command that
    runs it again.
    """
    models = options["model"]
    made = ", ".join(
        f"{k}={v}" for k, v in split.how.items() if k != "split" and v not in (None, [])
    )
    seeds = list(range(options["seed"], options["seed"] + options["seeds"]))
    return {
        "data": folder.name,
        "notes": [str(split), f"{split.how.get('split', 'split')}: {made}"],
        "seeds": seeds,
        "model": models[0] if len(models) == 1 else f"{options['ensemble']} ensemble",
        "settings": brief(repr(predictor)),
        "command": _command(folder, options),
    }


def _command(split: Path, options: Mapping[str, Any]) -> str:
    """The command line of an evaluation on test, without what stands at its default."""
    line = ["hinaug", "evaluate", str(split)]
    usual = {"ensemble": "Weighted", "seeds": 1, "seed": 0}
    for name, value in options.items():
        if value is not None and value != usual.get(name):
            for each in value if isinstance(value, list) else [value]:
                line += [f"--{name}", str(each)]
    return shlex.join([*line, "--on", "test"])


def keep_run(
    folder: Path,
    split: Split,
    deltas: Mapping[str, Delta],
    learned: Learned,
    comparisons: list[tuple[Comparison, float]],
    facts: dict[str, Any],
    seconds: float,
) -> None:
    """Writes results.jsonl and, for each delta, the augmented graph; the folder appears when all of
    it is written.
    """
    with drafted(folder) as draft:
        draft.mkdir()
        places = {name: f"augmented-{i}" if i else "augmented" for i, name in enumerate(deltas)}
        log = Log(draft / OWN[0])
        stores = {_regime(name): place for name, place in places.items()}
        log.run(relation=split.target, stores=stores, **facts)
        for name, delta in deltas.items():
            _compared(log, name, learned, comparisons, facts["model"])
            graph = split.train_valid + delta
            save(graph, draft / places[name])
            model, quiet = learned.models[name], Console(file=io.StringIO())
            show_recommendations(
                model,
                graph,
                split,
                delta,
                _titles(graph, split.target[2]),
                _regime(name),
                log,
                quiet,
            )
        log.end(seconds)


def _regime(delta: str) -> str:
    return f"with {delta}"


def _compared(
    log: Log, name: str, learned: Learned, comparisons: list[tuple[Comparison, float]], model: str
) -> None:
    arms = {"plain": "plain", control(name): "random", name: "augmented"}
    where = {"regime": _regime(name), "model": model}
    for arm, called in arms.items():
        log.means(learned.results[arm], arm=called, **where)
    for c, p in comparisons:
        if c.a in arms and c.b in arms:
            one = replace(c, a=arms[c.a], b=arms[c.b])
            log.comparison(one, pair=f"{one.b} - {one.a}", p_holm=p, **where)


def _titles(graph: HIN, item: str) -> Any:
    """How to print an item: by its title or name where it has one (`title`, `movie_title`, ...),
    else by its id.
    """
    names = graph.nodes[item].column_names
    column = next(
        (c for word in ("title", "name") for c in names if c == word or c.endswith(f"_{word}")),
        "id",
    )
    titles = dict(
        zip(
            map(str, graph.ids(item).to_pylist()),
            graph.column(item, column).to_pylist(),
            strict=True,
        )
    )
    return lambda id: words(titles.get(str(id))) or str(id)
