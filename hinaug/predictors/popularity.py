"""Popularity: the same list for everybody."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions
from hinaug.predictors.base import LinkPredictor


@dataclass(eq=False)
class Popularity(LinkPredictor):
    """score(u, i) = number of sources that are linked with i: the floor that any personal method
    must clear.

    On sparse data the floor is high. It also tells accuracy from skew: a gain that popularity
    shares is not personal.

    relation: the edge type whose links are scored.
    weight: a numeric edge column to sum instead of counting; "confidence" counts a generated edge
        by what it says and an observed one as 1. None: every linked pair counts 1.

    Every source gets scores, also one without history or never seen; a target never seen gets NaN.
    Time O(links), memory O(targets).
    """

    weight: str | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        links = interactions(hin, self.relation, self.weight)
        self.counts_ = np.bincount(links.indices, links.data, minlength=links.shape[1]).astype(
            np.float32
        )

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        return np.repeat(self._columns(hin, self.counts_[None, :]), len(src), axis=0)
