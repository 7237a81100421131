"""How much is linked, and how sure the generators are: degrees, popularity and confidence, observed
against generated.
"""

from __future__ import annotations

import numpy as np

from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
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
    dst = hin.links(relation)[1]
    return tuple(np.bincount(dst[rows], minlength=hin.n(relation[2])) for rows in (~made, made))  # type: ignore[return-value]


def at_least(degree: np.ndarray) -> Curve:
    """x and the share of those with any link who have x or more."""
    degree = np.sort(degree[degree > 0])
    values, first = np.unique(degree, return_index=True)
    return values.astype(float), 1 - first / max(len(degree), 1)


def by_rank(count: np.ndarray) -> Curve:
    """Rank from 1, most popular first, and the share of all links that this rank gets."""
    count = np.sort(count[count > 0])[::-1]
    return np.arange(1, len(count) + 1, dtype=float), count / max(count.sum(), 1)


def curves(name: str, title: str, axes: tuple[str, str], real: Curve, made: Curve) -> str:
    """Observed and generated on two log axes; the vertical one is a share."""
    left, right, top, foot = 46, 334, 30, 222
    real, made = (_thinned(c) for c in (real, made))
    xs, ys = (np.concatenate([real[i], made[i]]) for i in (0, 1))
    if not len(xs):
        xs = ys = np.ones(1)
    (x0, x1), (y0, y1) = (
        (min(v.min(), b / 10), max(v.max(), b)) for v, b in ((xs, 1.0), (ys, float(ys.max())))
    )
    x0 = 1.0 if xs.min() >= 1 else x0
    x1 = max(x1, x0 * 10)
    told = f"{axes[1]} against {axes[0]}. {_told('observed', real)}; {_told('generated', made)}"
    picture = Svg(name, WIDTH, 268, title, told)

    def across(x: np.ndarray | float) -> np.ndarray:
        return left + (right - left) * np.log(np.asarray(x) / x0) / np.log(x1 / x0)

    def down(y: np.ndarray | float) -> np.ndarray:
        return foot - (foot - top) * np.log(np.asarray(y) / y0) / np.log(y1 / y0)

    for mark in log_ticks(y0, y1):
        picture.line(left, float(down(mark)), right, float(down(mark)))
        picture.text(left - 6, float(down(mark)) + 4, f"{100 * mark:.3g} %", "small", "end")
    for mark in log_ticks(x0, x1):
        picture.line(float(across(mark)), foot, float(across(mark)), foot + 4, "axis")
        anchor = "end" if across(mark) > right - 8 else "middle"
        picture.text(float(across(mark)), foot + 18, f"{mark:,.0f}", "small", anchor)
    picture.line(left, foot, right, foot, "axis")
    picture.text(right, foot + 38, axes[0], "small", "end")
    picture.text(0, 12, axes[1], "small")
    for curve, kind in ((real, "real"), (made, "made")):
        if len(curve[0]):
            picture.curve(across(curve[0]), down(curve[1]), f"curve {kind}")
            for x, y in zip(
                across(curve[0])[:: 1 + len(curve[0]) // 8],
                down(curve[1])[:: 1 + len(curve[0]) // 8],
                strict=True,
            ):
                _mark(picture, float(x), float(y), kind)
    return str(picture)


def _thinned(curve: Curve) -> Curve:
    """As many points as the eye needs, evenly spread over the log axis, the first and the last
    among them.
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
        origin, confidence = (
            np.asarray(table["origin"].to_pylist(), object),
            table["confidence"].to_numpy(),
        )
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
            picture.add(
                "rect",
                cls="bar augmented",
                x=left + i * step + 1,
                y=foot - scale * n,
                width=step - 2,
                height=scale * n,
            )
    picture.line(left, foot, right, foot, "axis")
    for mark in (0.0, 0.25, 0.5, 0.75, 1.0):
        picture.text(
            left + (right - left) * mark,
            foot + 17,
            f"{mark:g}",
            "small",
            "end" if mark == 1 else "middle",
        )
    picture.text(right, foot + 36, "confidence", "small", "end")
    picture.text(0, 12, "rows", "small")
    return str(picture)
