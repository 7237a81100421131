"""The documentation builds without a warning, stands alone, and says something of every public name."""

import importlib
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PUBLIC = ["hinaug", "hinaug.predictors", "hinaug.generators", "hinaug.ensembles", "hinaug.nn"]
PUBLIC += ["hinaug.datasets", "hinaug.evaluation", "hinaug.split", "hinaug.graph"]


def module_of(path):
    spec = importlib.util.spec_from_file_location(f"docs_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def hooks():
    return module_of(ROOT / "docs" / "hooks.py")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """{path: text} of the pages that `make docs` writes; a warning of mkdocs is an error."""
    folder = tmp_path_factory.mktemp("site")
    made = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*.html")}


@pytest.mark.slow
def test_every_page_stands_alone(site):
    asked = re.compile(
        r"<(?:script|img|iframe)[^>]*\ssrc=\"https?:|<link(?![^>]*canonical)[^>]*https?:"
    )
    assert [page for page, text in site.items() if asked.search(text)] == []


@pytest.mark.slow
def test_every_guide_is_in_the_menu(site):
    for path in (ROOT / "docs" / "guide").glob("*.md"):
        assert f"docs/guide/{path.stem}.html" in site["index.html"]


@pytest.mark.slow
@pytest.mark.parametrize("where", PUBLIC)
def test_every_public_name_has_a_docstring_on_its_page(hooks, site, where):
    homes = {
        id(thing): (module, name)
        for module in hooks.shown()
        for name, thing in hooks.public(module).items()
        if name in hooks.shown()[module]
    }
    for name, thing in hooks.public(where).items():
        module, shown = homes[id(thing)]
        page = site[f"docs/reference/{module}.html"]
        assert f'id="{hooks.path_of(module, shown)}"' in page
        if inspect.getmodule(thing).__name__.startswith("hinaug"):
            first = letters(thing.__doc__.split("\n\n")[0])[:60]
            assert first in letters(without_tags(page)), f"{where}.{name} is not shown"


def without_tags(page):
    return unescape(re.sub("<[^>]+>", "", page))


def letters(text):
    return re.sub(r"\W", "", text)


@pytest.mark.parametrize("where", PUBLIC)
def test_every_public_name_has_a_docstring(hooks, where):
    for name, thing in hooks.public(where).items():
        own = vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
        assert own, f"{where}.{name} has no docstring"
        assert not own.startswith(f"{name}("), f"{where}.{name} has only what `dataclass` wrote"


PAGES = ["README.md", "CONTRIBUTING.md", "docs/**/*.md", "benchmarks/**/*.md"]
PAGES += ["hinaug/io/store/FORMAT.md"]
PAGES = sorted(path for pattern in PAGES for path in ROOT.glob(pattern))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_to_a_file_that_the_documentation_shows(hooks, page):
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    shown = {path.resolve() for pattern in hooks.SHOWN for path in ROOT.glob(pattern)}
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not link.startswith(("http", "#")):
            assert (page.parent / link.partition("#")[0]).resolve() in shown, link


def test_the_menu_holds_every_guide_and_every_module(hooks):
    menu = str(hooks.on_config(hooks.MkDocsConfig()).nav)
    for path in (ROOT / "docs" / "guide").glob("*.md"):
        assert f"docs/guide/{path.name}" in menu
    for where in PUBLIC:
        assert f"docs/reference/{where}.md" in menu


@pytest.mark.slow
def test_no_file_is_described_in_place_of_a_name(site):
    pages = [page for page, text in site.items() if "doc-symbol-module" in text]
    assert pages == []


@pytest.mark.slow
def test_examples_are_code_and_formulas_are_no_tags(site):
    for page, text in site.items():
        if page.startswith("docs/reference/"):
            assert not re.search(r"<p>[^<]*&gt;&gt;&gt;|<blockquote>", text), page
    assert "&lt;w_u, h_i&gt;" in site["docs/reference/hinaug.predictors.html"]


@pytest.mark.slow
def test_the_help_of_every_verb_is_shown(site):
    from hinaug.cli.app import VERBS

    page = without_tags(site["docs/reference/command-line.html"])
    for verb in VERBS:
        assert f"Usage: hinaug {verb} " in page


def test_prose_below_parameters_gets_a_heading():
    headed = module_of(ROOT / "docs" / "sections.py").headed
    doc = "One.\n\nParameters\n----------\nk\n    Many.\n\n    More.\nl, m\n    Few.\n\n"
    doc += "Learned: this.\nAnd that.\n\nExample\n-------\n>>> 1\n1"
    assert headed(doc).splitlines() == [
        *["One.", "", "Parameters", "----------", "k", "    Many.", "", "    More."],
        *["l, m", "    Few.", "", "Notes", "-----", "Learned: this.", "And that.", ""],
        *["Examples", "-------", ">>> 1", "1"],
    ]
    assert headed("Text.\n\n    a = b\n\nMore.") == "Text.\n\n    a = b\n\nMore."


def test_names_with_what_they_are_become_parameters_or_a_list():
    headed = module_of(ROOT / "docs" / "sections.py").headed
    doc = "it: a sentence.\n\nk: many,\n    or more.\nl, m: few.\n\nProse."
    assert headed(doc, ["k", "l", "m"]).splitlines() == [
        *["it: a sentence.", "", "Parameters", "-" * 10, "k", "    many,", "    or more."],
        *["l, m", "    few.", "", "Notes", "-----", "Prose."],
    ]
    assert headed(doc, ["k"]).splitlines() == [
        *["it: a sentence.", "", "- `k`: many,", "    or more.", "- `l, m`: few.", "", "Prose."],
    ]


def test_the_pages_of_benchmarks_are_what_their_script_writes():
    script = ROOT / "benchmarks" / "page.py"
    made = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr


def test_sentences_are_short():
    lengths = module_of(ROOT / "benchmarks" / "measures.py").sentence_lengths()
    assert {page: words for page, words in lengths.items() if words > 20} == {}


def test_code_and_tables_are_no_sentences():
    sentences = module_of(ROOT / "benchmarks" / "measures.py").sentences
    text = "# Head\n\nOne `a. b` [two](x.md). Three\nfour?\n\n```python\nx = 1.\n```\n\n- five\n- six\n\n| a. |\n"
    assert sentences(text) == ["One code two.", "Three four?", "five", "six"]
