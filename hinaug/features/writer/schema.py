"""A causal model held to a JSON Schema, token by token."""

from __future__ import annotations

import json
from functools import lru_cache
from math import ceil, floor
from typing import Any

import numpy as np

MOST_LISTED = (
    1000  # the largest range of whole numbers that is held to, not only checked afterwards
)


class Held:
    """Rules out, at each step of `generate`, the tokens after which no answer fits the schema.

    The schema becomes a regular expression, and this a machine whose states say which tokens may
    follow (Willard and Louf, arXiv:2307.09702; the library outlines_core). Each row of the batch
    has a state of its own; one that is complete can only end.

    Shapes: ids int64 [batch, tokens]; scores float [batch, vocabulary], changed in place.
    """

    def __init__(self, index: Any, end: int) -> None:
        self.index, self.end = index, end
        self.guides: list[Any] = []

    def __call__(self, ids: Any, scores: Any) -> Any:
        """The scores, with -inf for what is ruled out."""
        import torch

        if not self.guides:
            self.guides = [_guide(self.index) for _ in range(len(ids))]
        else:
            for guide, token in zip(self.guides, ids[:, -1].tolist(), strict=True):
                if not guide.is_finished():
                    guide.advance(token, return_tokens=False)
        bits = np.zeros((len(ids), -(-scores.shape[1] // 32)), np.uint32)
        for guide, row in zip(self.guides, bits, strict=True):
            if guide.is_finished():
                row[self.end // 32] = 1 << self.end % 32
            else:
                guide.write_mask_into(row.ctypes.data, row.size, row.itemsize)
        allowed = np.unpackbits(bits.astype("<u4").view(np.uint8), axis=1, bitorder="little")
        mask = torch.from_numpy(allowed[:, : scores.shape[1]] == 0).to(scores.device)
        return scores.masked_fill_(mask, -torch.inf)


def _guide(index: Any) -> Any:
    from outlines_core import Guide

    return Guide(index)


def index_of(tokenizer: Any, schema: dict[str, Any]) -> Any:
    """The machine of a schema for a tokenizer; ImportError without the extra "write".

    Special tokens, and those that are no whole characters, are never part of an answer. It takes
    some seconds for a vocabulary of 50,000; do it once a schema.
    """
    from outlines_core import Index
    from outlines_core.json_schema import build_regex_from_schema

    return Index(build_regex_from_schema(json.dumps(_listed(schema))), vocabulary_of(tokenizer))


def _listed(rule: Any) -> Any:
    """A schema with whole numbers between two bounds as lists: an expression has no bounds."""
    if not isinstance(rule, dict):
        return rule
    low, high = rule.get("minimum"), rule.get("maximum")
    if rule.get("type") != "integer" or "enum" in rule or low is None or high is None:
        return {name: _listed(part) for name, part in rule.items()}
    if high - low > MOST_LISTED:
        return rule
    return {"enum": list(range(ceil(low), floor(high) + 1))}


@lru_cache(maxsize=4)
def vocabulary_of(tokenizer: Any) -> Any:
    """What the tokens of a tokenizer say, as outlines_core wants it."""
    from outlines_core import Vocabulary

    special = set(tokenizer.all_special_ids)
    texts: dict[str, list[int]] = {}
    for token, number in tokenizer.get_vocab().items():
        text = tokenizer.convert_tokens_to_string([token])
        if token.startswith("\u2581") and not text.startswith(" "):  # SentencePiece's space
            text = " " + text
        if number not in special and text and "\ufffd" not in text:
            texts.setdefault(text, []).append(number)
    return Vocabulary(tokenizer.eos_token_id, texts)
