"""The reference page builds, is whole, and says something of every public name."""

import importlib
import importlib.util
import inspect
import re
from collections import Counter
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PUBLIC = [
    "hinaug",
    "hinaug.predictors",
    "hinaug.generators",
    "hinaug.ensembles",
    "hinaug.nn",
    "hinaug.datasets",
]


class Page(HTMLParser):
    """Ids with the text under them, links, tags that are open, and what a page that stands alone
    does not hold.
    """

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.foreign, self.text = [], [], [], [], {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "meta":
            return
        self.open.append((tag, attrs.get("id")))
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs["href"]] if tag == "a" else []
        self.foreign += (
            [tag] if tag in ("script", "link", "img", "iframe") or "src" in attrs else []
        )

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if not any(tag in ("h2", "h3", "h4") for tag, _ in self.open):
            for _, name in self.open:
                self.text[name] = self.text.get(name, "") + data.strip()


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("build_docs", ROOT / "docs" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def text(build):
    return build.page()


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_the_page_is_whole_and_stands_alone(page, text):
    assert not page.open, "every tag is closed"
    assert not page.foreign
    assert [name for name, n in Counter(page.ids).items() if n > 1] == []
    assert {link for link in page.links if not link.startswith("#")} == set()
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert " at 0x" not in text, "the same package gives the same bytes"
    assert str(ROOT) not in text


@pytest.mark.parametrize("where", PUBLIC)
def test_every_public_name_has_a_docstring_on_the_page(build, page, where):
    shown = {}
    for _, home, wanted in build.HOUSE:
        things = build.public(importlib.import_module(home), wanted)
        shown |= {thing: f"{home}.{name}" for name, thing in things.items()}
    module = importlib.import_module(where)
    for name in module.__all__:
        thing = getattr(module, name)
        if name == "__version__":
            continue
        assert thing in shown, f"{where}.{name} is not on the page"
        own = vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
        assert own, f"{where}.{name} has no docstring"
        assert not own.startswith(f"{name}("), f"{where}.{name} has only what `dataclass` wrote"
        assert letters(own)[:40] in letters(page.text[shown[thing]]), (
            f"the docstring of {where}.{name} is not shown"
        )


def test_the_command_line_is_on_the_page(page, text):
    from hinaug.cli.app import VERBS
    from hinaug.io.tables import EXAMPLE

    for verb in VERBS:
        assert f"Usage: hinaug {verb} " in page.text[f"cli.{verb}"]
    assert letters(EXAMPLE) in letters(page.text["hinaug.io.tables"])
    told = re.search(r"<section id='cli'>.*?</section>", text, re.DOTALL)[0]
    assert max(len(line) for line in unescape(re.sub("<[^>]+>", "\n", told)).splitlines()) <= 80


def test_names_lead_to_what_they_name(build, text):
    assert "<a href='#hinaug.predictors.LinkPredictor'><code>LinkPredictor</code></a>" in text
    assert build.words("`HIN.from_tables` and `x`") == (
        "<a href='#hinaug.graph.HIN.from_tables'><code>HIN.from_tables</code></a> and "
        "<code>x</code>"
    )
    twice = {"a.f": len, "b.f": len, "a.g": len}
    assert build.names(twice) == {"a.f": "a.f", "b.f": "b.f", "a.g": "a.g", "g": "a.g"}


def letters(text):
    return re.sub(r"\W", "", text)


def test_a_docstring_becomes_prose_terms_and_code(build):
    assert build.blocks("Safety\n------\nFirst\nthis.").split("\n") == [
        "<p><b>Safety</b></p>",
        "<p>First this.</p>",
    ]
    doc = "store: a sentence with `x < 1`.\n\nname: what\n    it is.\nother: this.\nMore.\n    a = b\n\nExample:\n    >>> 1 < 2"
    assert build.blocks(doc).split("\n") == [
        "<p>store: a sentence with <code>x &lt; 1</code>.</p>",
        "<dl><dt>name</dt><dd>what it is.</dd>",
        "<dt>other</dt><dd>this.</dd></dl>",
        "<p>More.</p>",
        "<pre>a = b</pre>",
        "<p><b>Example:</b></p>",
        "<pre>&gt;&gt;&gt; 1 &lt; 2</pre>",
    ]


def test_a_signature_reads_as_it_was_written(build):
    def f(self, a, b=None, *, how="mean"): ...

    f.__annotations__ = {"a": "np.ndarray", "b": "int | None", "how": str, "return": "sp.csr_array"}
    assert (
        build.signature(f)
        == "(a: ndarray, b: int | None = None, *, how: str = 'mean') -> csr_array"
    )
    assert build.signature(ValueError) == ""
