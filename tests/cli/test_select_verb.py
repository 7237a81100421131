"""hinaug select and augment --relation: what they write is what the library gives."""

import json

import pytest
from typer.testing import CliRunner

import hinaug
from hinaug.cli.app import app
from hinaug.datasets import planted
from hinaug.datasets.planted import RATES
from hinaug.generators import RelationGenerator
from hinaug.generators.selection import agreed, at_random, diverse, influential, most_confident
from hinaug.predictors import KernelRidge, MetapathSimilarity
from hinaug.split.cold import cold_items
from hinaug.split.random import random_split


def run(*arguments, code=0):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("select")
    hin = planted(60, 40, tags=True, rng=0)
    hinaug.save(random_split(hin, RATES, evidence=["review"], rng=0), folder / "split")
    hinaug.save(cold_items(hin, RATES, evidence=["review"], rng=0), folder / "new")
    for name in ("EASE", "ItemKNN"):
        run("augment", folder / "split", "--edges", f"{name}:60", "--out", folder / name)
    return folder


def test_each_rule_is_that_of_the_library(folder, tmp_path):
    delta, other = (hinaug.load(folder / name) for name in ("EASE", "ItemKNN"))
    train = hinaug.load(folder / "split").train
    by_split = ("--split", folder / "split")
    for by, more, expected in (
        ("confidence", (), most_confident(delta, 20)),
        ("random", ("--seed", 3), at_random(delta, 20, rng=3)),
        ("influence", by_split, influential(delta, train, 20, rng=0)),
        ("diversity", (*by_split, "--column", "x"), diverse(delta, train, 20, by=["x"])),
    ):
        out = tmp_path / by
        said = run("select", folder / "EASE", "--by", by, "--size", 20, *more, "--out", out)
        assert hinaug.load(out) == expected
        assert "20 user rates item edges" in said
    both = ("select", folder / "EASE", folder / "ItemKNN", "--by", "agreement", "--size", "0.5")
    document = json.loads(run(*both, "--out", tmp_path / "both", "--json"))
    assert hinaug.load(tmp_path / "both") == agreed([delta, other], 0.5)
    assert (document["by"], document["parts"][0]["part"]) == ("agreement", "edges")


def test_augment_makes_other_relations_and_edges_of_new_items(folder, tmp_path):
    split = hinaug.load(folder / "split")
    similar = ("item", "similar", "item")
    run("augment", folder / "split", "--edges", "MetapathSimilarity:50", "--relation",
        "item,similar,item", "--out", tmp_path / "similar")  # fmt: skip
    made = RelationGenerator(MetapathSimilarity(similar)).fit(split.train, rng=0)
    assert hinaug.load(tmp_path / "similar") == made.generate(split.train, 50, rng=0)
    run("augment", folder / "split", "--edges", "ALS:0.1", "--relation", "item,has,tag",
        "--out", tmp_path / "tags")  # fmt: skip
    assert list(hinaug.load(tmp_path / "tags").edges) == [("item", "has", "tag")]
    new = hinaug.load(folder / "new")
    run("augment", folder / "new", "--edges", "KernelRidge:90", "--set", "targets=cold",
        "--set", "per_target=9", "--out", tmp_path / "cold")  # fmt: skip
    generator = RelationGenerator(
        KernelRidge(RATES), targets="cold", per_target=9, evidence=("review",)
    )
    expected = generator.fit(new.train, valid=new.valid, rng=0).generate(new.train, 90, rng=0)
    assert hinaug.load(tmp_path / "cold") == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("select", "EASE", "--size", "5", "--by", "influence"), "needs --split"),
        (("select", "EASE", "--size", "5", "--by", "agreement"), "takes several deltas"),
        (("select", "EASE", "ItemKNN", "--size", "5"), "takes one delta"),
        (("select", "EASE", "--size", "much"), "is no size"),
        (("select", "EASE", "--size", "5", "--relation", "a,b,c"), "no edge type"),
        (("select", "split", "--size", "5"), "hinaug augment makes one"),
        (("augment", "split", "--edges", "EASE:5", "--relation", "user,rate,item"), "did you mean"),
        (
            ("augment", "split", "--edges", "EASE:5", "--relation", "user,rates,film"),
            "no edge type",
        ),
    ],
)
def test_mistakes_end_in_a_sentence(folder, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(folder)
    said = run(*arguments, "--out", tmp_path / "out", code=2)
    assert words in said
    assert not (tmp_path / "out").exists()


def test_a_share_above_one_is_refused(folder, tmp_path):
    run("select", folder / "EASE", "--size", "1.5", "--out", tmp_path / "kept", code=2)
    assert not (tmp_path / "kept").exists()
