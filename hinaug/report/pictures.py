"""How each picture is drawn, by matplotlib.

A drawing uses colours by name; in the page they become variables of the style sheet, so that one
picture serves light, dark and paper.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import singledispatch
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup, escape

from hinaug.report.blocks import (
    Bars,
    Dots,
    Finding,
    Findings,
    Histogram,
    Intervals,
    Lines,
    Picture,
    Types,
)
from hinaug.report.wording import clean, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# each stands for a variable of the style sheet; the values are those of a light page
COLOURS = {
    "ink": "#1d2126",
    "muted": "#5a626d",
    "rule": "#dddfdc",
    "grey": "#8a929c",
    "soft": "#c9cdd2",
    "accent": "#0b5cab",
    "paper": "#fcfcfa",
}
WIDTH = 5.0  # inches; a phone shows it at its own size
SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "hinaug",  # the same picture, the same bytes
    "font.family": "sans-serif",
    "font.size": 10.5,
    "text.color": COLOURS["ink"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.edgecolor": COLOURS["grey"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["muted"],
    "hatch.color": COLOURS["grey"],
    "hatch.linewidth": 1.0,
}


def figure(picture: Picture) -> Figure:
    """The picture as a matplotlib figure, to show in a notebook or to save."""
    with _style():
        return draw(picture)


def svg(picture: Picture, name: str) -> Markup:
    """The picture as an element of a page. name: of its ids, once on a page."""
    with _style():
        made, file = draw(picture), io.StringIO()
        made.savefig(
            file,
            format="svg",
            transparent=True,
            bbox_inches="tight",
            pad_inches=0.03,
            metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")),
        )
    text = file.getvalue()
    text = text[text.index("<svg") :]
    head, _, body = text.partition(">")
    box = re.search(r'viewBox="0 0 ([\d.]+) [\d.]+"', head)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = body.replace("xlink:href", "href")
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", body)
    body = re.sub(r"font: ([^;\"]*?)([\d.]+px)[^;\"]*", r"font-size: \2", body)
    for word, colour in COLOURS.items():
        body = body.replace(colour, f"var(--{word})")
    if box is None:
        raise ValueError("the drawing has no viewBox")
    points = 1.8 if isinstance(picture, Findings) else 4 / 3  # the first picture is larger
    told = (
        f'<svg viewBox="{box[0][9:-1]}" style="max-width: {float(box[1]) * points:.0f}px" '
        f'role="img" aria-labelledby="{name}-t {name}-d">'
        f'<title id="{name}-t">{escape(clean(picture.title))}</title>'
        f'<desc id="{name}-d">{escape(clean(picture.told))}</desc>'
    )
    return Markup(told + body)  # escaped by matplotlib


@contextmanager
def _style() -> Iterator[None]:
    import matplotlib as mpl  # heavy: only where something is drawn

    with mpl.rc_context(SETTINGS):
        yield


def _axes(height: float, width: float = WIDTH) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height))
    return made, made.add_axes((0, 0, 1, 1))


@singledispatch
def draw(picture: Any) -> Figure:
    """The picture as a figure; a function for each kind."""
    raise NotImplementedError(f"no drawing for {type(picture).__name__}")


# ---- bars ----------------------------------------------------------------------------------------


@draw.register(Findings)
def _(picture: Findings) -> Figure:
    groups = _grouped(picture.findings)
    rows = sum(_height(f) for each in groups.values() for f in each) + 0.9 * len(groups)
    made, ax = _axes(0.225 * rows)
    ax.set(xlim=(0, 1), ylim=(rows, 0))
    ax.axis("off")
    y = 0.0
    for title, findings in groups.items():
        ax.text(0, y + 0.4, title, color=COLOURS["muted"], va="center")
        y += 0.9
        for one in findings:
            _draw_finding(ax, one, y)
            y += _height(one)
    return made


TITLES = {
    "helps": "It helped",
    "no verdict": "No verdict",
    "no gain": "It did not help",
    "hurts": "It hurt",
}


def _grouped(findings: list[Finding]) -> dict[str, list[Finding]]:
    groups = {
        title: [f for f in findings if f.outcome == outcome] for outcome, title in TITLES.items()
    }
    return {title: each for title, each in groups.items() if each}


def _bars_of(one: Finding) -> list[tuple[str, float, str]]:
    """Name, value and kind of each bar of a finding."""
    bars = [(one.plain_name, one.plain, "plain"), (one.augmented_name, one.augmented, "made")]
    if one.control is not None:
        bars.insert(1, (one.control_name, one.control, "random"))
    return bars


def _height(one: Finding) -> float:
    return 2.05 + 0.8 * len(_bars_of(one))


def _draw_finding(ax: Axes, one: Finding, y: float) -> None:
    """A heading with the change at its right, and a bar each, from zero to the row's largest."""
    bars = _bars_of(one)
    largest = max((value for _, value, _ in bars), default=0.0) or 1.0
    name = clean(one.where) + (f" ({one.measured})" if one.measured else "")
    ax.text(0, y + 0.5, shortened(name, 56), weight="bold", va="center")
    colour = COLOURS["accent" if one.outcome == "helps" else "ink"]
    ax.text(1, y + 0.5, one.change, weight="bold", color=colour, va="center", ha="right")
    y += 1.0
    for label, value, kind in bars:
        ax.text(0, y + 0.4, shortened(clean(label), 24), va="center", fontsize=9.5)
        ax.barh(y + 0.4, 0.5 * value / largest, 0.56, left=0.34, **_look(kind))
        ax.text(1, y + 0.4, f"{value:.4f}", va="center", ha="right", fontsize=9.5)
        y += 0.8
    ax.text(0.34, y + 0.36, clean(one.metric), color=COLOURS["muted"], fontsize=8.5, va="center")


def _look(kind: str) -> dict[str, Any]:
    """Filled grey for plain, hatched for random, the accent colour for what was generated."""
    looks = {
        "plain": {"color": COLOURS["soft"]},
        "random": {"facecolor": "none", "edgecolor": COLOURS["grey"], "hatch": "////"},
        "made": {"color": COLOURS["accent"]},
    }
    return looks[kind]


@draw.register(Bars)
def _(picture: Bars) -> Figure:
    rows = sum(1.3 + len(bars) for bars in picture.values.values())
    made, ax = _axes(0.25 * rows + 0.2)
    values = [v[-1] for bars in picture.values.values() for v in bars.values()]
    top = max(values, default=0.0) or 1.0
    ax.set(xlim=(0, 1), ylim=(rows, -0.6))
    ax.axis("off")
    ax.text(1, -0.5, picture.metric, ha="right", va="center", color=COLOURS["muted"], fontsize=9)
    y = 0.0
    for group, bars in picture.values.items():
        ax.text(0, y + 0.4, shortened(clean(group), 60), weight="bold", va="center")
        y += 1
        for name, value in bars.items():
            kind = "made" if name in picture.marked else "plain"
            _draw_bar(ax, y, name, value, top, "random" if "random" in name else kind)
            y += 1
        y += 0.3
    return made


def _draw_bar(ax: Axes, y: float, name: str, value: list[float], top: float, kind: str) -> None:
    """A name, a bar from zero, its interval if it has one, and its figure."""
    left, wide, (middle, *bounds) = 0.37, 0.45, value
    ax.text(0, y + 0.4, shortened(clean(name), 24), va="center", fontsize=9.5)
    ax.barh(y + 0.4, wide * middle / top, 0.6, left=left, **_look(kind))
    if bounds:
        low, high = (left + wide * max(b, 0) / top for b in bounds)
        ax.plot([low, high], [y + 0.4] * 2, color=COLOURS["ink"], linewidth=1.2)
    ax.text(1, y + 0.4, f"{middle:.4f}", va="center", ha="right", fontsize=9.5)


@draw.register(Histogram)
def _(picture: Histogram) -> Figure:
    made, ax = _axes(1.7)
    ax.stairs(picture.counts, picture.edges, fill=True, color=COLOURS["accent"])
    ax.set_xlabel(picture.x)
    ax.set_ylabel("rows")
    ax.locator_params(axis="x", nbins=6)
    return made


# ---- points --------------------------------------------------------------------------------------


@draw.register(Intervals)
def _(picture: Intervals) -> Figure:
    groups = list(dict.fromkeys(str(row[0]) for row in picture.rows))
    rows = len(picture.rows) + 1.2 * len(groups)
    made, ax = _axes(0.24 * rows + 0.3)
    ax.set_ylim(rows, 0)
    ax.set_xlim(*_reach(picture.rows))
    ax.spines[["left"]].set_visible(False)
    ax.axvline(0, color=COLOURS["grey"], linewidth=1)
    ax.set_yticks([])
    ax.set_xlabel(picture.metric)
    made.subplots_adjust(0, 0, 1, 1)
    ax.set_position((0.34, 0, 0.5, 1))
    y, side = 0.0, ax.get_yaxis_transform()
    for group in groups:
        ax.text(-0.68, y + 0.6, shortened(clean(group), 30), weight="bold", va="center",
                transform=side)  # fmt: skip
        y += 1.2
        mine: list[list[Any]] = [row for row in picture.rows if str(row[0]) == group]
        for _, label, count, value, low, high in mine:
            ax.text(-0.68, y + 0.5, shortened(clean(str(label)), 22), va="center", transform=side)
            ax.text(-0.04, y + 0.5, f"{count:,}", va="center", ha="right", transform=side,
                    color=COLOURS["muted"], fontsize=9)  # fmt: skip
            ax.plot((low, high), (y + 0.5, y + 0.5), color=COLOURS["ink"], linewidth=1.3)
            fill = COLOURS["paper" if label in picture.hollow else "accent"]
            edge = COLOURS["grey" if label in picture.hollow else "accent"]
            ax.plot([value], [y + 0.5], "o", color=fill, markeredgecolor=edge)
            ax.text(1.32, y + 0.5, f"{value:+.4f}", va="center", ha="right", transform=side)
            y += 1
    return made


FEW = 20  # users; the interval of a smaller slice does not stretch the axis for all others


def _reach(rows: list[Any]) -> tuple[float, float]:
    wide = [row for row in rows if row[2] >= FEW] or rows
    reach = max((abs(bound) for row in wide for bound in row[4:6]), default=0.0) * 1.05 or 0.01
    return -reach, reach


@draw.register(Lines)
def _(picture: Lines) -> Figure:
    made, ax = _axes(2.5)
    for axis, use in (("x", "x" in picture.log), ("y", "y" in picture.log)):
        if use:
            getattr(ax, f"set_{axis}scale")("log")
            getattr(ax, f"{axis}axis").set_major_formatter("{x:g}")
    markers = iter("osD^vPX*" * 4)
    for name, (x, y) in picture.series.items():
        colour = COLOURS["accent" if name in picture.marked else "grey"]
        every = max(1, len(x) // 8)
        marker = next(markers)
        fill = colour if name in picture.marked else COLOURS["paper"]
        ax.plot(x, y, color=colour, marker=marker, markevery=every, markersize=5,
                markerfacecolor=fill, label=clean(name))  # fmt: skip
        for at_x, at_y, label in zip(x, y, picture.labels.get(name, []), strict=False):
            ax.annotate(clean(label), (at_x, at_y), xytext=(0, 6), textcoords="offset points",
                        ha="center", fontsize=8.5, color=COLOURS["muted"])  # fmt: skip
    _thin_minor_labels(ax, picture.log)
    ax.grid(color=COLOURS["rule"], linewidth=0.8)
    ax.set_axisbelow(True)
    ax.set_xlabel(picture.x)
    ax.set_title(picture.y, loc="left", fontsize=10, color=COLOURS["muted"])
    if len(picture.series) > 1:
        ax.legend(frameon=False, fontsize=9, loc="best", labelcolor=COLOURS["ink"])
    return made


def _thin_minor_labels(ax: Axes, log: str) -> None:
    """Between powers of ten only 2 and 5 have numbers, where there are fewer than two powers."""

    def shown(value: float, _: int) -> str:
        return f"{value:g}" if f"{value:.0e}"[0] in "25" else ""

    for name in log:
        axis = getattr(ax, f"{name}axis")
        low, high = np.log10(sorted(axis.get_view_interval()))
        is_wide = np.floor(high) - np.ceil(low) >= 1
        axis.set_minor_formatter(shown if not is_wide else "")


@draw.register(Dots)
def _(picture: Dots) -> Figure:
    made, ax = _axes(WIDTH * 0.75)
    for rows, colour, marker, label in (
        (picture.real, "grey", "o", "real"),
        (picture.made, "accent", "D", "generated"),
    ):
        x, y = np.asarray(rows, float).reshape(-1, 2).T
        ax.plot(x, y, marker, color=COLOURS[colour], markersize=3, alpha=0.6, label=label)
    ax.set_aspect("equal", adjustable="datalim")
    ax.set(xticks=[], yticks=[])
    ax.legend(frameon=False, fontsize=9, loc="best", labelcolor=COLOURS["ink"])
    return made


# ---- types ---------------------------------------------------------------------------------------


@draw.register(Types)
def _(picture: Types) -> Figure:
    made, ax = _axes(WIDTH * 0.72)
    angle = np.pi / 2 + 2 * np.pi * np.arange(len(picture.nodes)) / max(len(picture.nodes), 1)
    ring = 0.0 if len(picture.nodes) == 1 else 1.0
    places = {t: ring * np.array([1.6 * np.cos(a), np.sin(a)]) for t, a in zip(
        picture.nodes, angle, strict=True)}  # fmt: skip
    ax.set(xlim=(-2.3, 2.3), ylim=(-1.55, 1.75))
    ax.axis("off")
    bend_of = _bends(picture.edges)
    for i, (source, name, target, observed, generated) in enumerate(picture.edges):
        at = _arrow(ax, places[str(source)], places[str(target)], *bend_of[i])
        _label(ax, at, str(name), int(observed or 0), int(generated or 0))
    for type, (observed, generated) in picture.nodes.items():
        ax.plot(*places[type], "o", markersize=52, color=COLOURS["paper"],
                markeredgecolor=COLOURS["grey"])  # fmt: skip
        _label(ax, places[type], type, observed, generated)
    return made


def _bends(edges: list[Any]) -> list[tuple[float, float]]:
    """(how far each arrow bends aside, where along it the label stands). Those between one pair of
    types bend to both sides in turn, and their labels move on.
    """
    pairs = [frozenset((source, target)) for source, _, target, *_ in edges]
    seen: Counter[frozenset[Any]] = Counter()
    out = []
    for (source, _, target, *_), pair in zip(edges, pairs, strict=True):
        nth, seen[pair] = seen[pair], seen[pair] + 1
        if source == target:
            out.append((1.0 + 0.6 * nth, 0.5))
        elif pairs.count(pair) == 1:
            out.append((0.12, 0.5))
        else:
            side = (1 if nth % 2 == 0 else -1) * (1 if str(source) < str(target) else -1)
            out.append((side * (0.3 + 0.3 * (nth // 2)), 0.5 + 0.16 * (nth // 2)))
    return out


def _arrow(ax: Axes, start: np.ndarray, end: np.ndarray, bend: float, along: float) -> np.ndarray:
    """Draws an arrow, and says where its label goes."""
    from matplotlib.patches import FancyArrowPatch

    look: dict[str, Any] = {
        "arrowstyle": "-|>",
        "mutation_scale": 11,
        "color": COLOURS["grey"],
        "shrinkA": 27,
        "shrinkB": 27,
    }
    is_loop = np.array_equal(start, end)
    side = np.array([0.22, 0.0]) if is_loop else np.zeros(2)
    curve = f"arc3,rad={-1.2 * bend if is_loop else bend}"
    one, two = tuple(start - side), tuple(end + side)
    ax.add_patch(FancyArrowPatch(one, two, connectionstyle=curve, **look))
    if is_loop:
        return start + np.array([0, 0.42 + 0.22 * bend])
    way = end - start
    return start + along * way + bend / 2 * np.array([way[1], -way[0]])


def _label(ax: Axes, at: np.ndarray, name: str, observed: int, generated: int) -> None:
    halo = {"boxstyle": "square,pad=0.1", "facecolor": COLOURS["paper"], "edgecolor": "none"}
    lines = [(shortened(clean(name), 18), "ink", "bold"), (f"{observed:,}", "ink", "normal")]
    lines += [(f"+ {generated:,}", "accent", "normal")] if generated else []
    for i, (text, colour, weight) in enumerate(lines):
        ax.text(at[0], at[1] + 0.13 - 0.15 * i, text, ha="center", va="center", fontsize=8.5,
                color=COLOURS[colour], weight=weight, bbox=halo)  # fmt: skip
