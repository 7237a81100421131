"""Words of a text that no rewriting may change: numbers, negations, ids and names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable


def words_of(text: str) -> frozenset[str]:
    """The words of a list that is written as text."""
    return frozenset(text.split())


NEGATIONS = words_of(
    "no not never none nothing nobody nowhere nor neither without cannot hardly barely "
    "scarcely rarely seldom lack lacks lacked lacking unless except few little less least "
    "fail fails failed aint dont doesnt didnt isnt wasnt arent werent wont wouldnt cant "
    "couldnt shouldnt hasnt havent hadnt"
)
NUMBERS = words_of(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy "
    "eighty ninety hundred hundreds thousand thousands million millions billion dozen dozens "
    "half halves quarter quarters third thirds first second seconds fourth fifth once twice "
    "thrice double triple pair single both"
)
_PLAIN = re.compile(r"[^\W\d_]+")
_WORD = re.compile(r"\S+")
_EDGES = "\"'()[]{}<>.,;:!?*-\u2026\u201c\u201d\u2018\u2019"
_SENTENCE_ENDS = ".!?:\u2026"


class Guards:
    """Which words may be changed: plain words in lower case, outside of the lists and names.

    names: further words or phrases to protect, such as titles; each of their words is.

    Example
    -------
    >>> guards = Guards(["acme strap"])
    >>> [word for word in "Not a cheap acme strap from A-1 for two".split() if guards.free(word)]
    ['a', 'cheap', 'from', 'for']
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        words = (word.casefold() for name in names for word in _PLAIN.findall(name))
        self.names = frozenset(words)
        self._fixed = NEGATIONS | NUMBERS | self.names

    def free(self, word: str) -> bool:
        """Whether a word, as it stands between two spaces, may be changed or put in."""
        return word.isalpha() and word.islower() and word not in self._fixed

    def protected(self, text: str) -> Counter[str]:
        """How often each protected word stands in a text, whatever its form and place.

        A capital letter makes a name, but not at the start of a sentence; "don't", "cannot" and
        "not" are one negation.

        Example
        -------
        >>> sorted(Guards().protected("It doesn't fit. Sold by Acme for $12.50").elements())
        ['12.50', 'Acme', 'not']
        """
        found: Counter[str] = Counter()
        starts = True
        for chunk in _WORD.findall(text):
            word = chunk.strip(_EDGES + "$\u20ac\u00a3")
            if word:
                kept = self._kept(word, starts)
                found[kept] += bool(kept)
                starts = chunk[-1] in _SENTENCE_ENDS
        return +found

    def _kept(self, word: str, starts: bool) -> str:
        """What is counted of a word; nothing for a free one."""
        lower = word.casefold().replace("\u2019", "'")
        if lower.endswith("n't") or lower == "cannot":
            return "not"
        if lower in self._fixed:
            return lower
        if any(c.isdigit() or c in "_@/\\#" for c in word):
            return word
        return word if _is_name(word[1:] if starts else word, lower) else ""


def _is_name(letters: str, word: str) -> bool:
    """Whether a capital letter makes a name; the word "I" and its short forms are none."""
    return any(c.isupper() for c in letters) and word != "i" and not word.startswith("i'")
