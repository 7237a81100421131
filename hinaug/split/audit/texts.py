"""The text of held-out rows inside other columns, and its twins in train."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from hinaug.graph import arrow as tb
from hinaug.graph.pairs import distinct
from hinaug.graph.schema import Type
from hinaug.split.audit.pairs import witnessed
from hinaug.split.audit.view import Found, View, is_among, title

RUN = 5  # words that stand in a row in two texts, which is no accident where words vary
CONTAINED = 0.3  # of the runs of a text: it stands in another, or a part of it does
CHANCE = 1e-6  # that so many texts stand in the cells of their own nodes and not in others
RARE = 0.1  # twins that chance gives a text, from which it is one that many write
CHANCE_OF_TWINS = 1e-3  # that chance gives so many twins
SLOTS = 8  # first words of a text, any of which may be filled from a few
EXCESS = 5  # times as many twins as texts that differ from another in one such word
PERHAPS = 0.05  # the same, from which it is unknown
LEAST = 3  # texts that prove something
ALL = 0.9  # of the held-out texts: then short ones prove something as well
N_OTHERS = 4  # cells of other nodes in which each text is looked for, to know chance
MOST_TEXTS = 20_000  # held-out texts that are looked for
MOST_CELLS = 100_000  # cells of a column that are searched
ODD = np.random.default_rng(20).integers(1, 2**62, size=RUN, dtype=np.uint64) | np.uint64(1)


@dataclass
class Evidence:
    """Texts of the source that belong to one pair each."""

    type: Type
    column: str
    text: pa.Array
    codes: np.ndarray


def look(view: View) -> Found:
    """Texts of held-out rows in the columns of the graph."""
    for evidence in _evidence(view):
        yield from twins(view, evidence)
        held = np.flatnonzero(view.held.contains_codes(evidence.codes))
        held = np.random.default_rng(0).permutation(held)[:MOST_TEXTS]
        text, codes = evidence.text.take(pa.array(held)), evidence.codes[held]
        inside = view.inside.contains_codes(evidence.codes)
        known = pc.is_in(text, value_set=evidence.text.filter(pa.array(inside)))
        is_news = ~known.to_numpy(zero_copy_only=False)
        for type in [*view.observed.nodes, *view.observed.edges]:
            for field in view.columns(type):
                if view.budget.over:
                    return
                is_own = type == evidence.type
                if not is_own and (tb.is_text(field.type) or pa.types.is_list(field.type)):
                    found = _inside(view, text, codes, is_news, type, field.name)
                    linked = _linked(view, evidence.type, type)
                    yield from ((sure and not linked, finding) for sure, finding in found)


def _linked(view: View, one: Type, two: Type) -> bool:
    """Whether nodes of two types are linked: tags have the very words of taggings, by nature."""
    inner = two not in (view.a, view.b)
    return inner and any({edge[0], edge[2]} == {one, two} for edge in view.source.edges)


def _evidence(view: View) -> Iterator[Evidence]:
    for type in [view.target, *(t for t in view.source.nodes if t not in (view.a, view.b))]:
        table = view.source.table(type)
        texts = [f.name for f in table.schema if f.name not in ("id", "src") and _is_text(f)]
        if not texts:
            continue
        if type == view.target:
            codes = view.whole.codes(*view.source.links(view.target))
        else:
            codes = witnessed(view, type)
        for name in texts:
            column = tb.one_chunk(table[name])
            known = np.flatnonzero((codes >= 0) & column.is_valid().to_numpy(zero_copy_only=False))
            yield Evidence(type, name, column.take(pa.array(known)), codes[known])


def _is_text(field: pa.Field) -> bool:
    return tb.is_text(field.type)


# ---- twins ---------------------------------------------------------------------------------------


def twins(view: View, evidence: Evidence) -> Found:
    """Held-out texts that stand word for word in train, by the same user or on the same item.

    Texts that so many others write that chance puts them there are no news.
    """
    text = _whole(view, evidence)
    inside = np.flatnonzero(view.inside.contains_codes(evidence.codes))
    held = np.flatnonzero(view.held.contains_codes(evidence.codes))
    n_texts = int(text.max(initial=0)) + 1
    frequency = np.bincount(text[inside], minlength=n_texts)
    found, expected = np.zeros(len(held), bool), np.zeros(len(held))
    for side, node in enumerate(view.whole.ends(evidence.codes)):
        keys, n_own = np.unique(node[inside] * n_texts + text[inside], return_counts=True)
        own = np.zeros(len(held))
        if len(keys):
            asked = node[held] * n_texts + text[held]
            at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
            own = n_own[at] * (keys[at] == asked)
        found |= own > 0
        size = np.bincount(node[inside], minlength=view.shape[side])[node[held]]
        expected += size * (frequency[text[held]] - own) / np.maximum(len(inside) - size, 1)
    rare = expected < RARE
    hits = held[found & rare]
    n_words = pc.count_substring_regex(evidence.text.take(pa.array(hits)), r"\w+")
    is_long = n_words.to_numpy(zero_copy_only=False) >= RUN
    for long in (True, False):
        codes = distinct(evidence.codes[hits[is_long == long]])
        surprise = stats.poisson.sf(len(codes) - 1, float(expected[rare].sum()))
        if len(codes) and surprise < CHANCE_OF_TWINS and not _from_slots(view, evidence, codes):
            where = f"{title(evidence.type)}.{evidence.column}"
            why = f"repeats {len(codes):,} held-out texts word for word, by the same "
            why += f"{view.a!r} or on the same {view.b!r}"
            why += "; they are short, and may be habits" * (not long)
            remedy = "merge the duplicates before the split, or hold them out together"
            yield long, view.finding("twin text", where, why, remedy, codes)


def _from_slots(view: View, evidence: Evidence, codes: np.ndarray) -> bool:
    """Whether texts come of few words put in slots: many then differ from another in one word.

    Duplicates are not like that: far more texts equal another of the node than are so near to one.
    """
    word, size = word_codes(evidence.text)
    text = np.repeat(np.arange(len(size)), size)
    place = np.arange(len(word)) - (np.cumsum(size) - size)[text]
    term = (word.astype(np.uint64) + np.uint64(1)) * _odd(place)
    total = np.zeros(len(size), np.uint64)
    np.add.at(total, text, term)
    inside = view.inside.contains_codes(evidence.codes)
    asked = np.flatnonzero(np.isin(evidence.codes, codes))
    ends = view.whole.ends(evidence.codes)
    for slot in range(SLOTS):
        at = place == slot
        left = total.copy()
        left[text[at]] -= term[at]
        near = np.zeros(len(asked), bool)
        for node in ends:
            exact, alike = (_others(_mixed(v, node), inside, asked) for v in (total, left))
            near |= (exact > 0) & (alike > exact)
        if near.sum() * EXCESS > len(asked):
            return True
    return False


def _others(key: np.ndarray, inside: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """For each row asked for, how many rows inside have the same key."""
    there, n = np.unique(key[inside], return_counts=True)
    if not len(there):
        return np.zeros(len(asked), np.int64)
    at = np.minimum(np.searchsorted(there, key[asked]), len(there) - 1)
    return n[at] * (there[at] == key[asked])


def _odd(place: np.ndarray) -> np.ndarray:
    """An odd number for each place of a word."""
    return np.uint64(2) * (place.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) + ODD[0]


def _whole(view: View, evidence: Evidence) -> np.ndarray:
    """A number for each text; the same for equal ones, in either case of letters."""
    key = (evidence.type, evidence.column)
    if key not in view.shared:
        text = pc.utf8_trim_whitespace(pc.utf8_lower(evidence.text)).dictionary_encode()
        view.shared[key] = text.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return view.shared[key]


# ---- texts inside others -------------------------------------------------------------------------


def _inside(
    view: View, text: pa.Array, codes: np.ndarray, is_news: np.ndarray, type: Type, name: str
) -> Found:
    """Whether the cells of nodes hold the held-out texts of those very nodes.

    is_news: texts that train does not have; of others, a table of words holds all.
    """
    column = tb.one_chunk(view.observed.table(type)[name])
    row, cells = _flat(column.slice(0, MOST_CELLS))
    word, n_words = word_codes(pa.concat_arrays([text, cells]))
    size = n_words[: len(text)]
    cell_row = np.repeat(row, n_words[len(text) :])
    own_words, cell_words = np.split(word, [int(size.sum())])
    row_of_text = _row_of(view, type, codes)
    hits, by_chance, asked = _contained(own_words, size, cell_words, cell_row, row_of_text)
    asked &= (row_of_text >= 0) | (is_news & (size >= RUN))
    n_by_chance = float((by_chance * asked).sum()) / N_OTHERS
    where = f"{title(type)}.{name}"
    yield from _verdict(view, where, codes, hits & asked, n_by_chance, int(asked.sum()), size)


def _verdict(
    view: View,
    where: str,
    codes: np.ndarray,
    hits: np.ndarray,
    by_chance: float,
    n_asked: int,
    size: np.ndarray,
) -> Found:
    """hits: which texts stand in the cell of their node; by_chance: how many in another's."""
    n, n_hits = len(distinct(codes[hits])), int(hits.sum())
    long = int((hits & (size >= RUN)).sum())
    rate = min((by_chance * N_OTHERS + 1) / (N_OTHERS * n_asked + 1), 1.0)
    surprise = stats.binom.sf(n_hits - 1, n_asked, rate)
    quoted = 2 * by_chance > n_hits
    nearly_all = n >= LEAST and n_hits >= ALL * n_asked and not quoted
    sure = nearly_all or (long >= max(LEAST, by_chance) and surprise < CHANCE)
    few = n_asked <= LEAST and not by_chance
    if n and (sure or few or surprise < PERHAPS):
        why = f"holds the text of {n:,} held-out rows"
        why += "; so few may be quotations" * (not sure)
        remedy = "make it of split.train alone, or drop it"
        yield bool(sure), view.finding("text", where, why, remedy, distinct(codes[hits]))


def _flat(column: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """(row, text) of a column of texts or lists of texts."""
    if not pa.types.is_list(column.type):
        return np.arange(len(column)), pc.fill_null(column, "")
    if not tb.is_text(column.type.value_type):
        return np.zeros(0, int), pa.array([], pa.string())
    size = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    return np.repeat(np.arange(len(column)), size), pc.fill_null(column.flatten(), "")


def word_codes(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The words of texts as codes, one after another, and how many each text has."""
    clean = pc.utf8_trim_whitespace(pc.replace_substring_regex(pc.utf8_lower(texts), r"\W+", " "))
    split = pc.split_pattern(clean, " ")
    size = pc.list_value_length(split).to_numpy(zero_copy_only=False)
    words = split.flatten().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    return words.astype(np.int64), np.where(
        pc.equal(clean, "").to_numpy(zero_copy_only=False), 1, size
    )


def _row_of(view: View, type: Type, codes: np.ndarray) -> np.ndarray:
    """For each text the row of the table that it belongs to: -1 for any row, -2 for none."""
    if type not in (view.a, view.b):
        return np.full(len(codes), -1)
    side = 0 if type == view.a else 1
    row = np.full(view.shape[side], -2)
    move = view.move(str(type))
    row[move[move >= 0]] = np.flatnonzero(move >= 0)
    return row[view.whole.ends(codes)[side]]


def _contained(own, size, cells, cell_row, text_row):
    """(in the own cell, in the cell of another text, whether there is a cell) for each text."""
    start = np.cumsum(size) - size
    length = np.minimum(size, RUN)
    share = np.zeros((1 + N_OTHERS, len(size)))
    steps = [max(len(text_row) * k // (N_OTHERS + 1), k) for k in range(1, N_OTHERS + 1)]
    others = [np.roll(text_row, step) for step in steps]
    others = [np.where(other == text_row, -2, other) for other in others]
    for n in np.unique(length):
        use = length == n
        text_of = np.repeat(np.arange(len(size)), size)
        runs, last = word_runs(own, n), np.arange(len(own)) - start[text_of] + n <= size[text_of]
        here = np.flatnonzero(last[: len(runs)] & use[text_of[: len(runs)]])
        of_cell = word_runs(cells, n)
        inside = cell_row[: len(of_cell)] == cell_row[n - 1 :] if len(of_cell) else cell_row[:0] > 0
        cell_rows = np.where(text_row[0] == -1, 0, cell_row[: len(of_cell)][inside])
        there = distinct(_mixed(of_cell[inside], cell_rows))
        for k, row in enumerate((text_row, *others)):
            rows = np.where(row == -1, 0, row)[text_of[here]]
            hit = is_among(_mixed(runs[here], rows), there)
            share[k] += np.bincount(text_of[here], hit, minlength=len(size)) * use
    n_runs = np.maximum(size - length + 1, 1)
    asked = np.isin(text_row, cell_row) | (text_row == -1)
    contained = share / n_runs >= CONTAINED
    by_chance = contained[1:].sum(axis=0) * (text_row >= 0).any()
    return contained[0], by_chance, asked & (text_row != -2)


def word_runs(words: np.ndarray, n: int) -> np.ndarray:
    """A number for each run of n words."""
    out = np.zeros(max(len(words) - n + 1, 0), np.uint64)
    for k in range(n):
        out += (words[k : k + len(out)].astype(np.uint64) + np.uint64(1)) * ODD[k]
    return out


def _mixed(runs: np.ndarray, rows: np.ndarray) -> np.ndarray:
    mixed = runs ^ (rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    return mixed * np.uint64(0xBF58476D1CE4E5B9)
