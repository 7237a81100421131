"""Checkpoints of a training: all that the next epoch depends on, in one file, nothing pickled."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from hinaug.errors import StoreError
from hinaug.training.run import Run

VERSION = 2
Randomness = np.random.Generator | torch.Generator
Tensors = dict[str, Tensor]


@dataclass
class Progress:
    """How far a training is.

    number: epochs done. best_epoch, best_value, best_state: of the best measure so far; the state
    is None before the first. curve: all measures. losses: {name: value} of each epoch.
    """

    number: int = 0
    best_epoch: int = 0
    best_value: float = 0.0
    best_state: Tensors | None = None
    curve: list[float] = field(default_factory=list)
    losses: list[dict[str, float]] = field(default_factory=list)


class Checkpoint:
    """The checkpoint of one training: `save` after an epoch, `load` before the first.

    Neither does anything where `run` has no folder. The file is `FOLDER/KEY.safetensors`. KEY is a
    hash of what the training starts from: the names given, the parameters, and the states of the
    generators. So one folder may hold the checkpoints of many trainings, and none is resumed by
    another one. The tensors in the file are the parameters, those of the best measure, the states
    of the optimisers and of torch's generators. Its metadata is JSON: the other fields of
    `Progress` and the states of numpy's generators. A new file replaces the old one only when it is
    complete.
    """

    def __init__(
        self,
        run: Run,
        names: Sequence[str],
        network: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        generators: Sequence[Randomness],
    ) -> None:
        self.network, self.optimizers, self.generators = network, optimizers, generators
        self.every = run.every
        self.path: Path | None = None
        if run.checkpoint is not None:
            self.path = run.checkpoint / f"{self._key(names)}.safetensors"

    def after_epoch(self, progress: Progress) -> None:
        """`save` if it is time."""
        if progress.number % self.every == 0:
            self.save(progress)

    def save(self, progress: Progress) -> None:
        """Write all of it; the file is the old one or the new one at any moment."""
        if self.path is None:
            return
        try:
            self._write(self.path, progress)
        except (OSError, SafetensorError) as error:  # safetensors has its own for a full disk
            reason = getattr(error, "strerror", None) or error
            raise OSError(
                f"cannot write the checkpoint {self.path}: {reason}; what was there before is "
                "unchanged; free the disk or name another folder"
            ) from error

    def _write(self, path: Path, progress: Progress) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        numbers = {"version": VERSION, "numpy": self._numpy_states()}
        for name in ("number", "best_epoch", "best_value", "curve", "losses"):
            numbers[name] = getattr(progress, name)
        tensors, text = self._tensors(progress), json.dumps(numbers)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            save_file(tensors, partial, {"progress": text, "sha256": _digest(tensors, text)})
            with open(partial, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    def load(self) -> Progress:
        """Put everything back as it was saved; a new `Progress` where there is no file.

        Raises StoreError for a file that is damaged, or no checkpoint of this training.
        """
        if self.path is None or not self.path.exists():
            return Progress()
        try:
            return self._restore(*_read(self.path))
        except Exception as error:
            raise StoreError(
                f"{self.path} is no checkpoint that can be read ({error}); delete it to train "
                "from the start",
                asked=str(self.path),
            ) from error

    def _restore(self, numbers: dict[str, Any], tensors: Tensors) -> Progress:
        numpy_states = numbers.pop("numpy")
        progress = Progress(best_state=_under("best", tensors) or None, **numbers)
        self.network.load_state_dict(_under("network", tensors))
        self._restore_optimizers(tensors)
        self._restore_generators(numpy_states, tensors)
        return progress

    # ---- parts -----------------------------------------------------------------------------------

    def _key(self, names: Sequence[str]) -> str:
        digest = hashlib.sha256(json.dumps(list(names)).encode())
        for name, tensor in self.network.state_dict().items():
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
        digest.update(json.dumps(self._numpy_states()).encode())
        for state in self._torch_states().values():
            digest.update(state.numpy().tobytes())
        return digest.hexdigest()[:24]

    def _tensors(self, progress: Progress) -> Tensors:
        tensors = {f"network/{n}": t for n, t in self.network.state_dict().items()}
        tensors |= {f"best/{n}": t for n, t in (progress.best_state or {}).items()}
        for number, optimizer in enumerate(self.optimizers):
            for parameter, state in optimizer.state_dict()["state"].items():
                for name, value in state.items():
                    if isinstance(value, Tensor):
                        tensors[f"optimizer {number}/{parameter}/{name}"] = value
        tensors |= self._torch_states()
        # safetensors refuses tensors that share memory
        return {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}

    def _restore_optimizers(self, tensors: Tensors) -> None:
        for number, optimizer in enumerate(self.optimizers):
            state: dict[int, Tensors] = {}
            for name, tensor in _under(f"optimizer {number}", tensors).items():
                parameter, entry = name.split("/")
                state.setdefault(int(parameter), {})[entry] = tensor
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state, "param_groups": groups})

    def _numpy_states(self) -> list[Any]:
        return [
            _plain(generator.bit_generator.state)
            for generator in self.generators
            if isinstance(generator, np.random.Generator)
        ]

    def _torch_states(self) -> Tensors:
        return {
            f"generator/{number}": generator.get_state()
            for number, generator in enumerate(self.generators)
            if isinstance(generator, torch.Generator)
        }

    def _restore_generators(self, numpy_states: list[Any], tensors: Tensors) -> None:
        remaining = iter(numpy_states)
        for number, generator in enumerate(self.generators):
            if isinstance(generator, torch.Generator):
                generator.set_state(tensors[f"generator/{number}"])
            else:
                generator.bit_generator.state = next(remaining)


def _read(path: Path) -> tuple[dict[str, Any], Tensors]:
    """The numbers and the tensors of a checkpoint of this version whose bytes are whole."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    numbers = json.loads(metadata["progress"])
    if numbers.pop("version") != VERSION:
        raise ValueError("it is of another version of hinaug")
    if metadata["sha256"] != _digest(tensors, metadata["progress"]):
        raise ValueError("it is damaged: its bytes do not have the sha256 they were saved with")
    return numbers, tensors


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    """sha256 of named tensors and a text."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    """The tensors whose names start with `prefix/`, without it."""
    start = len(prefix) + 1
    return {n[start:]: t for n, t in tensors.items() if n.startswith(prefix + "/")}


def _plain(value: Any) -> Any:
    """The state of a bit generator as JSON has it; some hold an array."""
    if isinstance(value, Mapping):
        return {name: _plain(v) for name, v in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
