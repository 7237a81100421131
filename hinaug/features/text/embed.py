"""Text columns of a graph turned into vector columns."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isclass
from typing import Any

import numpy as np
import pyarrow as pa

from hinaug.errors import KindError, ParameterError, SchemaError
from hinaug.features.text.encoder import TextEncoder
from hinaug.graph import arrow as tb
from hinaug.graph import expect
from hinaug.graph.hin import HIN


def embed_text(
    hin: HIN,
    type: str,
    encoder: TextEncoder | Callable[[list[str]], Any],
    column: str = "text",
    into: str = "x",
) -> HIN:
    """The graph with vectors of a text column: one a node, null where the text is null or blank.

    encoder: a TextEncoder, or any function from a list of texts to an array [n, d]. The vectors
    have the lineage of their text, as each is a function of its own text alone: "row" stays "row",
    safe to compute once, before a split; a text whose lineage is not known gives vectors whose
    lineage is not known. An encoder that was fitted on texts (`TfIdfEncoder`, `TextViews`) gives
    vectors of lineage "aggregate": fit it on the texts of train. Only observed nodes are encoded.
    Raises SchemaError when the column is not text.
    """
    expect.graph(hin, "embed_text")
    if not _encodes(encoder):
        raise KindError(
            f"embed_text: encoder={encoder!r} is neither a TextEncoder nor a function of texts; "
            "write TextEncoder('minilm')"
        )
    table = hin.observed().nodes[type]
    texts = text_column(hin, type, column).to_pylist()
    rows = [k for k, text in enumerate(texts) if text and text.strip()]
    if not rows:
        raise SchemaError(
            f"{type!r}, column {column!r} holds no text: all {len(texts)} rows are null or blank; "
            "name another with column="
        )
    vectors = _vectors(encoder, [texts[k] for k in rows])
    out = np.full((len(texts), vectors.shape[1]), np.nan, np.float32)
    out[rows] = vectors
    own = tb.lineage_of(table.schema.field(column))
    lineage = "aggregate" if getattr(encoder, "fitted_texts_", None) else own
    return hin.with_column(type, into, out, lineage=lineage)


def _encodes(encoder: Any) -> bool:
    """Whether it is a function or has `encode`; a class and a name are neither."""
    is_one = callable(encoder) or hasattr(encoder, "encode")
    return is_one and not isinstance(encoder, str) and not isclass(encoder)


def _vectors(encoder: Any, texts: list[str]) -> np.ndarray:
    """What the encoder gives for texts; ParameterError where it is not one row of numbers each."""
    vectors = _numbers(getattr(encoder, "encode", encoder)(texts))
    if vectors.ndim != 2 or len(vectors) != len(texts) or vectors.dtype.kind not in "biuf":
        raise ParameterError(
            f"the encoder gave an array of shape {vectors.shape} for {len(texts)} texts, "
            f"{vectors.dtype}; numbers [n, d] are needed, one row a text"
        )
    return vectors


def text_column(hin: HIN, type: str, column: str) -> pa.Array:
    """A column of text of the observed nodes; SchemaError where it is not text."""
    table = hin.observed().nodes[type]
    values = hin.observed().column(type, column)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if not tb.is_text(values.type):
        there = [f.name for f in table.schema if f.name != "id" and tb.is_text(f.type)]
        raise SchemaError(
            f"{type!r}, column {column!r} is {values.type}, not text; columns of text are "
            f"{there}: name one with column="
        )
    return values


def _numbers(vectors: Any) -> np.ndarray:
    """An array; tensors of torch may need gradients or be of a type that numpy lacks."""
    if hasattr(vectors, "detach"):
        vectors = vectors.detach().cpu()
        vectors = vectors.float() if vectors.is_floating_point() else vectors
    return np.asarray(vectors)
