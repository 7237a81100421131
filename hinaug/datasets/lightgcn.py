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
from typing import Any

import numpy as np
import pyarrow as pa

from hinaug.checks import Rng
from hinaug.datasets.files import require
from hinaug.errors import ParameterError, SchemaError
from hinaug.graph.evidence import without_pairs
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import among, distinct
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
    valid=split.valid.slice(0, 0))`. Ids stay the published integers. All lineage is "row".
    Titles of ml-1m cannot be attached: its numbers are new ones, in the order in which a shuffled
    file named them first, and no list of old and new numbers is published.
    """
    path = require(folder, ["train.txt", "test.txt"], ADDRESS)
    names = [n for n in ("train", "valid", "test") if (path / f"{n}.txt").is_file()]
    read = {name: _read(path / f"{name}.txt") for name in names}
    counts = {"repeated": sum(repeated for _, _, repeated in read.values()), "overlap": 0}
    parts: dict[str, np.ndarray] = {}
    earlier = np.zeros(0, np.int64)
    for name, (codes, _, _) in read.items():
        parts[name] = codes[~among(codes, earlier)]
        counts["overlap"] += len(codes) - len(parts[name])
        earlier = np.sort(np.concatenate([earlier, parts[name]]))
    log.info("%s: %s, %s", path, ", ".join(f"{n} {len(c):,}" for n, c in parts.items()), counts)
    if hin is None:
        hin = _graph(earlier, np.concatenate([users for _, users, _ in read.values()]), target)
        first_id = 0
    hin.edges[target]
    observed = hin.observed()
    at = {
        name: _positions(observed, target, codes, first_id, path) for name, codes in parts.items()
    }
    _same_pairs(observed, target, np.concatenate(list(at.values())), path)

    rest = without_pairs(hin, target, *_ends(at["test"]), evidence)
    if valid is None and "valid" in at:
        train, held = (
            without_pairs(rest, target, *_ends(at["valid"]), evidence),
            _rows(observed, target, at["valid"]),
        )
    else:
        drawn = random_split(
            rest, target, evidence=evidence, valid=0.1 if valid is None else valid, test=0, rng=rng
        )
        train, held = drawn.train, drawn.valid
    said = "valid.txt" if valid is None and "valid" in at else 0.1 if valid is None else valid
    how = {
        "split": "lightgcn_split",
        "valid": said,
        **counts,
        "evidence": list(evidence),
        "keep": [],
    }
    return Split(
        hin, target, train, rest, held, _rows(observed, target, at["test"]), tuple(evidence), how
    )


def _read(file: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """The distinct pairs of a file as sorted codes, its users, and how many more times a pair stood
    there.
    """
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
    codes = _codes(np.repeat(who, sizes), np.concatenate(items) if items else np.zeros(0, np.int64))
    once = distinct(codes)
    return once, who, len(codes) - len(once)


def _codes(src: np.ndarray, dst: np.ndarray) -> np.ndarray:
    """A pair as one number, in the order of users, then items."""
    return (src.astype(np.int64) << 32) | dst.astype(np.int64)


def _ends(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return codes >> 32, codes & 0xFFFFFFFF


def _graph(codes: np.ndarray, users: np.ndarray, target: EdgeType) -> HIN:
    src, dst = _ends(codes)
    nodes = {
        target[0]: pa.table({"id": np.unique(users)}),
        target[2]: pa.table({"id": np.unique(dst)}),
    }
    return HIN.from_tables(nodes, {target: pa.table({"src": src, "dst": dst})}, lineage="row")


def _positions(
    hin: HIN, target: EdgeType, codes: np.ndarray, first_id: int, path: Path
) -> np.ndarray:
    """The codes of the files as codes of positions in the graph."""
    try:
        ends = [
            hin.positions(type, ids + first_id)
            for type, ids in zip((target[0], target[2]), _ends(codes), strict=True)
        ]
    except SchemaError as error:
        raise ParameterError(
            f"{path}: its numbers do not fit the graph with first_id={first_id}: {error}"
        ) from None
    return _codes(*ends)


def _same_pairs(hin: HIN, target: EdgeType, codes: np.ndarray, path: Path) -> None:
    codes, there = np.sort(codes), distinct(_codes(*hin.links(target)))
    more, less = (int((~among(a, b)).sum()) for a, b in ((codes, there), (there, codes)))
    if more or less:
        raise ParameterError(
            f"{path}: the files and {target} hold unlike pairs: {more:,} only in the files, "
            f"{less:,} only in the graph; "
            "pass the graph that the split was made from, and its first_id"
        )


def _rows(hin: HIN, target: EdgeType, codes: np.ndarray) -> pa.Table:
    """The first row of each pair, with external ids."""
    there, first = np.unique(_codes(*hin.links(target)), return_index=True)
    rows = np.sort(first[among(there, np.sort(codes))])
    table = hin.edges[target].take(pa.array(rows))
    for side, type in (("src", target[0]), ("dst", target[2])):
        ids = hin.ids(type, table[side].to_numpy())
        table = table.set_column(table.column_names.index(side), side, ids)
    return table.combine_chunks()
