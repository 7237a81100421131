"""EASE by LensKit: python ease_lenskit.py train.npz"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
import torch
from lenskit.data import from_interactions_df
from lenskit.knn import EASEScorer
from serve import Clock, csr, serve

matrix = csr(sys.argv[1])
rows, columns = matrix.nonzero()
data = from_interactions_df(pd.DataFrame({"user_id": rows, "item_id": columns}))
items = np.asarray(data.items.ids())


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """asked: l2; save, a file for the weights, or null."""
    torch.set_num_threads(asked["threads"])
    model = EASEScorer(regularization=asked["l2"])
    clock = Clock()
    model.train(data)
    times = clock.read()
    if asked["save"]:
        weights = np.zeros((matrix.shape[1],) * 2, np.float32)
        weights[np.ix_(items, items)] = model.weights
        np.save(asked["save"], weights)
    return {"times": [times]}


serve(run)
