"""The node and edge types of a graph as circles and arrows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
from hinaug.report.svg import Svg, cut, number


def draw(hin: HIN, name: str) -> str:
    """Node types as circles on a ring, edge types as arrows, with the counts of observed and (+)
    generated rows.
    """
    types: Sequence[str] = list(hin.nodes)
    n = len(types)
    radius = 40 if n < 6 else 30
    ring = 0.0 if n == 1 else max(132.0, radius * n * 0.62)
    width = 2 * (ring + radius) + 96
    tall = (
        0.0 if n <= 2 else ring * (1 + np.cos(np.pi / n)) if n % 2 else 2 * ring * np.cos(np.pi / n)
    )
    crowded = len({frozenset((a, b)) for a, _, b in hin.edges}) < len(
        hin.edges
    )  # then arrows bend outward
    height = tall + 2 * radius + (90 if crowded or n <= 2 else 57)
    turn = np.pi if n == 2 else -np.pi / 2 if n % 2 else -np.pi / 2 - np.pi / n
    middle = height / 2 if n <= 2 else 45 + radius + (ring if n % 2 else ring * np.cos(np.pi / n))
    angle = turn + 2 * np.pi * np.arange(n) / n
    places = {
        t: np.array([width / 2 + ring * np.cos(a), middle + ring * np.sin(a)])
        for t, a in zip(types, angle, strict=True)
    }
    told = "; ".join(f"{t}: {_counts(hin, t)}" for t in types)
    told += "; " + "; ".join(f"{a} {r} {b}: {_counts(hin, (a, r, b))}" for a, r, b in hin.edges)
    picture = Svg(name, width, height, "Node and edge types of the augmented graph", told)
    labels = []
    pairs: dict[tuple[str, ...], list[EdgeType]] = {}
    for edge in hin.edges:
        pairs.setdefault(tuple(sorted((edge[0], edge[2]))), []).append(edge)
    for (first, _), edges in pairs.items():
        for i, edge in enumerate(edges):
            bend = 62 * (i - (len(edges) - 1) / 2)
            labels.append(
                (
                    edge,
                    _arrow(picture, places, edge, bend if edge[0] == first else -bend, radius, i),
                )
            )
    for type in types:
        x, y = places[type]
        picture.add("circle", cls="node", cx=x, cy=y, r=radius)
        made = hin.n(type) - hin.n_observed(type)
        picture.text(x, y - (8 if made else 2), cut(type, radius // 4), "strong", "middle")
        picture.text(x, y + (8 if made else 14), f"{hin.n_observed(type):,}", "figure", "middle")
        if made:
            picture.text(x, y + 24, f"+ {made:,}", "figure accent", "middle")
    for (_, relation, _), (x, y, edge) in ((e, (*p, e)) for e, p in labels):
        made = _made(hin, edge)
        picture.text(x, y - 3, cut(relation, 18), "strong halo", "middle")
        picture.text(x, y + 11, f"{hin.n(edge) - made:,}", "figure halo", "middle")
        if made:
            picture.text(x, y + 25, f"+ {made:,}", "figure accent halo", "middle")
    return str(picture)


def _arrow(
    picture: Svg,
    places: dict[str, np.ndarray],
    edge: EdgeType,
    bend: float,
    radius: float,
    nth: int,
) -> tuple[float, float]:
    """Draws one edge type and says where its label goes."""
    a, b = places[edge[0]], places[edge[2]]
    if edge[0] == edge[2]:  # a loop above its circle
        x, y, wide = *a, radius * (0.5 + 0.3 * nth)
        start, end, lift = (
            np.array([x - wide / 2, y - radius]),
            np.array([x + wide / 2, y - radius]),
            60 + 30 * nth,
        )
        one, two = start - np.array([wide, lift]), end + np.array([wide, -lift])
        label = (float(x), float(y - radius - 0.75 * lift - 16))
    else:
        along = (b - a) / np.linalg.norm(b - a)
        turned = np.array([-along[1], along[0]])
        middle = (a + b) / 2 + bend * turned
        start, end = (p + radius * (middle - p) / np.linalg.norm(middle - p) for p in (a, b))
        one = two = middle
        x, y = (start + 6 * middle + end) / 8
        label = (float(x), float(y))
    tip = (end - two) / np.linalg.norm(end - two)
    side = np.array([-tip[1], tip[0]])
    base = end - 9 * tip
    points = [start, one, two, base]
    picture.add(
        "path",
        cls="edge",
        d="M{} {}C{} {} {} {} {} {}".format(*(number(v) for p in points for v in p)),
    )
    head = [end, base + 4.5 * side, base - 4.5 * side]
    picture.add(
        "path", cls="mark", d="M{} {}L{} {} {} {}z".format(*(number(v) for p in head for v in p))
    )
    return label


def _made(hin: HIN, edge: EdgeType) -> int:
    return len(hin.column(edge, "origin").drop_null())


def _counts(hin: HIN, type: str | EdgeType) -> str:
    made = hin.n(type) - hin.n_observed(type) if isinstance(type, str) else _made(hin, type)
    return f"{hin.n(type) - made:,} observed" + (f", {made:,} generated" if made else "")
