"""LightGCN: embeddings propagated over the graph, trained on all links at every step; with side
information if asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
import torch

from hinaug.checks import NOT_NEGATIVE, Limits, Space
from hinaug.features.axes import Source, nearest_graph, principal_axes
from hinaug.graph.hin import HIN
from hinaug.nn import BipartitePropagation, Embeddings, PropagatedEmbeddings, SparseMatrix
from hinaug.predictors.fold_in import FoldedEmbeddings


@dataclass(eq=False)
class LightGCN(FoldedEmbeddings):
    """LightGCN (He et al., "LightGCN: Simplifying and Powering Graph Convolution Network for
    Recommendation", SIGIR 2020).

    Embeddings E of sources and targets are propagated over the links
    (`hinaug.nn.BipartitePropagation`),

        z = mean over l = 0..n_layers of A^l E,      score(u, i) = <z_u, z_i>,

    and minimise, with Adam and all links at every step, which is an epoch,

        mean over links (u, i) of loss(u, i) + l2 / (2 n_links) |E|^2.

    loss: "bpr", "softmax" or "sampled", see `EmbeddingPredictor`. Tune them: none wins everywhere.
        "sampled" is for catalogues whose whole softmax costs too much.
    n_layers, lr, l2, epochs: None takes 3, 0.03, 0.1, 240 for "bpr" and 3, 0.05, 1.0, 150 for the
        softmaxes. l2 is the precision of a normal prior on E and matters most. The prior counts
        each embedding once, however many links it has. One value served data sets of 7,000 to
        120,000 links, see `benchmarks/defaults.py`; the larger the graph, the less of it: with
        "bpr" 0.03 on lastfm, 0.004 on gowalla, and there a thousand epochs. Tune it by factors of
        three.
    mean_over, prior: with "bpr", "sources" lifted LightGCN and MF by 5 % on held-out links of
        MovieLens 1M, where some users have many times the links of others, and changed nothing on
        lastfm. On gowalla LightGCN passes its published figures with "sources", "draws", l2 1e-4,
        three layers, embedding_dim 128, lr 0.03 and 2,000 epochs, and comes within .003 of them
        with the published 64. Measure rarely where learning is that slow: the curve is noisy, and
        four measures without a gain, 50 epochs apart, ended it at half of that. On lastfm "draws"
        lost.
    temperature: together with l2 it is one knob too many: leave it at 1, but for cosines.
    weight: the weights count in the propagation and in the loss.

    Side information, in the form that lifted a tuned LightGCN by 5 % on a thinned MovieLens 100K,
    and by nothing that could be shown on two Amazon graphs:
    features: what to read of the targets, see `principal_axes`, such as ["x", ("genre",),
        ("review", "x")]. With F the features and W learned, targets start from E + feature_scale *
        F W; and after the propagation z += smooth * S z, with S the graph of the 10 targets nearest
        by F. source_features: S of the sources alone (their F W did not help). smooth: 0.1 to 0.2,
        or 0 for no S.
    feature_scale: how fast and how far F W may go beside E. Adam moves each entry of W as fast as
        those of E, and F W sums over all columns of F: at 1 it overtakes E in a few steps. On three
        data sets 0.3 was best or near it on held-out links, and lost 0 to 6 % with permuted
        features, where 1 lost 13 to 25 %. Tune it, from 0.03 to 1.
    Features are made of the graph that `fit` is given, so that no held-out review is in a mean.

    Learned: final embeddings `users_`, `items_`; `epochs_`; `curve_`, the measures on `valid`.
    Transductive: NaN for what had no link at fit time, unless it is folded in. An epoch costs
    O(links x d) for "bpr" and O(sources x targets x d) for "softmax"; memory O((sources + targets)
    x d + links).
    """

    ON_RANKS = True
    IN_BLOCKS = True
    DEFAULTS: ClassVar[dict[str, dict[str, Any]]] = {
        "bpr": {"n_layers": 3, "lr": 0.03, "l2": 0.1, "epochs": 240},
        "softmax": {"n_layers": 3, "lr": 0.05, "l2": 1.0, "epochs": 150},
        "sampled": {"n_layers": 3, "lr": 0.05, "l2": 1.0, "epochs": 150},
    }

    LIMITS: ClassVar[Limits] = {
        "n_layers": NOT_NEGATIVE,  # 0 is MF
        "smooth": NOT_NEGATIVE,
        "feature_scale": NOT_NEGATIVE,
    }
    SPACE: ClassVar[Space] = {"n_layers": [1, 2, 3], **FoldedEmbeddings.SPACE}
    n_layers: int | None = None
    features: Sequence[Source] = ()
    source_features: Sequence[Source] = ()
    smooth: float = 0.15
    feature_scale: float = 0.3

    def _network(self, hin: HIN, links: sp.csr_array, rng: np.random.Generator) -> Embeddings:
        sides = self._sides(hin)
        near = [
            SparseMatrix(nearest_graph(f)) if f is not None and self.smooth else None for f in sides
        ]
        return PropagatedEmbeddings(
            *self._start(links, rng),
            BipartitePropagation(links, self._n_layers()),
            None if sides[1] is None else torch.from_numpy(sides[1]),
            self.feature_scale,
            near,
            self.smooth,
        )

    def _n_layers(self) -> int:
        return int(self._setting("n_layers"))

    def _sides(self, hin: HIN) -> list[np.ndarray | None]:
        """Features of sources and of targets, or None where none are read."""
        return [
            principal_axes(hin, type, names) if names else None
            for type, names in (
                (self.relation[0], self.source_features),
                (self.relation[2], self.features),
            )
        ]

    def _obstacle(self) -> str | None:
        if self.smooth and self.source_features:
            return "with source_features the vector of a source depends on sources that are alike"
        return super()._obstacle()

    def _item_obstacle(self) -> str | None:
        if self.features:
            return "with features the vector of a target depends on targets that are alike"
        return super()._item_obstacle()
