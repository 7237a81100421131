"""A graph as blocks: its types, degrees and popularity, confidence, a map of users, examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator

from hinaug.features.svd import leading
from hinaug.graph import HIN, EdgeType
from hinaug.predictors.base import LinkPredictor
from hinaug.report.blocks import Block, Dots, Histogram, Lines, Table, Text, Types
from hinaug.serving import recommend
from hinaug.split import Split

POINTS = 80  # most points of a curve
BINS = 20
DOTS = 1500  # most users of one kind on the map

Curve = tuple[np.ndarray, np.ndarray]


def graph_blocks(hin: HIN, relation: EdgeType, where: str) -> list[Block]:
    """Real beside generated: types, degrees, popularity, confidence, and a map."""
    source, _, target = relation
    out: list[Block] = [types(hin, f"{where}: the graph")]
    if _is_generated(hin, relation):
        real, made = (curve(at_least(d)) for d in degrees(hin, relation))
        title, y = f"{where}: links per {source}", "share with so many or more"
        series = {"real": real, "generated": made}
        out.append(Lines(title, f"links of a {source}", y, series, "xy", ["generated"]))
        real, made = (curve(by_rank(c)) for c in popularity(hin, relation))
        title, series = f"{where}: popularity", {"real": real, "generated": made}
        x, y = f"rank of the {target}", "share of all links"
        out.append(Lines(title, x, y, series, "xy", ["generated"]))
        out += [_sure(f"{where}: {name}", values) for name, values in confidences(hin).items()]
    found = plane(hin, relation)
    if found is not None and len(found[1]):
        out.append(_map(*found, f"{where}: map of {source}s"))
    return out


def _is_generated(hin: HIN, relation: EdgeType) -> bool:
    return bool(len(hin.column(relation, "origin").drop_null()))


def types(hin: HIN, title: str) -> Types:
    """Node and edge types with the count of observed rows and of generated ones."""
    nodes = {t: [hin.n_observed(t), hin.n(t) - hin.n_observed(t)] for t in hin.nodes}
    edges: list[list[Any]] = []
    for edge in hin.edges:
        made = len(hin.column(edge, "origin").drop_null())
        edges.append([*edge, hin.n(edge) - made, made])
    return Types(title, nodes, edges)


def curve(points: Curve) -> list[list[float]]:
    """As many points as the eye needs, evenly spread over a log axis; first and last among them."""
    x, y = points
    if len(x) > POINTS:
        keep = np.unique(np.round(np.geomspace(1, len(x), POINTS)).astype(int)) - 1
        x, y = x[keep], y[keep]
    return [np.round(x, 6).tolist(), np.round(y, 8).tolist()]


def degrees(hin: HIN, relation: EdgeType) -> tuple[np.ndarray, np.ndarray]:
    """Links of every observed user (observed links alone) and of every generated one.

    Without generated users: of the observed ones, observed links, and all links.
    """
    n = hin.n_observed(relation[0])
    real, every = (
        np.diff(g.adjacency(relation).indptr).astype(np.int64) for g in (hin.observed(), hin)
    )
    return real, every[n:] if len(every) > n else every


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


def confidences(hin: HIN) -> dict[str, np.ndarray]:
    """{origin: confidence of each of its rows}, over all deltas and parts."""
    found: dict[str, list[np.ndarray]] = {}
    for _, _, table in (row for delta in hin.deltas for row in delta.tables()):
        origin = np.asarray(table["origin"].to_pylist(), object)
        confidence = table["confidence"].to_numpy()
        for name in dict.fromkeys(origin.tolist()):
            found.setdefault(name, []).append(confidence[origin == name])
    return {name: np.concatenate(found[name]) for name in sorted(found)}


def _sure(title: str, values: np.ndarray) -> Block:
    """Rows by confidence, over the range that they take; one value is said in words."""
    values = values[np.isfinite(values)]
    if not len(values) or values.min() == values.max():
        same = f"{values[0]:.3f}" if len(values) else "none"
        return Text(f"{title}: {len(values):,} rows, all with confidence {same}.")
    counts, edges = np.histogram(values, BINS)
    return Histogram(f"{title}, confidence", "confidence", counts.tolist(), edges.tolist())


# ---- map -----------------------------------------------------------------------------------------


def plane(hin: HIN, relation: EdgeType) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Real and generated users in one plane, and the share of spread that the plane holds.

    It is the plane of widest spread among the real ones. Rows of the user-item matrix are scaled to
    length 1. PCA of the observed rows by truncated SVD, started from a fixed vector; generated rows
    are put into the same plane. None where there are too few users or items for a plane.
    """
    n, items = hin.n_observed(relation[0]), hin.n_observed(relation[2])
    real = _unit(hin.observed().adjacency(relation))
    made = _unit(hin.adjacency(relation)[n:, :items])
    if min(real.shape) < 4 or real.nnz == 0:
        return None
    mean = np.asarray(real.mean(axis=0)).ravel()
    centred = LinearOperator(
        real.shape,
        matvec=lambda x: real @ x.ravel() - mean @ x.ravel(),
        rmatvec=lambda y: real.T @ y.ravel() - mean * y.sum(),
        dtype=np.float64,
    )
    spread = real.multiply(real).sum() - real.shape[0] * (mean @ mean)
    if spread <= 1e-9:
        return None
    start = np.cos(np.arange(min(real.shape)))  # any fixed vector that no axis is orthogonal to
    size, axes = leading(centred, 2, start)
    axes = axes[np.argsort(-size)]
    largest = axes[np.arange(2), np.abs(axes).argmax(axis=1)]
    axes *= np.sign(largest)[:, None]  # an SVD leaves the signs open
    places = [rows @ axes.T - mean @ axes.T for rows in (real, made)]
    return places[0], places[1], float((size**2).sum() / spread)


def _unit(matrix: sp.csr_array) -> sp.csr_array:
    """Rows that have any link, each scaled to length 1."""
    matrix = matrix[np.flatnonzero(np.diff(matrix.indptr))].astype(np.float64)
    length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return (sp.diags_array(1 / length) @ matrix).tocsr() if len(length) else matrix


def _map(real: np.ndarray, made: np.ndarray, share: float, title: str) -> Dots:
    shown = [np.round(_sampled(rows), 3).tolist() for rows in (real, made)]
    return Dots(f"{title} (two axes hold {100 * share:.0f} % of the spread)", *shown)


def _sampled(rows: np.ndarray) -> np.ndarray:
    if len(rows) <= DOTS:
        return rows
    return rows[np.sort(np.random.default_rng(0).choice(len(rows), DOTS, replace=False))]


# ---- lists ---------------------------------------------------------------------------------------


def lists(
    plain: tuple[LinkPredictor, HIN],
    augmented: tuple[LinkPredictor, HIN],
    split: Split,
    title: Callable[[Any], str],
    k: int = 10,
) -> list[Block]:
    """The plain list beside the augmented one, for two users; what moved, and why.

    plain, augmented: a fitted model and the graph to rank on.
    """
    hin = split.train_valid
    matrix = hin.observed().adjacency(split.target)
    out: list[Block] = []
    for position in _two_users(matrix):
        user = hin.ids(split.target[0], [position])[0].as_py()
        known = [title(i) for i in hin.ids(split.target[2], matrix[[position]].indices).to_pylist()]
        rows = _beside(plain, augmented, user, split.target, title, k)
        caption = f"{split.target[0]} {user}, known for {'; '.join(known[:4])}"
        caption += f" and {len(known) - 4:,} more" if len(known) > 4 else ""
        marked = [i for i, row in enumerate(rows) if row[-1]]
        columns = ["", "plain", "augmented", "was", "generated edge"]
        if not marked:  # no item of this list rests on an edge of its own
            columns, rows = columns[:-1], [row[:-1] for row in rows]
        out.append(Table(caption, columns, rows, marked))
    return out


def _beside(
    plain: tuple[LinkPredictor, HIN],
    augmented: tuple[LinkPredictor, HIN],
    user: Any,
    relation: EdgeType,
    title: Callable[[Any], str],
    k: int,
) -> list[list[Any]]:
    one, two = (
        recommend(model, graph, [user], k=k)["item"].to_pylist()
        for model, graph in (plain, augmented)
    )
    sure = _guesses(augmented[1], relation, user)
    rank = {item: n for n, item in enumerate(one, 1)}
    rows: list[list[Any]] = []
    for n, item in enumerate(two, 1):
        was = f"{rank[item]}" if item in rank else "–"
        left = title(one[n - 1]) if n <= len(one) else ""
        by = f"confidence {sure[str(item)]:.2f}" if str(item) in sure else ""
        rows.append([n, left, title(item), was, by])
    return rows


def _two_users(matrix: Any) -> Sequence[int]:
    """The users with a quarter, and with half, of all others above them in links."""
    by_degree = np.argsort(-np.diff(matrix.indptr), kind="stable")
    return [int(by_degree[len(by_degree) // 4]), int(by_degree[len(by_degree) // 2])]


def _guesses(hin: HIN, relation: EdgeType, user: Any) -> dict[str, float]:
    """{item: confidence} of the generated edges of a user."""
    src, dst = hin.links(relation)
    origin = hin.column(relation, "origin").is_valid().to_numpy(zero_copy_only=False)
    mine = np.flatnonzero(origin & (src == hin.positions(relation[0], [user])[0]))
    confidence = hin.column(relation, "confidence").to_numpy(zero_copy_only=False)[mine]
    ids = hin.ids(relation[2], dst[mine]).to_pylist()
    return dict(zip(map(str, ids), confidence.tolist(), strict=True))
