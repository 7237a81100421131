"""Generators of whole nodes on a large graph: seconds an epoch, and the fit of popularity.

    OMP_NUM_THREADS=1 python benchmarks/entities_scale.py [--users 100000 --items 20000]

The graph has ten links a user, popularity as a power of the rank, twenty planted tastes, an age and
a job. Seconds are of CPU. Printed are

- seconds an epoch of `MultVAE` and of the `VAE` generator, with networks and batches of one size,
  in turn in one process; the goal is that VAE takes at most 1.2 times as long;
- seconds to find the temperature, and to fit popularity (goal: under a minute);
- expected links of each item against the real ones, before and after that fit, on the generated
  nodes that it was fitted on and on fresh ones: sum of the absolute differences over the sum of the
  real counts;
- seconds to generate a tenth as many users.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from hinaug.generators import VAE
from hinaug.generators.entities.autoencoder import Autoencoder
from hinaug.generators.entities.draws import NEVER, inclusion
from hinaug.generators.entities.vae import POOL
from hinaug.graph.hin import HIN
from hinaug.predictors import MultVAE
from hinaug.training.estimator import Estimator

RATES = ("user", "rates", "item")
SIZES = {"latent": 32, "hidden": 128, "batch_size": 128}
N_TASTES, DEGREE, BLOCK = 20, 10, 200


def world(n_users: int, n_items: int) -> HIN:
    """Users with ten links on average, nine of ten within their taste."""
    rng = np.random.default_rng(0)
    taste, item_taste = rng.integers(N_TASTES, size=n_users), np.arange(n_items) % N_TASTES
    total = np.cumsum((np.arange(n_items) + 30.0) ** -0.7)
    src = np.repeat(np.arange(n_users), 1 + rng.poisson(DEGREE, n_users))
    dst = np.searchsorted(total, rng.random(len(src)) * total[-1])
    inside = rng.random(len(src)) < 0.9
    moved = np.minimum(dst - item_taste[dst] + taste[src], n_items - 1)
    pairs = np.unique(src * np.int64(n_items) + np.where(inside, moved, dst))
    src, dst = np.divmod(pairs, n_items)
    users = {
        "id": pa.array([f"u{i}" for i in range(n_users)]),
        "age": np.clip(rng.normal(20 + 2 * taste, 5), 12, 90).astype(int),
        "job": pa.array([f"job {t}" for t in taste]),
    }
    items = {"id": pa.array([f"i{i}" for i in range(n_items)])}
    links = {"src": users["id"].take(pa.array(src)), "dst": items["id"].take(pa.array(dst))}
    return HIN.from_tables({"user": users, "item": items}, {RATES: links})


def seconds_an_epoch(model: Estimator, hin: HIN) -> tuple[list[float], float]:
    """Seconds of CPU of each epoch but the first, and of the whole fit."""
    marks: list[float] = []
    start = time.process_time()
    with model.training(callbacks=[lambda _: marks.append(time.process_time())]):
        model.fit(hin, rng=0)  # type: ignore[attr-defined]
    return list(np.diff(marks)), time.process_time() - start


def timed(cls: type, name: str, into: dict[str, float]) -> Callable[[], None]:
    """Add up the seconds that a method takes; gives what takes the clock off."""
    method = getattr(cls, name)

    def clocked(self: Any, *args: Any, **kwargs: Any) -> Any:
        start = time.process_time()
        try:
            return method(self, *args, **kwargs)
        finally:
            into[name] = into.get(name, 0.0) + time.process_time() - start

    setattr(cls, name, clocked)
    return lambda: setattr(cls, name, method)


def generated(vae: VAE, hin: HIN, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Latents and degrees of 2,000 generated users, and the real counts of the items."""
    rng, real = np.random.default_rng(seed), vae._real(hin, vae.targets_)
    source = rng.permutation(len(real.nodes))[:POOL]
    mean, spread = (part[source] for part in vae._latents(hin, real))
    return mean + spread * rng.standard_normal(mean.shape), real.degree[source], real.counts


def popularity_error(vae: VAE, hin: HIN, seed: int) -> tuple[float, float]:
    """The error of the expected counts of generated users, without offsets and with them."""
    z, degree, counts = generated(vae, hin, seed)
    auto, wanted, errors = vae.autoencoder_, counts * (degree.sum() / counts.sum()), []
    for offsets in (np.where(counts > 0, 0, NEVER).astype(np.float32), auto.offsets_):
        kept, auto.offsets_ = auto.offsets_, offsets
        blocks = [slice(at, at + BLOCK) for at in range(0, len(z), BLOCK)]
        expected = sum(inclusion(auto.logits(z[b]), degree[b]).sum(axis=0) for b in blocks)
        auto.offsets_ = kept
        errors.append(float(np.abs(expected - wanted).sum() / wanted.sum()))
    return errors[0], errors[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    hin = world(options.users, options.items)
    print(hin)
    predictor = MultVAE(RATES, epochs=options.epochs, kl=0.5, **SIZES)
    generator = VAE(relation=RATES, autoencoder=Autoencoder(epochs=options.epochs, **SIZES))
    took: dict[str, float] = {}
    mult_vae, _ = seconds_an_epoch(predictor, hin)
    undo = [timed(Autoencoder, name, took) for name in ("_find_temperature", "match_popularity")]
    epochs, whole = seconds_an_epoch(generator, hin)
    for take_off in undo:
        take_off()
    start = time.process_time()
    generator.autoencoder_.match_popularity(*generated(generator, hin, seed=0))
    popularity = time.process_time() - start
    print(
        f"seconds an epoch: MultVAE {np.mean(mult_vae):.1f}, VAE {np.mean(epochs):.1f}, "
        f"{np.mean(epochs) / np.mean(mult_vae):.2f} times as long\n"
        f"fit of VAE: {whole:.0f} s in all, of that {took['_find_temperature']:.0f} s to find the "
        f"temperature; popularity on {POOL:,} users: {popularity:.1f} s",
        flush=True,
    )
    for seed, what in ((0, "the users fitted on"), (1, "fresh users")):
        before, after = popularity_error(generator, hin, seed)
        print(f"expected counts on {what}: off by {before:.1%} before, {after:.1%} after")
    start = time.process_time()
    generator.generate(hin, 0.1, rng=0)
    print(f"to generate a tenth as many users: {time.process_time() - start:.0f} s")


if __name__ == "__main__":
    main()
