"""hinaug errors: the tables, the JSON, and the section of the report."""

import dataclasses
import json

import pyarrow as pa
import pytest
from typer.testing import CliRunner

import hinaug
from hinaug.cli.app import app
from hinaug.datasets import planted
from hinaug.evaluation import analyse_errors
from hinaug.report import errors_blocks


def run(*arguments, code=0):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("errors")
    hinaug.save(planted(80, 40, rng=0), folder / "store")
    target = ("--target", "user,rates,item", "--evidence", "review")
    run("split", folder / "store", *target, "--out", folder / "split")
    run("augment", folder / "split", "--edges", "EASE:0.1", "--out", folder / "delta")
    judged = ("--model", "EASE", "--delta", folder / "delta", "--on", "test")
    run("evaluate", folder / "split", *judged, "--out", folder / "model", "--run", folder / "run")
    return folder


def asked(made, *more):
    places = ("--split", made / "split", "--delta", made / "delta", "--k", 5)
    return ("errors", made / "model", *places, *more)


def test_it_is_the_analysis_of_the_library(made):
    told = json.loads(run(*asked(made, "--json")).stdout)
    split = hinaug.load(made / "split")
    graph = split.train_valid + hinaug.load(made / "delta")
    found = analyse_errors(hinaug.load(made / "model"), graph, split, k=5)
    assert told == json.loads(json.dumps(found.document()))
    text = run(*asked(made)).stdout
    assert "near miss" in text
    assert "No slice is worse" in text


def test_the_report_of_a_run_shows_it_once(made):
    page = made / "run" / "report.html"
    run("report", made / "run")
    before = page.read_text(encoding="utf-8")
    assert "What is missed" not in before
    assert "kept in" in run(*asked(made, "--run", made / "run")).stdout
    run(*asked(made, "--run", made / "run"))
    run("report", made / "run")
    after = page.read_text(encoding="utf-8")
    assert after.count("what it means</th>") == 1
    assert "No slice is worse" in after


def test_a_slice_is_a_row(made):
    split, model = hinaug.load(made / "split"), hinaug.load(made / "model")
    graph = split.train_valid + hinaug.load(made / "delta")
    found = analyse_errors(model, graph, split, k=5)
    figures = dict.fromkeys(("gain", "rest", "difference", "low", "high", "p", "share"), 0.125)
    row = {"where": "user age <= 20", "mostly": None, "users": 3, "pairs": 4, **figures}
    _, worst, _ = errors_blocks(dataclasses.replace(found, slices=pa.Table.from_pylist([row])))
    assert worst.rows == [
        ["user age <= 20", "12", "0.125", "0.125", "+0.125 [0.125, 0.125]", "0.1", ""]
    ]


def test_mistakes(made, tmp_path):
    assert "finished run" in run(*asked(made, "--run", tmp_path), code=2).stderr
    wrong = ("errors", made / "split", "--split", made / "split")
    assert "a fitted model" in run(*wrong, code=2).stderr
