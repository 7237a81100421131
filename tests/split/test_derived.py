"""Columns that a split computes from train alone."""

import dataclasses

import numpy as np
import pytest

from hinaug.datasets import planted
from hinaug.errors import SchemaError
from hinaug.split import audit, random_split

RATES = ("user", "rates", "item")


def popularity(graph):
    return np.asarray(graph.adjacency(RATES).sum(axis=0)).ravel()


def noise(graph):
    return np.random.default_rng(0).random(graph.n("item"))


def split():
    return random_split(planted(60, 40, 4, dim=0, rng=0), RATES, evidence=["review"], rng=0)


def test_each_graph_gets_what_the_function_makes_of_it():
    made = split().with_derived("item", "seen", popularity)
    for graph in (made.train, made.train_valid):
        assert graph.column("item", "seen").to_pylist() == popularity(graph).tolist()
        assert graph.schema.nodes["item"]["seen"].lineage == "aggregate"
    assert "seen" not in made.source.nodes["item"].column_names
    assert split().how.keys() | {"derived"} == made.how.keys()


def test_the_audit_knows_them_and_knows_when_they_were_changed():
    made = split().with_derived("item", "noise", noise)
    assert audit(made).clean
    other = made.train.with_column("item", "noise", noise(made.train) + 1, "aggregate")
    unknown = audit(dataclasses.replace(made, train=other)).unknown
    assert [(f.where, f.graph) for f in unknown] == [("item.noise", "train")]


def test_a_function_that_looks_at_the_source_is_found():
    made = split()
    everything = popularity(made.source)
    leaks = audit(made.with_derived("item", "x", lambda graph: everything)).leaks
    assert {f.where for f in leaks} == {"item.x"}


def test_on_edges_and_two_columns():
    made = split().with_derived("item", "seen", popularity)
    made = made.with_derived(RATES, "of", lambda g: popularity(g)[g.links(RATES)[1]])
    assert made.how["derived"]["train"].keys() == {"item.seen", "user rates item.of"}
    assert audit(made).clean


def test_one_value_for_each_row():
    with pytest.raises(SchemaError):
        split().with_derived("item", "x", lambda graph: [1, 2])
