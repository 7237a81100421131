"""hinaug ab: the figures are those of the library, and mistakes are told in a sentence."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from hinaug.cli.app import app
from hinaug.evaluation import SequentialTest, sample_size


def run(*arguments, code=0):
    done = CliRunner().invoke(app, ["ab", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture
def file(tmp_path):
    """Twelve days of two arms; days are numbers, so 10 comes after 9."""
    rng = np.random.default_rng(0)
    rows = [
        (arm, int(rng.random() < p), day)
        for day in range(1, 13)
        for arm, p in (("old", 0.1), ("new", 0.2))
        for _ in range(60)
    ]
    path = tmp_path / "ab.csv"
    lines = ["day,arm,value", *(f"{day},{arm},{value}" for arm, value, day in rows)]
    path.write_text("\n".join(lines))
    return path, rows


def test_plan_is_that_of_the_library():
    found = json.loads(run("plan", "--baseline", 0.1, "--effect", "2%", "--json").stdout)
    assert found["users_per_arm"] == sample_size(0.1, relative=0.02)
    assert found["effect"] == pytest.approx(0.002)
    found = json.loads(
        run("plan", "--baseline", 5, "--effect", 0.5, "--sd", 3, "--power", 0.9, "--json").stdout
    )
    assert found["users"] == 2 * sample_size(5, absolute=0.5, sd=3, power=0.9)
    assert "each of two arms" in run("plan", "--baseline", 0.1, "--effect", "2%").stdout


def test_look_replays_the_days(file):
    path, rows = file
    found = json.loads(
        run("look", path, "--effect", "50%", "--baseline", 0.1, "--control", "old", "--json").stdout
    )
    assert (found["arms"], found["kind"]) == (["old", "new"], "rate")
    assert [look["day"] for look in found["looks"]] == [str(day) for day in range(1, 13)]
    test = SequentialTest(0.05, "rate")
    for day, told in zip(range(1, 13), found["looks"], strict=True):
        a, b = (
            np.array([v for arm, v, d in rows if arm == name and d == day])
            for name in ("old", "new")
        )
        look = test.update(a, b)
        assert (told["p"], told["outcome"], told["n_b"]) == (look.p, look.outcome, look.n_b)
    text = run("look", path, "--effect", 0.05, "--control", "old").stdout
    assert "B is better" in text
    assert "may stop" in text
    assert "Not decided" in run("look", path, "--effect", 0.05, "--level", 1e-30).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "--baseline", "0.1"], "--effect 2%"),
        (["plan", "--effect", "2%"], "--baseline"),
        (["plan", "--effect", "much", "--baseline", "0.1"], "'much'"),
        (["look", "--effect", "0.1"], "needs a file"),
        (["look", "FILE", "--effect", "0.1", "--control", "x"], "['new', 'old']"),
    ],
)
def test_mistakes(file, arguments, message):
    arguments = [str(file[0]) if word == "FILE" else word for word in arguments]
    assert message in run(*arguments, code=2).stderr


def test_a_file_without_its_columns(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("arm,worth\na,1\n")
    assert "value, day" in run("look", path, "--effect", 0.1, code=2).stderr
    path.write_text("arm,value,day\na,1,1\nb,,1\n")
    assert "drop such rows" in run("look", path, "--effect", 0.1, code=2).stderr
