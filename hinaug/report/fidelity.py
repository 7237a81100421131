"""What generated nodes are worth, as sections of a page: scores beside those of real nodes, and
pictures of where the two differ most.
"""

from __future__ import annotations

from hinaug.evaluation.fidelity import Fidelity, Plot, Property
from hinaug.report.blocks import Bars, Block, Lines, Section, Table, Text

PICTURES = 12  # of the properties that are furthest below their ceilings
COPIES = 20  # rows of the table of copies
ABOUT = {
    "realistic": "Each score is between 0 and 1. The ceiling is what other real nodes score in the "
    "place of the generated ones, in samples of the same size; the floor is the score of a control "
    "that ignores what is measured. Compare a score with its ceiling, not with 1.",
    "useful": "Recommenders are trained on generated nodes, alone or added to the real ones, and "
    "rank hidden links of real nodes that neither they nor the generator has seen.",
    "privacy": "What attacks find. An attack that finds nothing does not show that the generated "
    "nodes are safe to give away. hinaug.evaluation.membership attacks the generator itself.",
}


def fidelity_sections(found: Fidelity) -> list[Section]:
    """A section for each part of the report, in the order of `found.properties`."""
    made = []
    for root in found.properties:
        blocks = _blocks(root)
        if root.name == "realistic":
            blocks += _pictures(found)
        if root.name == "privacy":
            blocks += _copied(found)
        made.append(Section(root.name.capitalize(), ABOUT.get(root.name, ""), blocks))
    return made


def scores(root: Property, depth: int, caption: str, *, folded: bool = False) -> Table:
    """The properties down to a depth below `root`, one row each."""
    columns = ["property", "score", "ceiling", "floor", "figure", "what the figure is"]
    rows = [
        ["/".join(path[1:]) or root.name, p.score, p.ceiling, p.floor, p.figure, _says(p)]
        for path, p in root.walk()
        if len(path) <= depth + 1
    ]
    return Table(caption, columns, [list(row) for row in rows], folded=folded)


def _says(one: Property) -> str:
    is_nothing = one.score is None and one.figure is None and not one.parts
    return one.says or ("nothing to judge here" if is_nothing else "")


def _blocks(root: Property) -> list[Block]:
    deep = max(len(path) for path, _ in root.walk()) - 1
    if not root.parts:
        return [Text(f"Not judged: {root.says}.")]
    short = min(deep, 2)
    blocks: list[Block] = [scores(root, short, root.name.capitalize())]
    if deep > short:
        blocks.append(scores(root, deep, "Every property", folded=True))
    return blocks


def _pictures(found: Fidelity) -> list[Block]:
    """The properties that are furthest below what real nodes score."""
    gaps = {path: _gap(found[path]) for path, _ in found.figures()}
    worst = sorted(gaps, key=lambda path: -gaps[path])[:PICTURES]
    plots = dict(found.figures())
    return [picture(plots[path], path.partition("/")[2]) for path in worst]


def _gap(one: Property) -> float:
    return (one.ceiling or 0.0) - (one.score or 0.0)


def picture(plot: Plot, title: str) -> Block:
    """A property as a picture: bars of shares, or two curves."""
    if plot.kind == "shares":
        values = {
            str(label): {"real": [float(real)], "generated": [float(made)]}
            for label, real, made in zip(plot.labels or (), plot.real, plot.made, strict=True)
            if real or made
        }
        return Bars(title, "share", values, ["generated"])
    x = [] if plot.x is None else plot.x.tolist()
    series = {"real": [x, plot.real.tolist()], "generated": [x, plot.made.tolist()]}
    return Lines(title, "value", "share of values up to it", series, marked=["generated"])


def _copied(found: Fidelity) -> list[Block]:
    n = found.copied.num_rows
    if not n:
        return []
    rows = [[r["id"], r["of"], r["what"]] for r in found.copied.slice(0, COPIES).to_pylist()]
    caption = f"Generated nodes that repeat a real one: {n:,}" + (
        f", the first {COPIES} of them" if n > COPIES else ""
    )
    return [Table(caption, ["generated", "real", "what is the same"], rows, folded=True)]
