"""LightGCN by RecBole on its copy of MovieLens 100K, its own settings, stopped by NDCG@10 on valid:
python lightgcn_recbole.py
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from typing import Any

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed
from serve import Clock, serve

SETTINGS = {
    "epochs": 300, "stopping_step": 10, "valid_metric": "NDCG@10", "metrics": ["NDCG"], "topk": [10],
    "show_progress": False, "use_gpu": False, "state": "ERROR",
}  # fmt: skip


def pairs(loader: Any) -> np.ndarray:
    """[2, n] users and items of a part, from 0: RecBole's 0 is padding."""
    links = loader._dataset.inter_feat
    return np.stack([links["user_id"].numpy(), links["item_id"].numpy()]) - 1


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """asked: dim; save, a file for the pairs, the best vectors, and by epoch NDCG@10 on valid and
    the times.
    """
    torch.set_num_threads(asked["threads"])
    os.chdir(tempfile.mkdtemp())  # it writes logs and checkpoints where it stands
    sys.argv = sys.argv[:1]
    config = Config("LightGCN", "ml-100k", config_dict={**SETTINGS, "embedding_size": asked["dim"]})
    logging.disable(logging.CRITICAL)
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    train, valid, _ = data_preparation(config, dataset)
    init_seed(config["seed"], config["reproducibility"])
    model = get_model(config["model"])(config, train._dataset).to(config["device"])
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    times: list[list[float]] = []
    curve: list[float] = []
    best: list[np.ndarray] = []

    def vectors() -> list[np.ndarray]:
        with torch.no_grad():
            return [x[1:].numpy().copy() for x in model.forward()]

    def after(epoch: int, score: float) -> None:
        times.append(clock.read())
        if score > max(curve, default=-1.0):
            best[:] = clock.pause(vectors)
        curve.append(float(score))

    clock = Clock()
    trainer.fit(train, valid, saved=False, show_progress=False, verbose=False, callback_fn=after)
    parts = {"train": pairs(train), "valid": pairs(valid), "users": best[0], "items": best[1]}
    np.savez(asked["save"], times=times, curve=curve, **parts)
    return {}


serve(run)
