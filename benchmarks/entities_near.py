"""The arms of `entities.py` for users with few links, for other data, and for LightGCN."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
import torch
from entities import CONFIDENCE, L2, MOVIES, Results, Row

from hinaug.datasets import load
from hinaug.evaluation import compare, evaluate
from hinaug.evaluation.fidelity import fidelity
from hinaug.generators import JointVAE, PopularNodes, SecondMoment
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.nn.joint_vae import bag
from hinaug.predictors import EASE, LightGCN, Popularity
from hinaug.split.base import Split
from hinaug.split.random import random_split
from hinaug.split.thin import thin
from hinaug.training.ranking import ndcg, tie_order, top_k

FEW, K, NEIGHBOURS = 5, 20, 5  # links of a thin user at most, places, new users for each
SHARES = (0.1, 0.3, 1.0, 3.0)  # of popularity, beside a model
INSTRUMENTS = ("user", "rates", "item")
SETS = ("ml-100k", "ml-latest-small", "amazon-musical-instruments")


def liked(name: str = "ml-100k") -> HIN:
    """Ratings of at least 4; of the small set the movies with ten of them."""
    hin = load(name)
    hin = hin.filter_edges(MOVIES, hin.column(MOVIES, "rating").to_numpy() >= 4)
    if name == "ml-100k":
        return hin
    links = np.bincount(hin.links(MOVIES)[1], minlength=hin.n("movie"))
    return hin.filter_nodes("movie", links >= 10)


def instruments() -> HIN:
    """Reviews of Musical Instruments as links alone."""
    return load("amazon-musical-instruments").drop("review")


def split_of(name: str, seed: int) -> Split:
    """MovieLens with a fifth of the train links, or Musical Instruments as it is."""
    if name == "amazon-musical-instruments":
        return random_split(instruments(), INSTRUMENTS, rng=seed)
    return thin(random_split(liked(name), MOVIES, rng=seed), 0.2, rng=seed)


# ---- users with few links ------------------------------------------------------------------------


class Exam:
    """Thin users of a split: NDCG@20 of rows of scores, on valid and on test."""

    def __init__(self, split: Split) -> None:
        self.split, self.target = split, split.target
        known = split.train.adjacency(self.target)
        degree = np.diff(known.indptr)
        self.users = np.flatnonzero((degree > 0) & (degree <= FEW))
        valid, test = (self._links(split.train, t) for t in (split.valid, split.test))
        self.asked = {"valid": valid[self.users], "test": test[self.users]}
        self.known = {"valid": known[self.users], "test": sp.csr_array(known + valid)[self.users]}
        self.ties = tie_order(split.train, self.target[2])

    def _links(self, hin: HIN, pairs: pa.Table) -> sp.csr_array:
        src, dst = (hin.positions(self.target[i], pairs[c]) for i, c in ((0, "src"), (2, "dst")))
        shape = (hin.n(self.target[0]), hin.n(self.target[2]))
        return sp.csr_array((np.ones(len(src), np.float32), (src, dst)), shape=shape)

    def mark(self, scores: np.ndarray, on: str) -> float:
        ranked, _ = top_k(scores.astype(np.float32), K, self.known[on], ties=self.ties)
        padded = np.pad(ranked, ((0, 0), (0, K - ranked.shape[1])), constant_values=-1)
        return float(np.nanmean(ndcg(padded, self.asked[on], K)))

    def best(self, scores: list[np.ndarray]) -> Row:
        """The best on valid, judged on test."""
        at = int(np.argmax([self.mark(x, "valid") for x in scores]))
        return {"valid": round(self.mark(scores[at], "valid"), 4),
                "test": round(self.mark(scores[at], "test"), 4), "chosen": at}  # fmt: skip

    def ease(self, delta: Delta | None = None) -> list[np.ndarray]:
        """Scores of EASE at each l2 and confidence of generated rows."""
        out = []
        for confidence in CONFIDENCE[1:] if delta is not None else (0.0,):
            more = None if delta is None else delta.with_confidence(confidence)
            hin = self.split.train if more is None else self.split.train + more
            for l2 in L2:
                model = EASE(self.target, l2=l2, weight="confidence").fit(hin)
                ids = self.split.train.ids(self.target[0], self.users)
                out.append(model.score(hin, hin.positions(self.target[0], ids)))
        return out


def z_scores(scores: np.ndarray) -> np.ndarray:
    x = np.nan_to_num(scores, nan=np.nanmin(scores))
    return (x - x.mean(axis=1, keepdims=True)) / np.maximum(x.std(axis=1, keepdims=True), 1e-12)


def with_popularity(scores: list[np.ndarray], popular: np.ndarray) -> list[np.ndarray]:
    return [z_scores(x) + share * z_scores(popular) for x in scores for share in SHARES]


def own_scores(vae: JointVAE, hin: HIN, users: np.ndarray) -> np.ndarray:
    """Logits of the autoencoder at the mean of each user's posterior, over all targets."""
    real, network = vae._real(hin), vae._trained()
    with torch.no_grad():
        mean, _ = network.encode(bag(vae._shown(real, real.rows_of(users))))
        logits = network.logits(0, network.decode(mean)).numpy()
    out = np.full((len(users), hin.n(real.views[0].relation[2])), np.nan, np.float32)
    there = real.views[0].position >= 0
    out[:, real.views[0].position[there]] = logits[:, there]
    return out


def near(results: Results, seeds: int) -> None:
    """Five neighbours for each thin user, on three sets."""
    for name in SETS:
        for seed in range(seeds):
            exam = Exam(split_of(name, seed))
            for arm, row in near_arms(exam, seed).items():
                results.once("near", f"{name}, {arm}", seed, row)


def near_arms(exam: Exam, seed: int) -> dict[str, Any]:
    """{name: what gives the row}; what several need is made once."""
    train, (user, _, _) = exam.split.train, exam.target
    n, kept = len(exam.users), {}

    def once(name: str, make: Any) -> Any:
        if name not in kept:
            kept[name] = make()
        return kept[name]

    def vae() -> JointVAE:
        return once("vae", lambda: JointVAE(user, relations=[exam.target]).fit(train, rng=seed))

    def popular() -> np.ndarray:
        return once("pop", lambda: Popularity(exam.target).fit(train).score(train, exam.users))

    def neighbours(users: np.ndarray) -> Delta:
        return vae().neighbours(train, train.ids(user, users), NEIGHBOURS, rng=seed)

    def plain() -> list[np.ndarray]:
        return once("plain", exam.ease)

    def mine() -> list[np.ndarray]:
        return once("mine", lambda: exam.ease(neighbours(exam.users)))

    def others() -> Delta:
        rest = np.setdiff1d(
            np.flatnonzero(np.diff(train.adjacency(exam.target).indptr)), exam.users
        )
        rng = np.random.default_rng(seed)
        return neighbours(rng.choice(rest, n, replace=len(rest) < n))

    def anybody() -> Delta:
        return vae().generate(train, NEIGHBOURS * n, rng=seed)

    return {
        "popularity": lambda: exam.best([popular()]),
        "EASE": lambda: exam.best(plain()) | {"users": n},
        "EASE + popularity": lambda: exam.best(with_popularity(plain(), popular())),
        "the VAE's own scores": lambda: exam.best([own_scores(vae(), train, exam.users)]),
        "five neighbours each": lambda: exam.best(mine()),
        "five neighbours each, + popularity": lambda: exam.best(with_popularity(mine(), popular())),
        "neighbours of users with more links": lambda: exam.best(exam.ease(others())),
        "as many of anybody": lambda: exam.best(exam.ease(anybody())),
    }


# ---- items of a graph with many relations --------------------------------------------------------


def items(results: Results, seeds: int) -> None:
    """Items of amazon-hin: told apart, and how views and users go together."""
    for seed in range(seeds):
        for epochs in (20, 100):
            row = lambda s=seed, n=epochs: products(s, n)  # noqa: E731
            results.once("items", f"JointVAE, {epochs} epochs", seed, row)


def products(seed: int, epochs: int) -> Row:
    start, hin = time.process_time(), load("amazon-hin")
    model = JointVAE("item", epochs=epochs).fit(hin, rng=seed)
    fitted = time.process_time()
    found = fidelity(hin, model.generate(hin, 1.0, rng=seed), "item", rng=seed)
    told, across = found["realistic/told apart"], found["realistic/links/across relations"]
    row = {f"auc {name}": _rounded(told[name].figure) for name in ("links", "joint")}
    row |= {f"together {part.name}": _rounded(part.score) for part in across.parts}
    return row | {"fit s": round(fitted - start, 1)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


# ---- a tuned LightGCN ----------------------------------------------------------------------------


def light(results: Results, seeds: int) -> None:
    """MovieLens 100K, all data: as many generated users as real ones must do no harm."""
    for tries in (1, 3):
        name = f"JointVAE, {seeds} fits, strength by {tries}"
        results.once("light", name, 0, lambda n=tries: tuned(seeds, n))


def tuned(fits: int, tries: int) -> Row:
    """The strength is chosen by the mean of `tries` fits on valid; with one, from two values."""
    split = random_split(liked(), MOVIES, rng=0)
    plain = LightGCN(MOVIES, loss="softmax", lr=0.1, embedding_dim=64, weight="confidence")
    users = JointVAE("user", relations=[MOVIES]).fit(split.train, rng=0)
    delta = users.generate(split.train, 1.0, rng=0)

    def on(part: str, l2: float, w: float, seed: int) -> Any:
        graphs = [split.train, split.train_valid]
        train, full = (g + delta.with_confidence(w) if w else g for g in graphs)
        model = plain.clone(l2=l2).fit(train, valid=split.valid, rng=seed)
        if part == "valid":
            return evaluate(model, train, split, k=20, on="valid")
        return evaluate(model.refit(full, rng=seed), full, split, k=20, on="test")

    def best(trials: list[tuple[float, float]]) -> tuple[float, float]:
        def value(trial: tuple[float, float]) -> float:
            return sum(on("valid", *trial, seed)["NDCG@20"] for seed in range(tries))

        return max(trials, key=value)

    l2, _ = best([(l2, 0.0) for l2 in (2.0, 4.0)])
    _, w = best([(l2, w) for w in ((0.1, 0.3) if tries == 1 else (0.03, 0.1, 0.3))])
    arms = [[on("test", l2, x, seed) for seed in range(fits)] for x in (0.0, w)]
    found = compare(*arms, "NDCG@20", ("plain", "with users"))
    return {
        "l2": l2,
        "w": w,
        "plain": round(found.mean_a, 4),
        "with users": round(found.mean_b, 4),
        "relative": round(found.relative, 4),
        "low": round(found.low / found.mean_a, 4),
        "high": round(found.high / found.mean_a, 4),
        "p": found.p,
    }


def controls() -> dict[str, Any]:
    """Generators of users of the second data set."""
    one = {"relations": [INSTRUMENTS]}
    return {
        "random by popularity": PopularNodes("user", **one),
        "second moment": SecondMoment("user", **one),
        "JointVAE": JointVAE("user", **one),
    }
