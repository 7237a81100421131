"""Links drawn at random are told from real ones by a model that has not seen them."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hinaug.datasets import planted
from hinaug.datasets.planted import RATES
from hinaug.errors import ParameterError, SchemaError
from hinaug.generators import random_delta
from hinaug.generators.selection import Denoiser
from hinaug.generators.selection.denoiser import _below
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import PairIndex
from hinaug.predictors import ALS, EASE, Popularity
from hinaug.testing import check_generator

VIEWED, BY, KNOWS = ("user", "viewed", "item"), ("item", "by", "user"), ("user", "knows", "user")


def dirty(seed, share=0.1, shape=(200, 100)):
    """A planted world in which some links go to items drawn at random, and which ones do."""
    hin = planted(*shape, n_groups=4, within=0.95, thin=0.0, degree=12, dim=0, rng=seed)
    rng = np.random.default_rng(seed)
    pairs = PairIndex.of(hin, RATES)
    dst = pairs.dst.copy()
    swapped = rng.choice(len(pairs), round(share * len(pairs)), replace=False)
    dst[swapped] = rng.integers(0, shape[1], len(swapped))
    pairs = PairIndex.from_positions(pairs.src, dst, pairs.shape)
    is_false = ~PairIndex.of(hin, RATES).contains(pairs.src, pairs.dst)
    nodes = {name: hin.nodes[name] for name in ("user", "item")}
    return HIN(nodes, {RATES: {"src": pairs.src, "dst": pairs.dst}}), pairs, is_false


@pytest.mark.parametrize("predictor", [ALS(RATES, embedding_dim=8), EASE(RATES)], ids=repr)
def test_false_links_are_found(predictor):
    aucs, shares = [], []
    for seed in range(3):
        hin, pairs, is_false = dirty(seed)
        denoiser = Denoiser(predictor).fit(hin, rng=seed)
        aucs.append(roc_auc_score(is_false, -denoiser._percentiles(hin)))
        made = denoiser.generate(hin, int(is_false.sum()), rng=seed).masks[RATES]
        at = pairs.find(hin.positions("user", made["src"]), hin.positions("item", made["dst"]))
        shares.append(is_false[at].mean())
        sure = made["confidence"].to_numpy()
        assert 0 < sure.min() <= sure.max() == 1
    assert np.mean(aucs) > 0.85
    assert np.mean(shares) > 0.4  # a tenth of the links are false


def test_a_model_that_has_seen_a_link_would_not_find_it():
    """The percentile of a link must not rest on the link: in a world of chance it is uniform."""
    rng = np.random.default_rng(0)
    pairs = PairIndex.from_positions(rng.integers(0, 80, 1500), rng.integers(0, 60, 1500), (80, 60))
    nodes = {
        "user": {"id": [f"u{k}" for k in range(80)]},
        "item": {"id": [f"i{k}" for k in range(60)]},
    }
    hin = HIN(nodes, {RATES: {"src": pairs.src, "dst": pairs.dst}})
    percentile = Denoiser(EASE(RATES)).fit(hin, rng=0)._percentiles(hin)
    assert percentile.mean() == pytest.approx(0.5, abs=0.03)


def test_percentiles_against_a_loop():
    rng = np.random.default_rng(0)
    scores = np.round(rng.random((6, 9)), 1)
    scores[2, 3], scores[4] = np.nan, 0.5
    met = rng.random((6, 9)) < 0.3
    matrix = PairIndex.from_positions(*met.nonzero(), met.shape).matrix()
    row, column = met.nonzero()
    expected = []
    for u, i in zip(row, column, strict=True):
        rest = scores[u][~met[u] & ~np.isnan(scores[u])]
        below = (rest < scores[u, i]).mean() + (rest == scores[u, i]).mean() / 2
        expected.append(np.nan if np.isnan(scores[u, i]) else below)
    np.testing.assert_allclose(_below(scores, matrix, row, column), expected)


def test_the_contract_and_what_is_kept():
    hin, pairs, _ = dirty(0, shape=(40, 30))
    model, made = check_generator(Denoiser(EASE(RATES), folds=3), hin)
    assert made.masks[RATES].num_rows == 7
    everything = model.generate(hin, 1.0)
    assert everything.masks[RATES].num_rows == len(pairs) - 40  # each user keeps a link
    seen = (hin + everything).adjacency(RATES)
    assert np.diff(seen.indptr).tolist() == [1] * 40
    assert random_delta(hin, made, 0).masks[RATES].num_rows == 7
    grown = hin.with_nodes("item", {"id": ["new"]}).with_edges(
        RATES, {"src": ["u00"], "dst": ["new"]}
    )
    assert "new" not in model.generate(grown, 1.0).masks[RATES]["dst"].to_pylist()


def test_links_recorded_twice_are_masked_twice():
    hin, pairs, _ = dirty(0, shape=(40, 30))
    ids = hin.ids("user", pairs.src), hin.ids("item", pairs.dst)
    hin = hin.with_edges(VIEWED, {"src": ids[0], "dst": ids[1]})
    hin = hin.with_edges(BY, {"src": ids[1], "dst": ids[0]})
    made = Denoiser(EASE(RATES)).fit(hin, rng=0).generate(hin, 9)
    rows = {t: m.select(["src", "dst"]).to_pydict() for t, m in made.masks.items()}
    assert rows[VIEWED] == rows[RATES] == {"src": rows[BY]["dst"], "dst": rows[BY]["src"]}
    assert (hin + made) - made == hin


def test_both_directions_of_a_friendship_go():
    rng = np.random.default_rng(0)
    a, b = np.triu_indices(40, 1)
    linked = rng.random(len(a)) < np.where(a % 4 == b % 4, 0.6, 0.05)
    a, b = a[linked], b[linked]
    nodes = {"user": {"id": [f"u{k}" for k in range(40)]}}
    hin = HIN(nodes, {KNOWS: {"src": np.append(a, b), "dst": np.append(b, a)}})
    rows = Denoiser(EASE(KNOWS)).fit(hin, rng=0).generate(hin, 21).masks[KNOWS]
    gone = list(zip(rows["src"].to_pylist(), rows["dst"].to_pylist(), strict=True))
    assert len(gone) == 20
    assert {(y, x) for x, y in gone} == set(gone)
    apart = [int(x[1:]) % 4 != int(y[1:]) % 4 for x, y in gone]
    assert np.mean(apart) > 0.5


def test_what_it_cannot_take():
    with pytest.raises(ParameterError):
        Denoiser(RATES)
    with pytest.raises(ParameterError) as error:
        Denoiser(Popularity(RATES), folds=1)
    assert error.value.asked == 1
    hin, _, _ = dirty(0, shape=(20, 15))
    empty = hin.filter_edges(RATES, np.zeros(hin.n(RATES), bool))
    with pytest.raises(SchemaError):
        Denoiser(Popularity(RATES)).fit(empty, rng=0)
    with pytest.raises(ParameterError):
        Denoiser(Popularity(RATES)).fit(hin, rng=0).generate(hin)
