"""The sentence of a verdict: what was compared, the change, p, fits and users, on which split."""

import numpy as np
import pyarrow as pa
import pytest

from hinaug.evaluation import Result, compare
from hinaug.report.wording import shown, verdict


def fits(mean, n=8, seed=0):
    rng = np.random.default_rng(seed)
    users = np.random.default_rng(9).normal(mean, 0.1, 100)
    ids = pa.array([f"u{k}" for k in range(100)])
    rows = np.clip(users + rng.normal(0, 0.02, (n, 100)), 0, 1)
    return [Result("M", "test", ids, {"NDCG@20": row}, {}, {}) for row in rows]


@pytest.mark.parametrize(
    ("plain", "random", "augmented", "starts"),
    [
        (0.4, 0.4, 0.5, "the augmentation helps on this split: NDCG@20 0."),
        (0.5, 0.5, 0.4, "the augmentation HURTS on this split: NDCG@20 0."),
        (0.4, 0.5, 0.5, "it rises on this split: NDCG@20 0."),
        (0.4, 0.4, 0.4, "no verdict on the augmentation on this split: NDCG@20 0."),
    ],
)
def test_each_verdict(plain, random, augmented, starts):
    arms = [fits(mean, seed=i) for i, mean in enumerate((plain, random, augmented))]
    over_plain, over_random = compare(arms[0], arms[2]), compare(arms[1], arms[2])
    said = verdict(over_plain, over_random, over_plain.p, over_random.p)
    assert said.startswith(starts)
    for part in (f"p = {over_plain.p:.2g}", "8 fits each", "100 users"):
        assert part in said


def test_what_was_not_tested_says_why():
    one = compare(fits(0.4)[:1], fits(0.5, seed=1)[:1])
    said = verdict(one, one, None, None)
    assert said.startswith("no verdict on the augmentation on this split")
    assert said.endswith("one fit: users vary, fits were not repeated")
    assert "p =" not in said
    assert (shown(None), shown(0.0123), shown(0.0123, 2)) == ("–", "0.01", "0.012")
