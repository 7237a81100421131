"""What LightGCN, XSimGCL and MF share: one vector a node, trained on all links at every step, and
when to stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, cast

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
import torch
from torch import Tensor

from hinaug.checks import COUNT, NOT_NEGATIVE, POSITIVE, Limits, Space
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions
from hinaug.nn import Embeddings
from hinaug.predictors.base import LinkPredictor, check_positive
from hinaug.training.distributed import Columns, Ranks
from hinaug.training.distributed.blocks import BlockSteps, ColumnBlocks
from hinaug.training.distributed.columns import ColumnBPR
from hinaug.training.distributed.rows import RowBPR, RowNetwork, own_rows
from hinaug.training.loop import train
from hinaug.training.objectives import (
    BPR,
    Cosine,
    DrawPrior,
    Objective,
    SampledSoftmax,
    Softmax,
    rows_alike,
)
from hinaug.training.validation import Validation

SMALL = 50_000_000  # links x embedding_dim below which a second thread costs more than it gives


@dataclass(eq=False)
class EmbeddingPredictor(LinkPredictor):
    """Full-batch training of `hinaug.nn.Embeddings`. A subclass says which one in
    `_network(hin, links, rng)`, and its DEFAULTS.

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
    embedding_dim: width of the embeddings. lr: of Adam.
    l2: the precision of a normal prior on every parameter, l2 / (2 n_links) |E|^2.
    prior: "nodes", as just said, or for "bpr" "draws": l2 / 2 times the mean of |e_u|^2 + |e_i|^2 +
        |e_j|^2 over what the loss draws (the negatives by their mean, 1 / targets each), so that
        popular nodes are held shorter; l2 None is 1e-4 then. BPR as published code has it is
        mean_over="sources", prior="draws".
    epochs: at most, each one step over all links; None takes the default of the loss, as for lr and
        l2.
    check_every, patience: with `valid`, NDCG@20 is measured every `check_every` epochs, training
        ends when `patience` measures in a row bring nothing new, and the best embeddings are kept.
        `refit` then trains for as many epochs.
    weight: a numeric edge column as weights of the links; "confidence" weighs generated edges by
        what they say.
    generated: where edges of deltas count: "loss", in what is learned from; "graph", in what
        vectors are sent along; or "both". Without a graph, "loss" and "both" are one.
    batch_size: links of a step, drawn with replacement; an epoch is one such step. None: all links
        at every step. For MF and LightGCN with "bpr" or "softmax", also on several processes.
    threads: of torch. None takes one where the graph is small, since a second would spin for
        nothing, and else all.
    device: where to train; None takes a GPU when there is one. What was learned is kept on the CPU
        either way.

    Learned: final vectors `users_`, `items_`; `epochs_`; `curve_`, the measures on `valid`.
    """

    DEFAULTS: ClassVar[dict[str, dict[str, Any]]] = {}

    LIMITS: ClassVar[Limits] = {
        "loss": ("bpr", "softmax", "sampled"),
        "mean_over": ("links", "sources"),
        "prior": ("nodes", "draws"),
        "embedding_dim": COUNT,
        "check_every": COUNT,
        "patience": COUNT,
        "epochs": COUNT,
        "batch_size": COUNT,
        "negatives": COUNT,
        "power": NOT_NEGATIVE,
        "temperature": POSITIVE,
        "lr": POSITIVE,
        "l2": NOT_NEGATIVE,
    }
    SPACE: ClassVar[Space] = {"lr": (0.005, 0.2, "log"), "l2": (0.01, 15.0, "log")}
    loss: str = "bpr"
    embedding_dim: int = 128
    lr: float | None = None
    l2: float | None = None
    epochs: int | None = None
    cosine: bool = False
    temperature: float | None = None
    negatives: int = 2048
    power: float = 0.0
    mean_over: str = "links"
    prior: str = "nodes"
    check_every: int = 10
    patience: int = 4
    weight: str | None = None
    generated: str = "both"
    batch_size: int | None = None
    threads: int | None = None
    device: str | None = None

    def _network(self, hin: HIN, links: sp.csr_array, rng: np.random.Generator) -> Embeddings:
        raise NotImplementedError(f"{type(self).__name__} has no _network")

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        self._check_settings()
        if hin.n(self.relation) == 0:
            raise ParameterError(
                f"{type(self).__name__}: there are no {self.relation} links to learn from"
            )
        measure = (
            None if valid is None or not valid.num_rows else Validation(hin, self.relation, valid)
        )
        self._train(hin, rng, self._setting("epochs"), measure)

    def _check_settings(self) -> None:
        """ParameterError for a setting that belongs to another loss."""
        self._check_blocks_fit()
        for name, is_set, losses in (
            ("cosine", self.cosine, ("softmax", "sampled")),
            ("prior", self.prior == "draws", ("bpr",)),
            ("power", self.power > 0, ("sampled",)),
        ):
            if is_set and self.loss not in losses:
                kinds = " or ".join(f'loss="{loss}"' for loss in losses)
                raise ParameterError(
                    f"{type(self).__name__}: {name}={getattr(self, name)!r} is for {kinds}, and "
                    f"the loss is {self.loss!r}",
                    asked=self.loss,
                    there=losses,
                )
        if self._is_by_column() and not (
            self.ON_RANKS and self.loss in ("bpr", "softmax") and not self.cosine
        ):
            raise ParameterError(
                f"{type(self).__name__} with loss={self.loss!r}, cosine={self.cosine}: several "
                'processes and batch_size are for MF and LightGCN with "bpr", or with "softmax" '
                "without cosine",
                asked=self.loss,
                there=("bpr", "softmax"),
            )

    def _is_by_column(self) -> bool:
        """Whether parameters are drawn by column, and links by step."""
        run = self._run
        return bool(run.ranks or run.column_block or run.by_rows) or self.batch_size is not None

    def _check_blocks_fit(self) -> None:
        """ParameterError for blocks of columns, or rows, with what they do not have."""
        run = self._run
        if (run.column_block or run.by_rows) and self.loss != "bpr":
            raise ParameterError(
                f'{type(self).__name__}: column_block and by_rows are for loss="bpr", and the loss '
                f"is {self.loss!r}; leave them out",
                asked=self.loss,
                there=("bpr",),
            )
        features = getattr(self, "features", ()) or getattr(self, "source_features", ())
        if run.by_rows and (features or self.prior == "draws"):
            raise ParameterError(
                f"{type(self).__name__}: by_rows goes without features and with "
                'prior="nodes"; divide columns in place of rows',
                asked=(features, self.prior),
            )

    def _refit(self, hin: HIN, rng: np.random.Generator) -> None:
        self._train(hin, rng, self.epochs_, None)

    def _setting(self, name: str) -> Any:
        given = getattr(self, name)
        if given is None and name == "l2" and self.cosine:
            return 0.0
        if given is None and name == "l2" and self.prior == "draws":
            return 1e-4
        return self.DEFAULTS[self.loss][name] if given is None else given

    def _l2(self, links: sp.csr_array) -> float:
        """The precision of the prior; a subclass may take another default for these links."""
        return float(self._setting("l2"))

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
        self, hin: HIN, rng: np.random.Generator, epochs: int, measure: Validation | None
    ) -> None:
        links = interactions(hin, self.relation, self.weight)
        check_positive(links, type(self).__name__)
        columns, identity = None, [] if measure is None else [measure.digest()]
        if self._is_by_column():
            columns = self._column_draws(int(rng.integers(2**62)))
            identity += [f"seed {columns.seed}"]
        network, epoch, optimizers = self._steps(hin, rng, columns)

        def value() -> float:
            assert measure is not None
            vectors = [self._whole(x) for x in _final(network)]
            return (self._run.ranks or Ranks()).once(lambda: measure(partial(_products, *vectors)))

        trained = train(
            self,
            network,
            epoch,
            epochs=epochs,
            optimizers=optimizers,
            generators=[rng, *network.generators()],
            measure=value if measure is not None else None,
            check_every=self.check_every,
            patience=self.patience,
            identity=identity,
            threads=self.threads or (1 if links.nnz * self.embedding_dim < SMALL else None),
            device=self.device,
        )
        self.epochs_, self.curve_ = trained.epochs, trained.curve
        self.users_, self.items_ = (self._whole(x) for x in _final(network))
        self.known_src_ = np.diff(links.indptr) > 0
        self.known_dst_ = np.bincount(links.indices, minlength=links.shape[1]) > 0
        self._keep(network, links)

    def _steps(
        self, hin: HIN, rng: np.random.Generator, columns: Columns | None
    ) -> tuple[Any, Callable[[int], dict[str, Tensor]], list[torch.optim.Optimizer]]:
        """The network, what an epoch does, and the optimisers whose state a checkpoint keeps."""
        graph = self._counted_links(hin, self.weight, "graph")
        links = self._counted_links(hin, self.weight)
        if columns is not None and self._run.by_rows:
            return self._row_steps(graph, links, columns)
        if columns is not None and self._run.column_block is not None:
            network = ColumnBlocks(self._nets(hin, graph, columns), self._run.on_disk)
            return network, self._block_steps(network, links, columns), []
        draws = rng if columns is None else cast(np.random.Generator, columns)
        whole = self._network(hin, graph, draws)
        loss_of = self._loss_of(whole, links, rng, columns)
        adam = torch.optim.Adam(whole.parameters(), lr=self._setting("lr"), fused=True)

        def epoch(number: int) -> dict[str, Tensor]:
            adam.zero_grad()
            loss = loss_of(number)
            loss.backward()
            adam.step()
            return {"loss": loss}

        return whole, epoch, [adam]

    def _column_draws(self, seed: int) -> Columns:
        """The draws of this process: of its columns, or of all of them where rows are divided."""
        ranks = self._run.ranks or Ranks()
        ranks.check_same(str(getattr(self, "fitted_on_", "")), "graph")
        if not self._run.by_rows:
            return Columns(ranks, self.embedding_dim, seed)
        columns = Columns(Ranks(), self.embedding_dim, ranks.agree(seed))
        columns.ranks = ranks
        return columns

    def _n_layers(self) -> int:
        """Layers of the propagation, of networks that are divided by rows."""
        return 0

    def _row_steps(
        self, graph: sp.csr_array, links: sp.csr_array, columns: Columns
    ) -> tuple[Any, Callable[[int], dict[str, Tensor]], list[torch.optim.Optimizer]]:
        """As `_steps`, with the rows of this rank alone."""
        counted = rows_alike(links) if self.mean_over == "sources" else links
        total, own = float(links.sum()), columns.ranks.share(links.shape[0])
        first, second = (0.1 * x for x in own_rows(columns, links.shape))
        network = RowNetwork(columns.ranks, first, second, graph[own], self._n_layers())
        objective = RowBPR(columns, counted[own], self.batch_size)
        adam = torch.optim.Adam(network.parameters(), lr=self._setting("lr"), fused=True)
        decay = self._l2(links) / total / 2

        def epoch(number: int) -> dict[str, Tensor]:
            adam.zero_grad()
            squares = network.squares()
            users, items = network()
            loss = objective(users, items, decay * squares, number)
            loss.backward()
            adam.step()
            return {"loss": loss}

        return network, epoch, [adam]

    def _nets(self, hin: HIN, graph: sp.csr_array, columns: Columns) -> Iterator[Embeddings]:
        """Networks of `column_block` columns each, over one graph."""
        first: Embeddings | None = None
        for part in columns.parts(self._run.column_block or 1):
            draws = cast(np.random.Generator, part)
            if first is None:
                yield (first := self._network(hin, graph, draws))
            else:
                yield first.over(*self._start(graph, draws))

    def _block_steps(
        self, network: ColumnBlocks, links: sp.csr_array, columns: Columns
    ) -> BlockSteps:
        counted = rows_alike(links) if self.mean_over == "sources" else links
        priors = [self._prior(net, links, counted, torch.float64) for net in network.each]
        objective = ColumnBPR(columns, counted, self.batch_size)
        return BlockSteps(network, objective, priors, self._setting("lr"), self._run.on_disk)

    def _loss_of(
        self,
        network: Embeddings,
        links: sp.csr_array,
        rng: np.random.Generator,
        columns: Columns | None,
    ) -> Callable[[int], Tensor]:
        """What is minimised, for the number of the step."""
        counted = rows_alike(links) if self.mean_over == "sources" else links
        if columns is None:
            objective, prior = self._objective(counted, rng), self._prior(network, links, counted)
            return lambda number: prior(objective(*network()) + network.extra)
        prior = self._prior(network, links, counted, torch.float64)
        scale = 1 / (self.temperature or 1.0)
        by_step = columns.objective(self.loss, counted, self.batch_size, scale)
        nothing = torch.zeros((), dtype=torch.float64)

        def loss_of(number: int) -> Tensor:
            users, items = network()
            return by_step(users, items, prior(nothing), number)

        return loss_of

    def _whole(self, x: np.ndarray) -> np.ndarray:
        """All columns of vectors [n, d] of which each rank has some."""
        ranks = self._run.ranks
        if ranks is None:
            return x
        if self._run.by_rows:
            return ranks.gathered_rows(x)
        return ranks.columns_together(x, self.embedding_dim)

    def _prior(
        self,
        network: Embeddings,
        links: sp.csr_array,
        counted: sp.csr_array,
        dtype: torch.dtype | None = None,
    ) -> Callable[[Tensor], Tensor]:
        """Adds the normal prior on all parameters to a loss, summed in `dtype`."""
        parameters = list(network.parameters())
        l2 = self._l2(links)
        decay = l2 / float(links.sum())
        if self.prior == "nodes":
            return lambda loss: (
                loss + decay / 2 * sum(p.square().sum(dtype=dtype) for p in parameters)
            )
        others = [p for p in parameters if p is not network.users and p is not network.items]
        by_draw = DrawPrior(counted, l2, dtype)
        return lambda loss: (
            loss
            + decay / 2 * sum(p.square().sum(dtype=dtype) for p in others)
            + by_draw(network.users, network.items)
        )

    def _keep(self, network: Embeddings, links: sp.csr_array) -> None:
        """For subclasses that keep more of the network than the final vectors."""

    def vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of the fitted sources [n, d] and targets [m, d]; 0 for one without links."""
        self._check_fitted()
        return (
            np.where(self.known_src_[:, None], self.users_, np.float32(0)),
            np.where(self.known_dst_[:, None], self.items_, np.float32(0)),
        )

    def _start(
        self, links: sp.csr_array, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Initial embeddings of sources [n, d] and targets [m, d], normal with deviation .1."""
        users, items = (
            torch.from_numpy(0.1 * rng.standard_normal((n, self.embedding_dim), np.float32))
            for n in links.shape
        )
        return users, items

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        rows = self._rows(hin, src)
        scores = _products(self.users_, self.items_, rows)
        scores[(rows < 0) | ~self.known_src_[rows]] = np.nan
        scores[:, ~self.known_dst_] = np.nan
        return self._columns(hin, scores)


def _final(network: Embeddings | ColumnBlocks) -> list[np.ndarray]:
    network.eval()
    with torch.no_grad():
        return [x.detach().cpu().numpy() for x in network()]


def _products(users: np.ndarray, items: np.ndarray, src: np.ndarray) -> np.ndarray:
    return users[src] @ items.T
