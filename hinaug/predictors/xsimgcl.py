"""XSimGCL: LightGCN with noise between the layers and a contrast between two of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
import torch

from hinaug.checks import COUNT, NOT_NEGATIVE, POSITIVE, Limits, Space
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.nn import BipartitePropagation, Embeddings, NoisyEmbeddings
from hinaug.predictors.embedding import EmbeddingPredictor

PRIOR_LINKS = 2000  # default l2: so many links of prior, shared out over those there are


@dataclass(eq=False)
class XSimGCL(EmbeddingPredictor):
    """XSimGCL (Yu et al., "XSimGCL: Towards Extremely Simple Graph Contrastive Learning for
    Recommendation", TKDE 2023).

    While training, every layer gets noise of length `eps` in the orthant of its vectors,

        x_l = A x_{l-1} + eps sign(A x_{l-1}) * noise / |noise|,
        z = mean over l = 1..n_layers of x_l,

    and a node's final vector has to find its own vector at layer `contrast` among those of other
    nodes (InfoNCE):

        loss = loss(links) + cl / 2 sum over both sides of mean -log softmax_v(cos(z_u, x^c_v) /
        tau)[u].

    The contrast spreads vectors evenly over the sphere, which helps what is rare. Without noise for
    scores.

    n_layers, eps, contrast, cl, tau: 3, 0.1, 1, 0.03, 0.15. All but cl are between the authors'
        settings for their three data sets; cl is the one to tune, and 0.03 was better than 0.1 on
        MovieLens 100K and Musical Instruments. On gowalla cl 0.2 and eps 0.2 were best on held-out
        links, with "bpr", mean_over="sources", prior="draws", lr 0.03 and 1,000 epochs.
    sample: nodes of each side that are contrasted in a step, drawn anew; all of them would cost
        O(nodes^2 x d). The authors contrast those of a batch of 2,048 links.
    Other fields as in `EmbeddingPredictor`; lr, l2, epochs: None takes 0.03, min(0.2, 2000/links),
    300 for "bpr" and 0.05, 2.0, 150 for the softmaxes. Transductive: NaN for what had no link at
    fit time.
    """

    DEFAULTS: ClassVar[dict[str, dict[str, Any]]] = {
        "bpr": {"lr": 0.03, "l2": 0.2, "epochs": 300},
        "softmax": {"lr": 0.05, "l2": 2.0, "epochs": 150},
        "sampled": {"lr": 0.05, "l2": 2.0, "epochs": 150},
    }

    NO_FOLD_IN: ClassVar[str] = (
        "its own embedding has no part in the final vector of a node, so there is no row to solve"
    )
    NO_FOLD_IN_ITEMS: ClassVar[str] = NO_FOLD_IN

    LIMITS: ClassVar[Limits] = {
        "n_layers": COUNT,
        "eps": NOT_NEGATIVE,
        "contrast": COUNT,
        "cl": NOT_NEGATIVE,
        "tau": POSITIVE,
        "sample": COUNT,
    }
    SPACE: ClassVar[Space] = {**EmbeddingPredictor.SPACE, "cl": (0.003, 1.0, "log")}
    n_layers: int = 3
    eps: float = 0.1
    contrast: int = 1
    cl: float = 0.03
    tau: float = 0.15
    sample: int = 2048

    def _l2(self, links: sp.csr_array) -> float:
        if self.l2 is None and self.loss == "bpr" and self.prior == "nodes":
            return min(self._setting("l2"), PRIOR_LINKS / max(links.nnz, 1))
        return super()._l2(links)

    def _network(self, hin: HIN, links: sp.csr_array, rng: np.random.Generator) -> Embeddings:
        if not 1 <= self.contrast <= self.n_layers:
            raise ParameterError(
                f"XSimGCL: contrast={self.contrast!r}: a layer from 1 to "
                f"n_layers={self.n_layers!r}, to set against the final vectors"
            )
        start = self._start(links, rng)
        counts = (np.diff(links.indptr), np.bincount(links.indices, minlength=links.shape[1]))
        users, items = (torch.from_numpy(np.flatnonzero(c)) for c in counts)
        return NoisyEmbeddings(
            *start,
            BipartitePropagation(links, self.n_layers),
            torch.Generator().manual_seed(int(rng.integers(2**62))),
            eps=self.eps,
            contrast=self.contrast,
            contrast_weight=self.cl,
            tau=self.tau,
            sample=self.sample,
            linked=(users, items),
        )
