"""Evaluate a predictor by full ranking on held-out pairs, and compare two ways of making one.

Every item that the user has not met is ranked; nothing is sampled. Metric definitions stand in `hinaug.metrics`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from scipy import stats

from hinaug import checks, metrics
from hinaug import tables as tb
from hinaug.base import LeakError, LinkPredictor, among, distinct, held_out, scorer
from hinaug.hin import HIN, EdgeType
from hinaug.ranking import ranked_lists
from hinaug.split import Split

PER_USER = {
    "NDCG": metrics.ndcg,
    "Recall": metrics.recall,
    "Precision": metrics.precision,
    "F1": metrics.f1,
    "Hit": metrics.hit,
    "MAP": metrics.average_precision,
    "MRR": metrics.reciprocal_rank,
}
DEGREES = (5, 20, 60)


@dataclass(eq=False)
class Result:
    """Per-user values of one evaluation.

    values: {"NDCG@20": float64 [n_users], ...}; users: their external ids; overall: {"Coverage@20": ..., ...}.
    slices: {name: label of each user}; each slice partitions the users.
    """

    name: str
    on: str
    users: pa.Array
    values: dict[str, np.ndarray]
    overall: dict[str, float]
    slices: dict[str, np.ndarray]
    seconds: float = 0.0

    def __getitem__(self, metric: str) -> float:
        """Mean over the users, or an overall figure."""
        if metric in self.overall:
            return self.overall[metric]
        return float(self._of(metric).mean())

    def interval(self, metric: str, level: float = 0.95) -> tuple[float, float]:
        """Confidence interval of the mean over users (t distribution)."""
        return mean_interval(self._of(metric), level)

    def _of(self, metric: str) -> np.ndarray:
        if metric not in self.values:
            if metric in self.overall:
                raise ValueError(
                    f"{metric!r} is one figure for all users, without an interval or a test; with values per user there are "
                    f"{list(self.values)}"
                )
            there = [*self.values, *self.overall]
            raise tb.UnknownNameError(f"no metric {metric!r}; this result has {there}{tb.nearest(metric, there)}")
        return self.values[metric]

    def by(self, slice: str, metric: str) -> dict[str, tuple[int, float]]:
        """{label: (number of users, mean)} of one slice."""
        labels, values = self._labels(slice), self._of(metric)
        return {
            str(label): (int((labels == label).sum()), float(values[labels == label].mean()))
            for label in _ordered(labels)
        }

    def _labels(self, slice: str) -> np.ndarray:
        if slice not in self.slices:
            there = list(self.slices)
            raise tb.UnknownNameError(f"no slice {slice!r}; this result has {there}{tb.nearest(slice, there)}")
        return self.slices[slice]

    def table(self) -> pa.Table:
        """One row per metric: mean and 95 % interval."""
        rows = [
            {"metric": m, "mean": self[m], "low": self.interval(m)[0], "high": self.interval(m)[1]} for m in self.values
        ]
        rows += [{"metric": m, "mean": value, "low": None, "high": None} for m, value in self.overall.items()]
        return pa.Table.from_pylist(rows)

    def __repr__(self) -> str:
        shown = [m for m in self.values if m.startswith(("NDCG", "Recall", "MAP", "Hit"))]
        means = ", ".join(f"{m} {self[m]:.4f}" for m in shown)
        return f"Result({self.name} on {self.on}, {len(self.users)} users: {means})"


def evaluate(
    predictor: LinkPredictor, hin: HIN, split: Split, *, k: int | Sequence[int] = (10, 20), on: str = "valid"
) -> Result:
    """Full-ranking metrics of a fitted predictor on the held-out pairs of `split`.

    hin: the graph to score on, such as `split.train` (on valid) or `split.train_valid` (on test), with or without deltas.
    on: "valid" or "test". Observed pairs of the graph and of train (on test: and of valid) are not ranked.
    Users without held-out pairs are left out; a user whom the predictor cannot score counts with an empty list.
    Raises LeakError when the held-out pairs, or their evidence, are in `hin` or in the graph the predictor was fitted on,
    and NotFittedError before `fit`.
    """
    scorer(predictor, "evaluate")
    checks.graph(hin, "evaluate")
    if not isinstance(split, Split):
        raise TypeError(
            f"evaluate(predictor, hin, split) takes a Split third, got {checks.kind(split)}; see random_split"
        )
    if on not in ("valid", "test"):
        raise ValueError(f"evaluate: on={on!r}: expected 'valid' or 'test'")
    if predictor.relation != split.target:
        raise ValueError(
            f"the predictor scores {predictor.relation}, the split holds out {split.target}; make both of one relation"
        )
    cuts = k if isinstance(k, Iterable) and not isinstance(k, str) else [k]
    ks = sorted({checks.whole(cut, "evaluate: k", 1) for cut in cuts})
    if not ks:
        raise ValueError(f"evaluate: k={k!r} names no cut-off; give one or more, each at least 1, such as k=(10, 20)")
    pairs = split.valid if on == "valid" else split.test
    if pairs.num_rows == 0:
        raise ValueError(
            f"the split has no {on} pairs ({split.valid.num_rows} valid, {split.test.num_rows} test); make one with {on} > 0"
        )
    _refuse_leaks(predictor, hin, split, pairs, on)
    started = time.perf_counter()
    users, relevant = held_out(hin.observed(), split.target, pairs)
    train = split.train.observed().adjacency(split.target)
    hide = hin.observed().adjacency(split.target)[users] + _among(hin, split.train, split, users, train)
    if on == "test" and split.valid.num_rows:
        src, dst = (hin.positions(t, split.valid[c]) for t, c in ((split.target[0], "src"), (split.target[2], "dst")))
        valid = sp.csr_array(
            (np.ones(len(src), np.float32), (src, dst)), shape=(hin.n_observed(split.target[0]), relevant.shape[1])
        )
        hide = hide + valid[users]
    depth = min(ks[-1], relevant.shape[1])
    what = f"evaluating {type(predictor).__name__}"
    ranked, _ = ranked_lists(predictor, hin, users, depth, hide.tocsr(), what=what)
    if depth < ks[-1]:
        ranked = np.pad(ranked, ((0, 0), (0, ks[-1] - depth)), constant_values=-1)
    found = metrics.hits(ranked, relevant)
    values = {
        f"{name}@{cut}": measure(ranked, relevant, cut, found=found) for cut in ks for name, measure in PER_USER.items()
    }
    popularity = np.bincount(train.indices, minlength=train.shape[1])
    n_items = relevant.shape[1]
    overall = {
        f"Coverage@{ks[-1]}": metrics.coverage(ranked, n_items, ks[-1]),
        f"Gini@{ks[-1]}": metrics.gini(ranked, n_items, ks[-1]),
    }
    if len(popularity) == n_items:
        novelty = metrics.novelty(ranked, popularity, train.shape[0], ks[-1])
        there = np.isfinite(novelty)  # a user with an empty list has none
        overall[f"Novelty@{ks[-1]}"] = float(novelty[there].mean()) if there.any() else float("nan")
    slices = _slices(split, hin, users, relevant)
    return Result(
        type(predictor).__name__,
        on,
        hin.ids(split.target[0], users),
        values,
        overall,
        slices,
        time.perf_counter() - started,
    )


def _among(hin: HIN, other: HIN, split: Split, users: np.ndarray, matrix: sp.csr_array) -> sp.csr_array:
    """Rows of the train matrix for `users`, over the observed targets of `hin`."""
    source, _, target = split.target
    same = all(hin.observed().nodes[t]["id"].equals(other.observed().nodes[t]["id"]) for t in (source, target))
    if same:
        return matrix[users]
    row = tb.lookup(other.nodes[source]["id"].chunk(0), hin.observed().nodes[source]["id"].chunk(0))[users]
    column = tb.lookup(hin.observed().nodes[target]["id"].chunk(0), other.observed().nodes[target]["id"].chunk(0))
    known = np.flatnonzero(row >= 0)
    part = matrix[row[known]].tocoo()
    at, to = known[part.coords[0]], column[part.coords[1]]
    keep = to >= 0
    return sp.csr_array((part.data[keep], (at[keep], to[keep])), shape=(len(users), hin.n_observed(target)))


def _refuse_leaks(predictor: LinkPredictor, hin: HIN, split: Split, pairs: pa.Table, on: str) -> None:
    what = f"{on} pairs"
    seen = predictor.saw(pairs["src"], pairs["dst"])
    if seen.any():
        first = {c: pairs[c][int(np.flatnonzero(seen)[0])].as_py() for c in ("src", "dst")}
        raise LeakError(
            f"{int(seen.sum())} of {len(seen)} {what} are edges of the graph that this predictor was fitted on (first: {first}); "
            f"fit it on split.train{'' if on == 'valid' else ' or split.train_valid'}, with or without a delta"
        )
    observed = hin.observed()
    src, dst = observed.links(split.target)
    width = observed.n(split.target[2])
    held = observed.positions(split.target[0], pairs["src"]) * width + observed.positions(split.target[2], pairs["dst"])
    there = int(among(held, distinct(src.astype(np.int64) * width + dst)).sum())
    if there:
        raise LeakError(
            f"{there} of {len(held)} {what} are edges of the graph to score on; pass split.train{'' if on == 'valid' else '_valid'}"
        )
    clean = split.train if on == "valid" else split.train_valid
    for edge in observed.edges:
        twins = _twins(split, observed, edge, held) - _twins(split, clean.observed(), edge, held)
        if twins > 0:
            raise LeakError(
                f"{twins} {what} stand as {edge} edges in the graph to score on, and not in the split's own; "
                f"pass split.train{'' if on == 'valid' else '_valid'}"
            )
    for node in split.evidence:
        if node in observed.nodes:
            extra = tb.lookup(clean.observed().nodes[node]["id"].chunk(0), observed.nodes[node]["id"].chunk(0)) < 0
            if extra.any():
                raise LeakError(
                    f"{int(extra.sum())} {node!r} nodes in the graph to score on left the split as evidence of held-out pairs; "
                    f"pass split.train{'' if on == 'valid' else '_valid'}"
                )


def _twins(split: Split, hin: HIN, edge: EdgeType, held: np.ndarray) -> int:
    """How many held-out pairs stand as edges of another type, or the other way round."""
    a, _, b = split.target
    if edge not in hin.edges or (edge[0], edge[2]) not in ((a, b), (b, a)):
        return 0
    src, dst = (p.astype(np.int64) for p in hin.links(edge))
    ways = [(src, dst)] if (edge[0], edge[2]) == (a, b) and edge != split.target else []
    ways += [(dst, src)] if (edge[2], edge[0]) == (a, b) else []
    there = [u * hin.n(b) + i for u, i in ways]
    return int(np.isin(held, np.concatenate(there)).sum()) if there else 0


def _slices(split: Split, hin: HIN, users: np.ndarray, relevant: sp.csr_array) -> dict[str, np.ndarray]:
    train = split.train.observed()
    matrix = train.adjacency(split.target)
    ids = hin.nodes[split.target[0]]["id"].chunk(0).take(pa.array(users))
    row = tb.lookup(train.nodes[split.target[0]]["id"].chunk(0), ids)
    degree = np.where(row >= 0, np.diff(matrix.indptr)[row], 0)
    edges = [0, *DEGREES]
    names = np.array(
        [f"{low + 1}-{high}" if low else f"0-{high}" for low, high in zip(edges, DEGREES, strict=False)]
        + [f"{DEGREES[-1] + 1}+"]
    )
    labels = {"train degree": names[np.searchsorted(DEGREES, degree)]}
    if matrix.shape[1] == relevant.shape[1]:
        popularity = np.bincount(matrix.indices, minlength=matrix.shape[1])
        head = np.zeros(len(popularity), bool)
        head[np.argsort(-popularity, kind="stable")[: max(1, len(popularity) // 5)]] = True  # the most popular fifth
        tail = relevant.copy()
        tail.data = (~head[tail.indices]).astype(np.float32)
        share = tail.sum(axis=1) / np.diff(relevant.indptr)
        labels["tail items held out"] = np.array(["none", "under half", "half or more"])[
            np.digitize(share, [1e-9, 0.5])
        ]
    return labels


# ---- comparing -------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Comparison:
    """b against a: mean difference of a metric over users, with a 95 % interval and a paired t-test.

    Seeds are averaged per user before the test, so n is a number of users. `slices`: {slice: {label: {users, difference,
    wins, losses}}}; the label's differences, weighted by users, add up to the whole.
    """

    metric: str
    a: str
    b: str
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    p: float
    users: int
    seeds: int
    wins: int
    losses: int
    slices: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)

    @property
    def relative(self) -> float:
        """The difference as a share of a's mean, 0.1 for 10 % more; NaN where that mean is 0."""
        return self.difference / self.mean_a if self.mean_a else float("nan")

    def verdict(self, level: float = 0.005) -> str:
        """One honest sentence. A p above 0.005 counts as nothing found."""
        change = (
            f"{self.metric} {self.mean_a:.4f} -> {self.mean_b:.4f} ({100 * self.relative:+.1f} %, p = {self.p:.2g})"
        )
        if not self.p < level:
            return f"{self.b}: no difference from {self.a} could be shown: {change}"
        return f"{self.b} {'helps' if self.difference > 0 else 'HURTS'} against {self.a}: {change}"

    def __repr__(self) -> str:
        return (
            f"Comparison({self.b} - {self.a}: {self.metric} {self.difference:+.4f} [{self.low:+.4f}, {self.high:+.4f}], "
            f"{100 * self.relative:+.1f} %, p = {self.p:.2g}, {self.users} users x {self.seeds} seeds, {self.wins} won, {self.losses} lost)"
        )


def compare(
    a: Result | Sequence[Result],
    b: Result | Sequence[Result],
    metric: str = "NDCG@20",
    names: tuple[str, str] = ("plain", "augmented"),
) -> Comparison:
    """Paired comparison of two results, or of two lists of results with the same seeds in the same order.

    metric: one that has values per user; names: what a and b are called. Raises TypeError for what is no result of
    `evaluate`, KeyError for a metric that was not measured, and ValueError where users or parts (`on`) differ.
    """
    left, right = (list(r) if isinstance(r, Iterable) else [r] for r in (a, b))
    wrong = [r for r in (*left, *right) if not isinstance(r, Result)]
    if wrong:
        raise TypeError(
            f"compare takes two results of evaluate, or two lists of them, one a seed; got {checks.kind(wrong[0])}; "
            "evaluate each model on one split first"
        )
    if len(names) != 2 or isinstance(names, str):
        raise ValueError(f"compare: names={names!r}: two names, of a and of b")
    if len(left) != len(right) or not left:
        raise ValueError(
            f"compare: {len(left)} results against {len(right)}; give one of each per seed, in the same order"
        )
    for one, two in zip(left, right, strict=True):
        if one.on != two.on or not one.users.equals(two.users):
            raise ValueError(
                f"compare: results of unlike users or parts ({one.on}, {len(one.users)} users; {two.on}, {len(two.users)} users); "
                "evaluate both on one split with the same on="
            )
    users, before = per_user(left, metric)
    after = per_user(right, metric)[1]
    n = len(users)
    gain = after - before
    low, high = mean_interval(gain)
    p = _paired_p(gain)
    slices: dict[str, dict[str, dict[str, float]]] = {}
    for name in (s for s in left[0].slices if all(s in r.slices for r in left)):
        labels = np.empty(n, object)
        for result in reversed(left):  # a user whose slice varies between seeds counts in that of the first seed
            at = tb.lookup(users, result.users.cast(pa.string()))
            labels[at] = result.slices[name]
        slices[name] = {}
        for label in _ordered(labels):
            part = gain[labels == label]
            base = before[labels == label]
            low_part, high_part = mean_interval(part)
            slices[name][str(label)] = {
                "users": len(part), "before": float(base.mean()), "difference": float(part.mean()), "low": low_part,
                "high": high_part, "wins": int((part > 0).sum()), "losses": int((part < 0).sum()),
            }  # fmt: skip
    return Comparison(
        metric, names[0], names[1], float(before.mean()), float(after.mean()), float(gain.mean()), low, high, p,
        n, len(left), int((gain > 0).sum()), int((gain < 0).sum()), slices,
    )  # fmt: skip


def per_user(results: Sequence[Result], metric: str) -> tuple[pa.Array, np.ndarray]:
    """Every user of these results, one a seed, and its mean over the seeds that judge it."""
    codes = pa.concat_arrays([r.users.cast(pa.string()) for r in results]).dictionary_encode()
    index, n = codes.indices.to_numpy(), len(codes.dictionary)
    total = np.bincount(index, np.concatenate([r._of(metric) for r in results]), minlength=n)
    return codes.dictionary, total / np.bincount(index, minlength=n)


def holm(p: Mapping[Any, float]) -> dict[Any, float]:
    """Holm's step-down correction for the comparisons of one table (Holm, 1979). p: {name: p}."""
    if not isinstance(p, Mapping):
        raise TypeError(f"holm takes a dict, {{name: p}}, got {checks.kind(p)}")
    order = sorted(p, key=lambda name: p[name])
    out, highest = {}, 0.0
    for i, name in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - i) * p[name]))
        out[name] = highest
    return {name: out[name] for name in p}


def _paired_p(gain: np.ndarray) -> float:
    """Two-sided p of a paired t-test: 1 where nothing changed or one user cannot tell, 0 where all changed alike."""
    n, mean = len(gain), float(gain.mean())
    spread = float(gain.std(ddof=1)) if n > 1 else 0.0
    if spread <= 1e-12 * abs(mean) or n < 2:
        return 1.0 if n < 2 or mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / (spread / np.sqrt(n)), n - 1))


def mean_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Confidence interval of a mean (t distribution). values [n]; both ends are the mean where n < 2, NaN where n = 0."""
    if not (checks.is_number(level) and 0 < level < 1):
        raise ValueError(f"level={level!r}: a number between 0 and 1 is needed, such as 0.95")
    mean = float(values.mean()) if len(values) else float("nan")
    if len(values) < 2:
        return mean, mean
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return mean - half, mean + half


def _ordered(labels: np.ndarray) -> list[str]:
    known = ["0-5", "6-20", "21-60", "61+", "none", "under half", "half or more"]
    there = set(labels.tolist())
    return [label for label in known if label in there] + sorted(there - set(known))
