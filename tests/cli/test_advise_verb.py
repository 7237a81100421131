"""hinaug advise: the page, the document, the edges it writes, and what it refuses."""

import json

import pytest
from typer.testing import CliRunner

import hinaug
from hinaug.cli.app import app
from hinaug.datasets import planted


def run(*arguments, code=0):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("advise")
    hinaug.save(planted(200, 120, 4, thin=0.0, rng=0), folder / "store")
    target = ("--target", "user,rates,item", "--evidence", "review", "--how", "cold-items")
    run("split", folder / "store", *target, "--out", folder / "split")
    return folder


def test_a_page_and_edges_to_follow_it(made):
    done = run("advise", made / "split", "--goal", "cold", "--out", made / "delta")
    page = done.stdout
    assert page.startswith("Goal cold: yes")
    assert "KernelRidge" in page
    assert "the edges are saved" in page
    delta = hinaug.load(made / "delta")
    split = hinaug.load(made / "split")
    assert list(delta.fitted_on) == [split.train.fingerprint()]
    split.train + delta


def test_a_document_for_machines(made):
    told = json.loads(run("advise", made / "split", "--goal", "cold", "--json").stdout)
    assert told["answer"] == "yes"
    assert [probe["answer"] for probe in told["probes"]] == ["yes", "yes"]
    assert told["gain"][0] > told["gain"][1] > 0


def test_without_advice_nothing_is_written(made):
    done = run("advise", made / "split", "--minutes", "1e-6", "--out", made / "none")
    assert "no advice" in done.stdout
    assert "nothing is written" in done.stderr
    assert not (made / "none").exists()


def test_what_is_refused(made):
    for wrong in (("--minutes", "0"), ("--model", "Oracle"), ("--out", made / "store")):
        done = run("advise", made / "split", "--goal", "cold", *wrong, code=2)
        assert done.stderr.startswith("hinaug: ")
    run("advise", made / "store", code=2)
    run("advise", made / "split", "--goal", "profit", code=2)
