"""JointVAE on a large graph: seconds an epoch, to calibrate, and to draw.

    OMP_NUM_THREADS=1 python benchmarks/entities_scale.py [--users 100000 --items 20000]

The graph has ten links a user, popularity as a power of the rank, twenty planted tastes, an age and
a job. Seconds are of CPU. Printed are

- seconds an epoch of `MultVAE` (softmax over all items) and of `JointVAE` (sampled), with networks
  and batches of one size, in one process;
- seconds to find temperature and popularity, and to draw a tenth as many users, with attributes;
- expected links of each item on fresh generated users against the real ones: sum of the absolute
  differences over the sum of the real counts.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pyarrow as pa

from hinaug.generators import JointVAE
from hinaug.graph.hin import HIN
from hinaug.predictors import MultVAE
from hinaug.training.estimator import Estimator

RATES = ("user", "rates", "item")
SIZES = {"latent": 32, "hidden": 128, "batch_size": 128}
N_TASTES, DEGREE = 20, 10


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


def cost(hin: HIN, epochs: int = 2) -> dict[str, float]:
    """Seconds of CPU of JointVAE, and how far popularity is off."""
    model = JointVAE(relations=[RATES], epochs=epochs * 4, **SIZES)  # a quarter of them are run
    an_epoch, whole = seconds_an_epoch(model, hin)
    start = time.process_time()
    delta = model.generate(hin, 0.1, rng=0)
    drawn = time.process_time() - start
    real = np.bincount(hin.links(RATES)[1], minlength=hin.n("item"))
    made = np.bincount(hin.positions("item", delta.edges[RATES]["dst"]), minlength=hin.n("item"))
    wanted = real * (made.sum() / real.sum())
    rows = round(epochs * 4 * min(1.0, (10_000 / hin.n("user")) ** 0.5))
    return {
        "s an epoch": round(float(np.mean(an_epoch)), 1),
        "s to calibrate": round(whole - rows * float(np.mean(an_epoch)), 1),
        "s to draw a tenth": round(drawn, 1),
        "popularity off": round(float(np.abs(made - wanted).sum() / wanted.sum()), 3),
        "popularity off by chance": round(_chance(wanted), 3),
    }


def _chance(wanted: np.ndarray) -> float:
    """The same for draws in proportion to the real counts."""
    drawn = np.random.default_rng(0).poisson(wanted)
    return float(np.abs(drawn - wanted).sum() / wanted.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--full", action="store_true", help="time MultVAE beside it")
    options = parser.parse_args()
    hin = world(options.users, options.items)
    print(hin)
    if options.full:
        mult_vae, _ = seconds_an_epoch(MultVAE(RATES, epochs=options.epochs, kl=0.5, **SIZES), hin)
        print(f"MultVAE: {np.mean(mult_vae):.1f} s an epoch", flush=True)
    print(cost(hin, options.epochs))


if __name__ == "__main__":
    main()
