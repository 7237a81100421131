"""What processes do in tests of several; see `rank_processes`."""

import itertools
import os
import resource
import signal
import time

from hinaug.datasets import planted

RATES = ("user", "rates", "item")


def graph():
    return planted(60, 40, 3, rng=0)


def fitted(model, ranks, folder=None, at=None, then=None, every=2, valid=None):
    """Losses of all epochs, and the model; `then` happens after epoch `at`."""
    losses = []

    def callback(epoch):
        losses.append(epoch.losses["loss"])
        if epoch.number == at:
            then()

    with model.training(callbacks=[callback], ranks=ranks, checkpoint=folder, every=every):
        model.fit(graph(), valid=valid, rng=7)
    return losses, model


def train(ranks, model, folder=None, at=None, what=None, at_rank=1, valid=None):
    """Fit a model; at rank `at_rank`, after epoch `at`, something happens: kill, wait or fill."""
    then = {"kill": kill, "wait": wait, "fill": fill, None: None}[what]
    mine = at if ranks.rank == at_rank else None
    losses, model = fitted(model, ranks, folder, mine, then, valid=valid)
    return losses, model, ranks.sent


def train_to_rename(ranks, model, folder, at_rank, number, is_done):
    """Fit a model; rank `at_rank` is killed at its rename of that number, before or after it."""
    renames, rename = itertools.count(1), os.replace

    def replace(*paths):
        last = next(renames) == number
        if not last or is_done:
            rename(*paths)
        if last:
            kill()

    if ranks.rank == at_rank:
        os.replace = replace  # this process ends with the training
    return fitted(model, ranks, folder)


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def wait():
    time.sleep(6)


def fill():
    """From now on no file grows, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
