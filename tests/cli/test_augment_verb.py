"""hinaug augment: deltas that are those of the library, by every generator's name."""

import importlib

import pytest
from commands import RATES, document, run

import hinaug
from hinaug.cli.names import method
from hinaug.cli.options import method_names
from hinaug.ensembles import Ensemble
from hinaug.generators.base import EntityGenerator
from hinaug.predictors.base import LinkPredictor


def test_augment_gives_one_delta_and_the_same_one_again(made, tmp_path):
    delta = hinaug.load(made / "delta")
    links = hinaug.load(made / "split").train.adjacency(RATES).nnz
    rows = {(r["part"], r["origin"]): r["rows"] for r in delta.summary().to_pylist()}
    assert rows["nodes", "Synthesis"] == 6
    assert rows["edges", "RelationGenerator(EASE)"] == round(0.1 * links)
    again = ("augment", made / "split", "--edges", "EASE:0.1", "--users", "synthesis:6")
    run(*again, "--out", tmp_path / "same")
    run(*again, "--seed", 1, "--out", tmp_path / "other")
    assert hinaug.load(tmp_path / "same") == delta
    assert hinaug.load(tmp_path / "other") != delta
    told = document(
        "augment",
        made / "split",
        "--items",
        "Aggregation:3",
        "--set",
        "Aggregation.k=2",
        "--out",
        tmp_path / "items",
    )
    assert [p["rows"] for p in told["parts"] if p["part"] == "nodes"] == [3]


def test_only_methods_are_offered_by_name():
    for package, base in (
        ("predictors", LinkPredictor),
        ("ensembles", Ensemble),
        ("generators", EntityGenerator),
    ):
        for name in method_names(importlib.import_module(f"hinaug.{package}")):
            assert method(package, name, base).__name__ == name


@pytest.mark.parametrize("name", method_names(importlib.import_module("hinaug.generators")))
def test_every_generator_of_nodes_is_made_by_name(made, tmp_path, name):
    quick = {"JointVAE", "JointGAN", "CFGAN", "RLGAN"}
    extra = ("--set", "epochs=1") if name in quick else ()
    asked = ("augment", made / "split", "--users", f"{name}:3", *extra, "--out", tmp_path / "d")
    run(*asked)
    assert hinaug.load(tmp_path / "d").nodes["user"].num_rows == 3
