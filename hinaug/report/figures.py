"""The pictures made from results: bars of the arms, and the gain by slice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hinaug.report.read import Run
from hinaug.report.svg import WIDTH, Svg, cut, signed, ticks
from hinaug.report.wording import ARMS, shown

FEW = 20  # users; the interval of a smaller slice may not stretch the axis for all others


def bars(run: Run, regime: str, metric: str, name: str) -> str:
    """One bar an arm, grouped by model, from zero, with the 95 % interval and p against plain."""
    left, right, row = 78, 232, 19
    cells = {(m, arm): run.mean(regime, m, arm, metric) for m in run.models for arm in ARMS}
    top = max(mean + half for mean, half in cells.values()) or 1.0
    told = "; ".join(
        f"{m}, {arm}: {mean:.4f} ± {half:.4f}" for (m, arm), (mean, half) in cells.items()
    )
    picture = Svg(
        name, WIDTH, 24 + 92 * len(run.models), f"{metric} by model and data, {regime}", told
    )
    picture.text(284, 11, metric, "small", "end")
    picture.text(WIDTH, 11, "p", "small italic", "end")
    y = 24.0
    for model in run.models:
        picture.text(0, y + 6, cut(model, 40), "strong")
        y += 14
        for arm in ARMS:
            mean, half = cells[model, arm]
            low, high = (
                left + (right - left) * max(v, 0) / top for v in (mean - half, mean + half)
            )
            picture.text(0, y + row / 2 + 4, arm)
            width = max((right - left) * mean / top, 0)
            picture.add("rect", cls=f"bar {arm}", x=left, y=y + 2.5, width=width, height=row - 5)
            picture.whisker(low, high, y + row / 2)
            picture.text(284, y + row / 2 + 4, f"{mean:.4f}", "figure", "end")
            if arm != "plain":
                p = run.pair(regime, model, f"{arm} - plain")["p_holm"]
                picture.text(WIDTH, y + row / 2 + 4, shown(p), "figure", "end")
            y += row
        picture.line(left, y - len(ARMS) * row, left, y, "axis")
        y += 21
    return str(picture)


def gains(run: Run, regime: str, model: str, name: str) -> str:
    """augmented - plain, of all users and of each slice: points about a line at zero.

    A bar through the point is the 95 % interval.
    """
    left, right, row = 118, 274, 22
    whole = {arm: run.pair(regime, model, f"{arm} - plain") for arm in ("augmented", "random")}
    slices = {"all users": whole, **whole["augmented"]["slices"]}
    metric = whole["augmented"]["metric"]
    rows = sum(len(parts) for parts in slices.values())
    height = 12 + 24 * len(slices) + row * rows + 42
    title = f"{metric}, augmented minus plain, by slice: {model}, {regime}"
    picture = Svg(name, WIDTH, height, title, _gains_in_words(slices))
    reach = _reach(run, regime)

    def at(value: float) -> float:
        return left + (right - left) * (value + reach) / (2 * reach)

    _axis_of_gains(picture, ticks(-reach, reach), at, height)
    picture.text((left + right) / 2, height - 6, f"{metric}, augmented − plain", "small", "middle")
    y = 8.0
    for by, parts in slices.items():
        picture.text(0, y + 12, by if parts is whole else f"by {cut(by, 24)}", "strong halo")
        y += 24
        for label, p in parts.items():
            dot = "dot random" if label == "random" else "dot"
            _point(picture, label, p, at, (left, right), y + row / 2 - 3, dot)
            y += row
    return str(picture)


def _gains_in_words(slices: dict[str, dict[str, Any]]) -> str:
    return "; ".join(
        f"{by}, {label}: {signed(p['difference'], 4)} [{signed(p['low'], 4)}, "
        f"{signed(p['high'], 4)}], {p['users']} users"
        for by, parts in slices.items()
        for label, p in parts.items()
    )


def _axis_of_gains(
    picture: Svg, marks: list[float], at: Callable[[float], float], height: float
) -> None:
    for mark in marks:
        picture.line(at(mark), 4, at(mark), height - 36, "axis" if mark == 0 else "rule")
    for mark in marks:
        picture.text(at(mark), height - 22, signed(mark, 3) if mark else "0", "small", "middle")


def _point(
    picture: Svg,
    label: str,
    p: dict[str, Any],
    at: Callable[[float], float],
    ends: tuple[float, float],
    y: float,
    dot: str,
) -> None:
    left, right = ends
    picture.text(0, y + 4, cut(label.replace("-", "–"), 13))
    picture.text(left - 8, y + 4, f"{p['users']:,}", "small", "end")
    low, high = (min(max(at(p[bound]), left), right) for bound in ("low", "high"))
    if p["users"] > 1:
        picture.whisker(low, high, y)
        for x, past, sign in ((left, at(p["low"]) < left, -1), (right, at(p["high"]) > right, 1)):
            if past:  # the interval goes on beyond the axis
                picture.add("path", cls="mark", d=f"M{x + 5 * sign} {y}l{-5 * sign} -4v8z")
    middle = min(max(at(p["difference"]), left), right)
    picture.add("circle", cls=dot, cx=middle, cy=y, r=4)
    picture.text(WIDTH, y + 4, signed(p["difference"], 4), "figure", "end")


def _reach(run: Run, regime: str) -> float:
    """Half the width of the axis, the same for all models of a regime."""
    parts = [p for model in run.models for p in _gains_of(run, regime, model)]
    wide = [p for p in parts if p["users"] >= FEW] or parts
    bounds = [abs(p[bound]) for p in wide for bound in ("low", "high")]
    return max(bounds, default=0.0) * 1.05 or 0.01


def _gains_of(run: Run, regime: str, model: str) -> list[dict[str, Any]]:
    """All intervals that one picture shows: of all users, of the control, and of each slice."""
    augmented, random = (
        run.pair(regime, model, f"{arm} - plain") for arm in ("augmented", "random")
    )
    slices = [p for labels in augmented["slices"].values() for p in labels.values()]
    return [augmented, random, *slices]
