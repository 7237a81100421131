"""Training on 1, 2, 4 processes: losses, bytes and seconds, on gowalla or a planted graph.

    python benchmarks/ranks.py [--data FOLDER] [--ranks 1 2 4] [--steps 20] [--loss bpr]

FOLDER holds a split in the layout of LightGCN. Ranks are processes of this machine.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hinaug.datasets import lightgcn_split, planted
from hinaug.predictors import MF, LightGCN
from hinaug.training.distributed import joined


def graph(data):
    if data:
        split = lightgcn_split(data)
        return split.train, split.target
    return planted(2000, 1000, 8, rng=0), ("user", "rates", "item")


def work(arguments):
    """Train, as one of the ranks, and write losses, bytes and seconds."""
    hin, relation = graph(arguments.data)
    method = {"MF": MF, "LightGCN": LightGCN}[arguments.model]
    model = method(
        relation,
        embedding_dim=64,
        epochs=arguments.steps,
        loss=arguments.loss,
        batch_size=arguments.batch,
        threads=1,
    )
    losses, times = [], [time.monotonic()]

    def callback(epoch):
        losses.append(epoch.losses["loss"])
        times.append(time.monotonic())

    with joined(timeout=600) as ranks, model.training(callbacks=[callback], ranks=ranks):
        model.fit(hin, rng=0)
    if ranks.rank == 0:
        own = ranks.share(64)
        nodes = sum(hin.n(relation[side]) for side in (0, 2))
        found = {
            "losses": losses,
            "sent": ranks.sent / 1e6 / arguments.steps,
            "held": 12 * nodes * (own.stop - own.start) / 1e6,
            "seconds": (times[-1] - times[1]) / max(1, len(losses) - 1),
        }
        Path(arguments.out).write_text(json.dumps(found))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--model", default="LightGCN", choices=["MF", "LightGCN"])
    parser.add_argument("--loss", default="bpr", choices=["bpr", "softmax"])
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.out:
        work(arguments)
        return
    first = None
    print("| ranks | losses apart | parameters + Adam, MB | sent a step, MB | s a step |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.ranks:
            out = f"{folder}/{size}.json"
            launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(size)]
            subprocess.run(
                [*launch, __file__, *sys.argv[1:], "--out", out],
                check=True,
                stderr=subprocess.DEVNULL,
            )
            found = json.loads(Path(out).read_text())
            first = first or found["losses"]
            apart = max(abs(a - b) for a, b in zip(first, found["losses"], strict=True))
            print(
                f"| {size} | {apart:.1e} | {found['held']:.1f} | {found['sent']:.3f} "
                f"| {found['seconds']:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
