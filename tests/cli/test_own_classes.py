"""Classes of the user's own, by module:Class and file.py:Class, in the verbs that name methods."""

import json

import pytest
from typer.testing import CliRunner

import hinaug
from hinaug.cli.app import app
from hinaug.cli.own import own_class
from hinaug.datasets import planted
from hinaug.errors import KindError, ParameterError, UnknownNameError
from hinaug.predictors.base import LinkPredictor

CODE = '''
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hinaug.generators import SecondMoment
from hinaug.predictors.base import LinkPredictor


@dataclass
class {name}Popular(LinkPredictor):
    """Items by the power of how many links they have."""

    power: float = 1.0

    def _fit(self, hin, valid, rng):
        self.counts_ = hin.adjacency(self.relation).sum(axis=0) ** self.power

    def _score(self, hin, src):
        return np.tile(self.counts_, (len(src), 1))


class {name}Moments(SecondMoment):
    pass


class Plain:
    pass
'''


def run(*arguments, code=0):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_methods_in_a_file.py").write_text(CODE.format(name="My"))
    (folder / "own_methods_in_a_module.py").write_text(CODE.format(name="Our"))
    (folder / "own_methods_broken.py").write_text("1 / 0")
    hinaug.save(planted(60, 40, rng=0), folder / "store")
    target = ("--target", "user,rates,item", "--evidence", "review")
    run("split", folder / "store", *target, "--out", folder / "split")
    return folder


def test_a_model_from_a_file_is_fitted_saved_and_recommends(made, monkeypatch):
    monkeypatch.chdir(made)
    mine = "own_methods_in_a_file.py:MyPopular"
    asked = ("evaluate", "split", "--model", mine, "--set", "MyPopular.power=0.5")
    told = json.loads(run(*asked, "--out", "model", "--json").stdout)
    split = hinaug.load(made / "split")
    model = own_class(mine, LinkPredictor)(split.target, power=0.5).fit(split.train)
    expected = hinaug.evaluate(model, split.train, split)["NDCG@20"]
    assert told["arms"]["plain"]["NDCG@20"] == pytest.approx(expected)
    listed = ("recommend", "model", "--store", "split", "--users", "u00")
    refused = run(*listed, code=2)
    assert "--class" in refused.stderr
    assert "u00" in run(*listed, "--class", mine).stdout


def test_a_generator_of_a_module_in_the_current_folder(made, monkeypatch):
    monkeypatch.chdir(made)
    run("augment", "split", "--users", "own_methods_in_a_module:OurMoments:3", "--out", "delta")
    delta = hinaug.load(made / "delta")
    assert delta.nodes["user"].num_rows == 3
    assert set(delta.nodes["user"]["origin"].to_pylist()) == {"OurMoments"}


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("no_such_module_anywhere:Walk", ParameterError),
        ("nowhere.py:Walk", ParameterError),
        ("own_methods_broken.py:Walk", ParameterError),
        ("own_methods_in_a_file.py:MyPopulr", UnknownNameError),
        ("own_methods_in_a_file.py:Plain", KindError),
        ("own_methods_in_a_file.py:MyMoments", KindError),
        ("hinaug.predictors.base:LinkPredictor", KindError),
        (":Walk", ParameterError),
    ],
)
def test_one_clear_error(made, monkeypatch, name, error):
    monkeypatch.chdir(made)
    with pytest.raises(error):
        own_class(name, LinkPredictor)
    done = run("evaluate", "split", "--model", name, code=2)
    assert done.stderr.startswith("hinaug: ")
    assert "Traceback" not in done.output


def test_a_name_that_is_taken_is_not_replaced(tmp_path):
    (tmp_path / "json.py").write_text("x = 1")
    with pytest.raises(ParameterError):
        own_class(f"{tmp_path / 'json.py'}:Walk", LinkPredictor)
    assert json.loads("1") == 1
