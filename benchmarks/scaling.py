"""How time and memory grow with the graph: a power-law bipartite graph of 1 M and 10 M edges, of 50
M with --large.

    python benchmarks/scaling.py [--large] [--only propagation gfcf] [--out results.jsonl]

Every size and part runs in a process of its own, one thread. An edge of a bigger graph should cost
the same: goals are time per edge within 3 times across sizes (vectors leave the cache), memory per
edge within 1.2 times, and time per user and item of an evaluation within 1.5 times. Nodes grow with
the edges: 30 edges a user, 100 an item. Seconds are of CPU. Memory is the most that was resident
during the part, beyond what stood there before the graph was made, so it counts the graph.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator

sys.path.insert(0, str(Path(__file__).parent / "peers"))
from serve import peak
from world import RELATION, graph

MILLION = 1_000_000
TIME, MEMORY, FLAT = 3.0, 1.2, 1.5
USERS, K = 1024, 20  # that are ranked for


def world(edges: int) -> sp.csr_array:
    """Distinct pairs, popularity of users and items as powers of their rank, which says nothing
    about their number.
    """
    rng = np.random.default_rng(0)
    ends = []
    for n, start, power in ((edges // 30, 30.0, 0.5), (edges // 100, 30.0, 0.8)):
        total = np.cumsum((np.arange(n) + start) ** -power)
        place = np.searchsorted(total, rng.random(edges + edges // 8) * total[-1])
        ends.append(rng.permutation(n)[np.minimum(place, n - 1)])
    pairs = np.unique(ends[0].astype(np.int64) * (edges // 100) + ends[1])
    pairs = np.sort(rng.permutation(pairs)[:edges])
    rows, columns = np.divmod(pairs, edges // 100)
    matrix = sp.coo_array(
        (np.ones(len(pairs), np.float32), (rows, columns)), shape=(edges // 30, edges // 100)
    )
    return matrix.tocsr()


def seconds(run: Callable[[], Any], times: int = 3) -> float:
    """Median CPU seconds."""
    took = []
    for _ in range(times):
        start = time.process_time()
        run()
        took.append(time.process_time() - start)
    return float(np.median(took))


def resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


# ---- parts: (seconds, what they are divided by[, products with the graph]) -----------------------


def propagation(matrix: sp.csr_array, hin: Any) -> tuple[float, int]:
    """LightGCN's three layers, forward and backward, d = 64."""
    import torch

    from hinaug.nn import BipartitePropagation

    layer = BipartitePropagation(matrix, 3)
    x = [torch.randn(n, 64).requires_grad_() for n in matrix.shape]

    def run() -> None:
        for part in x:
            part.grad = None
        torch.autograd.backward(layer(*x), [torch.ones_like(part) for part in x])

    run()
    return seconds(run), matrix.nnz


def gfcf(matrix: sp.csr_array, hin: Any) -> tuple[float, int, int]:
    """The graph filter with 16 singular vectors, fitted; and how often it multiplied by the graph
    and by its transpose.
    """
    from hinaug.predictors import GFCF
    from hinaug.predictors import gfcf as module

    svds, products = module.svds, [0]

    def counted(graph: sp.csr_array, *arguments: Any, **named: Any) -> Any:
        def multiply(x: np.ndarray) -> np.ndarray:
            products[0] += 1
            return graph @ x

        operator = LinearOperator(
            graph.shape, multiply, rmatvec=lambda x: graph.T @ x, dtype=graph.dtype
        )
        return svds(operator, *arguments, **named)

    module.svds = counted
    try:
        took = seconds(lambda: GFCF(RELATION, dim=16).fit(hin, rng=0), 1)
    finally:
        module.svds = svds
    return took, matrix.nnz, products[0]


def step(matrix: sp.csr_array, hin: Any, **settings: Any) -> tuple[float, int]:
    """One step of training, between calls of the loss."""
    from hinaug.predictors import LightGCN

    marks: list[float] = []

    class Marked(LightGCN):
        def _objective(self, links: sp.csr_array, rng: np.random.Generator) -> Any:
            loss = super()._objective(links, rng)

            def marked(*z: Any) -> Any:
                marks.append(time.process_time())
                return loss(*z)

            return marked

    Marked(RELATION, dim=64, steps=4, threads=1, **settings).fit(hin, rng=0)
    return float(np.median(np.diff(marks))), matrix.nnz


def bpr(matrix: sp.csr_array, hin: Any) -> tuple[float, int]:
    return step(matrix, hin, loss="bpr")


def sampled(matrix: sp.csr_array, hin: Any) -> tuple[float, int]:
    return step(matrix, hin, loss="sampled", negatives=256)


def ranking(matrix: sp.csr_array, hin: Any) -> tuple[float, int]:
    """The 20 best of all items, what a user has left out, and the measures of them; d = 64, by user
    and item.
    """
    from hinaug.training import ranking

    rng = np.random.default_rng(1)
    users, items = (rng.standard_normal((n, 64), np.float32) for n in (USERS, matrix.shape[1]))
    relevant = matrix[rng.choice(matrix.shape[0], USERS, replace=False)]

    def run() -> None:
        for at in range(0, USERS, 512):
            rows = slice(at, at + 512)
            ranked, _ = ranking.top_k(users[rows] @ items.T, K, exclude=relevant[rows])
            ranking.ndcg(ranked, relevant[rows], K)

    return seconds(run), USERS * matrix.shape[1]


PARTS = {
    "propagation": propagation,
    "gfcf": gfcf,
    "bpr step": bpr,
    "sampled step": sampled,
    "ranking": ranking,
}


def measure(part: str, edges: int) -> dict[str, float]:
    import torch

    import hinaug.predictors  # noqa: F401 - what an import holds is not counted

    torch.set_num_threads(1)
    small = world(60_000)
    PARTS[part](small, graph(small))  # libraries load at their first call
    cache = Path.home() / ".cache" / "hinaug"
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"scaling-{edges}.npz"
    if not path.exists():  # made by another process, so that the making is not in the peak
        subprocess.run([sys.executable, __file__, "--make", str(path), str(edges)], check=True)
    before = resident()
    peak(reset=True)
    matrix = sp.load_npz(path)
    hin = graph(matrix)
    took, of, *products = PARTS[part](matrix, hin)
    row = {
        "seconds": took,
        "of": of,
        "mb": peak() - before,
        "edges": matrix.nnz,
        "items": matrix.shape[1],
    }
    return row | ({"products": products[0]} if products else {})


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--large", action="store_true", help="50 M edges too")
    parser.add_argument(
        "--sizes", type=float, nargs="+", help="millions of edges, instead of 1 and 10"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, help="JSON lines are appended here")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)  # one measurement, in a child
    parser.add_argument("--make", nargs=2, help=argparse.SUPPRESS)  # one graph, in a child
    options = parser.parse_args()
    if options.make:
        sp.save_npz(options.make[0], world(int(options.make[1])), compressed=False)
        return 0
    if options.run:
        print(json.dumps(measure(options.run[0], int(options.run[1]))))
        return 0
    sizes = [int(s * MILLION) for s in options.sizes or ([1, 10, 50] if options.large else [1, 10])]
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    print(f"load average {os.getloadavg()[0]:.1f} at the start")
    print(
        f"{'part':<16}{'M edges':>9}{'CPU s':>10}{'ns each':>10}{'MB':>8}{'bytes/edge':>12}",
        flush=True,
    )
    for part in options.only:
        rows = []
        for size in sizes:
            command = [sys.executable, __file__, "--run", part, str(size)]
            ran = subprocess.run(command, env=env, capture_output=True, text=True)
            if ran.returncode:
                why = ran.stderr.strip().split("\n")[-1] or f"signal {-ran.returncode}"
                print(f"{part:<16}{size / MILLION:>9g}  failed: {why}", flush=True)
                continue
            row = json.loads(ran.stdout.splitlines()[-1])
            row |= {
                "part": part,
                "ns": row["seconds"] / row["of"] * 1e9,
                "bytes": row["mb"] * 2**20 / row["edges"],
            }
            row["each"] = row["ns"] / row.get("products", 1)
            rows.append(row)
            print(
                f"{part:<16}{row['edges'] / MILLION:>9.1f}{row['seconds']:>10.3f}{row['ns']:>10.3f}{row['mb']:>8.0f}"
                f"{row['bytes']:>12.0f}" + (f"  {row['products']} "
                                            "products" if "products" in row else ""), flush=True,
            )  # fmt: skip
            if options.out:
                with options.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
        if len(rows) > 1:
            flat = part == "ranking"
            goals = [
                ("time a user and item" if flat else "time an edge", "ns", FLAT if flat else TIME)
            ]
            goals += [] if flat else [("memory an edge", "bytes", MEMORY)]
            if "products" in rows[0]:
                goals.append(("time an edge and product", "each", TIME))
            for name, key, most in goals:
                grows = max(r[key] for r in rows) / rows[0][key]
                print(
                    f"  {name} grows {grows:.2f} times, goal {most:g}: "
                    f"{'met' if grows <= most else 'missed'}"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
