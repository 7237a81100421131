"""Writes the reference of hinaug as one page: docs/_build/index.html, from the docstrings. `python
docs/build.py [FILE]`

The page holds its style, runs no script and asks for nothing from anywhere; the same package gives
the same bytes.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from html import escape
from pathlib import Path
from textwrap import dedent
from types import FunctionType
from typing import Any

# the order of the house: title, what stands there, and the names that are shown (None: all public
# ones)
HOUSE = [
    ("Store", "hinaug.graph", ["HIN", "Schema", "Delta", "merge"]),
    ("Store: errors", "hinaug.errors", None),
    ("Store: disk", "hinaug.io.store", ["save", "load"]),
    ("Store: conversions", "hinaug.io.convert", None),
    ("Store: public data", "hinaug.datasets", None),
    ("Store: files of your own", "hinaug.io.tables", ["build", "parse", "columns", "Count"]),
    (
        "Split",
        "hinaug.split",
        [
            *("Split", "random_split", "temporal_split", "leave_last"),
            *("cold_users", "cold_items", "thin"),
        ],
    ),
    ("Audit", "hinaug.split.audit", None),
    ("Text", "hinaug.features.text", None),
    ("Layers", "hinaug.nn", None),
    ("Contracts", "hinaug.training.estimator", None),
    ("Predictors", "hinaug.predictors", None),
    ("Generators", "hinaug.generators", None),
    ("Ensembles", "hinaug.ensembles", None),
    ("Recommend", "hinaug.serving.recommend", ["recommend"]),
    (
        "Evaluate",
        "hinaug.evaluation",
        [
            *("evaluate", "compare", "Result", "Comparison", "holm"),
            *("analyse_errors", "ErrorAnalysis", "sample_size", "SequentialTest", "Totals"),
            *("advise", "fidelity", "Fidelity", "membership", "Membership", "JointResult"),
        ],
    ),
    ("Metrics", "hinaug.evaluation.metrics", None),
    ("Tune", "hinaug.evaluation.tune", None),
    ("Report", "hinaug.report", None),
    ("Check kit", "hinaug.testing", None),
]

STYLE = """
:root { color-scheme: light dark; --ink: #1d2428; --quiet: #56646d; --paper: #fdfdfb; --shade: #f0f2f0; --line: #d9dedb;
  --accent: #1f6664; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7e5; --quiet: #9fadb3; --paper: #15191b; --shade: #1f2527;
  --line: #343c3f; --accent: #7cc4bf; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif;
  overflow-wrap: break-word; }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
nav, main { padding: 1rem; } nav { border-bottom: 1px solid var(--line); }
nav summary { cursor: pointer; padding: .15rem 0; } nav details > a { display: block; padding: .1rem 0 .1rem 1.1rem; }
nav h1 { font-size: 1.25rem; margin: 0; } nav p { color: var(--quiet); margin: .2rem 0 .8rem; font-size: .875rem; }
h2 { margin: 3rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--line); } section:first-child h2 { margin-top: 0; }
h2 small { color: var(--quiet); font: .875rem ui-monospace, monospace; margin-left: .5rem; }
article { margin: 1.75rem 0; scroll-margin-top: 1rem; } article article { margin: 1rem 0 1rem 1rem; }
h3, h4 { margin: 0; font: 600 1rem/1.5 ui-monospace, monospace; } h4 { font-size: .875rem; }
h3 span, h4 span { font-weight: 400; color: var(--quiet); }
pre { background: var(--shade); border-radius: 6px; padding: .75rem; overflow-x: auto; font: .8125rem/1.5 ui-monospace, monospace; }
code { font: .875em ui-monospace, monospace; background: var(--shade); padding: .05em .25em; border-radius: 3px; }
article > p, section > p { max-width: 46rem; margin: .5rem 0; } .note { color: var(--quiet); font-size: .875rem; }
dl { margin: .5rem 0; max-width: 46rem; } dt { font: 600 .875rem ui-monospace, monospace; } dd { margin: 0 0 .35rem 1.25rem; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
@media (min-width: 60rem) { body { display: grid; grid-template-columns: 16rem minmax(0, 1fr); }
  nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; border: 0; border-right: 1px solid var(--line); }
  main { padding: 1.5rem 2.5rem 4rem; max-width: 64rem; } }
"""


def public(module: Any, wanted: list[str] | None) -> dict[str, Any]:
    """{name: class or function} of a module, in the order of its `__all__` or of its source."""
    if wanted is None:
        wanted = getattr(module, "__all__", None) or [
            name
            for name, thing in vars(module).items()
            if not name.startswith("_")
            and (inspect.isclass(thing) or inspect.isfunction(thing))
            and thing.__module__ == module.__name__
        ]
    things = {name: getattr(module, name) for name in wanted}
    return {
        name: thing
        for name, thing in things.items()
        if inspect.isclass(thing) or inspect.isfunction(thing)
    }


def members(cls: type) -> dict[str, Any]:
    """{name: method or property} that the class itself defines."""
    return {
        name: thing
        for name, thing in vars(cls).items()
        if not name.startswith("_")
        and isinstance(thing, FunctionType | classmethod | staticmethod | property)
    }


class Bare(str):
    """An annotation as it was written, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def signature(thing: Any) -> str:
    """The parameters and what comes back, without `self` and without the module names that nobody
    reads.
    """
    if isinstance(thing, property) or (inspect.isclass(thing) and issubclass(thing, BaseException)):
        return ""
    told = inspect.signature(thing)
    given = [
        p if p.annotation is p.empty else p.replace(annotation=Bare(short(p.annotation)))
        for p in told.parameters.values()
        if p.name not in ("self", "cls")
    ]
    result = told.return_annotation
    back = (
        ""
        if inspect.isclass(thing) or result in (told.empty, None, "None")
        else f" -> {short(result)}"
    )
    shown = str(told.replace(parameters=given, return_annotation=told.empty))
    return shown.replace("<factory>", "...") + back


def short(annotation: Any) -> str:
    """torch.nn.Module -> Module."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Za-z])", "", text)


NAMES: dict[str, str] = {}  # {name, or Class.name: where it stands on the page}, for links


def words(line: str) -> str:
    """A line of prose, escaped, with `code` as code, and a link where it is a name of this page."""

    def code(found: re.Match[str]) -> str:
        where, shown = NAMES.get(found[1].removesuffix("()")), f"<code>{found[1]}</code>"
        return f"<a href='#{where}'>{shown}</a>" if where else shown

    return re.sub(r"`+([^`]+)`+", code, escape(line, quote=False))


def names(things: dict[str, Any]) -> dict[str, str]:
    """{name or path: path} of what stands on the page once under that name; things: {path: class or
    function}.
    """
    paths: dict[str, list[str]] = {}
    for path, thing in things.items():
        for short in (path, path.rpartition(".")[2]):
            paths.setdefault(short, []).append(path)
        for name in members(thing) if inspect.isclass(thing) else ():
            paths.setdefault(f"{path.rpartition('.')[2]}.{name}", []).append(f"{path}.{name}")
    return {name: found[0] for name, found in paths.items() if len(found) == 1}


TERM = re.compile(r"([a-z_]\w*(?:, [a-z_]\w*)*): (.*)")


def blocks(doc: str, opening: bool = True) -> str:
    """A docstring as HTML. opening: it starts with a sentence, even if that looks like a term."""
    out: list[str] = []
    for block in re.split(r"\n\s*\n", doc.strip("\n")):
        lines = block.splitlines()
        if len(lines) > 1 and re.fullmatch(r"\w+:", lines[0]):  # Args:, Shapes:, Example:
            inside = dedent("\n".join(lines[1:]))
            out.append(f"<p><b>{lines[0]}</b></p>")
            out.append(
                f"<pre>{escape(inside, quote=False)}</pre>"
                if ">>>" in inside
                else blocks(inside, opening=False)
            )
        else:
            if len(lines) > 1 and re.fullmatch(r"-{3,}", lines[1]):  # a title and its line
                out.append(f"<p><b>{words(lines[0])}</b></p>")
                lines = lines[2:]
            out += [html(kind, text) for kind, text in runs(lines, opening)]
        opening = False
    return "\n".join(out).replace("</dl>\n<dl>", "\n")


def runs(lines: list[str], opening: bool) -> list[tuple[str, list[str]]]:
    """Lines that belong together: prose, a term "name: what it is" with its further lines, or what
    is set in.
    """
    made: list[tuple[str, list[str]]] = []
    for line in lines:
        last = made[-1][0] if made else ""
        if TERM.match(line) and (made or not opening):
            made.append(("term", [line]))
        elif line.startswith("    ") and last in ("term", "fixed"):
            made[-1][1].append(line)
        elif line.startswith("    "):
            made.append(("fixed", [line]))
        elif last == "prose":
            made[-1][1].append(line)
        else:
            made.append(("prose", [line]))
    return made


def html(kind: str, lines: list[str]) -> str:
    """One run of lines."""
    if kind == "fixed":
        return f"<pre>{escape(dedent(chr(10).join(lines)), quote=False)}</pre>"
    text = " ".join(line.strip() for line in lines)
    if kind == "prose":
        return f"<p>{words(text)}</p>"
    name, _, said = text.partition(": ")
    return f"<dl><dt>{escape(name)}</dt><dd>{words(said)}</dd></dl>"


def entry(path: str, name: str, thing: Any, level: int) -> str:
    """A class or function: signature, docstring and, for a class, what it defines."""
    function = getattr(thing, "__func__", thing)
    doc = inspect.getdoc(function.fget if isinstance(thing, property) else function) or ""
    if inspect.isclass(thing) and doc.startswith(f"{thing.__name__}("):
        doc = ""  # what `dataclass` writes where nobody wrote anything
    kind = "class " if inspect.isclass(thing) else ""
    parts = [
        f"<article id='{path}'><h{level}>{kind}{name}<span>{escape(signature(function), quote=False)}</span></h{level}>"
    ]
    parts.append(blocks(doc))
    if inspect.isclass(thing):
        shown = {
            n: m for n, m in members(thing).items() if inspect.getdoc(getattr(m, "__func__", m))
        }
        parts += [entry(f"{path}.{n}", n, m, level + 1) for n, m in shown.items()]
        above = [
            words(f"`{base.__name__}`")
            for base in thing.__mro__[1:]
            if base.__module__.startswith("hinaug") and members(base)
        ]
        if above:
            parts.append(f"<p class='note'>More methods in {', '.join(above)}.</p>")
    return "\n".join([*parts, "</article>"])


def command_line() -> str:
    """What `hinaug --help` and the help of each verb say, in 80 columns."""
    from typer.testing import CliRunner

    from hinaug.cli.app import VERBS, app

    def told(*verb: str) -> str:
        said = CliRunner(env={"COLUMNS": "80", "TERM": "dumb"}).invoke(
            app, [*verb, "--help"], prog_name="hinaug"
        )
        text = dedent("\n".join(line.rstrip() for line in said.stdout.splitlines())).strip("\n")
        return f"<pre>{escape(text, quote=False)}</pre>"

    parts = [f"<article id='cli.{v}'><h3>hinaug {v}</h3>{told(v)}</article>" for v in VERBS]
    return f"<section id='cli'><h2>Command line<small>hinaug</small></h2>{told()}{''.join(parts)}</section>"


def page() -> str:
    """The whole page."""
    import hinaug
    from hinaug.cli.app import VERBS
    from hinaug.io.tables import EXAMPLE

    shown = {
        f"{where}.{name}": thing
        for _, where, wanted in HOUSE
        for name, thing in public(importlib.import_module(where), wanted).items()
    }
    NAMES.update(names(shown))
    verbs = "".join(f"<a href='#cli.{verb}'>{verb}</a>" for verb in VERBS)
    menu = [f"<details><summary><a href='#cli'>Command line</a></summary>{verbs}</details>"]
    body = [command_line()]
    for title, where, wanted in HOUSE:
        module = importlib.import_module(where)
        things = public(module, wanted)
        links = "".join(f"<a href='#{where}.{name}'>{name}</a>" for name in things)
        menu.append(f"<details><summary><a href='#{where}'>{title}</a></summary>{links}</details>")
        body.append(
            f"<section id='{where}'><h2>{title}<small>{where}</small></h2>{blocks(inspect.getdoc(module) or '')}"
        )
        if where == "hinaug.io.tables":
            body.append(f"<pre>{escape(EXAMPLE, quote=False)}</pre>")
        body += [entry(f"{where}.{name}", name, thing, 3) for name, thing in things.items()]
        body.append("</section>")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>hinaug {hinaug.__version__}: reference</title><style>{STYLE}</style></head>
<body><nav><h1>hinaug {hinaug.__version__}</h1>
<p>Reference, from the docstrings. A tour: <code>notebooks/</code>; terms: <code>docs/glossary.md</code>.</p>
{"".join(menu)}</nav>
<main><section>{blocks(inspect.getdoc(hinaug) or "")}</section>
{chr(10).join(body)}</main></body></html>
"""


if __name__ == "__main__":
    target = (
        Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "_build" / "index.html"
    )
    made = page()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(made, encoding="utf-8")
    sys.stdout.write(f"wrote {target} ({len(made) / 1024:.0f} KiB)\n")
