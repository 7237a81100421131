"""HeteroGNN: an inductive graph network over attributes, text and typed edges, for nodes never seen
in training as well.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn.functional import softplus

from hinaug.errors import ParameterError
from hinaug.features.columns import MOST_CATEGORIES, Features
from hinaug.graph import arrow as tb
from hinaug.graph.evidence import touching
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
from hinaug.nn.hetero import CONVS, HeteroEncoder
from hinaug.nn.losses import softmax_loss
from hinaug.nn.sampling import NeighborSampler
from hinaug.predictors.base import LinkPredictor
from hinaug.predictors.embedding import SMALL
from hinaug.progress import track
from hinaug.training.objectives import BPR, Gap
from hinaug.training.threads import torch_threads
from hinaug.training.validation import Validation

BACK = "back: "  # the name of an edge type walked the other way


@dataclass(eq=False)
class HeteroGNN(LinkPredictor):
    """score(u, i) = <z_u, z_i>, z from a typed graph network (`hinaug.nn.HeteroEncoder`) over all
    that the graph says.

    A node enters with its own columns (vectors, numbers, categories; see `Features`) and the
    logarithms of its degrees, and hears from its neighbours along every edge type, in both
    directions. Nothing is learned for a single node unless `ids` asks for it, so users and items
    that came later are scored from the graph at hand.

    In each step a share `hold` of the links, drawn anew, leaves the graph that messages go along,
    and these are what is
    predicted: a model that hears from the very link that it predicts would learn to copy. What
        witnesses a held link
    leaves with it: the edges of `evidence` nodes, and the pair under any other edge type. A share
        `unseen` of the nodes at
    each end is new for the step: it loses all such links, what witnesses them, and its vector of
    `ids`. So the network learns what to make of a user or an item that has none, which hardly
    happens otherwise (Volkovs et al., "DropoutNet: Addressing Cold Start in Recommender Systems",
    NeurIPS 2017). Take 0 where all that is ranked has links: `benchmarks/README.md` has what it
    brings and costs.

    conv: "sage", "rgcn", "hgt" or "han". columns: {node type: columns}; None takes every usable
        column of every type.
    evidence: node types that witness a link, such as ("review",).
    ids: learned vectors for the nodes of the two ends beside all else, with l2 on them; nodes that
        came later have none.
    loss: "softmax" over all targets, or "bpr". hidden, dim, layers, heads, dropout: of the network.
    batch: None trains on the whole graph at each step. A number takes so many links a step, with
        `fanout` neighbours of each node and edge type drawn anew in each layer: for graphs that do
        not fit. An epoch is then links / batch steps.
    steps, lr, l2, check_every, patience, threads: as in `LightGCN`; l2 counts the ids alone.
        device: None takes a GPU, where sums are added up in any order: two fits with one seed then
        differ in the last digits.

    Learned: `weights_`, `features_`, `steps_`, `curve_`. NaN for a source and a target that say
    nothing: no column and no edge.
    """

    conv: str = "sage"
    columns: Mapping[str, Sequence[Any]] | None = None
    evidence: Sequence[str] = ()
    ids: bool = False
    loss: str = "softmax"
    hidden: int = 64
    dim: int = 64
    layers: int = 2
    heads: int = 2
    dropout: float = 0.0
    hold: float = 0.3
    unseen: float = 0.2
    batch: int | None = None
    fanout: int = 10
    steps: int = 300
    lr: float = 0.01
    l2: float = 1.0
    check_every: int = 10
    patience: int = 5
    threads: int | None = None
    device: str | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        within = 0 < self.hold < 1 and 0 <= self.unseen < 1
        if self.conv not in CONVS or self.loss not in ("softmax", "bpr") or not within:
            raise ParameterError(
                f"HeteroGNN: conv is one of {CONVS}, loss 'softmax' or 'bpr', hold above 0 and "
                "unseen from 0, both below 1; "
                f"got {self!r}"
            )
        if hin.n(self.relation) == 0:
            raise ParameterError(f"HeteroGNN: there are no {self.relation} links to learn from")
        measure = (
            None if valid is None or not valid.num_rows else Validation(hin, self.relation, valid)
        )
        self._train(hin, rng, self.steps, measure)

    def _refit(self, hin: HIN, rng: np.random.Generator) -> None:
        self._train(hin, rng, self.steps_, None)

    def _threads(self, hin: HIN) -> int | None:
        return self.threads or (1 if sum(map(hin.n, hin.edges)) * self.hidden < SMALL else None)

    # ---- training --------------------------------------------------------------------------------

    def _train(
        self, hin: HIN, rng: np.random.Generator, steps: int, measure: Validation | None
    ) -> None:
        self.features_ = {
            t: Features(t, list(c)).fit(hin) for t, c in self._usable(hin).items() if c
        }
        self.edges_ = _both_ways(hin.edges)
        graph = _Graph(self, hin)
        self.centre_ = {t: x.mean(axis=0) for t, x in graph.degrees.items() if len(x)}
        self.scale_ = {
            t: np.maximum(x.std(axis=0), 0.1) for t, x in graph.degrees.items() if len(x)
        }
        self.dims_ = {t: x.shape[1] for t, x in graph.inputs(self).items()}
        self.seed_ = int(rng.integers(2**62))
        links = BPR(hin.adjacency(self.relation), rng)
        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        with torch_threads(self._threads(hin)):
            network = self._network(hin).to(device)
            adam = torch.optim.Adam(network.parameters(), lr=self.lr)
            kept, best, self.steps_, self.curve_ = None, -1.0, steps, []
            for t in track(range(1, steps + 1), f"HeteroGNN ({self.conv})"):
                network.train()
                adam.zero_grad()
                loss = self._loss(network, graph, links, rng)
                for table in network.ids.values():
                    loss = loss + self.l2 / 2 / len(links.src) * table.square().sum()
                loss.backward()
                adam.step()
                if measure is not None and (t % self.check_every == 0 or t == steps):
                    z = self._vectors(network, graph)
                    self.curve_.append(measure(partial(_products, *z)))
                    if self.curve_[-1] > best:
                        kept, best, self.steps_ = _arrays(network), self.curve_[-1], t
                    elif t - self.steps_ >= self.patience * self.check_every:
                        break
        self.weights_ = _arrays(network) if kept is None else kept
        self.__dict__.pop("_last", None)

    def _loss(
        self, network: _Network, graph: _Graph, links: BPR, rng: np.random.Generator
    ) -> Tensor:
        n = len(links.src)
        size = max(1, min(self.batch or round(self.hold * n), n - 1)) if n > 1 else 1
        held = np.zeros(n, bool)
        held[rng.choice(n, size, replace=False)] = True
        src, pos = links.src[held], links.pos[held]
        source, _, target = self.relation
        new = {t: rng.random(graph.n[t]) < self.unseen for t in dict.fromkeys((source, target))}
        gone = held | new[source][links.src] | new[target][links.pos]
        share = links.share.numpy()[held]
        weight = torch.from_numpy(share / share.sum())
        neg = links.negatives()[held]
        if self.batch is None:
            z_src, z_dst = network(graph, *graph.messages(gone), new)
        else:
            users, src = np.unique(src, return_inverse=True)
            items, both = np.unique(np.concatenate([pos, neg]), return_inverse=True)
            pos, neg = both[: len(pos)], both[len(pos) :]
            z_src, z_dst = network(
                graph, *graph.batch(users, items, gone, self.layers, self.fanout, rng), new
            )
        at = [torch.from_numpy(np.ascontiguousarray(a)).to(z_src.device) for a in (src, pos, neg)]
        weight = weight.to(z_src.device)
        if self.loss == "bpr":
            return weight @ softplus(-Gap.apply(z_src, z_dst, *at))
        return softmax_loss(z_src, z_dst, torch.stack(at[:2]), weight=weight)

    # ---- scoring ---------------------------------------------------------------------------------

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        last = self.__dict__.get("_last")
        if last is None or last[0]() is not hin:
            with torch_threads(self._threads(hin)):
                network = self._network(hin)
                weights = {k: torch.from_numpy(np.array(v)) for k, v in self.weights_.items()}
                network.load_state_dict(weights)
                graph = _Graph(self, hin)
                last = self._last = (weakref.ref(hin), *self._vectors(network, graph))
        return _products(last[1], last[2], src)

    def _vectors(self, network: _Network, graph: _Graph) -> tuple[np.ndarray, np.ndarray]:
        network.eval()
        with torch.no_grad():
            z = [x.cpu().numpy() for x in network(graph, *graph.messages(None))]
        for side, type in zip(z, (self.relation[0], self.relation[2]), strict=True):
            side[graph.silent(type)] = np.nan
        return z[0], z[1]

    def _network(self, hin: HIN) -> _Network:
        return _Network(self, torch.Generator().manual_seed(self.seed_))

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


class _Network(torch.nn.Module):
    def __init__(self, model: HeteroGNN, generator: torch.Generator) -> None:
        super().__init__()
        self.model = model
        sizes = {model.relation[0]: len(model.src_ids_), model.relation[2]: len(model.dst_ids_)}
        self.ids = torch.nn.ParameterDict()
        dims = dict(model.dims_)
        if model.ids:
            for type, n in sizes.items():
                start = 0.1 * torch.empty(n, model.hidden).normal_(generator=generator)
                self.ids[f"type {type}"] = torch.nn.Parameter(start)
                dims[type] += model.hidden
        self.encoder = HeteroEncoder(
            dims, model.edges_, model.hidden, model.dim, model.layers, model.conv, model.heads, model.dropout,
            generator=generator,
        )  # fmt: skip

    def forward(
        self,
        graph: _Graph,
        nodes: Mapping[str, np.ndarray],
        degrees: Mapping[str, np.ndarray],
        edges: Any,
        n_out: Any,
        new: Mapping[str, np.ndarray] | None = None,
    ) -> tuple[Tensor, Tensor]:
        device = next(self.parameters()).device
        x = {}
        for type, at in nodes.items():
            part = torch.from_numpy(graph.rows(self.model, type, at, degrees[type])).to(device)
            if f"type {type}" in self.ids:
                rows = (
                    graph.known[type][at]
                    if new is None
                    else np.where(new[type][at], -1, graph.known[type][at])
                )
                known = torch.from_numpy(rows).to(device)
                table = torch.cat(
                    [self.ids[f"type {type}"], torch.zeros(1, self.model.hidden, device=device)]
                )
                part = torch.cat([part, table[known]], 1)
            x[type] = part
        layers = [{e: torch.from_numpy(i).to(device) for e, i in layer.items()} for layer in edges]
        out = self.encoder(x, layers, n_out)
        return out[self.model.relation[0]], out[self.model.relation[2]]


class _Graph:
    """A graph as arrays: features, degrees, and for every edge the link that it would give away
    (-1: none).
    """

    def __init__(self, model: HeteroGNN, hin: HIN) -> None:
        self.layers, self.relation = model.layers, model.relation
        self.n = {t: hin.n(t) for t in hin.nodes}
        self.features = {t: f.encode(hin)[0] for t, f in model.features_.items() if t in hin.nodes}
        self.described = {t: f.encode(hin)[1] for t, f in model.features_.items() if t in hin.nodes}
        ends = (model.relation[0], model.src_ids_), (model.relation[2], model.dst_ids_)
        self.known = {
            t: tb.lookup(ids, hin.nodes[t]["id"].chunk(0)).astype(np.int64) for t, ids in ends
        }
        missing = [e for e in model.edges_ if e[0] not in self.n or e[2] not in self.n]
        if missing:
            raise ParameterError(
                f"HeteroGNN was fitted on a graph with {missing[0]} edges; this one lacks the "
                "node type"
            )
        links = hin.adjacency(model.relation).sorted_indices()
        rows = np.repeat(np.arange(links.shape[0]), np.diff(links.indptr))
        codes = rows * links.shape[1] + links.indices
        witness = {
            t: _witness(hin, t, model.relation, codes, links.shape[1]) for t in model.evidence
        }
        self.matrix: dict[EdgeType, sp.csr_array] = {}
        self.link: dict[EdgeType, np.ndarray] = {}
        for edge in model.edges_:
            forward = (
                (edge[2], edge[1].removeprefix(BACK), edge[0]) if edge[1].startswith(BACK) else edge
            )
            if forward in hin.edges:
                src, dst = hin.links(forward)
            else:
                src = dst = np.zeros(0, np.int64)
            link = np.full(len(src), -1)
            if (forward[0], forward[2]) == (model.relation[0], model.relation[2]):
                link = _find(codes, src.astype(np.int64) * links.shape[1] + dst)
            elif (forward[2], forward[0]) == (model.relation[0], model.relation[2]):
                link = _find(codes, dst.astype(np.int64) * links.shape[1] + src)
            for end, at in ((forward[0], src), (forward[2], dst)):
                if end in witness:
                    link = np.where(link < 0, witness[end][at], link)
            a, b = (dst, src) if edge is not forward else (src, dst)
            order = np.argsort(b, kind="stable")
            indptr = np.concatenate([[0], np.cumsum(np.bincount(b, minlength=self.n[edge[2]]))])
            shape = (self.n[edge[2]], self.n[edge[0]])
            self.matrix[edge] = sp.csr_array(
                (np.ones(len(a), np.float32), a[order], indptr), shape=shape
            )
            self.link[edge] = link[order]
        self.sampler = NeighborSampler(self.matrix)
        self.degrees = self._degrees(None)

    def _degrees(self, gone: np.ndarray | None) -> dict[str, np.ndarray]:
        """log(1 + edges of each type that reach a node), without those that give links away that
        are gone.
        """
        out: dict[str, list[np.ndarray]] = {t: [] for t in self.n}
        for edge, matrix in self.matrix.items():
            receiver = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
            stay = slice(None) if gone is None else self._stays(edge, gone)
            out[edge[2]].append(np.log1p(np.bincount(receiver[stay], minlength=matrix.shape[0])))
        return {t: np.stack(c, 1) if c else np.zeros((self.n[t], 0)) for t, c in out.items()}

    def _stays(self, edge: EdgeType, gone: np.ndarray, at: Any = slice(None)) -> np.ndarray:
        link = self.link[edge][at]
        return ~((link >= 0) & gone[link])

    def inputs(self, model: HeteroGNN) -> dict[str, np.ndarray]:
        return {t: self.rows(model, t, np.arange(self.n[t]), self.degrees[t]) for t in self.n}

    def rows(self, model: HeteroGNN, type: str, at: np.ndarray, degrees: np.ndarray) -> np.ndarray:
        parts = [(degrees - model.centre_.get(type, 0.0)) / model.scale_.get(type, 1.0)]
        if type in self.features:
            parts.append(self.features[type][at])
        return np.concatenate(parts, axis=1).astype(np.float32)

    def messages(self, gone: np.ndarray | None) -> tuple[Any, ...]:
        """The whole graph without what gives links away that are gone: nodes, degrees, edges of
        each layer, None.
        """
        edges = {}
        for edge, matrix in self.matrix.items():
            receiver = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
            index = np.stack([matrix.indices.astype(np.int64), receiver])
            edges[edge] = index if gone is None else index[:, self._stays(edge, gone)]
        nodes = {t: np.arange(n) for t, n in self.n.items()}
        return (
            nodes,
            self.degrees if gone is None else self._degrees(gone),
            [edges] * self.layers,
            None,
        )

    def batch(
        self,
        users: np.ndarray,
        items: np.ndarray,
        gone: np.ndarray,
        layers: int,
        fanout: int,
        rng: np.random.Generator,
    ) -> tuple[Any, ...]:
        """The same for a mini-batch that writes these users and items."""
        seeds = {self.relation[0]: users, self.relation[2]: items}
        blocks = self.sampler.blocks(seeds, [fanout] * layers, rng)
        edges = []
        for block in blocks:
            stay = {e: self._stays(e, gone, block.edge[e]) for e in block.edge_index}
            edges.append({e: index[:, stay[e]] for e, index in block.edge_index.items()})
        nodes = blocks[0].nodes
        degrees = self._degrees(gone)
        degrees = {t: degrees[t][at] for t, at in nodes.items()}
        return nodes, degrees, edges, [block.n_out for block in blocks]

    def silent(self, type: str) -> np.ndarray:
        """Nodes of which the graph says nothing."""
        mute = self.degrees[type].sum(axis=1) == 0
        return mute & ~self.described[type] if type in self.described else mute


def _products(users: np.ndarray, items: np.ndarray, src: np.ndarray) -> np.ndarray:
    return users[src] @ items.T


def _both_ways(edges: Any) -> list[EdgeType]:
    out = []
    for a, name, b in edges:
        out += [(a, name, b), (b, BACK + name, a)]
    return out


def _find(codes: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Places of `of` in sorted codes, -1 where absent."""
    if not len(codes):
        return np.full(len(of), -1)
    at = np.minimum(np.searchsorted(codes, of), len(codes) - 1)
    return np.where(codes[at] == of, at, -1)


def _witness(hin: HIN, type: str, relation: EdgeType, codes: np.ndarray, width: int) -> np.ndarray:
    """For each node of an evidence type the link that it witnesses, -1 for none."""
    ends = []
    for end in (relation[0], relation[2]):
        near = touching(hin, type, end)
        first = np.full(hin.n(type), -1, np.int64)
        some = np.diff(near.indptr) > 0
        first[some] = near.indices[near.indptr[:-1][some]]
        ends.append(first)
    both = (ends[0] >= 0) & (ends[1] >= 0)
    return np.where(both, _find(codes, ends[0] * width + ends[1]), -1)


def _arrays(network: _Network) -> dict[str, np.ndarray]:
    return {name: p.detach().cpu().numpy().copy() for name, p in network.state_dict().items()}
