"""New sources and targets of an embedding model without a refit: each gets its own row by Newton's
method, the rest fixed.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug import checks
from hinaug.checks import Rng
from hinaug.errors import FoldInError, ParameterError
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions
from hinaug.nn import Embeddings
from hinaug.predictors.base import FoldsIn, FoldsInItems
from hinaug.predictors.embedding import EmbeddingPredictor
from hinaug.predictors.newton import (
    BPRItemLoss,
    BPRUserLoss,
    ItemLoss,
    SoftmaxItemLoss,
    SoftmaxUserLoss,
    UserLoss,
)
from hinaug.training.objectives import rows_alike
from hinaug.training.validation import Validation


@dataclass(eq=False)
class FoldedEmbeddings(FoldsIn, FoldsInItems, EmbeddingPredictor):
    """An `EmbeddingPredictor` that gives new sources and targets their own rows without a refit.

    The final vector of a node is z = a e + b: e its own embedding with weight a, b what its
    neighbours send over all layers. A new node has b from its links, and e minimises its part of
    the training loss plus the prior, everything else fixed: a convex problem, solved by Newton's
    method. For "bpr" the loss is its mean over the negatives.

    fold_in_l2: takes the place of l2 for new targets; None takes l2. New targets compete with all
        others in one list, and with the l2 of the model their rows come out too short: on
        MovieLens 1M they lost 27 % in that list. Choose it with `choose_fold_in_l2`.

    Learned beside what `EmbeddingPredictor` learns: `fold_in_`, arrays by name, no links: what
    sources and targets send to a new neighbour, and the sum of the weights of each source's links.
    """

    fold_in_l2: float | None = None

    def _keep(self, network: Embeddings, links: sp.csr_array) -> None:
        totals = np.asarray(links.sum(axis=1), np.float64).ravel()
        self.fold_in_ = {"own_weight": np.array(network.own_weight), "source_totals": totals}
        sent = network.messages()
        if sent is not None and self._obstacle() is None:
            names = ("source_messages", "target_messages")
            self.fold_in_ |= {
                n: self._whole(t.detach().numpy()) for n, t in zip(names, sent, strict=True)
            }

    def _obstacle(self) -> str | None:
        """Why neither a source nor a target can be folded in, or None."""
        if self.cosine:
            return "with cosine=True the loss is not convex in a row"
        if self.generated != "both":
            return "the graph and the loss count other links"
        if self.power:
            return "with power above 0 the loss depends on how popular each target is"
        return None

    def _degree_power(self) -> float:
        """What neighbours send is multiplied by the degree of the receiver to this power."""
        return -0.5

    def _check_can_fold(self, obstacle: str | None) -> None:
        if obstacle is not None:
            raise FoldInError(
                f"{type(self).__name__} cannot take in a new node: {obstacle}; refit it on a graph "
                "that has the node",
                asked=type(self).__name__,
            )

    def _offset(self, links: sp.csr_array, sent: np.ndarray | None) -> np.ndarray:
        """What neighbours send to new nodes [k, d]: b in z = a e + b."""
        total = np.asarray(links.sum(axis=1), np.float64).ravel()
        if sent is None:
            return np.zeros((len(total), self.embedding_dim))
        scale = np.power(total, self._degree_power(), out=np.zeros_like(total), where=total > 0)
        return scale[:, None] * (links @ sent.astype(np.float64))

    def _row_l2(self, l2: float, weight: np.ndarray) -> np.ndarray:
        """The prior on rows, against a loss that is summed over links.

        weight [k]: how often the loss draws each row, for prior="draws".
        """
        if self.prior == "draws":
            return l2 * weight
        totals = self.fold_in_["source_totals"]
        return np.full(len(weight), l2 * self._total() / totals.sum())

    def _total(self) -> float:
        """The sum of the weights of all links at fit time, as the loss counts them."""
        totals = self.fold_in_["source_totals"]
        return float((totals > 0).sum() if self.mean_over == "sources" else totals.sum())

    # ---- sources ---------------------------------------------------------------------------------

    def _fold_in(self, history: sp.csr_array, attributes: pa.Table | None) -> np.ndarray:
        self._check_can_fold(self._obstacle())
        history = sp.csr_array(history, dtype=np.float64)
        counted = rows_alike(history) if self.mean_over == "sources" else history
        items = self.items_.astype(np.float64)
        loss, scale = self._user_loss()
        vectors = loss(
            counted,
            items / scale,
            float(self.fold_in_["own_weight"]),
            self._offset(history, self.fold_in_.get("target_messages")),
            self._row_l2(self._setting("l2"), np.asarray(counted.sum(axis=1)).ravel()),
        ).solve()
        scores = (vectors @ items.T).astype(np.float32)
        scores[np.diff(history.indptr) == 0] = np.nan
        scores[:, ~self.known_dst_] = np.nan
        return scores

    def _user_loss(self) -> tuple[type[UserLoss], float]:
        """The loss of a row of a source, and the temperature."""
        if self.loss == "bpr":
            return BPRUserLoss, 1.0
        return SoftmaxUserLoss, self.temperature or 1.0

    # ---- targets ---------------------------------------------------------------------------------

    def _fold_in_items(self, hin: HIN, new: np.ndarray) -> None:
        self._check_can_fold(self._item_obstacle())
        at = tb.lookup(hin.nodes[self.relation[0]]["id"].chunk(0), self.src_ids_)
        sources = np.flatnonzero((at >= 0) & self.known_src_)
        at = at[sources].astype(np.int64)
        rows = interactions(hin, self.relation, self.weight)[at]
        links = sp.csr_array(rows[:, new].T, dtype=np.float64)
        totals = self.fold_in_["source_totals"][sources]
        n_links = np.diff(links.indptr)
        vectors = self._item_loss(hin, at, links, sources, totals).solve()
        self.items_ = np.concatenate([self.items_, vectors.astype(np.float32)])
        self.known_dst_ = np.concatenate([self.known_dst_, n_links > 0])
        sent = self.fold_in_.get("target_messages")
        if sent is not None:  # what a new target sends is known only after a refit
            nothing = np.zeros((len(new), sent.shape[1]), sent.dtype)
            self.fold_in_ = self.fold_in_ | {"target_messages": np.concatenate([sent, nothing])}

    def _item_obstacle(self) -> str | None:
        """Why a target cannot be folded in, or None."""
        return self._obstacle()

    def _item_loss(
        self,
        hin: HIN,
        at: np.ndarray,
        links: sp.csr_array,
        sources: np.ndarray,
        totals: np.ndarray,
    ) -> ItemLoss:
        """The loss of the rows of new targets.

        at [n]: positions in `hin` of the fitted sources at positions `sources`. links: CSR [k, n].
        totals [n]: the weights of the links of each source at fit time.
        """
        is_shared = self.mean_over == "sources"
        messages = self.fold_in_.get("source_messages")
        offset = self._offset(links, None if messages is None else messages[sources])
        users, items = self.users_[sources].astype(np.float64), self.items_.astype(np.float64)
        own_weight = float(self.fold_in_["own_weight"])
        counted = links
        if is_shared:
            counted = links.copy()
            counted.data = links.data / (links.data + totals[links.indices])
        weight = np.asarray(counted.sum(axis=1)).ravel() + self._total() / len(items)
        l2 = self._row_l2(
            self._setting("l2") if self.fold_in_l2 is None else self.fold_in_l2, weight
        )
        if self.loss == "bpr":
            history = sp.csr_array(self._history(hin, at, self.weight), dtype=np.float64)
            history = rows_alike(history) if is_shared else history
            return BPRItemLoss(counted, users, items, own_weight, offset, l2, history)
        users = users / (self.temperature or 1.0)
        return SoftmaxItemLoss(links, users, items, own_weight, offset, l2, totals, is_shared)


def choose_fold_in_l2(
    model: FoldedEmbeddings,
    hin: HIN,
    valid: pa.Table,
    values: Sequence[float],
    *,
    share: float = 0.1,
    rng: Rng = None,
) -> float:
    """The value of `fold_in_l2` that ranks folded targets best among all others.

    A share of the targets is hidden, a copy of the model is fitted on the rest, and the hidden ones
    are folded in again with each value. The value with the best NDCG@20 of `valid` over all targets
    wins; the first of equals.

    Parameters
    ----------
    model
        Its hyperparameters count, not what it learned.
    hin, valid
        The graph to train on and held-out pairs ("src", "dst", external ids), as for `fit`.
    values
        Such as [0.03, 0.1, 0.3, 1.0].
    share
        Of the targets that are hidden.
    rng
        Seeds what is hidden and the fit.

    Raises ParameterError where no value is given or nothing would be hidden.
    """
    draws = checks.generator(rng, "choose_fold_in_l2")
    n = hin.n_observed(model.relation[2])
    hidden = draws.permutation(n)[: round(share * n)]
    if not len(values) or not 0 < len(hidden) < n:
        raise ParameterError(
            f"choose_fold_in_l2: values={values!r}, share={share!r}; give at least one value, and "
            f"a share of the {n:,} targets that leaves some on both sides",
            asked=(values, share),
        )
    keep = np.ones(n, bool)
    keep[hidden] = False
    fitted = model.clone().fit(hin.filter_nodes(model.relation[2], keep), rng=draws)
    measure = Validation(hin, model.relation, valid)

    def value_of(l2: float) -> float:
        trial = copy.copy(fitted)
        trial.fold_in_l2 = l2
        grown = trial.fold_in_items(hin)
        return measure(lambda src: grown.score(hin, src))

    return max(values, key=value_of)
