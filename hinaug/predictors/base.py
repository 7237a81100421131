"""The three contracts: Estimator, LinkPredictor, EntityGenerator.

Estimators are dataclasses: the fields are the hyperparameters, the repr is the log line, learned
names end in "_". Written once, a LinkPredictor recommends, proposes edges (inside a
RelationGenerator) and joins an ensemble.

To write a predictor, subclass LinkPredictor and give `_fit` and `_score`; to write an entity
generator, subclass EntityGenerator and give `_fit` and `sample`. `hinaug.testing` checks that the
contract is kept.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug import checks
from hinaug.checks import Rng
from hinaug.errors import KindError, ParameterError
from hinaug.graph import arrow as tb
from hinaug.graph import expect
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import among, distinct, interactions
from hinaug.graph.schema import EdgeType
from hinaug.graph.validate import check_positions
from hinaug.training.estimator import Estimator


@dataclass(eq=False)
class LinkPredictor(Estimator):
    """Scores links of one relation: `fit` on a graph, then `score` sources against every target.

    relation: the edge type whose links are scored, such as ("user", "rates", "item").

    A subclass writes `_fit(hin, valid, rng)` and `_score(hin, src)`. Three helpers keep ids
    straight between the graph that was fitted on and the graph that is scored on: `_rows`,
    `_history` and `_columns`.
    """

    relation: EdgeType

    def fit(self, hin: HIN, *, valid: pa.Table | None = None, rng: Rng = None) -> Self:
        """Learn from `hin`; gives the predictor itself. A fit that fails leaves it as it was.

        valid: held-out pairs ("src", "dst", external ids), only for choices such as when to stop.
        Raises TypeError for what is no graph, table of pairs or seed, and KeyError where the graph
        lacks the relation.
        """
        draws = self._ready("fit", hin, valid, rng)
        with self._all_or_nothing():
            self._remember(hin)
            self._fit(hin, valid, draws)
        return self

    def refit(self, hin: HIN, *, rng: Rng = None) -> Self:
        """Learn again from more data (train + valid) with the choices that `fit` made, such as
        epochs or weights.
        """
        self._check_fitted()
        draws = self._ready("refit", hin, None, rng)
        with self._all_or_nothing():
            self._remember(hin)
            self._refit(hin, draws)
        return self

    def score(self, hin: HIN, src: Any) -> np.ndarray:
        """Scores [len(src), n_targets of hin], float32, higher is likelier; src are positions in
        `hin`.

        NaN where this model cannot tell: a source or a target that it never saw. Call it for some
        hundred sources at a time; nothing here holds sources x targets for the whole graph.
        """
        self._check_fitted()
        src = self._check_src(hin, src)
        out = self._score(hin, src)
        expected = (len(src), hin.n(self.relation[2]))
        if out.shape != expected:
            raise ParameterError(
                f"{type(self).__name__}._score returned {out.shape}, expected {expected}: sources "
                "asked for x targets of the graph"
            )
        return np.asarray(out, np.float32)

    def score_pairs(self, hin: HIN, src: Any, dst: Any) -> np.ndarray:
        """Scores [n, k], float32, of candidate targets dst [n, k] for each source in src [n];
        positions in `hin`.
        """
        self._check_fitted()
        src = self._check_src(hin, src)
        dst = check_positions(dst, hin.n(self.relation[2]), self.relation[2], "score_pairs", ndim=2)
        if len(dst) != len(src):
            raise ParameterError(
                f"score_pairs takes src [n] and dst [n, k]; got {src.shape} and {dst.shape}: give "
                "each source a row of targets"
            )
        blocks = [
            np.take_along_axis(self.score(hin, src[at : at + 512]), dst[at : at + 512], axis=1)
            for at in range(0, len(src), 512)
        ]
        return np.concatenate(blocks) if blocks else np.zeros(dst.shape, np.float32)

    # ---- to write --------------------------------------------------------------------------------

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        raise NotImplementedError(
            f"{type(self).__name__} has no _fit; write _fit(self, hin, valid, rng)"
        )

    def _refit(self, hin: HIN, rng: np.random.Generator) -> None:
        self._fit(hin, None, rng)

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        raise NotImplementedError(
            f"{type(self).__name__} has no _score; write _score(self, hin, src)"
        )

    # ---- helpers ---------------------------------------------------------------------------------

    def _remember(self, hin: HIN) -> None:
        expect.graph(hin, type(self).__name__)  # an ensemble may come here without _ready
        if self.relation not in hin.edges:
            hin.edges[self.relation]  # raises, naming what there is
        source, _, target = self.relation
        self.src_ids_, self.dst_ids_ = (
            hin.nodes[source]["id"].chunk(0),
            hin.nodes[target]["id"].chunk(0),
        )
        src, dst = hin.observed().links(self.relation)
        self.pairs_ = distinct(src.astype(np.int64) * len(self.dst_ids_) + dst)
        self.fitted_on_ = hin.fingerprint()
        self._aligned: dict[str, Any] = {}

    def saw(self, src_ids: Any, dst_ids: Any) -> np.ndarray:
        """Whether each pair of external ids was an observed edge of the graph that was fitted on;
        bool [n].
        """
        self._check_fitted()
        where = "pairs asked for"
        a = tb.lookup(self.src_ids_, tb.id_strings(tb.as_array(src_ids, where), where)[0]).astype(
            np.int64
        )
        b = tb.lookup(self.dst_ids_, tb.id_strings(tb.as_array(dst_ids, where), where)[0]).astype(
            np.int64
        )
        return (a >= 0) & (b >= 0) & among(a * len(self.dst_ids_) + b, self.pairs_)

    def _check_src(self, hin: HIN, src: Any) -> np.ndarray:
        expect.graph(hin, f"{type(self).__name__}.score")
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
        """Scores over the targets of the fitted graph, rearranged over the targets of `hin`; NaN
        for one never seen.
        """
        moved = self._align(hin, self.relation[2], self.dst_ids_)
        if moved is None:
            return scores
        out = np.full((len(scores), len(moved)), missing, np.float32)
        out[:, moved >= 0] = scores[:, moved[moved >= 0]]
        return out

    def _history(self, hin: HIN, src: np.ndarray, weight: str | None = None) -> sp.csr_array:
        """What `hin` says of these sources, over the targets of the fitted graph: CSR [len(src),
        n_fitted].
        """
        rows = interactions(hin, self.relation, weight)[src]
        moved = self._align(hin, self.relation[2], self.dst_ids_)
        if moved is None:
            return rows
        rows = rows.tocoo()
        at, column = rows.coords
        column = moved[column]
        keep = column >= 0
        return sp.csr_array(
            (rows.data[keep], (at[keep], column[keep])), shape=(len(src), len(self.dst_ids_))
        )


def scorer(value: Any, who: str) -> None:
    """TypeError unless `value` is a link predictor."""
    if not isinstance(value, LinkPredictor):
        raise KindError(
            f"{who} takes a fitted link predictor first, such as EASE(relation).fit(split.train); "
            f"got {checks.kind(value)}"
        )
