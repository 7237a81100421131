"""Measures of the code and its documentation: `make measure` prints them beside the goals.

Complexity is cyclomatic complexity as radon counts it, comprehensions and boolean operators
included; closures count as functions. A circle is a group of files that import each other, nested
imports counted. A sentence ends at ".", "?" or "!" before white space, or with its paragraph or list
item. Code, tables and headings are left out.
"""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grimp
import networkx as nx
from radon.complexity import cc_visit
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "hinaug"
DOCS = ["README.md", "CONTRIBUTING.md", "docs/**/*.md"]
MOST = 10  # complexity of a function
WIDTH = 100  # columns
RUNS = 7  # imports that are timed


def functions(block: Any) -> Iterator[Any]:
    """A function or the methods of a class, with all closures."""
    for inner in getattr(block, "methods", ()):
        yield from functions(inner)
    if not hasattr(block, "methods"):
        yield block
    for inner in getattr(block, "closures", ()):
        yield from functions(inner)


def complexities(sources: dict[Path, str]) -> list[tuple[int, str]]:
    """(complexity, place) of every function, methods once."""
    found = []
    for path, text in sources.items():
        for block in cc_visit(text):
            if not getattr(block, "is_method", False):
                found += [(f.complexity, f"{path}: {f.fullname}") for f in functions(block)]
    return sorted(found, reverse=True)


def nested_imports(sources: dict[Path, str]) -> int:
    """Import statements inside functions."""
    count = 0
    for text in sources.values():
        places = (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef))
        inside = {
            id(node)
            for place in places
            for node in ast.walk(place)
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        count += len(inside)
    return count


def circles() -> int:
    """Groups of files that import each other."""
    graph = grimp.build_graph("hinaug", exclude_type_checking_imports=True, cache_dir=None)
    imports = nx.DiGraph()
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            imports.add_edge(module, other)
    return sum(len(group) > 1 for group in nx.strongly_connected_components(imports))


def seconds(code: str) -> float:
    """Median wall time of a fresh interpreter that runs `code`."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def sentences(text: str) -> list[str]:
    """The sentences of a markdown page, without code, tables and headings."""
    text = re.sub(r"^(```|~~~).*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    lines = [re.sub(r"^\s*(?:[-*]|\d+\.) ", "\n\n", line) for line in text.splitlines()]
    prose = "\n".join(line for line in lines if not re.match(r"\s*[|#!<]|={3,}|-{3,}", line))
    prose = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", prose)
    prose = re.sub(r"`[^`]*`", "code", prose)
    parts = [part for block in re.split(r"\n\s*\n", prose) for part in split_sentences(block)]
    return [part for part in parts if re.search("[A-Za-z]", part)]


def split_sentences(block: str) -> list[str]:
    """The sentences of one paragraph."""
    return re.split(r"(?<=[.?!])\**\s+(?=[\w\"'*(`])", " ".join(block.split()))


def sentence_lengths() -> dict[str, float]:
    """{page: mean number of words of its sentences}."""
    pages = sorted(path for pattern in DOCS for path in ROOT.glob(pattern))
    return {
        path.relative_to(ROOT).as_posix(): statistics.mean(
            len(part.split()) for part in sentences(path.read_text(encoding="utf-8"))
        )
        for path in pages
    }


def measures() -> list[tuple[str, str, str]]:
    """(what, today, goal) of each measure."""
    paths = sorted(PACKAGE.rglob("*.py"))
    sources = {p.relative_to(PACKAGE.parent): p.read_text() for p in paths}
    lines = [line for text in sources.values() for line in text.splitlines()]
    found = complexities(sources)
    over = sum(complexity > MOST for complexity, _ in found)
    wide = sum(len(line) > WIDTH for line in lines)
    root = len(list(PACKAGE.glob("*.py")))
    lengths = sentence_lengths()
    worst = max(lengths, key=lengths.__getitem__)
    light = seconds("import hinaug") - seconds("pass")
    return [
        ("functions over complexity 10", f"{100 * over / len(found):.1f} % ({over})", "< 3 %"),
        ("lines over 100 columns", f"{100 * wide / len(lines):.1f} % ({wide})", "0"),
        ("import circles, nested imports counted", str(circles()), "0"),
        ("imports inside functions", str(nested_imports(sources)), "< 40"),
        ("modules at the root", str(root), "<= 5"),
        ("`import hinaug` over bare Python", f"{light:.3f} s", "< .1 s"),
        ("words a sentence, README", f"{lengths['README.md']:.1f}", "<= 20"),
        ("words a sentence, longest of docs", f"{lengths[worst]:.1f} ({worst})", "<= 20"),
        ("lines of the package", f"{len(lines) / 1000:.1f} k", "reported"),
    ]


def main() -> None:
    """Print the measures, and with `--worst` the functions of the highest complexity."""
    table = Table("measure", "today", "goal")
    for row in measures():
        table.add_row(*row)
    Console().print(table)
    if "--worst" in sys.argv:
        sources = {p.relative_to(PACKAGE.parent): p.read_text() for p in PACKAGE.rglob("*.py")}
        for complexity, place in complexities(sources)[:60]:
            if complexity > MOST:
                print(f"{complexity:4} {place}")


if __name__ == "__main__":
    main()
