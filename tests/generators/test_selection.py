"""Selection: pairs stay whole, each rule picks what it says, and false pairs are bounded."""

import warnings

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import logsumexp

from hinaug.datasets import planted
from hinaug.datasets.planted import RATES
from hinaug.errors import KindError, ParameterError, SchemaError, SelectionWarning
from hinaug.generators.pairs import rows_of_pairs
from hinaug.generators.relations import RelationGenerator
from hinaug.generators.selection import (
    agreed,
    at_random,
    conformal,
    diverse,
    influential,
    influential_on_valid,
    most_confident,
)
from hinaug.generators.selection.choose import _farthest_first
from hinaug.generators.selection.influence import SHARPNESS, _sharpness, gram_gradient
from hinaug.graph import merge
from hinaug.graph.delta import Delta
from hinaug.graph.pairs import PairIndex
from hinaug.predictors import EASE
from hinaug.split.random import random_split

VIEWED, BY, KNOWS = ("user", "viewed", "item"), ("item", "by", "user"), ("user", "knows", "user")


def edges(delta, relation=RATES):
    rows = delta.edges[relation]
    return list(zip(rows["src"].to_pylist(), rows["dst"].to_pylist(), strict=True))


def proposed(n=200, rng=0, hin=None):
    """Edges between planted nodes with random confidence."""
    hin = planted(60, 40, rng=0) if hin is None else hin
    rng = np.random.default_rng(rng)
    known = hin.adjacency(RATES).toarray() > 0
    src, dst = np.nonzero(~known)
    some = rng.choice(len(src), n, replace=False)
    rows = {
        "src": hin.ids("user", src[some]),
        "dst": hin.ids("item", dst[some]),
        "confidence": rng.random(n).astype(np.float32),
    }
    return hin, Delta(edges={RATES: rows}, fitted_on=[hin.fingerprint()])


ON_PAIRS = {
    "most_confident": lambda hin, delta, size: most_confident(delta, size),
    "at_random": lambda hin, delta, size: at_random(delta, size, rng=0),
    "agreed": lambda hin, delta, size: agreed([delta, delta], size),
    "diverse": lambda hin, delta, size: diverse(delta, hin, size),
    "influential": lambda hin, delta, size: influential(delta, hin, size, rng=0),
}


@pytest.mark.parametrize("name", ON_PAIRS)
def test_each_gives_a_smaller_delta(name):
    hin, delta = proposed()
    for size, n in ((50, 50), (0.1, 20), (0, 0), (10**6, 200), (1.0, 200)):
        made = ON_PAIRS[name](hin, delta, size)
        assert len(made) == n
        assert set(made.keys().to_pylist()) <= set(delta.keys().to_pylist())
        assert made.fitted_on == delta.fitted_on
    assert ON_PAIRS[name](hin, delta, 50) == ON_PAIRS[name](hin, delta, 50)
    assert (hin + made) - made == hin
    with pytest.raises(ParameterError) as error:
        ON_PAIRS[name](hin, delta, -1)
    assert error.value.asked == -1
    with pytest.raises(ParameterError):
        ON_PAIRS[name](hin, Delta(), 1)
    with pytest.raises(KindError):
        ON_PAIRS[name](hin, hin, 1)


@pytest.mark.parametrize("name", ON_PAIRS)
def test_a_pair_is_kept_with_all_that_repeats_it(name):
    hin, delta = proposed(60)
    rows = delta.edges[RATES].select(["src", "dst", "confidence"])
    turned = rows.rename_columns(["dst", "src", "confidence"]).select(["src", "dst", "confidence"])
    own = pa.table({"src": ["u00"], "dst": ["i00"], "confidence": pa.array([0.0], pa.float32())})
    own = own if rows_of_pairs(rows, own)[0] < 0 else own.slice(0, 0)
    viewed = pa.concat_tables([rows.select(["src", "dst", "confidence"]).slice(0, 30), own])
    user = {"user": {"id": ["new"]}}
    both = Delta(user, {RATES: rows, VIEWED: viewed, BY: turned})
    made = ON_PAIRS[name](hin, both, 20)
    kept = set(edges(made))
    assert len(kept) == 20
    assert {(b, a) for a, b in edges(made, BY)} == kept
    mine = set(edges(both, VIEWED)) - set(edges(both))
    assert len(mine) == 1  # it repeats nothing and stays
    assert set(edges(made, VIEWED)) == (kept & set(edges(both, VIEWED))) | mine
    assert made.nodes["user"].num_rows == 1


def test_both_directions_are_one_pair():
    a, b = [f"u{k}" for k in range(10)], [f"u{k + 1}" for k in range(10)]
    sure = np.arange(20) / 20
    delta = Delta(edges={KNOWS: {"src": a + b, "dst": b + a, "confidence": sure}})
    made = most_confident(delta, 0.3)
    assert len(made) == 6
    assert {(y, x) for x, y in edges(made, KNOWS)} == set(edges(made, KNOWS))
    assert set(edges(made, KNOWS)) >= {("u10", "u9"), ("u9", "u8"), ("u8", "u7")}


def test_the_most_confident_are_kept():
    _, delta = proposed()
    sure = np.sort(delta.edges[RATES]["confidence"].to_numpy())[::-1]
    made = most_confident(delta, 30).edges[RATES]["confidence"].to_numpy()
    np.testing.assert_array_equal(np.sort(made)[::-1], sure[:30])
    drawn = at_random(delta, 100, rng=1).edges[RATES]["confidence"].to_numpy()
    assert drawn.mean() == pytest.approx(sure.mean(), abs=0.1)
    assert at_random(delta, 100, rng=1) != at_random(delta, 100, rng=2)


def test_those_that_most_agree_on_are_kept():
    rows = [("a", "x", 0.9), ("b", "x", 0.2), ("c", "x", 0.3)]

    def delta(*which):
        src, dst, sure = zip(*(rows[k] for k in which), strict=True)
        return Delta(edges={RATES: {"src": src, "dst": dst, "confidence": sure}})

    made = agreed([delta(0, 1), delta(1, 2), delta(1, 2)], 2)
    assert [p[0] for p in edges(made)] == ["b", "c"]
    assert made.edges[RATES]["votes"].to_pylist() == [3, 2]
    assert len(agreed([delta(0, 1), delta(1, 2)])) == 3
    assert [p[0] for p in edges(merge([delta(0, 1), delta(1, 2)], 2))] == ["b"]
    for wrong in (0, 1.5, True, "most"):
        with pytest.raises(ParameterError) as error:
            merge([delta(0)], wrong)
        assert error.value.asked == wrong


def test_diverse_targets_are_farthest_first():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 3))
    chosen = [4]
    while len(chosen) < 30:
        gap = ((x[:, None] - x[None, chosen]) ** 2).sum(-1).min(axis=1)
        gap[chosen] = -1
        chosen.append(int(gap.argmax()))
    assert np.argsort(_farthest_first(x, 4)).tolist() == chosen
    hin, delta = proposed()
    x = rng.normal(size=(40, 2))
    spread, sure = diverse(delta, hin, 15, by=x), most_confident(delta, 15)

    def covered(made):
        centres = x[np.unique(hin.positions("item", made.edges[RATES]["dst"]))]
        return np.sqrt(((x[:, None] - centres[None]) ** 2).sum(-1)).min(axis=1).max()

    assert covered(spread) < 0.8 * covered(sure)
    targets = spread.edges[RATES]["dst"].to_pylist()
    assert len(set(targets)) == 15
    best = {}
    for (_, i), c in zip(edges(delta), delta.edges[RATES]["confidence"].to_pylist(), strict=True):
        best[i] = max(c, best.get(i, 0))
    assert spread.edges[RATES]["confidence"].to_pylist() == [best[i] for i in targets]
    with pytest.raises(ParameterError) as error:
        diverse(delta, hin, 5, by=x[:3])
    assert error.value.there == 40


# ---- influence -----------------------------------------------------------------------------------


def utility(gram, x, held, sharpness, l2):
    """Mean log likelihood of held links under a softmax of EASE's scores, by the book."""
    p = np.linalg.inv(gram + l2 * np.eye(len(gram)))
    b = -p / np.diag(p)
    np.fill_diagonal(b, 0)
    scores = np.where(x > 0, -np.inf, x @ b * sharpness)
    logs = scores - logsumexp(scores, axis=1, keepdims=True)
    return logs[held > 0].mean()


def test_the_gradient_is_that_of_the_likelihood():
    rng = np.random.default_rng(0)
    links = rng.random((40, 8)) < 0.4
    part = rng.random(links.shape) < 0.25
    x, held = (links & ~part).astype(np.float64), (links & part).astype(np.float64)
    indices = [PairIndex.from_positions(*m.nonzero(), m.shape).matrix() for m in (x, held)]
    gradient = gram_gradient(*indices, 3.0)
    np.testing.assert_allclose(gradient, gradient.T)
    gram = x.T @ x
    p = np.linalg.inv(gram + 3 * np.eye(8))
    weights = (-p / np.diag(p) * (1 - np.eye(8))).astype(np.float32)
    sharpness = _sharpness(*indices, weights, np.flatnonzero(held.any(axis=1)))
    assert sharpness in SHARPNESS
    step, expected = 1e-4, np.zeros((8, 8))
    for i in range(8):
        for j in range(8):
            change = np.zeros((8, 8))
            change[i, j] += step / 2
            change[j, i] += step / 2
            up, down = (utility(gram + s * change, x, held, sharpness, 3.0) for s in (1, -1))
            expected[i, j] = (up - down) / (2 * step)
    np.testing.assert_allclose(gradient, expected, rtol=2e-3, atol=1e-6)


def test_influence_finds_the_edges_that_fit():
    """Half of the edges join nodes of one topic; these raise the likelihood of held-out links."""
    shares = []
    for seed in range(5):
        hin, topics = planted(150, 60, n_groups=3, rng=seed, return_truth=True)
        same = topics["user_topic"][:, None] == topics["item_topic"][None, :]
        rng = np.random.default_rng(seed)
        new = hin.adjacency(RATES).toarray() == 0
        src, dst = np.concatenate(
            [rng.permutation(np.argwhere(new & kind))[:300] for kind in (same, ~same)]
        ).T
        rows = {"src": hin.ids("user", src), "dst": hin.ids("item", dst)}
        made = influential(Delta(edges={RATES: rows}), hin, 0.5, rng=seed).edges[RATES]
        src, dst = hin.positions("user", made["src"]), hin.positions("item", made["dst"])
        shares.append(same[src, dst].mean())
    assert np.mean(shares) > 0.6  # at random .5, with a standard error of .007


def test_influence_on_validation_is_a_control_that_says_so():
    split = random_split(planted(80, 40, rng=0), RATES, evidence=["review"], rng=0)
    _, delta = proposed(100, hin=split.train)
    with pytest.warns(SelectionWarning):
        made = influential_on_valid(delta, split.train, split.valid, 30)
    assert len(made) == 30
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SelectionWarning)
        assert influential_on_valid(delta, split.train, split.valid, 30) == made
    target = split.train.ids("item", [0]).to_pylist()
    strangers = {"src": ["nobody", "nobody"], "dst": [*target, "nothing"]}
    kept = influential(Delta(edges={RATES: strangers}), split.train, 2).edges[RATES]
    assert kept.num_rows == 2  # who is not there has no history, what is not there is worth 0


# ---- a bound on false pairs ----------------------------------------------------------------------


def labelled(delta, is_true, some):
    rows = delta.edges[RATES].select(["src", "dst"]).append_column("true", pa.array(is_true))
    return rows.take(pa.array(some))


def test_false_pairs_are_bounded_over_many_planted_worlds():
    """Truth: nodes of one topic. Confidence speaks of held-out pairs, which is another matter."""
    wrong, power, base, alpha = [], [], [], 0.2
    for world in range(40):
        hin, topics = planted(
            80, 40, n_groups=3, thin=0.2, within=0.95, dim=0, rng=world, return_truth=True
        )
        hin = hin.drop("review")
        delta = RelationGenerator(EASE(RATES), per_source=10).fit(hin, rng=world).generate(hin, 700)
        src, dst = (
            hin.positions(node, delta.edges[RATES][side])
            for node, side in (("user", "src"), ("item", "dst"))
        )
        is_true = topics["user_topic"][src] == topics["item_topic"][dst]
        some = np.random.default_rng(world).choice(len(delta), 300, replace=False)
        made = conformal(delta, labelled(delta, is_true, some), alpha=alpha)
        kept = rows_of_pairs(delta.edges[RATES], made.edges[RATES]) if len(made) else []
        assert not set(kept) & set(some.tolist())
        wrong.append(1 - is_true[kept].mean() if len(kept) else 0.0)
        power.append(len(kept))
        base.append(1 - is_true.mean())
    error = np.std(wrong) / np.sqrt(len(wrong))
    assert np.mean(wrong) <= alpha + 2 * error
    assert np.mean(power) > 100
    assert np.mean(base) > 0.3


def test_the_bound_holds_for_any_confidence_and_is_not_slack():
    """True pairs are a little surer; confidence is no probability at all."""
    rng = np.random.default_rng(0)
    n = 1000
    ids = {"src": [f"u{k}" for k in range(n)], "dst": ["x"] * n}
    wrong = []
    for _ in range(200):
        is_true = rng.random(n) < 0.5
        c = 1 / (1 + np.exp(-rng.normal(2.0 * is_true, 1)))
        delta = Delta(edges={RATES: {**ids, "confidence": c}})
        made = conformal(delta, labelled(delta, is_true, np.arange(500)), alpha=0.1)
        kept = rows_of_pairs(delta.edges[RATES], made.edges[RATES]) if len(made) else []
        wrong.append(1 - is_true[kept].mean() if len(kept) else 0.0)
    error = np.std(wrong) / np.sqrt(len(wrong))
    assert 0.06 < np.mean(wrong) <= 0.1 + 2 * error


def test_what_conformal_cannot_use():
    _, delta = proposed(20)
    known = labelled(delta, np.ones(20, bool), np.arange(5))
    for alpha in (0, 1, -1):
        with pytest.raises(ParameterError) as error:
            conformal(delta, known, alpha=alpha)
        assert error.value.asked == alpha
    with pytest.raises(SchemaError) as error:
        conformal(delta, known.drop_columns(["true"]))
    assert error.value.asked == "true"
    with pytest.raises(ParameterError) as error:
        conformal(delta, known.slice(0, 0))
    assert error.value.asked == 0
    assert len(conformal(delta, known, alpha=0.01)) == 0  # five labels cannot promise so much


def test_votes_come_before_confidence():
    rows = {"src": ["b", "a"], "dst": ["x", "x"], "confidence": [1.0, 0.0]}
    one, two = Delta(edges={RATES: rows}), Delta(edges={RATES: {"src": ["a"], "dst": ["x"]}})
    two = two.with_confidence(0.0)
    assert agreed([one, two], 1).edges[RATES]["src"].to_pylist() == ["a"]
