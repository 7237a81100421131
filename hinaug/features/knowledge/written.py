"""Facts that sentences state, as a language model reads them, held to a schema and to the text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hinaug.features.knowledge.dictionary import plain
from hinaug.features.knowledge.sentences import ITSELF, Fact
from hinaug.features.text.texts import texts_of
from hinaug.features.writer.base import Writer
from hinaug.features.writer.facts import CLOSE, MATERIAL, OPEN, tidy
from hinaug.features.writer.records import Record, read_records
from hinaug.features.writer.tally import Tally

SCHEMA: dict[str, dict[str, Any]] = {
    "subject": {"type": "string", "maxLength": 60},
    "relation": {"type": "string", "maxLength": 40},
    "object": {"type": "string", "maxLength": 60},
}
TASK = (
    "Name one fact that the sentence states, as JSON with the fields subject, relation (a verb) "
    'and object, in words of the sentence. The subject is "it" where the text is about it.'
)
_END = re.compile(r"(?<=[.!?])\s+")


@dataclass
class WrittenFacts:
    """Reads facts by a writer, at most one a sentence; in place of `Sentences`.

    A writer with `records`, such as `TransformersWriter`, is held to a schema. Subject and object
    must stand in the sentence word for word (without case), else the fact is refused: a model
    cannot bring in what the text does not name. What the relation is, it may say in its own words.
    Questions are not asked about. `tally` says what was refused of the last texts, and what a fact
    cost.

    writer: any writer. longest: characters of a sentence that are read.

    Example
    -------
    >>> writer = lambda prompts: ['{"subject": "it", "relation": "Have", "object": "case"}'] * len(
    ...     prompts
    ... )
    >>> WrittenFacts(writer)(["It has a case. Is it big?"])
    [[Fact(subject=None, relation='have', object='case', start=0, end=13)]]
    """

    writer: Writer
    longest: int = 300
    tally: Tally = field(default_factory=Tally, init=False, compare=False)

    def __call__(self, texts: Sequence[str | None]) -> list[list[Fact]]:
        """The facts of each text, in the order of their sentences."""
        given, _ = texts_of(texts)
        read = [plain(text) if text else "" for text in given]
        spans = [(row, *span) for row, text in enumerate(read) for span in _sentences(text)]
        prompts = [
            f"{MATERIAL}\n\n{OPEN}{tidy(read[row][start:end], self.longest)}{CLOSE}\n\n{TASK}\n"
            for row, start, end in spans
        ]
        tally = Tally()
        found: list[list[Fact]] = [[] for _ in given]
        with tally.counting(self.writer, len(prompts)):
            records = read_records(self.writer, prompts, SCHEMA)
        for (row, start, end), record in zip(spans, records, strict=True):
            fact, why = _fact(record, read[row], start, min(end, start + self.longest))
            if fact is None:
                tally.refuse(why)
            else:
                tally.accept(bool(record.why))
                found[row].append(fact)
        self.tally = tally
        return found


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    """Where each sentence stands that holds a word and asks nothing."""
    start = 0
    for stop, following in [*(match.span() for match in _END.finditer(text)), (len(text),) * 2]:
        sentence = text[start:stop].strip()
        if re.search(r"\w", sentence) and not sentence.endswith("?"):
            yield start, stop
        start = following


def _fact(record: Record, text: str, start: int, end: int) -> tuple[Fact | None, str]:
    """The fact of a record, or why it is none."""
    if record.value is None:
        return None, record.why
    who, relation, what = (" ".join(record.value[name].split()) for name in SCHEMA)
    itself = who.casefold() in ITSELF
    subject, thing = (_place(words, text, start, end) for words in (who, what))
    if thing is None or not (itself or subject):
        return None, "words that the sentence has not"
    if who.casefold() == what.casefold():
        return None, "subject and object are the same"
    (a, b), (c, d) = subject or thing, thing
    return Fact(None if itself else who, relation.casefold(), what, min(a, c), max(b, d)), ""


def _place(words: str, text: str, start: int, end: int) -> tuple[int, int] | None:
    """Where words stand in a part of a text, as whole words and without case."""
    pattern = rf"(?<!\w){re.escape(words)}(?!\w)"
    found = re.compile(pattern, re.IGNORECASE).search(text, start, end)
    return found.span() if found else None
