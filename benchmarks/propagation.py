"""One LightGCN layer, forward and backward, side by side in one process: hinaug, scipy, and two
forms of PyG.

    python benchmarks/propagation.py --threads 2 [--json results.jsonl]

All take the normalised weights as given, so only the products are timed. A round runs every method
once, in turn; the median over rounds is shown. Times depend on the machine: read the ratios.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.nn import LGConv

from hinaug.nn import BipartitePropagation


class ScipyProduct(torch.autograd.Function):
    """A x by scipy; A is symmetric."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, a: sp.csr_array) -> Tensor:
        ctx.a = a
        return torch.from_numpy(a @ x.detach().numpy())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return torch.from_numpy(ctx.a @ grad.contiguous().numpy()), None


def world(n_users: int, n_items: int, n_edges: int) -> sp.csr_array:
    """Random pairs, with items of uneven popularity."""
    rng = np.random.default_rng(0)
    popularity = (np.arange(n_items) + 10.0) ** -0.8
    rows, cols = (
        rng.integers(0, n_users, n_edges),
        rng.choice(n_items, n_edges, p=popularity / popularity.sum()),
    )
    matrix = sp.coo_array((np.ones(n_edges), (rows, cols)), shape=(n_users, n_items)).tocsr()
    matrix.data[:] = 1
    return matrix


def methods(r: sp.csr_array) -> dict[str, Callable[..., Any]]:
    """hinaug takes users and items apart, the others all nodes in one array: each has what it asks
    for.
    """
    n = sum(r.shape)
    layer = BipartitePropagation(r, n_layers=1, combine=[0, 1])
    half = layer.matrix
    block = sp.csr_array(
        (half.values.numpy(), half.indices.numpy(), half.indptr.numpy()), shape=r.shape
    )
    a = sp.csr_array(sp.block_array([[None, block], [block.T, None]]))
    coo = a.tocoo()
    edge_index = torch.from_numpy(np.stack([coo.row, coo.col])).long()
    weight = torch.from_numpy(coo.data)
    index = EdgeIndex(
        edge_index, sparse_size=(n, n), sort_order="row", is_undirected=True
    ).fill_cache_()
    conv = LGConv(normalize=False)

    return {
        "hinaug BipartitePropagation": layer,
        "scipy CSR in a Function": lambda x: (ScipyProduct.apply(x, a),),
        "PyG EdgeIndex.matmul": lambda x: (index.matmul(x, input_value=weight),),
        "PyG LGConv": lambda x: (conv(x, edge_index, weight),),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--items", type=int, default=40_000)
    parser.add_argument("--edges", type=int, default=1_200_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", help="append one line per method to this file")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.filterwarnings(
        "ignore", message="Sparse"
    )  # torch on its own CSR tensors, which EdgeIndex makes

    r = world(args.users, args.items, args.edges)
    n = sum(r.shape)
    x = torch.randn(n, args.dim, generator=torch.Generator().manual_seed(0))
    target = torch.randn(n, args.dim, generator=torch.Generator().manual_seed(1))
    times: dict[str, list[float]] = {}
    results: dict[str, tuple[Tensor, Tensor]] = {}
    runs = methods(r)
    for _ in range(args.rounds + 1):  # the first warms up
        for name, run in runs.items():
            sizes = list(r.shape) if name.startswith("hinaug") else [n]
            leaves = [part.clone().requires_grad_() for part in x.split(sizes)]
            start = time.perf_counter()
            out = run(*leaves)
            torch.autograd.backward(out, target.split(sizes))
            times.setdefault(name, []).append(time.perf_counter() - start)
            results[name] = (
                torch.cat(out).detach(),
                torch.cat([leaf.grad for leaf in leaves if leaf.grad is not None]),
            )
    first = next(iter(runs))
    for name, pair in results.items():
        for ours, theirs in zip(results[first], pair, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4, msg=f"{name} differs")

    base = float(np.median(times[first][1:]))
    print(
        f"{r.shape[0]:,} users x {r.shape[1]:,} items, {r.nnz:,} edges, d = {args.dim}, "
        f"{args.threads} thread(s)"
    )
    print(f"{'method':<30}{'median ms':>10}{'min ms':>10}{'ratio':>8}")
    for name, seconds in times.items():
        median, best = float(np.median(seconds[1:])), min(seconds[1:])
        print(f"{name:<30}{median * 1e3:>10.0f}{best * 1e3:>10.0f}{median / base:>8.1f}")
        if args.json:
            record = {
                "method": name,
                "threads": args.threads,
                "edges": int(r.nnz),
                "dim": args.dim,
                "seconds": median,
            }
            with open(args.json, "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
