"""Writes benchmarks/README.md and its pages from benchmarks/results: goal, protocol, tables, misses.

    python benchmarks/page.py [--check]

A row of a table is a line of a .jsonl file there; nothing is typed by hand on the pages. A page is
a file in `pages/`. --check ends with 1 where a page differs from what this would write.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pages import augmentation, generated, models, size, texts
from pages.tables import RESULTS, rows, table

HERE = Path(__file__).parent
HEAD = """# What was measured

The goal: say honestly whether augmentation helps a recommender system, and keep every model of the
package at or above its published figures. `benchmarks/page.py` writes this page and those that
it links to from the files in `results/`. Edit those, not this.

## Protocol

- Every item that a user has not seen is ranked. Hyperparameters are chosen on validation pairs
  alone, and test is looked at once.
- Augmentation is compared with the plain model *and* with a random delta of the same size. All arms
  have equal budgets of tuning.
- We call a difference real only if p < 0.005 over users and fits (or splits), and from eight fits or
  splits on. With fewer there is no verdict.
- Machine: two shared x86 cores, 24 GB, one thread, PyTorch on the CPU, unless a row says H100. CPU
  seconds are of such a machine; compare their ratios.
- `HINAUG_DATA` names a folder with the published files; `hinaug datasets` lists addresses and terms.
"""
PAGES = {
    "models": ("Models on published splits", models.page),
    "texts": ("Texts: columns, other words, facts, writing, speed", texts.page),
    "generated": ("Generated users and items", generated.page),
    "size": ("Reading files, and graphs larger than memory", size.page),
}


def misses() -> str:
    """Goals that were not reached."""
    body = [[row["goal"], row["measured"], row["why"]] for row in rows("misses")]
    return table(["goal", "measured", "why"], body)


def others() -> Iterator[str]:
    """Links to results and notes that no page shows."""
    made = [RESULTS / f"{name}.md" for name in PAGES]
    for folder in ("results", "notes"):
        for path in sorted((HERE / folder).glob("*.md")):
            if path in made:
                continue
            title = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
            date = f" ({path.stem[:10]})" if folder == "notes" else ""
            yield f"- [{title}]({folder}/{path.name}){date}"


def pages() -> dict[Path, str]:
    """{file: its text}"""
    parts = [HEAD, "## Does augmentation help?\n", *augmentation.augmentation()]
    links = [f"- [{title}](results/{name}.md)" for name, (title, _) in PAGES.items()]
    parts += ["## Other pages\n", "\n".join(links) + "\n", "## What was missed\n", misses()]
    parts += ["## Other measurements\n", "\n".join(others()) + "\n"]
    return {HERE / "README.md": "\n".join(parts)} | {
        RESULTS / f"{name}.md": page() for name, (_, page) in PAGES.items()
    }


def main() -> None:
    for path, text in pages().items():
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path} is not up to date: run python benchmarks/page.py")


if __name__ == "__main__":
    main()
