"""A transformer run by ONNX Runtime: exported once, kept beside the vectors."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hinaug.errors import ParameterError


class OnnxModel:
    """The last hidden states of a model, as torch gives them, by ONNX Runtime on the CPU.

    Shapes: called with ids and mask, int64 [n, tokens], it gives float32 [n, tokens, d].

    Raises ImportError where the extra onnx is not installed, and ParameterError for a model that
    cannot be exported.
    """

    def __init__(self, model: Any, place: Path | None) -> None:
        import torch

        runtime = _runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        with _file(model, place) as path:
            self._session = runtime.InferenceSession(str(path), options, ["CPUExecutionProvider"])

    def __call__(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return self._session.run(None, {"input_ids": ids, "attention_mask": mask})[0]


def _runtime() -> Any:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "engine='onnx' needs the extra onnx: pip install 'hinaug[onnx]'; or use engine='torch'"
        ) from error
    return onnxruntime


@contextlib.contextmanager
def _file(model: Any, place: Path | None) -> Iterator[Path]:
    """The exported model: at `place`, made where it is not there, or in a folder of its own that
    goes again.
    """
    if place is not None and place.is_file():
        yield place
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        _export(model, path)
        if place is not None and _moved(path, place):
            path = place
        yield path


def _moved(path: Path, place: Path) -> bool:
    """A full or read-only disk costs the copy, not the result."""
    part = place.with_name(f".part-{os.getpid()}-{place.name}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(path.read_bytes())
        os.replace(part, place)
    except OSError:
        part.unlink(missing_ok=True)
        return False
    return True


def _export(model: Any, path: Path) -> None:
    """The example's mask has zeros: with ones alone the export drops the mask without a word."""
    import torch

    class States(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    ids = torch.ones(2, 8, dtype=torch.long)
    mask = torch.ones(2, 8, dtype=torch.long)
    mask[1, 5:] = 0
    free = {0: torch.export.Dim("texts"), 1: torch.export.Dim("tokens", min=2)}
    try:
        with _silent(), torch.inference_mode(False), torch.no_grad():
            torch.onnx.export(
                States().eval(),
                (ids, mask),
                path,
                input_names=["input_ids", "attention_mask"],
                output_names=["states"],
                dynamic_shapes={"input_ids": free, "attention_mask": free},
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # the exporter has errors of many libraries
        raise ParameterError(
            f"{type(model).__name__} cannot be exported to ONNX: {error}; use engine='torch'",
            asked="onnx",
        ) from error


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """The exporter's warnings and notes held back."""
    log = logging.getLogger("onnxscript"), logging.getLogger("torch.onnx")
    levels = [each.level for each in log]
    try:
        for each in log:
            each.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(log, levels, strict=True):
            each.setLevel(level)
