"""A map of users: real ones and generated ones in one plane."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, svds

from hinaug.graph import HIN, EdgeType
from hinaug.report.svg import WIDTH, Svg, diamond, number

DOTS = 1500  # most users of one kind on the map


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
    _, size, axes = svds(centred, k=2, v0=start)
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


def scatter(name: str, title: str, real: np.ndarray, made: np.ndarray) -> str:
    """Grey dots are real, diamonds are generated; one scale for both axes."""
    size, edge = WIDTH, 12
    both = np.concatenate([real, made])
    low, high = both.min(axis=0), both.max(axis=0)
    scale = (size - 2 * edge) / max(float((high - low).max()), 1e-12)
    height = scale * (high - low)[1] + 2 * edge
    told = f"{len(real):,} real and {len(made):,} generated users"
    for who, rows in (("real", real), ("generated", made)):
        if len(rows):
            centre, wide = rows.mean(axis=0), rows.std(axis=0)
            told += f"; {who}: centre {centre[0]:.2f}, {centre[1]:.2f}"
            told += f", spread {wide[0]:.2f}, {wide[1]:.2f}"
    picture = Svg(name, size, height, title, told)
    picture.add("rect", cls="frame", x=0.5, y=0.5, width=size - 1, height=height - 1)
    for rows, kind in ((real, "real"), (made, "made")):
        places = [
            (edge + scale * (x - low[0]), height - edge - scale * (y - low[1]))
            for x, y in _sampled(rows).tolist()
        ]
        if kind == "real":
            d = "".join(f"M{number(x)} {number(y)}h0" for x, y in places)
        else:
            d = "".join(diamond(x, y, 3.6) for x, y in places)
        if d:
            picture.add("path", cls=f"cloud {kind}", d=d)
    return str(picture)


def _sampled(rows: np.ndarray) -> np.ndarray:
    if len(rows) <= DOTS:
        return rows
    return rows[np.sort(np.random.default_rng(0).choice(len(rows), DOTS, replace=False))]
