"""Degrees, popularity and confidence, observed against generated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hinaug.graph import HIN, EdgeType
from hinaug.report.svg import WIDTH, Svg, diamond, log_ticks, ticks

POINTS = 80  # most points of a curve
BINS = 20

Curve = tuple[np.ndarray, np.ndarray]


def degrees(hin: HIN, relation: EdgeType) -> tuple[np.ndarray, np.ndarray]:
    """Links of every observed user (observed links alone) and of every generated one."""
    real = np.diff(hin.observed().adjacency(relation).indptr)
    return real, np.diff(hin.adjacency(relation).indptr)[hin.n_observed(relation[0]) :]


def popularity(hin: HIN, relation: EdgeType) -> tuple[np.ndarray, np.ndarray]:
    """Observed and generated links of every item."""
    made = hin.column(relation, "origin").is_valid().to_numpy(zero_copy_only=False)
    dst, n_items = hin.links(relation)[1], hin.n(relation[2])
    return np.bincount(dst[~made], minlength=n_items), np.bincount(dst[made], minlength=n_items)


def at_least(degree: np.ndarray) -> Curve:
    """x and the share of those with any link who have x or more."""
    degree = np.sort(degree[degree > 0])
    values, first = np.unique(degree, return_index=True)
    return values.astype(float), 1 - first / max(len(degree), 1)


def by_rank(count: np.ndarray) -> Curve:
    """Rank from 1, most popular first, and the share of all links that this rank gets."""
    count = np.sort(count[count > 0])[::-1]
    return np.arange(1, len(count) + 1, dtype=float), count / max(count.sum(), 1)


@dataclass
class _LogAxes:
    """Two log axes inside a picture: x from `left` to `right`, y from `foot` up to `top`."""

    x0: float
    x1: float
    y0: float
    y1: float
    left: float = 46
    right: float = 334
    top: float = 30
    foot: float = 222

    def across(self, x: np.ndarray | float) -> np.ndarray:
        share = np.log(np.asarray(x) / self.x0) / np.log(self.x1 / self.x0)
        return self.left + (self.right - self.left) * share

    def down(self, y: np.ndarray | float) -> np.ndarray:
        share = np.log(np.asarray(y) / self.y0) / np.log(self.y1 / self.y0)
        return self.foot - (self.foot - self.top) * share

    def draw(self, picture: Svg, names: tuple[str, str]) -> None:
        """The lines, the marks and the names of both axes; y is a share."""
        left, right, foot = self.left, self.right, self.foot
        for mark in log_ticks(self.y0, self.y1):
            y = float(self.down(mark))
            picture.line(left, y, right, y)
            picture.text(left - 6, y + 4, f"{100 * mark:.3g} %", "small", "end")
        for mark in log_ticks(self.x0, self.x1):
            x = float(self.across(mark))
            picture.line(x, foot, x, foot + 4, "axis")
            anchor = "end" if x > right - 8 else "middle"
            picture.text(x, foot + 18, f"{mark:,.0f}", "small", anchor)
        picture.line(left, foot, right, foot, "axis")
        picture.text(right, foot + 38, names[0], "small", "end")
        picture.text(0, 12, names[1], "small")


def curves(name: str, title: str, axes: tuple[str, str], real: Curve, made: Curve) -> str:
    """Observed and generated on two log axes; the vertical one is a share."""
    real, made = _thinned(real), _thinned(made)
    told = f"{axes[1]} against {axes[0]}. {_told('observed', real)}; {_told('generated', made)}"
    picture = Svg(name, WIDTH, 268, title, told)
    scale = _log_axes(real, made)
    scale.draw(picture, axes)
    for curve, kind in ((real, "real"), (made, "made")):
        if len(curve[0]):
            x, y = scale.across(curve[0]), scale.down(curve[1])
            picture.curve(x, y, f"curve {kind}")
            every = 1 + len(x) // 8
            for at_x, at_y in zip(x[::every].tolist(), y[::every].tolist(), strict=True):
                _mark(picture, at_x, at_y, kind)
    return str(picture)


def _log_axes(real: Curve, made: Curve) -> _LogAxes:
    """Axes that show both curves, and at least a tenfold range each."""
    xs, ys = (np.concatenate([real[i], made[i]]) for i in (0, 1))
    if not len(xs):
        xs = ys = np.ones(1)
    highest = float(ys.max())
    x0 = 1.0 if xs.min() >= 1 else min(xs.min(), 0.1)
    x1 = max(xs.max(), 1.0, x0 * 10)
    return _LogAxes(x0, x1, min(ys.min(), highest / 10), highest)


def _thinned(curve: Curve) -> Curve:
    """As many points as the eye needs, evenly spread over the log axis.

    The first and the last are among them.
    """
    x, y = curve
    if len(x) <= POINTS:
        return curve
    keep = np.unique(np.round(np.geomspace(1, len(x), POINTS)).astype(int)) - 1
    return x[keep], y[keep]


def _told(kind: str, curve: Curve) -> str:
    x, y = curve
    if not len(x):
        return f"{kind}: none"
    return f"{kind}: from {100 * y[0]:.3g} % at {x[0]:,.0f} to {100 * y[-1]:.2g} % at {x[-1]:,.0f}"


def _mark(picture: Svg, x: float, y: float, kind: str) -> None:
    if kind == "real":
        picture.add("circle", cls="point real", cx=x, cy=y, r=2.6)
    else:
        picture.add("path", cls="point made", d=diamond(x, y, 4.2))


def confidences(hin: HIN) -> dict[str, np.ndarray]:
    """{origin: confidence of each of its rows}, over all deltas and parts."""
    found: dict[str, list[np.ndarray]] = {}
    for _, _, table in (row for delta in hin.deltas for row in delta.tables()):
        origin = np.asarray(table["origin"].to_pylist(), object)
        confidence = table["confidence"].to_numpy()
        for name in dict.fromkeys(origin.tolist()):
            found.setdefault(name, []).append(confidence[origin == name])
    return {name: np.concatenate(found[name]) for name in sorted(found)}


def histogram(name: str, title: str, values: np.ndarray) -> str:
    """Rows by confidence, in twenty bins from 0 to 1."""
    left, right, top, foot = 46, 334, 28, 150
    count, edges = np.histogram(values, BINS, (0, 1))
    there = ", ".join(
        f"{a:.2f}–{b:.2f}: {n:,}" for a, b, n in zip(edges, edges[1:], count, strict=False) if n
    )
    picture = Svg(name, WIDTH, 194, title, f"rows by confidence: {there}")
    scale = (foot - top) / max(count.max(), 1)
    for mark in ticks(0, float(count.max()), 3):
        if mark == int(mark):
            picture.line(left, foot - scale * mark, right, foot - scale * mark)
            picture.text(left - 6, foot - scale * mark + 4, f"{mark:,.0f}", "small", "end")
    step = (right - left) / BINS
    for i, n in enumerate(count.tolist()):
        if n:
            x, y = left + i * step + 1, foot - scale * n
            picture.add("rect", cls="bar augmented", x=x, y=y, width=step - 2, height=scale * n)
    picture.line(left, foot, right, foot, "axis")
    for mark in (0.0, 0.25, 0.5, 0.75, 1.0):
        anchor = "end" if mark == 1 else "middle"
        picture.text(left + (right - left) * mark, foot + 17, f"{mark:g}", "small", anchor)
    picture.text(right, foot + 36, "confidence", "small", "end")
    picture.text(0, 12, "rows", "small")
    return str(picture)
