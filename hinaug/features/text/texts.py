"""What an encoder is given: texts, and those among them that say something."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from hinaug import checks
from hinaug.errors import KindError


def texts_of(values: Any) -> tuple[list[Any], list[int]]:
    """A list of texts and None, and the positions of those that are not blank.

    Columns of Arrow and pandas have their own words for what is missing. Half of a surrogate pair
    becomes a question mark. Raises KindError for one text alone, and for what is no text.
    """
    texts = _listed(values)
    if bad := [t for t in texts if not isinstance(t, str | None)]:
        raise KindError(
            f"encode takes texts or None; got {type(bad[0]).__name__} {bad[0]!r} and "
            f"{len(bad) - 1} more; cast them to str",
            asked=type(bad[0]).__name__,
        )
    texts = [t and t.encode("utf-8", "replace").decode() for t in texts]
    return texts, [k for k, text in enumerate(texts) if text and text.strip()]


def _listed(values: Any) -> list[Any]:
    """Any sequence as a list, with None for what is missing."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise KindError(
            f"encode takes a sequence of texts, got {checks.kind(values)}; put one text into a list"
        )
    if isinstance(values, pa.Array | pa.ChunkedArray):
        values = values.to_pylist()
    return [None if _is_missing(value) else value for value in values]


def filled(vectors: np.ndarray, rows: list[int], n: int) -> np.ndarray:
    """Vectors of some of n texts, float32 [n, d]; NaN for the others."""
    out = np.full((n, vectors.shape[1]), np.nan, np.float32)
    out[rows] = vectors
    return out


def _is_missing(value: Any) -> bool:
    """None, NaN, and the missing values of pandas."""
    is_nan = isinstance(value, float) and value != value
    return value is None or is_nan or type(value).__name__ in ("NAType", "NaTType")
