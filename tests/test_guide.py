"""The code in README.md and docs/guide runs, block after block, and prints what stands below it."""

import re
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]
BLOCK = re.compile(r"```python\n(.*?)```(?:\s*```text\n(.*?)```)?", re.DOTALL)


def without_figures(text):
    """Figures differ a little between machines; words do not."""
    return re.sub(r"-?\d[\d.,]*(e-?\d+)?", "0", text).split()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs_and_prints_what_it_says(page, monkeypatch):
    text = page.read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    assert blocks or "```bash" in text  # commands run in test_guide_commands.py
    module = ModuleType(page.stem)
    monkeypatch.setitem(sys.modules, page.stem, module)  # so that its classes can be pickled
    for code, told in blocks:
        printed = StringIO()
        with redirect_stdout(printed):
            exec(compile(code, page.name, "exec"), module.__dict__)
        if told:
            assert without_figures(printed.getvalue()) == without_figures(told)
