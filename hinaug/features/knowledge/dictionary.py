"""Names in texts: the longest match of a dictionary at each place."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from hinaug.errors import ParameterError
from hinaug.features.text.texts import texts_of
from hinaug.progress import track

_TOKEN = re.compile(r"\w+")
_END = ""  # the key of a trie under which the number of a name stands; no token is empty


class Dictionary:
    """Finds names and synonyms in texts: at each place the longest one, from left to right.

    Names and texts are cut into words (letters, digits, underscores), compared without case; what
    stands between two words is not compared, so "x-ray" finds "X ray". A word is a whole one. HTML
    entities are read first, so spans are those of `html.unescape(text)`. The names form a trie of
    words (a dictionary of dictionaries), so a text costs one step a word however many names there
    are: 40,000 names in 16,000 definitions take about a second.

    Parameters
    ----------
    names
        {name: id}, or pairs (name, id); a name of several ids keeps the first. One id may have
        several names.
    least_letters
        Names of fewer letters are left out: "it" and "all" are titles too.

    Raises ParameterError where no name is left.

    Example
    -------
    >>> names = Dictionary({"blue guitar": "i1", "guitar": "i2", "AT&T": "i3"})
    >>> names.find(["A Blue-Guitar, guitars, the guitar &amp; AT&amp;T"]).to_pylist()[0]
    {'row': 0, 'start': 2, 'end': 13, 'id': 'i1'}
    """

    def __init__(
        self, names: Mapping[str, Any] | Iterable[tuple[str, Any]], least_letters: int = 3
    ) -> None:
        self._root: dict[str, Any] = {}
        self._ids: list[str] = []
        pairs = names.items() if isinstance(names, Mapping) else names
        for name, id in pairs:
            words = _TOKEN.findall(html.unescape(name).casefold())
            if sum(map(len, words)) >= least_letters:
                self._add(words, str(id))
        if not self._ids:
            raise ParameterError(
                f"Dictionary: no name of at least {least_letters} letters; give names, or lower "
                "least_letters",
                asked=least_letters,
            )

    def _add(self, words: Sequence[str], id: str) -> None:
        node = self._root
        for word in words:
            node = node.setdefault(word, {})
        if _END not in node:
            node[_END] = len(self._ids)
            self._ids.append(id)

    def find(self, texts: Sequence[str | None]) -> pa.Table:
        """What is found: "row" (of the text), "start", "end" (characters), "id"; by row and place.

        None is a text without words.
        """
        found: list[tuple[int, int, int, int]] = []
        given, _ = texts_of(texts)
        for row, text in enumerate(track(given, "reading")):
            if text:
                words, spans = _words(text)
                found += [
                    (row, spans[at][0], spans[last][1], name)
                    for at, last, name in self._matches(words)
                ]
        numbers = np.array(found, np.int64).reshape(-1, 4)
        ids = pa.array(self._ids, pa.string()).take(pa.array(numbers[:, 3]))
        columns = {name: numbers[:, k] for k, name in enumerate(("row", "start", "end"))}
        return pa.table({**columns, "id": ids})

    def _matches(self, words: list[str]) -> Iterator[tuple[int, int, int]]:
        """(first word, last word, number of the name) of each match."""
        root, at, n = self._root, 0, len(words)
        while at < n:
            node, step, match = root.get(words[at]), at, None
            while node is not None:
                if _END in node:
                    match = (at, step, node[_END])
                step += 1
                node = node.get(words[step]) if step < n else None
            if match is not None:
                yield match
                at = match[1]
            at += 1


def _words(text: str) -> tuple[list[str], list[tuple[int, int]]]:
    """The words of a text without case, and where each stands."""
    text = plain(text)
    spans = [match.span() for match in _TOKEN.finditer(text)]
    lower = text.casefold() if len(text.casefold()) == len(text) else text.lower()
    if len(lower) != len(text):  # a letter whose small form has another length
        return [text[a:b].casefold() for a, b in spans], spans
    return [lower[a:b] for a, b in spans], spans


def plain(text: str) -> str:
    """The text with its HTML entities read, and a question mark for half of a surrogate pair.

    Example
    -------
    >>> plain("Tom &amp; Jerry&#39;s")
    "Tom & Jerry's"
    """
    text = html.unescape(text) if "&" in text else text
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
