"""Values that a language model writes: descriptions, summaries, profiles and categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from hinaug.checks import COUNT, Limits
from hinaug.errors import ParameterError, SchemaError
from hinaug.features import kinds, named
from hinaug.features.writer.base import Writer, ask, choose
from hinaug.features.writer.facts import MATERIAL, About, facts
from hinaug.features.writer.tally import Tally, prose
from hinaug.generators.base import Generator, resolve_size
from hinaug.graph import arrow as tb
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN

CONTROLS = ("shuffled", "none")


@dataclass(eq=False)
class Written(Generator):
    """Values of a column of nodes that a writer makes from what the graph says of each node.

    A subclass writes `_written`. Prompts are made from the observed rows of the graph that is given
    to `generate`, and from nothing else: with `split.train` no held-out row is in them.

    node: the type. column: the column to fill where it is null, or to add where the graph has none.
    writer: see `hinaug.features.writer`. reads: columns of the node that a prompt tells of. about:
    columns of neighbours, see `facts`. most, longest: how many neighbours, and characters of a
    text. prompt: the question; "{facts}", "{node}" and "{column}" are filled in.
    control: "shuffled" tells each node's writer of another node instead, "none" of nothing. A gain
    that remains under these does not come from what the model was told. A node that nothing is
    known of is not asked about, under any control: a model would make something up.

    `generate` takes how many values (a float is a share of the missing ones) and as a condition
    external ids of nodes. `tally` says afterwards what was refused and what a row cost.
    """

    LIMITS: ClassVar[Limits] = {"control": CONTROLS, "most": COUNT, "longest": COUNT}
    node: str
    column: str
    writer: Writer
    _: KW_ONLY
    reads: Sequence[str] = ()
    about: Sequence[About] = ()
    most: int = 8
    longest: int = 300
    prompt: str = ""
    control: str | None = None

    @property
    def tally(self) -> Tally:
        """What came of the last `generate`."""
        return self.__dict__.get("_tally", Tally())

    def _check_graph(self, hin: HIN) -> None:
        if self.column == "id" or not (self.reads or self.about):
            raise ParameterError(
                f"{self.origin}: name a column to write, and in reads= or about= what to write it "
                "from",
                asked=self.column,
            )
        for name in named.names(self.reads, f"{self.origin}: reads"):
            hin.column(self.node, name)  # raises, naming what there is

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        """Nothing is learned: what prompts tell is read from the graph given to `generate`."""

    def _generate(
        self, hin: HIN, size: int | float | None, condition: Any, rng: np.random.Generator
    ) -> Delta:
        observed, tally = hin.observed(), Tally()
        at = self._missing(observed, hin, condition)
        n = len(at) if size is None else min(len(at), resolve_size(size, len(at), "values"))
        at = np.sort(rng.permutation(at)[:n])
        at, prompts = self._prompts(observed, at, rng, tally)
        with tally.counting(self.writer, len(prompts)):
            values, confidence = self._written(prompts, tally)
        self._tally = tally
        kept = np.array([value is not None for value in values], bool)
        table = pa.table(
            {
                "id": observed.ids(self.node, at[kept]),
                "value": pa.array([value for value in values if value is not None], pa.string()),
                "confidence": pa.array(confidence[kept], pa.float32()),
            }
        )
        return self._as_delta(hin, table)

    def _missing(self, observed: HIN, hin: HIN, condition: Any) -> np.ndarray:
        """Positions of the nodes that lack the value, among those asked for."""
        n = observed.n(self.node)
        lacks = np.ones(n, bool)
        if self.column in hin.nodes[self.node].column_names:
            lacks = ~kinds.present(hin.column(self.node, self.column))[:n]
        if condition is not None:
            asked = np.zeros(n, bool)
            asked[observed.positions(self.node, condition)] = True
            lacks &= asked
        return np.flatnonzero(lacks)

    def _prompts(
        self, observed: HIN, at: np.ndarray, rng: np.random.Generator, tally: Tally
    ) -> tuple[np.ndarray, list[str]]:
        """The nodes that something is known of, the same under each control, and a prompt each."""
        told = self._known(observed, at)
        tally.take((None, "nothing is known of it") for text in told if not text)
        at = at[np.array(list(map(bool, told)), bool)]
        if self.control == "shuffled":
            n = observed.n(self.node)
            told = self._known(observed, (at + rng.integers(1, max(n, 2))) % n)
        elif self.control == "none":
            told = [""] * len(at)
        else:
            told = list(filter(None, told))
        before, marked, after = self._question().partition("{facts}")
        if not marked:
            raise ParameterError(
                f"{self.origin}: prompt: it must have {{facts}} where the facts go",
                asked=self.prompt,
            )
        return at, [before + (said or "(nothing is known)") + after for said in told]

    def _known(self, observed: HIN, at: np.ndarray) -> list[str]:
        """What is known of some nodes, an empty text where it is nothing."""
        limits = {"most": self.most, "longest": self.longest}
        return facts(observed, self.node, at, self.reads, self.about, **limits)

    def _question(self) -> str:
        """The prompt before the facts are filled in."""
        return self.prompt.replace("{node}", self.node).replace("{column}", self.column)

    def _written(self, prompts: list[str], tally: Tally) -> tuple[list[str | None], np.ndarray]:
        """A value, or None where none is good, and its confidence, for each prompt."""
        raise NotImplementedError

    def _as_delta(self, hin: HIN, table: pa.Table) -> Delta:
        """The values as fills of a column, or as a new one with its lineage."""
        key, fitted_on = (self.node, self.column), [self.fitted_on_, hin.fingerprint()]
        observed = hin.observed().nodes[self.node]
        if self.column in observed.column_names:
            kind = observed.schema.field(self.column).type
            if not tb.is_text(kinds.decoded(pa.array([], kind)).type):
                raise SchemaError(
                    f"{self.origin}: column {self.column!r} of {self.node!r} is {kind}; only text "
                    "and categories are written",
                    asked=kind,
                )
            return Delta(values={key: table}, origin=self.origin, fitted_on=fitted_on)
        lineage = "row" if not self.about and self.control is None else "aggregate"
        field = tb.with_lineage(table.schema.field("value"), lineage)
        table = table.set_column(1, field, table["value"])
        return Delta(columns={key: table}, origin=self.origin, fitted_on=fitted_on)


@dataclass(eq=False)
class WrittenText(Written):
    """Texts that a writer makes: missing descriptions, summaries of items, profiles of users.

    `reads` and `about` say from what: ("title",) and nothing else for a description,
    about=[("review", "text")] for a summary of what train reviews say, node="user" with
    about=[("item", "title")] for a profile. An answer that declines or has no words is refused;
    quotes, fences and leading words such as "Sure, here is ...:" are taken off, and a text of over
    `longest_answer` characters is cut after a sentence.

    confidence: 1 for an answer taken as it is, 0.5 for a repaired one. It says how well the form
    was kept, and nothing of whether the text is true.

    Lineage of a new column: "row" where only the node's own columns were read, else "aggregate".

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> from hinaug.split import random_split
    >>> train = random_split(planted(rng=0), ("user", "rates", "item"), evidence=["review"]).train
    >>> def writer(prompts):
    ...     return [f"Its reviews say {len(prompt.split('<<<')) - 2} things." for prompt in prompts]
    >>> summary = WrittenText("item", "summary", writer, about=[("review", "text")], most=3)
    >>> delta = summary.fit(train).generate(train)
    >>> (train + delta).column("item", "summary")[0].as_py()
    'Its reviews say 3 things.'
    """

    LIMITS: ClassVar[Limits] = {"longest_answer": COUNT}
    _: KW_ONLY
    prompt: str = (
        f"Below is what is known of one {{node}}. {MATERIAL}\n\n{{facts}}\n\nWrite the {{column}} "
        "of it in plain English, in at most two sentences. Use nothing but what stands above.\n"
    )
    longest_answer: int = 400

    def _written(self, prompts: list[str], tally: Tally) -> tuple[list[str | None], np.ndarray]:
        answers = [prose(answer, self.longest_answer) for answer in ask(self.writer, prompts)]
        tally.take(answers)
        confidence = np.array([0.5 if note else 1.0 for _, note in answers])
        return [value for value, _ in answers], confidence


@dataclass(eq=False)
class WrittenCategory(Written):
    """Categories that a writer chooses among the values of a column, or among `choices`.

    A writer with `likelihoods`, such as TransformersWriter, weighs the choices and writes nothing;
    see `choose`, which centres them over the prompts of the call. Any other writer must name
    exactly one of the choices, else its answer is refused.

    confidence: the softmax of the centred log-likelihoods; 1 for a choice that was named. Neither
    is calibrated.

    Learned: `choices_`.

    Example
    -------
    >>> tables = {"item": {"id": ["a", "b", "c"], "title": ["Amp", "Tent", "Loud amp"],
    ...                    "kind": ["music", "camping", None]}}
    >>> hin = HIN.from_tables(tables, {})
    >>> writer = lambda prompts: ["music" if "amp" in p.casefold() else "?" for p in prompts]
    >>> delta = WrittenCategory("item", "kind", writer, reads=["title"]).fit(hin).generate(hin)
    >>> (hin + delta).column("item", "kind").to_pylist()
    ['music', 'camping', 'music']
    """

    _: KW_ONLY
    choices: Sequence[str] | None = None
    prompt: str = (
        f"Below is what is known of one {{node}}. {MATERIAL}\n\n{{facts}}\n\nWhich {{column}} fits "
        "it best? Choices: {choices}.\nAnswer with one of them.\n"
    )

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        if self.choices is not None:
            self.choices_ = [str(choice) for choice in self.choices]
        else:
            self.choices_ = kinds.categories(hin.column(self.node, self.column)).to_pylist()
        if len(self.choices_) < 2 or not all(isinstance(c, str) for c in self.choices_):
            raise SchemaError(
                f"{self.origin}: column {self.column!r} of {self.node!r} has {len(self.choices_)} "
                "values; at least two words to choose from are needed; pass choices=",
                asked=self.choices_,
            )

    def _question(self) -> str:
        return super()._question().replace("{choices}", ", ".join(self.choices_))

    def _written(self, prompts: list[str], tally: Tally) -> tuple[list[str | None], np.ndarray]:
        chosen, sure = choose(self.writer, prompts, self.choices_)
        for at in chosen:
            if at < 0:
                tally.refuse("none or several of the choices")
            else:
                tally.accept(False)
        return [self.choices_[at] if at >= 0 else None for at in chosen], sure
