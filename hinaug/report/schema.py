"""The node and edge types of a graph as circles and arrows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hinaug.graph import HIN, EdgeType
from hinaug.report.svg import Svg, cut, number

Place = tuple[float, float]


def draw(hin: HIN, name: str) -> str:
    """Node types as circles on a ring, edge types as arrows between them.

    Each with the count of observed rows and, after a +, of generated ones.
    """
    ring = _Ring(list(hin.nodes), crowded=_is_crowded(hin))
    counts = [f"{t}: {_counts(hin, t)}" for t in hin.nodes]
    counts += [f"{' '.join(edge)}: {_counts(hin, edge)}" for edge in hin.edges]
    title = "Node and edge types of the augmented graph"
    picture = Svg(name, ring.width, ring.height, title, "; ".join(counts))
    labels = _draw_arrows(picture, hin, ring)
    for type, middle in ring.places.items():
        _draw_node(picture, hin, type, middle, ring.radius)
    for edge, place in labels.items():
        _draw_label(picture, hin, edge, place)
    return str(picture)


class _Ring:
    """The sizes of the picture, and the middle of each circle in it.

    crowded: arrows bend outward, so there is more room around.
    """

    def __init__(self, types: Sequence[str], crowded: bool) -> None:
        n = len(types)
        self.radius = 40 if n < 6 else 30
        ring = 0.0 if n == 1 else max(132.0, self.radius * n * 0.62)
        above, below, turn = _extent(n, ring)
        margin = 90 if crowded or n <= 2 else 57
        self.width = 2 * (ring + self.radius) + 96
        self.height = above + below + 2 * self.radius + margin
        middle = self.height / 2 if n <= 2 else 45 + self.radius + above
        angle = turn + 2 * np.pi * np.arange(n) / n
        x, y = self.width / 2 + ring * np.cos(angle), middle + ring * np.sin(angle)
        self.places = {type: np.array([x[i], y[i]]) for i, type in enumerate(types)}


def _extent(n: int, ring: float) -> tuple[float, float, float]:
    """How far n circles reach above and below the centre of the ring, and the first one's angle."""
    if n <= 2:  # one circle, or two side by side
        return 0.0, 0.0, np.pi
    side = ring * np.cos(np.pi / n)  # from the centre to the middle of a side
    if n % 2:  # a circle at the very top, a side at the foot
        return ring, side, -np.pi / 2
    return side, side, -np.pi / 2 - np.pi / n


def _is_crowded(hin: HIN) -> bool:
    """Whether some pair of node types has more than one type of edge."""
    return len({frozenset((a, b)) for a, _, b in hin.edges}) < len(hin.edges)


def _draw_arrows(picture: Svg, hin: HIN, ring: _Ring) -> dict[EdgeType, Place]:
    """Draws all edge types, and says where their labels go; those of one pair bend apart."""
    pairs: dict[tuple[str, ...], list[EdgeType]] = {}
    for edge in hin.edges:
        pairs.setdefault(tuple(sorted((edge[0], edge[2]))), []).append(edge)
    labels = {}
    for (first, _), edges in pairs.items():
        for i, edge in enumerate(edges):
            bend = 62 * (i - (len(edges) - 1) / 2)
            bend = bend if edge[0] == first else -bend
            labels[edge] = _arrow(picture, ring.places, edge, bend, ring.radius, i)
    return labels


def _draw_node(picture: Svg, hin: HIN, type: str, middle: np.ndarray, radius: int) -> None:
    x, y = middle
    made = hin.n(type) - hin.n_observed(type)
    picture.add("circle", cls="node", cx=x, cy=y, r=radius)
    picture.text(x, y - (8 if made else 2), cut(type, radius // 4), "strong", "middle")
    picture.text(x, y + (8 if made else 14), f"{hin.n_observed(type):,}", "figure", "middle")
    if made:
        picture.text(x, y + 24, f"+ {made:,}", "figure accent", "middle")


def _draw_label(picture: Svg, hin: HIN, edge: EdgeType, place: Place) -> None:
    x, y = place
    made = _made(hin, edge)
    picture.text(x, y - 3, cut(edge[1], 18), "strong halo", "middle")
    picture.text(x, y + 11, f"{hin.n(edge) - made:,}", "figure halo", "middle")
    if made:
        picture.text(x, y + 25, f"+ {made:,}", "figure accent halo", "middle")


def _arrow(
    picture: Svg,
    places: dict[str, np.ndarray],
    edge: EdgeType,
    bend: float,
    radius: float,
    nth: int,
) -> Place:
    """Draws one edge type and says where its label goes."""
    a, b = places[edge[0]], places[edge[2]]
    if edge[0] == edge[2]:  # a loop above its circle
        x, y, wide = *a, radius * (0.5 + 0.3 * nth)
        start, end = (np.array([x + half, y - radius]) for half in (-wide / 2, wide / 2))
        lift = 60 + 30 * nth
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
    line = "M{} {}C{} {} {} {} {} {}".format(*(number(v) for p in points for v in p))
    picture.add("path", cls="edge", d=line)
    corners = [end, base + 4.5 * side, base - 4.5 * side]
    head = "M{} {}L{} {} {} {}z".format(*(number(v) for p in corners for v in p))
    picture.add("path", cls="mark", d=head)
    return label


def _made(hin: HIN, edge: EdgeType) -> int:
    return len(hin.column(edge, "origin").drop_null())


def _counts(hin: HIN, type: str | EdgeType) -> str:
    made = hin.n(type) - hin.n_observed(type) if isinstance(type, str) else _made(hin, type)
    return f"{hin.n(type) - made:,} observed" + (f", {made:,} generated" if made else "")
