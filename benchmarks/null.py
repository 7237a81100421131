"""Does `compare` keep its level? Fits of one method are tested against other fits of it.

    HINAUG_DATA=folder python benchmarks/null.py fits --out null [--data planted ml-100k]
        [--only LightGCN MF ...] [--fits 40] [--draws 3000] [--epochs 60]
    python benchmarks/null.py closed    the test on layouts with known variances
    python benchmarks/null.py rates     intervals of rates near 0 and 1

`fits` fits each stochastic method 40 times on one split, under 40 seeds, and draws 3,000 times five
of these fits against five others: whatever is found is false. A killed run goes on: each fit is a
file in --out. Printed for 5 and for 8 against as many: the share of p below .05 and .005, how many
verdicts were given, how many 95 % intervals hold 0, and half their width in percent of the mean;
beside it what a test over users alone would have said of one fit against one.

Bars, exit status 1 outside: at .05 at most 6.5 %, at .005 at most 1.5 %, intervals hold in at least
93 %.

40 fits take 1 to 8 minutes of CPU a method on planted and 1 to 20 on ml-100k (see
results/null.md); the draws about a minute more. --epochs limits those who train in epochs.
`closed` and `rates` take five minutes each.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy import stats

from hinaug import HIN, Split, compare, evaluate, random_split
from hinaug.datasets import load, planted
from hinaug.evaluation import Result, mean_interval
from hinaug.evaluation.variance import spread
from hinaug.predictors import (
    ALS,
    BSPM,
    GFCF,
    MF,
    HeteroGNN,
    LightGCN,
    LightGCNPP,
    MultVAE,
    XSimGCL,
)
from hinaug.predictors.base import LinkPredictor

METRIC = "NDCG@20"
LEVELS = {0.05: 0.065, 0.005: 0.015}  # level: the most false positives
HELD = 0.93  # the fewest intervals that hold the truth
DATA = {
    "planted": ("user", "rates", "item"),
    "ml-100k": ("user", "rates", "movie"),
}
METHODS = [LightGCN, LightGCNPP, MF, XSimGCL, MultVAE, HeteroGNN, ALS, GFCF, BSPM]


# ---- fits of methods -----------------------------------------------------------------------------


def world(data: str) -> HIN:
    """The graph: planted without its reviews, or ratings of 4 and 5."""
    if data == "planted":
        return planted(3000, 200, 4, rng=0).drop("review")
    hin = load(data)
    relation = DATA[data]
    return hin.filter_edges(relation, hin.column(relation, "rating").to_numpy() >= 4)


def method(make: type[LinkPredictor], data: str, epochs: int | None) -> LinkPredictor:
    """The method as it comes, with fewer epochs where that is asked for."""
    plain = make(DATA[data])
    if epochs is None or "epochs" not in plain.get_params():
        return plain
    return plain.clone(epochs=epochs)


def values_of_fits(
    model: LinkPredictor, split: Split, name: str, folder: Path, n: int
) -> np.ndarray:
    """NDCG@20 of the users of each fit, float [fits, users]; fits that were kept are read."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in range(n):
        file = folder / f"{name}-{seed}.npy"
        if not file.exists():
            fitted = model.clone().fit(split.train, valid=split.valid, rng=seed)
            found = evaluate(fitted, split.train_valid, split, k=20, on="test")
            part = file.with_suffix(".part.npy")
            np.save(part, found.values[METRIC])
            part.replace(file)
        rows.append(np.load(file))
    return np.stack(rows)


def as_result(values: np.ndarray) -> Result:
    users = pa.array([str(i) for i in range(len(values))])
    return Result("fit", "test", users, {METRIC: values}, {}, {})


def false_findings(values: np.ndarray, n: int, draws: int) -> dict[str, float]:
    """What is found between n fits and n others of one method."""
    rng, results = np.random.default_rng(0), [as_result(row) for row in values]
    p, held, half, verdicts = [], [], [], []
    for _ in range(draws):
        order = rng.permutation(len(results))[: 2 * n]
        found = compare(*([results[i] for i in side] for side in (order[:n], order[n:])), METRIC)
        p.append(1.0 if found.p is None else found.p)
        held.append(found.low <= 0 <= found.high)
        half.append((found.high - found.low) / 2 / found.mean_a)
        verdicts.append(found.outcome() != "no verdict")
    told = {f"p < {level}": float(np.mean(np.array(p) < level)) for level in LEVELS}
    return told | {
        "verdicts": float(np.mean(verdicts)),
        "held": float(np.mean(held)),
        "half width": float(np.mean(half)),
    }


def users_only(values: np.ndarray, draws: int) -> float:
    """How often a paired t-test over users finds something between one fit and another."""
    rng = np.random.default_rng(0)
    pairs = [values[rng.permutation(len(values))[:2]] for _ in range(draws)]
    return float(np.mean([stats.ttest_rel(*pair).pvalue < 0.05 for pair in pairs]))


def is_within(told: dict[str, float]) -> bool:
    return told["held"] >= HELD and all(
        told[f"p < {level}"] <= most for level, most in LEVELS.items()
    )


def in_words(told: dict[str, float]) -> str:
    return ", ".join(f"{name} {100 * value:.1f} %" for name, value in told.items())


def fits(options: argparse.Namespace) -> bool:
    """The part `fits`; whether all bars are met."""
    good = True
    for data in options.data:
        split = random_split(world(data), DATA[data], rng=0)
        for make in METHODS:
            name = make.__name__
            if options.only and name not in options.only:
                continue
            model = method(make, data, options.epochs)
            values = values_of_fits(model, split, name, options.out / data, options.fits)
            means = values.mean(axis=1)
            alone = users_only(values, 300)
            print(
                f"{data}, {name}: {len(values)} fits, {values.shape[1]:,} users, NDCG@20 "
                f"{means.mean():.4f}, sd between fits {100 * means.std(ddof=1) / means.mean():.2f} "
                f"%; over users alone p < .05 in {100 * alone:.1f} %",
                flush=True,
            )
            for n in (5, 8):
                told = false_findings(values, n, options.draws)
                good &= is_within(told)
                print(f"  {n} against {n}: {in_words(told)}", flush=True)
    return good


# ---- known variances -----------------------------------------------------------------------------


def closed(options: argparse.Namespace) -> bool:
    """Layouts of 5 and 8 fits, drawn from known variances: false positives, and the power."""
    good, rng = True, np.random.default_rng(0)
    for of_fits in (0.0, 0.001, 0.003, 0.01, 0.03):
        for n in (2, 3, 5, 8):
            p = np.array([_null_p(rng, n, of_fits, 0.0) for _ in range(options.draws)])
            told = {f"p < {level}": float((p < level).mean()) for level in LEVELS}
            shown = [_null_p(rng, n, of_fits, 0.02) < 0.005 for _ in range(options.draws // 10)]
            if n >= 5:
                good &= all(told[f"p < {level}"] <= most for level, most in LEVELS.items())
            print(
                f"sd between fits {of_fits}, {n} against {n}: {in_words(told)}; a difference of "
                f".02 is shown at .005 in {100 * np.mean(shown):.0f} %",
                flush=True,
            )
    return good


def _null_p(rng: np.random.Generator, n: int, of_fits: float, gain: float) -> float:
    """p of n fits of 1,000 users against n others, which have `gain` more."""
    a, b = (
        rng.normal(0, of_fits, (n, 1)) + rng.normal(0, 0.1, (n, 1000)) + more for more in (0, gain)
    )
    difference = b.mean(axis=0) - a.mean(axis=0)
    return spread(difference, [a, b]).p(float(difference.mean()))


# ---- rates ---------------------------------------------------------------------------------------


def rates(options: argparse.Namespace) -> bool:
    """Intervals of rates and of ranks near 0 and 1: how many hold, and half their width."""
    good, rng = True, np.random.default_rng(0)
    ranks = 1 / np.log2(np.arange(2, 22))
    for kind, scale in (("hits", np.ones(1)), ("NDCG of one item", ranks)):
        for n in (20, 100, 1000):
            for rate in (0.002, 0.01, 0.03, 0.1, 0.5, 0.9, 0.97, 0.99):
                held, half = [], []
                for _ in range(options.draws):
                    values = (rng.random(n) < rate) * rng.choice(scale, n)
                    low, high = mean_interval(values)
                    held.append(low <= rate * scale.mean() <= high)
                    half.append((high - low) / 2)
                good &= bool(np.mean(held) >= HELD)
                print(
                    f"{kind}, {n} users, rate {rate}: {100 * np.mean(held):.1f} % hold, half width "
                    f"{np.mean(half):.4f}",
                    flush=True,
                )
    return good


PARTS = {"fits": fits, "closed": closed, "rates": rates}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--only", nargs="+", choices=[make.__name__ for make in METHODS])
    parser.add_argument("--fits", type=int, default=40)
    parser.add_argument("--draws", type=int, default=3000)
    parser.add_argument("--epochs", type=int, help="at most so many, for a quick look")
    parser.add_argument("--out", type=Path, default=Path("null"), help="keeps the fits")
    options = parser.parse_args()
    sys.exit(0 if PARTS[options.part](options) else 1)


if __name__ == "__main__":
    main()
