"""ALS by LensKit (Cholesky): python als_lenskit.py train.npz"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
from lenskit.als import ImplicitMFScorer
from lenskit.data import from_interactions_df
from lenskit.training import TrainingOptions
from serve import Clock, csr, serve

matrix = csr(sys.argv[1])
rows, columns = matrix.nonzero()
data = from_interactions_df(pd.DataFrame({"user_id": rows, "item_id": columns}))
users, items = np.asarray(data.users.ids()), np.asarray(data.items.ids())


def whole(part: np.ndarray, ids: np.ndarray, n: int) -> np.ndarray:
    """Rows of all nodes; those without links in train get zeros."""
    out = np.zeros((n, part.shape[1]), np.float32)
    out[ids] = part
    return out


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """asked: dim, rounds, l2, alpha (LensKit's weight is one less); save, a folder for the factors
    of each round, or null.
    """
    model = ImplicitMFScorer(
        embedding_size=asked["dim"],
        epochs=asked["rounds"],
        regularization=asked["l2"],
        weight=asked["alpha"] - 1,
    )
    times: list[list[float]] = []
    clock = Clock()
    trainer = model.create_trainer(data, TrainingOptions(rng=asked["seed"]))
    for t in range(1, asked["rounds"] + 1):
        trainer.train_epoch()
        times.append(clock.read())
        if asked["save"]:
            parts = {
                "users": whole(model.user_embeddings, users, matrix.shape[0]),
                "items": whole(model.item_embeddings, items, matrix.shape[1]),
            }
            clock.pause(lambda t=t, parts=parts: np.savez(f"{asked['save']}/{t}.npz", **parts))
    return {"times": times}


serve(run)
