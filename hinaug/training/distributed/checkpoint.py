"""Checkpoints of a training on several ranks: a file a rank, and one that says which belong
together.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hinaug.errors import StoreError
from hinaug.training.checkpoint import VERSION, Checkpoint, Progress, Randomness, Tensors, _read
from hinaug.training.run import Run

MANIFEST = "manifest.json"


class RankCheckpoint(Checkpoint):
    """The checkpoint of one training on ranks that have some columns each.

    It is a folder that all ranks see, FOLDER/KEY. A rank writes its columns into a file of its own;
    when all have, rank 0 writes the manifest, which names the files, and removes older ones. A kill
    at any moment leaves a manifest whose files are complete. Each file is as `Checkpoint` has it.

    KEY is a hash of the names given. What the training draws must follow from them and from the
    number of the epoch. Any number of ranks may go on: each reads its columns from the files that
    have them.
    """

    def __init__(
        self,
        run: Run,
        names: Sequence[str],
        network: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        generators: Sequence[Randomness],
    ) -> None:
        super().__init__(Run(), names, network, optimizers, ())
        self.ranks, self.every, self.saved = run.ranks, run.every, -1
        own = next(iter(network.state_dict().values())).shape[-1]
        self.width = int(self.ranks.sum(torch.tensor(own)))
        if run.checkpoint is not None:
            digest = hashlib.sha256(json.dumps([VERSION, *names]).encode()).hexdigest()
            self.path = run.checkpoint / digest[:24]

    def save(self, progress: Progress) -> None:
        """Write all of it; the manifest is the old one or the new one at any moment."""
        if self.path is None or self.saved == progress.number:
            return
        folder, size = self.path, self.ranks.size
        names = [f"{progress.number}-{rank}-of-{size}.safetensors" for rank in range(size)]
        own = folder / names[self.ranks.rank]
        what = f"write the checkpoint {folder} (what was there before is unchanged)"
        self.ranks.all_do(lambda: Checkpoint._write(self, own, progress), what)
        manifest = {"version": VERSION, "number": progress.number, "files": names}
        if self.ranks.rank == 0:
            self.ranks.all_do(lambda: _write_manifest(folder, manifest), what)
        else:
            self.ranks.all_do(lambda: None, what)
        self.saved = progress.number

    def load(self) -> Progress:
        """Put everything back as it was saved; a new `Progress` where there is no manifest."""
        if self.path is None:
            return Progress()
        folder, found = self.path, Progress()
        what = f"read the checkpoint {folder} (all ranks need the same folder)"

        def find() -> None:
            self.saved = _manifest(folder)["number"] if (folder / MANIFEST).exists() else -1

        def read() -> None:
            nonlocal found
            found = self._own(_manifest(folder))

        self.ranks.all_do(find, what)
        self.saved = self.ranks.agree(self.saved)
        if self.saved >= 0:
            self.ranks.all_do(read, what)
        return found

    def _own(self, manifest: dict[str, Any]) -> Progress:
        """The own columns, of the files that have them."""
        assert self.path is not None
        files, width = manifest["files"], self.width
        own = self.ranks.share(width)
        parts: list[Tensors] = []
        numbers: dict[str, Any] = {}
        for k, name in enumerate(files):
            a, b = width * k // len(files), width * (k + 1) // len(files)
            cut = slice(max(own.start - a, 0), min(own.stop, b) - a)
            if cut.start < cut.stop:
                numbers, tensors = _read(self.path / name)
                parts.append({n: t[..., cut] if t.ndim else t for n, t in tensors.items()})
        if numbers.get("number") != self.saved or not parts:
            raise StoreError(f"{self.path} does not hold epoch {self.saved}", asked=self.saved)
        return self._restore(numbers, _beside(parts))


def _beside(parts: Sequence[Tensors]) -> Tensors:
    """Columns next to each other; numbers without columns are the same in all parts."""
    return {
        name: torch.cat([part[name] for part in parts], -1) if tensor.ndim else tensor
        for name, tensor in parts[0].items()
    }


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text("utf-8"))
        known = manifest["version"] == VERSION
    except (ValueError, KeyError) as error:
        raise StoreError(
            f"{path} is damaged ({error}); delete {folder} to start from the first epoch",
            asked=str(path),
        ) from error
    if not known:
        raise StoreError(f"{folder} is of another version of hinaug", asked=str(folder))
    return manifest


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest, then remove what it does not name."""
    partial = folder / f"{MANIFEST}.partial"
    with open(partial, "w", encoding="utf-8") as file:
        json.dump(manifest, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, folder / MANIFEST)
    kept = {MANIFEST, *manifest["files"]}
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink(missing_ok=True)
