"""A typed graph encoder: linear maps of what each type has, then layers of PyG that send messages
along typed edges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    Args: dims: {node type: width of its features}; 0 for none, its nodes then start alike. edges:
        the edge types that messages go along. hidden, out: widths. n_layers: convolutions.
        heads: of attention ("hgt", "han"). generator: source of all initial weights and of dropout;
        the global random state stays as it is.

    Shapes: x {type: [n_type, dim]}, and for each layer edges {edge type: [2, e]} (source, receiver)
        -> {type: [n_type, out]}. In a mini-batch a layer writes only the first n_out nodes of each
        type (see `NeighborSampler`).

    Example:
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
    ) -> None:
        super().__init__()
        if conv not in CONVS:
            raise ValueError(f"conv={conv!r}: expected one of {CONVS}")
        self.generator, self.dropout = generator, dropout
        self.types = list(dims)
        self.names = {type: f"edge{k}" for k, type in enumerate(edges)}
        self.enter = nn.ModuleDict(
            {_key(t): linear(d, hidden, generator) for t, d in dims.items() if d}
        )
        self.leave = nn.ModuleDict({_key(t): linear(hidden, out, generator) for t in dims})
        self.start = nn.ParameterDict({_key(t): nn.Parameter(torch.empty(hidden)) for t in dims})
        with torch.no_grad():
            for p in self.start.values():
                p.normal_(0, 0.1, generator=generator)
        seed = int(torch.randint(2**31, (), generator=generator))
        with torch.random.fork_rng(devices=[]):  # PyG draws initial weights from the global state
            torch.manual_seed(seed)
            self.convs = nn.ModuleList(
                _conv(conv, self.types, list(edges), hidden, heads) for _ in range(n_layers)
            )

    def forward(
        self,
        x: Mapping[str, Tensor],
        edges: Sequence[Mapping[EdgeType, Tensor]],
        n_out: Sequence[Mapping[str, int]] | None = None,
    ) -> dict[str, Tensor]:
        """{type: x [n, d]} and one {edge type: edge_index [2, e]} a layer -> {type: [n, out]}.

        n_out: {type: how many of the first nodes} the further layers need, one a layer (see
            `sample_hops`); the rest are cut off.
        """
        h = {t: self._enter(t, v) for t, v in x.items()}
        for number, (conv, index) in enumerate(zip(self.convs, edges, strict=True)):
            h = self._dropped(h)
            h = _updated(h, conv(h, {e: i for e, i in index.items() if i.shape[1]}))
            if n_out is not None:
                h = {t: v[: n_out[number].get(t, 0)] for t, v in h.items()}
        return {t: self.leave[_key(t)](v) for t, v in h.items()}

    def _dropped(self, h: dict[str, Tensor]) -> dict[str, Tensor]:
        if not (self.training and self.dropout):
            return h
        return {t: dropout(v, self.dropout, self.generator) for t, v in h.items()}

    def _enter(self, type: str, x: Tensor) -> Tensor:
        start = self.start[_key(type)].expand(len(x), -1)
        return start + self.enter[_key(type)](x) if _key(type) in self.enter else start


def _updated(h: Mapping[str, Tensor], sent: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
    """h + relu(sent) of the types that something was sent to; the others keep h."""
    out = dict(h)
    for type, messages in sent.items():
        if messages is not None:
            out[type] = h[type] + torch.relu(messages)
    return out


class HeteroNetwork(nn.Module):
    """A `HeteroEncoder` whose nodes of some types have a learned vector beside their features.

    Args: as `HeteroEncoder`; n_ids: {node type: how many of its nodes have a learned vector}, which
        is `hidden` wide.

    Shapes: as `HeteroEncoder`; known: {type with ids: [n] rows of its table, -1 for a node that has
        none and enters with zeros}.

    Example:
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
            widths, edges, hidden, out, n_layers, conv, heads, dropout, generator=generator
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
    ) -> dict[str, Tensor]:
        """As `HeteroEncoder`, with the rows of the learned vectors in `known`."""
        with_ids = dict(x)
        for type, rows in known.items():
            table = self.ids[f"type {type}"]
            padded = torch.cat([table, table.new_zeros(1, table.shape[1])])
            with_ids[type] = torch.cat([x[type], padded[rows]], 1)
        return self.encoder(with_ids, edges, n_out)


def _key(type: str) -> str:
    """Modules may not have names with dots, nor be called like a method."""
    return "type " + type.replace(".", "\u2024")


def _conv(conv: str, types: list[str], edges: list[EdgeType], hidden: int, heads: int) -> nn.Module:
    from torch_geometric.nn import HANConv, HGTConv

    if conv == "hgt":
        return HGTConv(hidden, hidden, (types, edges), heads=heads)
    if conv == "han":
        return HANConv(hidden, hidden, (types, edges), heads=heads)
    return _Relational(types, edges, hidden, root=conv == "rgcn")


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
        self, h: Mapping[str, Tensor], edges: Mapping[EdgeType, Tensor]
    ) -> dict[str, Tensor]:
        out: dict[str, Any] = (
            {t: self.roots[_key(t)](v) for t, v in h.items()} if len(self.roots) else {}
        )
        for edge, index in edges.items():
            sent = self.sends[self.names[edge]]((h[edge[0]], h[edge[2]]), index)
            out[edge[2]] = out[edge[2]] + sent if edge[2] in out else sent
        return out
