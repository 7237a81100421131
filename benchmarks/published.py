"""Every predictor and ensemble on published splits, beside the published figures.

    HINAUG_DATA=folder python benchmarks/published.py DATA [--only MODEL ...] [--seeds 1] [--out
    results.jsonl] HINAUG_DATA=folder python benchmarks/published.py DATA --tune MODEL ... --trials
    25 --seconds 600

DATA: gowalla (LightGCN's split), amazon-hin, yelp-hin (fixed 80/20), lastfm-lightgcnpp,
ml-1m-lightgcnpp (7:1:2), or any other folder in HINAUG_DATA with train.txt, test.txt and, if there
is one, valid.txt in LightGCN's form: a line a user, the user and then its items. What was not
searched there yet is taken as a search would begin.

Protocol. Test is looked at once, at the end. All choices (hyperparameters, when to stop, weights of
ensembles) are made on a tenth of each user's train.txt, with models that were fitted on the rest of
it: `benchmarks/chosen.json`, which --tune writes with the trials and seconds that each search had.
Then all members are fitted on the whole of train.txt: column "train". On the 7:1:2 splits valid.txt
is not used at all for that column; its items are ranked with the rest, as they are in the published
figures. Column "all" has members refitted on train.txt + valid.txt, whose items then are not
ranked. Many published figures chose their epoch on test; these never do.

Parity, checked here (exit status 1 outside): on gowalla GF-CF within 0.0005 of the published
Recall@20 and NDCG@20, EASE within 0.001 of .1765/.1467, LightGCN as published (lr is ours, steps
are chosen, the rest is its authors') within 0.003 of .182/.155; LightGCN as chosen on valid, by
cosines and by BPR, not more than 0.003 below.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import functools
import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug import HIN, Split, evaluate, load, random_split, save, tune
from hinaug.datasets.lightgcn import INTERACTS, lightgcn_split
from hinaug.ensembles import (
    AdaRank,
    Ensemble,
    EnsembleSelection,
    RankFusion,
    Stacking,
    Weighted,
    split_valid,
)
from hinaug.predictors import (
    ALS,
    BSPM,
    EASE,
    GFCF,
    MF,
    SLIM,
    ItemKNN,
    LightGCN,
    LightGCNPP,
    MultVAE,
    Popularity,
    UserKNN,
    XSimGCL,
)
from hinaug.predictors.base import LinkPredictor

CHOSEN = Path(__file__).parent / "chosen.json"
R, N = "Recall@{}", "NDCG@{}"
PUBLISHED: dict[
    str, dict[str, tuple[float, float]]
] = {  # Recall, NDCG at 20 (gowalla), at 10 (7:1:2)
    "gowalla": {
        "LightGCN": (0.1830, 0.1554),
        "GFCF": (0.1849, 0.1518),
        "UltraGCN": (0.1862, 0.1580),
        "SimpleX": (0.1872, 0.1557),
        "BSPM": (0.1921, 0.1597),
    },
    "lastfm-lightgcnpp": {
        "BPR-MF": (0.1361, 0.1532),
        "LightGCN": (0.1741, 0.1996),
        "LightGCN++": (0.1889, 0.2171),
    },
    "ml-1m-lightgcnpp": {
        "BPR-MF": (0.1291, 0.2677),
        "LightGCN": (0.1495, 0.2977),
        "LightGCN++": (0.1667, 0.3243),
    },
}
BANDS = {  # (Recall@20, NDCG@20), how far below, how far above
    ("gowalla", "GFCF"): ((0.1849, 0.1518), 0.0005, 0.0005),
    ("gowalla", "EASE"): ((0.1765, 0.1467), 0.001, 0.001),
    ("gowalla", "LightGCN"): ((0.182, 0.155), 0.003, 1.0),
    ("gowalla", "LightGCN-BPR"): ((0.182, 0.155), 0.003, 1.0),
    ("gowalla", "LightGCN-published"): ((0.182, 0.155), 0.003, 0.003),
}
BIG = 2**29  # users x items, from which on all pairs are too many for every step of a training
WIDE = 10_000  # items, from which on a search can bear few inverses
L2: Any = (1.0, 3000.0, "log")
MEANS = ["links", "sources"]
SPACES: dict[str, tuple[LinkPredictor, dict[str, Any]]] = {
    "Popularity": (Popularity(INTERACTS), {}),
    "ItemKNN": (
        ItemKNN(INTERACTS, shrinkage=20.0),
        {"k": (5, 500, "log"), "shrinkage": (0.1, 300.0, "log")},
    ),
    "UserKNN": (UserKNN(INTERACTS), {"k": (10, 500, "log"), "shrinkage": (0.1, 100.0, "log")}),
    "EASE": (EASE(INTERACTS, l2=300.0), {"l2": L2, "constant": [0.0, 0.3, 1.0]}),
    "SLIM": (
        SLIM(INTERACTS, l2=100.0),
        {"l2": L2, "k": (20, 200, "log"), "shrinkage": (0.1, 100.0, "log")},
    ),
    "GFCF": (GFCF(INTERACTS, dim=256, alpha=0.3), {"dim": (16, 512, "log"), "alpha": (0.0, 1.0)}),
    "BSPM": (
        BSPM(INTERACTS, dim=448, beta=0.2),
        {"dim": (16, 512, "log"), "beta": (0.0, 1.0), "sharpen": (0.5, 4.0)},
    ),
    "ALS": (
        ALS(INTERACTS, l2=0.01, unobserved_weight=0.2),
        {
            "embedding_dim": (16, 256, "log"),
            "l2": (1e-4, 0.1, "log"),
            "unobserved_weight": (0.003, 0.5, "log"),
        },
    ),
    "MF": (
        MF(INTERACTS, loss="softmax", lr=0.1, l2=2.0),
        {"lr": (0.005, 0.3, "log"), "l2": (0.1, 100.0, "log"), "embedding_dim": [64, 128, 256]},
    ),
    "MF-BPR": (
        MF(INTERACTS, loss="bpr", mean_over="sources", lr=0.014, l2=0.2, epochs=400),
        {
            "lr": (0.005, 0.05, "log"),
            "l2": (0.003, 30.0, "log"),
            "embedding_dim": [64, 128, 256],
            "mean_over": MEANS,
        },
    ),
    "LightGCN": (
        LightGCN(INTERACTS, loss="softmax", lr=0.1, l2=2.0, n_layers=3),
        {
            "lr": (0.02, 0.3, "log"),
            "l2": (0.1, 30.0, "log"),
            "n_layers": [1, 2, 3, 4],
            "embedding_dim": [64, 128, 256],
        },
    ),
    "LightGCN-BPR": (
        LightGCN(
            INTERACTS, loss="bpr", mean_over="sources", lr=0.014, l2=0.2, n_layers=3, epochs=400
        ),
        {
            "lr": (0.005, 0.05, "log"),
            "l2": (0.001, 10.0, "log"),
            "n_layers": [1, 2, 3, 4],
            "embedding_dim": [64, 128, 256],
            "mean_over": MEANS,
        },
    ),
    # as its authors trained it on gowalla, but for batches and so for lr; steps by valid
    "LightGCN-published": (
        LightGCN(
            INTERACTS,
            loss="bpr",
            mean_over="sources",
            prior="draws",
            l2=1e-4,
            embedding_dim=64,
            n_layers=3,
            lr=0.03,
            epochs=4000,
            check_every=500,
            patience=2,
        ),
        {},
    ),
    "LightGCN++": (
        LightGCNPP(INTERACTS, loss="softmax", lr=0.1, l2=2.0),
        {
            "lr": (0.02, 0.3, "log"),
            "l2": (0.1, 30.0, "log"),
            "n_layers": [1, 2, 3],
            "embedding_dim": [64, 128, 256],
            "alpha": (0.3, 0.7),
            "beta": (-0.2, 0.6),
        },
    ),
    "LightGCN++-BPR": (
        LightGCNPP(INTERACTS, loss="bpr", lr=0.014, l2=0.02),
        {
            "lr": (0.005, 0.05, "log"),
            "l2": (0.001, 0.3, "log"),
            "n_layers": [1, 2, 3],
            "gamma": (0.0, 0.4),
            "mean_over": MEANS,
        },
    ),
    "XSimGCL": (
        XSimGCL(INTERACTS, loss="softmax", lr=0.05, l2=2.0),
        {
            "lr": (0.02, 0.3, "log"),
            "l2": (0.1, 300.0, "log"),
            "cl": (0.003, 1.0, "log"),
            "embedding_dim": [64, 128, 256],
        },
    ),
    "MultVAE": (
        MultVAE(INTERACTS),
        {
            "latent": (32, 256, "log"),
            "hidden": (100, 400, "log"),
            "kl": (0.05, 1.0, "log"),
            "dropout": (0.2, 0.7),
        },
    ),
}
RANDOM = {
    "MF",
    "MF-BPR",
    "LightGCN",
    "LightGCN-BPR",
    "LightGCN-published",
    "LightGCN++",
    "LightGCN++-BPR",
    "XSimGCL",
    "MultVAE",
}  # and ensembles over them
MEMBERS = [
    "ItemKNN",
    "UserKNN",
    "EASE",
    "GFCF",
    "BSPM",
    "ALS",
    "LightGCN",
    "LightGCN++",
    "XSimGCL",
    "MultVAE",
]


def start(data: str, model: str) -> tuple[LinkPredictor, dict[str, Any]]:
    """What a search begins with; on a big set in a form that a laptop can bear."""
    predictor, space = SPACES[model]
    if model == "EASE" and splits(data)[1].n(INTERACTS[2]) > WIDE:
        space = {"l2": [50.0, 150.0, 450.0]}
    if not big(data) or model == "MultVAE" or model not in RANDOM or not space:
        return predictor, space
    small = type(predictor)(INTERACTS, embedding_dim=128)
    if (
        model.endswith("-BPR") or model == "XSimGCL"
    ):  # users alike, and the prior by draw: see README.md
        slow = small.clone(
            mean_over="sources", prior="draws", lr=0.03, epochs=1500, check_every=250, patience=2
        )
        space = {"lr": (0.01, 0.05, "log"), "l2": (1e-5, 1e-2, "log")}
        if model == "XSimGCL":
            return slow.clone(cl=0.2, eps=0.2), space | {
                "cl": (0.03, 1.0, "log"),
                "eps": (0.05, 0.4, "log"),
            }
        return (slow if model == "MF-BPR" else slow.clone(n_layers=3)), space | {
            "embedding_dim": [64, 128, 256]
        }
    cosines = {"temperature": (0.05, 0.2, "log"), "lr": (0.05, 0.2, "log")}
    if "n_layers" in space:
        cosines["n_layers"] = [2, 3, 4]
    return small.clone(
        loss="sampled", cosine=True, power=1.0, temperature=0.1, lr=0.1, patience=3
    ), cosines


def big(data: str) -> bool:
    _, train, _ = splits(data)
    return train.n(INTERACTS[0]) * train.n(INTERACTS[2]) > BIG


@functools.cache
def splits(data: str) -> tuple[Split, HIN, Split | None]:
    """What choices are made on; train.txt; and, where there is a valid.txt, the split for the refit
    on all.
    """
    folder = Path(os.environ.get("HINAUG_DATA", ".")) / data
    whole = lightgcn_split(folder, rng=0)
    if not (folder / "valid.txt").exists():
        return whole, whole.train_valid, None
    inner = random_split(whole.train, INTERACTS, valid=0.1, test=0, rng=0)
    chosen = dataclasses.replace(
        whole, train=inner.train, train_valid=whole.train, valid=inner.valid
    )
    return chosen, whole.train, whole


def search(
    data: str, models: list[str], trials: int, seconds: float, folder: Path | None, out: Path
) -> None:
    split, _, _ = splits(data)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    for model in models:
        predictor, space = start(data, model)
        if not space:
            continue
        file = None if folder is None else folder / f"{data}-{model}.log"
        users = 5000 if big(data) else None
        found = tune(
            predictor, space, split, trials=trials, seconds=seconds, users=users, file=file, rng=0
        )
        default = type(predictor)(INTERACTS).get_params()
        params = {
            k: v for k, v in found.best.get_params().items() if k != "relation" and v != default[k]
        }
        row = {
            "params": params,
            "NDCG@20 on valid": round(found.value, 5),
            "trials": found.trials.num_rows,
            "seconds": round(found.seconds, 1),
            "on the edge": found.edges,
        }
        print(data, model, json.dumps(row), flush=True)
        known = json.loads(out.read_text()) if out.exists() else {}
        known.setdefault(data, {})[model] = best(
            row, known[data].get(model) if data in known else None
        )
        out.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


def best(row: dict[str, Any], known: dict[str, Any] | None) -> dict[str, Any]:
    """The better of what this search and earlier ones found on valid, with what all of them were
    given.
    """
    value = "NDCG@20 on valid"
    if known is None or known.get(value) is None:
        return row
    given = {name: round(row[name] + (known.get(name) or 0), 1) for name in ("trials", "seconds")}
    return (row if row[value] > known[value] else known) | given


def chosen(data: str, model: str) -> LinkPredictor:
    rows = json.loads(CHOSEN.read_text()).get(data, {}) if CHOSEN.exists() else {}
    if model in rows:
        return type(SPACES[model][0])(INTERACTS, **rows[model]["params"])
    return start(data, model)[0].clone()


def ensembles(members: list[LinkPredictor]) -> dict[str, Ensemble]:
    return {
        "Weighted": Weighted(members),
        "EnsembleSelection": EnsembleSelection(members),
        "AdaRank": AdaRank(members),
        "RankFusion": RankFusion(members),
        "Stacking": Stacking(members),
        "Stacking-trees": Stacking(members, meta="trees"),
    }


def learned_on(
    valid: pa.Table, name: str, members: list[LinkPredictor], split: Split, seed: int
) -> Ensemble:
    """An ensemble over members that are fitted on train already."""
    model = ensembles(members)[name]
    return model.fit_with(members, split.train, valid=valid if model.supervised else None, rng=seed)


def kept(
    folder: Path | None, name: str, model: LinkPredictor, learn: Callable[[], Any]
) -> tuple[LinkPredictor, float, float]:
    """The model after `learn`, with the seconds and the CPU seconds that it took; from `folder`
    where it was learned before.
    """
    file = (
        None
        if folder is None
        else folder / f"{name}-{hashlib.sha256(repr(model).encode()).hexdigest()[:8]}"
    )
    if file is not None and file.exists():
        cost = json.loads(file.with_suffix(".json").read_text())
        return load(file), cost[0], cost[1]
    wall, cpu = time.perf_counter(), time.process_time()
    learn()
    took = time.perf_counter() - wall, time.process_time() - cpu
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_suffix(".json").write_text(
            json.dumps(took)
        )  # first: where the model is, its cost is too
        save(model, file)
    return copy.copy(model), *took  # refitting binds new arrays: a shallow copy keeps the old ones


@dataclasses.dataclass
class Stages:
    """One model fitted for choices, on the whole of train.txt, and on train.txt + valid.txt; and
    what the first two took.
    """

    begun: LinkPredictor
    train: LinkPredictor
    all: LinkPredictor | None
    cost: dict[str, float]


def stages(data: str, name: str, seed: int, folder: Path | None) -> Stages:
    split, train, whole = splits(data)
    file = f"{data}-{name}-{seed}"
    model = chosen(data, name)
    shown, _ = split_valid(split.valid, 0.25, rng=0)  # the others are for weights of ensembles
    begun, fit_s, cpu = kept(
        folder, f"{file}-begun", model, lambda: model.fit(split.train, valid=shown, rng=seed)
    )
    again = copy.copy(begun)
    on_train, refit_s, more = kept(
        folder, f"{file}-train", again, lambda: again.refit(train, rng=seed)
    )
    cost = {"fit_s": round(fit_s, 2), "refit_s": round(refit_s, 2), "cpu_s": round(cpu + more, 1)}
    if whole is None:
        return Stages(begun, on_train, None, cost)
    last = copy.copy(begun)
    on_all, _, _ = kept(
        folder, f"{file}-all", last, lambda: last.refit(whole.train_valid, rng=seed)
    )
    return Stages(begun, on_train, on_all, cost)


def run(
    data: str, only: list[str], members: list[str], seed: int, copies: int, folder: Path | None
) -> Iterator[dict[str, Any]]:
    split, train, whole = splits(data)
    found: dict[tuple[str, int], Stages | str] = {}

    def learned(name: str, seed: int) -> Stages | str:
        """Or what it said that was short of memory: the others go on."""
        if (name, seed) not in found:
            try:
                found[name, seed] = stages(data, name, seed, folder)
            except MemoryError as error:
                found[name, seed] = str(error)
        return found[name, seed]

    for name in SPACES:
        if name in only:
            peak(reset=True)
            one = learned(name, seed)
            if isinstance(one, str):
                yield {"data": data, "model": name, "seed": seed, "refused": one}
                continue
            valid = on_valid(data, lambda _, one=one: one.begun)
            yield measured(data, name, seed, one) | {"valid": valid}
    wanted = [name for name in ensembles([Popularity(INTERACTS)]) if name in only]
    if not wanted:
        return
    team, there = [], []
    for name in members:
        fits = [learned(name, s) for s in range(seed, seed + (copies if name in RANDOM else 1))]
        short = next((one for one in fits if isinstance(one, str)), None)
        if short is None:
            team += [one for one in fits if isinstance(one, Stages)]
            there.append(name)
        elif name not in only:  # otherwise it has its row already
            yield {"data": data, "model": name, "seed": seed, "refused": short}
    begun = [one.begun for one in team]
    for name in wanted:
        peak(reset=True)
        wall, cpu = time.perf_counter(), time.process_time()
        model = learned_on(split.valid, name, begun, split, seed)
        both = None if whole is None else copy.copy(model)
        model.refit_with([one.train for one in team], train)
        if both is not None and whole is not None:
            both.refit_with([one.all for one in team if one.all], whole.train_valid)
        cost = {
            "fit_s": round(time.perf_counter() - wall, 2),
            "cpu_s": round(time.process_time() - cpu, 1),
        }
        row = measured(data, name, seed, Stages(model, model, both, cost)) | {
            "members": there,
            "copies": copies,
        }
        row["valid"] = on_valid(
            data, functools.partial(learned_on, name=name, members=begun, split=split, seed=seed)
        )
        row["learned"] = model.summary() if hasattr(model, "summary") else ""
        yield row


def on_valid(data: str, fitted: Callable[[pa.Table], LinkPredictor]) -> float:
    """NDCG@20 on the tenth of train.txt, of at most 5,000 users: what says which ensemble, or
    model, to take.

    What learns from these pairs is measured twice, on the half of the users that it has not learned
    from. Hyperparameters and steps of the models were chosen on all of them.
    """
    split, _, _ = splits(data)
    users = np.unique(split.valid["src"].to_numpy())
    users = np.random.default_rng(0).permutation(users)[:5000]
    halves = [
        split.valid.filter(pc.is_in(split.valid["src"], pa.array(part)))
        for part in np.array_split(users, 2)
    ]
    values = []
    for learned, other in (halves, halves[::-1]):
        there = dataclasses.replace(split, valid=other)
        values.append(evaluate(fitted(learned), split.train, there, k=20).values["NDCG@20"])
    return round(float(np.concatenate(values).mean()), 5)


def measured(data: str, name: str, seed: int, one: Stages) -> dict[str, Any]:
    """Accuracies on test, and what they cost."""
    split, train, whole = splits(data)
    unseen = dataclasses.replace(
        split, valid=split.valid.slice(0, 0)
    )  # valid.txt ranks with the rest
    cuts = (10, 20, 40)
    row: dict[str, Any] = {
        "data": data,
        "model": name,
        "seed": seed,
        **one.cost,
        "params": repr(one.train)[:600],
    }
    begin = time.perf_counter()
    result = evaluate(one.train, train, unseen, k=cuts, on="test")
    row["evaluate_s"] = round(time.perf_counter() - begin, 2)
    row |= {name: round(result[name], 5) for cut in cuts for name in (R.format(cut), N.format(cut))}
    if whole is not None and one.all is not None:
        both = evaluate(one.all, whole.train_valid, whole, k=cuts, on="test")
        row |= {
            f"all {name}": round(both[name], 5)
            for cut in cuts
            for name in (R.format(cut), N.format(cut))
        }
    row["peak_gb"] = round(peak(), 2)
    if name in PUBLISHED.get(data, {}):
        row["published"] = PUBLISHED[data][name]
    return row | band(data, name, row["Recall@20"], row["NDCG@20"])


def band(data: str, name: str, recall: float, ndcg: float) -> dict[str, Any]:
    if (data, name) not in BANDS:
        return {}
    expected, below, above = BANDS[data, name]
    inside = all(e - below <= v <= e + above for e, v in zip(expected, (recall, ndcg), strict=True))
    return {"expected": expected, "inside": inside}


def peak(reset: bool = False) -> float:
    """Most memory held by the process since the last reset, in GB; Linux."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
        return 0.0
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**20


def main() -> None:
    every = [*SPACES, *ensembles([Popularity(INTERACTS)])]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="a folder in HINAUG_DATA")
    parser.add_argument("--only", nargs="+", choices=every, default=every)
    parser.add_argument(
        "--members", nargs="+", choices=list(SPACES), default=MEMBERS, help="of the ensembles"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--copies",
        type=int,
        default=1,
        help="of a random member in the ensembles, each with its own seed",
    )
    parser.add_argument("--out", type=Path, help="JSON lines are appended here")
    parser.add_argument(
        "--models",
        type=Path,
        help="a folder that keeps fitted models, so that a killed run goes on",
    )
    parser.add_argument(
        "--tune", nargs="+", choices=list(SPACES), help="search, write chosen.json, and end"
    )
    parser.add_argument("--trials", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument(
        "--searches", type=Path, help="a folder that keeps searches, so that a killed one goes on"
    )
    parser.add_argument(
        "--chosen", type=Path, default=CHOSEN, help="where --tune writes what it found"
    )
    options = parser.parse_args()
    if options.tune:
        search(
            options.data,
            options.tune,
            options.trials,
            options.seconds,
            options.searches,
            options.chosen,
        )
        return
    off = []
    for seed in options.seeds:
        only = [
            m for m in options.only if seed == options.seeds[0] or m in RANDOM or m not in SPACES
        ]
        for row in run(options.data, only, options.members, seed, options.copies, options.models):
            print(json.dumps(row), flush=True)
            if options.out:
                with options.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            if not row.get("inside", True):
                off.append((row["model"], row["Recall@20"], row["NDCG@20"], row["expected"]))
    if off:
        raise SystemExit(f"outside of the band: {off}")


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=UserWarning, module="torch")
    main()
