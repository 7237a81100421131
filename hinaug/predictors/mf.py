"""MF: matrix factorisation, one vector a node and nothing between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.nn import Embeddings
from hinaug.predictors.fold_in import FoldedEmbeddings


@dataclass(eq=False)
class MF(FoldedEmbeddings):
    """Matrix factorisation (Koren et al., "Matrix Factorization Techniques for Recommender
    Systems", IEEE Computer 2009),

        score(u, i) = <e_u, e_i>,

    trained for ranking: by BPR (Rendle et al., UAI 2009) or by softmax over all or some targets. It
    is LightGCN without a graph, and the control that says what the propagation brings. A popular
    item needs a long vector: there are no biases.

    Fields as in `EmbeddingPredictor`; lr, l2, epochs: None takes 0.014, 0.6, 400 for "bpr", 0.1,
    5.0, 150 for "softmax" and "sampled". Transductive: NaN for what had no link at fit time, unless
    it is folded in. An epoch costs O(links x d) for "bpr".
    """

    ON_RANKS = True
    IN_BLOCKS = True
    DEFAULTS: ClassVar[dict[str, dict[str, Any]]] = {
        "bpr": {"lr": 0.014, "l2": 0.6, "epochs": 400},
        "softmax": {"lr": 0.1, "l2": 5.0, "epochs": 150},
        "sampled": {"lr": 0.1, "l2": 5.0, "epochs": 150},
    }

    def _network(self, hin: HIN, links: sp.csr_array, rng: np.random.Generator) -> Embeddings:
        if self.generated == "graph":
            raise ParameterError(
                "MF: generated='graph': it has no graph; pass 'loss' or 'both'",
                asked=self.generated,
                there=("loss", "both"),
            )
        return Embeddings(*self._start(links, rng))
