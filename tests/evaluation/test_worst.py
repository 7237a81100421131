"""The worst slices: a slice is found on others than it is judged on, and chance names none."""

import numpy as np

from hinaug.evaluation.traits import Trait, Traits
from hinaug.evaluation.worst import Pairs, worst_slices

N_USERS, N_ITEMS = 300, 160


def traits(name, values):
    return Traits([Trait(name)], values.astype(np.float32)[:, None], np.array([-np.inf]))


def pairs(rng, gain_of):
    users = np.repeat(np.arange(N_USERS), 5)
    items = rng.integers(N_ITEMS, size=len(users))
    gain = np.clip(gain_of(users, items), 0, 1)
    return Pairs(users, items, gain, np.full(len(users), 0.2))


def test_a_planted_slice_has_its_figures():
    rng = np.random.default_rng(0)
    age, price = rng.uniform(0, 100, N_USERS), rng.uniform(0, 1, N_ITEMS)
    held = pairs(rng, lambda u, i: rng.random(len(u)) * np.where(age[u] < 20, 0.2, 1.0))
    found, looked_at = worst_slices(held, traits("age", age), traits("price", price), rng)
    assert len(found) == 1 < looked_at
    one = found[0]
    inside = age[held.users] < 20
    assert one.where.startswith("age <= ")
    assert (one.inside == inside).mean() > 0.97
    assert one.low < held.gain[inside].mean() - held.gain[~inside].mean() < one.high < 0
    assert one.pairs < inside.sum() < 2.5 * one.pairs, "about half of the users judge"
    assert abs(one.share - inside.mean()) < 0.03


def test_hard_items_do_not_make_a_slice_of_a_meaningless_number():
    """Ten items are never found, and their prices are chance: no range of prices is named."""
    named = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        easy = rng.random(N_ITEMS) > 0.15
        held = pairs(rng, lambda u, i, rng=rng, easy=easy: easy[i] * rng.random(len(i)))
        age, price = rng.uniform(0, 100, N_USERS), rng.uniform(0, 1, N_ITEMS)
        named += len(worst_slices(held, traits("age", age), traits("price", price), rng)[0])
    assert named <= 1


def test_a_good_minority_does_not_make_the_rest_a_bad_slice():
    rng = np.random.default_rng(1)
    age, price = rng.uniform(0, 100, N_USERS), rng.uniform(0, 1, N_ITEMS)
    held = pairs(rng, lambda u, i: rng.random(len(u)) * np.where(age[u] < 20, 1.0, 0.2))
    found, _ = worst_slices(held, traits("age", age), traits("price", price), rng)
    assert found == []


def test_two_slices_are_both_named_and_each_once():
    rng = np.random.default_rng(2)
    age, price = rng.uniform(0, 100, N_USERS), rng.uniform(0, 1, N_ITEMS)
    held = pairs(
        rng,
        lambda u, i: rng.random(len(u)) * np.where((age[u] < 15) | (price[i] < 0.25), 0.1, 1.0),
    )
    found, _ = worst_slices(held, traits("age", age), traits("price", price), rng)
    assert sorted(one.where[:4] for one in found) == ["age ", "pric"]
    assert found[0].p <= found[1].p


def test_few_pairs_give_no_slice():
    rng = np.random.default_rng(3)
    held = Pairs(np.arange(5), np.arange(5), rng.random(5), np.ones(5))
    some = traits("age", rng.random(N_USERS))
    assert worst_slices(held, some, some, rng) == ([], 0)
    nothing = Pairs(*(np.zeros(0, int),) * 2, np.zeros(0), np.zeros(0))
    assert worst_slices(nothing, some, some, rng) == ([], 0)
