"""hinaug tune: the table, the file, the edge, and the file as a model of other verbs."""

import json

import pytest
from raising import raises
from typer.testing import CliRunner

import hinaug
from hinaug.cli.app import app
from hinaug.cli.models import named, space_of
from hinaug.cli.names import Settings, method
from hinaug.cli.options import method_names
from hinaug.datasets import planted
from hinaug.errors import ParameterError
from hinaug.evaluation.space import checked
from hinaug.predictors import EASE, ItemKNN, LightGCN, LocalEASE
from hinaug.predictors.base import LinkPredictor

RATES = ("user", "rates", "item")


def run(*arguments, code=0):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune")
    hinaug.save(planted(60, 40, rng=0), folder / "store")
    target = ("--target", "user,rates,item", "--evidence", "review")
    run("split", folder / "store", *target, "--out", folder / "split")
    return folder


def test_the_search_is_that_of_the_library_and_other_verbs_read_its_file(made, tmp_path):
    asked = ("tune", made / "split", "--model", "EASE", "--search", "l2=1..1000:log")
    done = run(*asked, "--trials", 4, "--out", tmp_path / "best.json", "--json")
    told = json.loads(done.stdout)
    split = hinaug.load(made / "split")
    found = hinaug.evaluation.tune(EASE(RATES), {"l2": (1, 1000, "log")}, split, trials=4, rng=0)
    assert told["set"] == {"l2": found.best.l2}
    assert told["value"] == found.value
    assert len(told["rows"]) == told["trials"] == 4
    assert json.loads((tmp_path / "best.json").read_text())["set"] == told["set"]
    asked = ("evaluate", made / "split", "--model", tmp_path / "best.json", "--json")
    assert f"l2={found.best.l2}" in json.loads(run(*asked).stdout)["model"]
    assert "l2=7" in json.loads(run(*asked, "--set", "l2=7").stdout)["model"]


def test_a_value_on_the_edge_is_marked_and_stays_so(made, tmp_path):
    asked = ("tune", made / "split", "--model", "ItemKNN", "--search", "k=1..2", "--trials", 2)
    text = run(*asked, "--set", "shrinkage=3", "--out", tmp_path / "best.json").stdout
    told = json.loads((tmp_path / "best.json").read_text())
    assert told["edges"] == ["k"]
    assert told["set"]["shrinkage"] == 3
    assert f"{told['set']['k']}*" in text
    model = named(str(tmp_path / "best.json"), RATES, Settings([])).predictor
    assert model.searched.edges == ("k",)
    assert model.searched.trials == 2


def test_test_pairs_are_not_read(made, tmp_path):
    from dataclasses import replace

    split = hinaug.load(made / "split")
    hinaug.save(replace(split, test=split.test.slice(0, 1)), tmp_path / "other")
    for name, folder in (("one", made / "split"), ("two", tmp_path / "other")):
        out = tmp_path / f"{name}.json"
        run("tune", folder, "--model", "ItemKNN", "--trials", 3, "--out", out)
    one, two = (json.loads((tmp_path / f"{n}.json").read_text()) for n in ("one", "two"))
    assert (one["set"], one["value"]) == (two["set"], two["value"])


@pytest.mark.parametrize("name", method_names(hinaug.predictors))
def test_every_model_says_what_a_search_tries(name):
    cls = method("predictors", name, LinkPredictor)
    said = [c for c in cls.__mro__ if "SPACE" in vars(c) and c is not LinkPredictor]
    assert said, f"{name} or a class that it is made from needs SPACE"
    model = cls(RATES)
    searched = checked(space_of(model, []), model)
    assert bool(searched) == (name != "Popularity")
    for parameter, values in searched.items():  # each end can be built
        for value in values[:2]:
            assert getattr(cls(RATES, **{parameter: value}), parameter) == value


def test_a_search_is_that_of_the_class_unless_one_is_named():
    assert "n_layers" in space_of(LightGCN(RATES), [])
    assert set(space_of(LocalEASE(RATES), [])) == {"l2", "k"}
    given = space_of(ItemKNN(RATES), ["k=1..9", "shrinkage=[0, 0.5]"])
    assert given == {"k": (1, 9), "shrinkage": [0, 0.5]}


def test_bounds_in_the_wrong_order_are_told_as_they_were_typed():
    for text in ("l2=2..1", "l2=1..1", "l2=0..1:log"):
        with raises(ParameterError, asked=text):
            space_of(ItemKNN(RATES), [text])


def test_what_was_chosen_and_what_to_type_next_can_be_copied(made, tmp_path):
    (tmp_path / "my split").symlink_to(made / "split")
    out = tmp_path / "the best.json"
    asked = ("tune", tmp_path / "my split", "--model", "EASE", "--search", "l2=[0.123456789]")
    told = run(*asked, "--trials", 1, "--out", out).stdout
    assert "chosen: l2=0.1235, " in told
    assert f"evaluate '{tmp_path}/my split' --model '{out}' fits it" in told


@pytest.mark.parametrize(
    "wrong",
    [
        ("--search", "l2"),
        ("--search", "l2=1..2:linear"),
        ("--search", "l2=3"),
        ("--search", "l3=1..2"),
        ("--search", "l2=2..1"),
        ("--set", "l3=1"),
        ("--out", "best"),
        ("--out", "nowhere/best.json"),
        ("--out", "mine.json"),
        ("--model", "mine.json"),
        ("--model", "Popularity"),
        ("--model", "nowhere.json"),
    ],
)
def test_what_is_refused(made, tmp_path, monkeypatch, wrong):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.json").write_text('{"years": "of work"}')
    given = dict([("--model", "EASE"), ("--out", "best.json"), ("--trials", "2"), wrong])
    done = run("tune", made / "split", *sum(given.items(), ()), code=2)
    assert done.stderr.startswith("hinaug: ")
    assert (tmp_path / "mine.json").read_text() == '{"years": "of work"}'
    assert not (tmp_path / "best.json").exists()
