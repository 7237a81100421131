"""--drop of verbs that read a graph or a split; --no-audit of split, and what the page says of it."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hinaug
from hinaug.cli.app import app
from hinaug.cli.drop import graph_without, split_without
from hinaug.datasets import planted
from hinaug.errors import ParameterError, UnknownNameError

ABOUT = ("review", "about", "item")
TARGET = ("--target", "user,rates,item")


def run(*arguments, code=0):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drop")
    hinaug.save(planted(60, 40, rng=0), folder / "store")
    run("split", folder / "store", *TARGET, "--evidence", "review", "--out", folder / "split")
    return folder


def test_a_split_of_a_graph_without_a_type_has_no_leak_through_it(made, tmp_path):
    asked = ("split", made / "store", *TARGET, "--out", tmp_path / "s", "--json")
    assert json.loads(run(*asked).stdout)["audit"]["leaks"]
    told = json.loads(run(*asked, "--drop", "review").stdout)
    assert not told["audit"]["leaks"]
    split = hinaug.load(tmp_path / "s")
    assert "review" not in split.source.nodes
    assert split.how["dropped"] == ["review"]


def test_a_split_keeps_its_pairs_and_loses_the_types(made):
    split = hinaug.load(made / "split")
    less = split_without(split, ["review, about, item"])
    assert less.test.equals(split.test)
    assert ABOUT not in less.train.edges
    assert ABOUT not in less.source.edges
    assert less.evidence == ("review",)
    assert split_without(split, ["review"]).evidence == ()
    assert split_without(split, None) is split
    assert "review" not in graph_without(split.train, ["review"]).nodes


def test_a_model_is_fitted_on_the_graph_without_them(made, tmp_path):
    asked = ("evaluate", made / "split", "--model", "EASE", "--out", tmp_path / "m")
    run(*asked, "--drop", "review", "--json")
    less = split_without(hinaug.load(made / "split"), ["review"])
    assert hinaug.load(tmp_path / "m").fitted_on_ == less.train.fingerprint()


def test_a_delta_of_the_whole_split_does_not_count_without_a_type(made, tmp_path):
    run("augment", made / "split", "--edges", "EASE:0.1", "--out", tmp_path / "delta")
    asked = ("evaluate", made / "split", "--model", "EASE", "--delta", tmp_path / "delta")
    run(*asked)
    run(*asked, "--drop", "review", code=2)


def test_a_delta_is_made_from_the_graph_without_a_type(made, tmp_path):
    asked = ("augment", made / "split", "--edges", "EASE:0.1", "--out", tmp_path / "delta")
    text = run(*asked, "--drop", "review").stdout
    assert "--drop review" in " ".join(text.split())  # what judges it must drop it, too
    less = split_without(hinaug.load(made / "split"), ["review"])
    assert hinaug.load(tmp_path / "delta").fitted_on == (less.train.fingerprint(),)
    asked = ("evaluate", made / "split", "--model", "EASE", "--delta", tmp_path / "delta")
    run(*asked, "--drop", "review")
    run(*asked, code=2)


def test_files_of_lists_take_the_model_and_the_graph_as_they_are_saved(made, tmp_path):
    run("train", made / "split", "--model", "ItemKNN", "--out", tmp_path / "m")
    asked = ("recommend", tmp_path / "m", "--store", made / "split", "--users", "u00")
    for option in (("--drop", "review"), ("--show", "title"), ("--class", "a.py:B")):
        done = run(*asked, "--out", tmp_path / "lists", *option, code=2)
        others = {"--drop", "--show", "--class"} - {option[0]}
        assert option[0] in done.stderr
        assert not any(other in done.stderr for other in others)
        assert not (tmp_path / "lists").exists()


@pytest.mark.parametrize(
    ("drop", "error"),
    [
        (["reviews"], UnknownNameError),
        (["user,rated,item"], UnknownNameError),
        (["user"], ParameterError),
        (["user,rates,item"], ParameterError),
    ],
)
def test_what_cannot_be_dropped(made, drop, error):
    with pytest.raises(error):
        split_without(hinaug.load(made / "split"), drop)


def test_other_verbs_read_the_graph_without_a_type(made, tmp_path):
    run("export", made / "store", "--to", tmp_path / "t", "--drop", "review")
    assert not list((tmp_path / "t" / "nodes").glob("review*"))
    run("evaluate", made / "split", "--model", "EASE", "--out", tmp_path / "m", "--drop", "review")
    both = ("--drop", "review")
    run("recommend", tmp_path / "m", "--store", made / "split", "--users", "u00", *both)
    run("errors", tmp_path / "m", "--split", made / "split", "--on", "valid", *both)


def test_without_an_audit_the_answer_and_the_page_say_so(made, tmp_path, monkeypatch):
    asked = ("split", made / "store", *TARGET, "--out", tmp_path / "s", "--no-audit")
    assert "none was made" in run(*asked).stdout
    assert json.loads(run(*asked, "--json").stdout)["audit"] is None
    run(*asked, "--strict", code=2)
    assert "--audit-seconds" in run(*asked[:-1], "--audit-seconds", "1e-9").stdout
    with monkeypatch.context() as patch:  # nor is a lack of memory one of time
        patch.setattr(sys.modules["hinaug.split.audit"], "BYTES_AN_EDGE", 1e12)
        said = run(*asked[:-1]).stdout
    assert "memory=" in said
    assert "--audit-seconds" not in said
    run(*asked)
    run("augment", tmp_path / "s", "--edges", "EASE:0.1", "--out", tmp_path / "delta")
    asked = ("evaluate", tmp_path / "s", "--model", "EASE", "--delta", tmp_path / "delta")
    run(*asked, "--on", "test", "--run", tmp_path / "run")
    told = json.loads(run("report", tmp_path / "run", "--json").stdout)
    assert "none was made (--no-audit)" in Path(told["report"]).read_text(encoding="utf-8")
