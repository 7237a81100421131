"""What does it cost to serve a new user or item without a refit?

    HINAUG_DATA=folder python benchmarks/fold_in.py [--only EASE ALS ...] [--seeds 2] [--out FILE]

MovieLens 1M, the pairs of LightGCN++'s train.txt and valid.txt. A random 80 % of them are given,
the others are held out. A model that was fitted without a tenth of the users (items) and took them
in by `fold_in` (`fold_in_items`) stands beside the same model fitted on everything that is given:
twice, with two seeds, as two refits differ too.

users     lists of the new users, over all items that they do not have yet
items     lists of all users over the new items alone
joint     lists of all users over all items, judged by all held-out pairs; "new" is the share of
          new items in the twenty best

NDCG@20 against the held-out pairs, the gap to the refit in per cent, and the share of the ten best
that two lists have in common. A method that is deterministic gives the same lists twice. Methods
that cannot fold in are left out. Parameters are the defaults. Each row is also written as a line of
JSON to benchmarks/results/fold_in.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.datasets.lightgcn import INTERACTS, lightgcn_split
from hinaug.graph.hin import HIN
from hinaug.predictors import (
    ALS,
    BSPM,
    EASE,
    GFCF,
    MF,
    SLIM,
    FoldsIn,
    FoldsInItems,
    ItemKNN,
    LightGCN,
    LinkPredictor,
    MultVAE,
    Popularity,
    UserKNN,
)
from hinaug.predictors.fold_in import choose_fold_in_l2
from hinaug.training import ranking

RESULTS = Path(__file__).parent / "results" / "fold_in.jsonl"
GIVEN, NEW = 0.8, 0.1  # shares of the pairs that are given, and of the users or items that are new
CUT, OVERLAP = 20, 10
BLOCK = 512
MODELS: dict[str, LinkPredictor] = {
    type(model).__name__: model
    for model in (
        Popularity(INTERACTS),
        ItemKNN(INTERACTS),
        UserKNN(INTERACTS),
        SLIM(INTERACTS),
        EASE(INTERACTS),
        GFCF(INTERACTS),
        BSPM(INTERACTS),
        ALS(INTERACTS),
        MF(INTERACTS, loss="softmax"),
        LightGCN(INTERACTS, loss="softmax"),
        MultVAE(INTERACTS),
    )
}
STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # of the ridge on the rows of new items
COLUMNS = ("model", "where", "NDCG@20 folded", "refit", "gap %", "overlap", "refits: gap %",
           "overlap", "new", "refit", "ms each")  # fmt: skip


@dataclass
class World:
    """The given pairs as a graph, and what is held out. `new_users`, `new_items`: positions."""

    given: HIN
    held_out: sp.csr_array
    new_users: np.ndarray
    new_items: np.ndarray

    @property
    def history(self) -> sp.csr_array:
        return self.given.adjacency(INTERACTS)

    def without_users(self) -> HIN:
        known = ~np.isin(np.arange(self.given.n("user")), self.new_users)
        return self.given.filter_nodes("user", known)

    def without_items(self) -> HIN:
        known = ~np.isin(np.arange(self.given.n("item")), self.new_items)
        return self.given.filter_nodes("item", known)


def world(seed: int = 0) -> World:
    folder = Path(os.environ.get("HINAUG_DATA", ".")) / "ml-1m-lightgcnpp"
    hin = lightgcn_split(folder, rng=seed).train_valid
    rng = np.random.default_rng(seed)
    src, dst = hin.links(INTERACTS)
    is_given = rng.random(len(src)) < GIVEN
    shape = (hin.n("user"), hin.n("item"))
    pairs = src[~is_given], dst[~is_given]
    held_out = sp.csr_array((np.ones(len(pairs[0]), np.float32), pairs), shape=shape)
    new = [np.sort(rng.permutation(n)[: round(NEW * n)]) for n in shape]
    return World(hin.filter_edges(INTERACTS, is_given), held_out, *new)


@dataclass
class Lists:
    """Ranked lists of some users, best first: positions [n, CUT] in the given graph."""

    ranked: np.ndarray
    ndcg: float


def lists(scores: np.ndarray, here: World, users: np.ndarray, allowed: np.ndarray | None) -> Lists:
    """What scores [users, items of the given graph] rank, without what the users have."""
    if allowed is not None:
        scores = np.where(allowed, scores, np.float32(np.nan))
    ranked, _ = ranking.top_k(scores, CUT, here.history[users])
    relevant = here.held_out[users]
    if allowed is not None:
        relevant = sp.csr_array(relevant @ sp.diags_array(allowed.astype(np.float32)))
        relevant.eliminate_zeros()
    return Lists(ranked, float(np.nanmean(ranking.ndcg(ranked, relevant, CUT))))


def scored(model: LinkPredictor, hin: HIN, users: np.ndarray) -> np.ndarray:
    blocks = [model.score(hin, users[at : at + BLOCK]) for at in range(0, len(users), BLOCK)]
    return np.concatenate(blocks)


def common(one: Lists, other: Lists) -> float:
    """The mean share of the OVERLAP best that two lists share."""
    pairs = zip(one.ranked[:, :OVERLAP], other.ranked[:, :OVERLAP], strict=True)
    return float(np.mean([len(np.intersect1d(a, b)) / OVERLAP for a, b in pairs]))


def compared(
    name: str, where: str, here: World, each: float, folded: Lists, refits: list[Lists]
) -> dict[str, Any]:
    """One row of the table."""
    first, second = refits
    row = {
        "model": name,
        "where": where,
        "folded": folded.ndcg,
        "refit": first.ndcg,
        "gap": 100 * (folded.ndcg / first.ndcg - 1),
        "overlap": common(folded, first),
        "refits_gap": 100 * (second.ndcg / first.ndcg - 1),
        "refits_overlap": common(second, first),
        "ms_each": 1000 * each,
    }
    if where == "joint":
        for key, found in (("new", folded), ("refit_new", first)):
            row[key] = float(np.isin(found.ranked, here.new_items).mean())
    return row


def with_new_users(
    name: str, here: World, refits: list[LinkPredictor], seed: int
) -> Iterator[dict[str, Any]]:
    model = MODELS[name].clone().fit(here.without_users(), rng=seed)
    if not isinstance(model, FoldsIn):
        return
    users = here.new_users
    begin = time.perf_counter()
    scores = model.fold_in(here.history[users])
    each = (time.perf_counter() - begin) / len(users)
    found = [lists(s, here, users, None) for s in (scores, *(scored(m, here.given, users)
             for m in refits))]  # fmt: skip
    yield compared(name, "users", here, each, found[0], found[1:])


def with_own_l2(model: LinkPredictor, here: World, seed: int) -> LinkPredictor:
    """The model with the `fold_in_l2` that is best for other items, judged by a tenth of the pairs
    that are given.
    """
    if not hasattr(model, "fold_in_l2"):
        return model.clone()
    hin = here.without_items()
    judged = np.random.default_rng(seed).random(hin.n(INTERACTS)) < 0.1
    src, dst = (positions[judged] for positions in hin.links(INTERACTS))
    valid = pa.table({"src": hin.ids("user", src), "dst": hin.ids("item", dst)})
    train = hin.filter_edges(INTERACTS, ~judged)
    return model.clone(fold_in_l2=choose_fold_in_l2(model, train, valid, STRENGTHS, rng=seed))


def with_new_items(
    name: str, here: World, refits: list[LinkPredictor], seed: int
) -> Iterator[dict[str, Any]]:
    model = with_own_l2(MODELS[name], here, seed).fit(here.without_items(), rng=seed)
    if not isinstance(model, FoldsInItems):
        return
    begin = time.perf_counter()
    grown = model.fold_in_items(here.given)
    each = (time.perf_counter() - begin) / len(here.new_items)
    users = np.arange(here.given.n("user"))
    scores = [scored(m, here.given, users) for m in (grown, *refits)]
    new = np.isin(np.arange(here.given.n("item")), here.new_items)
    for where, allowed in (("items", new), ("joint", None)):
        found = [lists(s, here, users, allowed) for s in scores]
        yield compared(name, where, here, each, found[0], found[1:])


def rows(name: str, seed: int) -> Iterator[dict[str, Any]]:
    if not isinstance(MODELS[name], FoldsIn | FoldsInItems):
        print(f"{name} folds in neither users nor items")
        return
    here = world(seed)
    refits = [MODELS[name].clone().fit(here.given, rng=rng) for rng in (seed, seed + 100)]
    for part in (with_new_users, with_new_items):
        for row in part(name, here, refits, seed):
            yield row | {"seed": seed, "parameters": repr(MODELS[name])}


def shown(row: dict[str, Any]) -> str:
    cells = [row["model"], row["where"], f"{row['folded']:.4f}", f"{row['refit']:.4f}"]
    cells += [f"{row['gap']:+.2f}", f"{row['overlap']:.3f}"]
    cells += [f"{row['refits_gap']:+.2f}", f"{row['refits_overlap']:.3f}"]
    cells += [f"{row[key]:.3f}" if key in row else "" for key in ("new", "refit_new")]
    return aligned([*cells, f"{row['ms_each']:.2f}"])


def aligned(cells: Any) -> str:
    widths = [len(column) for column in COLUMNS]
    widths[0] = 10
    return "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--seeds", type=int, default=1, help="splits and fits, from seed 0 on")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON lines are appended here")
    options = parser.parse_args()
    print(aligned(COLUMNS))
    for name in options.only:
        for seed in range(options.seeds):
            for row in rows(name, seed):
                print(shown(row), flush=True)
                with options.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
