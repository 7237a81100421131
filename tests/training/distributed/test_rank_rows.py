"""Ranks that divide users, items and links learn what one process learns."""

import numpy as np
import pytest
import torch
from rank_processes import on_ranks
from rank_tasks import RATES, graph

from hinaug.errors import ParameterError
from hinaug.predictors import MF, LightGCN
from hinaug.training.distributed import Ranks
from hinaug.training.distributed.rows import Halo

CASES = {
    "MF": MF(RATES, embedding_dim=5, epochs=8, mean_over="sources"),
    "LightGCN": LightGCN(RATES, embedding_dim=5, epochs=8, batch_size=100),
}


def fitted(ranks, model, **running):
    """Losses of all epochs, the model, and the bytes that were sent."""
    losses = []
    running = {"callbacks": [lambda epoch: losses.append(epoch.losses["loss"])], **running}
    with model.training(ranks=ranks, **running):
        model.fit(graph(), rng=7)
    return losses, model, ranks.sent


def by_rows(ranks, model):
    return fitted(ranks, model, by_rows=True)


@pytest.mark.parametrize("name", CASES)
def test_rows_of_any_number_of_ranks_learn_what_columns_learn(name):
    want, whole, _ = fitted(Ranks(), CASES[name].clone())
    alone = fitted(Ranks(), CASES[name].clone(), by_rows=True)
    for losses, found, _ in [alone, *on_ranks(by_rows, 3, CASES[name])]:
        assert np.abs(np.subtract(losses, want)).max() < 1e-6
        assert np.abs(found.users_ - whole.users_).max() < 1e-4
        assert np.abs(found.items_ - whole.items_).max() < 1e-4
        for part, array in whole.fold_in_.items():
            assert np.abs(found.fold_in_[part] - array).max() < 1e-4


def halos(ranks):
    needed = np.array([[0, 3, 4], [1, 6]][ranks.rank % 2][: 3 - ranks.rank])
    halo = Halo(ranks, 7, needed)
    own = torch.arange(7.0)[ranks.share(7), None]
    got = halo.fetch(own)
    back = halo.add(got, torch.zeros_like(own))
    return needed.tolist(), got.ravel().tolist(), back.ravel().tolist()


def test_a_halo_fetches_items_and_gives_back_what_is_added():
    answers = on_ranks(halos, 3)
    for needed, got, _ in answers:
        assert needed == got
    total = np.bincount([n for needed, *_ in answers for n in needed], minlength=7) * np.arange(7)
    assert [x for *_, back in answers for x in back] == total.tolist()


def test_rows_are_refused_where_there_are_none(tmp_path):
    for model, running in (
        (MF(RATES, loss="softmax"), {}),
        (MF(RATES, prior="draws"), {}),
        (LightGCN(RATES, features=["x"]), {}),
        (MF(RATES), {"checkpoint": tmp_path}),
        (MF(RATES), {"column_block": 2}),
    ):
        with pytest.raises(ParameterError):
            fitted(Ranks(), model, by_rows=True, **running)
