"""Full ranking of fixed embeddings: python evaluation.py hinaug|pyg data folder

Recall, NDCG and Precision at 20 on test.txt, observed items left out; random vectors with d = 64.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from serve import Clock, peak, serve

from hinaug.datasets.lightgcn import INTERACTS, lightgcn_split
from hinaug.evaluation.evaluate import evaluate
from hinaug.graph.pairs import held_out
from hinaug.predictors.base import LinkPredictor

K, BLOCK = 20, 512
split = lightgcn_split(sys.argv[2], rng=0)
hin = split.train_valid


@dataclass(eq=False)
class Fixed(LinkPredictor):
    """Vectors that are drawn, not learned."""

    dim: int = 64

    def _fit(self, hin: Any, valid: Any, rng: np.random.Generator) -> None:
        self.users_, self.items_ = (
            rng.standard_normal((hin.n(t), self.dim), np.float32)
            for t in (self.relation[0], self.relation[2])
        )

    def _score(self, hin: Any, src: np.ndarray) -> np.ndarray:
        return self._columns(hin, self.users_[self._rows(hin, src)] @ self.items_.T)


model = Fixed(INTERACTS).fit(hin, rng=0)


def by_hinaug() -> list[float]:
    result = evaluate(model, hin, split, k=K, on="test")
    return [result[f"{name}@{K}"] for name in ("Recall", "NDCG", "Precision")]


def by_pyg() -> list[float]:
    """A matrix product, a mask, torch.topk and PyG's metrics, a block of users at a time."""
    import torch
    from torch_geometric.metrics import (
        LinkPredMetricCollection,
        LinkPredNDCG,
        LinkPredPrecision,
        LinkPredRecall,
    )

    metrics = LinkPredMetricCollection([LinkPredRecall(K), LinkPredNDCG(K), LinkPredPrecision(K)])
    users, relevant = held_out(hin, INTERACTS, split.test)
    seen = hin.adjacency(INTERACTS)[users]
    u, items = torch.from_numpy(model.users_[users]), torch.from_numpy(model.items_)

    def coo(matrix: Any, rows: slice) -> torch.Tensor:
        return torch.from_numpy(np.stack(matrix[rows].tocoo().coords)).long()

    for at in range(0, len(users), BLOCK):
        rows = slice(at, at + BLOCK)
        scores = u[rows] @ items.T
        scores[tuple(coo(seen, rows))] = -torch.inf
        metrics.update(scores.topk(K, dim=1).indices, coo(relevant, rows))
    return [
        float(metrics.compute()[f"{name}@{K}"])
        for name in ("LinkPredRecall", "LinkPredNDCG", "LinkPredPrecision")
    ]


def run(asked: dict[str, Any]) -> dict[str, Any]:
    import torch

    torch.set_num_threads(asked["threads"])
    peak(reset=True)
    clock = Clock()
    values = (by_hinaug if sys.argv[1] == "hinaug" else by_pyg)()
    times = clock.read()
    return {"times": [times], "values": values, "peak": peak()}


serve(run)
