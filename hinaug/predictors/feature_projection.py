"""FeatureProjection: which features make a history, learned as a projection of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
import torch

from hinaug.checks import COUNT, DROPOUT, INSIDE, NOT_NEGATIVE, POSITIVE, Limits, Space
from hinaug.errors import FoldInError, ParameterError
from hinaug.features.axes import PrincipalAxes, Source
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions, linked_targets
from hinaug.nn import ProjectionNetwork
from hinaug.predictors.base import FoldsIn, FoldsInItems, check_positive
from hinaug.training import ranking
from hinaug.training.loop import train

ENDS = ("target", "source")
K = 20  # cut-off of the ranking by which training stops
JUDGED = 2048  # rows that are ranked to stop by, at most
SMALL = 10**9  # numbers of a batch times dim below which a second thread costs more


@dataclass(eq=False)
class FeatureProjection(FoldsIn, FoldsInItems):
    """Scores a target by the cosine of its projected features with those of a history.

    With x_i the features of target i and W a square matrix that starts as the identity,

        profile(u) = sum of x_i W over i in history(u)
        score(u, j) = cosine(profile(u), x_j W).

    W minimises the InfoNCE loss of the fitted links: a target against all fitted targets that the
    source has not, by a history without it, at temperature tau (van den Oord et al.,
    "Representation Learning with Contrastive Predictive Coding", arXiv 1807.03748). Nothing is
    learned of a single source or target, so targets without links are scored like any other.
    What is fitted starts at `NearestNeighbors` and ends there where nothing is to be learned.

    Parameters
    ----------
    relation
        The edge type whose links are scored.
    features
        What describes a node: one source of `PrincipalAxes` or a list, such as ["x", "year",
        ("genre",), (("tagging", "tag"),)]: vectors, numbers, categories, lists, neighbours and what
        lies at the end of a metapath.
    end
        "target", as above; or "source": sources are described, and profile(i) is the sum of x_u W
        over the sources u that have target i. That scores sources without links, such as new users
        with attributes.
    dim
        Principal axes kept of each source of features. Vectors of a language model lose little
        by 128; all of them cost more time.
    temperature, dropout
        tau, and the share of the features that are hidden in each step.
    holdout
        The share of the described nodes with links whose links are held out of the training, to
        stop by: training ends when `patience` epochs in a row rank them no better (NDCG@20 among
        themselves). The best epoch counts, also the one before the first. `valid` is not looked at.
    epochs, batch_size, lr, weight_decay
        Of AdamW, in batches of links.
    weight
        A numeric edge column as the weights of the links, at least 0; "confidence" weighs generated
        edges by what they say.
    device
        Where to train; None takes a GPU when there is one.

    Learned: `axes_`, the fitted `PrincipalAxes`; `weights_` [d, d], W; `targets_` [targets, d], the
    projected features of the fitted targets, or with end="source" their profiles; `epochs_` and
    `curve_`, the measure before training and after each epoch.

    Features and history are read from the graph that is scored on. NaN for a node without features
    and one without history. `refit` trains on all links for `epochs_` epochs.

    Raises ParameterError for parameters out of range, for negative weights and where there are no
    links. An epoch takes O(links x targets x d) operations; memory O(batch_size x targets).

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> hin = planted(n_users=60, n_items=40, rng=0)
    >>> model = FeatureProjection(("user", "rates", "item"), "x", epochs=3).fit(hin, rng=0)
    >>> model.score(hin, [0, 1]).shape
    (2, 40)
    >>> model.fold_in([["i0", "i5"]]).shape
    (1, 40)
    """

    LIMITS: ClassVar[Limits] = {
        "end": ENDS,
        "dim": COUNT,
        "epochs": COUNT,
        "batch_size": COUNT,
        "patience": COUNT,
        "dropout": DROPOUT,
        "holdout": INSIDE,
        "temperature": POSITIVE,
        "lr": POSITIVE,
        "weight_decay": NOT_NEGATIVE,
    }
    SPACE: ClassVar[Space] = {
        "lr": (1e-4, 1e-2, "log"),
        "temperature": (0.03, 0.3, "log"),
        "dropout": (0.0, 0.5),
    }
    features: Source | Sequence[Source] = "x"
    end: str = "target"
    dim: int = 128
    temperature: float = 0.1
    dropout: float = 0.2
    holdout: float = 0.1
    epochs: int = 50
    batch_size: int = 1024
    lr: float = 1e-3
    weight_decay: float = 0.01
    patience: int = 4
    weight: str | None = None
    device: str | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        self._train(hin, rng, self.epochs, self.holdout)

    def _refit(self, hin: HIN, rng: np.random.Generator) -> None:
        self._train(hin, rng, self.epochs_, 0.0)

    # ---- training --------------------------------------------------------------------------------

    def _train(self, hin: HIN, rng: np.random.Generator, epochs: int, holdout: float) -> None:
        links = interactions(hin, self.relation, self.weight).copy()
        check_positive(links, type(self).__name__)
        links.eliminate_zeros()  # a link of weight 0 does not count
        if not links.nnz:
            raise ParameterError(
                f"FeatureProjection: there are no {self.relation} links to learn from"
            )
        described = self.relation[2 if self.end == "target" else 0]
        self.axes_ = PrincipalAxes(described, self.features, self.dim)
        features = self.axes_.fit_transform(hin)
        histories = links if self.end == "target" else links.T.tocsr()
        taught = rng.permutation(np.flatnonzero(linked_targets(histories) & features.any(axis=1)))
        n_hidden = round(holdout * len(taught))
        hidden, taught = np.sort(taught[:n_hidden]), np.sort(taught[n_hidden:])
        random = torch.Generator().manual_seed(int(rng.integers(2**62)))
        network = ProjectionNetwork(features.shape[1], self.temperature, self.dropout)
        adam = torch.optim.AdamW(network.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        pairs = _Pairs(histories[:, taught])
        rows = torch.from_numpy(features[taught])

        def step(batch: np.ndarray) -> torch.Tensor:
            device = network.weight.device
            nodes, weight = (
                torch.from_numpy(a[batch]).to(device) for a in (pairs.node, pairs.weight)
            )
            adam.zero_grad()
            loss = network.loss(rows.to(device), pairs.rest(batch), nodes, weight, random)
            loss.backward()
            adam.step()
            return loss.detach() * len(batch)

        def epoch(number: int) -> dict[str, torch.Tensor | float]:
            order = rng.permutation(len(pairs.node))
            batches = [
                order[at : at + self.batch_size] for at in range(0, len(order), self.batch_size)
            ]
            total = sum(step(batch) for batch in batches)
            return {"loss": total / max(1, len(order))}

        measure = self._measure(histories, features, taught, hidden, rng) if len(hidden) else None
        before = None if measure is None else measure(np.eye(features.shape[1], dtype=np.float32))
        trained = train(
            self,
            network,
            epoch,
            epochs=epochs,
            optimizers=[adam],
            generators=[rng, random],
            measure=None if measure is None else lambda: measure(_array(network)),
            patience=self.patience,
            identity=[hashlib.sha256(hidden.tobytes()).hexdigest()],
            threads=1 if self.batch_size * len(taught) * self.dim < SMALL else None,
            device=self.device,
        )
        self.epochs_, self.weights_ = trained.epochs, _array(network)
        self.curve_ = trained.curve if before is None else [before, *trained.curve]
        if before is not None and before >= max(trained.curve):
            self.epochs_, self.weights_ = 0, np.eye(features.shape[1], dtype=np.float32)
        projected = features @ self.weights_
        self.targets_ = projected if self.end == "target" else links.T @ projected

    def _measure(
        self,
        histories: sp.csr_array,
        features: np.ndarray,
        taught: np.ndarray,
        hidden: np.ndarray,
        rng: np.random.Generator,
    ) -> Callable[[np.ndarray], float]:
        """A function of W: NDCG@20 of the held-out nodes among themselves, or, where they are
        sources, of the targets that they have.
        """
        shown, held = histories[:, taught], histories[:, hidden]
        if self.end == "target":
            able = np.flatnonzero((np.diff(held.indptr) > 0) & (np.diff(shown.indptr) > 0))
            able = np.sort(rng.permutation(able)[:JUDGED])
            shown, held = shown[able], held[able]
        else:
            judged = rng.permutation(len(hidden))[:JUDGED]
            hidden, held = hidden[judged], held[:, judged]
        of_taught, of_hidden = features[taught], features[hidden]

        def value(weights: np.ndarray) -> float:
            scores = _cosines(shown @ (of_taught @ weights), of_hidden @ weights)
            scores, relevant = (
                (scores, held) if self.end == "target" else (scores.T, held.T.tocsr())
            )
            ranked, _ = ranking.top_k(scores, K)
            return float(np.mean(ranking.ndcg(ranked, relevant, K))) if len(scores) else 0.0

        return value

    # ---- scoring ---------------------------------------------------------------------------------

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        projected = self._per_graph(
            hin, "projected", lambda: self.axes_.transform(hin) @ self.weights_
        )
        links = interactions(hin, self.relation, self.weight)
        if self.end == "target":
            return _cosines(links[src] @ projected, projected)
        profiles = self._per_graph(hin, "profiles", lambda: links.T @ projected)
        return _cosines(projected[src], profiles)

    def _fold_in(self, history: sp.csr_array, attributes: pa.Table | None) -> np.ndarray:
        if self.end == "target":
            return _cosines(history @ self.targets_, self.targets_)
        if attributes is None:
            raise FoldInError(
                "FeatureProjection with end='source' scores sources by their attributes; pass "
                "attributes= with a row for each",
                asked=self.end,
            )
        return _cosines(self.axes_.transform_table(attributes) @ self.weights_, self.targets_)

    def _fold_in_items(self, hin: HIN, new: np.ndarray) -> None:
        """Their projected features, or the sums of those of the sources that have them."""
        projected = self.axes_.transform(hin) @ self.weights_
        if self.end == "source":
            projected = interactions(hin, self.relation, self.weight).T @ projected
        self.targets_ = np.concatenate([self.targets_, projected[new]])


class _Pairs:
    """Links of rows that have at least two of them, and for each the rest of its row.

    node, weight [pairs]: the column of each link, and its value.
    """

    def __init__(self, links: sp.csr_array) -> None:
        self.links = links
        counts = np.diff(links.indptr)
        self.entry = np.flatnonzero(np.repeat(counts, counts) > 1)
        self.row = np.repeat(np.arange(len(counts)), counts)[self.entry]
        self.node = links.indices[self.entry].astype(np.int64)
        self.weight = links.data[self.entry]

    def rest(self, batch: np.ndarray) -> sp.csr_array:
        """The rows of these pairs without their own link, CSR [len(batch), nodes]."""
        rows = self.links[self.row[batch]]
        own = rows.indptr[:-1] + self.entry[batch] - self.links.indptr[self.row[batch]]
        rows.data[own] = 0
        rows.eliminate_zeros()
        return rows


def _array(network: ProjectionNetwork) -> np.ndarray:
    return network.weight.detach().cpu().numpy().copy()


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[n, m]; NaN where a row has no direction."""
    return _unit(a) @ _unit(b).T


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1; a row without direction becomes NaN."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.full(rows.shape, np.nan, np.float32), where=length > 1e-6)
