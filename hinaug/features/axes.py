"""Side information by its principal axes, and who is near whom by it: what `FeatureProjection`,
`LightGCN` and `MultVAE` read of nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hinaug.errors import FoldInError, ParameterError
from hinaug.features.columns import Column, Features
from hinaug.features.similarity import nearest_rows
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.matrices import path_steps

DIM = 64  # principal axes kept of one source
WIDE = 2048  # columns from which the axes are found by a randomised SVD
Source = str | tuple[str] | tuple[str, str] | tuple[tuple[Any, ...]]


@dataclass(eq=False)
class PrincipalAxes:
    """A projection of side information, learned from one graph and usable on any other.

    For each source with rows X [n, width] and V its first `dim` right singular vectors, a node
    gets X V / (mean length of the rows of X V), so that the sources weigh alike. The sources stand
    side by side.

    Parameters
    ----------
    node
        The node type that is described.
    sources
        "age" is a column of `node`; ("review", "x") the mean of column x over the neighbours of
        that type (see `Features`); ("genre",) the neighbours themselves, as tf-idf: each counted
        by log((1 + nodes) / (1 + its count)), rows scaled to length 1. (("tagging", "tag"),) are
        those at the end of a metapath, node types or edge types as `HIN.metapath` takes them;
        one that is reached n times counts log2(1 + n) fold. A column of lists, such as the genres
        of a movie, is read like neighbours: each value is one.
    dim
        Principal axes kept of one source, at most its width.

    Learned by `fit`, for each source in order: `encoders_` (a fitted `Features`, or None for
    neighbours and lists), `neighbours_` (the ids of the neighbours or the values of the lists, or
    None), `idf_` (their weights, or None), `axes_` (V, float64 [width, d]) and `lengths_` (the mean
    length). All are plain arrays
    without a row of a node, so a model can keep this object as a learned attribute and save it.
    Raises SchemaError for an unknown column or type.

    Example
    -------
    >>> from hinaug.graph.hin import HIN
    >>> hin = HIN.from_tables({"user": {"id": ["a", "b"], "age": [20, 40]}}, {})
    >>> axes = PrincipalAxes("user", "age").fit(hin)
    >>> axes.transform(hin).tolist()
    [[-1.0], [1.0]]
    >>> axes.transform_table({"age": [30]}).tolist()
    [[0.0]]
    """

    node: str
    sources: Source | Sequence[Source]
    dim: int = DIM

    def fit(self, hin: HIN) -> Self:
        """Learn the axes from the nodes of `hin`; gives the object itself."""
        self.fit_transform(hin)
        return self

    def fit_transform(self, hin: HIN) -> np.ndarray:
        """`fit`, then the features of the fitted nodes, float32 [n, sum of widths].

        Equal to `transform(hin)`, except for a source of more than 2,048 columns: its axes come
        from a randomised SVD, whose own projection is given here.
        """
        self.encoders_: list[Features | None] = []
        self.neighbours_: list[Any] = []
        self.idf_: list[Any] = []
        self.axes_: list[np.ndarray] = []
        lengths, parts = [], []
        for source in self._sources():
            self._learn_rows(hin, source)
            axes, projected = _principal(self._rows(hin, len(self.axes_)), self.dim)
            self.axes_.append(axes)
            lengths.append(_mean_length(projected))
            parts.append((projected / lengths[-1]).astype(np.float32))
        self.lengths_ = np.array(lengths)
        return (
            np.concatenate(parts, axis=1) if parts else np.zeros((hin.n(self.node), 0), np.float32)
        )

    def transform(self, hin: HIN) -> np.ndarray:
        """Features of the nodes of a graph by the fitted axes, float32 [n, sum of widths]; 0 where
        a node has none. Neighbours that were not there at fit time do not count.
        """
        rows = [self._rows(hin, i) for i in range(len(self.axes_))]
        return self._projected(rows, hin.n(self.node))

    def encode(self, hin: HIN) -> tuple[np.ndarray, np.ndarray]:
        """`transform`, and whether a node has any of the sources, bool [n]."""
        rows = [self._rows(hin, i) for i in range(len(self.axes_))]
        has_any = np.zeros(hin.n(self.node), bool)
        for encoder, links in zip(self.encoders_, rows, strict=True):
            has_any |= np.diff(links.indptr) > 0 if encoder is None else encoder.encode(hin)[1]
        return self._projected(rows, len(has_any)), has_any

    def transform_table(self, table: Any) -> np.ndarray:
        """As `transform`, for nodes that are in no graph yet: a table with their own columns.

        Raises FoldInError for sources of neighbours, as a table has none.
        """
        table = tb.as_table(table, "attributes")
        rows: list[Any] = []
        for i, (source, encoder) in enumerate(zip(self._sources(), self.encoders_, strict=True)):
            if encoder is not None:
                rows.append(encoder.encode_table(table)[0].astype(np.float64))
            elif isinstance(source, str):
                rows.append(self._tf_idf(*_of_lists(tb.one_chunk(table[source])), i))
            else:
                raise FoldInError(
                    f"source {source!r} reads the neighbours of a node, and a table of attributes "
                    "has none; use a graph that has the new nodes and their neighbours",
                    asked=source,
                )
        return self._projected(rows, table.num_rows)

    def _sources(self) -> list[Source]:
        return [self.sources] if isinstance(self.sources, str) else list(self.sources)

    def _learn_rows(self, hin: HIN, source: Source) -> None:
        """What the rows of a source are made with: an encoder, or neighbours and their weights."""
        links, ids = self._links(hin, source)
        if links is None:
            self.encoders_.append(Features(self.node, cast(Column, source)).fit(hin))
            self.neighbours_.append(None)
            self.idf_.append(None)
            return
        count = np.bincount(links.indices, minlength=links.shape[1])
        self.encoders_.append(None)
        self.neighbours_.append(ids)
        self.idf_.append(np.log((1 + links.shape[0]) / (1 + count)))

    def _links(self, hin: HIN, source: Source) -> tuple[sp.csr_array | None, Any]:
        """What the nodes are linked with by a source, CSR [n, width], and its ids; None for columns
        that `Features` reads.
        """
        if isinstance(source, str):
            column = hin.column(self.node, source)
            return _of_lists(column) if _is_list(column.type) else (None, None)
        if len(source) != 1:
            return None, None
        path = (source[0],) if isinstance(source[0], str) else tuple(source[0])
        types = path if isinstance(path[0], tuple) else (self.node, *path)
        edge, forward = path_steps(types, hin.nodes, hin.edges)[-1]
        links = sp.csr_array(hin.metapath(*types), dtype=np.float64)
        links.data = np.log2(1 + links.data)
        return links, hin.nodes[edge[2] if forward else edge[0]]["id"].chunk(0)

    def _rows(self, hin: HIN, i: int) -> Any:
        """Rows of source i before the projection, float64 [n, width], dense or CSR."""
        encoder: Features | None = self.encoders_[i]
        if encoder is not None:
            return encoder.encode(hin)[0].astype(np.float64)
        links, ids = self._links(hin, self._sources()[i])
        if links is None:
            raise ParameterError(
                f"source {self._sources()[i]!r} of {self.node!r} held lists in the graph that was "
                "fitted on and holds none here",
                asked=self._sources()[i],
            )
        return self._tf_idf(links, ids, i)

    def _tf_idf(self, links: sp.csr_array, ids: pa.Array, i: int) -> sp.csr_array:
        """Links with the fitted neighbours of source i, weighed, rows of length 1."""
        return _unit_length(_aligned(links, ids, self.neighbours_[i]), self.idf_[i])

    def _projected(self, rows: list[Any], n: int) -> np.ndarray:
        parts = [
            (x @ axes / length).astype(np.float32)
            for x, axes, length in zip(rows, self.axes_, self.lengths_, strict=True)
        ]
        return np.concatenate(parts, axis=1) if parts else np.zeros((n, 0), np.float32)


def principal_axes(hin: HIN, node: str, sources: Sequence[Source], dim: int = DIM) -> np.ndarray:
    """`PrincipalAxes` in one call: features of the nodes of a type, float32 [n, sum of widths]; 0
    where a node has none. Computed from the graph at hand: inside `fit`, from what `fit` is given.
    """
    return PrincipalAxes(node, sources, dim).fit_transform(hin)


def nearest_graph(features: np.ndarray, k: int = 10) -> sp.csr_array:
    """Each node's k nearest others by the cosine of their features, where it is above 0, as rows
    that sum to 1. CSR [n, n].
    """
    near = nearest_rows(features, k)
    total = np.asarray(near.sum(axis=1)).ravel()
    return sp.csr_array(sp.diags_array((1 / np.maximum(total, 1e-12)).astype(np.float32)) @ near)


def _is_list(kind: pa.DataType) -> bool:
    """Whether a column holds lists of values that are compared; vectors are none."""
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return False
    value = kind.value_type
    return bool(tb.is_text(value) or pa.types.is_integer(value) or pa.types.is_dictionary(value))


def _of_lists(column: pa.Array) -> tuple[sp.csr_array, pa.Array]:
    """Which row holds which value how often, CSR [rows, values], and the values as sorted text."""
    value = pc.list_flatten(column)
    value = value.dictionary_decode() if pa.types.is_dictionary(value.type) else value
    value = value.cast(pa.string())
    row = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
    values = value.drop_null().unique().sort()
    code = tb.lookup(values, value)
    kept = code >= 0
    where = (row[kept], code[kept].astype(np.int64))
    shape = (len(column), len(values))
    links = sp.csr_array((np.ones(int(kept.sum())), where), shape=shape)
    links.data = np.log2(1 + links.data)
    return links, values


def _aligned(links: sp.csr_array, ids: pa.Array, fitted: pa.Array) -> sp.csr_array:
    """Columns of `links` in the order of the fitted ids; those of other ids are left out."""
    if ids.equals(fitted):
        return links
    column = tb.lookup(fitted, ids).astype(np.int64)
    entries = links.tocoo()
    row, at = entries.coords
    keep = column[at] >= 0
    where = (row[keep], column[at[keep]])
    return sp.csr_array((entries.data[keep], where), shape=(links.shape[0], len(fitted)))


def _unit_length(links: sp.csr_array, weights: np.ndarray) -> sp.csr_array:
    """Each column times its weight, then rows of length 1."""
    links = sp.csr_array(links @ sp.diags_array(weights))
    length = np.sqrt(np.asarray(links.multiply(links).sum(axis=1)).ravel())
    return sp.csr_array(sp.diags_array(1 / np.maximum(length, 1e-12)) @ links)


def _principal(x: Any, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `dim` right singular vectors V [width, d], with a fixed sign, and x V [n, d]."""
    dim = min(dim, *x.shape)
    if x.shape[1] > WIDE:
        from sklearn.utils.extmath import randomized_svd

        u, s, vt = randomized_svd(x, dim, random_state=0)
        return np.ascontiguousarray(vt.T), u * s
    gram = x.T @ x
    axes = np.linalg.eigh(gram.toarray() if sp.issparse(gram) else gram)[1][:, ::-1][:, :dim]
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0, -1, 1)
    return axes, x @ axes


def _mean_length(rows: np.ndarray) -> float:
    """The mean length of the rows that are not 0; 1 where all are."""
    length = np.linalg.norm(rows, axis=1)
    return float(length[length > 1e-9].mean()) if (length > 1e-9).any() else 1.0
