"""LinkPredictor: the one contract of whatever scores links, and its two optional abilities.

Written once, a LinkPredictor recommends, proposes edges inside a RelationGenerator, and joins an
ensemble. To write one, subclass it and give `_fit` and `_score`. A method that can score somebody
new without a refit also subclasses `FoldsIn` (new sources) or `FoldsInItems` (new targets); one
whose scores are products of vectors gives `vectors`, see `HasVectors`. `hinaug.testing` checks
that each contract is kept.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hinaug import checks
from hinaug.checks import Limits, Rng, Space
from hinaug.errors import FoldInError, KindError, ParameterError
from hinaug.graph import arrow as tb
from hinaug.graph import expect
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import check_weights, interactions, pairs_fingerprint
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

    # why a method that is no FoldsIn, or no FoldsInItems, needs a refit
    NO_FOLD_IN: ClassVar[str] = "it has no rule for a source that it was not fitted on"
    NO_FOLD_IN_ITEMS: ClassVar[str] = "it has no rule for a target that it was not fitted on"

    # whether two fits on one graph can differ; False for methods in closed form
    STOCHASTIC: ClassVar[bool] = True

    # where generated edges count: "both", or in methods with a field of that name "loss" or "graph"
    generated = "both"
    LIMITS: ClassVar[Limits] = {"generated": ("both", "loss", "graph")}

    # what `hinaug tune` tries where nothing is named; {} where there is nothing to choose
    SPACE: ClassVar[Space] = {}

    relation: EdgeType

    @property
    def deterministic(self) -> bool:
        """Whether every fit on one graph gives the same scores, whatever the seed."""
        return not self.STOCHASTIC

    def fit(self, hin: HIN, *, valid: pa.Table | None = None, rng: Rng = None) -> Self:
        """Learn from `hin`; gives the predictor itself. A fit that fails leaves it as it was.

        valid: held-out pairs ("src", "dst", external ids), only for choices such as when to stop.
        Raises TypeError for what is no graph, table of pairs or seed, and KeyError where the graph
        lacks the relation.
        """
        draws = self._ready("fit", hin, valid, rng)
        with self._all_or_nothing():
            self._forget()
            self._remember(hin)
            self._remember_valid(valid)
            self._fit(hin, valid, draws)
        return self

    def refit(self, hin: HIN, *, rng: Rng = None) -> Self:
        """Learn again from more data (train + valid) with the choices that `fit` made, such as
        epochs or weights.
        """
        self._check_fitted()
        draws = self._ready("refit", hin, None, rng)
        with self._all_or_nothing():
            self.__dict__.pop("_caches", None)
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

    def fold_in(self, histories: Any, attributes: Any = None) -> np.ndarray:
        """Scores of sources that were not there at fit time; see `FoldsIn`.

        Raises FoldInError, which says why this method needs a refit.
        """
        raise FoldInError(
            f"{type(self).__name__} cannot score a new source from its history alone: "
            f"{self.NO_FOLD_IN}; refit it on a graph that has the source",
            asked=type(self).__name__,
        )

    def fold_in_items(self, hin: HIN) -> Self:
        """A copy that also scores the new targets of `hin`; see `FoldsInItems`.

        Raises FoldInError, which says why this method needs a refit.
        """
        raise FoldInError(
            f"{type(self).__name__} cannot add new targets: {self.NO_FOLD_IN_ITEMS}; refit it on "
            "a graph that has them",
            asked=type(self).__name__,
        )

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
        """Keep ids and fingerprints of the graph: what may be scored, and what was learned from."""
        expect.graph(hin, type(self).__name__)  # an ensemble may come here without _ready
        hin.edges[self.relation]  # raises, naming what there is
        source, _, target = self.relation
        self.src_ids_, self.dst_ids_ = (
            hin.nodes[source]["id"].chunk(0),
            hin.nodes[target]["id"].chunk(0),
        )
        self.fitted_on_ = hin.fingerprint()
        self.pairs_fingerprint_ = pairs_fingerprint(hin, self.relation)

    def _remember_valid(self, valid: pa.Table | None) -> None:
        """Keep the ids of the sources whose held-out pairs `fit` was given; None for none.

        An ensemble learns its weights from other pairs: the model was trained to stop by these.
        """
        self.valid_src_ = None
        if valid is not None and valid.num_rows:
            ids = tb.one_chunk(valid["src"])
            self.valid_src_ = pc.unique(tb.id_strings(ids, "valid: src")[0])

    def _check_src(self, hin: HIN, src: Any) -> np.ndarray:
        expect.graph(hin, f"{type(self).__name__}.score")
        hin.edges[self.relation]
        return check_positions(src, hin.n(self.relation[0]), self.relation[0], "score")

    def _align(self, hin: HIN, type: str, fitted: pa.Array) -> np.ndarray | None:
        """For each node of `hin`, its position at fit time or -1; None when they are the same."""

        def moved() -> np.ndarray | None:
            ids = hin.nodes[type]["id"].chunk(0)
            return None if ids.equals(fitted) else tb.lookup(fitted, ids).astype(np.int64)

        return self._per_graph(hin, f"positions of {type}", moved)

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

    def _counted_links(self, hin: HIN, weight: str | None, part: str = "loss") -> sp.csr_array:
        """The links of `hin`, with generated ones where they count in this part: CSR [sources,
        targets]. part: "loss", what is learned from; "graph", what is read or sent along.
        """
        return interactions(hin, self.relation, weight, self.generated in ("both", part))

    def _history(
        self, hin: HIN, src: np.ndarray, weight: str | None = None, part: str = "graph"
    ) -> sp.csr_array:
        """What `hin` says of these sources, over the targets of the fitted graph: CSR [len(src),
        n_fitted]. part: as for `_counted_links`.
        """
        rows = self._counted_links(hin, weight, part)[src]
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


class FoldsIn(LinkPredictor):
    """A predictor that scores new sources without a refit. A subclass writes `_fold_in`."""

    def fold_in(self, histories: Any, attributes: Any = None) -> np.ndarray:
        """Scores of new sources over the fitted targets, float32 [k, len(dst_ids_)].

        Parameters
        ----------
        histories
            What the k sources are linked with: a CSR matrix [k, len(dst_ids_)] over the fitted
            targets, or a list of k lists of external target ids. Ids never seen are left out.
        attributes
            A table (or dict of columns) with k rows, for methods that read columns of the sources.

        NaN where the method cannot tell. Targets of the history are scored too. Raises
        NotFittedError before `fit`, and ParameterError for histories of another width, weights
        that are not finite, or another number of attributes.
        """
        self._check_fitted()
        history = self._as_history(histories)
        check_weights(history.data, f"{type(self).__name__}.fold_in: histories")
        table = None if attributes is None else tb.as_table(attributes, "attributes")
        if table is not None and table.num_rows != history.shape[0]:
            raise ParameterError(
                f"fold_in: {history.shape[0]:,} histories and {table.num_rows:,} rows of "
                "attributes; give each source a row",
                asked=table.num_rows,
                there=history.shape[0],
            )
        return np.asarray(self._fold_in(history, table), np.float32)

    def _as_history(self, histories: Any) -> sp.csr_array:
        """Histories as CSR float32 [k, fitted targets]; repeated ids count once."""
        n = len(self.dst_ids_)
        if sp.issparse(histories):
            if histories.shape[1] != n:
                raise ParameterError(
                    f"fold_in: histories have {histories.shape[1]:,} columns; one for each of the "
                    f"{n:,} fitted targets is needed, or pass lists of external ids",
                    asked=histories.shape,
                    there=n,
                )
            return sp.csr_array(histories, dtype=np.float32)
        rows = [tb.as_array(list(row), "fold_in: histories") for row in histories]
        ids = [tb.id_strings(row, "fold_in: histories")[0] for row in rows if len(row)]
        row = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
        column = tb.lookup(self.dst_ids_, pa.concat_arrays(ids)) if ids else np.zeros(0, np.int64)
        known = column >= 0
        shape = (len(rows), n)
        history = sp.csr_array(
            (np.ones(known.sum(), np.float32), (row[known], column[known])), shape=shape
        )
        history.data[:] = 1
        return history

    def _fold_in(self, history: sp.csr_array, attributes: pa.Table | None) -> np.ndarray:
        raise NotImplementedError(
            f"{type(self).__name__} has no _fold_in(self, history, attributes)"
        )


class FoldsInItems(LinkPredictor):
    """A predictor that takes in new targets without a refit. A subclass writes `_fold_in_items`."""

    def fold_in_items(self, hin: HIN) -> Self:
        """A copy that also scores the targets of `hin` that were not there at fit time.

        hin: a graph with the new targets and the links of fitted sources with them. The fitted
            targets keep their links: what else is new in the graph counts only at the next refit.
        """
        self._check_fitted()
        expect.graph(hin, f"{type(self).__name__}.fold_in_items")
        hin.edges[self.relation]
        new = np.flatnonzero(
            tb.lookup(self.dst_ids_, hin.nodes[self.relation[2]]["id"].chunk(0)) < 0
        )
        grown = copy.copy(self)
        if len(new):
            grown._fold_in_items(hin, new)
            grown.dst_ids_ = pa.concat_arrays(
                [self.dst_ids_, hin.nodes[self.relation[2]]["id"].chunk(0).take(pa.array(new))]
            )
            grown.__dict__.pop("_caches", None)  # positions among the targets before
        return grown

    def _fold_in_items(self, hin: HIN, new: np.ndarray) -> None:
        """Learn the targets at positions `new` of `hin`; their parameters come after the others.

        `self` is a shallow copy: replace arrays, do not write into them.
        """
        raise NotImplementedError(f"{type(self).__name__} has no _fold_in_items(self, hin, new)")

    def _fitted_links(
        self, hin: HIN, new: np.ndarray, weight: str | None = None
    ) -> tuple[sp.csr_array, sp.csr_array]:
        """What `hin` says of the fitted sources, in the order of the fit: their links with the
        fitted targets, CSR [n_sources, n_fitted], and with the targets at `new`, [n_sources, k].
        """
        at = self._positions_of_fitted(hin)
        row = np.flatnonzero(at >= 0)  # the others are not in this graph: no links
        ones = np.ones(len(row), np.float32)
        pick = sp.csr_array((ones, (row, np.arange(len(row)))), shape=(len(at), len(row)))
        history = self._history(hin, at[row], weight, "loss")
        links = self._counted_links(hin, weight)[at[row]][:, new]
        return (pick @ history).tocsr(), (pick @ links).tocsr()

    def _positions_of_fitted(self, hin: HIN) -> np.ndarray:
        """The position in `hin` of each fitted source, int64; -1 for one that it does not have."""
        ids = hin.nodes[self.relation[0]]["id"].chunk(0)
        return tb.lookup(ids, self.src_ids_).astype(np.int64)


def check_positive(links: sp.csr_array, who: str) -> None:
    """ParameterError where a weight is below 0, or where links have weights and all are 0."""
    lowest = float(links.data.min(initial=0))
    if lowest < 0 or (links.nnz and not links.data.any()):
        raise ParameterError(
            f"{who}: weights are at least 0, and some are above; the lowest is {lowest:g}: clip "
            "them, or leave out what is disliked",
            asked=lowest,
            there=0,
        )


@runtime_checkable
class HasVectors(Protocol):
    """A fitted predictor whose score is the product of a source's and a target's vector."""

    def vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of the fitted sources [n, d] and targets [m, d], float32; 0 for one unknown."""


def scorer(value: Any, who: str) -> None:
    """TypeError unless `value` is a link predictor."""
    if not isinstance(value, LinkPredictor):
        raise KindError(
            f"{who} takes a fitted link predictor first, such as EASE(relation).fit(split.train); "
            f"got {checks.kind(value)}"
        )
