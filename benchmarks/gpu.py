"""A card beside the CPU: seconds of a step and the largest difference of the losses.

    python benchmarks/gpu.py [--data FOLDER] [--steps 20]

It needs a CUDA card and takes at most ten minutes: a run ends at its share of that time.
"""

import argparse
import time

import torch

from hinaug.datasets import lightgcn_split, planted
from hinaug.predictors import MF, LightGCN

MINUTES = 10


class OutOfTime(Exception):
    """Ends a training at its share of the time."""


def run(model, hin, limit):
    """Losses of the steps, and the mean seconds of all but the first."""
    losses, times = [], []

    def callback(epoch):
        losses.append(epoch.losses["loss"])
        times.append(time.monotonic())
        if times[-1] > end:
            raise OutOfTime

    end = time.monotonic() + limit
    try:
        with model.training(callbacks=[callback]):
            model.fit(hin, rng=0)
    except OutOfTime:
        pass
    return losses, (times[-1] - times[0]) / max(1, len(times) - 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="a split in the layout of LightGCN; a planted graph if none")
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("gpu.py: torch sees no CUDA card here")
    if arguments.data:
        split = lightgcn_split(arguments.data, rng=0)
        hin, relation = split.train, split.target
    else:
        hin, relation = planted(20000, 10000, 8, rng=0), ("user", "rates", "item")
    cases = [(m, loss) for m in (MF, LightGCN) for loss in ("bpr", "softmax")]
    limit = MINUTES * 60 / (3 * len(cases))
    print(f"{torch.cuda.get_device_name()}\n")
    print("| model | loss | CPU, s a step | card, s a step | losses apart |")
    print("|---|---|---|---|---|")
    for method, loss in cases:
        found = {}
        for device in ("cpu", "cuda"):
            model = method(
                relation, embedding_dim=64, epochs=arguments.steps, loss=loss, device=device
            )
            found[device] = run(model, hin, limit)
        (one, slow), (other, fast) = found["cpu"], found["cuda"]
        apart = max(abs(a - b) for a, b in zip(one, other, strict=False))
        print(f"| {method.__name__} | {loss} | {slow:.4f} | {fast:.4f} | {apart:.1e} |", flush=True)


if __name__ == "__main__":
    main()
