"""SecondMoment: whole new nodes whose links have the mean and the covariance of real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.checks import COUNT, NOT_NEGATIVE, Limits
from hinaug.generators.entities.axes import leading_axes
from hinaug.generators.entities.real import Real
from hinaug.generators.entities.whole import WholeNodes


@dataclass(eq=False)
class SecondMoment(WholeNodes):
    """Whole new nodes from the second moment of the interactions alone.

        G = X' X of all views side by side = V L V',   E = V sqrt(L) / sqrt(popularity)
        z ~ N(0, I),   logits = log popularity + strength z E',   Gumbel top-n

    The opponent that a VAE or a GAN must beat: it knows which targets go together, two at a time,
    and nothing else. One second for a thousand nodes. A source gives degrees and times alone; under
    a condition z is the place of the source on the axes, in their spread over real nodes.

    Parameters
    ----------
    node, relations, keep, time, between, writer
        See `WholeNodes`.
    dim
        Eigenvectors, the leading ones.
    strength
        How far tastes lie from the mean; 0 draws by popularity.

    Learned: `axes_` and `popularity_`, one a view.

    Example
    -------
    >>> from hinaug.datasets import planted_mixed
    >>> hin = planted_mixed(100, 40, 10, rng=0)
    >>> SecondMoment("user").fit(hin, rng=0).generate(hin, 5, rng=0).nodes["user"].num_rows
    5
    """

    LIMITS: ClassVar[Limits] = {
        "dim": COUNT,
        "strength": NOT_NEGATIVE,
    }
    node: str = "user"
    _: KW_ONLY
    dim: int = 40
    strength: float = 3.0

    def _learn(self, real: Real, rng: np.random.Generator) -> None:
        counts = [view.counts.astype(np.float64) for view in real.views]
        joint = sp.csr_array(sp.hstack([v.links for v in real.views]))
        root, axes = leading_axes(joint, self.dim, int(rng.integers(2**31)))  # of eigenvalues of G
        scaled = axes * root / np.sqrt(np.maximum(np.concatenate(counts), 1))[:, None]
        ends = np.cumsum([len(c) for c in counts])[:-1]
        self.axes_ = [e.astype(np.float32) for e in np.split(scaled, ends)]
        self.popularity_ = [
            np.where(c > 0, np.log(np.maximum(c, 1)), -np.inf).astype(np.float32) for c in counts
        ]

    def _state(self, real: Real, source: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return rng.standard_normal((len(source), self.axes_[0].shape[1]), dtype=np.float32)

    def _state_given(
        self, real: Real, source: np.ndarray, given: dict[str, pa.Array], rng: np.random.Generator
    ) -> np.ndarray:
        place = sum(view.links @ axes for view, axes in zip(real.views, self.axes_, strict=True))
        spread = np.maximum(place.std(axis=0), 1e-6)
        return ((place[source] - place.mean(axis=0)) / spread).astype(np.float32)

    def _logits(
        self, at: int, state: np.ndarray, drawn: Sequence[sp.csr_array], rows: slice
    ) -> np.ndarray:
        return self.popularity_[at] + np.float32(self.strength) * (state[rows] @ self.axes_[at].T)


@dataclass(eq=False)
class PopularNodes(WholeNodes):
    """Whole new nodes whose links are drawn by popularity alone: the control that tells what a
    generator knows beyond who is popular. A condition changes degrees, attributes and given links,
    not what else is drawn.

    With `keep=0.8` it is a bootstrap of profiles: four of five links of a real node, and others.

    node, relations, keep, time, between, writer: see `WholeNodes`.

    Learned: `popularity_`, log counts of the targets of each view.

    Example
    -------
    >>> from hinaug.datasets import planted_mixed
    >>> hin = planted_mixed(100, 40, 10, rng=0)
    >>> PopularNodes("item").fit(hin, rng=0).generate(hin, 3, rng=0).nodes["item"].num_rows
    3
    """

    def _learn(self, real: Real, rng: np.random.Generator) -> None:
        self.popularity_ = [
            np.where(v.counts > 0, np.log(np.maximum(v.counts, 1)), -np.inf).astype(np.float32)
            for v in real.views
        ]

    def _logits(
        self, at: int, state: np.ndarray, drawn: Sequence[sp.csr_array], rows: slice
    ) -> np.ndarray:
        return np.tile(self.popularity_[at], (len(state[rows]), 1))
