"""ReservedPlaces: new items in the list of a model that does not know them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from hinaug.ensembles.base import Ensemble
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import linked_targets
from hinaug.predictors.base import LinkPredictor
from hinaug.progress import track
from hinaug.training.ranking import tie_order


@dataclass(eq=False)
class ReservedPlaces(Ensemble):
    """One list from two members: `places` of its `length` places are kept for new targets.

    A target is *new* where the observed graph has no link of it, else warm. With w the number of
    warm targets that `plain` ranks for a source, and p = min(places, new targets that `augmented`
    ranks), the list is

        the best min(w, length - p) warm targets, by plain
        the best p new targets, by augmented
        the other warm targets, by plain, and then the other new ones, by augmented

        score(u, i) = 1 / (the place of i in that list)

    So the reserved places are the last p of the first `length`; what stands before them is the
    list of `plain` as it is. Nothing is tuned, and no scores of two models are compared: merges of
    scores lose more warm accuracy for the same accuracy on new items.

    Parameters
    ----------
    predictors
        [plain, augmented]. `fit` gives plain the observed graph and augmented the graph with its
        deltas, such as edges that `RelationGenerator(..., targets=)` proposes for new targets. A
        predictor that reads features, such as `KernelRidge`, may stand for augmented as it is.
        With `fit_with`, plain is one that was fitted on `hin.observed()`.
    places
        How many places new targets get: 2 of 20 unless said.
    length
        The length of the lists that are shown: the `k` of `recommend`, the cut-off of `evaluate`.
        A shorter list holds fewer of the reserved places, or none.

    What a source is linked with in the observed graph has no place: NaN, and so has what neither
    member can score. A source for whom plain can score nothing gets new targets alone, so let an
    ensemble with `Popularity` be plain where such sources are served.

    Raises ParameterError unless there are two members, and 0 <= places <= length. Time O(targets
    log targets) a source beside the members' own.

    Example
    -------
    >>> from hinaug.graph.delta import Delta
    >>> from hinaug.graph.hin import HIN
    >>> from hinaug.predictors import ItemKNN
    >>> rates = ("user", "rates", "item")
    >>> nodes = {"user": {"id": ["a", "b"]}, "item": {"id": ["p", "q", "r", "new"]}}
    >>> hin = HIN.from_tables(nodes, {rates: {"src": list("abbb"), "dst": list("ppqr")}})
    >>> delta = Delta(edges={rates: {"src": ["b"], "dst": ["new"], "confidence": [0.3]}})
    >>> model = ReservedPlaces([ItemKNN(rates), ItemKNN(rates)], places=1, length=2)
    >>> model.fit(hin + delta).score(hin + delta, [0]).astype(float).round(2).tolist()
    [[nan, 1.0, 0.33, 0.5]]
    """

    STOCHASTIC = False
    supervised: ClassVar[bool] = False
    places: int = 2
    length: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.predictors) != 2:
            raise ParameterError(
                f"ReservedPlaces takes two members, [plain, augmented]; got {len(self.predictors)}",
                asked=len(self.predictors),
                there=2,
            )

    def _learn(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        if not 0 <= self.places <= self.length:
            raise ParameterError(
                f"ReservedPlaces: places={self.places} of length={self.length}; at least 0, and at "
                "most all",
                asked=self.places,
                there=self.length,
            )

    def _remember(self, hin: HIN) -> None:
        super()._remember(hin)
        self.graphs_ = (hin.observed().fingerprint(), self.fitted_on_)

    def _taken(self, members: Sequence[LinkPredictor]) -> list[LinkPredictor]:
        for name, member, graph in zip(("plain", "augmented"), members, self.graphs_, strict=True):
            member._check_fitted()
            if member.fitted_on_ != graph:
                raise ParameterError(
                    f"ReservedPlaces: {name}, {member!r}, was fitted on another graph; fit plain "
                    "on hin.observed(), and augmented on hin",
                    asked=member.fitted_on_,
                    there=graph,
                )
        return list(members)

    def _fit_members(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        members = [p.clone() for p in self.predictors]
        for member, graph, child in self._with_graphs(members, hin, rng):
            member.fit(graph, valid=valid, rng=child)
        self.predictors_ = members

    def _refit(self, hin: HIN, rng: np.random.Generator) -> None:
        members = [copy.copy(m) for m in self.predictors_]
        for member, graph, child in self._with_graphs(members, hin, rng):
            member.refit(graph, rng=child)
        self.predictors_ = members

    def _with_graphs(
        self, members: list[LinkPredictor], hin: HIN, rng: np.random.Generator
    ) -> Iterator[tuple[LinkPredictor, HIN, np.random.Generator]]:
        """Each member with the graph that it is fitted on, and with a generator."""
        steps = zip(members, (hin.observed(), hin), rng.spawn(2), strict=True)
        return track(steps, "ReservedPlaces: members", 2)

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        observed, target = hin.observed(), self.relation[2]
        is_new = ~linked_targets(observed.adjacency(self.relation))
        ties, n = tie_order(observed, target), observed.n(target)
        out = np.full((len(src), hin.n(target)), np.nan, np.float32)
        for rows in self._blocks(hin, len(src)):
            pool = self._pool(hin, src[rows])[:, :n]
            warm, n_warm = _ranks(self._plain(observed, src[rows]), pool & ~is_new, ties)
            scores = self.predictors_[1].score(hin, src[rows])[:, :n]
            new, n_new = _ranks(scores, pool & is_new, ties)
            reserved = np.minimum(self.places, n_new)
            before = np.minimum(n_warm, self.length - reserved)
            of_warm = np.where(warm <= before, warm, warm + reserved)
            of_new = np.where(new <= reserved, before, n_warm) + new
            has_place = np.where(is_new, new, warm) > 0
            place = np.where(is_new, of_new, of_warm)
            out[rows, :n] = np.where(has_place, 1 / np.maximum(place, 1), np.nan)
        return out

    def _plain(self, observed: HIN, src: np.ndarray) -> np.ndarray:
        """What plain says of observed sources; NaN for generated ones."""
        out = np.full((len(src), observed.n(self.relation[2])), np.nan, np.float32)
        known = np.flatnonzero(src < observed.n(self.relation[0]))
        out[known] = self.predictors_[0].score(observed, src[known])
        return out


def _ranks(
    scores: np.ndarray, among: np.ndarray, ties: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The rank from 1 of each item [rows, n] among those that are `among` and have a score, 0 for
    the others, and how many there are [rows, 1]. ties: the place of each among its equals [n].
    """
    told = among & ~np.isnan(scores)
    by_tie = np.argsort(ties)
    order = by_tie[np.argsort(np.where(told, -scores, np.nan)[:, by_tie], axis=1, kind="stable")]
    rank = np.empty(scores.shape, np.int64)
    np.put_along_axis(rank, order, np.arange(1, scores.shape[1] + 1)[None, :], axis=1)
    return np.where(told, rank, 0), told.sum(axis=1, keepdims=True)
