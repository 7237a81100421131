"""Some columns at a time learn what all columns at once learn, in memory and on disk, and on two
ranks.
"""

import numpy as np
import pytest
from rank_processes import on_ranks
from rank_tasks import RATES, graph

from hinaug.errors import ParameterError
from hinaug.graph import spill
from hinaug.predictors import ALS, MF, LightGCN, XSimGCL

CASES = {
    "MF": MF(RATES, embedding_dim=5, epochs=8),
    "LightGCN batches": LightGCN(RATES, embedding_dim=5, epochs=8, batch_size=100),
    "LightGCN draws": LightGCN(
        RATES, embedding_dim=5, epochs=8, prior="draws", mean_over="sources", features=["x"]
    ),
}


def blocked(ranks, model, size=2, large=None, **running):
    """Losses of all epochs, and the model."""
    if large is not None:
        spill.LARGE = large
    losses = []
    running = {"callbacks": [lambda epoch: losses.append(epoch.losses["loss"])], **running}
    with model.training(ranks=ranks, column_block=size, **running):
        model.fit(graph(), rng=7)
    return losses, model


@pytest.fixture(params=CASES)
def at_once(request):
    model = CASES[request.param].clone(batch_size=CASES[request.param].batch_size or 300)
    return model, blocked(None, model.clone(), None)


@pytest.mark.parametrize("on_disk", [False, True])
def test_blocks_learn_what_all_columns_learn(at_once, on_disk, monkeypatch):
    monkeypatch.setattr(spill, "LARGE", 0)
    model, (want, whole) = at_once
    for size in (1, 2, 9):
        losses, found = blocked(None, model.clone(), size, on_disk=on_disk)
        assert np.abs(np.subtract(losses, want)).max() < 1e-8
        assert np.abs(found.users_ - whole.users_).max() < 1e-5
        assert np.abs(found.items_ - whole.items_).max() < 1e-5
        for name, array in whole.fold_in_.items():
            assert np.abs(found.fold_in_[name] - array).max() < 1e-5


def test_two_ranks_with_blocks_on_disk(at_once):
    model, (want, whole) = at_once
    answers = on_ranks(on_disk_at_rank, 2, model)
    for losses, found in answers:
        assert np.abs(np.subtract(losses, want)).max() < 1e-8
        assert np.abs(found.users_ - whole.users_).max() < 1e-5


def on_disk_at_rank(ranks, model):
    return blocked(ranks, model, large=0, on_disk=True)


def test_blocks_are_refused_where_there_are_none(tmp_path):
    for model, running in (
        (ALS(RATES), {}),
        (XSimGCL(RATES), {}),
        (MF(RATES), {"checkpoint": tmp_path}),
        (MF(RATES, loss="softmax"), {}),
    ):
        with pytest.raises(ParameterError):
            blocked(None, model, **running)
