"""Text of new nodes: the frame of a near real text, crossed with the slots of another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.errors import SchemaError
from hinaug.features.kinds import decoded

Writer = Callable[[str, pa.Table, pa.Array], Sequence[str | None]]
COMMON = 0.25  # share of the texts that a word of the frame stands in, at least


@dataclass
class Crossing:
    """Which real texts k new ones are made of; the same for all text columns of a node.

    frame [k]: the row whose frame is taken. other [k]: the row that fills slots. cut [k]: where,
    from 0 to 1. before [k]: whether the slots before it are filled, else those after it.
    """

    frame: np.ndarray
    other: np.ndarray
    cut: np.ndarray
    before: np.ndarray


def crossing(frame: np.ndarray, near: np.ndarray, rng: np.random.Generator) -> Crossing:
    """Frames [k] crossed at random with one of the rows near [k, g]."""
    k, g = near.shape
    other = near[np.arange(k), rng.integers(g, size=k)]
    cut, coin = rng.random((2, k))
    return Crossing(frame, other, cut, coin < 0.5)


class Slots:
    """Real texts as words: the frame (words in a quarter of the texts or more) and the slots, which
    hold what a text is about. Where all words are as common, all are slots.
    """

    def __init__(self, column: pa.Array) -> None:
        text = decoded(column)
        self.null = text.is_null().to_numpy(zero_copy_only=False)
        words = pc.split_pattern_regex(pc.fill_null(text, ""), r"\s+")
        self.length = pc.list_value_length(words).to_numpy(zero_copy_only=False).astype(np.int64)
        self.start = np.cumsum(self.length) - self.length
        encoded = pc.list_flatten(words).dictionary_encode()
        self.words = encoded.dictionary
        self.code = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        self.type = text.type
        of_text = np.repeat(np.arange(len(self.length)), self.length)
        pairs = np.unique(of_text * max(len(self.words), 1) + self.code)
        held_by = np.bincount(pairs % max(len(self.words), 1), minlength=len(self.words))
        is_rare = held_by < max(COMMON * len(self.length), 2)
        self.is_slot = (is_rare if is_rare.any() else ~is_rare)[self.code]
        self.slots = np.flatnonzero(self.is_slot)
        self.first = np.searchsorted(self.slots, self.start)
        self.n_slots = np.searchsorted(self.slots, self.start + self.length) - self.first

    def fill(self, crossing: Crossing) -> pa.Array:
        """One text each: that of the frame, with its slots before or after the cut taken from the
        other row, in order, so that phrases stay together. Null where the frame is null.
        """
        frame = crossing.frame
        length = self.length[frame]
        ends = np.cumsum(length)
        at = np.repeat(self.start[frame] - (ends - length), length) + np.arange(length.sum())
        row = np.repeat(np.arange(len(frame)), length)
        before, other = crossing.before[row], crossing.other[row]
        n_own, n_other = self.n_slots[frame][row], self.n_slots[other]
        nth = np.searchsorted(self.slots, at) - self.first[frame][row]
        crossed = ((nth + 0.5) / np.maximum(n_own, 1) < crossing.cut[row]) == before
        pick = np.where(before, nth, n_other - n_own + nth)
        filled = self.is_slot[at] & crossed & (pick >= 0) & (pick < n_other)
        taken = self.slots[np.clip(self.first[other] + pick, 0, len(self.slots) - 1)]
        code = np.where(filled, self.code[taken], self.code[at])
        offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32), pa.int32())
        lists = pa.ListArray.from_arrays(offsets, self.words.take(pa.array(code)))
        text = pc.binary_join(lists, " ")
        return pc.if_else(pa.array(self.null[frame]), None, text).cast(self.type)


def written(writer: Writer, name: str, columns: pa.Table, drafts: pa.Array, who: str) -> pa.Array:
    """The texts of a writer, one a row; SchemaError where it gives another number."""
    texts = list(writer(name, columns, drafts))
    if len(texts) != len(drafts):
        raise SchemaError(
            f"{who}: writer gave {len(texts)} texts for {len(drafts)} rows of {name!r}; give one a "
            "row",
            asked=len(texts),
            there=len(drafts),
        )
    return pa.array(texts, pa.string()).cast(drafts.type)
