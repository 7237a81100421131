"""LightGCN's propagation, 3 layers and their mean, forward and backward, in one process: python
propagation.py train.npz

hinaug takes users and items apart, the others all nodes in one array: each has what it asks for.
All have the normalised weights and whatever else can be made once before the clock starts.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from serve import Clock, csr, serve
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.nn import LGConv

from hinaug.nn import BipartitePropagation

LAYERS = 3
warnings.filterwarnings(
    "ignore", message="Sparse"
)  # torch on its own CSR tensors, which EdgeIndex makes
matrix = csr(sys.argv[1])


def layered(step: Callable[[Tensor], Tensor]) -> Callable[..., tuple[Tensor, ...]]:
    def run(x: Tensor) -> tuple[Tensor, ...]:
        out = x
        for _ in range(LAYERS):
            x = step(x)
            out = out + x
        return (out / (LAYERS + 1),)

    return run


def methods() -> dict[str, Callable[..., Any]]:
    n = sum(matrix.shape)
    ours = BipartitePropagation(matrix, LAYERS)
    half = ours.matrix
    block = sp.csr_array(
        (half.values.numpy(), half.indices.numpy(), half.indptr.numpy()), shape=matrix.shape
    )
    a = sp.csr_array(sp.block_array([[None, block], [block.T, None]]))
    coo = a.tocoo()
    edges, weight = (
        torch.from_numpy(np.stack([coo.row, coo.col])).long(),
        torch.from_numpy(coo.data),
    )
    index = EdgeIndex(edges, sparse_size=(n, n), sort_order="row", is_undirected=True).fill_cache_()
    conv = LGConv(normalize=False)
    own = torch.sparse_csr_tensor(
        *(torch.from_numpy(x) for x in (a.indptr, a.indices, a.data)), size=(n, n)
    )
    return {
        "hinaug": ours,
        "PyG EdgeIndex.matmul": layered(lambda x: index.matmul(x, input_value=weight)),
        "PyG LGConv": layered(lambda x: conv(x, edges, weight)),
        "torch CSR": layered(lambda x: own @ x),
    }


runs = methods()


def copy_speed(size: int = 1 << 28) -> float:
    """Bytes a second, read and written, of CPU, of a copy that no cache holds; one thread."""
    a, b = (torch.ones(size // 4) for _ in range(2))
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        b.copy_(a)
        best = min(best, time.process_time() - start)
    return 2 * size / best


def traffic(dim: int) -> int:
    """Bytes that forward and backward must move if nothing stays in a cache: for each entry a row,
    an index and a value; for each row the result, and its sum with the layers before (read, read,
    write).
    """
    entries, rows = 2 * matrix.nnz, sum(matrix.shape)
    return 2 * LAYERS * (entries * (4 * dim + 8) + rows * 4 * dim * 4)


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """asked: method, dim; or method "copy"."""
    torch.set_num_threads(asked["threads"])
    if asked["method"] == "copy":
        return {"speed": copy_speed(), "bytes": traffic(asked["dim"])}
    n, method = sum(matrix.shape), runs[asked["method"]]
    sizes = list(matrix.shape) if asked["method"] == "hinaug" else [n]
    x, target = (
        torch.randn(n, asked["dim"], generator=torch.Generator().manual_seed(s)) for s in (0, 1)
    )
    leaves = [part.clone().requires_grad_() for part in x.split(sizes)]
    clock = Clock()
    out = method(*leaves)
    torch.autograd.backward(out, target.split(sizes))
    times = clock.read()
    made = torch.cat([*out, *(leaf.grad for leaf in leaves if leaf.grad is not None)]).detach()
    pick = torch.arange(0, made.numel(), max(1, made.numel() // 20000))
    return {"times": [times], "sample": made.flatten()[pick].tolist()}


serve(run)
