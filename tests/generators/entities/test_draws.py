"""Inclusion probabilities and popularity offsets against draws."""

import numpy as np

from hinaug.generators.entities.draws import gumbel_top, inclusion, popularity_offsets


def test_inclusion_is_what_the_draw_does_and_offsets_meet_popularity():
    rng = np.random.default_rng(0)
    logits, n = rng.normal(size=(1, 12)) * 1.5, np.array([4])
    row, column = gumbel_top(np.repeat(logits, 20_000, axis=0), np.repeat(n, 20_000), rng)
    assert (np.bincount(row) == 4).all()
    np.testing.assert_allclose(
        np.bincount(column, minlength=12) / 20_000, inclusion(logits, n)[0], atol=0.03
    )
    many, n = rng.normal(size=(300, 30)), rng.integers(1, 10, 300)
    counts = np.r_[0, rng.integers(1, 60, 29)]
    offsets = popularity_offsets(lambda block: many[block], n, counts)
    expected = inclusion(many + offsets, n).sum(0)
    np.testing.assert_allclose(expected, counts * n.sum() / counts.sum(), rtol=0.1, atol=0.5)
