"""Many rows in shards: worked off by one process, by several, or by Ray, with the same bytes.

A shard is a stretch of rows, known by its number. A worker makes its table and puts it in place by
a rename. Whoever starts again asks only for the shards that are missing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hinaug import checks
from hinaug.errors import ParameterError, RankError, StoreError
from hinaug.io import load
from hinaug.serving.recommend import recommend
from hinaug.split import Split

PLAN = "shards.json"
RAY_SECONDS = 120.0  # that workers of Ray may take to start
Rows = Callable[[int, int], pa.Table]  # the table of the rows from a to b


@dataclass(frozen=True)
class Job:
    """What is made of rows: `open` is called once in each worker, and gives what makes a table.

    A subclass is a dataclass that can be pickled; a folder holds the shards of one job.
    """

    def open(self) -> Rows:
        raise NotImplementedError(f"{type(self).__name__} has no open")

    def digest(self) -> str:
        """A hash of what the shards are made of."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


@dataclass(frozen=True)
class Recommend(Job):
    """The k best items of many users, by a saved model and a saved graph or split.

    model, store: folders. users: external ids, in the order of the rows. k: items for each.
    """

    model: str
    store: str
    users: tuple[Any, ...]
    k: int = 10

    def digest(self) -> str:
        """A hash that changes when the model or the graph is saved anew in its folder."""
        of = hashlib.sha256(repr(self).encode())
        for folder in (self.model, self.store):
            for file in sorted(Path(folder).rglob("schema.json")):
                of.update(file.read_bytes())
        return of.hexdigest()

    def open(self) -> Rows:
        """The function from a range of rows to their lists; model and graph are read here."""
        predictor, thing = load(self.model), load(self.store)
        hin = thing.train_valid if isinstance(thing, Split) else thing

        def rows(start: int, stop: int) -> pa.Table:
            return recommend(predictor, hin, list(self.users[start:stop]), self.k)

        return rows


def in_shards(
    job: Job,
    n: int,
    out: str | os.PathLike[str],
    *,
    size: int = 4096,
    processes: int = 1,
    ray: int | None = None,
) -> list[Path]:
    """Make the tables of n rows as Parquet files in the folder `out`; gives their paths in order.

    Parameters
    ----------
    job
        What is made of the rows, such as `Recommend`.
    n
        Rows in all.
    out
        The folder. Shards of the same job that are there are kept.
    size
        Rows of a shard.
    processes
        Workers on this machine; 1 works in this process.
    ray
        Workers of Ray in place of processes, on the cluster that RAY_ADDRESS names or else on this
        machine; needs the extra `ray`.

    Raises StoreError where the folder holds the shards of another job, and RankError where a worker
    is lost: what is done stays, and the same call goes on.

    Example
    -------
    >>> in_shards(Recommend("model", "split", users=()), 0, "lists")
    []
    """
    n, size = checks.whole(n, "in_shards: n", 0), checks.whole(size, "in_shards: size", 1)
    processes = checks.whole(processes, "in_shards: processes", 1)
    folder, count = Path(out), -(-n // size)
    paths = [_path(folder, number) for number in range(count)]
    if not paths:
        return []
    _check_plan(folder, {"job": job.digest(), "rows": n, "size": size})
    for left in folder.glob("*.partial"):  # of a worker that was killed
        left.unlink(missing_ok=True)
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    _work_off(job, missing, folder, n, size, processes, ray)
    return paths


def _work_off(
    job: Job,
    missing: Sequence[int],
    folder: Path,
    n: int,
    size: int,
    processes: int,
    ray: int | None,
) -> None:
    if ray is not None and missing:
        _by_ray(job, missing, folder, n, size, checks.whole(ray, "in_shards: ray", 1))
    elif processes == 1 or len(missing) < 2:
        worker = Worker(folder, n, size)
        for number in missing:
            worker.make(job, number)
    else:
        _by_processes(job, missing, folder, n, size, processes)


class Worker:
    """Makes shards in one process; what the job opens is opened at the first."""

    def __init__(self, folder: Path, n: int, size: int) -> None:
        self.folder, self.n, self.size = folder, n, size
        self._rows: Rows | None = None

    def make(self, job: Job, number: int) -> None:
        """Make the shard and put it in place."""
        self._rows = self._rows or job.open()
        start = number * self.size
        table = self._rows(start, min(start + self.size, self.n))
        path = _path(self.folder, number)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            pq.write_table(table, partial)
            with open(partial, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    def is_ready(self) -> bool:
        """True, where the worker answers at all."""
        return True


def _path(folder: Path, number: int) -> Path:
    return folder / f"part-{number:06d}.parquet"


def _check_plan(folder: Path, plan: dict[str, Any]) -> None:
    """Write what the shards are of; StoreError where the folder has those of something else."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PLAN
    if not any(folder.glob("part-*.parquet")):  # nothing was made: any plan will do
        if any(file.name not in (PLAN, f"{PLAN}.partial") for file in folder.iterdir()):
            raise StoreError(
                f"{folder} is not empty and holds no shards; name another folder", asked=str(folder)
            )
        partial = folder / f"{PLAN}.partial"
        partial.write_text(json.dumps(plan), "utf-8")
        os.replace(partial, path)
    there = json.loads(path.read_text("utf-8"))
    if there != plan:
        raise StoreError(
            f"{folder} holds the shards of another job; name another folder, or delete it",
            asked=plan,
            there=there,
        )


_worker: tuple[Worker, Job] | None = None  # of a process of the pool


def _start(job: Job, folder: Path, n: int, size: int) -> None:
    global _worker
    _worker = Worker(folder, n, size), job


def _make(number: int) -> None:
    assert _worker is not None
    worker, job = _worker
    worker.make(job, number)


def _by_processes(
    job: Job, missing: Sequence[int], folder: Path, n: int, size: int, processes: int
) -> None:
    pool = ProcessPoolExecutor(
        min(processes, len(missing)),
        multiprocessing.get_context("spawn"),
        _start,
        (job, folder, n, size),
    )
    try:
        with pool:
            for _ in pool.map(_make, missing):
                pass
    except BrokenProcessPool as error:
        raise _lost(folder, missing, processes) from error


def _by_ray(
    job: Job, missing: Sequence[int], folder: Path, n: int, size: int, workers: int
) -> None:
    ray = _started_ray(workers)
    try:
        made = ray.remote(max_restarts=3, max_task_retries=3)(Worker)
        actors = _ready(ray, [made.remote(folder.resolve(), n, size) for _ in range(workers)])
        shared = ray.put(job)  # what a worker is made with must be small, or it cannot start again
        pool = ray.util.ActorPool(actors)
        for _ in pool.map_unordered(lambda actor, k: actor.make.remote(shared, k), missing):
            pass
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error  # what the worker raised
    except ray.exceptions.RayError as error:
        raise _lost(folder, missing, workers) from error
    finally:
        ray.shutdown()


def _started_ray(workers: int) -> Any:
    """The module ray, joined to the cluster that RAY_ADDRESS names, else to one of this process."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # spares a warning
    try:
        import ray
        import ray.util
    except ImportError as error:
        raise ParameterError(
            'Ray is not installed; pip install "hinaug[ray]", or use processes', asked="ray"
        ) from error
    is_local = "RAY_ADDRESS" not in os.environ
    try:
        ray.init(
            include_dashboard=False if is_local else None,
            num_cpus=workers if is_local else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # each part of Ray has its own
        ray.shutdown()
        raise RankError(
            f"Ray did not start ({type(error).__name__}: {error}); use processes in place of ray",
            asked=workers,
        ) from error
    return ray


def _ready(ray: Any, actors: list[Any]) -> list[Any]:
    """The workers that answer in time; RankError where none does."""
    calls = {actor.is_ready.remote(): actor for actor in actors}
    answered, _ = ray.wait(list(calls), num_returns=len(calls), timeout=RAY_SECONDS)
    if not answered:
        raise RankError(
            f"no worker of Ray started within {RAY_SECONDS:g} s; use processes in place of ray, or "
            "see whether the cluster has free CPUs",
            asked=len(actors),
            there=0,
        )
    return [calls[call] for call in answered]


def _lost(folder: Path, missing: Sequence[int], workers: int) -> RankError:
    """What to raise where a worker is lost for good."""
    left = [number for number in missing if not _path(folder, number).exists()]
    return RankError(
        f"a worker was lost; {len(left):,} of {len(missing):,} shards are still missing in "
        f"{folder}: start the same again",
        asked=workers,
        there=left,
    )
