"""The verb fidelity; the measures are in `hinaug.evaluation.fidelity`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from hinaug.cli.folders import opened
from hinaug.cli.names import Settings, method
from hinaug.cli.options import PREDICTORS, Json, Seed, Setting, complete_predictor
from hinaug.cli.output import answer, in_options, tell
from hinaug.errors import ParameterError
from hinaug.evaluation.fidelity import Fidelity, Property
from hinaug.evaluation.fidelity import fidelity as judge
from hinaug.graph import HIN
from hinaug.graph.schema import EdgeType
from hinaug.predictors.base import FoldsIn, LinkPredictor
from hinaug.report import report, show
from hinaug.report.fidelity import fidelity_sections, scores
from hinaug.split import Split

DEPTH = 2  # of the properties that the terminal shows; the page has all


def fidelity(
    graph: Annotated[
        Path, typer.Argument(help="The store that the generator learned from, a graph or a split.")
    ],
    delta: Annotated[Path, typer.Argument(help="The store of the delta with the new nodes.")],
    node: Annotated[str, typer.Option(help="The type of the generated nodes.")],
    held_out: Annotated[
        Path | None,
        typer.Option(help="The store of a graph with other nodes, which the generator never saw."),
    ] = None,
    student: Annotated[
        list[str] | None,
        typer.Option(
            help=f"A model to train on generated nodes, such as EASE. {PREDICTORS}",
            autocompletion=complete_predictor,
        ),
    ] = None,
    relation: Annotated[
        str | None,
        typer.Option(help="The links that students learn: user,rates,item; a split has its own."),
    ] = None,
    setting: Setting = None,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("fidelity.html"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Show how real and how useful generated nodes are, and what they give away.

    Each score stands beside that of other real nodes, the ceiling. Nothing here
    shows that generated nodes are safe to give away.

    Example, after that of augment:
      hinaug fidelity split delta --node user
    """
    made = opened(graph, "hin", "split")
    real = made.train if isinstance(made, Split) else made
    given = Settings(setting or [])
    students = _students(student or [], _relation(relation, made, bool(student)), given)
    given.check()
    others = None if held_out is None else opened(held_out, "hin")
    found = judge(real, opened(delta, "delta"), node, held_out=others, students=students, rng=seed)
    found = replace(found, properties=tuple(map(_in_options, found.properties)))
    title = f"{found.n_made:,} generated {node} nodes beside {found.n_real:,} real ones"
    report(fidelity_sections(found), out, title=title, about="fidelity")
    document = {
        "node": node,
        "real": found.n_real,
        "generated": found.n_made,
        "page": out,
        "properties": found.table().to_pylist(),
        "copied": found.copied.to_pylist(),
    }
    answer(as_json, document, lambda console: _show(found, out, console))


def _show(found: Fidelity, out: Path, console: Any) -> None:
    for root in found.properties:
        if root.parts:
            show(scores(root, DEPTH, root.name), console)
        if root.says:
            tell(console, f"{root.name}: {root.says}")
    tell(console, f"written to {out}")


def _in_options(one: Property) -> Property:
    """The property and its parts, with options where they name keywords."""
    says = in_options(one.says, ["--student", "--held-out"])
    return replace(one, says=says, parts=tuple(map(_in_options, one.parts)))


def _relation(text: str | None, made: HIN | Split, needed: bool) -> EdgeType | None:
    if text is None:
        if needed and not isinstance(made, Split):
            raise ParameterError(
                "--student: which links are learned? add --relation user,rates,item",
                asked="relation",
            )
        return made.target if isinstance(made, Split) else None
    parts = tuple(text.split(","))
    if len(parts) != 3:
        raise ParameterError(
            f"--relation {text!r}: written source,relation,target, such as user,rates,item",
            asked=text,
        )
    return parts


def _students(names: list[str], relation: EdgeType | None, settings: Settings) -> list[FoldsIn]:
    return [settings.make(method("predictors", name, LinkPredictor), relation) for name in names]
