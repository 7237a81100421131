"""Processes that work together in a test, as torchrun would start them.

They are forked from one clean server that has imported what takes long, so that each starts at
once. All of them have ended when `on_ranks` returns.
"""

import multiprocessing
import os
import signal
import socket

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["torch._dynamo", "hinaug.datasets.planted", "hinaug.predictors.lightgcn"]
)
LIMIT = 60  # seconds


def on_ranks(task, size, *given, timeout=20.0):
    """What `task(ranks, *given)` returns at each rank; an exception, or "killed", where it did not.

    The task is a function of a module that processes can import.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ends = [FORKS.Pipe(duplex=False) for _ in range(size)]
    workers = [
        FORKS.Process(target=_work, args=(rank, size, port, timeout, ends[rank][1], task, given))
        for rank in range(size)
    ]
    for worker in workers:
        worker.start()
    for _, end in ends:
        end.close()
    try:
        return [_answer(end) for end, _ in ends]
    finally:
        for worker in workers:
            worker.join(LIMIT)
            if worker.is_alive():
                os.kill(worker.pid, signal.SIGKILL)
                worker.join()
        for end, _ in ends:
            end.close()


def _answer(end):
    if not end.poll(LIMIT):
        return "silent"
    try:
        return end.recv()
    except EOFError:
        return "killed"


def _work(rank, size, port, timeout, end, task, given):
    import torch

    from hinaug.training.distributed import joined

    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    try:
        with joined(timeout) as ranks:
            answer = task(ranks, *given)
    except Exception as error:
        answer = error
    end.send(answer)
    end.close()
