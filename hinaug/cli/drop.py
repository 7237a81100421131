"""Leaves out node types and edge types of a graph or a split, as --drop asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hinaug.cli.names import edge_type
from hinaug.errors import ParameterError, UnknownNameError, nearest
from hinaug.graph import HIN
from hinaug.graph.schema import Type
from hinaug.split import Split


def graph_without(hin: HIN, drop: Sequence[str] | None) -> HIN:
    """The graph without the types that were named; the edges of a node type go with it.

    Raises UnknownNameError for a type that the graph does not have.
    """
    return hin.drop(*_types(hin, drop or []))


def split_without(split: Split, drop: Sequence[str] | None) -> Split:
    """The split with the same held-out pairs, and without the types that were named.

    Raises UnknownNameError for a type that is not there, and ParameterError for the relation that
    is held out, or a type that it joins.
    """
    types = _types(split.source, drop or [])
    if not types:
        return split
    needed: set[Type] = {split.target, split.target[0], split.target[2]}
    kept = [text for text, type in zip(drop or [], types, strict=True) if type in needed]
    if kept:
        raise ParameterError(
            f"--drop {kept[0]}: the split holds out pairs of {','.join(split.target)}, so it needs "
            "this type; drop another",
            asked=kept[0],
            there=split.target,
        )
    return replace(
        split,
        source=split.source.drop(*types),
        train=split.train.drop(*types),
        train_valid=split.train_valid.drop(*types),
        evidence=tuple(node for node in split.evidence if node not in types),
        how={**split.how, "dropped": list(drop or [])},
    )


def said(drop: Sequence[str] | None) -> list[str]:
    """The options as they were typed, for a command that must repeat them."""
    return [word for text in drop or [] for word in ("--drop", text)]


def _types(hin: HIN, drop: Sequence[str]) -> list[Type]:
    return [edge_type(text, hin.edges) if "," in text else _node_type(text, hin) for text in drop]


def _node_type(text: str, hin: HIN) -> str:
    name, there = text.strip(), list(hin.nodes)
    if name not in there:
        raise UnknownNameError(
            f"--drop {name!r}: this graph has no such node type; it has {there}"
            f"{nearest(name, there)}; an edge type is written source,name,target",
            asked=name,
            there=there,
        )
    return name
