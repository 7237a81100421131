"""Neighbour sampling: every neighbour is the whole graph, a few are an unbiased mean, also for a
node met twice.
"""

import numpy as np
import scipy.sparse as sp
import torch

from hinaug.nn import HeteroEncoder, NeighborSampler
from hinaug.nn.sampling import sample_rows

LIKES, LIKED = ("user", "likes", "item"), ("item", "liked by", "user")


def world(n=12, m=9, seed=0):
    r = sp.csr_array((np.random.default_rng(seed).random((m, n)) < 0.4).astype(np.float32))
    return {LIKES: r, LIKED: sp.csr_array(r.T)}


def mean(x, block):
    """One layer of plain means, a linear one."""
    out = {}
    for edge, (src, dst) in block.edge_index.items():
        total = np.zeros((block.n_out[edge[2]], next(iter(x.values())).shape[1]))
        np.add.at(total, dst, x[edge[0]][src])
        out[edge[2]] = total / np.maximum(np.bincount(dst, minlength=len(total)), 1)[:, None]
    return {t: out.get(t, x[t][: block.n_out[t]]) for t in block.n_out}


def run(edges, seeds, fanout, rng, x):
    blocks = NeighborSampler(edges).blocks(seeds, fanout, rng)
    h = {t: x[t][at] for t, at in blocks[0].nodes.items()}
    for block in blocks:
        h = mean(h, block)
    return h


def whole(edges, x, layers):
    for _ in range(layers):
        x = {e[2]: (m @ x[e[0]]) / np.maximum(m.sum(axis=1), 1)[:, None] for e, m in edges.items()}
    return x


def test_rows_are_drawn_without_replacement():
    matrix = world()[LIKES]
    place, entry = sample_rows(matrix.indptr, np.array([3, 0, 3]), 2, np.random.default_rng(0))
    degree = np.diff(matrix.indptr)[[3, 0, 3]]
    np.testing.assert_array_equal(np.bincount(place, minlength=3), np.minimum(degree, 2))
    for k, row in enumerate((3, 0, 3)):
        mine = entry[place == k]
        assert len(set(mine)) == len(mine)
        assert ((mine >= matrix.indptr[row]) & (mine < matrix.indptr[row + 1])).all()


def test_every_neighbour_is_the_whole_graph():
    edges, rng = world(), np.random.default_rng(1)
    x = {"user": rng.standard_normal((12, 3)), "item": rng.standard_normal((9, 3))}
    found = run(edges, {"item": np.array([5, 2])}, [None, None, None], rng, x)
    np.testing.assert_allclose(found["item"], whole(edges, x, 3)["item"][[5, 2]])


def test_a_few_neighbours_are_unbiased_through_three_layers():
    edges, rng = world(), np.random.default_rng(2)
    x = {"user": rng.standard_normal((12, 1)), "item": rng.standard_normal((9, 1))}
    draws = np.array(
        [
            run(edges, {"user": np.array([0, 4])}, [2, 2, 2], rng, x)["user"][:, 0]
            for _ in range(4000)
        ]
    )
    error = draws.std(axis=0) / np.sqrt(len(draws))
    expected = whole(edges, x, 3)["user"][[0, 4], 0]
    assert (np.abs(draws.mean(axis=0) - expected) < 4 * error).all()
    assert (draws.std(axis=0) > 0.01).all()


def test_the_encoder_gives_the_same_for_blocks_and_for_the_graph():
    edges, rng = world(), np.random.default_rng(3)
    x = {
        t: torch.from_numpy(rng.standard_normal((n, 4), np.float32))
        for t, n in (("user", 12), ("item", 9))
    }
    for conv in ("sage", "rgcn", "hgt", "han"):
        net = HeteroEncoder(
            {"user": 4, "item": 4},
            [LIKES, LIKED],
            8,
            5,
            2,
            conv,
            generator=torch.Generator().manual_seed(0),
        ).eval()
        index = {}
        for edge, m in edges.items():
            receiver = np.repeat(np.arange(m.shape[0]), np.diff(m.indptr))
            index[edge] = torch.from_numpy(np.stack([m.indices.astype(np.int64), receiver]))
        full = net(x, [index, index])
        seeds = {"user": np.array([7, 1]), "item": np.array([0])}
        blocks = NeighborSampler(edges).blocks(seeds, [None, None], rng)
        layers = [{e: torch.from_numpy(i) for e, i in b.edge_index.items()} for b in blocks]
        part = {t: x[t][torch.from_numpy(at)] for t, at in blocks[0].nodes.items()}
        found = net(part, layers, [b.n_out for b in blocks])
        for type, at in seeds.items():
            torch.testing.assert_close(
                found[type], full[type][torch.from_numpy(at)], atol=1e-5, rtol=1e-4
            )


def test_global_random_state_is_left_alone():
    before = torch.random.get_rng_state()
    HeteroEncoder(
        {"user": 0, "item": 2}, [LIKES, LIKED], 8, 5, conv="hgt", generator=torch.Generator()
    )
    assert torch.equal(torch.random.get_rng_state(), before)
