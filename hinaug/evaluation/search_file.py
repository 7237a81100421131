"""The file of a search: one process at a time, and what a kill left behind."""

from __future__ import annotations

import base64
import contextlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hinaug.errors import ParameterError, StoreError

if TYPE_CHECKING:
    from optuna import Study


@contextlib.contextmanager
def search(file: Any, who: dict[str, Any], prune: bool) -> Iterator[Study]:
    """The search that the file holds, or a new one; kept in memory where file is None.

    who: what is searched: the file must hold a search for the same.
    prune: whether trials that learn badly are given up.

    Raises StoreError for a file that is broken or that another process searches with, and
    ParameterError for one of another search.
    """
    if file is None:
        yield _study(None, who, prune)
        return
    import filelock

    path = Path(file)
    lock = filelock.FileLock(f"{path}.search", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise StoreError(
            f"tune: another process searches with {path}; wait for it, or name another file",
            asked=str(path),
        ) from None
    except OSError as error:
        raise StoreError(f"tune: cannot write to {path}: {error}", asked=str(path)) from error
    try:
        _clear(path)
        yield _opened(path, who, prune)
    finally:
        lock.release()


def _clear(path: Path) -> None:
    """Removes what a kill left: half a line at the end, and the lock of its last write."""
    Path(f"{path}.lock").unlink(missing_ok=True)
    if path.is_file() and path.stat().st_size:
        with path.open("rb+") as file:
            content = file.read()
            if not content.endswith(b"\n"):
                file.truncate(content.rfind(b"\n") + 1)
                os.fsync(file.fileno())


def _opened(path: Path, who: dict[str, Any], prune: bool) -> Study:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    try:
        return _study(JournalStorage(JournalFileBackend(str(path))), who, prune)
    except ParameterError:
        raise
    except (ValueError, LookupError, TypeError, OSError) as error:
        raise StoreError(
            f"tune: {path} is broken, or is no file of a search ({type(error).__name__}: {error}); "
            "delete it, or name another file",
            asked=str(path),
        ) from error


def _study(storage: Any, who: dict[str, Any], prune: bool) -> Study:
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = (
        optuna.pruners.MedianPruner(5, n_warmup_steps=2) if prune else optuna.pruners.NopPruner()
    )
    try:
        study = optuna.create_study(
            storage=storage or optuna.storages.InMemoryStorage(),
            study_name="tune",
            direction="maximize",
            pruner=pruner,
            load_if_exists=True,
        )
    finally:
        optuna.logging.set_verbosity(level)
    _check_same(study, who)
    for trial in study.trials:
        if trial.state == optuna.trial.TrialState.RUNNING:  # killed in the middle
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            study.enqueue_trial(trial.params)
    return study


def _check_same(study: Study, who: dict[str, Any]) -> None:
    """Writes what is searched into a new study; ParameterError where an old one has other."""
    was = study.user_attrs.get("who")
    if was is None:
        study.set_user_attr("who", who)
    elif was != who:
        what = next(name for name in who if was.get(name) != who[name])
        raise ParameterError(
            f"tune: the file holds another search, whose {what} is {was.get(what)!r} and not "
            f"{who[what]!r}; give the same arguments to go on with it, or another file",
            asked=who[what],
            there=was.get(what),
        )


def packed(values: list[np.ndarray]) -> list[str]:
    """Values of users as text: float32, compressed."""
    return [
        base64.b64encode(zlib.compress(each.astype("<f4").tobytes())).decode() for each in values
    ]


def unpacked(texts: list[str]) -> list[np.ndarray]:
    """What `packed` made text of, float64."""
    return [
        np.frombuffer(zlib.decompress(base64.b64decode(text)), "<f4").astype(float)
        for text in texts
    ]
