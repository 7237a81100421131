"""hinaug fidelity: the table is that of the library, and the page shows it."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import hinaug
from hinaug.cli.app import app
from hinaug.datasets import planted
from hinaug.evaluation.fidelity import fidelity
from hinaug.generators import Synthesis
from hinaug.predictors import EASE

RATES = ("user", "rates", "item")


def run(*arguments, code=0):
    done = CliRunner().invoke(app, ["fidelity", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fidelity")
    whole = planted(160, 40, rng=0, dim=0).drop("review")
    real, held_out = (
        whole.filter_nodes("user", m) for m in (np.arange(160) < 90, np.arange(160) >= 90)
    )
    delta = Synthesis(relation=RATES).fit(real, rng=0).generate(real, 60, rng=0)
    hinaug.save(real, folder / "real")
    hinaug.save(held_out, folder / "held_out")
    hinaug.save(hinaug.random_split(real, RATES, rng=0), folder / "split")
    hinaug.save(delta, folder / "delta")
    return folder, real, held_out, delta


def test_it_is_the_report_of_the_library(made, tmp_path):
    folder, real, held_out, delta = made
    page = tmp_path / "page.html"
    asked = (folder / "real", folder / "delta", "--node", "user", "--held-out", folder / "held_out")
    more = ("--student", "EASE", "--set", "l2=20", "--relation", "user,rates,item", "--out", page)
    told = json.loads(run(*asked, *more, "--json").stdout)
    students = [EASE(RATES, l2=20)]
    found = fidelity(real, delta, "user", held_out=held_out, students=students, rng=0)
    assert told["properties"] == json.loads(json.dumps(found.table().to_pylist()))
    assert (told["real"], told["generated"]) == (90, 60)
    text = page.read_text(encoding="utf-8")
    for words in ("Realistic", "Useful", "Privacy", "told apart", "EASE", "<svg"):
        assert words in text
    assert "anonym" not in text.lower()
    assert "is private" not in text.lower()


def test_a_split_and_the_terminal(made, tmp_path):
    folder, *_ = made
    page = tmp_path / "page.html"
    said = run(folder / "split", folder / "delta", "--node", "user", "--out", page).stdout
    for words in ("links/degree", "ceiling", "copies", "--student", "--held-out"):
        assert words in said
    for text in (said, page.read_text(encoding="utf-8")):
        assert "held_out=" not in text  # the word for Python
        assert "links/clustering" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--node", "item"], "adds no 'item' nodes"),
        (["--node", "user", "--student", "EASE"], "--relation"),
        (["--node", "user", "--student", "EASE", "--relation", "user"], "source,relation,target"),
        (["--node", "user", "--student", "EASE", "--relation", "user,rates,item"], "--held-out"),
    ],
)
def test_mistakes(made, tmp_path, arguments, message):
    folder, *_ = made
    out = tmp_path / "page.html"
    done = run(folder / "real", folder / "delta", *arguments, "--out", out, code=2)
    assert message in done.stderr
    assert not out.exists()
