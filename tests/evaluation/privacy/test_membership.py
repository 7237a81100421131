"""The attack finds a generator that memorises, and nothing where there is nothing to find."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from hinaug.datasets import planted
from hinaug.errors import KindError, ParameterError
from hinaug.evaluation.privacy import membership
from hinaug.generators.base import Entities, EntityGenerator
from hinaug.predictors import Popularity

RATES = ("user", "rates", "item")


@dataclass(eq=False)
class Memorising(EntityGenerator):
    """Gives away the rows it has seen."""

    node: str = "user"

    def _fit(self, hin, valid, rng):
        self.n_ = hin.n(self.node)

    def sample(self, hin, n, rng, condition=None):
        row = rng.permutation(hin.n(self.node))[:n]
        src, dst = hin.links(RATES)
        place = np.full(hin.n(self.node), -1)
        place[row] = np.arange(n)
        keep = place[src] >= 0
        links = {"row": place[src[keep]], "id": hin.nodes["item"]["id"].take(pa.array(dst[keep]))}
        table = hin.nodes[self.node].take(pa.array(row))
        return Entities(
            {"age": table["age"], "job": table["job"]}, {RATES: pa.table(links)}, np.ones(n)
        )


@dataclass(eq=False)
class Independent(Memorising):
    """Knows nothing of any user."""

    def sample(self, hin, n, rng, condition=None):
        items = hin.nodes["item"]["id"]
        row = np.repeat(np.arange(n), 5)
        dst = np.concatenate([rng.permutation(len(items))[:5] for _ in range(n)])
        links = {"row": row, "id": items.take(pa.array(dst))}
        columns = {
            "age": rng.integers(20, 60, n),
            "job": rng.choice(["baker", "guide"], n).tolist(),
        }
        return Entities(columns, {RATES: pa.table(links)}, np.ones(n))


@pytest.fixture(scope="module")
def hin():
    return planted(400, 150, rng=0, dim=0).drop("review")


def test_a_generator_that_memorises_is_found(hin):
    found = membership(Memorising(), hin, "user", shadows=4, rng=0)
    assert found.auc > 0.97
    assert found.advantage > 0.9
    rows = found.table.to_pandas()
    assert (rows["similarity"][rows["member"]] > 0.999).all()
    assert rows["member"].sum() == 200
    assert "AUC" in str(found)


def test_one_that_knows_nobody_is_at_chance(hin):
    found = membership(Independent(), hin, "user", shadows=8, rng=0)
    assert abs(found.auc - 0.5) < 3 * found.error
    assert found.error == pytest.approx(0.029, abs=0.002)
    assert abs(found.advantage) < 0.15


def test_the_null_over_many_draws(hin):
    """Unbiased: the mean over draws is nearer to 1/2 than any one of them need be."""
    small = hin.filter_nodes("user", np.arange(400) < 120)
    found = [membership(Independent(), small, shadows=4, rng=seed) for seed in range(12)]
    error = found[0].error / np.sqrt(len(found))
    assert abs(np.mean([f.auc for f in found]) - 0.5) < 3 * error


def test_the_same_seed_gives_the_same(hin):
    small = hin.filter_nodes("user", np.arange(400) < 60)
    a, b = (membership(Memorising(), small, shadows=4, rng=1) for _ in range(2))
    assert a.table.equals(b.table)


def test_mistakes(hin):
    with pytest.raises(KindError):
        membership(Popularity(RATES), hin)
    with pytest.raises(ParameterError) as caught:
        membership(Memorising(), hin, "item")
    assert (caught.value.asked, caught.value.there) == ("item", "user")
    with pytest.raises(ParameterError) as caught:
        membership(Memorising(), hin, shadows=5)
    assert caught.value.asked == 5
    few = hin.filter_nodes("user", np.arange(400) < 5)
    with pytest.raises(ParameterError) as caught:
        membership(Memorising(), few)
    assert caught.value.there == 5
