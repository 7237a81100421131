"""LightGCN: embeddings propagated over the graph, trained on all links at every step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag, softplus

from hinaug.base import LinkPredictor, interactions
from hinaug.hin import HIN
from hinaug.nn import BipartitePropagation, softmax_loss
from hinaug.predictors.training import Validation, torch_threads
from hinaug.progress import track

BLOCK = 2048  # pairs gathered at once: the buffers stay in the cache
SMALL = 50_000_000  # links x dim below which a second thread costs more than it gives
DEFAULTS: dict[str, dict[str, Any]] = {  # what None stands for
    "bpr": {"layers": 2, "lr": 0.014, "l2": 0.2, "steps": 240},
    "softmax": {"layers": 3, "lr": 0.1, "l2": 2.0, "steps": 150},
}


@dataclass(eq=False)
class LightGCN(LinkPredictor):
    """LightGCN (He et al., "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation", SIGIR 2020).

    Embeddings E of sources and targets are propagated over the links (`hinaug.nn.BipartitePropagation`),

        z = mean over l = 0..layers of A^l E,      score(u, i) = <z_u, z_i>,

    and minimise, with Adam and all links at every step,

        mean over links (u, i) of loss(u, i) + l2 / (2 n_links) |E|^2.

    loss: "bpr", -log sigmoid(<z_u, z_i - z_j>) with j drawn anew for each link and step from what u has not (Rendle et al.,
        UAI 2009); or "softmax", -log softmax over all targets of <z_u, .> / temperature. Tune both: neither wins everywhere.
    dim: width of the embeddings.
    layers, lr, l2, steps: None takes 2, 0.014, 0.2, 240 for "bpr" and 3, 0.1, 2.0, 150 for "softmax". For "bpr" a third
        layer helps where links are few and hurts where they are many. l2 is the precision of a normal prior on E and
        matters most. As the prior counts each embedding once, however many links it has, one value serves
        thin and dense data alike; still try a half and twice as much.
    temperature: of the softmax. Together with l2 it is one knob too many: leave it at 1.
    check_every, patience: with `valid`, NDCG@20 is measured every `check_every` steps, training ends when `patience`
        measures in a row bring nothing new, and the best embeddings are kept. `refit` then trains for as many steps.
    weight: a numeric edge column as weights of the links, in the propagation and in the loss; "confidence" weighs
        generated edges by what they say.
    threads: of torch. None takes one where the graph is small, since a second would spin for nothing, and else all.

    Learned: final embeddings `users_`, `items_`; `steps_`; `curve_`, the measures on `valid`. Transductive: NaN for what
    had no link at fit time. A step costs O(links x dim) for "bpr" and O(sources x targets x dim) for "softmax"; memory
    O((sources + targets) x dim + links).
    """

    loss: str = "bpr"
    dim: int = 128
    layers: int | None = None
    lr: float | None = None
    l2: float | None = None
    steps: int | None = None
    temperature: float = 1.0
    check_every: int = 10
    patience: int = 4
    weight: str | None = None
    threads: int | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        if self.loss not in DEFAULTS:
            raise ValueError(f"LightGCN: loss={self.loss!r}; expected one of {list(DEFAULTS)}")
        for name in ("dim", "check_every", "patience", "steps"):
            if self._setting(name) < 1:
                raise ValueError(f"LightGCN: {name}={self._setting(name)!r}; at least 1")
        if hin.n(self.relation) == 0:
            raise ValueError(f"LightGCN: there are no {self.relation} links to learn from")
        measure = None if valid is None or not valid.num_rows else Validation(hin, self.relation, valid)
        self._train(hin, rng, self._setting("steps"), measure)

    def _refit(self, hin: HIN, rng: np.random.Generator) -> None:
        self._train(hin, rng, self.steps_, None)

    def _setting(self, name: str) -> Any:
        given = getattr(self, name)
        return DEFAULTS[self.loss][name] if given is None else given

    def _train(self, hin: HIN, rng: np.random.Generator, steps: int, measure: Validation | None) -> None:
        links = interactions(hin, self.relation, self.weight)
        threads = self.threads or (1 if links.nnz * self.dim < SMALL else None)
        with torch_threads(threads):
            users, items = (
                torch.from_numpy(0.1 * rng.standard_normal((n, self.dim), np.float32)).requires_grad_()
                for n in links.shape
            )
            propagate = BipartitePropagation(links, self._setting("layers"))
            objective = _BPR(links, rng) if self.loss == "bpr" else _Softmax(links, self.temperature)
            adam = torch.optim.Adam([users, items], lr=self._setting("lr"), fused=True)
            decay = self._setting("l2") / links.sum()
            kept, best, self.steps_, self.curve_ = None, -1.0, steps, []
            for t in track(range(1, steps + 1), f"LightGCN ({self.loss})"):
                adam.zero_grad()
                loss = objective(*propagate(users, items)) + decay / 2 * (users.square().sum() + items.square().sum())
                loss.backward()
                adam.step()
                if measure is not None and (t % self.check_every == 0 or t == steps):
                    with torch.no_grad():
                        z = [x.numpy() for x in propagate(users, items)]
                    self.curve_.append(measure(partial(_products, *z)))
                    if self.curve_[-1] > best:
                        kept, best, self.steps_ = z, self.curve_[-1], t
                    elif t - self.steps_ >= self.patience * self.check_every:
                        break
            if kept is None:
                with torch.no_grad():
                    kept = [x.numpy() for x in propagate(users, items)]
        self.users_, self.items_ = kept
        self.known_src_ = np.diff(links.indptr) > 0
        self.known_dst_ = np.bincount(links.indices, minlength=links.shape[1]) > 0

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        rows = self._rows(hin, src)
        scores = _products(self.users_, self.items_, rows)
        scores[(rows < 0) | ~self.known_src_[rows]] = np.nan
        scores[:, ~self.known_dst_] = np.nan
        return self._columns(hin, scores)


def _products(users: np.ndarray, items: np.ndarray, src: np.ndarray) -> np.ndarray:
    return users[src] @ items.T


class _Softmax:
    """Mean over the links (u, i) of -log softmax over all items of <z_u, z_i> / temperature."""

    def __init__(self, links: sp.csr_array, temperature: float) -> None:
        self.links, self.temperature = links, temperature

    def __call__(self, users: Tensor, items: Tensor) -> Tensor:
        return softmax_loss(users, items, self.links, self.temperature)


class _BPR:
    """Mean over the links (u, i) of -log sigmoid(<z_u, z_i - z_j>), j drawn anew at each step from what u has not."""

    def __init__(self, links: sp.csr_array, rng: np.random.Generator) -> None:
        links = links.sorted_indices()
        self.rng, self.width = rng, links.shape[1] + 1
        degree = np.diff(links.indptr).astype(np.int64)
        self.src = np.repeat(np.arange(len(degree)), degree)
        self.pos = links.indices.astype(np.int64)
        self.share = torch.from_numpy(links.data / links.data.sum())
        # of the items below the n-th one that u has, `pos - n` are free; so the r-th free item lies past every
        # item of u for which that number is at most r
        self.first = links.indptr[self.src].astype(np.int64)
        self.free = (links.shape[1] - degree)[self.src]
        self.below = self.src * self.width + self.pos - (np.arange(len(self.pos)) - self.first)

    def negatives(self) -> np.ndarray:
        """One item for each link, uniform over those its user has not; the link's own item for a user who has all."""
        r = (self.rng.random(len(self.src)) * self.free).astype(np.int64)
        past = np.searchsorted(self.below, self.src * self.width + r, side="right") - self.first
        return np.where(self.free > 0, r + past, self.pos)

    def __call__(self, users: Tensor, items: Tensor) -> Tensor:
        src, pos, neg = (torch.from_numpy(a) for a in (self.src, self.pos, self.negatives()))
        return self.share @ softplus(-_Gap.apply(users, items, src, pos, neg))


class _Gap(torch.autograd.Function):
    """<u[src], i[pos] - i[neg]> [n]; the gradients are sparse products, and nothing of size n x d is kept."""

    @staticmethod
    def forward(ctx: Any, users: Tensor, items: Tensor, src: Tensor, pos: Tensor, neg: Tensor) -> Tensor:
        ctx.save_for_backward(users, items, src, pos, neg)
        gap = users.new_empty(len(src))
        u, p, n = (users.new_empty(BLOCK, users.shape[1]) for _ in range(3))
        for at in range(0, len(src), BLOCK):
            rows, size = slice(at, at + BLOCK), min(BLOCK, len(src) - at)
            for x, index, out in ((users, src, u), (items, pos, p), (items, neg, n)):
                torch.index_select(x, 0, index[rows], out=out[:size])
            torch.sum(p[:size].sub_(n[:size]).mul_(u[:size]), 1, out=gap[rows])
        return gap

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        users, items, src, pos, neg = ctx.saved_tensors
        twice, both, sign = torch.cat([src, src]), torch.cat([pos, neg]), torch.cat([grad, -grad])
        return (
            _rows(twice, both, sign, len(users), items),
            _rows(both, twice, sign, len(items), users),
            None,
            None,
            None,
        )


def _rows(group: Tensor, index: Tensor, value: Tensor, size: int, x: Tensor) -> Tensor:
    """[size, d]: row g sums value * x[index] over the entries of group g."""
    order = group.argsort(stable=True)
    indptr = torch.zeros(size + 1, dtype=torch.int64)
    torch.cumsum(torch.bincount(group, minlength=size), 0, out=indptr[1:])
    return embedding_bag(index[order], x, indptr, mode="sum", per_sample_weights=value[order], include_last_offset=True)
