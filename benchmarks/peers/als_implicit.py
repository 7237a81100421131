"""ALS by `implicit`: python als_implicit.py train.npz"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from serve import Clock, csr, serve
from threadpoolctl import threadpool_limits

matrix = csr(sys.argv[1])


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """asked: dim, rounds, l2, alpha, cg; save, a folder for the factors of each round, or null."""
    model = AlternatingLeastSquares(
        factors=asked["dim"], regularization=asked["l2"], alpha=asked["alpha"], iterations=asked["rounds"],
        use_cg=asked["cg"], num_threads=asked["threads"], random_state=asked["seed"],
    )  # fmt: skip
    times: list[list[float]] = []

    def after(iteration: int, seconds: float, loss: Any) -> None:
        times.append(clock.read())
        if asked["save"]:
            path = f"{asked['save']}/{iteration + 1}.npz"
            clock.pause(lambda: np.savez(path, users=model.user_factors, items=model.item_factors))

    with threadpool_limits(asked["threads"], "blas"):
        clock = Clock()
        model.fit(matrix, show_progress=False, callback=after)
    return {"times": times}


serve(run)
