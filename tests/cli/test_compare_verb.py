"""hinaug compare: equal budgets, the table, the tests, the page, and what it refuses."""

import json
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hinaug
from hinaug.cli.app import app
from hinaug.cli.contest import Arm, compared
from hinaug.cli.models import named
from hinaug.cli.names import Settings
from hinaug.datasets import planted
from hinaug.evaluation import compare, evaluate, holm, tune
from hinaug.generators import random_delta
from hinaug.predictors import EASE, ItemKNN

RATES = ("user", "rates", "item")


def run(*arguments, code=0):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    return done


def document(*arguments):
    return json.loads(run(*arguments, "--json").stdout)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    hinaug.save(planted(60, 40, rng=0), folder / "store")
    target = ("--target", "user,rates,item", "--evidence", "review")
    run("split", folder / "store", *target, "--out", folder / "split")
    run("augment", folder / "split", "--edges", "EASE:0.1", "--out", folder / "delta")
    return folder


def test_models_are_tested_against_the_first(made):
    told = document(
        "compare", made / "split", "--model", "EASE", "--model", "ItemKNN", "--model", "Popularity"
    )
    split = hinaug.load(made / "split")
    one, two = (
        evaluate(m(RATES).fit(split.train), split.train, split, k=[10, 20]) for m in (EASE, ItemKNN)
    )
    assert told["arms"]["EASE"]["figures"]["NDCG@20"] == pytest.approx(one["NDCG@20"])
    expected = compare([one], [two])
    first = told["comparisons"][0]
    assert (first["a"], first["b"]) == ("EASE", "ItemKNN")
    assert first["p"] == pytest.approx(expected.p)
    assert set(told["verdicts"]) == {"ItemKNN", "Popularity"}
    p = {c["b"]: c["p"] for c in told["comparisons"]}
    assert {c["b"]: c["p_holm"] for c in told["comparisons"]} == pytest.approx(holm(p))


def test_each_arm_has_the_same_trials_and_random_deltas_are_drawn_anew(made):
    asked = ("compare", made / "split", "--model", "EASE", "--delta", made / "delta")
    told = document(*asked, "--fits", 2, "--trials", 2, "--search", "l2=1..1000:log")
    split, delta = hinaug.load(made / "split"), hinaug.load(made / "delta")
    drawn = [split.train + random_delta(split.train, delta, rng=seed) for seed in (0, 1)]
    space = {"l2": (1, 1000, "log")}
    from dataclasses import replace

    found = tune(EASE(RATES), space, replace(split, train=drawn[0]), trials=2, rng=0)
    values = [
        evaluate(found.best.clone().fit(graph), graph, split, k=20)["NDCG@20"] for graph in drawn
    ]
    arm = told["arms"]["EASE + random like delta"]
    assert arm["set"]["l2"] == found.best.l2
    assert arm["valid"] == found.value
    assert arm["figures"]["NDCG@20"] == pytest.approx(sum(values) / 2)
    assert [a["fits"] for a in told["arms"].values()] == [1, 2, 2]
    assert {(c["a"], c["b"]) for c in told["comparisons"]} == {
        ("EASE", "EASE + delta"),
        ("EASE", "EASE + random like delta"),
        ("EASE + random like delta", "EASE + delta"),
    }


def test_a_page_with_the_table_and_its_own_command(made, tmp_path):
    asked = ("compare", made / "split", "--model", "EASE", "--model", "ItemKNN", "--on", "test")
    asked += ("--model", "Popularity")  # has nothing to search
    asked += ("--delta", made / "delta", "--fits", 2, "--trials", 2, "--out", tmp_path / "out")
    done = run(*asked)
    assert "no verdict" in done.stdout
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for words in ("ItemKNN + random like delta", "2 trials on valid", "No verdict"):
        assert words in page
    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    table = next(row for row in rows if row["kind"] == "Table")
    marked = [table["rows"][n][0] for n in table["marked"]]
    assert marked == [f"{name} + delta" for name in ("EASE", "ItemKNN", "Popularity")]
    assert next(row for row in rows if row["kind"] == "Bars")["marked"] == marked
    command = next(row["line"] for row in rows if row["kind"] == "Command")
    figures = [r["NDCG@20"] for r in rows if r["kind"] == "result" and r["arm"] == "EASE + delta"]
    again = document(*shlex.split(command)[1:], "--out", tmp_path / "again")
    assert Path(again["report"]).is_file()
    mean = again["arms"]["EASE + delta"]["figures"]["NDCG@20"]
    assert mean == pytest.approx(sum(figures) / 2)
    (tmp_path / "out" / "mine.txt").write_text("notes")
    run(*asked, code=2)
    assert (tmp_path / "out" / "mine.txt").exists()


def test_the_settings_of_a_file_are_shown_whether_searched_or_not(made, tmp_path):
    best = tmp_path / "best.json"
    tuned = ("tune", made / "split", "--model", "EASE", "--search", "l2=[7]", "--trials", 1)
    run(*tuned, "--out", best)
    asked = ("compare", made / "split", "--model", best, "--model", "ItemKNN")
    run(*asked, "--trials", 1, "--search", "l2=[7]", "--out", tmp_path / "out")
    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    tables = [row for row in map(json.loads, lines) if row["kind"] == "Table"]
    (chosen,) = [t for t in tables if t["columns"][-1] == "settings"]
    assert {row[0]: row[2] for row in chosen["rows"]}["best"].startswith("l2=7")


def test_what_is_shown_is_said_in_both_directions(made):
    split = hinaug.load(made / "split")
    results = {
        name: [evaluate(named(name, RATES, Settings([])).predictor.fit(split.train), split.train,
                        split, k=[10, 20])]
        for name in ("EASE", "Popularity")
    }  # fmt: skip
    arms = [
        Arm(named(name, RATES, Settings([])), results=results[name])
        for name in ("Popularity", "EASE")
    ]
    better, worse = compared(arms), compared(arms[::-1])
    assert better.outcome(better.arms[1]) == "helps"
    assert worse.outcome(worse.arms[1]) == "hurts"


@pytest.mark.parametrize(
    "wrong",
    [
        (),
        ("--model", "EASE"),
        ("--model", "Oracle"),
        ("--model", "ItemKNN", "--set", "l3=1"),
        ("--model", "Popularity", "--trials", "2", "--search", "k=1..2"),
        ("--delta", "store"),
        ("--model", "ItemKNN", "--out", "store"),
    ],
)
def test_what_is_refused(made, monkeypatch, wrong):
    monkeypatch.chdir(made)
    done = run("compare", "split", "--model", "EASE", *wrong, code=2)
    assert done.stderr.startswith("hinaug: ")
