"""What a folder of sentence-transformers does after its transformer: pooling, dense layers, length
one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hinaug.errors import ParameterError

KINDS = ("Transformer", "Pooling", "Dense", "Normalize", "Dropout")
POOLINGS = {  # in the order in which sentence-transformers puts them side by side
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len": "pooling_mode_mean_sqrt_len_tokens",
    "weighted_mean": "pooling_mode_weightedmean_tokens",
    "last": "pooling_mode_lasttoken",
}


@dataclass(frozen=True)
class Modules:
    """The steps of a model folder.

    folder: of the transformer. poolings: their vectors stand side by side. dense: folders of dense
    layers. normalize: whether vectors have length 1. lower: whether text is made lower case.
    files: other files that decide a vector.
    """

    folder: Path
    poolings: tuple[str, ...] = ("mean",)
    dense: tuple[Path, ...] = ()
    normalize: bool = False
    lower: bool = False
    files: tuple[Path, ...] = field(default=())


def modules_of(folder: Path) -> Modules:
    """The steps that `modules.json` names; a folder without one is a transformer and the mean of
    its tokens. ParameterError for a step that is not known.
    """
    index = folder / "modules.json"
    if not index.is_file():
        return Modules(folder)
    steps = _steps(index, folder)
    transformer = steps[0][1]
    pooling = [path for kind, path in steps if kind == "Pooling"][:1]
    dense = [path for kind, path in steps if kind == "Dense"]
    files = sorted(f for path in (*pooling, *dense) for f in path.iterdir() if f.is_file())
    return Modules(
        transformer,
        _poolings(pooling[0] / "config.json") if pooling else ("mean",),
        tuple(dense),
        normalize="Normalize" in dict(steps),
        lower=_is_lower(transformer / "sentence_bert_config.json"),
        files=(index, *files),
    )


def _is_lower(config: Path) -> bool:
    return config.is_file() and bool(_json(config).get("do_lower_case"))


def _steps(index: Path, folder: Path) -> list[tuple[str, Path]]:
    """(kind, folder) of the steps."""
    steps = [(str(m["type"]).rsplit(".", 1)[-1], folder / m["path"]) for m in _json(index)]
    kinds = [kind for kind, _ in steps]
    strange = [kind for kind in kinds if kind not in KINDS]
    if strange or kinds[:1] != ["Transformer"]:
        raise ParameterError(
            f"{index}: the steps are {kinds}; expected Transformer, then any of {KINDS[1:]}",
            asked=strange,
            there=KINDS,
        )
    return steps


def _poolings(path: Path) -> tuple[str, ...]:
    config = _json(path)
    found = tuple(name for name, key in POOLINGS.items() if config.get(key))
    if not found:
        raise ParameterError(
            f"{path}: none of the poolings {list(POOLINGS.values())} is on", there=list(POOLINGS)
        )
    return found


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ParameterError(f"{path}: cannot be read as JSON: {error}") from error


def pooled(states: Any, mask: Any, poolings: tuple[str, ...]) -> Any:
    """One vector a text.

    Shapes: states [n, tokens, d], mask [n, tokens] with 1 for a token and padding at the right;
    gives [n, d * len(poolings)].
    """
    import torch

    weight = mask[:, :, None].float()
    length = weight.sum(1)
    rank = torch.arange(1, states.shape[1] + 1, device=states.device)[None, :, None] * weight
    ways = {
        "cls": lambda: states[:, 0],
        "max": lambda: states.masked_fill(weight == 0, -torch.inf).amax(1),
        "mean": lambda: (states * weight).sum(1) / length,
        "mean_sqrt_len": lambda: (states * weight).sum(1) / length.sqrt(),
        "weighted_mean": lambda: (states * rank).sum(1) / rank.sum(1),
        "last": lambda: states[torch.arange(len(states)), mask.sum(1) - 1],
    }
    return torch.cat([ways[name]() for name in poolings], dim=1)


def dense_layers(folders: tuple[Path, ...]) -> Iterator[Any]:
    """The dense layers as torch modules; ParameterError where one cannot be read."""
    import torch
    from safetensors.torch import load_file

    for folder in folders:
        config = _json(folder / "config.json")
        layer = torch.nn.Linear(
            config["in_features"], config["out_features"], bias=config.get("bias", True)
        )
        weights = folder / "model.safetensors"
        try:
            state = (
                load_file(weights)
                if weights.is_file()
                else torch.load(folder / "pytorch_model.bin", weights_only=True)
            )
            layer.load_state_dict({k.removeprefix("linear."): v for k, v in state.items()})
        except (OSError, RuntimeError, KeyError) as error:
            raise ParameterError(f"{folder}: the dense layer cannot be read: {error}") from error
        yield torch.nn.Sequential(layer, _activation(config, folder))


def _activation(config: dict[str, Any], folder: Path) -> Any:
    import torch

    name = str(config.get("activation_function", "Tanh")).rsplit(".", 1)[-1]
    found = getattr(torch.nn.modules.activation, name, None)
    if name == "Identity":
        return torch.nn.Identity()
    if not (isinstance(found, type) and issubclass(found, torch.nn.Module)):
        raise ParameterError(f"{folder}: activation_function {name!r} is not known", asked=name)
    return found()


def size_of(folder: Path) -> int:
    """Numbers in what a dense layer gives."""
    return int(_json(folder / "config.json")["out_features"])
