"""The training loop of every method that learns by gradient steps, predictors and generators.

A method gives a network, an `epoch` function that does its optimiser steps, and, where it has
held-out pairs, a measure. `train` does the rest: epochs, early stopping, the learning curve,
threads, device, progress, callbacks and checkpoints.

    def epoch(number):
        loss = ...
        optimizer.zero_grad(); loss.backward(); optimizer.step()
        return {"loss": loss}

    trained = train(self, network, epoch, epochs=100, optimizers=[optimizer], generators=[rng])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hinaug.errors import DivergenceError
from hinaug.progress import track
from hinaug.training.checkpoint import Checkpoint, Progress, Randomness
from hinaug.training.distributed.checkpoint import RankCheckpoint
from hinaug.training.estimator import Estimator
from hinaug.training.run import Epoch
from hinaug.training.threads import torch_threads

Losses = Mapping[str, Any]  # {name: a number or a tensor of one}


@dataclass(frozen=True)
class Trained:
    """What came of a training; the network has the parameters that were kept.

    epochs: the number of the epoch whose parameters were kept: that of the best measure, or the
    last one. curve: the measures, in order. losses: {name: value} of each epoch.
    """

    epochs: int
    curve: list[float]
    losses: list[dict[str, float]]


def train(
    owner: Estimator,
    network: nn.Module,
    epoch: Callable[[int], Losses],
    *,
    epochs: int,
    optimizers: Sequence[torch.optim.Optimizer],
    generators: Sequence[Randomness],
    measure: Callable[[], float] | None = None,
    check_every: int = 1,
    patience: int = 1,
    name: str | None = None,
    identity: Sequence[str] = (),
    threads: int | None = None,
    device: str | None = None,
) -> Trained:
    """Train `network`; it ends on the CPU, in eval mode, with the parameters that are kept.

    Parameters
    ----------
    owner
        The estimator that is fitted. Its callbacks and checkpoints are those of
        `owner.training(...)`.
    network
        Everything that is learned, as one module. Moved to `device` before the first epoch.
    epoch
        Called with the number of the epoch, from 1, with the network in training mode. It does the
        optimiser steps and returns {name: loss}. What it needs beside the network must follow from
        the number or be drawn from `generators`: a resumed training has nothing else.
    epochs
        At most so many.
    optimizers
        Those that `epoch` uses.
    generators
        Every source of randomness that `epoch` draws from, numpy's and torch's.
    measure
        A number, higher is better, such as NDCG on held-out pairs. Called every `check_every`
        epochs and after the last. Training ends when `patience` measures in a row bring no better
        one, and the parameters of the best are kept. None: all epochs, and the last are kept.
    name
        For messages and the progress bar; None takes that of the class of `owner`.
    identity
        Names of what is trained on, for checkpoints; `repr(owner)` and the fingerprint of the graph
        it was fitted on count anyway.
    threads, device
        Of torch. None leaves the threads as they are, and takes a GPU when there is one.

    Raises DivergenceError when a loss, a parameter or the measure is not finite.
    """
    name = name or type(owner).__name__
    names = [name, repr(owner), str(getattr(owner, "fitted_on_", "")), *identity]
    kind = Checkpoint if owner._run.ranks is None else RankCheckpoint
    checkpoint = kind(owner._run, names, network, optimizers, generators)
    with torch_threads(threads):
        network.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        progress = checkpoint.load()
        for number in track(range(progress.number + 1, epochs + 1), name):
            if _is_over(progress, patience * check_every):
                break
            network.train()
            losses = _finite(epoch(number), network, name, number)
            is_due = number % check_every == 0 or number == epochs
            value = _finite_measure(measure, name, number) if measure and is_due else None
            _note(progress, network, number, losses, value)
            checkpoint.after_epoch(progress)
            for callback in owner._run.callbacks:
                callback(Epoch(number, losses, value))
        checkpoint.save(progress)
        return _finished(network, progress)


def _finished(network: nn.Module, progress: Progress) -> Trained:
    """Give the network the parameters that are kept."""
    kept = progress.number
    if progress.best_state is not None:
        network.load_state_dict(progress.best_state)
        kept = progress.best_epoch
    network.to("cpu").eval()
    return Trained(kept, progress.curve, progress.losses)


def _is_over(progress: Progress, window: int) -> bool:
    """True when no measure of the last `window` epochs was the best."""
    return progress.best_state is not None and progress.number - progress.best_epoch >= window


def _note(
    progress: Progress,
    network: nn.Module,
    number: int,
    losses: dict[str, float],
    value: float | None,
) -> None:
    """Write down what an epoch brought, and keep the parameters if they are the best."""
    progress.number = number
    progress.losses.append(losses)
    if value is None:
        return
    progress.curve.append(value)
    if progress.best_state is None or value > progress.best_value:
        progress.best_epoch, progress.best_value = number, value
        progress.best_state = {n: t.detach().clone() for n, t in network.state_dict().items()}


def _finite(losses: Losses, network: nn.Module, name: str, number: int) -> dict[str, float]:
    """The losses as floats; DivergenceError unless these and all parameters are finite."""
    values = {key: float(_detached(loss)) for key, loss in losses.items()}
    wrong = [f"{key} is {value}" for key, value in values.items() if not math.isfinite(value)]
    with torch.no_grad():
        wrong += [
            f"parameter {key} is not finite"
            for key, parameter in network.named_parameters()
            if not bool(parameter.sum().isfinite())
        ]
    if wrong:
        raise DivergenceError(
            f"{name}: training diverged at epoch {number} ({wrong[0]}); lower lr",
            asked=number,
            there=wrong,
        )
    return values


def _finite_measure(measure: Callable[[], float], name: str, number: int) -> float:
    """The measure; DivergenceError where it is not finite: nothing is greater than NaN."""
    value = measure()
    if not math.isfinite(value):
        raise DivergenceError(
            f"{name}: training diverged at epoch {number} (the measure on held-out pairs is "
            f"{value}); lower lr",
            asked=number,
            there=[value],
        )
    return value


def _detached(loss: Any) -> Any:
    return loss.detach() if isinstance(loss, Tensor) else loss
