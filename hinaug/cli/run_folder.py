"""The folder of a run: what `hinaug evaluate --run` keeps, and `hinaug report` makes a page of."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hinaug.cli.arms import Learned, control
from hinaug.cli.folders import check_place, drafted, is_free
from hinaug.cli.output import words
from hinaug.errors import ParameterError
from hinaug.graph import HIN, Delta
from hinaug.io import save
from hinaug.predictors.base import LinkPredictor
from hinaug.report import (
    Arms,
    Command,
    Facts,
    Findings,
    Log,
    brief,
    compared,
    generated,
    graph_blocks,
    lists,
)
from hinaug.split import Split

OWN = ("results.jsonl", "report.html")


def check_run(folder: Path, deltas: Mapping[str, Any], on: str) -> None:
    """Raises ParameterError where no run can be kept; asked before any work.

    An older run may be replaced, nothing else.
    """
    if on != "test":
        raise ParameterError(
            "--run keeps what a report is made of, and that is judged on test; add --on test"
        )
    if not deltas:
        raise ParameterError(
            "--run keeps a comparison, and there is nothing to compare with; add --delta"
        )
    check_place(folder, "--run")
    check_older(folder, "--run")


def check_older(folder: Path, option: str) -> None:
    """Raises ParameterError where a folder holds anything but an older run."""
    if is_free(folder):
        return
    if not (folder / OWN[0]).is_file():
        raise ParameterError(f"{option} {folder} is there and is no older run; name a new folder")
    strangers = [p.name for p in folder.iterdir() if not _is_own(p)]
    if strangers:
        raise ParameterError(
            f"{option} {folder} holds {', '.join(strangers[:3])} beside an older run; name a new "
            "folder",
            there=strangers,
        )


def _is_own(path: Path) -> bool:
    return path.name in OWN or (path.is_dir() and path.name.startswith("augmented"))


def facts_of_run(
    folder: Path, split: Split, predictor: LinkPredictor, options: Mapping[str, Any]
) -> dict[str, Any]:
    """What the page says of a run: the split, the model, and the command that runs it again.

    folder: the store of the split.
    options: those of `hinaug evaluate` that shape the result, by name.
    """
    models = options["model"]
    hidden = ("split", "audit")
    made = ", ".join(
        f"{k}={v}" for k, v in split.how.items() if k not in hidden and v not in (None, [])
    )
    seeds = range(options["seed"], options["seed"] + options["seeds"])
    return {
        "data": folder.name,
        "model": models[0] if len(models) == 1 else f"{options['ensemble']} ensemble",
        "command": _command(folder, options),
        "facts": {
            "Split": f"{split}; {split.how.get('split', 'split')}: {made}",
            "Links": " ".join(split.target),
            "Model": brief(repr(predictor)),
            **audit_of(split),
            "Seeds": ", ".join(map(str, seeds)),
        },
    }


def audit_of(split: Split) -> dict[str, str]:
    """What the page says of an audit that was left out; nothing where it was made."""
    return {"Audit": str(split.how["audit"])} if "audit" in split.how else {}


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
    facts: dict[str, Any],
    seconds: float,
) -> None:
    """Writes results.jsonl and, for each delta, the augmented graph.

    The folder appears when all of it is written.
    """
    with drafted(folder) as draft:
        draft.mkdir()
        log = Log(draft / OWN[0], f"{facts['data']}: did the augmentation help?")
        arms = {name: _arms(name, learned, facts["model"]) for name in deltas}
        findings = [found.finding(facts["model"]) for found in arms.values()]
        log.add(
            Findings("Where it helped, and where not", findings),
            Facts(facts["facts"]),
            Command(facts["command"]),
        )
        for n, (name, delta) in enumerate(deltas.items()):
            graph = split.train_valid + delta
            save(graph, draft / (f"augmented-{n}" if n else "augmented"))
            log.section(f"With {name}")
            log.add(*arms[name].blocks(), generated(delta))
            log.write(*arms[name].documents())
            log.section(f"With {name}: real and generated")
            log.add(*graph_blocks(graph, split.target, name))
            log.section(f"With {name}: examples", "The plain list beside the augmented one.")
            plain = learned.models["plain"], split.train_valid
            title = title_of(graph, split.target[2])
            log.add(*lists(plain, (learned.models[name], graph), split, title))
        log.end(seconds)


def _arms(name: str, learned: Learned, model: str) -> Arms:
    """Plain, random and augmented of one delta."""
    of = {"plain": "plain", "random": control(name), "augmented": name}
    results = {(model, arm): learned.results[key] for arm, key in of.items()}
    return compared(f"with {name}", results)


def title_of(graph: HIN, item: str) -> Callable[[Any], str]:
    """How to print an item: by a column that ends in title or name, else by its id."""
    names = graph.nodes[item].column_names
    column = next(
        (c for word in ("title", "name") for c in names if c == word or c.endswith(f"_{word}")),
        "id",
    )
    ids = map(str, graph.ids(item).to_pylist())
    titles = dict(zip(ids, graph.column(item, column).to_pylist(), strict=True))
    return lambda id: words(titles.get(str(id))) or str(id)
