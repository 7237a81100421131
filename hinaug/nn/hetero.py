"""A typed graph encoder: linear maps of what each type has, then layers of PyG that send messages
along typed edges.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from hinaug.nn.encoders import dropout, linear

__all__ = ["CONVS", "HeteroEncoder", "HeteroNetwork"]

EdgeType = tuple[str, str, str]
CONVS = ("sage", "rgcn", "hgt", "han")


class HeteroEncoder(nn.Module):
    r"""Vectors of typed nodes from their features and their typed neighbourhood.

        h_0 = W_type x + b_type,      h_{l+1} = h_l + relu(conv_l(h_l)),      out = V_type h_L

    with one of PyG's convolutions (a node type that receives nothing keeps its h): "sage":
        GraphSAGE (Hamilton et al., NeurIPS 2017) for each edge type, summed; "rgcn": R-GCN
        (Schlichtkrull et al., ESWC 2018): W_0 h_i + sum over edge types of the mean of W_type h_j;
        "hgt": Heterogeneous Graph Transformer (Hu et al., WWW 2020); "han": Heterogeneous Graph
        Attention Network (Wang et al., WWW 2019), each edge type taken as a metapath.

    Edges may have numbers of their own. Attributes a_e of an edge change what is sent along it,
        from h to h * (1 + U a_e) + B a_e, with U and B learned for each layer and edge type and 0
        at first. A weight w_e >= 0 multiplies what is sent: where a node receives the mean of its
        neighbours, it receives sum w_e m_e / max(1, sum w_e), and attention shares alpha_e become
        w_e alpha_e / sum w alpha, times min(1, sum w_e). So a weight of 0 is as no edge, and
        weights of 1 change nothing.

    Parameters
    ----------
    dims
        {node type: width of its features}; 0 for none: its nodes then start alike.
    edges
        The edge types that messages go along.
    hidden, out
        Widths of the hidden layers and of the output.
    n_layers
        Number of convolutions.
    conv
        The kind of convolution: "sage", "rgcn", "hgt" or "han".
    heads
        Heads of attention ("hgt", "han").
    dropout
        Probability of dropping a unit while training.
    generator
        Source of all initial weights and of dropout; the global random state stays as it is.
    edge_dims
        {edge type: width of its attributes}.

    Shapes
    ------
    x {type: [n_type, dim]}, and for each layer edges {edge type: [2, e]} (source, receiver) ->
    {type: [n_type, out]}. In a mini-batch a layer writes only the first n_out nodes of each type
    (see `NeighborSampler`). edge_attr {edge type: [e, width]} and edge_weight {edge type: [e]}, one
    a layer, in the order of the edges.

    Example
    -------
    >>> likes, liked = ("user", "likes", "item"), ("item", "liked by", "user")
    >>> g = torch.Generator().manual_seed(0)
    >>> net = HeteroEncoder({"user": 0, "item": 3}, [likes, liked], 8, 4, generator=g)
    >>> edges = {likes: torch.tensor([[0, 1], [0, 0]]), liked: torch.tensor([[0, 0], [0, 1]])}
    >>> x = {"user": torch.zeros(2, 0), "item": torch.ones(1, 3)}
    >>> net(x, [edges, edges])["user"].shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        edges: Sequence[EdgeType],
        hidden: int,
        out: int,
        n_layers: int = 2,
        conv: str = "sage",
        heads: int = 2,
        dropout: float = 0.0,
        *,
        generator: torch.Generator,
        edge_dims: Mapping[EdgeType, int] | None = None,
    ) -> None:
        super().__init__()
        if conv not in CONVS:
            raise ValueError(f"conv={conv!r}: expected one of {CONVS}")
        self.generator, self.dropout = generator, dropout
        self.types = list(dims)
        self.names = {type: f"edge{k}" for k, type in enumerate(edges)}
        keys = {_key(t): d for t, d in dims.items()}
        self.enter = nn.ModuleDict({t: linear(d, hidden, generator) for t, d in keys.items() if d})
        self.leave = nn.ModuleDict({t: linear(hidden, out, generator) for t in keys})
        self.start = _starts(list(keys), hidden, generator)
        seed = int(torch.randint(2**31, (), generator=generator))
        self.convs, self.gates = nn.ModuleList(), nn.ModuleList()
        with torch.random.fork_rng(devices=[]):  # PyG draws initial weights from the global state
            torch.manual_seed(seed)
            for _ in range(n_layers):
                self.convs.append(_conv(conv, self.types, list(edges), hidden, heads))
                self.gates.append(_gates(edge_dims or {}, self.names, hidden))

    def forward(
        self,
        x: Mapping[str, Tensor],
        edges: Sequence[Mapping[EdgeType, Tensor]],
        n_out: Sequence[Mapping[str, int]] | None = None,
        edge_attr: Sequence[Mapping[EdgeType, Tensor]] | None = None,
        edge_weight: Sequence[Mapping[EdgeType, Tensor]] | None = None,
    ) -> dict[str, Tensor]:
        """{type: x [n, d]} and one {edge type: edge_index [2, e]} a layer -> {type: [n, out]}.

        n_out: {type: how many of the first nodes} the further layers need, one a layer (see
            `sample_hops`); the rest are cut off.
        """
        h = {t: self._enter(t, v) for t, v in x.items()}
        for number, (conv, index) in enumerate(zip(self.convs, edges, strict=True)):
            h = self._dropped(h)
            index = {e: i for e, i in index.items() if i.shape[1]}
            changes = self._changes(number, index, edge_attr, edge_weight)
            h = _updated(h, conv(h, index, changes))
            if n_out is not None:
                h = {t: v[: n_out[number].get(t, 0)] for t, v in h.items()}
        return {t: self.leave[_key(t)](v) for t, v in h.items()}

    def _changes(
        self,
        layer: int,
        edges: Mapping[EdgeType, Tensor],
        edge_attr: Sequence[Mapping[EdgeType, Tensor]] | None,
        edge_weight: Sequence[Mapping[EdgeType, Tensor]] | None,
    ) -> dict[EdgeType, _Change | None]:
        """What the numbers on the edges of each type change of what is sent along them."""
        attributes = {} if edge_attr is None else edge_attr[layer]
        weights = {} if edge_weight is None else edge_weight[layer]
        return {
            edge: self._change(layer, edge, attributes.get(edge), weights.get(edge))
            for edge in edges
        }

    def _change(
        self, layer: int, edge: EdgeType, attributes: Tensor | None, weight: Tensor | None
    ) -> _Change | None:
        gates: Any = self.gates[layer]
        name = self.names[edge]
        if attributes is None or name not in gates:
            return None if weight is None else _Change(None, None, weight)
        gate, shift = gates[name](attributes)
        return _Change(gate, shift, weight)

    def _dropped(self, h: dict[str, Tensor]) -> dict[str, Tensor]:
        if not (self.training and self.dropout):
            return h
        return {t: dropout(v, self.dropout, self.generator) for t, v in h.items()}

    def _enter(self, type: str, x: Tensor) -> Tensor:
        start = self.start[_key(type)].expand(len(x), -1)
        return start + self.enter[_key(type)](x) if _key(type) in self.enter else start


def _starts(names: Sequence[str], width: int, generator: torch.Generator) -> nn.ParameterDict:
    """What all nodes of a type have in common at first: a small random vector for each type."""
    starts = nn.ParameterDict({name: nn.Parameter(torch.empty(width)) for name in names})
    with torch.no_grad():
        for p in starts.values():
            p.normal_(0, 0.1, generator=generator)
    return starts


def _gates(
    widths: Mapping[EdgeType, int], names: Mapping[EdgeType, str], hidden: int
) -> nn.ModuleDict:
    """A gate for each edge type that has attributes."""
    return nn.ModuleDict({names[e]: _EdgeGate(w, hidden) for e, w in widths.items() if w})


class _EdgeGate(nn.Module):
    """1 + U a and B a of edge attributes a [e, width], both [e, hidden]; at first 1 and 0."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(width, hidden))
        self.shift = nn.Parameter(torch.zeros(width, hidden))

    def forward(self, attributes: Tensor) -> tuple[Tensor, Tensor]:
        return 1 + attributes @ self.scale, attributes @ self.shift


@dataclass(frozen=True)
class _Change:
    """What becomes of messages [e, hidden]: times gate, plus shift, both [e, hidden]; counted by
    weight [e]. None for what stays as it is.
    """

    gate: Tensor | None
    shift: Tensor | None
    weight: Tensor | None

    def of(self, sent: Tensor) -> Tensor:
        """The messages, changed, not weighted."""
        if self.gate is None or self.shift is None:
            return sent
        return sent * self.gate + self.shift


def _total(values: Tensor, receiver: Tensor, n: int) -> Tensor:
    """Sums [n, ...] of the values [e, ...] of each receiver."""
    return values.new_zeros(n, *values.shape[1:]).index_add(0, receiver, values)


def _updated(h: Mapping[str, Tensor], sent: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
    """h + relu(sent) of the types that something was sent to; the others keep h."""
    out = dict(h)
    for type, messages in sent.items():
        if messages is not None:
            out[type] = h[type] + torch.relu(messages)
    return out


class HeteroNetwork(nn.Module):
    """A `HeteroEncoder` whose nodes of some types have a learned vector beside their features.

    Parameters
    ----------
    dims, edges, hidden, out, n_layers, conv, heads, dropout, generator, edge_dims
        As of `HeteroEncoder`.
    n_ids
        {node type: how many of its nodes have a learned vector}, which is `hidden` wide.

    Shapes
    ------
    As `HeteroEncoder`; known: {type with ids: [n] rows of its table, -1 for a node that has none
    and enters with zeros}.

    Example
    -------
    >>> likes = ("user", "likes", "item")
    >>> g = torch.Generator().manual_seed(0)
    >>> net = HeteroNetwork(
    ...     {"user": 0, "item": 3}, [likes], 8, 4, n_ids={"user": 2}, generator=g
    ... )
    >>> x = {"user": torch.zeros(3, 0), "item": torch.ones(1, 3)}
    >>> edges = {likes: torch.tensor([[0, 1], [0, 0]])}
    >>> net(x, [edges, edges], None, {"user": torch.tensor([0, 1, -1])})["user"].shape
    torch.Size([3, 4])
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        edges: Sequence[EdgeType],
        hidden: int,
        out: int,
        n_layers: int = 2,
        conv: str = "sage",
        heads: int = 2,
        dropout: float = 0.0,
        *,
        n_ids: Mapping[str, int],
        generator: torch.Generator,
        edge_dims: Mapping[EdgeType, int] | None = None,
    ) -> None:
        super().__init__()
        self.generator = generator
        self.ids = nn.ParameterDict(
            {
                f"type {type}": nn.Parameter(
                    0.1 * torch.empty(n, hidden).normal_(generator=generator)
                )
                for type, n in n_ids.items()
            }
        )
        widths = {type: width + (hidden if type in n_ids else 0) for type, width in dims.items()}
        self.encoder = HeteroEncoder(
            widths,
            edges,
            hidden,
            out,
            n_layers,
            conv,
            heads,
            dropout,
            generator=generator,
            edge_dims=edge_dims,
        )

    def has_ids(self, type: str) -> bool:
        """Whether nodes of this type have learned vectors."""
        return f"type {type}" in self.ids

    def forward(
        self,
        x: Mapping[str, Tensor],
        edges: Sequence[Mapping[EdgeType, Tensor]],
        n_out: Sequence[Mapping[str, int]] | None,
        known: Mapping[str, Tensor],
        edge_attr: Sequence[Mapping[EdgeType, Tensor]] | None = None,
        edge_weight: Sequence[Mapping[EdgeType, Tensor]] | None = None,
    ) -> dict[str, Tensor]:
        """As `HeteroEncoder`, with the rows of the learned vectors in `known`."""
        with_ids = dict(x)
        for type, rows in known.items():
            table = self.ids[f"type {type}"]
            padded = torch.cat([table, table.new_zeros(1, table.shape[1])])
            with_ids[type] = torch.cat([x[type], padded[rows]], 1)
        return self.encoder(with_ids, edges, n_out, edge_attr, edge_weight)


def _key(type: str) -> str:
    """Modules may not have names with dots, nor be called like a method."""
    return "type " + type.replace(".", "\u2024")


def _conv(conv: str, types: list[str], edges: list[EdgeType], hidden: int, heads: int) -> nn.Module:
    if conv in ("hgt", "han"):
        return _attention_convs()[conv](hidden, hidden, (types, edges), heads=heads)
    return _Relational(types, edges, hidden, root=conv == "rgcn")


@cache
def _attention_convs() -> dict[str, type[nn.Module]]:
    """PyG's attention convolutions, with messages that numbers on the edges change."""
    from torch_geometric.nn import HANConv, HGTConv
    from torch_geometric.utils import softmax

    def attended(
        change: _Change, values: Tensor, alpha: Tensor, index: Tensor, ptr: Any, n: int
    ) -> Tensor:
        """Messages [e, hidden] of values [e, heads, d] by attention logits [e, heads]."""
        if change.weight is not None:
            weight = change.weight[:, None]
            alpha = softmax(alpha + weight.clamp(min=1e-12).log(), index, ptr, n)
            alpha = alpha * _total(weight, index, n).clamp(max=1)[index]
        else:
            alpha = softmax(alpha, index, ptr, n)
        sent = change.of(values.flatten(1)).view_as(values)
        return (sent * alpha[:, :, None]).flatten(1)

    class HGT(HGTConv):
        def forward(self, h: Any, edges: Any, changes: Any) -> Any:
            self.change = _side_by_side([edges[e].shape[1] for e in edges], list(changes.values()))
            return super().forward(h, edges)

        def message(
            self, k_j: Any, q_i: Any, v_j: Any, edge_attr: Any, index: Any, ptr: Any, size_i: Any
        ) -> Any:
            if self.change is None:
                return super().message(k_j, q_i, v_j, edge_attr, index, ptr, size_i)
            alpha = (q_i * k_j).sum(dim=-1) * edge_attr / q_i.size(-1) ** 0.5
            return attended(self.change, v_j, alpha, index, ptr, size_i)

    class HAN(HANConv):
        def forward(self, h: Any, edges: Any, changes: Any) -> Any:
            self.changes: Iterator[_Change | None] = iter([changes[e] for e in edges])
            return super().forward(h, edges)

        def message(
            self, x_j: Any, alpha_i: Any, alpha_j: Any, index: Any, ptr: Any, size_i: Any
        ) -> Any:
            change = next(self.changes)  # messages are asked for in the order of the edge types
            if change is None:
                return super().message(x_j, alpha_i, alpha_j, index, ptr, size_i)
            alpha = nn.functional.leaky_relu(alpha_j + alpha_i, self.negative_slope)
            return attended(change, x_j, alpha, index, ptr, size_i)

    return {"hgt": HGT, "han": HAN}


def _side_by_side(sizes: Sequence[int], changes: Sequence[_Change | None]) -> _Change | None:
    """The changes of several edge types as one, in their order; sizes: how many edges each has."""
    some = [c for c in changes if c is not None]
    if not some:
        return None

    def joined(name: str, fill: float) -> Tensor | None:
        like = next((v for v in (getattr(c, name) for c in some) if v is not None), None)
        if like is None:
            return None
        parts = [None if c is None else getattr(c, name) for c in changes]
        return torch.cat(
            [
                like.new_full((n, *like.shape[1:]), fill) if part is None else part
                for n, part in zip(sizes, parts, strict=True)
            ]
        )

    return _Change(joined("gate", 1.0), joined("shift", 0.0), joined("weight", 1.0))


class _Relational(nn.Module):
    """Sum over the edge types of PyG's SAGEConv; root: one map of the node itself in place of one
    for each edge type.
    """

    def __init__(self, types: list[str], edges: list[EdgeType], hidden: int, root: bool) -> None:
        super().__init__()
        from torch_geometric.nn import SAGEConv

        self.names = {edge: str(k) for k, edge in enumerate(edges)}
        self.sends = nn.ModuleDict(
            {name: SAGEConv(hidden, hidden, root_weight=not root) for name in self.names.values()}
        )
        self.roots = nn.ModuleDict(
            {_key(t): nn.Linear(hidden, hidden, bias=False) for t in types} if root else {}
        )

    def forward(
        self,
        h: Mapping[str, Tensor],
        edges: Mapping[EdgeType, Tensor],
        changes: Mapping[EdgeType, _Change | None],
    ) -> dict[str, Tensor]:
        out: dict[str, Any] = (
            {t: self.roots[_key(t)](v) for t, v in h.items()} if len(self.roots) else {}
        )
        for edge, index in edges.items():
            conv: Any = self.sends[self.names[edge]]
            change = changes[edge]
            if change is None:
                sent = conv((h[edge[0]], h[edge[2]]), index)
            else:
                sent = conv.lin_l(_weighted_mean(h[edge[0]], index, len(h[edge[2]]), change))
                if conv.root_weight:
                    sent = sent + conv.lin_r(h[edge[2]])
            out[edge[2]] = out[edge[2]] + sent if edge[2] in out else sent
        return out


def _weighted_mean(h: Tensor, index: Tensor, n: int, change: _Change) -> Tensor:
    """sum w m / max(1, sum w) over the edges of each of n receivers, [n, hidden]."""
    sender, receiver = index
    sent = change.of(h[sender])
    weight = sent.new_ones(len(sender)) if change.weight is None else change.weight
    total = _total(sent * weight[:, None], receiver, n)
    return total / _total(weight, receiver, n).clamp(min=1)[:, None]
