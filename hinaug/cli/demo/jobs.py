"""What differs between the demo's data sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hinaug.datasets import amazon_hin, amazon_reviews, movielens_100k, movielens_latest_small
from hinaug.graph import HIN, EdgeType
from hinaug.graph.pairs import linked_targets


@dataclass
class Job:
    """A graph, and what the demo needs to know of it.

    relation, evidence: the edges to rank, and the nodes that witness them.
    features: columns of the items that are known before anybody has met one.
    embed: the node type whose text is embedded, None for no text.
    name: the column that names an item, None for its id.
    notes: what a reader should know of the data.
    """

    hin: HIN
    relation: EdgeType
    features: list[Any]
    evidence: tuple[str, ...] = ()
    embed: str | None = None
    name: str | None = None
    notes: list[str] = field(default_factory=list)

    def title(self) -> Callable[[Any], str]:
        """How an item is printed."""
        item = self.relation[2]
        ids = self.hin.ids(item).to_pylist()
        if self.name is None:
            return str
        names = self.hin.nodes[item][self.name].to_pylist()
        titles = {i: str(t or i) for i, t in zip(ids, names, strict=True)}
        return lambda i: titles.get(i, str(i))


def _liked(hin: HIN, relation: EdgeType) -> tuple[HIN, str]:
    liked = np.asarray(hin.edges[relation]["rating"]) >= 4
    note = f"a rating of 4 or 5 counts as a link: {int(liked.sum()):,} of {len(liked):,} ratings"
    hin = hin.filter_edges(relation, liked)
    has_links = linked_targets(hin.adjacency(relation))
    note += f"; {int((~has_links).sum()):,} {relation[2]}s without any are left out"
    return hin.filter_nodes(relation[2], has_links), note


def _movies(folder: Path) -> Job:
    relation = ("user", "rates", "movie")
    hin, note = _liked(movielens_100k(folder), relation)
    return Job(hin, relation, ["x", ("genre",), "year"], (), "movie", "title", [note])


def _small(folder: Path) -> Job:
    relation = ("user", "rates", "movie")
    hin, note = _liked(movielens_latest_small(folder), relation)
    return Job(hin, relation, ["x", ("genre",), "year"], (), "movie", "title", [note])


def _products(folder: Path) -> Job:
    hin = amazon_hin(folder)
    relation = ("user", "rates", "item")
    features = [("brand",), ("category",), ("view",)]
    return Job(hin, relation, features, notes=["ids only: the set has no names and no texts"])


def _reviews(folder: Path) -> Job:
    hin = amazon_reviews(folder, folder if any(folder.glob("meta_*")) else None)
    has_title = "title" in hin.nodes["item"].column_names
    relation = ("user", "rates", "item")
    embed, features = ("item", ["x"]) if has_title else (None, [])
    notes = ["every review counts as a link, whatever its rating"]
    notes += [] if has_title else ["there is no meta_* file, so new items have no features"]
    return Job(hin, relation, features, ("review",), embed, "title" if has_title else None, notes)


JOBS: dict[str, Callable[[Path], Job]] = {
    "ml-100k": _movies,
    "ml-latest-small": _small,
    "amazon-hin": _products,
    "amazon-musical-instruments": _reviews,
}
