"""The names and sentences that the page, the terminal and the log of a run share."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from hinaug.evaluation import Comparison

ARMS = ("plain", "random", "augmented")
METRICS = ("NDCG@20", "Recall@20", "MAP@20", "Hit@10")
LEVEL = 0.005  # of a p after correction, for a verdict
RULE = (  # what stands below a table of comparisons
    "p: a test over users and fits (or splits), Holm-corrected over the table. A verdict needs "
    f"p < {LEVEL}, and eight fits (or splits) where they vary."
)


def verdict(plain: Comparison, random: Comparison, p: float | None, p_random: float | None) -> str:
    """The sentence that a reader should take away.

    plain, p: augmented - plain, and its p after correction; None where it was not tested.
    random, p_random: augmented - random, and its p after correction.
    """
    basis, where = plain.basis(p), plain.where()
    beside = (
        f"{100 * random.relative:+.1f} % over a random delta of the same size, p = "
        f"{shown(p_random, 2)}"
    )
    outcome = plain.outcome(LEVEL, p)
    if outcome == "no verdict":
        return f"no verdict on the augmentation {where}: {basis}; {plain.reason(LEVEL, p)}"
    if outcome == "hurts":
        return f"the augmentation HURTS {where}: {basis}; {beside}"
    if random.outcome(LEVEL, p_random) != "helps":
        return (
            f"it rises {where}: {basis}; but a gain over the control could not be shown: {beside}"
        )
    return f"the augmentation helps {where}: {basis}; {beside}"


def outcome(plain: Comparison, random: Comparison, p: float | None, p_random: float | None) -> Any:
    """helps (beyond plain and beyond the control), hurts, no gain, or no verdict."""
    found = plain.outcome(LEVEL, p)
    if found == "helps" and random.outcome(LEVEL, p_random) != "helps":
        return "no gain"
    return found


def change(before: float, after: float) -> str:
    """The change in percent of what was before; the value itself where that was nothing."""
    if not before:
        return f"0 → {after:.3f}" if after else "no change"
    return f"{100 * (after / before - 1):+.1f} %"


def shown(p: float | None, digits: int = 1) -> str:
    """p with so many digits; a dash where there was no test."""
    return "–" if p is None else f"{p:.{digits}g}"


def brief(settings: str) -> str:
    """The repr of a model without its relation and what was left at nothing."""
    settings = re.sub(r"relation=\([^)]*\)(, )?", "", settings)
    return re.sub(r"\b\w+=(None|\(\))(, |(?=\)))", "", settings).replace(", )", ")")


def plural(name: str, n: int) -> str:
    """seed for 1, seeds for any other count."""
    return name if n == 1 else f"{name}s"


def clean(text: Any) -> str:
    """Text from data without what no page may hold: control characters, halves of surrogate pairs,
    and marks that turn the direction of what follows.
    """
    return "".join("\ufffd" if _is_unfit(c) else c for c in str(text))


def _is_unfit(character: str) -> bool:
    category = unicodedata.category(character)
    if category == "Cf":
        return unicodedata.bidirectional(character) not in ("BN", "L", "R", "AL")
    return category in ("Cc", "Cs", "Cn") and character not in "\n\t"


def shortened(text: str, n: int) -> str:
    """The text, or its first n - 1 characters and an ellipsis."""
    return text if len(text) <= n else f"{text[: n - 1]}…"
