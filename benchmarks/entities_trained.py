"""The arms of `entities.py` that train on: against a critic, by rewards, and their controls."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from entities import MOVIES, Results, Row, best, links_auc
from entities_near import split_of
from scipy.special import softmax

from hinaug.generators import CFGAN, RLGAN, JointGAN, JointVAE
from hinaug.graph.hin import HIN
from hinaug.split.base import Split

POOL = 500  # users that sharpness is measured on


NOTHING = "JointGAN from nothing"


def adversarial(
    results: Results, seeds: int, only: Sequence[str] | None = None, data: str = "ml-100k"
) -> None:
    """One generated user a real one, all from one fitted JointVAE a seed; only: the arms to run."""
    section = "adversarial" if data == "ml-100k" else f"adversarial, {data}"
    for seed in range(seeds):
        split = split_of(data, seed)
        results.once(section, "none", seed, lambda s=split: best(s, None))
        for name, fitted in arms(split.train, seed).items():
            if only and name not in only:
                continue
            row = lambda f=fitted, s=split, k=seed: worth(s, f, k)  # noqa: E731
            results.once(section, name, seed, row)


def arms(hin: HIN, seed: int) -> dict[str, Callable[[], Any]]:
    """{name: what gives a fitted generator}."""
    one = {"relations": [MOVIES]}

    @cache
    def vae() -> JointVAE:
        return JointVAE("user", **one).fit(hin, rng=seed)

    @cache
    def tuned(adversarial: float) -> JointGAN:
        return JointGAN.fine_tuned(vae(), hin, rng=seed, adversarial=adversarial)

    @cache
    def from_nothing() -> JointGAN:
        changes = {"steps": 1000, "attributes": "trees", "lr": 3e-3, "critic_lr": 4e-3}
        return JointGAN("user", start="nothing", **changes, **one).fit(hin, rng=seed)

    def paid(**changes: Any) -> RLGAN:
        made = RLGAN.fine_tuned(vae(), hin, rng=seed, control=False, **changes)
        print(made.report(), flush=True)
        return made

    return {
        "JointVAE": vae,
        "JointVAE + critic": lambda: tuned(JointGAN.adversarial),
        "JointVAE + the same steps without a critic": lambda: tuned(0.0),
        "JointVAE as sharp as with the critic": lambda: as_sharp(
            vae(), tuned(JointGAN.adversarial), hin, seed
        ),
        NOTHING: from_nothing,
        "JointVAE as sharp as from nothing": lambda: as_sharp(vae(), from_nothing(), hin, seed),
        "RLGAN": lambda: paid(),
        "RLGAN, shuffled rewards": lambda: paid(shuffled=True),
        "CFGAN": lambda: CFGAN("user", **one).fit(hin, rng=seed),
    }


def worth(split: Split, fitted: Callable[[], Any], seed: int) -> Row:
    """NDCG@20 of EASE with as many generated users as real ones; AUC and sharpness of links."""
    start = time.process_time()
    model, n = fitted(), split.train.n("user")
    made = model.sample(split.train, n, np.random.default_rng(seed))
    delta = model._as_delta(split.train, made, n)
    row = best(split, delta) | {"s": round(time.process_time() - start, 1)}
    auc = [links_auc(split.train, delta, made.source, seed + k) for k in (0, 100, 200)]
    row |= {"auc links": round(float(np.mean(auc)), 3)}
    if isinstance(model, RLGAN):  # its draws are not of one softmax
        return row
    return row | {"entropy": round(sharpness(model, split.train, seed), 3)}


def sharpness(model: Any, hin: HIN, seed: int) -> float:
    """Mean entropy of the softmax that the first link is drawn by, in nats."""
    rng = np.random.default_rng(seed)
    real = model._real(hin)
    source = rng.permutation(len(real.nodes))[:POOL]
    p = softmax(model._logits(0, model._state(real, source, rng), [], slice(0, POOL)), axis=1)
    return float(-(p * np.log(np.maximum(p, 1e-30))).sum(axis=1).mean())


def as_sharp(vae: JointVAE, other: Any, hin: HIN, seed: int) -> JointVAE:
    """The autoencoder at the temperature at which it is as sharp as another generator."""
    twin, wanted = copy.copy(vae), sharpness(other, hin, seed)
    low, high = np.log(0.1), np.log(2.0)
    for _ in range(6):
        twin.temperature = float(np.exp((low + high) / 2))
        twin._calibrate(twin._real(hin), np.random.default_rng(seed))
        found = sharpness(twin, hin, seed)
        low, high = (low, (low + high) / 2) if found > wanted else ((low + high) / 2, high)
    return twin
