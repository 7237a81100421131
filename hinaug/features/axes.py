"""Side information by its principal axes, and who is near whom by it: what `LightGCN` and `MultVAE`
read of nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from hinaug.features.columns import Features
from hinaug.features.similarity import nearest_rows
from hinaug.graph.hin import HIN

DIM = 64  # principal axes kept of one source
Source = str | tuple[str] | tuple[str, str]


def principal_axes(hin: HIN, node: str, sources: Sequence[Source], dim: int = DIM) -> np.ndarray:
    """Features [n, sum of widths] float32 of the nodes of a type; 0 where a node has none.

    sources: "age" is a column of `node`; ("review", "x") the mean of column x over the neighbours
        of that type (see `Features`); ("genre",) the neighbours themselves, counted by inverse
        frequency, rows scaled to length 1.
    Each source is reduced to its `dim` first principal axes, which keep their singular values as
    scale, and divided by its mean row length, so that the sources weigh alike. Computed from the
    graph at hand: inside `fit`, from what `fit` is given.
    """
    if isinstance(sources, str):
        sources = (sources,)
    parts = []
    for source in sources:
        if isinstance(source, tuple) and len(source) == 1:
            parts.append(_reduced(_frequencies(hin.metapath(node, source[0])), dim))
        else:
            parts.append(
                _reduced(Features(node, source).fit(hin).encode(hin)[0].astype(np.float64), dim)
            )
    return np.concatenate(parts, axis=1) if parts else np.zeros((hin.n(node), 0), np.float32)


def nearest_graph(features: np.ndarray, k: int = 10) -> sp.csr_array:
    """Each node's k nearest others by the cosine of their features, where it is above 0, as rows
    that sum to 1. CSR [n, n].
    """
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    near = nearest_rows(unit, k)
    total = np.asarray(near.sum(axis=1)).ravel()
    return sp.csr_array(sp.diags_array((1 / np.maximum(total, 1e-12)).astype(np.float32)) @ near)


def _frequencies(links: sp.csr_array) -> sp.csr_array:
    """tf-idf: each column times log((1 + rows) / (1 + its count)), rows of length 1."""
    links = sp.csr_array(links, dtype=np.float64)
    count = np.bincount(links.indices, minlength=links.shape[1])
    links = sp.csr_array(links @ sp.diags_array(np.log((1 + links.shape[0]) / (1 + count))))
    length = np.sqrt(np.asarray(links.multiply(links).sum(axis=1)).ravel())
    return sp.csr_array(sp.diags_array(1 / np.maximum(length, 1e-12)) @ links)


def _reduced(x: Any, dim: int) -> np.ndarray:
    """U S of the first `dim` singular vectors, with a fixed sign, over the mean row length."""
    dim = min(dim, *x.shape)
    if x.shape[1] > 2048:
        from sklearn.utils.extmath import randomized_svd

        u, s, _ = randomized_svd(x, dim, random_state=0)
        y = u * s
    else:
        gram = x.T @ x
        axes = np.linalg.eigh(gram.toarray() if sp.issparse(gram) else gram)[1][:, ::-1][:, :dim]
        axes = axes * np.where(
            axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0, -1, 1
        )
        y = x @ axes
    length = np.linalg.norm(y, axis=1)
    mean = length[length > 1e-9].mean() if (length > 1e-9).any() else 1.0
    return (y / mean).astype(np.float32)
