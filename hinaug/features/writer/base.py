"""What a writer is, and how one is asked for texts and for choices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol, TypeGuard

import numpy as np

from hinaug.checks import kind
from hinaug.errors import KindError, ParameterError, WriterError

Choices = Sequence[str] | Sequence[Sequence[str]]


class Writer(Protocol):
    """Any callable that takes a list of prompts and gives a list of texts, one a prompt.

    Example
    -------
    >>> writer = lambda prompts: [prompt.upper() for prompt in prompts]
    >>> ask(writer, ["a guitar"])
    ['A GUITAR']
    """

    def __call__(self, prompts: list[str], /) -> list[str]:
        """One text for each prompt, in their order."""
        ...


class Weighs(Protocol):
    """A writer that also says how likely it would write each of some given answers."""

    def likelihoods(self, prompts: list[str], choices: Choices) -> np.ndarray:
        """log p(choice | prompt), float64 [prompts, choices]."""
        ...


def weighs(writer: Any) -> TypeGuard[Weighs]:
    """Whether a writer has `likelihoods`."""
    return callable(getattr(writer, "likelihoods", None))


def ask(writer: Writer, prompts: Sequence[str]) -> list[str]:
    """The texts that a writer gives for some prompts, checked to be one text a prompt.

    Raises KindError where the writer is not callable or an answer is no text, and WriterError where
    it gives more or fewer answers than there are prompts.
    """
    if not callable(writer):
        raise KindError(
            f"writer={kind(writer)}: a callable is needed that takes a list of prompts and gives a "
            "list of texts",
            asked=kind(writer),
        )
    if not prompts:
        return []
    answers = writer(list(prompts))
    if not isinstance(answers, list | tuple):
        raise KindError(
            f"the writer gives {kind(answers)}; a list of texts is needed, one a prompt",
            asked=kind(answers),
        )
    if len(answers) != len(prompts):
        raise WriterError(
            f"the writer gives {len(answers):,} texts for {len(prompts):,} prompts; give one a "
            "prompt, in their order",
            asked=len(answers),
            there=len(prompts),
        )
    wrong = [kind(answer) for answer in answers if not isinstance(answer, str)]
    if wrong:
        raise KindError(f"the writer gives {wrong[0]} as an answer; texts are needed", asked=wrong)
    return list(answers)


def choose(
    writer: Writer, prompts: Sequence[str], choices: Choices, *, centre: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Which of the choices a writer takes for each prompt, int64 [n], and how sure it is, [n].

    A writer that has `likelihoods` writes nothing. With l_ij = log p(choice j | prompt i), the
    answer is the j of the largest l_ij - mean_i l_ij, since a model prefers some words whatever
    the prompt says. Its sureness is the softmax of these. Any other writer is asked for a text,
    which must name exactly one of the choices; else the answer is -1 and its sureness 0.

    Parameters
    ----------
    writer
        Any writer.
    prompts
        One question each.
    choices
        The texts to choose from: one list for all prompts, or one list a prompt, all of the same
        length. Means are taken only where all prompts share the list.
    centre
        Whether the mean over the prompts is subtracted.

    Raises ParameterError for fewer than two choices, and for lists of unlike lengths.

    Example
    -------
    >>> writer = lambda prompts: ["Loud." if "amp" in p else "no idea" for p in prompts]
    >>> answer, sure = choose(writer, ["an amp", "a tent"], ["loud", "quiet"])
    >>> answer.tolist(), sure.tolist()
    ([0, -1], [1.0, 0.0])
    """
    lists = lists_of(choices, len(prompts))
    if not prompts:
        return np.zeros(0, np.int64), np.zeros(0)
    if weighs(writer):
        logs = np.asarray(writer.likelihoods(list(prompts), choices), np.float64)
        if centre and isinstance(choices[0], str):
            logs = centred(logs)
        return logs.argmax(axis=1), softmax(logs).max(axis=1)
    answers = ask(writer, prompts)
    named = [named_in(text, words) for text, words in zip(answers, lists, strict=True)]
    found = np.array(named, np.int64)
    return found, (found >= 0).astype(np.float64)


def centred(logs: np.ndarray) -> np.ndarray:
    """Log-likelihoods [n, c] less the mean of each choice over the prompts.

    With one prompt there is nothing to compare with, so they stay as they are.

    Example
    -------
    >>> centred(np.array([[-1.0, -5.0], [-3.0, -5.0]])).tolist()
    [[1.0, 0.0], [-1.0, 0.0]]
    """
    return logs - logs.mean(axis=0) if len(logs) > 1 else logs


def softmax(logs: np.ndarray) -> np.ndarray:
    """exp(l) / sum exp(l) over each row, [n, c]."""
    shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def lists_of(choices: Choices, n: int) -> list[list[str]]:
    """The choices as one list a prompt, checked."""
    if choices and isinstance(choices[0], str):
        lists = [[str(word) for word in choices]] * n
    else:
        lists = [list(words) for words in choices]
    lengths = sorted({len(words) for words in lists})
    if len(lists) != n or len(lengths) > 1 or (lengths and lengths[0] < 2):
        raise ParameterError(
            f"choices: one list of at least two texts is needed, or one such list for each of the "
            f"{n:,} prompts, all of one length; got {len(lists):,} of lengths {lengths}",
            asked=lengths,
            there=n,
        )
    return lists


def named_in(text: str, choices: Sequence[str]) -> int:
    """The place of the one choice that a text names, -1 where it names none or several.

    A choice that is part of another one that the text names does not count.
    """
    said = text.casefold().strip()
    words = [choice.casefold().strip() for choice in choices]
    if said in words:
        return words.index(said)
    spans = [span for at, word in enumerate(words) if word for span in _spans(word, at, said)]
    outer = {at for *span, at in spans if not any(_holds(other, span) for other in spans)}
    return outer.pop() if len(outer) == 1 else -1


def _spans(word: str, at: int, text: str) -> list[tuple[int, int, int]]:
    """Where a word stands in a text, and which word it is."""
    pattern = rf"(?<!\w){re.escape(word)}(?!\w)"
    return [(match.start(), match.end(), at) for match in re.finditer(pattern, text)]


def _holds(other: tuple[int, int, int], span: list[int]) -> bool:
    """Whether a span lies inside of a longer one."""
    (start, end, _), (a, b) = other, span
    return start <= a and b <= end and (start, end) != (a, b)
