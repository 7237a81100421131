"""Texts in other words: by rules, by a masked language model, by any callable; always guarded."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from hinaug import checks
from hinaug.checks import INSIDE, Limits, Rng
from hinaug.errors import ParameterError
from hinaug.features import kinds
from hinaug.features.writer.base import ask
from hinaug.features.writer.tally import Tally
from hinaug.generators.base import Generator, resolve_size
from hinaug.generators.values.guards import Guards, words_of
from hinaug.generators.values.wordnet import FOLDER, synonyms
from hinaug.graph import arrow as tb
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN

RULES = ("delete", "swap", "insert", "replace")
COMMON = words_of(
    "a an the and or but if so as at by for from in into of on onto out over to up with is "
    "are was were be been being am do does did done have has had having will would can could "
    "may might must shall should it its he him his she her hers we us our they them their you "
    "your i me my this that these those there here what which who whom when where why how "
    "than then too very just also about after before all any each other such only own same "
    "some more most"
)  # words that have no synonyms in use


@dataclass
class Paraphrase:
    """A text with some of its words deleted, swapped, added to or replaced by synonyms.

    The rules of EDA (Wei and Zou, EMNLP 2019), one of them drawn for each text, on `share` of its
    words: "delete" leaves words out, "swap" exchanges neighbours, "insert" puts a synonym of one of
    the words at a random place, "replace" puts a synonym in a word's place. Synonyms come from
    WordNet. Numbers, negations, ids and names are guarded on both sides: such a word is never
    touched, and none comes in, as a synonym may be one itself.

    It is no gain: with half of the reviews so rewritten, EASE with their mean vectors lost 2.0 %
    (p = .07), after a refit .6 % (p = .54); with other reviews in their place 11 and 7 %.

    Parameters
    ----------
    rules
        One or several of "delete", "swap", "insert", "replace".
    share
        Share of the words that is changed, at least one word where any may be.
    names
        Words and phrases to protect, beside all words with a capital letter.
    wordnet
        The folder of the database, for "insert" and "replace".

    Cost: over 10,000 reviews of 90 words a second on one thread.

    Example
    -------
    >>> Paraphrase(rules=("swap",), share=0.3)(["not a very good strap for 2 guitars"], rng=0)
    ['not very a good strap for 2 guitars']
    """

    rules: Sequence[str] = RULES
    share: float = 0.1
    names: Sequence[str] = ()
    wordnet: Any = FOLDER
    _synonyms: dict[str, tuple[str, ...]] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        unknown = [rule for rule in self.rules if rule not in RULES]
        if unknown or not self.rules:
            raise ParameterError(
                f"Paraphrase: rules={self.rules!r}; some of {RULES}", asked=unknown, there=RULES
            )
        if not checks.is_number(self.share) or self.share not in INSIDE:
            raise ParameterError(f"Paraphrase: share={self.share!r}; it must be {INSIDE}")
        self.guards = Guards(self.names)

    def __call__(self, texts: Sequence[str], rng: Rng = None) -> list[str]:
        """Each text in other words; one without a word that may change stays as it is."""
        draws = checks.generator(rng, "Paraphrase")
        chance = random.Random(int(draws.integers(2**63)))
        if {"insert", "replace"} & set(self.rules):
            self._load()
        methods = [getattr(self, f"_{rule}") for rule in self.rules]
        free = _Kept(self.guards.free)
        return [self._rewritten(text, methods, free, chance) for text in texts]

    def _load(self) -> None:
        """The synonyms, both sides guarded."""
        if self._synonyms is None:
            free, found = self.guards.free, {}
            for word, others in synonyms(self.wordnet).items():
                kept = tuple(other for other in others if free(other))
                if kept and word not in COMMON and free(word):
                    found[word] = kept
            self._synonyms = found

    def _rewritten(
        self, text: str, methods: list[Callable], free: _Kept, chance: random.Random
    ) -> str:
        words = text.split(" ")
        n = max(1, round(self.share * len(words)))
        method = methods[int(chance.random() * len(methods))] if len(methods) > 1 else methods[0]
        method(words, n, free, chance)
        return " ".join(words)

    def _delete(self, words: list[str], n: int, free: _Kept, chance: random.Random) -> None:
        # not the word before a guarded one, which would then stand at another place of a sentence
        for i in sorted(_some(_free_pairs(words, free), n, chance), reverse=True):
            del words[i]

    def _swap(self, words: list[str], n: int, free: _Kept, chance: random.Random) -> None:
        for i in _some(_free_pairs(words, free), max(1, n // 2), chance):  # a swap moves two words
            words[i], words[i + 1] = words[i + 1], words[i]

    def _insert(self, words: list[str], n: int, free: _Kept, chance: random.Random) -> None:
        new = []
        for i, other in self._others(words, n, chance):
            place = int(chance.random() * len(words))
            new.append((place if free[words[place]] else i, other))  # before a free word
        for place, other in sorted(new, reverse=True):
            words.insert(place, other)

    def _replace(self, words: list[str], n: int, free: _Kept, chance: random.Random) -> None:
        for i, other in self._others(words, n, chance):
            words[i] = other

    def _others(self, words: list[str], n: int, chance: random.Random) -> list[tuple[int, str]]:
        """Some places of words with a synonym, and a synonym of each."""
        known = self._synonyms or {}
        at = _some([i for i, word in enumerate(words) if word in known], n, chance)
        return [(i, _one(known[words[i]], chance)) for i in at]


class _Kept(dict):
    """What a function says of each word, asked once a word."""

    def __init__(self, function: Callable[[str], bool]) -> None:
        self.function = function

    def __missing__(self, word: str) -> bool:
        self[word] = value = self.function(word)
        return value


def _free_pairs(words: list[str], free: _Kept) -> list[int]:
    """Places of words that may change, before a word that may change too."""
    is_free = [free[word] for word in words]
    return [i for i in range(len(words) - 1) if is_free[i] and is_free[i + 1]]


def _one(values: Sequence[str], chance: random.Random) -> str:
    return values[int(chance.random() * len(values))]


def _some(at: list[int], n: int, chance: random.Random) -> list[int]:
    """n of the places at random, each once; all where there are no more."""
    n = min(n, len(at))
    for i in range(n):
        j = i + int(chance.random() * (len(at) - i))
        at[i], at[j] = at[j], at[i]
    return at[:n]


@dataclass
class MaskedParaphrase:
    """A text with some of its words replaced by what a masked language model would say there.

    All chosen words of a text are masked together; each becomes the likeliest whole word that is
    another one and is not guarded, see `Paraphrase`. A word without such an answer stays.

    Parameters
    ----------
    model
        A folder with a masked language model and its tokenizer, or a name on the hub.
    share
        Share of the words that is replaced.
    names
        Words and phrases to protect.
    batch_size
        Texts at a time.
    tries
        How many of the likeliest words are looked at.
    """

    model: Any
    share: float = 0.1
    names: Sequence[str] = ()
    batch_size: int = 16
    tries: int = 20
    _loaded: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not checks.is_number(self.share) or self.share not in INSIDE:
            raise ParameterError(f"MaskedParaphrase: share={self.share!r}; it must be {INSIDE}")
        self.guards = Guards(self.names)

    def __call__(self, texts: Sequence[str], rng: Rng = None) -> list[str]:
        """Each text in other words."""
        draws = checks.generator(rng, "MaskedParaphrase")
        chance = random.Random(int(draws.integers(2**63)))
        split = [text.split(" ") for text in texts]
        places = [sorted(self._places(words, chance)) for words in split]
        for start in range(0, len(split), self.batch_size):
            part = slice(start, start + self.batch_size)
            self._fill(split[part], places[part])
        return [" ".join(words) for words in split]

    def __deepcopy__(self, memo: Any) -> MaskedParaphrase:
        return self  # the weights are large, and nothing changes them

    def _places(self, words: list[str], chance: random.Random) -> list[int]:
        at = [i for i, w in enumerate(words) if self.guards.free(w) and w not in COMMON]
        return _some(at, max(1, round(self.share * len(words))), chance)

    def _parts(self) -> tuple[Any, Any]:
        if self._loaded is None:
            from transformers import AutoModelForMaskedLM, AutoTokenizer

            try:
                tokenizer = AutoTokenizer.from_pretrained(self.model)
                self._loaded = tokenizer, AutoModelForMaskedLM.from_pretrained(self.model).eval()
            except (OSError, ValueError) as error:
                raise ParameterError(
                    f"MaskedParaphrase: {str(self.model)!r} is no folder with a masked language "
                    "model and its tokenizer, and no name that the hub gives. "
                    f"{type(error).__name__}: {str(error)[:300]}",
                    asked=str(self.model),
                ) from error
        return self._loaded

    def _fill(self, split: list[list[str]], places: list[list[int]]) -> None:
        """Puts new words into some texts at their places."""
        import torch

        tokenizer, model = self._parts()
        masked = [
            " ".join(tokenizer.mask_token if i in at else word for i, word in enumerate(words))
            for words, at in ((words, set(at)) for words, at in zip(split, places, strict=True))
        ]
        most = min(tokenizer.model_max_length, model.config.max_position_embeddings - 2)
        asked = tokenizer(
            masked, padding=True, truncation=True, max_length=most, return_tensors="pt"
        )
        with torch.inference_mode():
            logits = model(**asked).logits
        row, column = torch.nonzero(asked["input_ids"] == tokenizer.mask_token_id, as_tuple=True)
        best = logits[row, column].topk(min(self.tries, logits.shape[-1])).indices.tolist()
        # a text that was cut has fewer masks than places: the first ones
        met = [0] * len(split)
        for text, tokens in zip(row.tolist(), best, strict=True):
            at = places[text][met[text]]
            met[text] += 1
            split[text][at] = self._likeliest(tokens, split[text][at], tokenizer)

    def _likeliest(self, tokens: list[int], old: str, tokenizer: Any) -> str:
        for token in tokenizer.convert_ids_to_tokens(tokens):
            word = tokenizer.convert_tokens_to_string([token]).strip()
            if not token.startswith("##") and word != old and self.guards.free(word):
                return word
        return old


@dataclass(eq=False)
class ParaphrasedText(Generator):
    """A column of texts in other words, beside the column that they come from.

    An answer that changes a protected word (see `Guards`), or that is empty, is refused and the row
    stays null; so is one that is equal to its text. Use the new column in place of the old one for
    some of the rows; copies beside the originals made ranking worse (-1.1 %).

    Parameters
    ----------
    node, column
        The texts.
    paraphrase
        `Paraphrase`, `MaskedParaphrase`, or any callable from texts to texts: a writer, or a
        translation there and back, such as `lambda texts: to_english(to_spanish(texts))`.
    into
        The name of the new column; None for the old one with "_paraphrased".
    names
        Words and phrases to protect.

    `generate` takes how many rows, and external ids as a condition. confidence is 1: it is the same
    row. Lineage is "row". `tally` counts refusals.

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> hin = planted(rng=0)
    >>> rewritten = ParaphrasedText("review", "text", Paraphrase(rules=("swap",))).fit(hin)
    >>> (hin + rewritten.generate(hin, rng=0)).column("review", "text_paraphrased").null_count < 99
    True
    """

    LIMITS: ClassVar[Limits] = {}
    node: str
    column: str
    paraphrase: Callable[..., list[str]] = field(default_factory=Paraphrase)
    _: KW_ONLY
    into: str | None = None
    names: Sequence[str] = ()

    @property
    def tally(self) -> Tally:
        """What came of the last `generate`."""
        return self.__dict__.get("_tally", Tally())

    def _check_graph(self, hin: HIN) -> None:
        kind = kinds.decoded(hin.observed().column(self.node, self.column)).type
        if not tb.is_text(kind):
            raise ParameterError(
                f"{self.origin}: column {self.column!r} of {self.node!r} is {kind}, not text",
                asked=self.column,
            )

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        """Nothing is learned."""

    def _generate(
        self, hin: HIN, size: int | float | None, condition: Any, rng: np.random.Generator
    ) -> Delta:
        observed, tally = hin.observed(), Tally()
        column = kinds.decoded(observed.column(self.node, self.column))
        there = kinds.present(column)
        if condition is not None:
            asked = np.zeros(len(there), bool)
            asked[observed.positions(self.node, condition)] = True
            there &= asked
        at = np.flatnonzero(there)
        n = len(at) if size is None else min(len(at), resolve_size(size, len(at), "texts"))
        at = np.sort(rng.permutation(at)[:n])
        texts = column.take(pa.array(at)).to_pylist()
        self._tally = tally
        with tally.counting(self.paraphrase, len(texts)):
            made = self._made(texts, rng)
        kept = np.array(
            [self._is_good(*pair, tally) for pair in zip(texts, made, strict=True)], bool
        )
        value = pa.array([text for text, good in zip(made, kept, strict=True) if good], pa.string())
        table = pa.table({"id": observed.ids(self.node, at[kept]), "value": value})
        named = tb.with_lineage(table.schema.field("value"), "row")
        return Delta(
            columns={
                (self.node, self.into or f"{self.column}_paraphrased"): table.set_column(
                    1, named, table["value"]
                )
            },
            origin=self.origin,
            fitted_on=[self.fitted_on_, hin.fingerprint()],
        )

    def _made(self, texts: list[str], rng: np.random.Generator) -> list[str]:
        if isinstance(self.paraphrase, Paraphrase | MaskedParaphrase):
            return self.paraphrase(texts, rng)
        return ask(self.paraphrase, texts)

    def _is_good(self, text: str, made: str, tally: Tally) -> bool:
        guards = self.__dict__.setdefault("_guards", Guards(self.names))
        if not made.strip() or made == text:
            tally.refuse("nothing new")
            return False
        if guards.protected(made) != guards.protected(text):
            tally.refuse("a protected word changed")
            return False
        tally.accept(False)
        return True
