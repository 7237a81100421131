"""The processes that train one model together, and what they say to each other."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import numpy as np

from hinaug.errors import ParameterError, RankError
from hinaug.graph import spill
from hinaug.training.distributed.roll import RollCall

if TYPE_CHECKING:  # methods without torch take a group of one, and must not load it
    import torch.distributed as dist
    from torch import Tensor

ROWS = 2**20  # of vectors that are sent at once


class Ranks:
    """The processes that train one model: sums, maxima and exchanges among them.

    Each process has a number, its rank. Every rank calls the same methods in the same order. A
    group of one needs no torch.distributed, and each method gives back what it got.

    Parameters
    ----------
    rank, size
        The number of this process, from 0, and how many there are.
    store
        Where ranks leave words for each other when a message failed; None for a group of one.
    timeout
        Seconds after which a rank that does not answer counts as lost.
    roll
        Finds which ranks are lost where a message failed.

    `sent` counts the bytes that this rank gave to be sent to others.

    Raises RankError where a rank is lost or does not answer in time; `there` has the numbers of the
    ranks that are missing.

    Example
    -------
    >>> import torch
    >>> Ranks().sum(torch.ones(2))
    tensor([1., 1.])
    >>> Ranks(size=1).bounds(7)
    [0, 7]
    """

    def __init__(
        self,
        rank: int = 0,
        size: int = 1,
        store: dist.Store | None = None,
        timeout: float = 300.0,
        roll: RollCall | None = None,
    ) -> None:
        self.rank, self.size, self.timeout, self.sent = rank, size, timeout, 0
        self._store, self._roll = store, roll

    def __repr__(self) -> str:
        return f"Ranks(rank={self.rank}, size={self.size})"

    def bounds(self, n: int) -> list[int]:
        """Where the share of each rank of n things starts, and n: `size` + 1 numbers."""
        return [n * rank // self.size for rank in range(self.size + 1)]

    def share(self, n: int) -> slice:
        """The share of this rank of n things."""
        bounds = self.bounds(n)
        return slice(bounds[self.rank], bounds[self.rank + 1])

    def sum(self, x: Tensor) -> Tensor:
        """The sum over the ranks, written over x."""
        import torch.distributed as dist

        self._do(lambda: dist.all_reduce(x), x)
        return x

    def max(self, x: Tensor) -> Tensor:
        """The largest of the ranks, entry by entry, written over x."""
        import torch.distributed as dist

        self._do(lambda: dist.all_reduce(x, op=dist.ReduceOp.MAX), x)
        return x

    def spread(self, x: Tensor, source: int = 0) -> Tensor:
        """What x is at rank `source`, written over x."""
        import torch.distributed as dist

        mine = x if self.rank == source else x[:0] if x.ndim else x.new_empty(0)
        self._do(lambda: dist.broadcast(x, source), mine)
        return x

    def agree(self, number: int) -> int:
        """The number that rank 0 has."""
        import torch

        return int(self.spread(torch.tensor(number)))

    def check_same(self, text: str, what: str) -> None:
        """RankError at all ranks where one has another text than rank 0, such as a fingerprint."""
        own = int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])
        first = self.agree(own)

        def compare() -> None:
            if own != first:
                raise ParameterError(f"another {what} than at rank 0", asked=own, there=first)

        if self.size > 1:
            self.all_do(compare, f"start with the same {what}")

    def once(self, measure: Callable[[], float]) -> float:
        """A number that rank 0 computes, told to all."""
        import torch

        value = measure() if self.rank == 0 else 0.0
        return float(self.spread(torch.tensor(value, dtype=torch.float64)))

    def exchange(self, parts: Sequence[Tensor], shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
        """Part r goes to rank r; gives what each rank sent here, which has the r-th of `shapes`."""
        import torch
        import torch.distributed as dist

        if self.size == 1:
            return list(parts)
        sizes = [int(np.prod(shape)) for shape in shapes]
        flat = torch.cat([part.reshape(-1) for part in parts])
        got = flat.new_empty(sum(sizes))
        counts = [part.numel() for part in parts]
        leaves = flat[: len(flat) - counts[self.rank]]
        self._do(lambda: dist.all_to_all_single(got, flat, sizes, counts), leaves)
        return [x.view(shape) for x, shape in zip(got.split(sizes), shapes, strict=True)]

    def rows_together(self, rows: np.ndarray, bounds: Sequence[int] | None = None) -> None:
        """Each rank has its share of the rows [n, ...], contiguous; then all have all, in place.

        bounds: where the share of each rank starts, and n; None takes equal shares.
        """
        if self.size == 1:
            return
        import torch

        bounds = self.bounds(len(rows)) if bounds is None else bounds
        for rank in range(self.size):
            self.spread(torch.from_numpy(rows[bounds[rank] : bounds[rank + 1]]), rank)

    def gathered_rows(self, x: np.ndarray) -> np.ndarray:
        """Own rows [n / size, d] of an equal share -> all rows, at every rank."""
        import torch

        n = int(self.sum(torch.tensor(len(x))))
        whole = spill.empty(n * x.shape[1], x.dtype).reshape(n, x.shape[1])
        whole[self.share(n)] = x
        self.rows_together(whole)
        return whole

    def columns_together(self, x: np.ndarray, width: int) -> np.ndarray:
        """Own columns [n, c] -> all columns [n, width], at every rank; large ones lie in a file."""
        import torch

        bounds = self.bounds(width)
        whole = spill.empty(len(x) * width, x.dtype).reshape(len(x), width)
        for rows in spill.blocks(len(x), ROWS):
            for rank, (first, last) in enumerate(itertools.pairwise(bounds)):
                part = np.empty((len(whole[rows]), last - first), x.dtype)
                if rank == self.rank:
                    part[:] = x[rows]
                whole[rows, first:last] = self.spread(torch.from_numpy(part), rank).numpy()
        return whole

    def all_do(self, action: Callable[[], None], what: str) -> None:
        """Do something at each rank; RankError at all of them where it fails at one.

        what: what is done, for the message, such as "write the checkpoint".
        """
        import torch

        failure: Exception | None = None
        try:
            action()
        except Exception as error:
            failure = error
        failed = torch.zeros(self.size, dtype=torch.int64)
        if failure is not None:
            failed[self.rank] = 1
            self._say(f"failed {self.rank}", str(failure))
        lost = self.sum(failed).nonzero().ravel().tolist()
        if lost:
            words = "; ".join(f"rank {rank}: {self._heard(rank, failure)}" for rank in lost)
            raise RankError(f"could not {what}: {words}", asked=what, there=lost) from failure

    # ---- when something fails --------------------------------------------------------------------

    def _do(self, call: Callable[[], object], given: Tensor) -> None:
        if self.size == 1:
            return
        self.sent += given.numel() * given.element_size()
        try:
            with self._roll.waiting() if self._roll else nullcontext():
                call()
        except RuntimeError as error:
            raise self._lost(error) from error

    def _lost(self, error: RuntimeError) -> RankError:
        """What to raise: it names the ranks that are missing."""
        try:
            others = [self.rank] if self._roll is None else self._roll.missing()
        except RuntimeError:  # what holds the store is gone: rank 0, or torchrun itself
            others = [self.rank]
        reason = "killed, ended with an error of its own, or slower than the timeout"
        if self.rank in others:
            others, reason = [0], f"it ended, or gave up waiting for rank {self.rank}"
        missing = ", ".join(f"rank {rank}" for rank in others) or "no rank is missing; the network"
        first = str(error).splitlines()[0]
        return RankError(
            f"rank {self.rank} of {self.size} lost {missing}: {reason} ({self.timeout:g} s); look "
            "at the output of that rank, and start all again to go on from the last checkpoint "
            f"[{first}]",
            asked=self.rank,
            there=others,
        )

    def _say(self, key: str, words: str) -> None:
        if self._store is not None:
            self._store.set(key, words)

    def _heard(self, rank: int, own: Exception | None) -> str:
        if rank == self.rank or self._store is None:
            return str(own)
        return self._store.get(f"failed {rank}").decode()


@contextmanager
def joined(timeout: float = 300.0) -> Iterator[Ranks]:
    """This process as one of those that torchrun started; alone where it was started otherwise.

    timeout: seconds that a rank waits for another; more than what any takes alone between two
        messages, such as reading the graph.

    Messages of tensors on the CPU go by gloo, those on a GPU by NCCL; each process of a machine
    takes the GPU of its local rank.

    Raises ParameterError for a timeout of 0 or less, and RankError where the ranks do not meet.

    Example
    -------
    >>> with joined() as ranks:
    ...     print(ranks)
    Ranks(rank=0, size=1)
    """
    if not timeout > 0:
        raise ParameterError(f"joined: timeout is above 0 seconds; got {timeout}", asked=timeout)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Ranks()
        return
    import torch
    import torch.distributed as dist

    limit = datetime.timedelta(seconds=timeout)
    has_nccl = torch.cuda.is_available() and dist.is_nccl_available()
    if has_nccl:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    try:
        store, rank, size = next(dist.rendezvous("env://", timeout=limit))
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if has_nccl else "gloo",
            store=dist.PrefixStore("hinaug", store),
            rank=rank,
            world_size=size,
            timeout=limit,
        )
    except (RuntimeError, ValueError, KeyError) as error:
        raise RankError(
            f"rank {os.environ.get('RANK', '?')}: not all of {os.environ['WORLD_SIZE']} ranks met "
            f"within {timeout:g} s ({error}); start all of them with torchrun",
            asked=os.environ["WORLD_SIZE"],
        ) from error
    words = dist.PrefixStore("words", store)
    try:
        with RollCall(words, rank, size, timeout).answering() as roll:
            yield Ranks(rank, size, words, timeout, roll)
    finally:
        dist.destroy_process_group()
