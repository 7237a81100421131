"""Texts encoded in shards by several processes or by Ray, with the same bytes whatever their
number.
"""

from __future__ import annotations

import copy
import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hinaug.features.text import TextEncoder
from hinaug.graph import arrow as tb
from hinaug.graph import spill
from hinaug.serving.shards import Job, Rows, in_shards

PROBE = 16  # texts whose vectors tell whether the encoder is the same


@dataclass(frozen=True)
class Encode(Job):
    """The vectors of many texts.

    encoder: what has `encode(texts)`. texts: a file of Arrow with the column "text", which each
    worker maps from disk. key: a hash of both.
    """

    encoder: Any
    texts: str
    key: str

    def digest(self) -> str:
        """The hash of the encoder and of the texts."""
        return self.key

    def open(self) -> Rows:
        """The function from a range of rows to their vectors."""
        column = tb.one_chunk(pa.ipc.open_file(pa.memory_map(self.texts)).read_all()["text"])

        def rows(start: int, stop: int) -> pa.Table:
            texts = column[start:stop].to_pylist()
            return pa.table({"vector": tb.vectors_array(np.asarray(self.encoder.encode(texts)))})

        return rows


@dataclass
class ShardedEncoder:
    """An encoder of texts whose work is divided among processes, and goes on after a kill.

    Each shard of the texts is encoded by itself, so the bytes do not depend on the number of
    workers. They are those of the encoder itself for `StaticEncoder`; for a network they differ
    from it by rounding, since a text meets other texts in its batch. A cache of vectors is not
    used: what it holds would depend on who came first.

    Parameters
    ----------
    encoder
        What has `encode(texts)`, fitted where it is to be fitted; it can be pickled.
    folder
        Where texts and shards are kept until `remove` is called.
    processes, ray, size
        As in `in_shards`.

    Raises RankError where a worker is lost: what is done stays, and the same call goes on.

    Example
    -------
    >>> ShardedEncoder(StaticEncoder("potion"), "out.shards", processes=8).size
    4096
    """

    encoder: Any
    folder: str | os.PathLike[str]
    processes: int = 1
    ray: int | None = None
    size: int = 4096

    @property
    def fitted_texts_(self) -> int | None:
        """How many texts the encoder was fitted on; None for none."""
        return getattr(self.encoder, "fitted_texts_", None)

    def encode(self, texts: Sequence[str | None]) -> np.ndarray:
        """float32 [n, d], as the encoder gives them."""
        encoder = _alone(self.encoder)
        table = pa.table({"text": pa.array(list(texts), pa.large_string())})
        key = _key(encoder, table)
        place = Path(self.folder) / key[:24]
        file = place.with_suffix(".arrow")
        if not file.exists():
            _write(table, file)
        job = Encode(encoder, str(file.resolve()), key)
        paths = in_shards(
            job, len(table), place, size=self.size, processes=self.processes, ray=self.ray
        )
        return _together(paths, len(table), self.size)

    def remove(self) -> None:
        """Delete texts and shards, once their vectors are saved elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _alone(encoder: Any) -> Any:
    """The encoder without a cache and without a bar; nothing is loaded in it yet."""
    if isinstance(encoder, TextEncoder):
        return replace(encoder, model=encoder.folder(), cache=False, progress=False)
    encoder = copy.copy(encoder)
    if hasattr(encoder, "encoders_"):
        encoder.encoders_ = [_alone(one) for one in encoder.encoders_]
    return encoder


def _key(encoder: Any, table: pa.Table) -> str:
    """A hash of the texts and of the vectors that the encoder gives to the first of them."""
    first = copy.copy(encoder).encode(table["text"][:PROBE].to_pylist())
    digest = hashlib.sha256(tb.content_hash(table).encode())
    digest.update(np.ascontiguousarray(first, np.float32).tobytes())
    return digest.hexdigest()


def _write(table: pa.Table, file: Path) -> None:
    """Write a table, and put it in place when it is whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    os.replace(partial, file)


def _together(paths: Sequence[Path], n: int, size: int) -> np.ndarray:
    """The vectors of all shards, float32 [n, d]; above `spill.LARGE` bytes in a file."""
    out = np.zeros((0, 0), np.float32)
    for number, path in enumerate(paths):
        column = tb.one_chunk(pq.read_table(path)["vector"])
        part = column.values.to_numpy(zero_copy_only=False).reshape(len(column), -1)
        if not number:
            out = spill.empty(n * part.shape[1], np.float32).reshape(n, part.shape[1])
        out[number * size : number * size + len(part)] = part
    return out
