"""Training on 1, 2, 4 processes: losses, bytes and seconds, on gowalla or a planted graph.

    python benchmarks/ranks.py [--data FOLDER] [--ranks 1 2 4] [--steps 20] [--loss bpr]
        [--json FILE]
    python benchmarks/ranks.py --nodes 1e7 --model MF --limit 7 --ranks 1 2 [--block 8] [--disk]

FOLDER holds a split in the layout of LightGCN. Ranks are processes of this machine. With --nodes
the graph has so many nodes, a fifth of them items, and as many links at random. --limit sets
RLIMIT_DATA of each process in GB; a rank that needs more has failed. --block: columns that a step
works on at once. --disk: parameters and optimiser in temporary files.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from hinaug import HIN
from hinaug.datasets import lightgcn_split, planted
from hinaug.predictors import MF, LightGCN
from hinaug.training.distributed import joined

RATES = ("user", "rates", "item")


def graph(data, nodes):
    if data:
        split = lightgcn_split(data, rng=0)
        return split.train, split.target
    if not nodes:
        return planted(2000, 1000, 8, rng=0), RATES
    rng, n, m = np.random.default_rng(0), nodes * 4 // 5, nodes // 5
    links = {"src": rng.integers(0, n, nodes, np.int32), "dst": rng.integers(0, m, nodes, np.int32)}
    return HIN({"user": {"id": np.arange(n)}, "item": {"id": np.arange(m)}}, {RATES: links}), RATES


def work(arguments):
    """Train, as one of the ranks, and write losses, bytes and seconds."""
    if arguments.limit:
        size = int(arguments.limit * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    hin, relation = graph(arguments.data, int(arguments.nodes))
    method = {"MF": MF, "LightGCN": LightGCN}[arguments.model]
    model = method(
        relation,
        embedding_dim=64,
        epochs=arguments.steps,
        loss=arguments.loss,
        batch_size=arguments.batch,
        threads=1,
    )
    losses, times, anon, sent = [], [time.process_time()], [], []

    def callback(epoch):
        losses.append(epoch.losses["loss"])
        times.append(time.process_time())
        anon.append(private())
        sent.append(ranks.sent)

    how = {"column_block": arguments.block, "on_disk": arguments.disk}
    with (
        joined(timeout=3600) as ranks,
        model.training(callbacks=[callback], ranks=ranks, **how),
    ):
        model.fit(hin, rng=0)
    if ranks.rank == 0:
        own = ranks.share(64)
        nodes = sum(hin.n(relation[side]) for side in (0, 2))
        found = {
            "losses": losses,
            "sent": (sent[-1] - sent[0]) / 1e6 / max(1, len(sent) - 1),
            "held": 12 * nodes * (own.stop - own.start) / 1e6,
            "anon": max(anon),
            "seconds": (times[-1] - times[1]) / max(1, len(losses) - 1),
        }
        Path(arguments.out).write_text(json.dumps(found))


def private():
    """Private memory in MB, as the system counts it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1000
    return float("nan")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--model", default="LightGCN", choices=["MF", "LightGCN"])
    parser.add_argument("--loss", default="bpr", choices=["bpr", "softmax"])
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--nodes", type=float, default=0)
    parser.add_argument("--limit", type=float, help="GB a process")
    parser.add_argument("--block", type=int)
    parser.add_argument("--disk", action="store_true")
    parser.add_argument("--json", help="a file to append the rows to")
    parser.add_argument("--out", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.out:
        work(arguments)
        return
    first = None
    print("| ranks | losses apart | parameters + Adam, MB | private, MB | sent, MB | CPU s |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.ranks:
            found = launched(size, f"{folder}/{size}.json")
            if found is None:
                print(f"| {size} | failed | | | | |", flush=True)
                continue
            first = first or found["losses"]
            apart = max(abs(a - b) for a, b in zip(first, found["losses"], strict=True))
            if arguments.json:
                keep(arguments, size, apart, found)
            print(
                f"| {size} | {apart:.1e} | {found['held']:.1f} | {found['anon']:.0f} "
                f"| {found['sent']:.3f} | {found['seconds']:.3f} |",
                flush=True,
            )


def keep(arguments, size, apart, found):
    """Append a row to the file of results."""
    row = {
        "part": "ranks",
        "data": Path(arguments.data).name if arguments.data else "planted",
        "model": arguments.model,
        "loss": arguments.loss,
        "steps": arguments.steps,
        "ranks": size,
        "apart": float(f"{apart:.1e}"),
        "held_mb": round(found["held"], 1),
        "sent_mb": round(found["sent"], 3),
        "cpu_s": round(found["seconds"], 2),
    }
    with open(arguments.json, "a") as file:
        file.write(json.dumps(row) + "\n")


def launched(size, out):
    """What rank 0 found, sent bytes and CPU seconds by step; None where a rank failed."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(size)]
    command = [*launch, __file__, *sys.argv[1:], "--out", out]
    pool = {"ARROW_DEFAULT_MEMORY_POOL": "system"}  # others reserve 1 GB of the limit
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **pool})
    if not done.returncode:
        return json.loads(Path(out).read_text())
    if "memory" not in done.stderr and "alloc" not in done.stderr:
        raise SystemExit(done.stderr)
    return None


if __name__ == "__main__":
    main()
