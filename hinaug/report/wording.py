"""The names and sentences that the page, the terminal and the log of a run share."""

from __future__ import annotations

import re

from hinaug.evaluation import Comparison

ARMS = ("plain", "random", "augmented")
METRICS = ("NDCG@20", "Recall@20", "MAP@20", "Hit@10")
LEVEL = 0.005  # of a p after correction; anything above counts as nothing found


def verdict(plain: Comparison, random: Comparison, p: float, p_random: float) -> str:
    """The sentence that a reader should take away.

    plain, p: augmented - plain, and its p after correction.
    random, p_random: augmented - random, and its p after correction.
    """
    change = (
        f"NDCG@20 {plain.mean_a:.4f} -> {plain.mean_b:.4f}, {100 * plain.relative:+.1f} %, "
        f"p = {p:.2g}"
    )
    beside = (
        f"{100 * random.relative:+.1f} % over a random delta of the same size, p = {p_random:.2g}"
    )
    if not p < LEVEL:
        return f"the augmentation does not help: no difference could be shown ({change})"
    if plain.difference < 0:
        return f"the augmentation HURTS ({change}; {beside})"
    if not p_random < LEVEL or random.difference < 0:
        return f"it rises ({change}), but not beyond chance over the control ({beside})"
    return f"the augmentation helps ({change}; {beside})"


def brief(settings: str) -> str:
    """The repr of a model without its relation and what was left at nothing."""
    settings = re.sub(r"relation=\([^)]*\)(, )?", "", settings)
    return re.sub(r"\b\w+=(None|\(\))(, |(?=\)))", "", settings).replace(", )", ")")


def plural(name: str, n: int) -> str:
    """seed for 1, seeds for any other count."""
    return name if n == 1 else f"{name}s"
