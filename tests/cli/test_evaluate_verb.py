"""hinaug evaluate: what the library measures, the model that is saved, and the run that is kept."""

import json
import shlex
import sys
from pathlib import Path

import pytest
from commands import RATES, TARGET, document, run

import hinaug
from hinaug.cli.run_folder import title_of
from hinaug.ensembles import Weighted
from hinaug.evaluation import compare, evaluate
from hinaug.generators import random_delta
from hinaug.predictors import EASE, ItemKNN


def test_evaluate_tells_what_the_library_measures(made):
    told = document(
        "evaluate",
        made / "split",
        "--model",
        "EASE",
        "--set",
        "l2=50",
        "--delta",
        made / "delta",
        "--on",
        "test",
        "--k",
        5,
    )
    split, delta = hinaug.load(made / "split"), hinaug.load(made / "delta")
    results = {}
    for name, extra in {
        "plain": None,
        "delta": delta,
        "random": random_delta(split.train, delta, rng=0),
    }.items():
        graph = split.train_valid if extra is None else split.train_valid + extra
        results[name] = evaluate(
            EASE(RATES, l2=50).fit(graph), graph, split, k=(5, 10, 20), on="test"
        )
    for arm, name in (("plain", "plain"), ("delta", "delta"), ("random like delta", "random")):
        for metric in ("NDCG@20", "Recall@5", "Coverage@20"):
            assert told["arms"][arm][metric] == pytest.approx(results[name][metric])
    pair = next(c for c in told["comparisons"] if (c["a"], c["b"]) == ("plain", "delta"))
    assert pair["difference"] == compare(results["plain"], results["delta"]).difference
    assert pair["p"] is None  # the delta was drawn once
    assert pair["p_holm"] is None
    assert len(told["comparisons"]) == 3
    said = told["verdicts"]["delta"]
    assert said.startswith("no verdict on the augmentation on this split")
    assert "fits were not repeated" in said


def test_several_models_are_an_ensemble_and_seeds_are_averaged(made, tmp_path):
    out = tmp_path / "model"
    done = run(
        "evaluate",
        made / "split",
        "--model",
        "EASE",
        "--model",
        "ItemKNN",
        "--seeds",
        2,
        "--out",
        out,
        "--json",
    )
    model = hinaug.load(out)
    assert isinstance(model, Weighted)
    assert [type(p) for p in model.predictors_] == [EASE, ItemKNN]
    assert json.loads(done.stdout)["seeds"] == [0, 1]
    assert "flatter" in done.stderr
    assert "alone" in run("info", out).stdout


def test_the_saved_model_is_that_of_the_arm_asked_for(made, tmp_path):
    graph = hinaug.load(made / "split").train_valid
    with_delta = EASE(RATES, l2=50).fit(graph + hinaug.load(made / "delta"))
    assert hinaug.load(made / "model").fitted_on_ == with_delta.fitted_on_
    run(
        "evaluate",
        made / "split",
        "--model",
        "EASE",
        "--delta",
        made / "delta",
        "--on",
        "test",
        "--out",
        tmp_path / "m",
        "--keep",
        "plain",
    )
    assert hinaug.load(tmp_path / "m").fitted_on_ == graph.fingerprint()


def test_a_run_is_kept_and_becomes_a_page(made, tmp_path):
    out = tmp_path / "run"
    asked = (
        "evaluate",
        made / "split",
        "--model",
        "EASE",
        "--model",
        "ItemKNN",
        "--delta",
        made / "delta",
        "--on",
        "test",
    )
    told = document(*asked, "--run", out)
    assert told["run"] == str(out)
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    found = next(r for r in rows if r["kind"] == "Findings")["findings"][0]
    arms = {"plain": "plain", "control": "random like delta", "augmented": "delta"}
    for arm, name in arms.items():
        assert found[arm] == pytest.approx(told["arms"][name]["NDCG@20"])
    p = {r["pair"]: r["p_holm"] for r in rows if r["kind"] == "comparison"}
    assert p["augmented - plain"] == next(
        c["p_holm"] for c in told["comparisons"] if c["b"] == "delta" and c["a"] == "plain"
    )
    assert set(p) == {"augmented - plain", "random - plain", "augmented - random"}
    split, delta = hinaug.load(made / "split"), hinaug.load(made / "delta")
    assert hinaug.load(out / "augmented") == split.train_valid + delta
    page = Path(document("report", out)["report"]).read_text(encoding="utf-8")
    assert "with delta, Weighted ensemble" in page
    assert "No verdict" in page
    command = next(r["line"] for r in rows if r["kind"] == "Command")
    assert shlex.split(command)[1:4] == ["evaluate", str(made / "split"), "--model"]
    run(
        *shlex.split(command)[1:], "--run", out
    )  # the page's own command, over the older run and its page
    assert not (out / "report.html").exists()
    (out / "mine.txt").write_text("notes")
    assert "holds mine.txt beside" in run(*asked, "--run", out, code=2).stderr
    assert "is no older run" in run(*asked, "--run", made / "store", code=2).stderr
    assert "add --on test" in run(*asked[:-2], "--run", out, code=2).stderr
    assert (
        "nothing to compare"
        in run(
            "evaluate", made / "split", "--model", "EASE", "--on", "test", "--run", out, code=2
        ).stderr
    )


def test_new_users_are_told_of(made, tmp_path):
    asked = ("split", made / "store", *TARGET, "--out", tmp_path / "s")
    run(*asked, "--how", "cold-users", "--valid", 0.2, "--test", 0.2)
    done = run("evaluate", tmp_path / "s", "--model", "Popularity", "--json")
    users = hinaug.load(tmp_path / "s").valid["src"].unique()
    assert json.loads(done.stdout)["new_users"] == len(users)
    assert f"{len(users)} of the {len(users)} users judged are new" in done.stderr
    assert run("evaluate", made / "split", "--model", "Popularity").stderr == ""


def test_a_delta_of_another_split_may_know_the_test_pairs(made, tmp_path):
    other = ("split", made / "store", *TARGET, "--seed", 1)
    run(*other, "--out", tmp_path / "other")
    asked = ("evaluate", tmp_path / "other", "--model", "EASE", "--delta", made / "delta")
    assert "may hold what the split holds out" in run(*asked, code=2).stderr
    rates = {"src": ["u00"], "dst": ["i00"], "confidence": [0.5]}
    hinaug.save(hinaug.Delta(edges={RATES: rates}, origin="by hand"), tmp_path / "hand")
    assert "does not say what it was fitted on" in run(*asked[:-1], tmp_path / "hand").stderr
    hinaug.save(
        hinaug.Delta(edges={RATES: {**rates, "src": ["nobody"]}}, origin="by hand"),
        tmp_path / "hand",
    )
    assert "does not fit this split" in run(*asked[:-1], tmp_path / "hand", code=2).stderr


def test_report_and_demo_hand_on_what_they_are_told(tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr(
        "hinaug.cli.report.write_report", lambda folder, out: tmp_path / "page.html"
    )
    assert document("report", tmp_path) == {"report": str(tmp_path / "page.html")}
    monkeypatch.setattr(
        "hinaug.cli.demo.run", lambda data, **given: asked.update(given, data=data) or []
    )
    run("demo", "ml-100k", "--seeds", 2, "--seed", 5, "--out", tmp_path / "o")
    assert (asked["data"], list(asked["seeds"]), asked["out"]) == (
        "ml-100k",
        [5, 6],
        tmp_path / "o",
    )
    assert document("demo") == {"data": "ml-100k", "out": "hinaug-demo", "findings": []}
    assert asked["console"].file is not sys.stdout
    assert asked["console"].render_str("[bold]x[/]").plain == "x"


def test_items_show_by_their_title(made):
    graph = hinaug.HIN.from_tables(
        {"i": {"id": [1, 2], "movie_title": [["The", "Kid"], None], "name": ["a", "b"]}}, {}
    )
    assert [title_of(graph, "i")(n) for n in (1, 2)] == ["The Kid", "2"]
