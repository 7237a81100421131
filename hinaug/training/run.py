"""How a training is watched and saved: callbacks and checkpoints, no hyperparameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Epoch:
    """What a callback is told after each epoch.

    number: of the epoch, from 1. losses: {name: mean over the epoch}. value: the measure on
    validation pairs, None where this epoch was not measured.
    """

    number: int
    losses: Mapping[str, float]
    value: float | None


Callback = Callable[[Epoch], None]


@dataclass(frozen=True)
class Run:
    """How the trainings of an estimator are run; see `Estimator.training`.

    callbacks: called after each epoch, in order; what one raises ends the training.
    checkpoint: a folder for checkpoints, or None for none. every: epochs between two of them.
    ranks: the processes that train together, `hinaug.training.distributed.Ranks`; None for one.
    column_block: columns that a step works on at once; None for all. on_disk: parameters and
    optimiser lie in files. by_rows: ranks divide users, items and links, and not columns.
    """

    callbacks: tuple[Callback, ...] = ()
    checkpoint: Path | None = None
    every: int = 10
    ranks: Any = None
    column_block: int | None = None
    on_disk: bool = False
    by_rows: bool = False
