"""The report of a small run made by hand: what stands on the page, what never does, and what is
refused.
"""

import io
import re
import shutil
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest
from methods import Fixed
from raising import raises
from rich.console import Console

import hinaug
from hinaug import HIN, Delta
from hinaug.errors import ParameterError, ReportError
from hinaug.evaluation import Result, compare
from hinaug.report import (
    ARMS,
    METRICS,
    Command,
    Facts,
    Findings,
    Histogram,
    Log,
    Run,
    Section,
    Table,
    Text,
    brief,
    compared,
    figure,
    generated,
    graph_blocks,
    keep,
    lists,
    report,
    show,
)
from hinaug.report import graphs as of_graphs
from hinaug.report.blocks import as_block
from hinaug.report.wording import change, clean

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
def arms():
    shifts = {"All data": -0.1, "Thin data": 0.05, "Cold": 0.0}
    return [compared(where, results(shift)) for where, shift in shifts.items()]


@pytest.fixture(scope="module")
def made(tmp_path_factory, arms):
    folder = tmp_path_factory.mktemp("run")
    log = Log(folder / "results.jsonl", HOSTILE, about="a run by hand")
    log.add(Findings("Where it helped", [a.finding("ensemble") for a in arms]))
    log.add(Facts({"Data": HOSTILE, "Terms": "terms"}), Command("hinaug demo <x>"))
    for each in arms[:2]:
        log.section(each.where, HOSTILE)
        log.add(*each.blocks())
    log.section("Real and generated")
    log.add(*graph_blocks(graph(), RATES, "all"), generated(graph().deltas[0]))
    log.end(12.3)
    return folder, report(folder).read_text(encoding="utf-8")


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
    tags = {tag for tag, _ in page.tags}
    assert not {"script", "iframe", "object", "embed", "img", "image", "form"} & tags
    for _, attributes in page.tags:
        assert not any(
            name.startswith("on") or name in ("src", "srcset", "action") for name in attributes
        )
        assert attributes.get("href", "#").startswith(("#", "data:,"))
    assert not re.search(r"https?://|@import|url\((?!#)|@font-face", text)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for t, a in page.tags if t in ("a", "use")} <= set(ids)
    assert len(text.encode()) < 1_000_000


def test_every_picture_says_what_it_shows_and_follows_the_style_sheet(made):
    page = ET.fromstring(made[1].removeprefix("<!DOCTYPE html>\n"))
    shown = list(page.iter("svg"))
    assert len(shown) == 1 + 2 * 3 + 6  # findings; bars and slices; types, 2 curves, 2 makers, map
    for picture in shown:
        assert picture.get("role") == "img"
        assert picture.find("title").text
        assert picture.find("desc").text
        labels = [picture.find(name).get("id") for name in ("title", "desc")]
        assert picture.get("aria-labelledby").split() == labels
        inked = ET.tostring(picture, encoding="unicode")
        assert "var(--" in inked
        assert set(re.findall(r"#[0-9a-f]{6}\b", inked)) <= {"#000000", "#ffffff"}


def test_text_from_data_is_text(made):
    text = made[1]
    assert "<script" not in text
    assert (
        "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; \ufffdevil\ufffd &amp; &#34;q&#34; "
        "\ufffd\ufffd שלום" in text
    )
    assert not re.search("[\x00-\x08\u202a-\u202e\u2066-\u2069]", text)
    assert clean("a<b>\u2067\ud800") == "a<b>\ufffd\ufffd"


def test_the_first_picture_says_where_it_helped_and_where_not(made):
    page = ET.fromstring(made[1].removeprefix("<!DOCTYPE html>\n"))
    words = ["".join(text.itertext()) for text in next(page.iter("svg")).iter("text")]
    places = [words.index(word) for word in ("It helped", "No verdict", "It hurt")]
    assert places == sorted(places)
    by_place = dict(zip(("It helped", "No verdict", "It hurt"), places, strict=True))
    assert words[by_place["It helped"] + 1] == "Thin data, ensemble"
    assert words[by_place["No verdict"] + 1] == "Cold, ensemble"
    assert words[by_place["It hurt"] + 1] == "All data, ensemble"
    first = Page(made[1]).text
    assert first.index("Where it helped") < first.index("Terms")


def test_outcomes_need_the_control(arms):
    hurts, helps, none = (each.finding("ensemble") for each in arms)
    assert (hurts.outcome, helps.outcome, none.outcome) == ("hurts", "helps", "no verdict")
    same = {k: v for k, v in results(0.05).items() if k[1] != "random"}
    same |= {(model, "random"): same[model, "augmented"] for model in MODELS}
    beside = compared("like random", same).finding("ensemble")
    assert beside.outcome == "no gain"
    assert "could not be shown" in beside.sentence
    assert change(0.2, 0.25) == "+25.0 %"
    assert change(0, 0.25) == "0 → 0.250"


def test_figures_are_those_of_the_results(made, arms):
    page = ET.fromstring(made[1].removeprefix("<!DOCTYPE html>\n"))
    tables = {t.find("caption/bdi").text: t for t in page.iter("table")}
    for each in arms[:2]:
        table = next(t for name, t in tables.items() if name.startswith(f"{each.where}: test"))
        rows = [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")][1:]
        keys = [(model, arm) for model in MODELS for arm in ARMS]
        for (model, arm), (name, main, gain, p, *others) in zip(keys, rows, strict=True):
            assert name == f"{model}, {arm}"
            for metric, cell in zip(METRICS, (main, *others), strict=True):
                mean = np.mean([r[metric] for r in each.results[model, arm]])
                assert cell.split()[0] == f"{mean:.4f}"
            if arm == "plain":
                assert (gain, p) == ("", "")
                continue
            c = each.found[model, f"{arm} - plain"]
            told = [float(n) for n in re.findall(r"-?[\d.]+(?![\d.])", gain)]
            bounds = [100 * b / c.mean_a for b in (c.difference, c.low, c.high)]
            assert told == pytest.approx(bounds, abs=0.051)
            assert p == f"{each.p[model, f'{arm} - plain']:.1g}"
        slices = tables[f"{each.where}, ensemble: NDCG@20 by slice"]
        rows = [["".join(cell.itertext()) for cell in row] for row in slices.iter("tr")][1:]
        found = each.found["ensemble", "augmented - plain"].slices["train degree"]
        assert [row[0] for row in rows] == [f"train degree: {label}" for label in found]
        for row, part in zip(rows, found.values(), strict=True):
            assert float(row[3]) == pytest.approx(part["difference"], abs=5e-5)


def test_blocks_survive_the_file(made, arms):
    run = Run(made[0] / "results.jsonl")
    assert (run.title, run.about, run.seconds) == (HOSTILE, "a run by hand", 12.3)
    assert [s.title for s in run.sections] == ["All data", "Thin data", "Real and generated"]
    assert run.sections[0].blocks == arms[0].blocks()
    assert run.head.blocks[0] == Findings("Where it helped", [a.finding("ensemble") for a in arms])


@pytest.mark.parametrize(
    "change",
    [
        {"rows": {"a": 1}},
        {"rows": {"a": None}},
        {"rows": [], "extra": 1},
        {},
    ],
)
def test_a_block_of_another_form_is_refused(change):
    with raises(ValueError, names="Facts"):
        as_block({"kind": "Facts", **change})


def test_same_input_same_bytes_and_any_path(made, tmp_path):
    assert report(made[0], tmp_path / "other.html").read_text(encoding="utf-8") == made[1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other.html"]
    with pytest.raises(ReportError):
        report(made[0], tmp_path / "nowhere" / "x.html")


def test_a_section_is_added_to_a_run_and_replaced(made, tmp_path):
    shutil.copytree(made[0], tmp_path / "run")
    for text in ("first", "second"):
        keep(tmp_path / "run", "More", "about it", [Text(text)])
    run = Run(tmp_path / "run" / "results.jsonl")
    assert run.sections[-1] == Section("More", "about it", [Text("second")])
    assert len(run.sections) == 4
    assert "To run it again" in report(tmp_path / "run").read_text(encoding="utf-8")
    with pytest.raises(ReportError):
        keep(tmp_path, "More", "", [])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda lines: lines[:-1],
        lambda lines: [*lines, "[1]"],
        lambda lines: [*lines, '{"kind": "Tex'],
        lambda lines: [*lines, '{"kind": "Text", "section": "a"}'],
        lambda lines: [*lines, '{"kind": "Text", "section": "a", "text": 3}'],
        lambda lines: [line.replace('"rows"', '"lines"') for line in lines],
    ],
)
def test_broken_results_are_one_clear_error(made, tmp_path, spoil):
    shutil.copytree(made[0], tmp_path / "run")
    path = tmp_path / "run" / "results.jsonl"
    path.write_text("\n".join(spoil(path.read_text().splitlines())))
    with pytest.raises(ReportError):
        report(tmp_path / "run")
    assert (tmp_path / "run" / "report.html").read_text(encoding="utf-8") == made[1]


def test_a_page_of_results_at_hand(arms, tmp_path):
    one, two = ([r] for r in (arms[0].results["ensemble", a][0] for a in ("plain", "augmented")))
    c = compare(one, two, names=("plain", "with <edges>"))
    table = pa.table({"item": ["a", None], "n": [1, 2], "list": [[1], [2]]})
    made = report(
        [c, graph().deltas[0], table, Section("Mine", "", [Text("a note")])],
        tmp_path / "page.html",
        title="By hand",
    )
    page = Page(made.read_text(encoding="utf-8"))
    for word in ("By hand", "with <edges> against plain", "What was generated", "a note"):
        assert word in page.text
    assert report(c, tmp_path / "one.html").is_file()
    with pytest.raises(ParameterError) as caught:
        report(object(), tmp_path / "two.html")
    assert caught.value.asked == "object"
    with pytest.raises(ParameterError):
        report(c)


def test_pictures_for_a_notebook_leave_the_settings_alone():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    assert figure(Histogram("t", "x", [1, 2], [0.0, 0.5, 1.0])).axes
    assert dict(mpl.rcParams) == before


def test_the_terminal_shows_the_same(arms):
    text = io.StringIO()
    console = Console(file=text, width=140)
    for block in [*arms[0].blocks(), arms[0].finding("ensemble"), Facts({"a": "[b]"})]:
        show(block, console)
    printed = text.getvalue()
    assert "the augmentation HURTS on this split: NDCG@20" in printed
    assert "a: [b]" in printed
    assert "ensemble, augmented" in printed


# ---- what the pictures are drawn from ------------------------------------------------------------


def test_degrees_and_popularity_by_hand():
    hin = HIN.from_tables(
        {"user": {"id": ["a", "b", "c"]}, "item": {"id": ["x", "y"]}},
        {RATES: {"src": ["a", "a", "b"], "dst": ["x", "y", "x"]}},
    )
    hin = hin + Delta(
        {"user": {"id": ["n"]}}, {RATES: {"src": ["n", "c", "b"], "dst": ["y", "y", "x"]}}
    )
    real, made = of_graphs.degrees(hin, RATES)
    assert real.tolist() == [2, 1, 0]
    assert made.tolist() == [1]
    real, made = of_graphs.popularity(hin, RATES)
    assert real.tolist() == [2, 1]
    assert made.tolist() == [0, 2]  # b - x was observed, so the guess does not count
    x, share = of_graphs.at_least(np.array([0, 1, 1, 2, 5]))
    assert x.tolist() == [1, 2, 5]
    assert share.tolist() == [1, 0.5, 0.25]
    rank, share = of_graphs.by_rank(np.array([0, 1, 3]))
    assert rank.tolist() == [1, 2]
    assert share.tolist() == [0.75, 0.25]


def test_map_is_the_principal_plane():
    hin = graph()
    real, made, share = of_graphs.plane(hin, RATES)
    dense = hin.observed().adjacency(RATES).toarray().astype(float)
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    centred = dense - dense.mean(axis=0)
    u, s, axes = np.linalg.svd(centred)
    np.testing.assert_allclose(np.abs(real), np.abs(u[:, :2] * s[:2]), atol=1e-8)
    assert share == pytest.approx((s[:2] ** 2).sum() / (s**2).sum())
    new = hin.adjacency(RATES).toarray()[30:].astype(float)
    new = new / np.linalg.norm(new, axis=1, keepdims=True) - dense.mean(axis=0)
    np.testing.assert_allclose(np.abs(made), np.abs(new @ axes[:2].T), atol=1e-8)


def test_no_empty_pictures():
    hin = HIN.from_tables(
        {"user": {"id": ["a", "b"]}, "item": {"id": ["x"]}}, {RATES: {"src": ["a"], "dst": ["x"]}}
    )
    assert of_graphs.plane(hin, RATES) is None
    assert [type(b).__name__ for b in graph_blocks(hin, RATES, "tiny")] == ["Types"]
    sure = Delta(edges={RATES: {"src": ["b"], "dst": ["x"], "confidence": [0.7]}}, origin="One")
    told = [b for b in graph_blocks(hin + sure, RATES, "tiny") if isinstance(b, Text)]
    assert "all with confidence 0.700" in told[0].text


def test_the_plain_list_stands_beside_the_augmented_one():
    hin = HIN.from_tables(
        {"user": {"id": list("abcd")}, "item": {"id": list("vwxyz")}},
        {RATES: {"src": list("aaabbcd"), "dst": list("vwxvwxv")}},
    )
    split = hinaug.random_split(hin, RATES, valid=0, test=0, rng=0)
    delta = Delta(edges={RATES: {"src": ["b"], "dst": ["z"], "confidence": [0.75]}}, origin="Guess")
    scores = np.tile(np.arange(5.0), (4, 1))
    plain = Fixed(RATES, scores).fit(hin)
    augmented = Fixed(RATES, -scores).fit(hin + delta)
    told = lists((plain, hin), (augmented, hin + delta), split, str.upper)
    assert all(isinstance(block, Table) for block in told)
    of_b = next(block for block in told if block.caption.startswith("user b"))
    assert of_b.caption == "user b, known for V; W"
    assert of_b.rows == [
        [1, "Z", "X", "3", ""],
        [2, "Y", "Y", "2", ""],
        [3, "X", "Z", "1", "confidence 0.75"],
    ]
    assert of_b.marked == [2]
    other = next(block for block in told if block is not of_b)
    assert other.columns == ["", "plain", "augmented", "was"]
    assert not other.marked
    assert {len(row) for row in other.rows} == {4}


def test_types_draw_loops_and_many_types():
    nodes = {f"type{k}": {"id": ["a", "b"]} for k in range(7)}
    one = {"src": ["a"], "dst": ["b"]}
    edges = {
        ("type0", "likes", "type0"): one,
        ("type0", "to", "type1"): one,
        ("type1", "from", "type0"): one,
    }
    block = of_graphs.types(HIN.from_tables(nodes, edges), "seven")
    assert len(block.nodes) == 7
    assert block.edges[0] == ["type0", "likes", "type0", 1, 0]
    assert len(figure(block).axes[0].patches) == 3


def test_brief_settings():
    given = "relation=('a', 'b', 'c')"
    ease = f"EASE({given}, l2=3.0, weight=None, side=())"
    told = f"Weighted(predictors=[{ease}, Popularity({given}, weight=None)], k=20)"
    assert brief(told) == "Weighted(predictors=[EASE(l2=3.0), Popularity()], k=20)"
    assert brief("LightGCN(relation=('a', 'b', 'c'), epochs=None, embedding_dim=64)") == (
        "LightGCN(embedding_dim=64)"
    )


def test_a_long_name_ends_before_its_bar_and_a_control_is_hatched():
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from hinaug.report.blocks import Bars
    from hinaug.report.pictures import draw

    name = "EASE + random like d12345"
    made = draw(Bars("t", "NDCG@20", {"all": {name: [0.1]}}, marked=[name]))
    ax = made.axes[0]
    renderer = FigureCanvasAgg(made).get_renderer()
    label = next(text for text in ax.texts if text.get_text().startswith("EASE"))
    assert label.get_window_extent(renderer).x1 <= ax.patches[0].get_window_extent(renderer).x0
    assert ax.patches[0].get_hatch()


def test_words_below_the_bars_of_a_finding_touch_none_of_them():
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from hinaug.report.blocks import Finding, Findings
    from hinaug.report.pictures import draw

    one = Finding("here", "NDCG@20", 0.1, 0.2, 0.1, "+100 %", "helps", "it helps")
    made = draw(Findings("t", [one, one]))
    (ax,) = made.axes
    renderer = FigureCanvasAgg(made).get_renderer()
    bars = [patch.get_window_extent(renderer) for patch in ax.patches]
    below = [text.get_window_extent(renderer) for text in ax.texts if text.get_text() == "NDCG@20"]
    assert len(below) == 2
    assert not any(one.overlaps(other) for one in below for other in bars)
    assert all(abs(one.y1 - bar.y0) > 3 for one in below for bar in bars)  # and keep apart


def test_shares_that_nobody_has_are_no_bars():
    from hinaug.evaluation.fidelity import Plot
    from hinaug.report.fidelity import picture

    labels = ("F", "other")
    bars = picture(Plot("shares", np.array([1.0, 0.0]), np.array([0.9, 0.0]), labels=labels), "sex")
    assert list(bars.values) == ["F"]


@pytest.mark.parametrize(("high", "between"), [(15.0, {"2", "5"}), (1500.0, set())])
def test_numbers_at_a_logarithmic_axis_are_plain_and_few(high, between):
    from hinaug.report.blocks import Lines

    made = figure(Lines("t", "x", "y", {"a": [[2.0, high], [0.5, 0.9]]}, log="x"))
    made.canvas.draw()
    axis = made.axes[0].xaxis
    low, top = axis.get_view_interval()
    shown = {
        text.get_text()
        for text in axis.get_ticklabels(which="both")
        if text.get_text() and low <= text.get_position()[0] <= top
    }
    assert "10" in shown
    assert shown & {"2", "3", "5", "20", "50"} == between


def test_labels_of_relations_between_one_pair_stand_apart():
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    one = {"src": ["a"], "dst": ["a"]}
    names = ("rates", "order", "likes")
    edges = {("user", name, "item"): one for name in names} | {("item", "of", "user"): one}
    nodes = {type: {"id": ["a"]} for type in ("item", "user", "review")}
    made = figure(of_graphs.types(HIN.from_tables(nodes, edges), "three"))
    renderer = FigureCanvasAgg(made).get_renderer()
    places = [
        text.get_window_extent(renderer)
        for text in made.axes[0].texts
        if text.get_text() in (*names, "of")
    ]
    assert len(places) == 4
    assert not any(a.overlaps(b) for n, a in enumerate(places) for b in places[:n])
