"""LightGCN by hinaug until a target: python lightgcn_hinaug.py parts.npz, as lightgcn_recbole.py
wrote them
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from serve import Clock, serve
from world import RELATION, graph

from hinaug.graph.hin import HIN
from hinaug.predictors import LightGCN
from hinaug.training.run import Epoch
from hinaug.training.validation import Validation

file = np.load(sys.argv[1])
shape = len(file["users"]), len(file["items"])
hin = graph(
    sp.coo_array((np.ones(file["train"].shape[1]), tuple(file["train"])), shape=shape).tocsr()
)
valid = pa.table({"src": file["valid"][0], "dst": file["valid"][1]})


class AtTen(LightGCN):
    """Stopped by NDCG@10, as RecBole is, not @20."""

    def _fit(self, hin: HIN, valid: pa.Table, rng: np.random.Generator) -> None:
        self._train(hin, rng, self._setting("epochs"), Validation(hin, self.relation, valid, k=10))


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """asked: dim, loss. NDCG@10 on valid and the times, by measure; and what RecBole's best vectors
    have by our measure.
    """
    times: list[list[float]] = []
    curve: list[float] = []

    def after(epoch: Epoch) -> None:
        if epoch.value is not None:
            times.append(clock.read())
            curve.append(epoch.value)

    settings = {
        "n_layers": 2,
        "epochs": 400,
        "check_every": 5,
        "patience": 12,
    }  # layers as RecBole; the rest are defaults
    model = AtTen(
        RELATION,
        loss=asked["loss"],
        embedding_dim=asked["dim"],
        threads=asked["threads"],
        **settings,
    )
    with model.training(callbacks=[after]):
        clock = Clock()
        model.fit(hin, valid=valid, rng=asked["seed"])
    theirs = Validation(hin, RELATION, valid, k=10)(
        lambda src: file["users"][src] @ file["items"].T
    )
    return {"times": times, "curve": curve, "theirs": theirs}


serve(run)
