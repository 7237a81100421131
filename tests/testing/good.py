"""A predictor that keeps the contract, for tests to break."""

from dataclasses import dataclass

import numpy as np

from hinaug.predictors.base import LinkPredictor


@dataclass(eq=False)
class Good(LinkPredictor):
    """Counts, and the sum of what the history has in common: enough to break in many ways."""

    scale: float = 1.0

    def _fit(self, hin, valid, rng):
        x = hin.adjacency(self.relation).toarray()
        self.s_ = np.float32(self.scale) * (x.T @ x) + np.float32(0.01) * rng.random(
            (x.shape[1], 1), np.float32
        )

    def _score(self, hin, src):
        return self._columns(hin, self._history(hin, src).toarray() @ self.s_)
