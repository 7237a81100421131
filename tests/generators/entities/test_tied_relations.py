"""Relations that say the same: symmetric ones, reverses, and those that hold another's links."""

import numpy as np
import pyarrow as pa
import pytest
from raising import raises

from hinaug.errors import ParameterError
from hinaug.generators import (
    RLGAN,
    Aggregation,
    JointVAE,
    PopularNodes,
    SecondMoment,
    Synthesis,
)
from hinaug.graph.hin import HIN
from hinaug.testing import check_whole_nodes

SEES, BUYS = ("user", "sees", "item"), ("user", "buys", "item")
SEEN_BY, FRIEND = ("item", "seen by", "user"), ("user", "friend", "user")
TINY = {"epochs": 2, "latent": 4, "hidden": 8}


def pairs_of(delta, edge):
    rows = delta.edges[edge]
    return list(zip(rows["src"].to_pylist(), rows["dst"].to_pylist(), strict=True))


@pytest.fixture(scope="module")
def hin():
    """Each item bought was seen; items know by whom they were seen; friends are friends of each
    other.
    """
    rng = np.random.default_rng(0)
    code = np.unique(rng.integers(80, size=700) * 40 + rng.integers(40, size=700))
    src, dst = code // 40, code % 40
    bought = rng.random(len(code)) < 0.4
    time = rng.integers(1000, size=len(code))
    friends = rng.integers(80, size=(150, 2))
    friends = friends[friends[:, 0] != friends[:, 1]]
    friends = np.unique(np.concatenate([friends, friends[:, ::-1]]), axis=0)
    return HIN.from_tables(
        {"user": {"id": np.arange(80)}, "item": {"id": np.arange(40)}},
        {
            SEES: {"src": src, "dst": dst, "time": time},
            BUYS: {"src": src[bought], "dst": dst[bought]},
            SEEN_BY: {"src": dst, "dst": src, "time": time},
            FRIEND: {"src": friends[:, 0], "dst": friends[:, 1]},
        },
    )


@pytest.mark.parametrize(
    "generator",
    [
        PopularNodes("user"),
        SecondMoment("user", keep=0.5),
        JointVAE("user", **TINY),
        RLGAN("user", steps=1, episodes=8, control=False, **TINY),
        SecondMoment("item"),
    ],
    ids=lambda g: f"{type(g).__name__}-{g.node}",
)
def test_new_links_stand_wherever_real_ones_do(hin, generator):
    made = generator.fit(hin, rng=0).generate(hin, 60, rng=0)
    seen = pairs_of(made, SEES)
    assert set(pairs_of(made, BUYS)) <= set(seen)
    turned = [pair[::-1] for pair in pairs_of(made, SEEN_BY)]
    times = made.edges[SEEN_BY]["time"].to_pylist()
    said = made.edges[SEES]["time"].to_pylist()
    assert dict(zip(turned, times, strict=True)) == dict(zip(seen, said, strict=True))
    bought = np.mean([user in {u for u, _ in pairs_of(made, BUYS)} for user, _ in seen])
    assert bought > 0.5  # so the bound is not met by drawing nothing


def test_a_symmetric_relation_gets_both_directions_and_keeps_its_degrees(hin):
    made = PopularNodes("user").fit(hin, rng=0).generate(hin, 200, rng=0)
    friends = pairs_of(made, FRIEND)
    assert len(set(friends)) == len(friends)
    assert {pair[::-1] for pair in friends} == set(friends)
    assert all(a != b for a, b in friends)
    new = set(made.nodes["user"]["id"].to_pylist())
    assert any(a in new and b in new for a, b in friends)
    degree = sum(a in new for a, _ in friends) / len(new)
    assert degree == pytest.approx(hin.n(FRIEND) / hin.n("user"), rel=0.1)


def test_given_links_stand_in_tied_relations_too(hin):
    made = PopularNodes("user").fit(hin, rng=0).generate(hin, condition={BUYS: [3, 4]}, rng=0)
    assert {"3", "4"} <= {item for _, item in pairs_of(made, BUYS)}
    assert set(pairs_of(made, BUYS)) <= set(pairs_of(made, SEES))
    assert {p[::-1] for p in pairs_of(made, SEEN_BY)} == set(pairs_of(made, SEES))


def test_the_kit_finds_links_in_one_direction(hin):
    class OneWay(PopularNodes):
        def _fit(self, hin, valid, rng):
            super()._fit(hin, valid, rng)
            self.symmetric_ = []

    with pytest.raises(AssertionError, match="both directions"):
        check_whole_nodes(OneWay("user"), hin)


@pytest.fixture(scope="module")
def visits():
    """Visits join one user with one item each, so that one relation alone repeats nobody."""
    rng = np.random.default_rng(1)
    code = rng.permutation(12 * 12)[:90]
    return HIN.from_tables(
        {
            "visit": {"id": np.arange(90)},
            "user": {"id": np.arange(12)},
            "item": {"id": np.arange(12)},
        },
        {
            ("visit", "by", "user"): {"src": np.arange(90), "dst": code // 12},
            ("visit", "to", "item"): {"src": np.arange(90), "dst": code % 12},
        },
    )


def test_no_node_has_the_links_of_a_real_one_over_all_relations_together(visits):
    real = set(zip(*(visits.links(edge)[1].tolist() for edge in visits.edges), strict=True))
    made = PopularNodes("visit").fit(visits, rng=0).generate(visits, 50, rng=0)
    ends = [dict(pairs_of(made, edge)) for edge in visits.edges]
    new = [tuple(int(end[node]) for end in ends) for node in ends[0]]
    assert len(new) == 50
    assert not set(new) & real


def test_links_that_cannot_be_given_are_refused(visits):
    fitted = PopularNodes("visit", relations=[("visit", "to", "item")]).fit(visits, rng=0)
    left_out = ("visit", "by", "user")
    with raises(ParameterError, asked=left_out):
        fitted.generate(visits, condition={left_out: [0]})


def test_targets_that_came_later_cannot_be_given(visits):
    fitted = PopularNodes("visit").fit(visits, rng=0)
    nodes = {name: visits.nodes[name] for name in visits.nodes}
    later = HIN.from_tables(
        nodes | {"item": pa.table({"id": np.arange(13)})},
        {
            edge: {"src": visits.links(edge)[0], "dst": visits.links(edge)[1]}
            for edge in visits.edges
        },
    )
    with raises(ParameterError, asked=[12]):
        fitted.generate(later, condition={("visit", "to", "item"): [12]})


@pytest.mark.parametrize("kind", [Synthesis, Aggregation])
def test_generators_over_one_relation_say_what_they_leave_out(hin, kind):
    fitted = kind("user", relation=SEES).fit(hin, rng=0)
    assert set(fitted.left_out_) == {BUYS, SEEN_BY, FRIEND, (SEES, "time")}
    with raises(ParameterError, asked=[SEES]):
        fitted.generate(hin, condition={SEES: [0]})
    friends = pairs_of(kind("user", relation=FRIEND).fit(hin, rng=0).generate(hin, 9), FRIEND)
    assert {pair[::-1] for pair in friends} == set(friends)


def test_a_relation_with_one_target_a_node_keeps_one_whatever_is_given():
    rng = np.random.default_rng(0)
    items, brand, land = np.arange(60), ("item", "by", "brand"), ("item", "from", "land")
    nodes = {"item": {"id": items}, "brand": {"id": [*"xyz"]}, "land": {"id": [*"pqr"]}}
    brands, lands = rng.choice([*"xyz"], 60), rng.choice([*"pqr"], 60)
    lands[brands == "x"] = "p"  # so that nobody has both x and q
    edges = {brand: {"src": items, "dst": brands}, land: {"src": items, "dst": lands}}
    world = HIN.from_tables(nodes, edges)
    given = {brand: ["x", "y"], land: ["q", "q"]}
    for keep in (0.0, 0.9):
        made = PopularNodes("item", keep=keep).fit(world, rng=0)
        delta = made.generate(world, 40, condition=given, rng=0)
        for edge, targets in given.items():
            assert [
                target for _, target in sorted(pairs_of(delta, edge), key=place)
            ] == targets * 20


def place(pair):
    """The number at the end of the id of a new node."""
    return int(pair[0].rsplit("-", 1)[1])
