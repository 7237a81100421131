"""Fixed splits in the layout of LightGCN: one line a user in train.txt, [valid.txt] and test.txt,
"user item item ...".

Sources of splits in this layout: X. He et al., "LightGCN", SIGIR 2020 (gowalla); G. Lee et al.,
"Revisiting LightGCN", RecSys 2024 (LightGCN++: lastfm, ml-1m); the IHGCL code (for `amazon_hin` and
`yelp_hin`). Terms: those of the data.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from hinaug.checks import Rng
from hinaug.datasets.files import graph, require
from hinaug.errors import ParameterError, SchemaError
from hinaug.graph.evidence import without_pairs
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import PairIndex
from hinaug.graph.schema import EdgeType
from hinaug.split.base import Split
from hinaug.split.random import random_split

log = logging.getLogger(__name__)
INTERACTS = ("user", "interacts", "item")
ADDRESS = "https://github.com/gusye1234/LightGCN-PyTorch"


def lightgcn_split(
    folder: Any,
    hin: HIN | None = None,
    target: EdgeType = INTERACTS,
    *,
    evidence: Sequence[str] = (),
    first_id: int = 0,
    valid: float | int | None = None,
    rng: Rng = None,
) -> Split:
    """A published split: `test` is test.txt, `train_valid` everything before it, to compare with
    published figures.

    folder: holds train.txt and test.txt, perhaps valid.txt. Numbers are user and item ids; a line
        may be blank, a user may have no items, stand in one file only or on several lines; repeated
        pairs count once, and a pair of test or valid that also stands in an earlier file belongs to
        the earlier one (both are counted in `split.how`).
    hin: the graph that the numbers speak of, such as `amazon_hin(folder)`; its `target` relation
        has exactly the pairs of the files, and its evidence leaves with held-out pairs. Without it
        a graph of nodes user and item with ("user", "interacts", "item") is made of the numbers.
    first_id: the id in `hin` of what the files call 0 (1 for `yelp_hin`).
    valid: by default the pairs of valid.txt, and 0.1 where there is no such file. A share of each
        user's pairs (rounded at random, so unbiased; each user keeps one), or a count; drawn by
        `rng` from all that is not test.

    Published figures on gowalla, `amazon_hin` and `yelp_hin` are of models fitted on all of
    train.txt (`split.train_valid`). On the splits with valid.txt they are of models fitted on
    train.txt alone (`split.train`), and the items of valid.txt were ranked with the rest, which
    `evaluate` leaves out on test: to compare, score `split.train` on `dataclasses.replace(split,
    valid=split.valid.slice(0, 0))`. Ids stay the published integers; the nodes of a graph that is
    made of them stand in the order of a hash of their ids. All lineage is "row".
    Titles of ml-1m cannot be attached: its numbers are new ones, in the order in which a shuffled
    file named them first, and no list of old and new numbers is published.
    """
    path = require(folder, ["train.txt", "test.txt"], ADDRESS)
    parts, lines, counts = _parts(path)
    if hin is None:
        hin, first_id = _graph(lines, target), 0
    observed = hin.observed()
    in_graph = _in_graph(observed, target, parts, first_id, path)

    train_valid = without_pairs(hin, target, in_graph["test"], evidence)
    if valid is None and "valid" in in_graph:
        share: Any = "valid.txt"
        train = without_pairs(train_valid, target, in_graph["valid"], evidence)
        held = _rows(observed, target, in_graph["valid"])
    else:
        share = 0.1 if valid is None else valid
        drawn = random_split(train_valid, target, evidence=evidence, valid=share, test=0, rng=rng)
        train, held = drawn.train, drawn.valid
    how = {"split": "lightgcn_split", "valid": share, **counts}
    how |= {"evidence": list(evidence), "keep": []}
    test = _rows(observed, target, in_graph["test"])
    return Split(hin, target, train, train_valid, held, test, tuple(evidence), how)


class Lines(NamedTuple):
    """The pairs of a file as it lists them, [n] and [n], and the user of each line."""

    src: np.ndarray
    dst: np.ndarray
    users: np.ndarray

    def pairs(self) -> PairIndex:
        return PairIndex.from_positions(self.src, self.dst, (2**31, 2**31))


def _parts(path: Path) -> tuple[dict[str, PairIndex], Lines, dict[str, int]]:
    """The pairs of each file that stand in no earlier one, all lines, and counts of the rest."""
    files = {name: path / f"{name}.txt" for name in ("train", "valid", "test")}
    read = {name: _read(file) for name, file in files.items() if file.is_file()}
    pairs = {name: lines.pairs() for name, lines in read.items()}
    parts = _without_repeats(pairs)
    counts = {
        "repeated": sum(len(read[name].src) - len(pairs[name]) for name in read),
        "overlap": sum(len(pairs[name]) - len(parts[name]) for name in read),
    }
    log.info("%s: %s, %s", path, ", ".join(f"{n} {len(p):,}" for n, p in parts.items()), counts)
    return parts, Lines(*map(np.concatenate, zip(*read.values(), strict=True))), counts


def _without_repeats(parts: dict[str, PairIndex]) -> dict[str, PairIndex]:
    """The pairs of each part that stand in no earlier one."""
    out: dict[str, PairIndex] = {}
    for name, pairs in parts.items():
        out[name] = pairs.minus(_all(out)) if out else pairs
    return out


def _all(parts: dict[str, PairIndex]) -> PairIndex:
    """The pairs of all parts together."""
    first, *others = parts.values()
    for pairs in others:
        first = first.union(pairs)
    return first


def _read(file: Path) -> Lines:
    users, sizes, items = [], [], []
    with open(file, encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, 1):
            try:
                words = np.array(line.split(), np.int64)
            except (ValueError, OverflowError):
                words = np.array([-1])
            if (words < 0).any() or (words >= 2**31).any():
                raise ParameterError(
                    f"{file}, line {number}: expected numbers of a user and items; it starts "
                    f"{line[:40]!r}"
                )
            if len(words):
                users.append(words[0])
                sizes.append(len(words) - 1)
                items.append(words[1:])
    who = np.array(users, np.int64)
    dst = np.concatenate(items) if items else np.zeros(0, np.int64)
    return Lines(np.repeat(who, sizes), dst, who)


def _graph(lines: Lines, target: EdgeType) -> HIN:
    """The graph of all pairs in the order in which the files first list them."""
    _, first = PairIndex.with_first_rows(lines.src, lines.dst, (2**31, 2**31))
    rows = np.sort(first)
    nodes = {
        target[0]: pa.table({"id": np.unique(lines.users)}),
        target[2]: pa.table({"id": np.unique(lines.dst)}),
    }
    edges = {target: pa.table({"src": lines.src[rows], "dst": lines.dst[rows]})}
    return graph(nodes, edges, "row")


def _in_graph(
    hin: HIN, target: EdgeType, parts: dict[str, PairIndex], first_id: int, path: Path
) -> dict[str, PairIndex]:
    """The parts, pairs of the numbers in the files, as pairs of positions in the graph."""
    hin.edges[target]  # raises, naming what there is
    out = {}
    for name, pairs in parts.items():
        ids = pa.table({"src": pairs.src + first_id, "dst": pairs.dst + first_id})
        try:
            out[name] = PairIndex.from_ids(hin, target, ids)
        except SchemaError as error:
            raise ParameterError(
                f"{path}: its numbers do not fit the graph with first_id={first_id}: {error}"
            ) from None
    _check_same_pairs(hin, target, _all(out), path)
    return out


def _check_same_pairs(hin: HIN, target: EdgeType, pairs: PairIndex, path: Path) -> None:
    in_graph = PairIndex.of(hin, target)
    more, less = len(pairs.minus(in_graph)), len(in_graph.minus(pairs))
    if more or less:
        raise ParameterError(
            f"{path}: the files and {target} hold unlike pairs: {more:,} only in the files, "
            f"{less:,} only in the graph; pass the graph that the split was made from, and its "
            "first_id",
            asked=more,
            there=less,
        )


def _rows(hin: HIN, target: EdgeType, pairs: PairIndex) -> pa.Table:
    """The first row of each pair, with external ids."""
    in_graph, first = PairIndex.with_first_rows(*hin.links(target), pairs.shape)
    rows = np.sort(first[in_graph.find(pairs.src, pairs.dst)])
    table = hin.edges[target].take(pa.array(rows))
    for side, type in (("src", target[0]), ("dst", target[2])):
        ids = hin.ids(type, table[side].to_numpy())
        table = table.set_column(table.column_names.index(side), side, ids)
    return table.combine_chunks()
