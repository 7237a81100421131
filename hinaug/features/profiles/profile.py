"""Profiles of users and items: columns that sum up their rows, made from the graph at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug import checks
from hinaug.errors import ParameterError
from hinaug.features import kinds, named
from hinaug.features.profiles.traits import Counts, counts_of, lifts
from hinaug.features.similarity import best_of_rows
from hinaug.features.writer import Writer, ask, facts
from hinaug.features.writer.facts import MATERIAL
from hinaug.features.writer.tally import Tally, prose
from hinaug.graph import arrow as tb
from hinaug.graph import expect
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType

LONGEST = 400  # characters of a written profile


@dataclass
class Profile:
    """Columns that sum up the rows of each node of one end of a relation; see its two kinds.

    Parameters
    ----------
    relation
        The edge type, such as ("user", "rates", "item").
    vectors
        ("review", "x"): column x of neighbours. `profile_vector` is its mean over a node's
        neighbours that have it.
    half_life
        Each vector counts 2^(-age / half_life), its age the time before the node's latest one, in
        units of the column `time`; one without a time does not count. None counts all alike, which
        was best where it was measured.
    time
        The neighbours' column of times, read where `half_life` is given.
    weight
        A column of numbers of the neighbours, such as "rating", that their vectors are weighed by.
    traits
        Metapaths: ("item", "genre") for the genres of a user's items, nodes or a column. Each gives
        `profile_genre`, the favourite values; `profile_genre_lift`, the lift of the first; and
        `profile_genre_n`, how many different values there are.
    favourites
        Values kept, at most: those of the largest lift above 1 (see `lifts`).
    least
        Times that a favourite value is met, at least.
    prior
        The pull of lifts toward 1, in meetings.
    writer
        A callable from a list of prompts to a list of texts. It writes `profile_prose` from
        `about`, the node's own `columns` and its favourites. An answer that declines or has no
        words is left out; `tally` counts them, and what a row cost.
    about
        What the writer reads: ("review", "text") is a column of neighbours.
    columns
        Columns of the node itself that the writer reads.
    most
        Neighbours' texts in one prompt, at most.
    control
        "shuffled" tells the writer of another node instead, "none" of nothing: what is gained under
        these does not come from what the writer was told.

    `profile_n`, the node's links of the relation, is always made. Nothing is learned but from the
    graph that `generate` is given: hand over `split.train`, and a held-out row changes nothing.
    """

    SIDE: ClassVar[int] = 0
    ASKS: ClassVar[str] = ""

    relation: EdgeType
    vectors: tuple[str, str] | None = field(default=None, kw_only=True)
    half_life: float | None = field(default=None, kw_only=True)
    time: str = field(default="time", kw_only=True)
    weight: str | None = field(default=None, kw_only=True)
    traits: Sequence[tuple[str, ...]] = field(default=(), kw_only=True)
    favourites: int = field(default=5, kw_only=True)
    least: int = field(default=2, kw_only=True)
    prior: float = field(default=5.0, kw_only=True)
    writer: Writer | None = field(default=None, kw_only=True)
    about: Sequence[tuple[str, str]] = field(default=(), kw_only=True)
    columns: Sequence[str] = field(default=(), kw_only=True)
    most: int = field(default=8, kw_only=True)
    control: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for name in ("favourites", "least", "most"):
            checks.whole(getattr(self, name), f"{type(self).__name__}: {name}", 1)
        if self.half_life is not None and not self.half_life > 0:
            raise ParameterError(
                f"{type(self).__name__}: half_life={self.half_life}: a number above 0 is needed",
                asked=self.half_life,
            )
        if self.control not in (None, "shuffled", "none"):
            raise ParameterError(
                f"{type(self).__name__}: control={self.control!r}: None, 'shuffled' or 'none'",
                asked=self.control,
            )

    def generate(self, hin: HIN) -> Delta:
        """The profiles as columns with lineage "aggregate". Only observed rows are read."""
        expect.graph(hin, type(self).__name__)
        hin = hin.observed()
        node = self._node
        has, links = np.ones(hin.n(node), bool), hin.adjacency(self.relation)
        n = (
            np.diff(links.indptr)
            if self.SIDE == 0
            else np.bincount(links.indices, minlength=len(has))
        )
        made: dict[str, tuple[np.ndarray, Any]] = {"profile_n": (has, pa.array(n, pa.int64()))}
        if self.vectors is not None:
            rows, has = self.mean_vectors(hin)
            made["profile_vector"] = has, tb.vectors_array(rows)
        found = [counts_of(hin, node, trait) for trait in self.traits]
        best = [self._favourites(counts) for counts in found]
        for counts, (liked, top) in zip(found, best, strict=True):
            met = np.diff(counts.links.indptr)
            some = np.array([len(values) > 0 for values in liked], bool)
            made[f"profile_{counts.name}"] = some, pa.array(liked, pa.list_(pa.string()))
            made[f"profile_{counts.name}_lift"] = some, pa.array(top, pa.float32())
            made[f"profile_{counts.name}_n"] = np.ones(len(met), bool), pa.array(met, pa.int64())
        if self.writer is not None:
            favourites = {c.name: values for c, (values, _) in zip(found, best, strict=True)}
            made["profile_prose"] = self._prose(hin, favourites)
        ids = tb.one_chunk(hin.nodes[node]["id"])
        return Delta(
            columns={(node, name): _column(ids, *made[name]) for name in made},
            origin=type(self).__name__,
            fitted_on=(hin.fingerprint(),),
        )

    @property
    def tally(self) -> Tally:
        """What came of the writer's answers in the last `generate`."""
        return self.__dict__.get("_tally", Tally())

    @property
    def _node(self) -> str:
        return self.relation[2 * self.SIDE]

    def mean_vectors(self, hin: HIN) -> tuple[np.ndarray, np.ndarray]:
        """The weighed mean of neighbours' vectors, float32 [n, d], and who has one, bool [n]."""
        type, name = named.pair(self.vectors, f"{self.__class__.__name__}: vectors")
        assert isinstance(type, str)
        column = hin.column(type, name)
        pool = sp.csr_array(hin.metapath(self._node, type), dtype=np.float32)
        pool.data = pool.data * kinds.present(column)[pool.indices]
        if self.weight is not None:
            pool.data = pool.data * self._weights(hin, type)[pool.indices]
        if self.half_life is not None:
            pool.data = pool.data * self._decay(hin, type, pool)
        total = np.asarray(pool.sum(axis=1)).ravel()
        return (pool @ kinds.vectors(column)) / np.where(total > 0, total, 1)[:, None], total > 0

    def _weights(self, hin: HIN, type: str) -> np.ndarray:
        assert self.weight is not None
        weights = kinds.numbers(hin.column(type, self.weight)).astype(np.float32)
        if weights.min(initial=0) < 0:
            raise ParameterError(
                f"weight={self.weight!r}: {type!r} has weights below 0, and a mean needs weights "
                "of at least 0",
                asked=self.weight,
                there=float(weights.min()),
            )
        return weights

    def _decay(self, hin: HIN, type: str, pool: sp.csr_array) -> np.ndarray:
        """2^(-age / half_life) of each entry; its age is counted from the node's latest row, and a
        row without a time counts 0.
        """
        column = hin.column(type, self.time)
        time = np.where(kinds.present(column), kinds.numbers(column), -np.inf)[pool.indices]
        row = np.repeat(np.arange(pool.shape[0]), np.diff(pool.indptr))
        latest = np.full(pool.shape[0], np.finfo(np.float64).min)
        np.maximum.at(latest, row, time)
        return np.exp2((time - latest[row]) / self.half_life).astype(np.float32)

    def _favourites(self, counts: Counts) -> tuple[list[list[str]], np.ndarray]:
        """The favourite values of each node, and the lift of its first."""
        often = sp.csr_array(counts.links, dtype=np.float64)
        lift = lifts(often, self.prior)
        row, col = lift.tocoo().coords
        kept = (often.tocoo().data >= self.least) & (lift.data > 1)
        entries = lift.data[kept], (row[kept], col[kept])
        best = best_of_rows(sp.csr_array(entries, shape=lift.shape), self.favourites)
        best = best.tocoo()
        row, col = best.coords
        order = np.lexsort((col, -best.data, row))
        row, col, data = row[order], col[order], best.data[order]
        starts = np.searchsorted(row, np.arange(lift.shape[0] + 1))
        values = counts.values.take(pa.array(col)).to_pylist()
        top = np.append(data, 0)[np.minimum(starts[:-1], len(data))]
        return [values[a:b] for a, b in pairwise(starts)], top

    def _prose(self, hin: HIN, liked: dict[str, list[list[str]]]) -> tuple[np.ndarray, pa.Array]:
        """What the writer says of the nodes that there is something to say of."""
        assert self.writer is not None
        shown = self._shown(hin, liked)
        at = np.flatnonzero([bool(text) for text in shown])
        prompts = [
            f"{MATERIAL}\n\n{text or '(nothing is known)'}\n\n{self.ASKS}"
            for text in self._told([shown[n] for n in at])
        ]
        tally = self._tally = Tally()
        with tally.counting(self.writer, len(prompts)):
            answers = [prose(answer, LONGEST) for answer in ask(self.writer, prompts)]
        tally.take(answers)
        written: list[str | None] = [None] * len(shown)
        for n, (text, _) in zip(at, answers, strict=True):
            written[n] = text
        has = np.array([text is not None for text in written], bool)
        return has, pa.array(written, pa.string())

    def _shown(self, hin: HIN, liked: dict[str, list[list[str]]]) -> list[str]:
        """What is known of each node as text, its favourites among it."""
        everybody = np.arange(hin.n(self._node))
        said = facts(hin, self._node, everybody, self.columns, self.about, most=self.most)
        for name, values in liked.items():
            often = [f"often {name}: {', '.join(own)}" if own else "" for own in values]
            said = ["\n".join(filter(None, pair)) for pair in zip(said, often, strict=True)]
        return said

    def _told(self, known: list[str]) -> list[str]:
        """What is told of each node that something is known of."""
        if self.control is None:
            return known
        if self.control == "none" or len(known) < 2:
            return [""] * len(known)
        half = len(known) // 2
        return known[half:] + known[:half]


@dataclass
class UserProfile(Profile):
    """What a user's rows say of the user, as columns of a `Delta`; the options are those of
    `Profile`.

    Example
    -------
    >>> items = {"id": list("pqr"), "kind": ["amp", "amp", "bow"]}
    >>> nodes = {"user": {"id": ["a", "b"]}, "item": items}
    >>> rates = ("user", "rates", "item")
    >>> hin = HIN.from_tables(nodes, {rates: {"src": list("aab"), "dst": list("pqr")}})
    >>> made = hin + UserProfile(rates, traits=[("item", "kind")]).generate(hin)
    >>> made.column("user", "profile_kind").to_pylist()
    [['amp'], None]
    """

    SIDE: ClassVar[int] = 0
    ASKS: ClassVar[str] = "In two short sentences: what does this person like? Use only the above."


@dataclass
class ItemProfile(Profile):
    """What an item's rows say of the item, as columns of a `Delta`; the options are those of
    `Profile`.

    Example
    -------
    >>> nodes = {"user": {"id": ["a", "b"]}, "item": {"id": ["p", "q"]}}
    >>> rates = ("user", "rates", "item")
    >>> hin = HIN.from_tables(nodes, {rates: {"src": list("ab"), "dst": list("pp")}})
    >>> made = hin + ItemProfile(rates).generate(hin)
    >>> made.column("item", "profile_n").to_pylist()
    [2, 0]
    """

    SIDE: ClassVar[int] = 1
    ASKS: ClassVar[str] = "In two short sentences: what is this item like? Use only the above."


def _column(ids: pa.Array, has: np.ndarray, values: pa.Array) -> pa.Table:
    mask = pa.array(has)
    value = tb.with_lineage(pa.field("value", values.type), "aggregate")
    schema = pa.schema([pa.field("id", ids.type), value])
    return pa.table([ids.filter(mask), values.filter(mask)], schema=schema)
