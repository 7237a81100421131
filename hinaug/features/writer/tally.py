"""What came of the answers of a writer, and what each accepted row cost."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hinaug.features.writer.facts import CLOSE, OPEN
from hinaug.features.writer.records import cut

_REFUSES = re.compile(
    r"^\W*(i['\u2019]?m sorry|i am sorry|sorry|i can(no|['\u2019])t|i am (not able|unable)|"
    r"i['\u2019]?m (not able|unable)|as an ai\b)",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"^\s*(sure|certainly|of course|here( it)?(['\u2019]s| is| are))\b[^:\n]{0,120}:\s*",
    re.IGNORECASE,
)


@dataclass
class Tally:
    """Counts of one call of `generate`.

    asked: prompts. accepted, repaired, refused: rows; the repaired are among the accepted. why:
    how often each reason was the one for a refusal. seconds: the time that it took. tokens, cost:
    what the writer says that it used, 0 where it says nothing.

    Example
    -------
    >>> print(Tally(asked=4, accepted=2, repaired=1, refused=2, seconds=3.0, tokens=50))
    4 prompts: 2 rows accepted (1 repaired), 2 refused; a row took 1.5 s, 25 tokens, cost 0
    """

    asked: int = 0
    accepted: int = 0
    repaired: int = 0
    refused: int = 0
    seconds: float = 0.0
    tokens: int = 0
    cost: float = 0.0
    why: Counter[str] = field(default_factory=Counter)

    def accept(self, repaired: bool) -> None:
        """Counts one accepted row."""
        self.accepted += 1
        self.repaired += repaired

    def refuse(self, why: str) -> None:
        """Counts one refusal."""
        self.refused += 1
        self.why[why] += 1

    def take(self, answers: Iterable[tuple[Any, str]]) -> None:
        """Counts pairs of an accepted value and what was repaired, or of None and why."""
        for value, note in answers:
            if value is None:
                self.refuse(note)
            else:
                self.accept(bool(note))

    @contextmanager
    def counting(self, writer: Any, prompts: int) -> Iterator[None]:
        """Counts prompts, and the time and cost of what is written inside the block."""
        self.asked += prompts
        began, before = time.monotonic(), _spent(writer)
        try:
            yield
        finally:
            self.seconds += time.monotonic() - began
            after = _spent(writer)
            self.tokens += int(after[0] - before[0])
            self.cost += after[1] - before[1]

    def __str__(self) -> str:
        n = max(self.accepted, 1)
        return (
            f"{self.asked:,} prompts: {self.accepted:,} rows accepted ({self.repaired:,} repaired)"
            f", {self.refused:,} refused; a row took {self.seconds / n:.2g} s, "
            f"{self.tokens / n:,.0f} tokens, cost {self.cost / n:.2g}"
        )


def prose(text: str, longest: int) -> tuple[str | None, str]:
    """A written text as one line of prose, and what was repaired; (None, why) where it is none.

    Example
    -------
    >>> prose('Sure, here it is: "A loud amp."', 40)
    ('A loud amp.', 'tidied')
    >>> prose("I cannot help with that.", 40)
    (None, 'the writer declines')
    """
    said = text.strip()
    if _REFUSES.match(said):
        return None, "the writer declines"
    bare = _LEAD.sub("", said.removeprefix("```text").strip("` \n"))
    bare = " ".join(bare.replace(OPEN, " ").replace(CLOSE, " ").split())
    if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'":
        bare = bare[1:-1].strip()
    if not any(c.isalnum() for c in bare):
        return None, "no words"
    kept = cut(bare, longest)
    return kept, "" if kept == said else "cut" if kept != bare else "tidied"


def _spent(writer: Any) -> tuple[int, float]:
    """Tokens and cost that a writer, or the one inside of it, says it has used."""
    usage = getattr(writer, "usage", None) or getattr(
        getattr(writer, "writer", None), "usage", None
    )
    if usage is None:
        return 0, 0.0
    return usage.prompt_tokens + usage.answer_tokens, usage.cost
