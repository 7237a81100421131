"""HeteroGNN: an inductive graph network over attributes, text and typed edges, for nodes never seen
in training as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn.functional import softplus

from hinaug.checks import COUNT, DROPOUT, INSIDE, NOT_NEGATIVE, POSITIVE, Limits, Space
from hinaug.errors import ParameterError
from hinaug.features.columns import MOST_CATEGORIES, Features
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions
from hinaug.graph.schema import EdgeType
from hinaug.nn.hetero import CONVS, HeteroNetwork
from hinaug.nn.losses import softmax_loss
from hinaug.predictors.base import LinkPredictor
from hinaug.predictors.edge_columns import EdgeColumns
from hinaug.predictors.embedding import SMALL
from hinaug.predictors.hetero_graph import MessageGraph, Messages, both_ways, forward
from hinaug.training.loop import train
from hinaug.training.objectives import BPR, Gap
from hinaug.training.threads import torch_threads
from hinaug.training.validation import Validation

SMALLEST = np.float32(1e-12)  # sum of confidences that are divided by, at least


@dataclass(eq=False)
class HeteroGNN(LinkPredictor):
    """score(u, i) = <z_u, z_i>, z from a typed graph network (`hinaug.nn.HeteroEncoder`) over all
    that the graph says.

    Inputs are the node's columns (vectors, numbers, categories; see `Features`) and the logarithms
    of its degrees. Messages pass along every edge type in both directions. Nothing is learned for a
    single node unless `ids` asks for it, so users and items that came later are scored from the
    graph at hand.

    In each step a share `edge_holdout` of the links, drawn anew, leaves the graph that messages go
    along, and these are what is predicted: if the link itself carried messages, the model would
    learn to copy it. What witnesses a held link leaves with it: the edges of `evidence` nodes,
    and the pair under any other edge type. A share `node_dropout` of the nodes at each end is new
    for the step: it loses all such links, what witnesses them, and its vector of `ids`. So the
    network learns what to make of a user or an item that has none, which hardly happens otherwise
    (Volkovs et al., "DropoutNet: Addressing Cold Start in Recommender Systems", NeurIPS 2017). Take
    0 where all that is ranked has links: `benchmarks/notes` has what it brings and costs.

    conv: "sage", "rgcn", "hgt" or "han". columns: {node type: columns}; None takes every usable
        column of every type.
    edge_columns: {edge type: its numeric columns}. "confidence" weighs messages, links in the loss
        and degrees: a generated edge counts by what it says, an observed one as 1. Other columns,
        such as ratings, enter the messages by a learned gate. None takes all numeric columns of
        every type but times; {} reads none.
    edge_weights: {edge type: columns of at least 0} that multiply messages, as confidence does.
    evidence: node types that witness a link, such as ("review",).
    ids: learned vectors for the nodes of the two ends beside all else, with l2 on them; nodes that
        came later have none.
    loss: "softmax" over all targets, or "bpr".
    hidden, embedding_dim, n_layers, heads, dropout: of the network.
    batch_size: None trains on the whole graph, one step an epoch. A number takes so many links a
        step, with `fanout` neighbours of each node and edge type drawn anew in each layer: for
        graphs that do not fit. An epoch is then links / batch_size steps; take fewer epochs.
    epochs, lr, l2, check_every, patience, threads: as in `LightGCN`; l2 counts the ids alone.
        device: None takes a GPU, where sums are added up in any order: two fits with one seed then
        differ in the last digits.

    Learned: `weights_`, the state of `hinaug.nn.HeteroNetwork`; `features_`, `edge_columns_`,
    `epochs_`, `curve_`.
    NaN for a source and a target without any column and edge.
    """

    NO_FOLD_IN: ClassVar[str] = (
        "it reads typed edges and columns from a graph; score a graph that holds the new node, "
        "which needs no refit"
    )
    NO_FOLD_IN_ITEMS: ClassVar[str] = NO_FOLD_IN

    LIMITS: ClassVar[Limits] = {
        "conv": CONVS,
        "loss": ("softmax", "bpr"),
        "edge_holdout": INSIDE,
        "node_dropout": DROPOUT,
        "dropout": DROPOUT,
        "hidden": COUNT,
        "embedding_dim": COUNT,
        "n_layers": COUNT,
        "heads": COUNT,
        "batch_size": COUNT,
        "fanout": COUNT,
        "epochs": COUNT,
        "check_every": COUNT,
        "patience": COUNT,
        "lr": POSITIVE,
        "l2": NOT_NEGATIVE,
    }
    SPACE: ClassVar[Space] = {"lr": (1e-3, 0.05, "log"), "l2": (0.1, 10.0, "log")}
    conv: str = "sage"
    columns: Mapping[str, Sequence[Any]] | None = None
    edge_columns: Mapping[EdgeType, Sequence[str]] | None = None
    edge_weights: Mapping[EdgeType, Sequence[str]] | None = None
    evidence: Sequence[str] = ()
    ids: bool = False
    loss: str = "softmax"
    hidden: int = 64
    embedding_dim: int = 64
    n_layers: int = 2
    heads: int = 2
    dropout: float = 0.0
    edge_holdout: float = 0.3
    node_dropout: float = 0.2
    batch_size: int | None = None
    fanout: int = 10
    epochs: int = 300
    lr: float = 0.01
    l2: float = 1.0
    check_every: int = 10
    patience: int = 5
    threads: int | None = None
    device: str | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        if hin.n(self.relation) == 0:
            raise ParameterError(f"HeteroGNN: there are no {self.relation} links to learn from")
        measure = (
            None if valid is None or not valid.num_rows else Validation(hin, self.relation, valid)
        )
        self._train(hin, rng, self.epochs, measure)

    def _refit(self, hin: HIN, rng: np.random.Generator) -> None:
        self._train(hin, rng, self.epochs_, None)

    def _threads(self, hin: HIN) -> int | None:
        return self.threads or (1 if sum(map(hin.n, hin.edges)) * self.hidden < SMALL else None)

    # ---- training --------------------------------------------------------------------------------

    def _train(
        self, hin: HIN, rng: np.random.Generator, epochs: int, measure: Validation | None
    ) -> None:
        self.features_ = {
            t: Features(t, list(c)).fit(hin) for t, c in self._usable(hin).items() if c
        }
        self.edges_ = both_ways(hin.edges)
        self.edge_columns_ = [encoder.fit(hin) for encoder in self._edge_encoders(hin)]
        graph = self._graph(hin)
        self._learn_scales(graph)
        self.seed_ = int(rng.integers(2**62))
        links = BPR(self._links(hin), rng)
        network = self._network()
        adam = torch.optim.Adam(network.parameters(), lr=self.lr)

        n_links = len(links.src)
        n_steps = 1 if self.batch_size is None else -(-n_links // self.batch_size)

        def step() -> Tensor:
            adam.zero_grad()
            loss = self._loss(network, graph, links, rng)
            for table in network.ids.values():
                loss = loss + self.l2 / 2 / n_links * table.square().sum()
            loss.backward()
            adam.step()
            return loss.detach()

        def epoch(number: int) -> dict[str, Tensor]:
            return {"loss": torch.stack([step() for _ in range(n_steps)]).mean()}

        def value() -> float:
            assert measure is not None
            return measure(partial(_products, *self._vectors(network, graph)))

        trained = train(
            self,
            network,
            epoch,
            epochs=epochs,
            optimizers=[adam],
            generators=[rng, network.generator],
            measure=value if measure is not None else None,
            check_every=self.check_every,
            patience=self.patience,
            name=f"HeteroGNN ({self.conv})",
            identity=[] if measure is None else [measure.digest()],
            threads=self._threads(hin),
            device=self.device,
        )
        self.epochs_, self.curve_ = trained.epochs, trained.curve
        self.weights_ = _arrays(network)

    def _edge_encoders(self, hin: HIN) -> list[EdgeColumns]:
        """An unfitted encoder for each edge type whose columns are read."""
        named, weights = self.edge_columns, self.edge_weights or {}
        for edge_type in [*(named or {}), *weights]:
            hin.edges[edge_type]  # raises, naming what there is
        return [
            EdgeColumns(
                edge_type,
                None if named is None else list(named.get(edge_type, ())),
                list(weights.get(edge_type, ())),
            )
            for edge_type in hin.edges
            if named is None or edge_type in named or edge_type in weights
        ]

    def _links(self, hin: HIN) -> sp.csr_array:
        """The links of the relation, weighed by their confidence where it is read."""
        named = self.edge_columns
        if named is None or "confidence" in named.get(self.relation, ()):
            return interactions(hin, self.relation, "confidence")
        return hin.adjacency(self.relation)

    def _learn_scales(self, graph: MessageGraph) -> None:
        """Mean and deviation of the degrees of each type, and the widths of the inputs."""
        degrees = {t: x for t, x in graph.degrees.items() if len(x)}
        self.centre_ = {t: x.mean(axis=0) for t, x in degrees.items()}
        self.scale_ = {t: np.maximum(x.std(axis=0), 0.1) for t, x in degrees.items()}
        inputs = self._inputs(graph, graph.messages(None))
        self.dims_ = {t: x.shape[1] for t, x in inputs.items()}

    def _loss(
        self,
        network: HeteroNetwork,
        graph: MessageGraph,
        links: BPR,
        rng: np.random.Generator,
    ) -> Tensor:
        """The loss of one step: links drawn anew leave the graph, and the rest predicts them."""
        n = len(links.src)
        size = max(1, min(self.batch_size or round(self.edge_holdout * n), n - 1)) if n > 1 else 1
        held = np.zeros(n, bool)
        held[rng.choice(n, size, replace=False)] = True
        source, _, target = self.relation
        new = {
            t: rng.random(graph.n[t]) < self.node_dropout for t in dict.fromkeys((source, target))
        }
        gone = held | new[source][links.src] | new[target][links.pos]
        share = links.share.numpy()[held]
        src, pos, neg = links.src[held], links.pos[held], links.negatives()[held]
        if self.batch_size is None:
            messages = graph.messages(gone)
        else:
            users, src = np.unique(src, return_inverse=True)
            items, both = np.unique(np.concatenate([pos, neg]), return_inverse=True)
            pos, neg = both[: len(pos)], both[len(pos) :]
            messages = graph.batch(users, items, gone, self.fanout, rng)
        z_src, z_dst = self._forward(network, graph, messages, new)
        at = [torch.from_numpy(np.ascontiguousarray(a)).to(z_src.device) for a in (src, pos, neg)]
        weight = torch.from_numpy(share / max(share.sum(), SMALLEST)).to(z_src.device)
        if self.loss == "bpr":
            return weight @ softplus(-Gap.apply(z_src, z_dst, *at))
        return softmax_loss(z_src, z_dst, torch.stack(at[:2]), weight=weight)

    def _forward(
        self,
        network: HeteroNetwork,
        graph: MessageGraph,
        messages: Messages,
        new: Mapping[str, np.ndarray] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Vectors of sources and targets. new {type: bool [n]}: nodes that lose their ids."""
        device = next(network.parameters()).device
        x = {
            type: torch.from_numpy(rows).to(device)
            for type, rows in self._inputs(graph, messages).items()
        }
        known = {}
        for type, at in messages.nodes.items():
            if network.has_ids(type):
                rows = graph.known[type][at]
                rows = rows if new is None else np.where(new[type][at], -1, rows)
                known[type] = torch.from_numpy(rows).to(device)
        layers = [
            {edge: torch.from_numpy(index).to(device) for edge, index in layer.items()}
            for layer in messages.edges
        ]
        attributes, weights = (
            [{e: torch.from_numpy(rows).to(device) for e, rows in layer.items()} for layer in given]
            for given in (messages.edge_attr, messages.edge_weight)
        )
        out = network(x, layers, messages.n_out, known, attributes, weights)
        return out[self.relation[0]], out[self.relation[2]]

    def _inputs(self, graph: MessageGraph, messages: Messages) -> dict[str, np.ndarray]:
        """What the nodes enter with, float32 [n, width] for each type: degrees and columns."""
        inputs = {}
        for type, at in messages.nodes.items():
            centre, scale = self.centre_.get(type, 0.0), self.scale_.get(type, 1.0)
            parts = [(messages.degrees[type] - centre) / scale]
            if type in graph.features:
                parts.append(graph.features[type][at])
            inputs[type] = np.concatenate(parts, axis=1).astype(np.float32)
        return inputs

    # ---- scoring ---------------------------------------------------------------------------------

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        return _products(*self._per_graph(hin, "vectors", lambda: self._vectors_of(hin)), src)

    def _vectors_of(self, hin: HIN) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of the sources and targets of `hin` from what was learned."""
        with torch_threads(self._threads(hin)):
            network = self._network()
            network.load_state_dict(
                {name: torch.from_numpy(np.array(a)) for name, a in self.weights_.items()}
            )
            return self._vectors(network, self._graph(hin))

    def _vectors(
        self, network: HeteroNetwork, graph: MessageGraph
    ) -> tuple[np.ndarray, np.ndarray]:
        network.eval()
        with torch.no_grad():
            both = self._forward(network, graph, graph.messages(None))
        users, items = (x.cpu().numpy() for x in both)
        users[graph.silent(self.relation[0])] = np.nan
        items[graph.silent(self.relation[2])] = np.nan
        return users, items

    def _network(self) -> HeteroNetwork:
        sizes = {self.relation[0]: len(self.src_ids_), self.relation[2]: len(self.dst_ids_)}
        return HeteroNetwork(
            self.dims_,
            self.edges_,
            self.hidden,
            self.embedding_dim,
            self.n_layers,
            self.conv,
            self.heads,
            self.dropout,
            n_ids=sizes if self.ids else {},
            generator=torch.Generator().manual_seed(self.seed_),
            edge_dims=self._edge_dims(),
        )

    def _edge_dims(self) -> dict[EdgeType, int]:
        """How many attributes the edges of each type have, both ways."""
        width = {c.edge_type: len(c.names_) for c in self.edge_columns_}
        return {e: width.get(forward(e), 0) for e in self.edges_}

    def _graph(self, hin: HIN) -> MessageGraph:
        ends = {self.relation[0]: self.src_ids_, self.relation[2]: self.dst_ids_}
        return MessageGraph(
            hin,
            self.relation,
            self.edges_,
            self.features_,
            ends,
            self.evidence,
            self.n_layers,
            {columns.edge_type: columns for columns in self.edge_columns_},
        )

    def _usable(self, hin: HIN) -> Mapping[str, Sequence[Any]]:
        """Columns that can be features, of all types; text and identifiers are left out."""
        if self.columns is not None:
            return self.columns
        found: dict[str, list[str]] = {}
        for type, table in hin.observed().nodes.items():
            for name in table.column_names:
                values = tb.one_chunk(table[name])
                if pa.types.is_dictionary(values.type):
                    values = values.dictionary_decode()
                few = tb.is_text(values.type) and len(values.unique()) <= min(
                    MOST_CATEGORIES, len(values) / 2
                )
                if name != "id" and (tb.is_vector(values.type) or tb.is_number(values.type) or few):
                    found.setdefault(type, []).append(name)
        return found


def _products(users: np.ndarray, items: np.ndarray, src: np.ndarray) -> np.ndarray:
    return users[src] @ items.T


def _arrays(network: HeteroNetwork) -> dict[str, np.ndarray]:
    return {name: p.detach().cpu().numpy().copy() for name, p in network.state_dict().items()}
