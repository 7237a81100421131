"""Users of whom the members with weight can tell nothing are ranked by another member."""

import numpy as np
import pytest

from hinaug.datasets import planted
from hinaug.ensembles import AdaRank, EnsembleSelection, RankFusion, Stacking, Weighted
from hinaug.ensembles.base import Ensemble
from hinaug.errors import EmptyListWarning
from hinaug.predictors import EASE, ItemKNN, Popularity
from hinaug.predictors.base import LinkPredictor
from hinaug.serving.recommend import recommend
from hinaug.split.random import random_split

RATES = ("user", "rates", "item")
KINDS = [Weighted, AdaRank, EnsembleSelection, Stacking, RankFusion]


class Junk(LinkPredictor):
    """Ranks every user alike, in the order of positions."""

    def _fit(self, hin, valid, rng):
        self.fitted_ = True

    def _score(self, hin, src):
        return np.tile(np.arange(hin.n("item"), dtype=np.float32), (len(src), 1))


@pytest.fixture(scope="module")
def split():
    return random_split(planted(150, 80, rng=1), RATES, rng=0)


@pytest.fixture(scope="module")
def with_cold(split):
    return split.train.with_nodes("user", {"id": ["cold1", "cold2"], "group": ["a", "a"]})


def fitted(kind: type[Ensemble], members: list[LinkPredictor], split) -> Ensemble:
    return kind(members).fit(split.train, valid=split.valid, rng=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_user_without_links_gets_what_is_popular(kind, split, with_cold):
    model = fitted(kind, [EASE(RATES), Popularity(RATES)], split)
    popular = Popularity(RATES).fit(split.train)
    users = ["cold1", "u140", "cold2"]
    rows = recommend(model, with_cold, users, k=5).to_pylist()
    expected = recommend(popular, with_cold, ["cold1", "cold2"], k=5)
    for user in ("cold1", "cold2"):
        got = [r["item"] for r in rows if r["user"] == user]
        assert got == [r["item"] for r in expected.to_pylist() if r["user"] == user]
        assert len(got) == 5


@pytest.mark.parametrize("kind", KINDS)
def test_the_others_are_ranked_as_without_cold_users(kind, split, with_cold):
    model = fitted(kind, [EASE(RATES), Popularity(RATES)], split)
    np.testing.assert_array_equal(
        model.score(split.train, np.arange(20)), model.score(with_cold, np.arange(20))
    )


@pytest.mark.parametrize("kind", [Weighted, Stacking])
def test_the_best_on_held_out_pairs_is_asked_first(kind, split, with_cold):
    members = [Junk(RATES), EASE(RATES), Popularity(RATES)]
    model = kind(members, margin=1e9).fit(split.train, valid=split.valid, rng=0)
    assert model.weights_.tolist() == [0, 1, 0]  # EASE alone, which knows nothing of cold users
    popular = recommend(Popularity(RATES).fit(split.train), with_cold, ["cold1"], k=5)
    assert recommend(model, with_cold, ["cold1"], k=5)["item"].equals(popular["item"])


@pytest.mark.parametrize("kind", KINDS)
def test_where_no_member_can_tell_a_warning_says_what_to_add(kind, split, with_cold):
    model = fitted(kind, [EASE(RATES), ItemKNN(RATES)], split)
    with pytest.warns(EmptyListWarning) as told:
        rows = recommend(model, with_cold, ["cold1", "u140", "cold2"], k=5)
    assert set(rows["user"].to_pylist()) == {"u140"}
    assert [w.message.there for w in told] == [{"short": 2, "empty": 2}]
    assert "Popularity" in str(told[0].message)
