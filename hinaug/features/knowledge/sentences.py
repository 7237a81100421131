"""Facts that sentences state, by a parser of dependencies: who, does what, to what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from hinaug.errors import ParameterError
from hinaug.features.knowledge.dictionary import plain
from hinaug.features.text.locate import SPACY_INSTALL, spacy_folder
from hinaug.features.text.texts import texts_of
from hinaug.progress import track

PROPER = "PROPN"  # a name
MANY = ("they", "these")
ITSELF = ("it", "this", "these", "they")  # what a text is about, where nothing else can be meant
_POSSIBLE = (
    "would could might may should can must will 'll \u2019ll wo if unless whether wish hope "
    "believe think guess suppose doubt expect"
)
_NEGATIVE = "no not n't n\u2019t never neither nor nobody nothing none hardly barely"
UNREAL, NEGATIVE = frozenset(_POSSIBLE.split()), frozenset(_NEGATIVE.split())
SUBJECTS = ("nsubj", "nsubjpass")
LONGEST_PART = 10_000  # characters that are parsed together: a parser's memory grows with them
_END = re.compile(r"[.!?]\s+|\n\s*")
CLAUSE = ("mark", "advmod")  # what joins a clause, such as "if", or says how sure it is
INSTALL = f"pip install 'hinaug[nlp]' and {SPACY_INSTALL}"


class Fact(NamedTuple):
    """What one sentence states.

    subject: a noun phrase; None for what the text is about. relation: the verb, with its
    preposition where there is one, such as "come with". object: a noun phrase or an adjective.
    start, end: from the first to the last character of the three, in the text without entities.
    """

    subject: str | None
    relation: str
    object: str
    start: int
    end: int


@dataclass
class Sentences:
    """Reads facts from sentences by a model of spaCy (Honnibal et al., 2020), the extra "nlp".

    A fact is a verb with its subject and an object: a direct object, a complement ("is loud", "is a
    strap"), a noun after a preposition, or, in the passive, who does it. Both sides of "and" count.
    "It", "this" and "they" as a subject are what the text is about ("they" only where no other
    several things stand before it in the sentence); other pronouns are nobody, and their sentences
    are left out. Not facts are what is negated, asked, wished, believed, to come or only possible:
    verbs under "not", "never", "no", "if", "would", "will", "think" and the like, and sentences
    that end in a question mark. What stands before a verb, as in "in fact" and "at the end", is no
    object of it.

    model: a folder with a model of spaCy or an installed package; None for the small English one of
        a package.

    Raises ParameterError where there is no such model, or it has no parser.
    """

    model: Any = None
    _loaded: Any = field(default=None, init=False, repr=False, compare=False)

    def __call__(self, texts: Sequence[str | None]) -> list[list[Fact]]:
        """The facts of each text, in the order of their verbs."""
        given, _ = texts_of(texts)
        if self._loaded is None:
            self._loaded = _load(self.model)
        parts = [
            (row, start, part)
            for row, text in enumerate(given)
            for start, part in _parts(plain(text) if text else "")
        ]
        docs = self._loaded.pipe((part for *_, part in parts), batch_size=64)
        found: list[list[Fact]] = [[] for _ in given]
        for (row, start, _), doc in zip(
            parts, track(docs, "parsing", total=len(parts)), strict=True
        ):
            found[row] += [
                fact._replace(start=fact.start + start, end=fact.end + start)
                for fact in facts_of(doc)
            ]
        return found

    def __deepcopy__(self, memo: Any) -> Sentences:
        return self


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """A text in parts that a parser can hold, and where each begins; cut after a sentence."""
    start = 0
    while len(text) - start > LONGEST_PART:
        window = text[start : start + LONGEST_PART]
        ends = [match.end() for match in _END.finditer(window)] or [window.rfind(" ") + 1]
        stop = start + (ends[-1] or LONGEST_PART)
        yield start, text[start:stop]
        start = stop
    yield start, text[start:]


def facts_of(doc: Any) -> Iterator[Fact]:
    """The facts of a parsed text."""
    for sentence in doc.sents:
        if "?" not in sentence.text[-3:]:
            for verb in sentence:
                if verb.pos_ in ("VERB", "AUX") and verb.dep_ not in ("aux", "auxpass"):
                    yield from _facts_of_verb(verb)


def _facts_of_verb(verb: Any) -> Iterator[Fact]:
    subjects = _subjects(verb)
    if subjects and not _is_unreal(verb):
        objects = list(_objects(verb))
        for subject in subjects:
            for relation, thing in objects:
                fact = _fact(verb, subject, relation, thing)
                if fact is not None:
                    yield fact


def _fact(verb: Any, subject: Any, relation: str, thing: Any) -> Fact | None:
    """The fact of a subject and an object; None where one of them names nothing, or is none."""
    who, what = _name(subject), _name(thing)
    if who == "" or not what or what == who or _is_negated(thing, subject):
        return None
    tokens = [verb, *_phrase(subject), *_phrase(thing)]
    start = min(token.idx for token in tokens)
    end = max(token.idx + len(token.text) for token in tokens)
    if who is not None and thing.head.dep_ == "agent":  # the passive, turned around
        active = relation.removeprefix("be ").removesuffix(f" {thing.head.lower_}")
        return Fact(what, active, who, start, end)
    return Fact(who, relation, what, start, end)


# ---- who and what --------------------------------------------------------------------------------


def _subjects(verb: Any) -> list[Any]:
    """The subjects of a verb; those of the first verb for one that follows "and", the noun that a
    relative clause belongs to for "which", "that" and "who".
    """
    own = [child for child in verb.children if child.dep_ in SUBJECTS]
    if not own and verb.dep_ == "conj" and verb.head.pos_ in ("VERB", "AUX"):
        return _subjects(verb.head)
    if _is_participle(verb) if not own else _is_relative(verb, own[0]):
        own = [verb.head]
    return _with_conjuncts(own)


def _is_relative(verb: Any, subject: Any) -> bool:
    """Whether a subject stands for the noun before it, as in "a film that won"."""
    return verb.dep_ == "relcl" and subject.tag_ in ("WDT", "WP")


def _is_participle(verb: Any) -> bool:
    """Whether a verb is a passive after its noun, as in "a film made by him"."""
    return verb.dep_ == "acl" and verb.tag_ == "VBN"


def _objects(verb: Any) -> Iterator[tuple[str, Any]]:
    """(relation, head of the object) of all objects of a verb."""
    base = _verb_name(verb)
    for child in verb.children:
        if child.dep_ in ("attr", "acomp", "oprd"):
            yield from ((base, thing) for thing in _with_conjuncts([child]))
        elif child.dep_ in ("dobj", "obj"):
            yield from ((base, thing) for thing in _things([child]))
        elif child.dep_ in ("prep", "agent") and child.i > verb.i:
            yield from ((f"{base} {child.lower_}", thing) for thing in _things(child.children))


def _things(tokens: Iterable[Any]) -> list[Any]:
    """The objects among some words, and what is joined to them; an adjective names no thing."""
    objects = [token for token in tokens if token.dep_ in ("dobj", "obj", "pobj")]
    return [thing for thing in _with_conjuncts(objects) if thing.pos_ != "ADJ"]


def _verb_name(verb: Any) -> str:
    """The lemma, with its particle; a passive keeps its "be"."""
    particles = [child.lower_ for child in verb.children if child.dep_ == "prt"]
    passive = any(child.dep_ in ("auxpass", "nsubjpass") for child in verb.children)
    return " ".join(
        (["be"] if passive or _is_participle(verb) else []) + [verb.lemma_.lower(), *particles]
    )


def _with_conjuncts(tokens: list[Any]) -> list[Any]:
    """The tokens, and what is joined to each by "and"; of "or" and "but", nothing is sure."""
    found = []
    for token in tokens:
        others = [t for t in token.conjuncts if t.i > token.i]
        between = {
            child.lower_ for t in [token, *others] for child in t.children if child.dep_ == "cc"
        }
        found += [token, *others] if between <= {"and", "&"} else [token]
    return found


def _phrase(token: Any) -> list[Any]:
    """The words that name a thing: compounds, adjectives and numbers before it, and itself."""
    kept = ("compound", "amod", "nummod", "nmod")
    left = [
        part
        for child in token.lefts
        if child.dep_ in kept or (child.dep_ == "poss" and child.pos_ == "PROPN")
        for part in child.subtree
        if part.pos_ not in ("PUNCT", "DET", "PRON") or part.lower_ == "-"
    ]
    return [*left, token]


def _name(token: Any) -> str | None:
    """The name of a thing: names as they stand, other nouns by their lemma; None for what the text
    is about, "" for what names nothing.
    """
    if token.lower_ in ITSELF and token.dep_ in SUBJECTS:
        return "" if token.lower_ in MANY and _are_others(token) else None
    if token.pos_ not in ("PROPN", "NOUN", "ADJ", "NUM"):
        return ""
    if _is_itself(token):
        return None
    return _written(token)


def _written(token: Any) -> str:
    """The words that name a thing, joined as in the text."""
    phrase = _phrase(token)
    words = [part.text if PROPER in (part.pos_, token.pos_) else part.lower_ for part in phrase]
    words[-1] = token.text if token.pos_ == PROPER else token.lemma_.lower()
    ends = [None, *(part.idx + len(part.text) for part in phrase[:-1])]
    gaps = ["" if part.idx == end else " " for part, end in zip(phrase, ends, strict=True)]
    return "".join(gap + word for word, gap in zip(words, gaps, strict=True)).strip()


def _are_others(token: Any) -> bool:
    """Whether several things stand before a word in its sentence, which it may mean."""
    before = token.doc[token.sent.start : token.i]
    return any(
        word.tag_ in ("NNS", "NNPS") or (word.pos_ in ("NOUN", PROPER) and word.conjuncts)
        for word in before
    )


def _is_itself(token: Any) -> bool:
    """Whether a subject is "this strap", "these pedals": a demonstrative before a bare noun."""
    return token.dep_ in SUBJECTS and any(
        child.dep_ == "det" and child.lower_ in ("this", "these") for child in token.lefts
    )


# ---- what is no fact -----------------------------------------------------------------------------


def _is_unreal(verb: Any) -> bool:
    """Whether a verb is negated, only possible, or under a condition."""
    for word in (verb, *_governors(verb)):
        if any(_is_doubt(near) for near in (word, *_near(word))):
            return True
    return verb.tag_ == "VB" and not any(c.dep_ in ("aux", *SUBJECTS) for c in verb.children)


def _near(verb: Any) -> Iterator[Any]:
    """The words that say whether a verb, or a clause that hangs on it, is so."""
    yield from (child for child in verb.children if child.dep_ in ("aux", "neg", *CLAUSE))
    for clause in [child for child in verb.children if child.dep_ == "advcl"]:
        yield from (child for child in clause.children if child.dep_ in CLAUSE)


def _is_doubt(word: Any) -> bool:
    return word.lower_ in UNREAL or word.lower_ in NEGATIVE or word.lemma_.lower() in UNREAL


def _governors(verb: Any) -> Iterator[Any]:
    """What a verb depends on, as in "I wish it had", "if it is big and has", "not sure it has"."""
    while verb.dep_ in ("conj", "ccomp", "xcomp", "advcl", "acomp") and verb.head is not verb:
        verb = verb.head
        yield verb


def _is_negated(*things: Any) -> bool:
    """Whether one of the things is none, as in "no case" and "nothing"."""
    return any(
        word.lower_ in NEGATIVE
        for thing in things
        for word in (thing, *(child for child in thing.children if child.i < thing.i))
    )


def _load(model: Any) -> Any:
    try:
        import spacy
    except ImportError as error:
        raise ParameterError(
            "Sentences needs the extra 'nlp': pip install 'hinaug[nlp]'"
        ) from error
    place = _folder(model)
    try:
        loaded = spacy.load(place, exclude=["ner"])
    except OSError as error:
        raise ParameterError(
            f"Sentences: {model!r} is no model of spaCy ({error}); {INSTALL}, or pass a folder",
            asked=model,
        ) from error
    if "parser" not in loaded.pipe_names:
        raise ParameterError(
            f"Sentences: the model {model!r} has no parser; it has {loaded.pipe_names}",
            asked=model,
            there=loaded.pipe_names,
        )
    return loaded


def _folder(model: Any) -> Any:
    """The folder of a model: itself, or the one inside of a package that has its settings."""
    if model is None:
        try:
            return spacy_folder()
        except FileNotFoundError as error:
            raise ParameterError(f"Sentences: {error}", asked=model) from error
    place = Path(model)
    if place.is_dir() and not (place / "config.cfg").exists():
        inside = sorted(place.glob("*/config.cfg")) + sorted(place.glob("*/*/config.cfg"))
        return inside[0].parent if inside else place
    return place if place.exists() else str(model)
