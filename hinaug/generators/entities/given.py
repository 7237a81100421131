"""What a condition gives: attributes, the real nodes most like these, and links."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hinaug.errors import ParameterError, SchemaError, some
from hinaug.features.kinds import decoded, present, vectors
from hinaug.generators.entities.attributes import MOST_ROWS, attribute_kinds, ranks_of
from hinaug.generators.entities.real import Real
from hinaug.generators.entities.views import View
from hinaug.graph import arrow as tb
from hinaug.graph.schema import EdgeType

ALIKE = 20  # real nodes nearest to given attributes, of which one is the source
BLOCK = 512  # rows that are compared with all real ones at once
FAR = 1e6  # distance of another word, more than any of numbers


def in_types_of(given: pa.Table, schema: pa.Schema, who: str) -> dict[str, pa.Array]:
    """The attributes of a condition in the types of the graph; SchemaError for what has none."""
    out: dict[str, pa.Array] = {}
    for name in given.column_names:
        values, wanted = tb.one_chunk(given[name]), schema.field(name).type
        try:
            out[name] = values if values.type == wanted else values.cast(wanted)
        except pa.ArrowException as error:
            raise SchemaError(
                f"{who}: column {name!r} of the condition is {values.type}; the graph has "
                f"{wanted}: {error}",
                asked=values.type,
                there=wanted,
            ) from error
    return out


# ---- real nodes like given attributes ------------------------------------------------------------


def alike(
    table: pa.Table, given: Mapping[str, pa.Array], rng: np.random.Generator, who: str
) -> np.ndarray | None:
    """For each row of given attributes a random one [k] of the twenty real nodes most like it:
    first those that have its words and lack what it lacks, then those nearest in numbers, times,
    vectors and the words of texts and lists. None where no attribute says what a node is like.

    table: attributes of the n real nodes, of which at most 20,000 are looked at, and those that
    hold the given words. Raises ParameterError for a word that none of them has.
    """
    kinds, _ = attribute_kinds(table.select(list(given)))
    if not kinds:
        return None
    exact, near = [], []
    for name, kind in kinds.items():
        real, asked = decoded(tb.one_chunk(table[name])), decoded(given[name])
        is_words = kind == "words" or (kind == "other" and not pa.types.is_nested(real.type))
        exact.append(_codes(real, asked, is_words, name, who))
        if not is_words:
            near.append(_places(real, asked, kind))
    rows = _looked_at(exact, table.num_rows, rng)
    return rows[_nearest([(x[rows], y) for x, y in exact], [(x[rows], y) for x, y in near], rng)]


Pair = tuple[Any, Any]  # of real rows and of those asked for


def _codes(
    real: pa.Array, asked: pa.Array, is_words: bool, name: str, who: str
) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers [n], [k] that are equal where two rows have the same word, or both have none.
    Of other columns than words, only whether they have a value.
    """
    values = asked.drop_null().unique() if is_words else asked.slice(0, 0)
    x, y = (
        np.where(present(column), tb.lookup(values, column) if is_words else 0, -2)
        for column in (real, asked)
    )
    lacking = ~np.isin(y, x)
    if lacking.any():
        unknown, there = _distinct(asked.filter(pa.array(lacking))), _distinct(real)
        raise ParameterError(
            f"{who}: condition: no node has {name!r} {some(unknown)}, so nothing says what such "
            f"nodes are like; name a value that is there, such as {some(there)}",
            asked=unknown,
            there=there,
        )
    return x, y


def _distinct(column: pa.Array) -> list[Any]:
    """The values, the commonest first; of lists, structures and vectors the first few."""
    if pa.types.is_nested(column.type):
        return column.slice(0, 5).to_pylist()
    counts = pc.value_counts(column).sort(order="descending", by="counts")
    return counts.field("values").to_pylist()


def _places(real: pa.Array, asked: pa.Array, kind: str) -> Pair:
    """Rows of numbers [n, w] and [k, w]; the farther apart, the less alike. 0 for null, and for
    vectors with infinite numbers.
    """
    n = len(real)
    if kind == "vector":
        x = np.vstack([vectors(real), vectors(asked)])
        known = np.append(present(real), present(asked)) & np.isfinite(x).all(axis=1)
        x[~known] = 0
        of = x[:n][known[:n]]
        mean, spread = (of.mean(axis=0), of.std(axis=0)) if len(of) else (0, 1)
        x = (x - mean) / np.maximum(spread, 1e-6) / np.sqrt(x.shape[1])
        x[~known] = 0
    elif kind in ("text", "other"):
        x = _bags(pa.chunked_array([real, asked]))
    else:
        x = np.nan_to_num(ranks_of(pa.concat_arrays([real, asked])))[:, None]
    return x[:n].astype(np.float32), x[n:].astype(np.float32)


def _bags(column: pa.ChunkedArray) -> sp.csr_array:
    """Texts, lists or structures as rows of unit length: a number for each word, larger for rarer
    ones.
    """
    words = tb.one_chunk(column)
    if tb.is_text(words.type):
        words = pc.split_pattern_regex(pc.utf8_lower(words), r"\s+")
    rows, columns, width = [], [], 0
    for row, leaf in _leaves(words, np.arange(len(words))):
        word = leaf.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)
        rows.append(row[word >= 0])
        columns.append(word[word >= 0] + np.int64(width))
        width += int(word.max(initial=-1)) + 1
    row, word, shape = np.concatenate(rows), np.concatenate(columns), (len(column), max(width, 1))
    bags = sp.csr_array((np.ones(len(row)), (row, word)), shape)
    held_by = np.bincount(bags.indices, minlength=shape[1])
    bags.data = np.log(1 + shape[0] / held_by[bags.indices])
    length = np.sqrt(np.asarray(bags.power(2).sum(axis=1)).ravel())
    bags.data /= np.repeat(np.maximum(length, 1e-12), np.diff(bags.indptr))
    return bags


def _leaves(column: pa.Array, row: np.ndarray) -> Iterator[tuple[np.ndarray, pa.Array]]:
    """(row, plain values) of the lists and of each field of the structures of a column."""
    if pa.types.is_struct(column.type):
        for at in range(column.type.num_fields):
            yield from _leaves(pc.struct_field(column, at), row)
    elif pa.types.is_nested(column.type):
        lengths = pc.list_value_length(column).fill_null(0).to_numpy()
        yield from _leaves(pc.list_flatten(column), np.repeat(row, lengths))
    else:
        yield row, column


def _looked_at(exact: list[Pair], n: int, rng: np.random.Generator) -> np.ndarray:
    """At most 20,000 real rows, and some that hold each given word, ascending."""
    order = rng.permutation(n)
    parts = [order[:MOST_ROWS]]
    for real, asked in exact if n > MOST_ROWS else ():
        by_code = order[np.argsort(real[order], kind="stable")]
        first = np.searchsorted(real[by_code], np.unique(asked))
        some_of_each = by_code[np.minimum(first[:, None] + np.arange(ALIKE), n - 1)]
        parts.append(some_of_each.ravel())
    return np.unique(np.concatenate(parts))


def _nearest(exact: list[Pair], near: list[Pair], rng: np.random.Generator) -> np.ndarray:
    """For each row asked for a random one of the twenty nearest, none with more other words."""
    n, k = len(exact[0][0]), len(exact[0][1])
    lengths = [_squares(real) for real, _ in near]
    out = np.empty(k, np.int64)
    for at in range(0, k, BLOCK):
        rows = slice(at, min(at + BLOCK, k))
        far = np.zeros((rows.stop - at, n))
        for real, asked in exact:
            far += FAR * (asked[rows, None] != real)
        for (real, asked), length in zip(near, lengths, strict=True):
            dot = asked[rows] @ real.T
            far += length - 2 * (dot.toarray() if sp.issparse(dot) else dot)
        best = np.argpartition(far, min(ALIKE, n) - 1, axis=1)[:, :ALIKE]
        found = np.take_along_axis(far, best, axis=1)
        as_many_words = found < found.min(axis=1, keepdims=True) + FAR / 2
        pick = np.where(as_many_words, rng.random(found.shape), -1).argmax(axis=1)
        out[rows] = best[np.arange(len(best)), pick]
    return out


def _squares(rows: Any) -> np.ndarray:
    return np.asarray((rows * rows).sum(axis=1), np.float64).ravel()


# ---- given links ---------------------------------------------------------------------------------


def given_links(view: View, positions: np.ndarray, who: str) -> sp.csr_array:
    """A link of each new node to the target at a position of the graph, CSR [k, m]."""
    column = np.full(max(int(view.position.max(initial=0)), int(positions.max(initial=0))) + 1, -1)
    column[view.position[view.position >= 0]] = np.flatnonzero(view.position >= 0)
    at = column[positions]
    if (at < 0).any():
        raise ParameterError(
            f"{who}: condition: {(at < 0).sum()} of the {view.other!r} nodes were not there when "
            "the generator was fitted; fit it on this graph",
            asked=positions[at < 0].tolist(),
            there=len(view.targets),
        )
    ones, shape = np.ones(len(at), np.float32), (len(positions), view.links.shape[1])
    return sp.csr_array((ones, (np.arange(len(at)), at)), shape=shape)


def holders(
    real: Real,
    links: Mapping[EdgeType, np.ndarray],
    everyone: np.ndarray,
    rng: np.random.Generator,
    who: str,
) -> np.ndarray:
    """A real node [k] that has most of the given links, where one has any."""
    there = [view.relation for view in real.views]
    for edge in links:
        if edge not in there:
            raise ParameterError(
                f"{who}: condition: {edge} links are not drawn by their ends; name some of {there}",
                asked=edge,
                there=there,
            )
    held = sp.csr_array((len(everyone), len(real.nodes)))
    for view in real.views:
        if view.relation in links:
            wanted = given_links(view, links[view.relation], who)
            held = held + (view.links @ wanted.T.tocsr()).T.tocsr()  # [k, n]
    row = np.repeat(np.arange(len(everyone)), np.diff(held.indptr))
    most = np.zeros(len(everyone))
    np.maximum.at(most, row, held.data)
    has_most = held.data == most[row]
    count = np.bincount(row[has_most], minlength=len(everyone))
    first = np.cumsum(count) - count
    pick = first + (rng.random(len(count)) * count).astype(np.int64)
    source = everyone.copy()
    source[count > 0] = held.indices[has_most][pick[count > 0]]
    return source
