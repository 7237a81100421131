"""MetapathSimilarity: who is alike along metapaths, and how much each path says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from scipy.optimize import nnls

from hinaug.checks import COUNT, INSIDE, Limits, Space
from hinaug.errors import ParameterError
from hinaug.features.similarity import most_similar
from hinaug.graph.evidence import without_pairs
from hinaug.graph.hin import HIN
from hinaug.graph.matrices import path_steps, product
from hinaug.graph.pairs import PairIndex, held_out, interactions, linked_targets
from hinaug.graph.schema import EdgeType
from hinaug.predictors.base import FoldsInItems
from hinaug.training.ranking import tie_order
from hinaug.training.validation import seen, unlinked

Half = tuple[tuple[EdgeType, bool], ...]  # (edge type, whether it is walked forward), step by step
BLOCK = 256  # sources whose scores along all paths are held at once
LEARNED_FROM = 2048  # sources at most; more would not make a few weights any surer
MEMORY = 2**28  # bytes of the counts along half of a path, at most, where no path is named


@dataclass(eq=False)
class MetapathSimilarity(FoldsInItems):
    """Scores a pair by the similarity of its ends, along metapaths, to others that are linked.

    S_p is the PathSim of two nodes of one type along a symmetric metapath p, such as movie - genre
    - movie: twice the paths between them over the paths from each back to itself (Sun et al.,
    "PathSim: Meta Path-Based Top-K Similarity Search in Heterogeneous Information Networks", VLDB
    2011), where only the k nearest linked nodes of each node count. With x the links and n_u those
    of u,

        score(u, j) = sum_p a_p sum_i x_ui S_p(j, i) / n_u          paths from the targets
                    + sum_p b_p sum_v S_p(u, v) x_vj / sum_v S_p(u, v)        from the sources
                    + sum_p c_p S_p(u, j)           where both ends are nodes of one type

    The weights a, b, c >= 0 are least squares of held-out links against the other pairs of their
    sources, each source centred.

    Parameters
    ----------
    relation
        The edge type whose links are scored, between any two types or within one.
    paths
        Symmetric metapaths from a type of either end back to it, as `HIN.metapath` takes them:
        ("movie", "genre", "movie"), or edge types in a row. None takes all whose half has at most
        `max_steps` edges and does not turn back at once; those whose counts would take more than
        256 MB are left out.
    max_steps
        Edges of half a path where paths=None: with 2, movie - tagging - tag and back.
    k
        Nearest nodes that count.
    holdout
        Where `fit` gets no `valid`: the share of the linked targets that lose all their links, from
        which the weights are learned. They rank these alone, as new targets. With `valid`, its
        pairs are learned from: new targets among themselves where they are all without links, else
        among all that a source has not.
    evidence
        Node types that witness a link, such as ("review",). They leave with the links of `holdout`.
    weight
        A numeric edge column as the values of x; "confidence" weighs generated edges by what they
        say.

    Learned: `from_targets_` and `from_sources_`, halves of the paths as steps (edge type, whether
    it is walked forward); `weights_`, one for each path from the targets, then from the sources,
    then, where the ends are of one type, within.
    No link is kept: paths and links are read from the graph that is scored on, so a node that did
    not exist at fit time is scored like any other. `refit` keeps the weights. NaN where no path
    leads to a linked node.

    Raises ParameterError for paths that are not symmetric or lead elsewhere. Time O(sum over common
    neighbours along each half path); memory O(k x nodes) a path.

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> hin, rates = planted(n_users=60, n_items=40, tags=True, rng=0), ("user", "rates", "item")
    >>> model = MetapathSimilarity(rates, evidence=["review"]).fit(hin, rng=0)
    >>> model.score(hin, [0, 1]).shape
    (2, 40)
    >>> print(model.summary().splitlines()[0])
    1.00  targets  item - tag and back
    """

    NO_FOLD_IN: ClassVar[str] = (
        "it keeps no link and reads paths from the graph that is scored on, so `score` on a graph "
        "with the new source is enough"
    )

    LIMITS: ClassVar[Limits] = {"max_steps": COUNT, "k": COUNT, "holdout": INSIDE}
    SPACE: ClassVar[Space] = {"max_steps": [2, 3, 4], "k": (10, 200, "log")}
    paths: Sequence[Sequence[Any]] | None = None
    max_steps: int = 2
    k: int = 50
    holdout: float = 0.1
    evidence: Sequence[str] = ()
    weight: str | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        source, _, target = self.relation
        self.from_targets_, self.from_sources_ = (
            self._halves(hin, target),
            self._halves(hin, source),
        )
        within = self.from_targets_ if source == target else []
        n_paths = len(self.from_targets_) + len(self.from_sources_) + len(within)
        self.weights_ = np.full(n_paths, 1 / max(1, n_paths))
        learned = self._learned(*self._example(hin, valid, rng)) if n_paths else self.weights_
        if learned.any():
            self.weights_ = learned / learned.sum()
        self.__dict__.pop("_caches", None)  # it has the paths that got no weight

    def _refit(self, hin: HIN, rng: np.random.Generator) -> None:
        """The paths and their weights stay."""

    # ---- paths -----------------------------------------------------------------------------------

    def _halves(self, hin: HIN, node: str) -> list[Half]:
        """Halves of the metapaths from nodes of a type back to it."""
        if self.paths is None:
            return [half for half in _walks(hin, node, self.max_steps) if _fits(hin, half)]
        halves = [_half(hin, path) for path in self.paths]
        starts = [_ends(half)[0] for half in halves]
        for path, start in zip(self.paths, starts, strict=True):
            if start not in (self.relation[0], self.relation[2]):
                raise ParameterError(
                    f"MetapathSimilarity: {tuple(path)} starts at {start!r}; paths of "
                    f"{self.relation} start at {self.relation[0]!r} or {self.relation[2]!r}",
                    asked=start,
                    there=(self.relation[0], self.relation[2]),
                )
        return [half for half, start in zip(halves, starts, strict=True) if start == node]

    def _similar(self, hin: HIN, half: Half, linked: np.ndarray) -> sp.csr_array:
        """PathSim of each node with its k nearest linked others, CSR [n, n]; of equal ones, those
        that come first by a hash of their ids.
        """
        counts = product([_step(hin, *step) for step in half])
        order = np.argsort(tie_order(hin, _ends(half)[0]))
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        others = sp.diags_array(linked[order].astype(np.float32)).tocsr() @ counts[order]
        near = most_similar(counts, others.tocsr(), self.k, own=place, pathsim=True)
        return near[:, place]

    def _graph(self, hin: HIN) -> tuple[sp.csr_array, list[sp.csr_array | None]]:
        """The links, and the similarities of the paths in the order of their weights; None where
        the weight is 0.
        """
        links = interactions(hin, self.relation, self.weight)
        source, _, target = self.relation
        linked = linked_targets(links), linked_targets(links.T.tocsr())
        paths = [(half, linked[0]) for half in self.from_targets_]
        paths += [(half, linked[1]) for half in self.from_sources_]
        if source == target:
            paths += [(half, np.ones(links.shape[1], bool)) for half in self.from_targets_]
        return links, [
            self._similar(hin, half, near) if weight > 0 else None
            for weight, (half, near) in zip(self.weights_, paths, strict=True)
        ]

    def _along(self, hin: HIN, src: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """For each path with a weight: its place, the scores along it [len(src), targets], and
        whether a pair can be told by it, bool, of a shape that broadcasts.
        """
        links, similar = self._per_graph(hin, "paths", lambda: self._graph(hin))
        n_t, n_s = len(self.from_targets_), len(self.from_sources_)
        history = _shares(links[src])
        for at, near in enumerate(similar):
            if near is None:
                continue
            if at < n_t:
                told = (np.diff(history.indptr) > 0)[:, None] & (np.diff(near.indptr) > 0)
                yield at, (history @ near.T).toarray(), told
            elif at < n_t + n_s:
                rows = _shares(near[src])
                yield at, (rows @ links).toarray(), (np.diff(rows.indptr) > 0)[:, None]
            else:
                rows = near[src].toarray()
                yield at, rows, (rows > 0).any(axis=1)[:, None]

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        shape = (len(src), hin.n(self.relation[2]))
        scores, told = np.zeros(shape, np.float32), np.zeros(shape, bool)
        for at, along, known in self._along(hin, src):
            scores += np.float32(self.weights_[at]) * along
            told |= known
        scores[~told] = np.nan
        return scores

    def _fold_in_items(self, hin: HIN, new: np.ndarray) -> None:
        """Nothing is learned of an item: its paths are read from the graph that is scored on."""

    # ---- weights ---------------------------------------------------------------------------------

    def _example(
        self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator
    ) -> tuple[HIN, np.ndarray, sp.csr_array, np.ndarray]:
        """A graph, sources, what they have beside it [sources, targets], and the targets among
        which that is to be found, bool [targets].
        """
        if valid is not None and valid.num_rows:
            users, relevant = held_out(hin, self.relation, valid)
            among = unlinked(hin, self.relation, relevant)
            everything = np.arange(hin.n(self.relation[2])) < hin.n_observed(self.relation[2])
            if among is not None:
                everything[: len(among)] &= among
            among = everything
        else:
            pairs = PairIndex.of(hin, self.relation)
            linked = rng.permutation(np.unique(pairs.dst))
            among = np.zeros(hin.n(self.relation[2]), bool)
            among[linked[: round(self.holdout * len(linked))]] = True
            held = pairs.take(among[pairs.dst])
            users, row = np.unique(held.src, return_inverse=True)
            shape = (len(users), len(among))
            ones = np.ones(len(row), np.float32)
            relevant = sp.csr_array((ones, (row, held.dst)), shape=shape)
            hin = without_pairs(hin, self.relation, held, self.evidence)
        chosen = np.sort(rng.permutation(len(users))[:LEARNED_FROM])
        return hin, users[chosen], relevant[chosen], among

    def _learned(
        self, hin: HIN, users: np.ndarray, relevant: sp.csr_array, among: np.ndarray
    ) -> np.ndarray:
        """Weights of at least 0 with the least squared error, each source centred."""
        n_paths = len(self.weights_)
        if not len(users):  # a relation without links: every path counts alike
            return np.zeros(n_paths)
        gram, moment = np.zeros((n_paths, n_paths)), np.zeros(n_paths)
        for at in range(0, len(users), BLOCK):
            block = users[at : at + BLOCK]
            open_ = np.broadcast_to(among, (len(block), len(among))).copy()
            known = seen(hin, self.relation, block)
            open_[np.repeat(np.arange(len(block)), np.diff(known.indptr)), known.indices] = False
            wanted = _centred(relevant[at : at + BLOCK].toarray(), open_)
            along = np.zeros((n_paths, wanted.size), np.float32)
            for path, scores, _ in self._along(hin, block):
                along[path] = _centred(scores, open_).ravel()
            gram += along @ along.T
            moment += along @ wanted.ravel()
        values, vectors = np.linalg.eigh(gram)
        kept = values > 1e-7 * max(values[-1], 1e-30)
        root = np.sqrt(values[kept])
        return nnls(root[:, None] * vectors[:, kept].T, (vectors[:, kept].T @ moment) / root)[0]

    def summary(self) -> str:
        """One line a path with a weight, heaviest first."""
        self._check_fitted()
        halves = [("targets", half) for half in self.from_targets_]
        halves += [("sources", half) for half in self.from_sources_]
        if self.relation[0] == self.relation[2]:
            halves += [("within", half) for half in self.from_targets_]
        lines = [
            f"{self.weights_[at]:.2f}  {kind}  {' - '.join(_types(half))} and back"
            for at, (kind, half) in enumerate(halves)
        ]
        order = np.argsort(-self.weights_, kind="stable")
        return "\n".join(lines[at] for at in order if self.weights_[at] > 0)


def _walks(hin: HIN, node: str, most: int) -> list[Half]:
    """All walks of at most `most` steps from a type that do not turn back at once."""
    found: list[Half] = []
    last: list[Half] = [()]
    for _ in range(most):
        last = [
            (*walk, (edge, forward))
            for walk in last
            for edge in hin.edges
            for forward in (True, False)
            if (edge[0] if forward else edge[2]) == (_ends(walk)[1] if walk else node)
            and walk[-1:] != ((edge, not forward),)
        ]
        found += last
    return found


def _fits(hin: HIN, half: Half) -> bool:
    """Whether the counts along half of a path take no more than MEMORY."""
    try:
        product([_step(hin, *step) for step in half], memory=MEMORY)
    except MemoryError:
        return False
    return True


def _half(hin: HIN, path: Sequence[Any]) -> Half:
    """The first half of a symmetric metapath; the second is the same, walked back."""
    steps = path_steps(tuple(path), hin.nodes, hin.edges)
    names = [edge for edge, _ in steps]
    if len(steps) % 2 or names != names[::-1]:
        raise ParameterError(
            f"MetapathSimilarity: {tuple(path)} is not symmetric; a path goes out and the same way "
            "back, such as ('movie', 'genre', 'movie')",
            asked=tuple(path),
        )
    return tuple(steps[: len(steps) // 2])


def _step(hin: HIN, edge: EdgeType, forward: bool) -> sp.csr_array:
    return hin.adjacency(edge) if forward else hin.adjacency(edge).T.tocsr()


def _types(half: Half) -> list[str]:
    """The node types along a walk."""
    first, forward = half[0]
    return [first[0 if forward else 2], *(edge[2 if ahead else 0] for edge, ahead in half)]


def _ends(half: Half) -> tuple[str, str]:
    types = _types(half)
    return types[0], types[-1]


def _shares(rows: sp.csr_array) -> sp.csr_array:
    """Each row over the sum of its values."""
    total = np.abs(rows).sum(axis=1)
    return sp.csr_array(sp.diags_array((1 / np.maximum(total, 1e-12)).astype(np.float32)) @ rows)


def _centred(values: np.ndarray, open_: np.ndarray) -> np.ndarray:
    """Each row less its mean over what is open, 0 elsewhere."""
    n = np.maximum(open_.sum(axis=1, keepdims=True), 1)
    mean = np.where(open_, values, 0).sum(axis=1, keepdims=True) / n
    return np.where(open_, values - mean, np.float32(0)).astype(np.float32)
