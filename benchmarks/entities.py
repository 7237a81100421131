"""What generated users are worth: are they like real ones, and do they help a simple model?

    HINAUG_DATA=folder python benchmarks/entities.py [--only planted thin instruments near
        items light scale adversarial] [--seeds 3] [--arms "JointVAE" "RLGAN"]
        [--data ml-latest-small]
        [--out benchmarks/results/entities.jsonl]

planted   `planted_mixed`, 2,000 users, as many generated: AUC of boosted trees that tell real from
          generated users by attributes, by links, and by both, in five folds that keep a source
          and its nodes together, and the largest difference of P(null | group)
thin      MovieLens 100K, ratings of at least 4, a fifth of each user's train links left: NDCG@20 of
          EASE on train + 1 or 6 generated users a real one; l2 and the one confidence of all
          generated rows chosen on valid, judged once on test; AUC of links as above. Beside every
          generator stand random users by popularity, the second moment, and the same users with
          links dealt out anew (random_delta)
adversarial  as thin, one generated user a real one: JointVAE, trained on against a critic, by rewards,
          and the controls: the same steps without a critic, a matched temperature, shuffled rewards;
          --data names another set, thinned alike
instruments  as thin, on Musical Instruments as it is
near      users with one to five links, MovieLens 100K as in thin, the small MovieLens alike (movies
          with ten likes), and Musical Instruments: NDCG@20 on these users of EASE with five
          neighbours for each, l2 and confidence chosen on their valid links; beside it EASE with
          popularity, the VAE's own scores, neighbours of users with more links, and as many users
          of anybody
items     items of amazon-hin: AUC as `fidelity` has it, and how links of two relations go together,
          0 where dealt out anew, 1 where real
light     MovieLens 100K, all data: a tuned LightGCN with one generated user a real one; --seeds fits;
          the strength of these users chosen by one fit on valid, and by the mean of three
scale     seconds of CPU for an epoch of JointVAE, for its calibration, and for drawing, on 100,000
          users and 20,000 items

A row of the table is a line of JSON in the results file; rows that stand there are not run again.
The axes of the links are learned on half of the real users; the other half is told from users whose
sources are in it. An AUC of .5 is best.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from scipy.stats import ttest_rel
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from hinaug.datasets import load, planted_mixed
from hinaug.evaluation import evaluate
from hinaug.generators import (
    Aggregation,
    JointVAE,
    PopularNodes,
    SecondMoment,
    Synthesis,
    random_delta,
)
from hinaug.generators.entities.attributes import TREES, Encoded, attribute_kinds
from hinaug.graph import arrow as tb
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
from hinaug.predictors import EASE
from hinaug.split.base import Split
from hinaug.split.random import random_split
from hinaug.split.thin import thin

RESULTS = Path(__file__).parent / "results" / "entities.jsonl"
MOVIES = ("user", "rates", "movie")
L2 = (400.0, 1600.0, 6400.0, 25_600.0, 102_400.0)
CONFIDENCE = (0.1, 0.3, 1.0)
Row = dict[str, Any]


class Results:
    """Rows by (section, name, seed), in a file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.rows = [json.loads(line) for line in lines]

    def once(self, section: str, name: str, seed: int, measure: Callable[[], Row]) -> None:
        """Measure, print and write down a row, unless it is there."""
        key = {"section": section, "name": name, "seed": seed}
        for row in self.rows:
            if key.items() <= row.items():
                print(row, flush=True)
                return
        row = key | measure()
        self.rows.append(row)
        print(row, flush=True)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")


# ---- told apart ----------------------------------------------------------------------------------


class Judge:
    """Links of nodes as numbers, by axes of half of the real nodes; the others are judged."""

    def __init__(self, hin: HIN, node: str, rng: np.random.Generator) -> None:
        self.hin, self.node, self.rng = hin, node, rng
        self.edges = [e for e in hin.edges if node in (e[0], e[2])]
        n = hin.n_observed(node)
        self.order = rng.permutation(n)
        self.basis, self.judged = self.order[: n // 2], np.sort(self.order[n // 2 :])
        self.maps = [_axes(x[self.basis]) for x in self.links(hin, np.arange(n))]

    def links(self, hin: HIN, nodes: np.ndarray) -> list[sp.csr_array]:
        """Links to observed nodes in each relation, from either end, CSR [k, m]."""
        out = []
        for edge in self.edges:
            matrix = hin.adjacency(edge)
            sides = [matrix] if edge[0] == self.node else []
            sides += [matrix.T.tocsr()] if edge[2] == self.node else []
            other = [edge[2]] * (edge[0] == self.node) + [edge[0]] * (edge[2] == self.node)
            out += [
                x[nodes][:, : self.hin.n_observed(o)] for x, o in zip(sides, other, strict=True)
            ]
        return out

    def rows(self, hin: HIN, nodes: np.ndarray) -> np.ndarray:
        """Degree, popularity, coherence and place on the axes, [k, w]."""
        return np.hstack([f(x) for f, x in zip(self.maps, self.links(hin, nodes), strict=True)])

    def auc(self, real: np.ndarray, made: np.ndarray, groups: tuple[np.ndarray, ...]) -> float:
        """Boosted trees in five grouped folds."""
        n = min(len(real), len(made))
        keep = [self.rng.permutation(len(x))[:n] for x in (real, made)]
        x = np.vstack([real[keep[0]], made[keep[1]]])
        y = np.repeat([1, 0], n)
        group = np.concatenate([g[k] for g, k in zip(groups, keep, strict=True)])
        score = np.zeros(len(y))
        for train, test in GroupKFold(5).split(x, y, group):
            trees = HistGradientBoostingClassifier(
                max_iter=100, max_depth=4, min_samples_leaf=10, random_state=0
            )
            with threadpool_limits(1):
                score[test] = trees.fit(x[train], y[train]).predict_proba(x[test])[:, 1]
        return float(roc_auc_score(y, score))


def _axes(basis: sp.csr_array) -> Callable[[sp.csr_array], np.ndarray]:
    counts = np.asarray(basis.sum(axis=0)).ravel()
    unit = sp.csr_array(basis / np.sqrt(np.maximum(counts, 1)))
    axes = sp.linalg.svds(unit.astype(float), k=16, v0=np.ones(min(unit.shape)))[2].T

    def rows(links: sp.csr_array) -> np.ndarray:
        n = np.diff(links.indptr)
        popular = links @ np.log1p(counts) / np.maximum(n, 1)
        together = links @ unit.T
        pairs = np.asarray(together.multiply(together).sum(axis=1)).ravel() - links @ (counts > 0)
        coherent = pairs / np.maximum(n * (n - 1), 1)
        return np.column_stack(
            [np.log1p(n), popular, coherent, links @ axes / np.sqrt(np.maximum(n, 1))[:, None]]
        )

    return rows


def attributes(real: pa.Table, made: pa.Table) -> list[np.ndarray]:
    """Columns as numbers, encoded together, [n, w] each."""
    kinds, _ = attribute_kinds(real)
    parts = []
    for name in [c for c, kind in kinds.items() if kind in TREES]:
        columns = [tb.one_chunk(t[name]) for t in (real, made)]
        parts.append(Encoded(pa.concat_arrays(columns), kinds[name]).x)
    return np.split(np.hstack(parts), [real.num_rows])


def nulls(real: pa.Table, made: pa.Table, by: str) -> float:
    """The largest difference of P(null | value of a column), over columns."""
    most = 0.0
    for value in tb.one_chunk(real[by]).drop_null().unique():
        shares = []
        for table in (real, made):
            part = table.filter(pa.compute.equal(table[by], value))
            shares.append({c: part[c].null_count / part.num_rows for c in real.column_names})
        most = max(most, *(abs(shares[0][c] - shares[1][c]) for c in shares[0] if c != by))
    return most


# ---- sections ------------------------------------------------------------------------------------


def planted(results: Results, seeds: int, _: Sequence[str]) -> None:
    hin = planted_mixed()
    for seed in range(seeds):
        for name, generator in {
            "random by popularity": PopularNodes("user", between=0.0),
            "second moment": SecondMoment("user", between=0.0),
            "JointVAE": JointVAE("user", between=0.0),
            "JointVAE, heads": JointVAE("user", between=0.0, attributes="heads"),
            "JointVAE, links between new users too": JointVAE("user"),
        }.items():
            results.once("planted", name, seed, lambda g=generator, s=seed: told(hin, g, s))


def told(hin: HIN, generator: Any, seed: int) -> Row:
    """AUC by attributes, links and both, and nulls."""
    start = time.process_time()
    model = generator.clone().fit(hin, rng=seed)
    fitted = time.process_time()
    made = model.sample(hin, hin.n("user"), np.random.default_rng(seed))
    drawn = time.process_time()
    delta = model._as_delta(hin, made, hin.n("user"))
    judge = Judge(hin, "user", np.random.default_rng(seed))
    both = hin + delta
    whose = np.isin(made.source, judge.judged)
    new = hin.n("user") + np.flatnonzero(whose)
    table, names = both.nodes["user"].select(list(made.columns)), list(made.columns)
    old = table.slice(0, hin.n("user"))
    rows = {
        "links": [judge.rows(both, at) for at in (judge.judged, new)],
        "attributes": attributes(*(table.take(pa.array(at)) for at in (judge.judged, new))),
    }
    rows["both"] = [np.hstack([rows[part][i] for part in rows]) for i in (0, 1)]
    groups = judge.judged, made.source[whose]
    fresh = delta.nodes["user"].select(names)
    return {
        **{f"auc {part}": round(judge.auc(*x, groups), 3) for part, x in rows.items()},
        "nulls by level": round(nulls(old, fresh, "level"), 3),
        "nulls by member": round(nulls(old, fresh, "member"), 3),
        "fit s": round(fitted - start, 1),
        "draw s": round(drawn - fitted, 1),
    }


def thin_movies(results: Results, seeds: int, _: Sequence[str]) -> None:
    hin = load("ml-100k")
    hin = hin.filter_edges(MOVIES, hin.column(MOVIES, "rating").to_numpy() >= 4)
    for seed in range(seeds):
        split = thin(random_split(hin, MOVIES, rng=seed), 0.2, rng=seed)
        results.once("thin", "none", seed, lambda s=split: best(s, None))
        for times in (1, 6):
            for name, generator in arms().items():
                results.once(
                    "thin",
                    f"{name}, {times} a user",
                    seed,
                    lambda s=split, g=generator, t=times, k=seed: worth(s, g, t, k),
                )
        shuffled = lambda s=split, k=seed: dealt_anew(s, k)  # noqa: E731
        results.once("thin", "JointVAE, links dealt out anew, 6 a user", seed, shuffled)


def arms() -> dict[str, Any]:
    one = {"relations": [MOVIES]}
    return {
        "random by popularity": PopularNodes("user", **one),
        "bootstrap": PopularNodes("user", keep=0.8, **one),
        "second moment": SecondMoment("user", **one),
        "X1 + X2": Synthesis("user", relation=MOVIES),
        "mean of a group": Aggregation("user", relation=MOVIES),
        "JointVAE": JointVAE("user", **one),
    }


def worth(split: Split, generator: Any, times: int, seed: int) -> Row:
    """NDCG@20 of EASE with the generated users; AUC of their links."""
    start = time.process_time()
    model = generator.clone().fit(split.train, rng=seed)
    rng = np.random.default_rng(seed)
    made = model.sample(split.train, times * split.train.n("user"), rng)
    took = time.process_time() - start
    delta = model._as_delta(split.train, made, times * split.train.n("user"))
    row = best(split, delta) | {"s": round(took, 1)}
    if made.source is not None:
        row |= {
            "auc links": round(links_auc(split.train, delta, made.source, seed, split.target), 3)
        }
    return row


def links_auc(
    hin: HIN, delta: Delta, source: np.ndarray, seed: int, relation: EdgeType = MOVIES
) -> float:
    judge = Judge(hin, "user", np.random.default_rng(seed))
    whose = np.flatnonzero(np.isin(source, judge.judged))
    both = hin + delta
    real = judge.judged[np.diff(hin.adjacency(relation).indptr)[judge.judged] > 0]
    rows = judge.rows(both, real), judge.rows(both, hin.n("user") + whose)
    return judge.auc(*rows, (real, source[whose]))


def dealt_anew(split: Split, seed: int) -> Row:
    model = JointVAE("user", relations=[split.target]).fit(split.train, rng=seed)
    delta = model.generate(split.train, 6 * split.train.n("user"), rng=seed)
    return best(split, random_delta(split.train, delta, seed))


def best(split: Split, delta: Delta | None) -> Row:
    """l2 and confidence by valid; NDCG@20 on test."""
    found: list[tuple[float, float, float]] = []
    for confidence in CONFIDENCE if delta is not None else (0.0,):
        train = split.train if delta is None else split.train + delta.with_confidence(confidence)
        for l2 in L2:
            model = EASE(split.target, l2=l2, weight="confidence").fit(train)
            value = evaluate(model, train, split, k=20, on="valid")["NDCG@20"]
            found.append((float(value), confidence, l2))
    valid, confidence, l2 = max(found)
    train = split.train if delta is None else split.train + delta.with_confidence(confidence)
    model = EASE(split.target, l2=l2, weight="confidence").fit(train)
    test = evaluate(model, train, split, k=20, on="test")["NDCG@20"]
    return {"valid": round(valid, 4), "test": round(float(test), 4), "w": confidence, "l2": l2}


def scale(results: Results, seeds: int, _: Sequence[str]) -> None:
    from entities_scale import cost, world

    hin = world(100_000, 20_000)
    results.once("scale", "JointVAE", 0, lambda: cost(hin))


def instruments(results: Results, seeds: int, _: Sequence[str]) -> None:
    import entities_near

    for seed in range(seeds):
        split = entities_near.split_of("amazon-musical-instruments", seed)
        results.once("instruments", "none", seed, lambda s=split: best(s, None))
        for times in (1, 6):
            for name, generator in entities_near.controls().items():
                results.once(
                    "instruments",
                    f"{name}, {times} a user",
                    seed,
                    lambda s=split, g=generator, t=times, k=seed: worth(s, g, t, k),
                )
        shuffled = lambda s=split, k=seed: dealt_anew(s, k)  # noqa: E731
        results.once("instruments", "JointVAE, links dealt out anew, 6 a user", seed, shuffled)


def near(results: Results, seeds: int, _: Sequence[str]) -> None:
    import entities_near

    entities_near.near(results, seeds)


def items(results: Results, seeds: int, _: Sequence[str]) -> None:
    import entities_near

    entities_near.items(results, seeds)


def light(results: Results, seeds: int, _: Sequence[str]) -> None:
    import entities_near

    entities_near.light(results, seeds)


def adversarial(results: Results, seeds: int, arms: Sequence[str], data: str = "ml-100k") -> None:
    import entities_trained

    entities_trained.adversarial(results, seeds, arms, data)


SECTIONS = {
    "planted": planted,
    "thin": thin_movies,
    "instruments": instruments,
    "near": near,
    "items": items,
    "light": light,
    "scale": scale,
    "adversarial": adversarial,
}


PAIRS = {  # of the section adversarial: who must beat whom, at the same sharpness
    "JointVAE + critic": "JointVAE as sharp as with the critic",
    "JointGAN from nothing": "JointVAE as sharp as from nothing",
    "RLGAN": "JointVAE",
    "CFGAN": "JointVAE",
}


def against(rows: list[Row]) -> Iterator[str]:
    """Paired t-tests over the seeds that both arms of a pair have, for each data set."""
    sections = dict.fromkeys(r["section"] for r in rows if r["section"].startswith("adversarial"))
    for section in sections:
        yield from _pairs([r for r in rows if r["section"] == section])


def _pairs(rows: list[Row]) -> Iterator[str]:
    found = {(r["name"], r["seed"]): r["test"] for r in rows}
    for ours, other in PAIRS.items():
        seeds = [s for name, s in found if name == ours and (other, s) in found]
        x, y = (np.array([found[name, s] for s in seeds]) for name in (ours, other))
        if len(seeds) > 1:
            p = ttest_rel(x, y).pvalue
            yield (
                f"{rows[0]['section']}: {ours} - {other}: {100 * (x.mean() / y.mean() - 1):+.1f} %, better on "
                f"{int((x > y).sum())} of {len(seeds)} seeds, p {p:.2g}"
            )


def show(rows: list[Row]) -> Iterator[str]:
    """Means over the seeds."""
    keys = list(dict.fromkeys((row["section"], row["name"]) for row in rows))
    for section, name in keys:
        same = [r for r in rows if (r["section"], r["name"]) == (section, name)]
        numbers = {
            k: np.mean([r[k] for r in same])
            for k in same[0]
            if all(isinstance(r.get(k), int | float) for r in same)
        }
        numbers.pop("seed")
        shown = "  ".join(f"{k} {v:.4g}" for k, v in numbers.items())
        yield f"{section:<8} {name:<42} {len(same)} seeds  {shown}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arms", nargs="*", default=[], help="of adversarial; all without it")
    parser.add_argument(
        "--data", choices=["ml-100k", "ml-latest-small"], default="ml-100k", help="of adversarial"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    results = Results(options.out)
    for name in options.only:
        more = {"data": options.data} if name == "adversarial" else {}
        SECTIONS[name](results, options.seeds, options.arms, **more)
    print("\n".join([*show(results.rows), *against(results.rows)]))


if __name__ == "__main__":
    main()
