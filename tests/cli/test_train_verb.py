"""hinaug train: the model that the library fits, and how other verbs read it."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import hinaug
from hinaug.cli.app import app
from hinaug.datasets import planted
from hinaug.predictors import EASE

RATES = ("user", "rates", "item")


def run(*arguments, code=0):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    hinaug.save(planted(60, 40, rng=0), folder / "store")
    target = ("--target", "user,rates,item", "--evidence", "review")
    run("split", folder / "store", *target, "--out", folder / "split")
    run("augment", folder / "split", "--edges", "EASE:0.1", "--out", folder / "delta")
    run("train", folder / "split", "--model", "EASE", "--set", "l2=50", "--out", folder / "model")
    return folder


def test_it_is_fitted_on_train_and_valid_unless_told(made, tmp_path):
    split = hinaug.load(made / "split")
    assert hinaug.load(made / "model").fitted_on_ == split.train_valid.fingerprint()
    asked = ("train", made / "split", "--model", "EASE", "--no-refit", "--delta", made / "delta")
    told = json.loads(run(*asked, "--out", tmp_path / "m", "--json").stdout)
    graph = split.train + hinaug.load(made / "delta")
    assert hinaug.load(tmp_path / "m").fitted_on_ == graph.fingerprint()
    assert (told["fitted_on"], told["deltas"]) == ("train", ["delta"])


def test_a_saved_model_is_judged_as_it_is_and_recommends(made):
    asked = ("evaluate", made / "split", "--model", made / "model", "--on", "test")
    told = json.loads(run(*asked, "--json").stdout)
    split = hinaug.load(made / "split")
    model = EASE(RATES, l2=50).fit(split.train_valid)
    expected = hinaug.evaluate(model, split.train_valid, split, on="test")
    assert told["arms"]["plain"]["NDCG@20"] == pytest.approx(expected["NDCG@20"])
    run(*asked, "--delta", made / "delta", code=2)
    run(*asked[:4], code=2)  # it has seen the validation pairs
    assert (
        "u00"
        in run("recommend", made / "model", "--store", made / "split", "--users", "u00").stdout
    )


def test_blocks_of_columns_on_disk_learn_the_same(made, tmp_path):
    asked = ("train", made / "split", "--model", "MF", "--set", "embedding_dim=4")
    asked += ("--set", "epochs=5", "--set", "batch_size=200")
    run(*asked, "--out", tmp_path / "whole")
    run(*asked, "--column-block", 2, "--on-disk", "--out", tmp_path / "blocks")
    whole, blocks = (hinaug.load(tmp_path / name) for name in ("whole", "blocks"))
    assert np.abs(whole.users_ - blocks.users_).max() < 1e-5
    run(*asked, "--on-disk", "--out", tmp_path / "none", code=2)
    run(*asked, "--by-rows", "--checkpoint", tmp_path, "--out", tmp_path / "none", code=2)


@pytest.mark.parametrize(
    "wrong",
    [("--model", "Oracle"), ("--set", "l3=1"), ("--out", "store"), ("--delta", "store")],
)
def test_what_is_refused(made, monkeypatch, wrong):
    monkeypatch.chdir(made)
    given = dict([("--model", "EASE"), ("--out", "other"), wrong])
    done = run("train", "split", *sum(given.items(), ()), code=2)
    assert done.stderr.startswith("hinaug: ")
    assert not (made / "other").exists()
