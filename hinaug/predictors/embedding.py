"""What LightGCN, XSimGCL and MF share: one vector a node, trained on all links at every step, and
when to stop.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions
from hinaug.predictors.base import LinkPredictor
from hinaug.progress import track
from hinaug.training.objectives import (
    BPR,
    Cosine,
    DrawPrior,
    Objective,
    SampledSoftmax,
    Softmax,
    rows_alike,
)
from hinaug.training.threads import torch_threads
from hinaug.training.validation import Validation

SMALL = 50_000_000  # links x dim below which a second thread costs more than it gives


class Network(nn.Module):
    """The vectors of sources and targets, E [n, dim], and what a model makes of them.

    `forward` gives final vectors (users, items). While training it may leave a loss of its own in
    `extra`.
    """

    def __init__(self, shape: tuple[int, int], dim: int, rng: np.random.Generator) -> None:
        super().__init__()
        self.users, self.items = (
            nn.Parameter(torch.from_numpy(0.1 * rng.standard_normal((n, dim), np.float32)))
            for n in shape
        )
        self.extra: Tensor | float = 0.0

    def forward(self) -> tuple[Tensor, Tensor]:
        return self.users, self.items


@dataclass(eq=False)
class EmbeddingPredictor(LinkPredictor):
    """Full-batch training of a `Network`: a subclass says which one in `_network(hin, links, rng)`,
    and its DEFAULTS.

    loss: "bpr", -log sigmoid(<z_u, z_i - z_j>) with j drawn anew for each link and step from what u
        has not (Rendle et al., UAI 2009); "softmax", -log softmax over all targets of <z_u, .> /
        temperature; or "sampled", the same with the sum over all targets estimated from `negatives`
        of them.
    power: of "sampled": targets are drawn in proportion to their links^power, links counted as the
        loss weighs them. 0, uniformly, estimates the softmax; 1 draws as often as the negatives of
        a batch of links would, and ranked best on gowalla, with cosines.
    cosine: the softmaxes are of cosines (Wu et al., "On the Effectiveness of Sampled Softmax Loss
        for Item Recommendation", TOIS 2024). Scores stay inner products, which ranked better than
        cosines on gowalla. Try it where targets are many: there it learned in a fraction of the
        steps; on a small catalogue it lost. l2 is 0 then where it is None. Tune the temperature
        first.
    temperature: of the softmaxes; None takes 1, or 0.1 for cosines.
    mean_over: "links", or "sources": the mean over sources of the mean over their links, as where
        batches draw a source first and then a link of it.
    dim: width of the embeddings. lr: of Adam. l2: the precision of a normal prior on every
        parameter, l2 / (2 n_links) |E|^2.
    prior: "nodes", as just said, or for "bpr" "draws": l2 / 2 times the mean of |e_u|^2 + |e_i|^2 +
        |e_j|^2 over what the loss draws (the negatives by their mean, 1 / targets each), so that
        popular nodes are held shorter; l2 None is 1e-4 then. BPR as published code has it is
        mean_over="sources", prior="draws".
    steps: at most; None takes the default of the loss, as for lr and l2.
    check_every, patience: with `valid`, NDCG@20 is measured every `check_every` steps, training
        ends when `patience` measures in a row bring nothing new, and the best embeddings are kept.
        `refit` then trains for as many steps.
    weight: a numeric edge column as weights of the links; "confidence" weighs generated edges by
        what they say.
    threads: of torch. None takes one where the graph is small, since a second would spin for
        nothing, and else all.
    device: where to train; None takes a GPU when there is one. What was learned is kept on the CPU
        either way.

    Learned: final vectors `users_`, `items_`; `steps_`; `curve_`, the measures on `valid`.
    """

    DEFAULTS: ClassVar[dict[str, dict[str, Any]]] = {}

    loss: str = "bpr"
    dim: int = 128
    lr: float | None = None
    l2: float | None = None
    steps: int | None = None
    cosine: bool = False
    temperature: float | None = None
    negatives: int = 2048
    power: float = 0.0
    mean_over: str = "links"
    prior: str = "nodes"
    check_every: int = 10
    patience: int = 4
    weight: str | None = None
    threads: int | None = None
    device: str | None = None

    def _network(self, hin: HIN, links: sp.csr_array, rng: np.random.Generator) -> Network:
        raise NotImplementedError(f"{type(self).__name__} has no _network")

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        who = type(self).__name__
        if self.loss not in self.DEFAULTS:
            raise ParameterError(
                f"{who}: loss={self.loss!r}; expected one of {list(self.DEFAULTS)}"
            )
        for name in ("dim", "check_every", "patience", "steps", "negatives"):
            if self._setting(name) < 1:
                raise ParameterError(f"{who}: {name}={self._setting(name)!r}; at least 1")
        if self.cosine and self.loss == "bpr":
            raise ParameterError(
                f'{who}: cosine=True is for the softmaxes; take loss="softmax" or "sampled" with it'
            )
        if self.mean_over not in ("links", "sources"):
            raise ParameterError(
                f'{who}: mean_over={self.mean_over!r}; expected "links" or "sources"'
            )
        if self.prior not in ("nodes", "draws"):
            raise ParameterError(f'{who}: prior={self.prior!r}; expected "nodes" or "draws"')
        if self.prior == "draws" and self.loss != "bpr":
            raise ParameterError(
                f'{who}: prior="draws" is for loss="bpr", and the loss is {self.loss!r}'
            )
        if not 0 <= self.power < np.inf:
            raise ParameterError(f"{who}: power={self.power!r}; at least 0")
        if self.power and self.loss != "sampled":
            raise ParameterError(
                f'{who}: power={self.power!r} is for loss="sampled", and the loss is {self.loss!r}'
            )
        if self.temperature is not None and not self.temperature > 0:
            raise ParameterError(f"{who}: temperature={self.temperature!r}; above 0")
        if hin.n(self.relation) == 0:
            raise ParameterError(f"{who}: there are no {self.relation} links to learn from")
        measure = (
            None if valid is None or not valid.num_rows else Validation(hin, self.relation, valid)
        )
        self._train(hin, rng, self._setting("steps"), measure)

    def _refit(self, hin: HIN, rng: np.random.Generator) -> None:
        self._train(hin, rng, self.steps_, None)

    def _setting(self, name: str) -> Any:
        given = getattr(self, name)
        if given is None and name == "l2" and self.cosine:
            return 0.0
        if given is None and name == "l2" and self.prior == "draws":
            return 1e-4
        return self.DEFAULTS[self.loss][name] if given is None else given

    def _objective(self, links: sp.csr_array, rng: np.random.Generator) -> Objective:
        if self.loss == "bpr":
            return BPR(links, rng)
        temperature = self.temperature or (0.1 if self.cosine else 1.0)
        softmax: Objective = (
            Softmax(links, temperature)
            if self.loss == "softmax"
            else SampledSoftmax(links, temperature, self.negatives, rng, self.power)
        )
        return Cosine(softmax) if self.cosine else softmax

    def _train(
        self, hin: HIN, rng: np.random.Generator, steps: int, measure: Validation | None
    ) -> None:
        links = interactions(hin, self.relation, self.weight)
        threads = self.threads or (1 if links.nnz * self.dim < SMALL else None)
        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        with torch_threads(threads):
            network = self._network(hin, links, rng).to(device)
            counted = rows_alike(links) if self.mean_over == "sources" else links
            objective = self._objective(counted, rng)
            parameters = list(network.parameters())
            adam = torch.optim.Adam(parameters, lr=self._setting("lr"), fused=True)
            decay = self._setting("l2") / float(links.sum())
            once, by_draw = parameters, None
            if self.prior == "draws":
                once = [p for p in parameters if p is not network.users and p is not network.items]
                by_draw = DrawPrior(counted, self._setting("l2"))
            kept, best, self.steps_, self.curve_ = None, -1.0, steps, []
            for t in track(range(1, steps + 1), f"{type(self).__name__} ({self.loss})"):
                network.train()
                adam.zero_grad()
                loss = objective(*network()) + network.extra
                loss = loss + decay / 2 * sum(p.square().sum() for p in once)
                if by_draw is not None:
                    loss = loss + by_draw(network.users, network.items)
                loss.backward()
                adam.step()
                if measure is not None and (t % self.check_every == 0 or t == steps):
                    z = _final(network)
                    self.curve_.append(measure(partial(_products, *z)))
                    if self.curve_[-1] > best:
                        kept, best, self.steps_ = z, self.curve_[-1], t
                    elif t - self.steps_ >= self.patience * self.check_every:
                        break
            self.users_, self.items_ = _final(network) if kept is None else kept
        self.known_src_ = np.diff(links.indptr) > 0
        self.known_dst_ = np.bincount(links.indices, minlength=links.shape[1]) > 0

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        rows = self._rows(hin, src)
        scores = _products(self.users_, self.items_, rows)
        scores[(rows < 0) | ~self.known_src_[rows]] = np.nan
        scores[:, ~self.known_dst_] = np.nan
        return self._columns(hin, scores)


def _final(network: Network) -> list[np.ndarray]:
    network.eval()
    with torch.no_grad():
        return [x.detach().cpu().numpy().copy() for x in network()]


def _products(users: np.ndarray, items: np.ndarray, src: np.ndarray) -> np.ndarray:
    return users[src] @ items.T
