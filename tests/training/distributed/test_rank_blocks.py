"""Methods that several processes solve by blocks: the same bytes whatever their number."""

import numpy as np
import pytest
from rank_processes import on_ranks
from rank_tasks import RATES, graph

from hinaug.predictors import ALS, SLIM, LocalEASE

MODELS = [
    ALS(RATES, embedding_dim=6, epochs=2),
    SLIM(RATES, k=7),
    LocalEASE(RATES, k=9),
    LocalEASE(RATES, k=200),
]


def learned(ranks, model):
    """The arrays that a model learned, as bytes."""
    with model.training(ranks=ranks):
        model.fit(graph(), rng=3)
    arrays = model.vectors() if isinstance(model, ALS) else [model.weights_.toarray()]
    return [np.asarray(array).tobytes() for array in arrays]


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_any_number_of_ranks_gives_the_same_bytes(model):
    alone = learned(None, model.clone())
    for size in (2, 3):
        assert on_ranks(learned, size, model) == [alone] * size


def test_the_numbers_of_blocks_are_uneven():
    """Blocks of a few links: more of them than ranks, and not as many for each."""
    answers = on_ranks(small_blocks, 2)
    assert answers[0] == answers[1]
    assert answers[0] == small_blocks(None)


def small_blocks(ranks):
    from hinaug.predictors import als

    before, als.BLOCK = als.BLOCK, 50
    try:
        return learned(ranks, MODELS[0].clone())
    finally:
        als.BLOCK = before
