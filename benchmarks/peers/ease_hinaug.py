"""EASE by hinaug: python ease_hinaug.py train.npz"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from serve import Clock, csr, serve
from world import RELATION, graph

from hinaug.predictors import EASE

hin = graph(csr(sys.argv[1]))


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """asked: l2; save, a file for the weights, or null."""
    model = EASE(RELATION, l2=asked["l2"])
    clock = Clock()
    model.fit(hin)
    times = clock.read()
    if asked["save"]:
        np.save(asked["save"], model.weights_)
    return {"times": [times]}


serve(run)
