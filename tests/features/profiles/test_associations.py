"""Associations against a loop over pairs."""

import numpy as np
import pytest

from hinaug import HIN, Delta
from hinaug.errors import ParameterError
from hinaug.features import associations

RATES = ("user", "rates", "item")


def world(seed=0, n_users=30, n_items=8):
    x = np.random.default_rng(seed).random((n_users, n_items)) < 0.4
    src, dst = np.nonzero(x)
    users, items = [f"u{k}" for k in range(n_users)], [f"i{k}" for k in range(n_items)]
    links = {"src": [users[k] for k in src], "dst": [items[k] for k in dst]}
    of = {"src": items, "dst": ["a", "b"] * (n_items // 2)}
    nodes = {"user": {"id": users}, "item": {"id": items}, "kind": {"id": ["a", "b"]}}
    return HIN.from_tables(nodes, {RATES: links, ("item", "of", "kind"): of}), x


def by_loop(x, least):
    rules = {}
    for i in range(x.shape[1]):
        for j in range(x.shape[1]):
            n = int((x[:, i] & x[:, j]).sum())
            if i != j and n >= least:
                p = x[:, j].mean()
                rules[f"i{i}", f"i{j}"] = (n, n / len(x), n / x[:, i].sum(), n / x[:, i].sum() / p)
    return rules


@pytest.mark.parametrize("by", ["lift", "confidence", "support"])
def test_rules_are_those_of_a_loop_strongest_first(by):
    hin, x = world()
    rules = by_loop(x, 3)
    table = associations(hin, by=by, k=3).table
    at = {"support": 1, "confidence": 2, "lift": 3}[by]
    for i in range(8):
        mine = {pair: rule for pair, rule in rules.items() if pair[0] == f"i{i}"}
        found = [row for row in table.to_pylist() if row["src"] == f"i{i}"]
        best = sorted((rule[at] for rule in mine.values()), reverse=True)[:3]
        np.testing.assert_allclose([row[by] for row in found], best)
        for row in found:
            rule = mine[row["src"], row["dst"]]
            np.testing.assert_allclose(
                [row[c] for c in ("n", "support", "confidence", "lift")], rule
            )


def test_edges_go_on_the_graph_and_carry_the_rule():
    hin, _ = world()
    found = associations(hin, ["i1", "i2"], k=2)
    assert set(found.table["src"].to_pylist()) == {"i1", "i2"}
    edges = (hin + found.delta).table(("item", "associated", "item"))
    assert edges.num_rows == found.table.num_rows
    assert sorted(edges["lift"].to_pylist()) == sorted(found.table["lift"].to_pylist())
    confidence = np.sort(edges["confidence"].to_numpy())
    np.testing.assert_allclose(confidence, np.sort(found.table["confidence"].to_numpy()), rtol=1e-6)
    assert found.delta.fitted_on == (hin.fingerprint(),)


def test_a_longer_path_and_one_item():
    hin, x = world()
    table = associations(hin, "i0", ("item", "user", "item", "kind"), k=5, least=1).table
    has = {"a": x[:, ::2].any(1), "b": x[:, 1::2].any(1)}
    for row in table.to_pylist():
        n = (x[:, 0] & has[row["dst"]]).sum()
        assert row["n"] == n
        assert row["lift"] == pytest.approx(n * len(x) / (x[:, 0].sum() * has[row["dst"]].sum()))


def test_generated_links_do_not_count_and_errors_say_why():
    hin, _ = world()
    extra = Delta(edges={RATES: {"src": [f"u{k}" for k in range(30)], "dst": ["i0"] * 30}})
    assert associations(hin + extra).table.equals(associations(hin).table)
    with pytest.raises(ParameterError) as error:
        associations(hin, by="strength")
    assert error.value.there == ("lift", "confidence", "support")
    with pytest.raises(ParameterError):
        associations(hin, path=("item", "user"))
