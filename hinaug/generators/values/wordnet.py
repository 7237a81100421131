"""Synonyms from the database files of WordNet (Miller, CACM 1995)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hinaug.errors import StoreError

FOLDER = "/usr/share/wordnet"
PARTS = ("noun", "verb", "adj", "adv")


def synonyms(folder: Any = FOLDER) -> dict[str, tuple[str, ...]]:
    """{word: synonyms} of the single words of WordNet, from its most used part of speech and sense.

    The index counts, for each word and part of speech, the senses that were met in tagged texts;
    the part with most of them is taken, and of it the first sense, which is the most frequent.
    About a second.

    folder: where index.noun, data.noun and so on are, such as that of Debian's wordnet-base.

    Raises StoreError where the files are not there or not of this kind.
    """
    folder = Path(folder)
    chosen: dict[str, tuple[int, str, int]] = {}
    data: dict[str, bytes] = {}
    try:
        for part in PARTS:
            data[part] = (folder / f"data.{part}").read_bytes()
            for line in (folder / f"index.{part}").read_text("ascii").splitlines():
                if not line.startswith(" "):
                    _take(line, part, chosen)
    except (OSError, ValueError, IndexError) as error:
        raise StoreError(
            f"{folder}: no WordNet database ({error}); pass a folder with index.noun, data.noun "
            "and the like, such as /usr/share/wordnet of the package wordnet-base",
            asked=str(folder),
        ) from error
    found = {}
    for word, (_, part, offset) in chosen.items():
        others = tuple(other for other in _synset(data[part], offset) if other != word)
        if others:
            found[word] = others
    return found


def _take(line: str, part: str, chosen: dict[str, tuple[int, str, int]]) -> None:
    """Keeps a line of an index where its part of speech is the one that is used most so far."""
    fields = line.split()
    word, n_pointers = fields[0], int(fields[3])
    tagged, offset = int(fields[5 + n_pointers]), int(fields[6 + n_pointers])
    if word.isalpha() and (word not in chosen or tagged > chosen[word][0]):
        chosen[word] = (tagged, part, offset)


def _synset(data: bytes, offset: int) -> list[str]:
    """The words of the synset that stands at an offset."""
    fields = data[offset : data.index(b"\n", offset)].decode("ascii").split()
    words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
    return [word.partition("(")[0] for word in words]
