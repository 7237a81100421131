"""Links that a language model chooses, each with a reason, and reviews that it writes of links."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from hinaug.checks import COUNT, Limits
from hinaug.errors import ParameterError, UnknownNameError
from hinaug.features import kinds
from hinaug.features.writer.base import Writer, ask, named_in, softmax, weighs
from hinaug.features.writer.facts import MATERIAL, About, facts, named_rows, tidy
from hinaug.features.writer.tally import Tally, prose
from hinaug.generators.base import Generator, resolve_size
from hinaug.generators.relations.candidates import candidates
from hinaug.graph import arrow as tb
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
from hinaug.predictors.base import LinkPredictor

CONTROLS = ("shuffled", "none")
LONGEST_NAME = 100  # characters of a candidate's name
_LINE = re.compile(r"^[\W_]*(\d{1,4})\b[\s.):|,\u2013-]*(.*)$", re.DOTALL)


@dataclass(eq=False)
class WrittenRelation(Generator):
    """Links of `predictor.relation` that a writer chooses among the best candidates of a predictor.

    The predictor offers each source its `candidates` best unobserved targets; the writer sees what
    the source is linked with and the candidates by their names, and chooses `per_source` of them.
    It cannot name anything else: an answer outside the list is refused, and more answers than were
    asked for are left out. As published (Wei et al., "LLMRec", WSDM 2024), with the candidates made
    here, from the graph that is given, alone.

    A writer with `likelihoods` weighs the names: log p(name | history) - log p(name | no history),
    since a model likes some names whatever the history says. It then writes the reasons. Any other
    writer gives lines "number | reason".

    A small model is no judge: SmolLM2-135M chose among the top 20 of EASE as well with the history
    of somebody else (.459 and .464; EASE's own order .566). Compare with `control="shuffled"`
    before you believe a gain.

    Parameters
    ----------
    predictor
        Any LinkPredictor; it is cloned.
    writer
        See `hinaug.features.writer`.
    name
        The column of the targets that names them, such as "title"; targets without it are not
        offered.
    reads, about
        What else is told of a source, see `facts`.
    candidates, per_source
        How many are offered, and chosen.
    history
        How many of a source's targets are told.
    reasons
        Whether reasons are written, into the column "reason" of the new edges.
    by
        "likelihood", "text", or "auto": by likelihood where the writer can.
    control
        "shuffled" tells of another source, "none" of nothing.

    confidence: by likelihood, the softmax over the candidates; by text .5. It is not calibrated;
    `RelationGenerator` is. `generate` takes how many edges, and as a condition external ids of
    sources. `tally` says what was refused and what a row cost.

    Learned: `predictor_`.

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> from hinaug.predictors import EASE
    >>> hin = planted(rng=0)
    >>> writer = lambda prompts: ["2 | it is like the others" for _ in prompts]
    >>> chooser = WrittenRelation(EASE(("user", "rates", "item")), writer, name="title")
    >>> delta = chooser.fit(hin, rng=0).generate(hin, 3, rng=0)
    >>> delta.edges["user", "rates", "item"]["reason"].to_pylist()[0]
    'it is like the others'
    """

    LIMITS: ClassVar[Limits] = {
        "control": CONTROLS,
        "by": ("auto", "likelihood", "text"),
        "candidates": COUNT,
        "per_source": COUNT,
        "history": COUNT,
    }
    predictor: LinkPredictor
    writer: Writer
    _: KW_ONLY
    name: str
    reads: Sequence[str] = ()
    about: Sequence[About] = ()
    candidates: int = 20
    per_source: int = 1
    history: int = 10
    reasons: bool = True
    by: str = "auto"
    control: str | None = None

    @property
    def tally(self) -> Tally:
        """What came of the last `generate`."""
        return self.__dict__.get("_tally", Tally())

    def _check_graph(self, hin: HIN) -> None:
        hin.edges[self.predictor.relation]
        named_rows(hin, self.predictor.relation[2], self.name, self.origin)

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        self.predictor_ = self.predictor.clone().fit(hin, valid=valid, rng=rng)

    def _generate(
        self, hin: HIN, size: int | float | None, condition: Any, rng: np.random.Generator
    ) -> Delta:
        relation, tally = self.predictor.relation, Tally()
        sources = self._sources(hin, size, condition, rng)
        src, offered = self._offered(hin, sources)
        told = self._told(hin, src, rng)
        self._tally = tally
        names = kinds.decoded(hin.observed().column(relation[2], self.name))
        lists = [[tidy(str(names[i].as_py()), LONGEST_NAME) for i in best] for best in offered]
        by_likelihood = self.by == "likelihood" or (self.by == "auto" and weighs(self.writer))
        with tally.counting(self.writer, len(told)):
            picked = (self._weighed if by_likelihood else self._said)(told, lists, tally)
        rows = [(i, *pick) for i, picks in enumerate(picked) for pick in picks]
        n = len(rows) if size is None else self._count(hin, size)
        return self._as_delta(hin, src, offered, rows[:n])

    # ---- what is asked ---------------------------------------------------------------------------

    def _count(self, hin: HIN, size: int | float | None) -> int:
        there = hin.observed().adjacency(self.predictor.relation).nnz
        return resolve_size(size, there, "edges")

    def _sources(
        self, hin: HIN, size: int | float | None, condition: Any, rng: np.random.Generator
    ) -> np.ndarray:
        node = self.predictor.relation[0]
        if condition is None:
            at = rng.permutation(hin.n_observed(node))
        else:
            at = rng.permutation(np.unique(hin.observed().positions(node, condition)))
        if size is not None:
            at = at[: -(-self._count(hin, size) // self.per_source)]
        return np.sort(at)

    def _offered(self, hin: HIN, sources: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """Sources with at least two candidates, and the candidates of each, best first."""
        target = self.predictor.relation[2]
        named = named_rows(hin, target, self.name, self.origin)
        src, offered = [], []
        for block in candidates(hin, self.predictor_, sources, named, self.candidates):
            for at, best, possible in zip(block.src, block.dst, block.possible, strict=True):
                if possible.sum() > 1:
                    src.append(at)
                    offered.append(best[possible])
        return np.array(src, np.int64), offered

    def _told(self, hin: HIN, src: np.ndarray, rng: np.random.Generator) -> list[str]:
        """What is told of each source: its own columns, and the targets that it is linked with."""
        relation, observed = self.predictor.relation, hin.observed()
        if self.control == "none":
            return [""] * len(src)
        n = observed.n(relation[0])
        away = rng.integers(1, max(n, 2)) if self.control == "shuffled" else 0
        about = [*self.about, (relation, self.name)]
        return facts(observed, relation[0], (src + away) % n, self.reads, about, most=self.history)

    def _prompt(self, told: str, names: Sequence[str], task: str) -> str:
        source, _, target = self.predictor.relation
        listed = "\n".join(f"{i}. {name}" for i, name in enumerate(names, 1))
        known = f"What is known of one {source}:\n{told or '(nothing)'}\n\n"
        return f"{MATERIAL}\n\n{known}Candidates for the next {target}:\n{listed}\n\n{task}\n"

    # ---- what comes back -------------------------------------------------------------------------

    def _said(
        self, told: list[str], lists: list[list[str]], tally: Tally
    ) -> list[list[tuple[int, str | None, float]]]:
        """(place in the list, reason, confidence) of what is chosen, for each source."""
        task = (
            f"Choose {self.per_source}. Answer with a line each: the number, a bar, and the reason "
            "in a few words, such as: 3 | same kind of music"
        )
        prompts = [self._prompt(t, names, task) for t, names in zip(told, lists, strict=True)]
        answers = ask(self.writer, prompts)
        return [
            list(_picks(answer, names, self.per_source, self.reasons, tally))
            for answer, names in zip(answers, lists, strict=True)
        ]

    def _weighed(
        self, told: list[str], lists: list[list[str]], tally: Tally
    ) -> list[list[tuple[int, str | None, float]]]:
        """As `_said`, by the likelihood of the names with and without what is told."""
        picks: list[list[tuple[int, str | None, float]]] = [[] for _ in told]
        lengths = np.array([len(names) for names in lists])
        for length in np.unique(lengths):
            at = np.flatnonzero(lengths == length)
            shares = self._shares([told[i] for i in at], [lists[i] for i in at])
            best = np.argsort(-shares, axis=1, kind="stable")[:, : self.per_source]
            for i, row, places in zip(at, shares, best, strict=True):
                picks[i] = [(int(place), None, float(row[place])) for place in places]
                tally.accepted += len(picks[i])
        return self._with_reasons(told, lists, picks) if self.reasons else picks

    def _shares(self, told: list[str], lists: list[list[str]]) -> np.ndarray:
        """The share of each candidate of each source, [sources, candidates]."""
        task = f"The best next {self.predictor.relation[2]} is:"
        logs = []
        for said in (told, [""] * len(told)):
            prompts = [self._prompt(t, names, task) for t, names in zip(said, lists, strict=True)]
            found = self.writer.likelihoods(prompts, lists)  # type: ignore[attr-defined]
            logs.append(np.asarray(found))
        return softmax(logs[0] - logs[1])

    def _with_reasons(self, told: list[str], lists: list[list[str]], picks: Any) -> Any:
        rows = [(i, place) for i, chosen in enumerate(picks) for place, *_ in chosen]
        task = "In a few words, why may {} be next?"
        prompts = [
            self._prompt(told[i], lists[i], task.replace("{}", lists[i][place]))
            for i, place in rows
        ]
        said = iter(ask(self.writer, prompts))
        return [
            [(place, prose(next(said), 200)[0], sure) for place, _, sure in chosen]
            for chosen in picks
        ]

    def _as_delta(
        self, hin: HIN, src: np.ndarray, offered: list[np.ndarray], rows: list[Any]
    ) -> Delta:
        relation, observed = self.predictor.relation, hin.observed()
        fitted_on = [self.fitted_on_, hin.fingerprint()]
        if not rows:
            return Delta(origin=self.origin, fitted_on=fitted_on)
        targets = np.array([offered[i][place] for i, place, *_ in rows])
        table = {
            "src": observed.ids(relation[0], src[[i for i, *_ in rows]]),
            "dst": observed.ids(relation[2], targets),
            "confidence": pa.array([row[3] for row in rows], pa.float32()),
        }
        if self.reasons:
            table["reason"] = pa.array([row[2] for row in rows], pa.string())
        return Delta(edges={relation: pa.table(table)}, origin=self.origin, fitted_on=fitted_on)


def _picks(
    answer: str, names: Sequence[str], most: int, reasons: bool, tally: Tally
) -> Iterator[tuple[int, str | None, float]]:
    """What an answer chooses, each place once and at most so many; all else is refused."""
    taken: set[int] = set()
    lines = [line for line in answer.splitlines() if line.strip()]
    if not lines:
        tally.refuse("no words")
    for line in lines:
        place, reason, repaired = _pick(line, names)
        if not 0 <= place < len(names):
            tally.refuse("not among the candidates")
        elif place in taken or len(taken) == most:
            tally.refuse("more than was asked for")
        else:
            taken.add(place)
            tally.accept(repaired)
            yield place, prose(reason, 200)[0] if reasons else None, 0.5


def _pick(line: str, names: Sequence[str]) -> tuple[int, str, bool]:
    """The place that a line chooses, its reason, and whether the name stands for the number."""
    found = _LINE.match(line)
    if found:
        return int(found[1]) - 1, found[2], False
    name, _, reason = line.partition("|")
    return named_in(name, names), reason, True


@dataclass(eq=False)
class WrittenReviews(Generator):
    """Reviews that a writer makes for given links, such as generated ones, as new nodes.

    Each new node has the text, and is joined with both ends of its link. The prompt tells of both
    ends what `reads` and `about` say, from the observed rows of the graph given to `generate`.

    Parameters
    ----------
    relation
        The links that reviews are written for.
    writer
        See `hinaug.features.writer`.
    wrote, about
        The edge types that join a review with the source and with the target of its link.
    column
        The column of the text.
    source_reads, target_reads
        Columns of the two ends that are told.
    target_about
        Columns of neighbours of the target that are told, such as (("review", "text"),).
    control
        "shuffled" tells of other ends, "none" of nothing.

    `generate` takes as a condition the links: a table with "src" and "dst", or a delta with edges
    of the relation; and how many of them, in their order. confidence: see `WrittenText`.

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> hin = planted(rng=0)
    >>> wrote, about = ("user", "wrote", "review"), ("review", "about", "item")
    >>> reviews = WrittenReviews(("user", "rates", "item"), lambda ps: ["Fine."] * len(ps),
    ...                          wrote=wrote, about=about, target_reads=["title"]).fit(hin)
    >>> links = {"src": hin.ids("user")[:2], "dst": hin.ids("item")[:2]}
    >>> reviews.generate(hin, condition=links)
    Delta(2 review nodes, 2 user wrote review edges, 2 review about item edges by WrittenReviews)
    """

    LIMITS: ClassVar[Limits] = {"control": CONTROLS}
    relation: EdgeType
    writer: Writer
    _: KW_ONLY
    wrote: EdgeType
    about: EdgeType
    column: str = "text"
    source_reads: Sequence[str] = ()
    target_reads: Sequence[str] = ()
    target_about: Sequence[About] = ()
    control: str | None = None

    @property
    def tally(self) -> Tally:
        """What came of the last `generate`."""
        return self.__dict__.get("_tally", Tally())

    def _check_graph(self, hin: HIN) -> None:
        for edge in (self.relation, self.wrote, self.about):
            hin.edges[edge]
        if (self.wrote[0], self.about[2]) != (self.relation[0], self.relation[2]) or (
            self.wrote[2] != self.about[0]
        ):
            raise ParameterError(
                f"WrittenReviews: wrote={self.wrote} and about={self.about} do not join the ends "
                f"of {self.relation} through one type of node",
                asked=(self.wrote, self.about),
                there=self.relation,
            )
        hin.column(self.about[0], self.column)

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        """Nothing is learned: what prompts tell is read from the graph given to `generate`."""

    def _generate(
        self, hin: HIN, size: int | float | None, condition: Any, rng: np.random.Generator
    ) -> Delta:
        links, tally = self._links(condition), Tally()
        n = links.num_rows if size is None else resolve_size(size, links.num_rows, "reviews")
        links, self._tally = links.slice(0, n), tally
        prompts = self._prompts(hin.observed(), links, rng)
        with tally.counting(self.writer, len(prompts)):
            answers = [prose(answer, 600) for answer in ask(self.writer, prompts)]
        for text, note in answers:
            if text is None:
                tally.refuse(note)
            else:
                tally.accept(bool(note))
        kept = np.flatnonzero([text is not None for text, _ in answers])
        return self._as_delta(hin, links.take(pa.array(kept)), [answers[i] for i in kept])

    def _links(self, condition: Any) -> pa.Table:
        if isinstance(condition, Delta):
            if self.relation not in condition.edges:
                raise UnknownNameError(
                    f"WrittenReviews: the delta has no edges {self.relation}; it has "
                    f"{list(condition.edges)}",
                    asked=self.relation,
                    there=list(condition.edges),
                )
            condition = condition.edges[self.relation]
        if condition is None or not {"src", "dst"} <= set(_names(condition)):
            raise ParameterError(
                "WrittenReviews.generate: condition: the links to write for, a table with 'src' "
                "and 'dst' or a delta that has them",
                asked=condition,
            )
        return tb.as_table(condition, "WrittenReviews: condition").select(["src", "dst"])

    def _prompts(self, hin: HIN, links: pa.Table, rng: np.random.Generator) -> list[str]:
        source, _, target = self.relation
        ends = []
        for side, node, reads, about in (
            ("src", source, self.source_reads, ()),
            ("dst", target, self.target_reads, self.target_about),
        ):
            n = hin.n(node)
            away = rng.integers(1, max(n, 2)) if self.control == "shuffled" else 0
            at = (hin.positions(node, links[side]) + away) % n
            none = self.control == "none"
            ends.append([""] * len(at) if none else facts(hin, node, at, reads, about))
        return [
            f"{MATERIAL}\n\nOne {source}:\n{one or '(nothing is known)'}\n\nOne {target}:\n"
            f"{other or '(nothing is known)'}\n\nWrite the review that this {source} may give "
            f"this {target}, in at most three sentences.\n"
            for one, other in zip(*ends, strict=True)
        ]

    def _as_delta(self, hin: HIN, links: pa.Table, answers: list[tuple[Any, str]]) -> Delta:
        fitted_on = [self.fitted_on_, hin.fingerprint()]
        if not answers:
            return Delta(origin=self.origin, fitted_on=fitted_on)
        texts = pa.array([text for text, _ in answers], pa.string())
        confidence = pa.array([0.5 if note else 1.0 for _, note in answers], pa.float32())
        content = tb.content_hash(links.combine_chunks().append_column("text", texts))
        digest = hashlib.sha256(f"{sorted(d.uid for d in hin.deltas)}:{content}".encode())
        name = f"{self.origin.lower()}-{digest.hexdigest()[:12]}"
        ids = pa.array([f"{name}-{i}" for i in range(len(texts))])
        nodes = pa.table({"id": ids, self.column: texts, "confidence": confidence})
        wrote = pa.table({"src": links["src"], "dst": ids, "confidence": confidence})
        about = pa.table({"src": ids, "dst": links["dst"], "confidence": confidence})
        return Delta(
            {self.about[0]: nodes},
            {self.wrote: wrote, self.about: about},
            origin=self.origin,
            fitted_on=fitted_on,
        )


def _names(table: Any) -> list[str]:
    """The names of the columns of anything table-like."""
    if hasattr(table, "column_names"):
        return list(table.column_names)
    return list(getattr(table, "columns", None) or (table if isinstance(table, dict) else []))
