"""Limits on new links: against a plain loop, and as degrees that keep their shape."""

import numpy as np
import pytest
from scipy import stats

from hinaug.datasets import planted
from hinaug.datasets.planted import RATES
from hinaug.errors import ParameterError
from hinaug.generators import RelationGenerator
from hinaug.generators.relations.budget import greedy, limits, shares
from hinaug.predictors import EASE


@pytest.mark.parametrize("shared", [False, True])
def test_greedy_takes_what_a_loop_would(shared):
    rng = np.random.default_rng(0)
    for _ in range(30):
        n = 12
        codes = rng.permutation(n * n)[:70]
        a, b = np.divmod(codes, n)
        a, b = (a[a != b], b[a != b]) if shared else (a, b + n)
        room = rng.integers(0, 4, n if shared else 2 * n)
        left, expected = room.copy(), []
        for row, (u, v) in enumerate(zip(a, b, strict=True)):
            if left[u] and left[v]:
                expected.append(row)
                left[[u, v]] -= 1
        assert greedy(a, b, room).tolist() == expected


def test_limits_and_shares():
    degree = np.array([0, 1, 3, 4])
    assert limits(2, degree).tolist() == [2] * 4
    assert limits(1.5, degree).tolist() == [4] * 4  # half more than the mean of 8/3
    assert limits(0.1, degree).tolist() == [1] * 4
    assert shares(degree, 16, None).tolist() == [1, 2, 6, 8]
    drawn = np.array([shares(degree, 10, np.random.default_rng(k)) for k in range(400)])
    assert set(drawn.sum(axis=1)) <= {10, 11}
    np.testing.assert_allclose(drawn.mean(axis=0), 10 * degree / 8, atol=0.15)


@pytest.mark.parametrize("size", [0.2, 1.0])
def test_degrees_keep_their_shape_when_asked(size):
    hin = planted(300, 150, rng=0)
    links = hin.adjacency(RATES)
    distance = {}
    for degrees in (None, "observed"):
        generator = RelationGenerator(EASE(RATES), degrees=degrees).fit(hin, rng=0)
        made = generator.generate(hin, size, rng=0)
        seen = (hin + made).adjacency(RATES)
        assert made.edges[RATES].num_rows > 0.9 * size * links.nnz
        # observed degrees, grown as a whole and rounded at random
        grown = 1 + made.edges[RATES].num_rows / links.nnz
        rng = np.random.default_rng(0)
        distance[degrees] = [
            stats.ks_2samp(
                np.floor(grown * links.sum(axis=end) + rng.random(n)),
                seen.sum(axis=end),
                method="asymp",
            ).statistic
            for end, n in ((1, 300), (0, 150))
        ]
    assert max(distance["observed"]) <= 0.1
    assert max(distance[None]) > 0.1  # the most confident pairs are of popular items


def test_limits_hold_at_both_ends():
    hin = planted(60, 40, rng=0)
    generator = RelationGenerator(EASE(RATES), per_source=3, per_target=4, candidates=10)
    made = generator.fit(hin, rng=0).generate(hin, 10**6, rng=0).edges[RATES]
    counts = [[c["counts"] for c in made[s].value_counts().to_pylist()] for s in ("src", "dst")]
    assert max(counts[0]) == 3
    assert max(counts[1]) == 4
    assert made.num_rows > 0.9 * 40 * 4
    without_size = generator.fit(hin, rng=0).generate(hin, rng=0).edges[RATES]
    assert without_size.equals(made)
    share = RelationGenerator(EASE(RATES), per_target=0.5).fit(hin, rng=0)
    mean = hin.adjacency(RATES).nnz / 40
    made = share.generate(hin, rng=0).edges[RATES]
    assert max(c["counts"] for c in made["dst"].value_counts().to_pylist()) == round(0.5 * mean)


def test_wrong_limits():
    for wrong in ({"per_target": 0}, {"per_source": -1.5}, {"degrees": "equal"}):
        with pytest.raises(ParameterError) as error:
            RelationGenerator(EASE(RATES), **wrong)
        assert error.value.asked == next(iter(wrong.values()))
