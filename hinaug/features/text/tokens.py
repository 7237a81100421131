"""Texts to token ids: cut before they are tokenised, kept as int32, put into batches by length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hinaug.errors import ParameterError

PER_TOKEN = 16  # characters; the part of a text that is tokenised first is so long a token


@dataclass(frozen=True)
class Pieces:
    """Token ids of some texts, one piece a text, or several of a long one.

    ids: int32, all pieces one after the other. starts: int64 [pieces + 1], where each begins.
    text: int64 [pieces], which text a piece is of. long: how many texts have more tokens than a
    piece holds.
    """

    ids: np.ndarray
    starts: np.ndarray
    text: np.ndarray
    long: int

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each piece, int64 [pieces]."""
        return np.diff(self.starts)

    def batches(self, budget: int) -> Iterator[np.ndarray]:
        """Pieces of like length together: at most `budget` tokens a batch, padding counted, and at
        least one piece.
        """
        order = np.argsort(self.lengths, kind="stable")
        lengths = self.lengths[order]
        start = 0
        while start < len(order):
            ahead = lengths[start : start + budget // max(1, int(lengths[start])) + 1]
            size = np.searchsorted(ahead * np.arange(1, len(ahead) + 1), budget, side="right")
            stop = start + max(1, int(size))
            yield order[start:stop]
            start = stop

    def padded(self, rows: np.ndarray, pad: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids and mask of some pieces, int64 [pieces, tokens], padded at the right."""
        lengths = self.lengths[rows]
        mask = np.arange(lengths.max()) < lengths[:, None]
        ids = np.full(mask.shape, pad, np.int64)
        at = np.repeat(self.starts[rows] - np.cumsum(lengths) + lengths, lengths)
        ids[mask] = self.ids[at + np.arange(len(at))]
        return ids, mask.astype(np.int64)


def pieces_of(tokenizer: Any, texts: list[str], max_length: int, chunk: bool) -> Pieces:
    """The ids of each text: its first `max_length`, or with `chunk` all, in pieces of that length.

    Without `chunk`, a long text is cut at a blank before it is tokenised: a part that fills the
    length is enough. Raises ParameterError where pieces are asked of a tokenizer written in Python.
    """
    fast = bool(getattr(tokenizer, "is_fast", False))
    if chunk and not fast:
        raise ParameterError(
            "long='average' needs a tokenizer of the tokenizers library (tokenizer.json); this "
            f"model has {type(tokenizer).__name__}: use long='cut'",
            asked="average",
        )
    whole = max(map(len, texts), default=0)
    from_right = getattr(tokenizer, "truncation_side", "right") != "right"
    size = whole if from_right or chunk else PER_TOKEN * max_length
    found, cut = _read(tokenizer, texts, max_length, size, fast)
    long = sum(n in cut or len(rows) > 1 for n, rows in found.items())
    return _packed([found[n] if chunk else found[n][:1] for n in range(len(texts))], long)


def _read(
    tokenizer: Any, texts: list[str], max_length: int, size: int, fast: bool
) -> tuple[dict[int, list[list[int]]], set[int]]:
    """The pieces of the first `size` characters of each text, of more where these do not fill
    `max_length`; and which texts were cut.
    """
    found: dict[int, list[list[int]]] = {}
    cut: set[int] = set()
    left, whole = list(range(len(texts))), max(map(len, texts), default=0)
    while left:
        parts = [beginning(texts[n], size) for n in left]
        pieces = _tokenised(tokenizer, parts, max_length, fast)
        found |= dict(zip(left, pieces, strict=True))
        shortened = {n for n, part in zip(left, parts, strict=True) if len(part) < len(texts[n])}
        cut |= {n for n in shortened if len(found[n][0]) >= max_length}
        left = [n for n in shortened if len(found[n][0]) < max_length]
        size = min(4 * size, whole)
    return found, cut


def _tokenised(tokenizer: Any, texts: list[str], size: int, fast: bool) -> list[list[list[int]]]:
    """The pieces of each text; a tokenizer in Python gives the first, and an empty one if more."""
    if not fast:
        ids = tokenizer(texts, truncation=True, max_length=size)["input_ids"]
        full = tokenizer(texts)["input_ids"] if any(len(row) >= size for row in ids) else ids
        return [
            [row, []] if len(every) > len(row) else [row]
            for row, every in zip(ids, full, strict=True)
        ]
    made = tokenizer(texts, truncation=True, max_length=size, return_overflowing_tokens=True)
    out: list[list[list[int]]] = [[] for _ in texts]
    for row, n in zip(made["input_ids"], made["overflow_to_sample_mapping"], strict=True):
        out[n].append(row)
    return out


def _packed(pieces: list[list[list[int]]], long: int) -> Pieces:
    lengths = [len(row) for rows in pieces for row in rows]
    flat = (token for rows in pieces for row in rows for token in row)
    return Pieces(
        ids=np.fromiter(flat, np.int32, sum(lengths)),
        starts=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
        text=np.repeat(np.arange(len(pieces)), [len(rows) for rows in pieces]),
        long=long,
    )


def beginning(text: str, size: int) -> str:
    """Whole words of at most `size` characters; the whole text where no blank is to cut at."""
    if len(text) <= size:
        return text
    blank = max(text.rfind(mark, 0, size) for mark in (" ", "\n", "\t"))
    return text[:blank] if blank > 0 and text[:blank].strip() else text
