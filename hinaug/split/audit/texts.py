"""The text of held-out rows inside other columns, found by runs of words, so also cut, joined or
cleaned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.graph import arrow as tb
from hinaug.graph.schema import PROVENANCE, Type
from hinaug.split.audit.view import Finding, View, _member, title
from hinaug.split.audit.ways import ways_of_source

RUN = 5  # words in a run; three runs that stand in one held-out text alone are no accident
MULTIPLIERS = np.random.default_rng(20).integers(1, 2**63, size=RUN, dtype=np.uint64) | np.uint64(1)


@dataclass
class _Texts:
    """Texts of the source that belong to one pair each: of its rows, or of nodes that join it."""

    type: Type
    column: str
    texts: pa.Array
    codes: np.ndarray


def look(view: View) -> Iterator[tuple[bool, Finding]]:
    there = [t for t in _owned(view) if _member(t.codes, view.held).any()]
    targets = list(_candidates(view, there)) if there else []
    if not targets:
        return
    every = pa.concat_arrays([t.texts for t in there])
    codes = np.concatenate([t.codes for t in there])
    words = _Words(pa.concat_arrays([every, *(values for _, _, values, _ in targets)]))
    own = words.part(0, len(every))
    held = _member(codes, view.held)
    start = len(every)
    for type, column, values, new in targets:
        cells = words.part(start, len(values))
        start += len(values)
        rows = _contained(own, cells, codes)
        at, hits = _touching(view, type, codes, rows, new)
        if not len(hits):
            continue
        text, long = hits[:, 0], hits[:, 1] > 0
        found = np.unique(codes[text[held[text]]])
        if not len(found):
            continue
        sure = np.unique(codes[text[held[text] & long]])
        shares = [
            len(np.unique(text[held[text] == h])) / max(int((held == h)[at].sum()), 1)
            for h in (True, False)
        ]
        if not len(sure) and max(shares) < 0.2:
            continue  # a few words that happen to agree
        certain = len(sure) > 0 or shares[1] >= 0.5 or (shares[0] >= 0.5 and len(found) >= 3)
        why = f"it contains the texts of {len(found)} held-out rows"
        yield certain, view.finding("text", f"{title(type)}.{column}", why, found)


def _owned(view: View) -> Iterator[_Texts]:
    source = view.source
    for edge in source.edges:
        if {edge[0], edge[2]} == {view.a, view.b}:
            src, dst = source.links(edge)
            if (edge[0], edge[2]) != (view.a, view.b):
                src, dst = dst, src
            codes = view.pair_codes(src, dst)
            for field in source.edges[edge].schema:
                if tb.is_text(field.type):
                    yield _Texts(
                        edge,
                        field.name,
                        tb.one_chunk(source.edges[edge][field.name]).cast(pa.string()),
                        codes,
                    )
    ways = ways_of_source(view)
    for node in source.nodes:
        if node in (view.a, view.b):
            continue
        fields = [
            f.name for f in source.nodes[node].schema if f.name != "id" and tb.is_text(f.type)
        ]
        codes = np.full(source.n(node), -1, np.int64)
        for one in ways[view.a].get(node, []):
            for two in ways[view.b].get(node, []):
                a, b = one.matrix, two.matrix
                single = np.flatnonzero(
                    (np.diff(a.indptr) == 1) & (np.diff(b.indptr) == 1) & (codes < 0)
                )
                named = view.pair_codes(a.indices[a.indptr[single]], b.indices[b.indptr[single]])
                good = _member(named, view.known) | _member(named, view.held)
                if good.mean() > 0.5 if len(good) else False:
                    codes[single[good]] = named[good]
        rows = np.flatnonzero(codes >= 0)
        for name in fields:
            if len(rows):
                yield _Texts(
                    node,
                    name,
                    tb.one_chunk(source.nodes[node][name]).take(pa.array(rows)).cast(pa.string()),
                    codes[rows],
                )


def _candidates(
    view: View, there: list[_Texts]
) -> Iterator[tuple[Type, str, pa.Array, np.ndarray]]:
    """(type, column, texts, rows) of this graph that may hold other rows' texts: not the rows' own,
    as in the source.
    """
    graph = view.observed
    own = {(t.type, t.column) for t in there}
    for type in [*graph.nodes, *graph.edges]:
        table = graph.table(type)
        for field in table.schema:
            if field.name in ("id", "src", "dst", *PROVENANCE):
                continue
            values = tb.one_chunk(table[field.name])
            if pa.types.is_dictionary(values.type):
                values = values.dictionary_decode()
            if pa.types.is_list(values.type) and tb.is_text(values.type.value_type):
                values = pc.binary_join(values.cast(pa.list_(pa.string())), " ")
            if not tb.is_text(values.type):
                continue
            values = values.cast(pa.string())
            rows = np.arange(len(values))
            if (type, field.name) in own:
                rows = _not_as_before(view, type, field.name, values)
            if len(rows):
                yield type, field.name, values.take(pa.array(rows)), rows


def _not_as_before(view: View, type: Type, name: str, values: pa.Array) -> np.ndarray:
    """Rows whose text is not the source's; an edge's text counts as the source's where it stands
    there at all.
    """
    there = tb.one_chunk(view.source.table(type)[name]).cast(pa.string())
    if isinstance(type, tuple):
        return np.flatnonzero(
            ~pc.is_in(values, value_set=pc.unique(there)).to_numpy(zero_copy_only=False)
        )
    move = view.move(type)
    before = there.take(pa.array(np.maximum(move, 0), mask=move < 0))
    same = pc.fill_null(pc.equal(values, before), False).to_numpy(zero_copy_only=False)
    return np.flatnonzero(~same & values.is_valid().to_numpy(zero_copy_only=False))


class _Words:
    """Texts as numbers, one a word."""

    def __init__(self, texts: pa.Array) -> None:
        clean = pc.replace_substring_regex(pc.utf8_lower(texts.fill_null("")), r"[^\w\s]|_", " ")
        lists = pc.split_pattern_regex(clean, r"\s+")
        row, flat = pc.list_parent_indices(lists).to_numpy(), pc.list_flatten(lists)
        full = pc.not_equal(flat, "").to_numpy(zero_copy_only=False)
        self.row = row[full].astype(np.int64)
        self.word = flat.filter(pa.array(full)).dictionary_encode().indices.to_numpy().astype(
            np.uint64
        ) + np.uint64(1)

    def part(self, start: int, n: int) -> tuple[np.ndarray, np.ndarray, int]:
        low, high = np.searchsorted(self.row, [start, start + n])
        return self.row[low:high] - start, self.word[low:high], n


def _runs(row: np.ndarray, word: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """(text, hash) of every run of `length` words."""
    n = len(row) - length + 1
    if n <= 0:
        return np.zeros(0, np.int64), np.zeros(0, np.uint64)
    mark = np.full(n, length, np.uint64)
    for k in range(length):
        mark = (mark ^ (mark >> np.uint64(29))) * MULTIPLIERS[k] + word[k : k + n]
    inside = row[:n] == row[length - 1 :]
    return row[:n][inside], mark[inside]


def _contained(
    own: tuple[np.ndarray, np.ndarray, int],
    cells: tuple[np.ndarray, np.ndarray, int],
    codes: np.ndarray,
) -> np.ndarray:
    """[(text, cell, runs shared)]: long texts by their own runs (counted), short ones as a whole
    (0).
    """
    row, word, n = own
    size = np.bincount(row, minlength=n)
    found = []
    text, mark = _telling(*_runs(row, word, RUN), codes)
    cell, there = _runs(cells[0], cells[1], RUN)
    at = np.minimum(np.searchsorted(mark, there), max(len(mark) - 1, 0))
    ok = mark[at] == there if len(mark) else np.zeros(len(there), bool)
    pairs, count = np.unique(np.stack([text[at[ok]], cell[ok]]), axis=1, return_counts=True)
    enough = count >= np.minimum(3, np.maximum(size[pairs[0]] - RUN + 1, 1))
    found.append(np.column_stack([pairs[0][enough], pairs[1][enough], count[enough]]))
    for length in range(1, RUN):  # texts too short for a run count as a whole
        short = np.flatnonzero(size[row] == length)
        text, mark = _runs(row[short], word[short], length)
        text, mark = _telling(text, mark, codes)
        if not len(mark):
            continue
        cell, there = _runs(cells[0], cells[1], length)
        at = np.minimum(np.searchsorted(mark, there), len(mark) - 1)
        ok = mark[at] == there
        pairs = np.unique(np.stack([text[at[ok]], cell[ok]]), axis=1)
        found.append(np.column_stack([pairs[0], pairs[1], np.zeros(pairs.shape[1], np.int64)]))
    return np.concatenate(found)


def _telling(
    text: np.ndarray, mark: np.ndarray, codes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Each run once, in order, with a text that has it; without those that stand in texts of two
    pairs.
    """
    order = np.lexsort((text, mark))
    text, mark = text[order], mark[order]
    first = np.flatnonzero(np.r_[True, mark[1:] != mark[:-1]] if len(mark) else np.zeros(0, bool))
    if not len(first):
        return text[:0], mark[:0]
    lowest, highest = (f.reduceat(codes[text], first) for f in (np.minimum, np.maximum))
    same = lowest == highest
    return text[first][same], mark[first][same]


def _touching(
    view: View, type: Any, codes: np.ndarray, rows: np.ndarray, new: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(texts whose pair has an end in this table, [(text, certain)] found in a cell that belongs to
    the text's pair).

    In tables that lead to neither end, any cell counts, and only long texts do.
    """
    graph = view.observed
    text, cell, count = rows.T if len(rows) else np.zeros((3, 0), np.int64)
    sure = count > 0
    ends = [(e, view.move(e), np.arange(graph.n(type))) for e in (view.a, view.b) if type == e]
    if isinstance(type, tuple):
        ends = [
            (node, view.move(node), positions)
            for node, positions in zip((type[0], type[2]), graph.links(type), strict=True)
            if node in (view.a, view.b)
        ]
    if not ends:
        everywhere = np.ones(len(codes), bool)
        return everywhere, np.unique(
            np.column_stack([text[sure], sure[sure].astype(np.int64)]), axis=0
        )
    mine = np.zeros(len(text), bool)
    for end, move, positions in ends:
        node = move[positions[new[cell]]] if len(cell) else np.zeros(0, np.int64)
        if end == view.a:
            mine |= view.ends(codes[text])[0] == node
        if end == view.b:
            mine |= view.ends(codes[text])[1] == node
    hits = np.unique(np.column_stack([text[mine], sure[mine].astype(np.int64)]), axis=0)
    return np.ones(len(codes), bool), hits
