"""The three contracts: Estimator, LinkPredictor, EntityGenerator.

Estimators are dataclasses: the fields are the hyperparameters, the repr is the log line, learned names end in "_".
Written once, a LinkPredictor recommends, proposes edges (inside a RelationGenerator) and joins an ensemble.

To write a predictor, subclass LinkPredictor and give `_fit` and `_score`; to write an entity generator, subclass
EntityGenerator and give `_fit` and `sample`. `hinaug.testing` checks that the contract is kept.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug import checks
from hinaug import tables as tb
from hinaug.delta import Delta
from hinaug.hin import HIN, EdgeType
from hinaug.schema import check_positions
from hinaug.tables import SchemaError

Rng = np.random.Generator | int | None


class NotFittedError(ValueError):
    """Asked for results before `fit`."""


class LeakError(ValueError):
    """Held-out pairs are where the predictor could have seen them."""


class Estimator:
    """Hyperparameters are the dataclass fields; what was learned ends in "_".

    A field that is annotated as int or float (or None beside it) takes numbers alone: TypeError, when it is made and in `fit`.
    """

    def __post_init__(self) -> None:
        self._check_numbers()

    def get_params(self) -> dict[str, Any]:
        """{name: value} of the hyperparameters; nested estimators as they are."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}  # type: ignore[arg-type]

    def clone(self, **changes: Any) -> Self:
        """An unfitted copy, with the named hyperparameters changed; nested estimators are cloned too."""
        params = self.get_params()
        unknown = [name for name in changes if name not in params]
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no parameter {unknown[0]!r}; it has {list(params)}{tb.nearest(unknown[0], params)}"
            )
        return type(self)(**{name: changes.get(name, _cloned(value)) for name, value in params.items()})

    def _check_numbers(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            said = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
            kinds = {word.strip() for word in said.split("|")}
            if not field.init or not kinds & {"int", "float"} or kinds - {"int", "float", "None"}:
                continue
            value, of = getattr(self, field.name), Real if "float" in kinds else Integral
            if not (checks.is_number(value, of) or (value is None and "None" in kinds)):
                what = "a number" if of is Real else "a whole number"
                such = f", such as {field.default!r}" if checks.is_number(field.default) else ""
                none = ", or None" if "None" in kinds else ""
                raise TypeError(
                    f"{type(self).__name__}: {field.name}={value!r}: {what} is needed{such}{none}; got {checks.kind(value)}"
                )

    def _ready(self, verb: str, hin: Any, valid: Any, rng: Any) -> np.random.Generator:
        """What is looked at before anything is learned or made; gives the generator to draw from."""
        who = f"{type(self).__name__}.{verb}"
        self._check_numbers()
        checks.graph(hin, who)
        checks.pairs(valid, who)
        return checks.generator(rng, who)

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """A fit that fails leaves the estimator as it was, not half-fitted."""
        before = dict(vars(self))
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    def _check_fitted(self) -> None:
        if not any(name.endswith("_") and not name.startswith("_") for name in vars(self)):
            raise NotFittedError(f"this {type(self).__name__} is not fitted; call .fit(hin) before")


def _cloned(value: Any) -> Any:
    if isinstance(value, Estimator):
        return value.clone()
    if isinstance(value, list | tuple) and any(isinstance(v, Estimator) for v in value):
        return type(value)(_cloned(v) for v in value)
    return copy.deepcopy(value)


@dataclass(eq=False)
class LinkPredictor(Estimator):
    """Scores links of one relation: `fit` on a graph, then `score` sources against every target.

    relation: the edge type whose links are scored, such as ("user", "rates", "item").

    A subclass writes `_fit(hin, valid, rng)` and `_score(hin, src)`. Three helpers keep ids straight between the graph
    that was fitted on and the graph that is scored on: `_rows`, `_history` and `_columns`.
    """

    relation: EdgeType

    def fit(self, hin: HIN, *, valid: pa.Table | None = None, rng: Rng = None) -> Self:
        """Learn from `hin`; gives the predictor itself. A fit that fails leaves it as it was.

        valid: held-out pairs ("src", "dst", external ids), only for choices such as when to stop.
        Raises TypeError for what is no graph, table of pairs or seed, and KeyError where the graph lacks the relation.
        """
        draws = self._ready("fit", hin, valid, rng)
        with self._all_or_nothing():
            self._remember(hin)
            self._fit(hin, valid, draws)
        return self

    def refit(self, hin: HIN, *, rng: Rng = None) -> Self:
        """Learn again from more data (train + valid) with the choices that `fit` made, such as epochs or weights."""
        self._check_fitted()
        draws = self._ready("refit", hin, None, rng)
        with self._all_or_nothing():
            self._remember(hin)
            self._refit(hin, draws)
        return self

    def score(self, hin: HIN, src: Any) -> np.ndarray:
        """Scores [len(src), n_targets of hin], float32, higher is likelier; src are positions in `hin`.

        NaN where this model cannot tell: a source or a target that it never saw. Call it for some hundred sources at a
        time; nothing here holds sources x targets for the whole graph.
        """
        self._check_fitted()
        src = self._check_src(hin, src)
        out = self._score(hin, src)
        expected = (len(src), hin.n(self.relation[2]))
        if out.shape != expected:
            raise ValueError(
                f"{type(self).__name__}._score returned {out.shape}, expected {expected}: sources asked for x targets of the graph"
            )
        return np.asarray(out, np.float32)

    def score_pairs(self, hin: HIN, src: Any, dst: Any) -> np.ndarray:
        """Scores [n, k], float32, of candidate targets dst [n, k] for each source in src [n]; positions in `hin`."""
        self._check_fitted()
        src = self._check_src(hin, src)
        dst = check_positions(dst, hin.n(self.relation[2]), self.relation[2], "score_pairs", ndim=2)
        if len(dst) != len(src):
            raise ValueError(
                f"score_pairs takes src [n] and dst [n, k]; got {src.shape} and {dst.shape}: give each source a row of targets"
            )
        blocks = [
            np.take_along_axis(self.score(hin, src[at : at + 512]), dst[at : at + 512], axis=1)
            for at in range(0, len(src), 512)
        ]
        return np.concatenate(blocks) if blocks else np.zeros(dst.shape, np.float32)

    # ---- to write ------------------------------------------------------------------------------------------------

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        raise NotImplementedError(f"{type(self).__name__} has no _fit; write _fit(self, hin, valid, rng)")

    def _refit(self, hin: HIN, rng: np.random.Generator) -> None:
        self._fit(hin, None, rng)

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} has no _score; write _score(self, hin, src)")

    # ---- helpers -------------------------------------------------------------------------------------------------

    def _remember(self, hin: HIN) -> None:
        checks.graph(hin, type(self).__name__)  # an ensemble may come here without _ready
        if self.relation not in hin.edges:
            hin.edges[self.relation]  # raises, naming what there is
        source, _, target = self.relation
        self.src_ids_, self.dst_ids_ = hin.nodes[source]["id"].chunk(0), hin.nodes[target]["id"].chunk(0)
        src, dst = hin.observed().links(self.relation)
        self.pairs_ = distinct(src.astype(np.int64) * len(self.dst_ids_) + dst)
        self.fitted_on_ = hin.fingerprint()
        self._aligned: dict[str, Any] = {}

    def saw(self, src_ids: Any, dst_ids: Any) -> np.ndarray:
        """Whether each pair of external ids was an observed edge of the graph that was fitted on; bool [n]."""
        self._check_fitted()
        where = "pairs asked for"
        a = tb.lookup(self.src_ids_, tb.id_strings(tb.as_array(src_ids, where), where)[0]).astype(np.int64)
        b = tb.lookup(self.dst_ids_, tb.id_strings(tb.as_array(dst_ids, where), where)[0]).astype(np.int64)
        return (a >= 0) & (b >= 0) & among(a * len(self.dst_ids_) + b, self.pairs_)

    def _check_src(self, hin: HIN, src: Any) -> np.ndarray:
        checks.graph(hin, f"{type(self).__name__}.score")
        hin.edges[self.relation]
        return check_positions(src, hin.n(self.relation[0]), self.relation[0], "score")

    def _align(self, hin: HIN, type: str, fitted: pa.Array) -> np.ndarray | None:
        """For each node of `hin`, its position at fit time or -1; None when they are the same."""
        known = self.__dict__.setdefault("_aligned", {}).get(type)
        if known is None or known[0]() is not hin:
            ids = hin.nodes[type]["id"].chunk(0)
            moved = None if ids.equals(fitted) else tb.lookup(fitted, ids).astype(np.int64)
            known = (weakref.ref(hin), moved)
            self._aligned[type] = known
        return known[1]

    def _rows(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        """Positions at fit time of sources of `hin`, -1 for one never seen."""
        moved = self._align(hin, self.relation[0], self.src_ids_)
        return src if moved is None else moved[src]

    def _columns(self, hin: HIN, scores: np.ndarray, missing: float = np.nan) -> np.ndarray:
        """Scores over the targets of the fitted graph, rearranged over the targets of `hin`; NaN for one never seen."""
        moved = self._align(hin, self.relation[2], self.dst_ids_)
        if moved is None:
            return scores
        out = np.full((len(scores), len(moved)), missing, np.float32)
        out[:, moved >= 0] = scores[:, moved[moved >= 0]]
        return out

    def _history(self, hin: HIN, src: np.ndarray, weight: str | None = None) -> sp.csr_array:
        """What `hin` says of these sources, over the targets of the fitted graph: CSR [len(src), n_fitted]."""
        rows = interactions(hin, self.relation, weight)[src]
        moved = self._align(hin, self.relation[2], self.dst_ids_)
        if moved is None:
            return rows
        rows = rows.tocoo()
        at, column = rows.coords
        column = moved[column]
        keep = column >= 0
        return sp.csr_array((rows.data[keep], (at[keep], column[keep])), shape=(len(src), len(self.dst_ids_)))


def scorer(value: Any, who: str) -> None:
    """TypeError unless `value` is a link predictor."""
    if not isinstance(value, LinkPredictor):
        raise TypeError(
            f"{who} takes a fitted link predictor first, such as EASE(relation).fit(split.train); got {checks.kind(value)}"
        )


def distinct(codes: np.ndarray) -> np.ndarray:
    """The distinct codes (whole numbers), sorted. `np.unique` hashes them, and codes of pairs collide: many times slower."""
    codes = np.sort(codes)
    return codes[np.append(True, codes[1:] != codes[:-1])[: len(codes)]]


def among(codes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which codes stand among `others`, which are sorted; bool. None is below 0."""
    return np.append(others, -1)[np.searchsorted(others, codes)] == codes


def interactions(hin: HIN, relation: EdgeType, weight: str | None = None) -> sp.csr_array:
    """The relation as CSR; weight "confidence" counts observed edges as 1 and generated ones as they say."""
    return hin.adjacency(relation) if weight is None else hin.adjacency(relation, weight=weight, duplicates="max")


def held_out(hin: HIN, relation: EdgeType, pairs: pa.Table) -> tuple[np.ndarray, sp.csr_array]:
    """Held-out pairs as (source positions [m], CSR [m, n_targets]); only the sources that have some."""
    src, dst = hin.positions(relation[0], pairs["src"]), hin.positions(relation[2], pairs["dst"])
    users, row = np.unique(src, return_inverse=True)
    matrix = sp.csr_array((np.ones(len(row), np.float32), (row, dst)), shape=(len(users), hin.n(relation[2])))
    matrix.data[:] = 1
    return users, matrix


def resolve_size(size: int | float, there: int, what: str) -> int:
    """An int is a count, a float a share of what is observed."""
    if not (checks.is_number(size) and 0 <= size < np.inf):
        raise ValueError(
            f"size={size!r}: an int is a count of {what}, a float a share of the {there:,} observed; both at least 0"
        )
    return int(size) if isinstance(size, Integral) else round(float(size) * there)


@dataclass
class Entities:
    """What `EntityGenerator.sample` gives back: n new nodes.

    columns: attribute and vector columns, each with n rows.
    links: {edge type: table with "row" (0..n-1), "id" (external id of the node at the other end), attributes}.
    confidence: [n] in [0, 1].
    """

    columns: Mapping[str, Any]
    links: Mapping[EdgeType, pa.Table]
    confidence: np.ndarray


@dataclass(eq=False)
class EntityGenerator(Estimator):
    """Proposes whole new nodes of a type: attributes, vectors AND links. A subclass writes `_fit` and `sample`.

    node: the node type to generate, such as "user".
    """

    node: str

    def fit(self, hin: HIN, *, valid: pa.Table | None = None, rng: Rng = None) -> Self:
        """Learn what nodes of the type are like; gives the generator itself. A fit that fails leaves it as it was.

        valid: held-out pairs ("src", "dst", external ids), for generators that make choices by them.
        Raises TypeError for what is no graph, table of pairs or seed, KeyError where the graph lacks the node type, and
        SchemaError where it has no such nodes.
        """
        draws = self._ready("fit", hin, valid, rng)
        hin.nodes[self.node]
        if hin.n(self.node) == 0:
            there = {type: hin.n(type) for type in hin.nodes}
            raise SchemaError(
                f"{type(self).__name__}: the graph has no {self.node!r} nodes to learn from; it has {there}; choose another node="
            )
        with self._all_or_nothing():
            self.fitted_on_ = hin.fingerprint()
            self._fit(hin, valid, draws)
        return self

    def generate(self, hin: HIN, size: int | float, rng: Rng = None) -> Delta:
        """A delta with `size` new nodes (an int is a count, a float a share of the observed nodes)."""
        self._check_fitted()
        draws = self._ready("generate", hin, None, rng)
        n = resolve_size(size, hin.n_observed(self.node), f"{self.node!r} nodes")
        origin = type(self).__name__
        if n == 0:
            return Delta(origin=origin, fitted_on=[self.fitted_on_])
        made = self.sample(n, draws)
        columns = tb.as_table(dict(made.columns), f"{origin}.sample") if made.columns else pa.table({})
        digest = hashlib.sha256(tb.content_hash(columns).encode())
        for edge, rows in sorted(made.links.items()):
            digest.update(f"{edge}:{tb.content_hash(rows)}".encode())
        ids = pa.array([f"{origin.lower()}-{digest.hexdigest()[:8]}-{i}" for i in range(n)])
        nodes = pa.table(
            {
                "id": ids,
                **{c: columns[c] for c in columns.column_names},
                "confidence": pa.array(made.confidence, pa.float32()),
            }
        )
        edges = {}
        for edge, rows in made.links.items():
            mine, other = ("src", "dst") if edge[0] == self.node else ("dst", "src")
            row = np.asarray(rows["row"])
            rest = {c: rows[c] for c in rows.column_names if c not in ("row", "id")}
            rest.setdefault("confidence", pa.array(np.asarray(made.confidence)[row], pa.float32()))
            edges[edge] = pa.table({mine: ids.take(pa.array(row)), other: rows["id"], **rest})
        return Delta({self.node: nodes}, edges, origin=origin, fitted_on=[self.fitted_on_])

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        raise NotImplementedError(f"{type(self).__name__} has no _fit; write _fit(self, hin, valid, rng)")

    def sample(self, n: int, rng: np.random.Generator) -> Entities:
        """n new nodes, n at least 1, as columns, links and confidence; `generate` makes a delta of them."""
        raise NotImplementedError(f"{type(self).__name__} has no sample; write sample(self, n, rng) -> Entities")
