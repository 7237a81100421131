"""ReservedPlaces: which place each item gets, by hand, against a loop, and with a delta."""

import doctest

import numpy as np
import pytest
from methods import Fixed

from hinaug import cold_items, evaluate
from hinaug.datasets import planted
from hinaug.datasets.planted import RATES
from hinaug.ensembles import reserved_places
from hinaug.ensembles.reserved_places import ReservedPlaces
from hinaug.errors import ParameterError
from hinaug.generators import RelationGenerator
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.predictors import EASE, KernelRidge, Popularity
from hinaug.serving.recommend import recommend


def graph():
    """v, w, x and y are warm; n, m and o are new. a has v."""
    nodes = {"user": {"id": ["a", "b"]}, "item": {"id": list("vwxynmo")}}
    return HIN.from_tables(nodes, {RATES: {"src": list("abbbb"), "dst": list("vvwxy")}})


#         v  w  x  y  n  m  o
PLAIN = [[9, 3, 5, 4, 8, 7, 6], [1, 1, 1, 1, 1, 1, 1]]
AUGMENTED = [[1, 9, 9, 9, 2, 3, np.nan], [1, 1, 1, 1, 1, 1, 1]]


def places(length, places, plain=PLAIN, augmented=AUGMENTED, user=0):
    """The items of a user in the order of the list."""
    hin = graph()
    members = [Fixed(RATES, plain), Fixed(RATES, augmented)]
    model = ReservedPlaces(members, places=places, length=length).fit(hin)
    scores = model.score(hin, [user])[0]
    order = np.argsort(-scores, kind="stable")[: int((~np.isnan(scores)).sum())]
    return "".join(hin.ids("item", order).to_pylist())


def test_by_hand():
    """plain: x y w, augmented: m n; nobody can tell o, and v is known."""
    assert places(3, 1) == "xymwn"
    assert places(3, 2) == "xmnyw"
    assert places(3, 0) == "xywmn"
    assert places(2, 2) == "mnxyw"
    assert places(20, 2) == "xywmn"  # the list is shorter than 20: nothing is left empty
    assert places(4, 3) == "xymnw"  # two new items can be told: the third place is a warm one's


def test_who_cannot_tell():
    nothing = np.full((2, 7), np.nan)
    assert places(3, 1, plain=nothing) == "mn"
    assert places(3, 1, augmented=nothing) == "xyw"
    assert places(3, 1, plain=nothing, augmented=nothing) == ""


def test_a_place_is_one_over_its_number():
    hin = graph()
    model = ReservedPlaces([Fixed(RATES, PLAIN), Fixed(RATES, AUGMENTED)], places=1, length=3)
    scores = model.fit(hin).score(hin, [0])[0]
    np.testing.assert_allclose(np.sort(scores[~np.isnan(scores)]), [1 / 5, 1 / 4, 1 / 3, 1 / 2, 1])


def test_against_a_loop():
    rng = np.random.default_rng(0)
    hin = planted(40, 60, 4, dim=0, rng=0)
    hin = hin.filter_edges(RATES, hin.links(RATES)[1] < 50)
    tables = [np.where(rng.random((40, 60)) < 0.2, np.nan, rng.random((40, 60))) for _ in range(2)]
    members = [Fixed(RATES, table) for table in tables]
    model = ReservedPlaces(members, places=3, length=10).fit(hin)
    scores = model.score(hin, np.arange(40))
    linked = set(hin.links(RATES)[1].tolist())
    for user in range(40):
        seen = set(hin.adjacency(RATES)[[user]].indices.tolist())
        lists = [
            [i for i in np.argsort(-table[user]).tolist() if i not in seen and kind(i)]
            for table, kind in zip(
                tables, (linked.__contains__, lambda i: i not in linked), strict=True
            )
        ]
        warm, new = (
            [i for i in items if not np.isnan(table[user, i])]
            for items, table in zip(lists, tables, strict=True)
        )
        n_new = min(3, len(new))
        first = warm[: 10 - n_new]
        expected = [*first, *new[:n_new], *warm[len(first) :], *new[n_new:]]
        told = np.flatnonzero(~np.isnan(scores[user]))
        assert told[np.argsort(-scores[user, told])].tolist() == expected


@pytest.fixture(scope="module")
def split():
    hin = planted(200, 120, 4, thin=0.0, rng=0)
    return cold_items(hin, RATES, evidence=["review"], valid=0.1, test=0.1, warm=0.1, rng=0)


@pytest.fixture(scope="module")
def delta(split):
    generator = RelationGenerator(
        KernelRidge(RATES, "x", l2=10.0), evidence=["review"], per_source=9
    )
    made = generator.fit(split.train, rng=0).generate(split.train, 1000, rng=0)
    new = np.flatnonzero(np.bincount(split.train.links(RATES)[1], minlength=120) == 0)
    positions = split.train.positions("item", made.edges[RATES]["dst"])
    rows = made.edges[RATES].filter(np.isin(positions, new).tolist())
    return Delta(edges={RATES: rows.select(["src", "dst", "confidence"])}, origin="x")


def test_new_items_reach_the_list_and_the_warm_ones_before_them_stay(split, delta):
    """The control: without a delta there is nothing for the places, and the list is the plain one."""
    plain = EASE(RATES).fit(split.train)
    with_delta = split.train + delta
    model = ReservedPlaces([EASE(RATES), EASE(RATES, weight="confidence")], places=2, length=20)
    without = evaluate(model.fit(split.train), split.train, split, k=(18, 20), protocol="joint")
    model.fit(with_delta)
    found = evaluate(model, with_delta, split, k=(18, 20), protocol="joint")
    alone = evaluate(plain, split.train, split, k=(18, 20), protocol="joint")
    for name, values in alone.values.items():
        np.testing.assert_array_equal(without.values[name], values)
    np.testing.assert_array_equal(found.values["NDCG@18"], alone.values["NDCG@18"])
    assert alone.new["Recall@20"] == 0
    assert found.new["Recall@20"] > 0.1
    assert found.overall["New items@20"] == pytest.approx(0.1, abs=0.01)
    table = recommend(model, with_delta, split.train.ids("user", [0, 1]), k=20).to_pylist()
    linked = set(split.train.links(RATES)[1].tolist())
    is_new = [int(split.train.positions("item", [r["item"]])[0]) not in linked for r in table]
    assert is_new == ([False] * 18 + [True] * 2) * 2


def test_plain_learns_from_what_was_observed_alone(split, delta):
    model = ReservedPlaces([Popularity(RATES), Popularity(RATES)]).fit(split.train + delta)
    observed, augmented = (member.counts_ for member in model.predictors_)
    np.testing.assert_array_equal(observed, Popularity(RATES).fit(split.train).counts_)
    assert augmented.sum() == observed.sum() + len(delta)
    model.refit(split.train_valid + delta)
    np.testing.assert_array_equal(
        model.predictors_[0].counts_, Popularity(RATES).fit(split.train_valid).counts_
    )


def test_members_that_are_fitted_already(split, delta):
    graph = split.train + delta
    model = ReservedPlaces([EASE(RATES), EASE(RATES, weight="confidence")]).fit(graph)
    again = ReservedPlaces(model.predictors).fit_with(model.predictors_, graph)
    np.testing.assert_array_equal(again.score(graph, [0, 1]), model.score(graph, [0, 1]))
    with pytest.raises(ParameterError) as told:
        ReservedPlaces(model.predictors).fit_with(model.predictors_[::-1], graph)
    assert told.value.there == split.train.fingerprint()


def test_generated_users_and_items():
    hin = graph()
    made = hin + Delta(
        nodes={"user": {"id": ["ghost"]}, "item": {"id": ["made"]}},
        edges={RATES: {"src": ["ghost", "a"], "dst": ["w", "n"]}},
    )
    model = ReservedPlaces([Popularity(RATES), Popularity(RATES)], places=1, length=3).fit(made)
    scores = model.score(made, [0, 2])
    assert np.isnan(scores[:, -1]).all()  # a generated item has no place
    assert (~np.isnan(scores[0])).sum() == 6  # all but v, which a has
    new = np.isin(made.ids("item").to_pylist(), list("nmo"))
    assert (~np.isnan(scores[1]) == new).all()  # plain knows no generated user


def test_errors():
    for members in ([EASE(RATES)], [EASE(RATES)] * 3):
        with pytest.raises(ParameterError) as told:
            ReservedPlaces(members)
        assert told.value.asked == len(members)
    for wrong in ({"places": -1}, {"places": 5, "length": 4}):
        model = ReservedPlaces([Popularity(RATES)] * 2, **wrong)
        with pytest.raises(ParameterError):
            model.fit(graph())


def test_the_example_runs():
    result = doctest.testmod(reserved_places)
    assert result.failed == 0
    assert result.attempted
