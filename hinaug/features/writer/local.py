"""A writer on this machine: a causal language model in a folder, or on the hub."""

from __future__ import annotations

import importlib.util
import inspect
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hinaug import checks
from hinaug.errors import ParameterError
from hinaug.features.writer.base import Choices, lists_of
from hinaug.features.writer.schema import Held, index_of
from hinaug.progress import track


@dataclass
class TransformersWriter:
    """A causal language model of transformers, asked in batches.

    Prompts are sorted by length, padded on the left, and continued together: on one thread a batch
    of 16 takes a sixth of the time of 16 single prompts. Where the tokenizer has a chat template, a
    prompt is what the user says.

    Parameters
    ----------
    model
        A folder with a causal model and its tokenizer, or a name on the hub. See `from_gguf` for
        a GGUF file.
    system
        What is said before each prompt; only with a chat template.
    max_new_tokens
        The most tokens of an answer.
    batch_size
        Prompts at a time.
    temperature
        0 takes the likeliest token each time; above it tokens are drawn from p^(1 / temperature).
    seed
        Of these draws; the state of torch's own generator stays as it was.
    dtype
        "bfloat16", "float32", or "auto": bfloat16 where the processor computes in it, which
        `dtype_` then says.
    device
        "cpu", "cuda" or another of torch; None takes a GPU if there is one.

    Raises ParameterError for prompts that leave no room for an answer. Memory: the model, and for
    each batch the keys and values of its tokens.
    """

    model: Any
    system: str | None = None
    max_new_tokens: int = 64
    batch_size: int = 16
    temperature: float = 0.0
    seed: int = 0
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    device: str | None = None
    _loaded: Any = field(default=None, init=False, repr=False, compare=False)
    _indexes: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("max_new_tokens", "batch_size"):
            checks.whole(getattr(self, name), f"TransformersWriter: {name}", 1)
        if not checks.is_number(self.temperature) or self.temperature < 0:
            raise ParameterError(
                f"TransformersWriter: temperature={self.temperature!r}: at least 0"
            )
        if self.dtype not in ("auto", "bfloat16", "float32"):
            raise ParameterError(
                f"TransformersWriter: dtype={self.dtype!r}; 'auto', 'bfloat16' or 'float32'",
                asked=self.dtype,
            )

    def __call__(self, prompts: list[str]) -> list[str]:
        """One text a prompt, in their order."""
        return self._written(prompts, list)

    def likelihoods(self, prompts: list[str], choices: Choices) -> np.ndarray:
        """log p(choice | prompt), float64 [prompts, choices]: the sum over the choice's tokens.

        Each prompt is read once; its keys and values are shared by all of its choices.
        """
        import torch

        lists = lists_of(choices, len(prompts))
        if not prompts:
            return np.zeros((0, 0))
        coded = [[self._plain(choice) for choice in words] for words in lists]
        longest = max(len(ids) for words in coded for ids in words)
        rows = [self._ids(prompt, longest) for prompt in prompts]
        logs = np.zeros((len(prompts), len(coded[0])))
        with torch.inference_mode():
            for at in track(list(self._batches(rows)), "weighing"):
                logs[at] = self._weighed([rows[i] for i in at], [coded[i] for i in at])
        return logs

    def records(self, prompts: list[str], schema: dict[str, Any]) -> list[str]:
        """One JSON object a prompt that keeps to a JSON Schema token by token.

        It needs the extra "write"; without it the model writes freely, and warns of it. An answer
        of more than `max_new_tokens` ends in the middle. Name the fields: a schema of any object
        takes half a minute to read.
        """
        if not prompts:
            return []
        try:
            index = self._index(schema)
        except ImportError:
            warnings.warn(
                "TransformersWriter: records are written freely, and most of a small model's do "
                "not fit; to hold it to the schema: pip install 'hinaug[write]'",
                UserWarning,
                stacklevel=2,
            )
            return self(prompts)
        end = self._parts()[0].eos_token_id
        return self._written(prompts, lambda: [Held(index, end)])

    @property
    def dtype_(self) -> str:
        """The type in which the model computes."""
        return str(self._parts()[1].dtype).removeprefix("torch.")

    def __deepcopy__(self, memo: Any) -> TransformersWriter:
        return self  # the weights are large, and nothing changes them

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_loaded": None, "_indexes": {}}

    def _written(self, prompts: list[str], rules: Callable[[], list[Any]]) -> list[str]:
        """The answers, by batches; `rules` makes what changes the scores in one of them."""
        import torch

        if not prompts:
            return []
        rows = [self._ids(prompt, self.max_new_tokens) for prompt in prompts]
        answers = [""] * len(prompts)
        tokenizer = self._parts()[0]
        with torch.random.fork_rng(), torch.inference_mode():
            torch.manual_seed(self.seed)
            for at in track(list(self._batches(rows)), "writing"):
                new = self._continued([rows[i] for i in at], rules())
                texts = tokenizer.batch_decode(new, skip_special_tokens=True)
                for i, text in zip(at, texts, strict=True):
                    answers[i] = text.strip()
        return answers

    def _index(self, schema: dict[str, Any]) -> Any:
        """The machine of a schema, made once."""
        key = json.dumps(schema)
        if key not in self._indexes:
            self._indexes[key] = index_of(self._parts()[0], schema)
        return self._indexes[key]

    # ---- the model -------------------------------------------------------------------------------

    def _parts(self) -> tuple[Any, Any]:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def _load(self) -> tuple[Any, Any]:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = self.dtype if self.dtype != "auto" else _fast_dtype(device)
        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.model)
            model = AutoModelForCausalLM.from_pretrained(self.model, dtype=getattr(torch, dtype))
        except (OSError, ValueError) as error:
            raise ParameterError(
                f"TransformersWriter: {str(self.model)!r} is no folder with a causal model and its "
                "tokenizer, and no name that the hub gives; from_gguf() makes such a folder of a "
                f"GGUF file. {type(error).__name__}: {str(error)[:300]}",
                asked=str(self.model),
            ) from error
        finally:
            if shown:
                logging.enable_progress_bar()
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        placed: Any = model  # `to` of a decorated class says otherwise
        return tokenizer, placed.to(device).eval()

    def _said(self, prompt: str) -> str:
        """The prompt in the model's own form."""
        tokenizer = self._parts()[0]
        if not tokenizer.chat_template:
            return prompt
        said = [{"role": "system", "content": self.system}] if self.system else []
        said.append({"role": "user", "content": prompt})
        return tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)

    def _ids(self, prompt: str, room: int) -> list[int]:
        tokenizer, model = self._parts()
        special = not tokenizer.chat_template
        ids = tokenizer(self._said(prompt), add_special_tokens=special)["input_ids"]
        most = getattr(model.config, "max_position_embeddings", None)
        if most is not None and len(ids) + room > most:
            raise ParameterError(
                f"TransformersWriter: a prompt of {len(ids):,} tokens and an answer of {room:,} do "
                f"not fit into the {most:,} that the model reads; shorten the prompt",
                asked=len(ids),
                there=most,
            )
        if not ids:
            raise ParameterError("TransformersWriter: a prompt without a token", asked=prompt)
        return ids

    def _plain(self, choice: str) -> list[int]:
        tokenizer = self._parts()[0]
        text = choice if tokenizer.chat_template else " " + choice
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        if not ids:
            raise ParameterError(f"choices: {choice!r} has no token of the model", asked=choice)
        return ids

    def _batches(self, rows: Sequence[Sequence[int]]) -> Iterator[np.ndarray]:
        """Positions of prompts of like length, the longest first."""
        order = np.argsort([-len(ids) for ids in rows], kind="stable")
        for at in range(0, len(order), self.batch_size):
            yield order[at : at + self.batch_size]

    def _padded(self, rows: list[list[int]]) -> dict[str, Any]:
        """Token ids padded on the left, with their mask and positions."""
        import torch

        tokenizer, model = self._parts()
        ids, mask = _left_padded(rows, tokenizer.pad_token_id or 0)
        places = np.maximum(np.cumsum(mask, axis=1) - 1, 0)
        names = ("input_ids", "attention_mask", "position_ids")
        return {
            name: torch.from_numpy(array).to(model.device)
            for name, array in zip(names, (ids, mask, places), strict=True)
        }

    def _continued(self, rows: list[list[int]], rules: list[Any]) -> Any:
        tokenizer, model = self._parts()
        asked = self._padded(rows)
        asked.pop("position_ids")  # `generate` counts them itself
        warm = self.temperature > 0
        how: dict[str, Any] = {"do_sample": warm, "top_p": 1.0 if warm else None}
        how |= {"temperature": self.temperature if warm else None, "top_k": 0 if warm else None}
        out = model.generate(
            **asked,
            max_new_tokens=self.max_new_tokens,
            pad_token_id=tokenizer.pad_token_id,
            logits_processor=rules,
            **how,
        )
        return out[:, asked["input_ids"].shape[1] :]

    def _weighed(self, rows: list[list[int]], coded: list[list[list[int]]]) -> np.ndarray:
        """log p of the choices of some prompts, [prompts, choices]."""
        import torch

        model = self._parts()[1]
        asked, n = self._padded(rows), len(coded[0])
        read = model(**asked, use_cache=True)
        first = torch.log_softmax(read.logits[:, -1].float(), dim=-1).repeat_interleave(n, dim=0)
        flat = [ids for words in coded for ids in words]
        width = max(map(len, flat))
        tokens, there = (torch.from_numpy(a).to(model.device) for a in _right_padded(flat, width))
        logs = first.gather(1, tokens[:, :1])[:, 0]
        if width > 1:
            name = _cache_name(model)
            cache = getattr(read, name)
            cache.batch_repeat_interleave(n)
            mask = asked["attention_mask"].repeat_interleave(n, dim=0)
            start = mask.sum(dim=1, keepdim=True)
            out = model(
                input_ids=tokens[:, :-1],
                attention_mask=torch.cat([mask, there[:, :-1]], dim=1),
                position_ids=start + torch.arange(width - 1, device=model.device),
                **{name: cache},
            )
            rest = torch.log_softmax(out.logits.float(), dim=-1)
            rest = rest.gather(2, tokens[:, 1:, None])[..., 0]
            logs = logs + (rest * there[:, 1:]).sum(dim=1)
        return logs.double().cpu().numpy().reshape(len(rows), n)


def from_gguf(file: Any, to: Any) -> Path:
    """Writes the model of a GGUF file into a folder that loads in a second; gives the folder.

    Quantised weights are made bfloat16 once. Raises ImportError without the extra "write" (gguf,
    accelerate), ParameterError where the file is not there.

    file: the path of the .gguf file. to: the folder to write.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    file, to = Path(file), Path(to)
    missing = [name for name in ("gguf", "accelerate") if not _is_there(name)]
    if missing:
        raise ImportError(
            f"from_gguf needs the extra write, of which {missing} are not installed: pip install "
            "'hinaug[write]'"
        )
    if not file.is_file():
        raise ParameterError(f"from_gguf: {file} is no file", asked=str(file))
    model = AutoModelForCausalLM.from_pretrained(
        file.parent,
        gguf_file=file.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    model.save_pretrained(to)
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(to)
    return to


def _is_there(name: str) -> bool:
    """Whether a library is installed."""
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:  # one that is taken out of sys.modules
        return False


def _fast_dtype(device: str) -> str:
    """bfloat16 where the processor or the GPU computes in it."""
    import torch

    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return "bfloat16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "float32"


def _cache_name(model: Any) -> str:
    """How a version of transformers names the keys and values that were read before."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


def _left_padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[np.ndarray, np.ndarray]:
    width = max(map(len, rows))
    ids, mask = (np.full((len(rows), width), value, np.int64) for value in (pad, 0))
    for i, row in enumerate(rows):
        ids[i, width - len(row) :], mask[i, width - len(row) :] = row, 1
    return ids, mask


def _right_padded(rows: Sequence[Sequence[int]], width: int) -> tuple[np.ndarray, np.ndarray]:
    ids, mask = np.zeros((len(rows), width), np.int64), np.zeros((len(rows), width), np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)] = row, 1
    return ids, mask
