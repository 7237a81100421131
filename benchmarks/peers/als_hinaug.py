"""ALS by hinaug: python als_hinaug.py train.npz"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import scipy.sparse as sp
from serve import Clock, csr, serve
from world import RELATION, graph

from hinaug.predictors import ALS
from hinaug.predictors.als import SOLVE_STEPS, TOLERANCE

matrix = csr(sys.argv[1])
hin = graph(matrix)


class Watched(ALS):
    """Reads the clock after each round."""

    def _improve(self, rows: np.ndarray, x: sp.csr_array, columns: np.ndarray, *args: Any) -> None:
        super()._improve(rows, x, columns, *args)
        self.halves = getattr(self, "halves", 0) + 1
        if self.halves % 2 == 0:
            self.times.append(self.clock.read())
            if self.save:
                self.clock.pause(lambda: self.kept.append(rows.copy()))


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """asked: dim, rounds, l2, unobserved_weight; save, a folder for the factors of each round, or
    null.

    Factors of users are solved for from their history when they are scored, here as in `ALS.score`.
    """
    model = Watched(
        RELATION,
        embedding_dim=asked["dim"],
        epochs=asked["rounds"],
        l2=asked["l2"],
        unobserved_weight=asked["unobserved_weight"],
    )
    model.times, model.kept, model.save = [], [], asked["save"]
    model.clock = Clock()
    model.fit(hin, rng=asked["seed"])
    for t, items in enumerate(model.kept if asked["save"] else [], 1):
        users = np.zeros((matrix.shape[0], asked["dim"]), np.float32)
        ALS._improve(model, users, sp.csr_array(matrix), items, SOLVE_STEPS, TOLERANCE)
        np.savez(f"{asked['save']}/{t}.npz", users=users, items=items)
    return {"times": model.times}


serve(run)
