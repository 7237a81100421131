"""The report of a small run made by hand: what stands on the page, what never does, and what is
refused.
"""

import json
import re
import shutil
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest

import hinaug
from hinaug import HIN, Delta
from hinaug.evaluation import Result, compare, holm
from hinaug.report import ARMS, METRICS, Log, ReportError, brief, maps, report, schema, shapes
from hinaug.report.page import _headline
from hinaug.report.svg import clean, log_ticks, number, ticks

HOSTILE = "<script>alert('x')</script> \u202eevil\u2069 & \"q\" \x00\ud800 שלום"
RATES = ("user", "rates", "item")
REGIMES = ("all data", "thin data")
MODELS = ("ensemble", "EASE alone")


def graph():
    rng = np.random.default_rng(0)
    pairs = sorted(
        {(f"u{u}", f"i{int(i)}") for u in range(30) for i in rng.integers(20, size=1 + u % 7)}
    )
    users, items = [f"u{k}" for k in range(30)], [f"i{k}" for k in range(20)]
    rates = {"src": [u for u, _ in pairs], "dst": [i for _, i in pairs]}
    hin = HIN.from_tables({"user": {"id": users}, "item": {"id": items}}, {RATES: rates})
    free = [
        (f"u{u}", f"i{i}")
        for u in range(30)
        for i in range(20)
        if (f"u{u}", f"i{i}") not in set(pairs)
    ][:12]
    edges = {
        "src": [u for u, _ in free],
        "dst": [i for _, i in free],
        "confidence": np.linspace(0, 1, 12),
    }
    people = {"id": ["new1", "new2", "new3"], "confidence": [0.5] * 3}
    links = {
        "src": ["new1", "new1", "new2", "new3"],
        "dst": ["i1", "i2", "i1", "i5"],
        "confidence": [0.9] * 4,
    }
    made = Delta(
        {"user": people}, {RATES: links}, origin=HOSTILE.replace("\x00", "").replace("\ud800", "")
    )
    return hin + hinaug.merge([Delta(edges={RATES: edges}, origin="Edges"), made])


def results(shift):
    """Eight fits of 40 users for each model and arm; `shift` is what augmented gains."""
    rng, out = np.random.default_rng(7), {}
    for model in MODELS:
        base = rng.uniform(0.1, 0.6, 40) + rng.normal(0, 0.01, (8, 40))
        for arm in ARMS:
            gain = shift if arm == "augmented" else 0.0
            values = [
                {m: np.clip(b + gain + rng.normal(0, 0.02, 40), 0, 1) for m in METRICS}
                for b in base
            ]
            slices = {"train degree": np.where(np.arange(40) < 38, "0-5", "6-20")}
            users = pa.array([f"u{k}" for k in range(40)])
            out[model, arm] = [
                Result("M", "test", users, v, {"Coverage@20": 0.5}, slices) for v in values
            ]
    return out


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    log = Log(folder / "results.jsonl")
    log.run(
        HOSTILE,
        RATES,
        range(8),
        source=HOSTILE,
        terms="terms",
        notes=[HOSTILE],
        command="hinaug demo <x>",
    )
    for regime, shift in zip(REGIMES, (-0.1, 0.0), strict=True):
        found = results(shift)
        for (model, arm), per_seed in found.items():
            log.means(per_seed, regime=regime, model=model, arm=arm)
        pairs = [("plain", "random"), ("plain", "augmented"), ("random", "augmented")]
        c = {
            (m, a, b): compare(found[m, a], found[m, b], names=(a, b))
            for m in MODELS
            for a, b in pairs
        }
        p = holm({key: one.p for key, one in c.items()})
        for (m, a, b), one in c.items():
            log.comparison(one, regime=regime, model=m, pair=f"{b} - {a}", p_holm=p[m, a, b])
        items = [
            {"rank": 1, "title": HOSTILE, "score": 2.5, "confidence": 0.75, "fans": 2},
            {"rank": 2, "title": "quiet", "score": 1.25, "confidence": None, "fans": 0},
        ]
        who = {"user": HOSTILE, "known": 9, "history": [HOSTILE], "edges": 4, "items": items}
        who["surest"] = [{"title": HOSTILE, "confidence": 0.75}]
        log.write(kind="recommendation", regime=regime, **who)
        members = {
            "plain": {"EASE": "EASE(relation=('user', 'rates', 'item'), l2=300, weight=None)"}
        }
        log.write(kind="chosen", regime=regime, size="10 % of the edges", members=members)
        hinaug.save(graph(), folder / regime.split()[0])
    log.end(12.3)
    return folder, report(folder).read_text(encoding="utf-8")


@pytest.fixture
def broken(made, tmp_path):
    """A copy of the run, and a function that rewrites its lines."""
    shutil.copytree(made[0], tmp_path / "run")

    def rewrite(change):
        path = tmp_path / "run" / "results.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(row) + "\n" for row in change(rows)))
        return tmp_path / "run"

    return rewrite


def rows(folder, kind):
    lines = (folder / "results.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


class Page(HTMLParser):
    """Every tag with its attributes, and the text outside the style sheet."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.inside = [], [], ""
        self.feed(text)
        self.text = " ".join(self.words)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_data(self, data):
        if self.inside != "style" and data.strip():
            self.words.append(data.strip())


def test_well_formed_and_self_contained(made):
    text = made[1]
    assert ET.fromstring(text.removeprefix("<!DOCTYPE html>\n")).get("lang") == "en"
    page = Page(text)
    assert not {"script", "iframe", "object", "embed", "img", "form"} & {
        tag for tag, _ in page.tags
    }
    for _, attributes in page.tags:
        assert not any(
            name.startswith("on") or name in ("src", "srcset", "action") for name in attributes
        )
        assert attributes.get("href", "#").startswith(("#", "data:,"))
    assert not re.search(r"https?://|@import|url\((?!#)|@font-face", text)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for t, a in page.tags if t == "a"} <= set(ids)
    assert len(text.encode()) < 1_000_000


def test_every_picture_says_what_it_shows(made):
    pictures = ET.fromstring(made[1].removeprefix("<!DOCTYPE html>\n")).iter("svg")
    shown = [p for p in pictures if p.get("aria-hidden") != "true"]
    assert len(shown) == 2 + 4 + 4 + 4 + 2 + 1  # bars, slices, curves, confidence, maps, schema
    for picture in shown:
        assert picture.get("role") == "img"
        assert picture.find("title").text
        assert picture.find("desc").text
        assert (
            picture.get("aria-labelledby")
            == f"{picture.find('title').get('id')} {picture.find('desc').get('id')}"
        )


def test_text_from_data_is_text(made):
    text = made[1]
    assert "<script" not in text
    assert (
        "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; \ufffdevil\ufffd &amp; &quot;q&quot; "
        "\ufffd\ufffd שלום" in text
    )
    assert not re.search("[\x00-\x08\u202a-\u202e\u2066-\u2069]", text)
    assert clean("a<b>\u2067") == "a&lt;b&gt;\ufffd"


def test_verdict_comes_first_and_is_honest(made):
    page = Page(made[1])
    head = page.text[: page.text.index("Who gains")]  # the first of the links to the sections
    assert "All data: the augmentation hurts." in head
    assert "Thin data: no verdict." in head
    assert head.index("All data: the augmentation hurts.") < head.index("Source")
    assert "the augmentation HURTS on this split: NDCG@20" in page.text
    assert "no verdict on the augmentation on this split: NDCG@20" in page.text
    assert "8 fits each, 40 users" in page.text.replace("\u00a0", " ")


def test_regimes_that_say_the_same_share_a_sentence():
    none, hurts = (
        "no verdict on the augmentation on this split: (...)",
        "the augmentation HURTS on this split: (...)",
    )
    assert _headline({"all data": none, "thin data": none}) == [
        "All data and thin data: no verdict."
    ]
    assert _headline({"with myDelta": none}) == ["With myDelta: no verdict."]
    assert _headline({"a": none, "b": hurts, "c": none}) == [
        "A and c: no verdict.",
        "B: the augmentation hurts.",
    ]


def test_the_gain_of_all_users_and_of_the_control_stand_above_the_slices(made):
    page = ET.fromstring(made[1].removeprefix("<!DOCTYPE html>\n"))
    told = {p.find("title").text: p for p in page.iter("svg") if p.find("title") is not None}
    c = {
        r["pair"]: r
        for r in rows(made[0], "comparison")
        if (r["regime"], r["model"]) == ("all data", "ensemble") and r["b"] != "plain"
    }
    picture = told["NDCG@20, augmented minus plain, by slice: ensemble, all data"]
    words = [text.text for text in picture.iter("text")]
    start = words.index("all users")
    for arm, at in (("augmented", start + 1), ("random", start + 4)):
        assert words[at : at + 2] == [arm, "40"]
        assert float(words[at + 2].replace("−", "-")) == pytest.approx(
            c[f"{arm} - plain"]["difference"], abs=5e-5
        )
    assert [p.get("class") for p in picture.iter("circle")][:2] == ["dot", "dot random"]


def test_the_stores_of_a_run_may_have_names_of_their_own(broken):
    def moved(lines):
        return [
            r | {"stores": {"all data": "a", "thin data": "b"}} if r["kind"] == "run" else r
            for r in lines
        ]

    folder = broken(moved)
    (folder / "all").rename(folder / "a")
    (folder / "thin").rename(folder / "b")
    assert report(folder).is_file()


def test_figures_are_those_of_the_results(made):
    folder, text = made
    page = ET.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    tables = {t.find("caption/bdi").text: t for t in page.iter("table")}
    results = rows(folder, "means")
    for regime in REGIMES:
        lines = [
            ["".join(c.itertext()) for c in r if "rowspan" not in c.attrib]
            for r in tables[regime.capitalize()].iter("tr")
        ]
        lines = iter(lines[1:])
        for model in MODELS:
            for arm in ARMS:
                cells = next(lines)
                mine = next(
                    r
                    for r in results
                    if (r["regime"], r["model"], r["arm"]) == (regime, model, arm)
                )
                assert cells[0] == arm
                for metric, cell in zip(METRICS, cells[1:5], strict=True):
                    assert cell.split()[0] == f"{mine['figures'][metric][0]:.4f}"
                if arm != "plain":
                    c = next(
                        c
                        for c in rows(folder, "comparison")
                        if (c["regime"], c["model"], c["pair"]) == (regime, model, f"{arm} - plain")
                    )
                    told = [float(n.replace("−", "-")) for n in re.findall(r"[+−][\d.]+", cells[5])]
                    assert told == pytest.approx(
                        [100 * c[k] / c["mean_a"] for k in ("difference", "low", "high")], abs=0.051
                    )
                    assert cells[6] == f"{c['p_holm']:.1g}"
    told = {}
    for regime in REGIMES:
        lines = [
            ["".join(c.itertext()) for c in r]
            for r in tables[f"{regime.capitalize()}: NDCG@20 by slice"].iter("tr")
        ]
        told |= {(regime, r[0], r[1]): float(r[4].replace("−", "-")) for r in lines[1:]}
    for c in rows(folder, "comparison"):
        if c["pair"] == "augmented - plain":
            for label, p in c["slices"]["train degree"].items():
                key = (c["regime"], c["model"], f"train degree: {label}")
                assert told[key] == pytest.approx(p["difference"], abs=5e-5)


def test_examples_mark_what_was_generated(made):
    page = Page(made[1])
    assert "generated edge, confidence 0.75, in 2 generated users" in page.text
    assert made[1].count('aria-label="generated">◆') == 2
    assert "hinaug demo <x>" in " ".join(page.text.split())
    for fact in ("numpy " + np.__version__, "10\u00a0% of the edges", "EASE(l2=300)", "12 s"):
        assert fact in page.text


def test_same_input_same_bytes_and_any_path(made, tmp_path):
    assert report(made[0], tmp_path / "other.html").read_text(encoding="utf-8") == made[1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other.html"]
    with pytest.raises(ReportError, match="cannot write"):
        report(made[0], tmp_path / "nowhere" / "x.html")


def test_without_the_optional_lines(broken):
    folder = broken(
        lambda rs: [r for r in rs if r["kind"] not in ("recommendation", "chosen", "end")]
    )
    assert "This run recorded no recommendations." in report(folder).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rs: [r for r in rs if r["kind"] != "run"], r"does not say what was run"),
        (
            lambda rs: [r for r in rs if r["kind"] != "comparison"],
            r"any comparison.*did not finish",
        ),
        (lambda rs: [r for r in rs if r.get("arm") != "random"], r"lacks \['random'\]"),
        (
            lambda rs: [r for r in rs if r.get("pair") != "augmented - random"],
            r"lacks \['augmented - random'\]",
        ),
        (
            lambda rs: [{k: v for k, v in r.items() if k != "figures"} for r in rs],
            r"line 2 .*no 'figures'",
        ),
        (
            lambda rs: [r | {"figures": {"NDCG@20": ["high"]}} for r in rs],
            r"no \[mean, low, high\] of NDCG@20",
        ),
        (lambda rs: [r | {"slices": {"a": {"b": {}}}} for r in rs], r"a b has no 'users'"),
        (lambda rs: [r | {"relation": ["a", "b", "c"]} for r in rs], r"no \('a', 'b', 'c'\) edges"),
        (lambda rs: [r | {"items": ["x"]} for r in rs], r"'items' is 'x'"),
        (lambda rs: [r | {"stores": "all"} for r in rs], r"'stores' is 'all'"),
        (lambda rs: [r | {"stores": {"all data": 3}} for r in rs], r"stores: 'all data' is 3"),
        (lambda rs: [*rs, [1]], r"every line is an object"),
    ],
)
def test_broken_results_are_one_clear_error(broken, change, says):
    folder = broken(change)
    before = (folder / "report.html").read_bytes()
    with pytest.raises(ReportError, match=says):
        report(folder)
    assert (folder / "report.html").read_bytes() == before


def test_missing_or_damaged_files(made, tmp_path):
    with pytest.raises(ReportError, match=r"cannot read .*results\.jsonl"):
        report(tmp_path)
    shutil.copy(made[0] / "results.jsonl", tmp_path)
    with pytest.raises(ValueError, match="all"):
        report(tmp_path)
    hinaug.save(graph().observed(), tmp_path / "all")
    with pytest.raises(ReportError, match="without a delta"):
        report(tmp_path)
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write('{"kind": "resu')
    with pytest.raises(ReportError, match=r"line \d+ is not JSON"):
        report(tmp_path)


# ---- what the pictures are drawn from ------------------------------------------------------------


def test_degrees_and_popularity_by_hand():
    hin = HIN.from_tables(
        {"user": {"id": ["a", "b", "c"]}, "item": {"id": ["x", "y"]}},
        {RATES: {"src": ["a", "a", "b"], "dst": ["x", "y", "x"]}},
    )
    hin = hin + Delta(
        {"user": {"id": ["n"]}}, {RATES: {"src": ["n", "c", "b"], "dst": ["y", "y", "x"]}}
    )
    real, made = shapes.degrees(hin, RATES)
    assert real.tolist() == [2, 1, 0]
    assert made.tolist() == [1]
    real, made = shapes.popularity(hin, RATES)
    assert real.tolist() == [2, 1]
    assert made.tolist() == [0, 2]  # b - x was observed, so the guess does not count
    x, share = shapes.at_least(np.array([0, 1, 1, 2, 5]))
    assert x.tolist() == [1, 2, 5]
    assert share.tolist() == [1, 0.5, 0.25]
    rank, share = shapes.by_rank(np.array([0, 1, 3]))
    assert rank.tolist() == [1, 2]
    assert share.tolist() == [0.75, 0.25]


def test_map_is_the_principal_plane():
    hin = graph()
    real, made, share = maps.plane(hin, RATES)
    dense = hin.observed().adjacency(RATES).toarray().astype(float)
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    centred = dense - dense.mean(axis=0)
    u, s, axes = np.linalg.svd(centred)
    np.testing.assert_allclose(np.abs(real), np.abs(u[:, :2] * s[:2]), atol=1e-8)
    assert share == pytest.approx((s[:2] ** 2).sum() / (s**2).sum())
    new = hin.adjacency(RATES).toarray()[30:].astype(float)
    new = new / np.linalg.norm(new, axis=1, keepdims=True) - dense.mean(axis=0)
    np.testing.assert_allclose(np.abs(made), np.abs(new @ axes[:2].T), atol=1e-8)


def test_no_map_of_a_tiny_world():
    hin = HIN.from_tables(
        {"user": {"id": ["a"]}, "item": {"id": ["x"]}}, {RATES: {"src": ["a"], "dst": ["x"]}}
    )
    assert maps.plane(hin, RATES) is None


def test_schema_draws_loops_and_many_types():
    nodes = {f"type{k}": {"id": ["a", "b"]} for k in range(7)}
    one = {"src": ["a"], "dst": ["b"]}
    edges = {
        ("type0", "likes", "type0"): one,
        ("type0", "to", "type1"): one,
        ("type1", "from", "type0"): one,
    }
    picture = schema.draw(HIN.from_tables(nodes, edges), "s")
    assert picture.count("<circle") == 7
    assert picture.count('class="edge"') == 3
    assert "nan" not in picture


def test_brief_settings():
    given = "relation=('a', 'b', 'c')"
    ease = f"EASE({given}, l2=3.0, weight=None, side=())"
    told = f"Weighted(predictors=[{ease}, Popularity({given}, weight=None)], k=20)"
    assert brief(told) == "Weighted(predictors=[EASE(l2=3.0), Popularity()], k=20)"
    assert brief("LightGCN(relation=('a', 'b', 'c'), epochs=None, embedding_dim=64)") == (
        "LightGCN(embedding_dim=64)"
    )


def test_scales():
    assert ticks(0, 10) == [0, 5, 10]
    assert ticks(-0.03, 0.03) == [-0.02, 0, 0.02]
    assert log_ticks(1, 1000) == [1, 10, 100, 1000]
    assert log_ticks(0.05, 1) == [0.05, 0.1, 0.2, 0.5, 1]
    assert [number(v) for v in (1.0, -0.01, 2.345)] == ["1", "0", "2.3"]
