"""What `make docs` adds to mkdocs: the files of the repository under their own paths, so that links
work here as they do there; a page for each public module; the command line's help.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent
from typing import Any

from markdown import Extension, Markdown
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
# the order of the guides; others follow by name, and missing ones are left out
GUIDES = ["your-data", "from-raw-to-report", "which-augmentation-when", "reading-a-report"]
GUIDES += ["can-i-believe-it", "what-leaks", "text-features", "writing", "scale"]
GUIDES += ["add-a-predictor", "add-a-generator"]
# shown besides the pages: what a page links to, and pictures
SHOWN = ["docs/**/*.md", "docs/pictures/*", "docs/style.css", "README.md", "CONTRIBUTING.md"]
SHOWN += ["CHANGELOG.md", "LICENSE", "hinaug/io/store/FORMAT.md", "notebooks/*.ipynb"]
SHOWN += ["benchmarks/README.md", "benchmarks/notes/*.md", "benchmarks/results/*"]
# modules whose names no folder shows
MODULES = ["hinaug.errors", "hinaug.evaluation.metrics"]
REFERENCE = "docs/reference"


class NoHtml(Extension):
    """`<u, v>` is a product of vectors, never a tag."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Take the readers of HTML away."""
        md.preprocessors.deregister("html_block")
        md.inlinePatterns.deregister("html")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Set the menu from the files that are there."""
    config.markdown_extensions.append(NoHtml())  # type: ignore[arg-type]
    guides = sorted((ROOT / "docs" / "guide").glob("*.md"), key=rank)
    config.nav = [
        {"hinaug": ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]},
        {"Guides": [f"docs/guide/{path.name}" for path in guides]},
        {"Reference": [f"{REFERENCE}/{n}.md" for n in ["command-line", "hinaug", *shown()]]},
        {"Disk format": "hinaug/io/store/FORMAT.md"},
        {"Glossary": "docs/glossary.md"},
        {"Benchmarks": ["benchmarks/README.md", *sorted(notes())]},
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files under their paths in the repository, and the pages that are made here."""
    made = Files([file for file in files if not (ROOT / "docs" / file.src_uri).exists()])
    paths = {path for pattern in SHOWN for path in ROOT.glob(pattern) if path.is_file()}
    for path in sorted(paths):
        where = path.relative_to(ROOT).as_posix()
        made.append(File(where, str(ROOT), config.site_dir, config.use_directory_urls))
    pages = {"command-line": command_line(), "hinaug": top_page()}
    for name, text in (pages | {name: module_page(name) for name in shown()}).items():
        made.append(File.generated(config, f"{REFERENCE}/{name}.md", content=text))
    return made


def notes() -> list[str]:
    """The pages beside the page of the benchmarks."""
    return [
        path.relative_to(ROOT).as_posix()
        for folder in ("notes", "results")
        for path in (ROOT / "benchmarks" / folder).glob("*.md")
    ]


def rank(path: Path) -> tuple[int, str]:
    """Where a guide stands in the menu."""
    return (GUIDES.index(path.stem) if path.stem in GUIDES else len(GUIDES), path.stem)


@cache
def shown() -> dict[str, list[str]]:
    """{module: the classes and functions that its page describes}, each where users import it."""
    import hinaug

    folders = [p.name for p in pkgutil.walk_packages(hinaug.__path__, "hinaug.") if p.ispkg]
    found: dict[str, list[str]] = {}
    seen: set[int] = set()
    for name in sorted([*folders, *MODULES], key=lambda name: (name.count("."), name)):
        things = {} if name.startswith("hinaug.cli") else public(name)
        new = [n for n, thing in things.items() if id(thing) not in seen]
        seen |= {id(thing) for thing in things.values()}
        if new:
            found[name] = new
    return dict(sorted(found.items()))


def public(module: str) -> dict[str, Any]:
    """{name: class or function} of what a module shows."""
    found = importlib.import_module(module)
    names = getattr(found, "__all__", None)
    if names is None and module in MODULES:
        names = [n for n, thing in vars(found).items() if getattr(thing, "__module__", 0) == module]
    things = {name: getattr(found, name) for name in names or ()}
    return {n: t for n, t in things.items() if not n.startswith("_") and callable(t)}


def module_page(module: str) -> str:
    """The markdown of a module's page: its docstring, then each name."""
    head = f"# {module}\n\n::: {module}\n    options:\n      members: false\n"
    parts = [head + "      show_root_heading: false\n      show_root_toc_entry: false\n"]
    return "\n".join([*parts, *(f"::: {path_of(module, name)}\n" for name in shown()[module])])


def path_of(module: str, name: str) -> str:
    """Where mkdocstrings finds a name: where users do, unless a folder or file is called so too."""
    home = public(module)[name].__module__
    is_package = hasattr(importlib.import_module(module), "__path__")
    is_taken = home.endswith(f".{name}") or (is_package and find_spec(f"{module}.{name}"))
    return f"{home}.{name}" if is_taken else f"{module}.{name}"


def top_page() -> str:
    """The markdown of the page of `hinaug` itself: where each of its names is described."""
    import hinaug

    homes = {id(getattr(importlib.import_module(m), n)): m for m in shown() for n in shown()[m]}
    names = sorted(n for n in hinaug.__all__ if callable(getattr(hinaug, n)))
    rows = []
    for name in names:
        thing = getattr(hinaug, name)
        first = " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())
        rows.append(f"| [`{name}`][{path_of(homes[id(thing)], name)}] | {first} |")
    head = "# hinaug\n\n::: hinaug\n    options:\n      members: false\n"
    head += "      show_root_heading: false\n      show_root_toc_entry: false\n"
    return "\n".join([head, "| name | what it is |", "|---|---|", *rows]) + "\n"


def command_line() -> str:
    """What `hinaug --help` and the help of each verb say, in 80 columns."""
    from typer.testing import CliRunner

    from hinaug.cli.app import VERBS, app

    def said(*verb: str) -> str:
        runner = CliRunner(env={"COLUMNS": "80", "TERM": "dumb"})
        text = runner.invoke(app, [*verb, "--help"], prog_name="hinaug").stdout
        text = dedent("\n".join(line.rstrip() for line in text.splitlines())).strip("\n")
        return f"```text\n{re.sub('`{3,}', '', text)}\n```\n"

    parts = [f"## hinaug {verb}\n\n{said(verb)}" for verb in VERBS]
    return "\n".join(["# Command line\n", said(), *parts])
