"""Popularity offsets against draws."""

import numpy as np

from hinaug.generators.entities.draws import popularity_offsets
from hinaug.generators.entities.links import race


def test_offsets_meet_popularity():
    rng = np.random.default_rng(0)
    many = rng.normal(size=(300, 30)).astype(np.float32)
    n, counts = rng.integers(1, 10, 300), np.r_[0, rng.integers(1, 60, 29)]
    offsets = popularity_offsets(lambda block: many[block], n, counts)
    drawn = np.zeros(30)
    for _ in range(50):
        drawn += np.bincount(race(many + offsets, n, rng).column, minlength=30) / 50
    assert drawn[0] < 0.1
    np.testing.assert_allclose(drawn, counts * n.sum() / counts.sum(), rtol=0.15, atol=1.5)
