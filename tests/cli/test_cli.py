"""The command line, verb by verb, over a planted world; exit codes, JSON, and mistakes that end in
one sentence.
"""

import csv
import importlib
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import types
import xml.etree.ElementTree as ET
from pathlib import Path

import pyarrow as pa
import pytest
from raising import raises
from typer.testing import CliRunner

import hinaug
from hinaug.cli import options
from hinaug.cli.app import VERBS, app
from hinaug.cli.names import Settings, method, number, sized
from hinaug.cli.options import method_names
from hinaug.cli.output import in_options
from hinaug.cli.recommend import left_without
from hinaug.cli.run_folder import title_of
from hinaug.datasets import planted
from hinaug.ensembles import Ensemble, Weighted
from hinaug.errors import DivergenceError, KindError, ParameterError, UnknownNameError
from hinaug.evaluation import compare, evaluate
from hinaug.generators import random_delta
from hinaug.generators.base import EntityGenerator
from hinaug.predictors import EASE, ItemKNN, LightGCN
from hinaug.predictors.base import LinkPredictor

RATES = ("user", "rates", "item")


def run(*arguments, code=0):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done


def document(*arguments, code=0):
    return json.loads(run(*arguments, "--json", code=code).stdout)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with store, split, delta and model, made by the command line itself."""
    folder = tmp_path_factory.mktemp("cli")
    hinaug.save(planted(60, 40, rng=0), folder / "store")
    run(
        "split",
        folder / "store",
        "--target",
        "user,rates,item",
        "--evidence",
        "review",
        "--out",
        folder / "split",
    )
    run(
        "augment",
        folder / "split",
        "--edges",
        "EASE:0.1",
        "--users",
        "Synthesis:6",
        "--out",
        folder / "delta",
    )
    run(
        "evaluate",
        folder / "split",
        "--model",
        "EASE",
        "--set",
        "l2=50",
        "--delta",
        folder / "delta",
        "--on",
        "test",
        "--out",
        folder / "model",
    )
    return folder


# ---- the verbs -----------------------------------------------------------------------------------


def test_split_is_that_of_the_library(made):
    split = hinaug.load(made / "split")
    expected = hinaug.random_split(hinaug.load(made / "store"), RATES, evidence=["review"], rng=0)
    assert split.train == expected.train
    assert split.test.equals(expected.test)


@pytest.mark.parametrize(
    ("options", "function", "keywords"),
    [
        (("--how", "temporal", "--test", "0.2"), "temporal_split", {"test": 0.2}),
        (("--how", "leave-last", "--valid", "2"), "leave_last", {"valid": 2}),
        (
            ("--how", "cold-users", "--known", "1", "--seed", "3"),
            "cold_users",
            {"known": 1, "rng": 3},
        ),
        (("--how", "cold-items", "--valid", "0.2"), "cold_items", {"valid": 0.2, "rng": 0}),
        (("--valid", "1", "--test", "0.3"), "random_split", {"valid": 1, "test": 0.3, "rng": 0}),
    ],
)
def test_every_way_to_split(made, tmp_path, options, function, keywords):
    told = document(
        "split",
        made / "store",
        "--target",
        "user, rates, item",
        "--evidence",
        "review",
        *options,
        "--out",
        tmp_path / "s",
    )
    expected = getattr(hinaug, function)(
        hinaug.load(made / "store"), RATES, evidence=["review"], **keywords
    )
    assert hinaug.load(tmp_path / "s").test.equals(expected.test)
    assert (told["valid"], told["test"]) == (expected.valid.num_rows, expected.test.num_rows)


def test_split_by_rating_and_thin(made, tmp_path):
    run(
        "split",
        made / "store",
        "--target",
        "user,rates,item",
        "--evidence",
        "review",
        "--min-rating",
        4,
        "--thin",
        0.3,
        "--out",
        tmp_path / "s",
    )
    split, whole = hinaug.load(tmp_path / "s"), hinaug.load(made / "split")
    assert min(split.source.edges[RATES]["rating"].to_pylist()) == 4
    assert split.train.n(RATES) < 0.6 * whole.train.n(RATES)


def test_strict_ends_with_1_when_there_is_a_leak(made, tmp_path):
    leaky = ("split", made / "store", "--target", "user,rates,item", "--out", tmp_path / "leaky")
    assert document(*leaky)["audit"]["leaks"]
    assert document(*leaky, "--strict", code=1)["audit"]["leaks"]
    clean = document(
        "split",
        made / "store",
        "--target",
        "user,rates,item",
        "--evidence",
        "review",
        "--strict",
        "--out",
        tmp_path / "s",
    )
    assert not clean["audit"]["leaks"]


def test_augment_gives_one_delta_and_the_same_one_again(made, tmp_path):
    delta = hinaug.load(made / "delta")
    links = hinaug.load(made / "split").train.adjacency(RATES).nnz
    rows = {(r["part"], r["origin"]): r["rows"] for r in delta.summary().to_pylist()}
    assert rows["nodes", "Synthesis"] == 6
    assert rows["edges", "RelationGenerator(EASE)"] == round(0.1 * links)
    again = ("augment", made / "split", "--edges", "EASE:0.1", "--users", "synthesis:6")
    run(*again, "--out", tmp_path / "same")
    run(*again, "--seed", 1, "--out", tmp_path / "other")
    assert hinaug.load(tmp_path / "same") == delta
    assert hinaug.load(tmp_path / "other") != delta
    told = document(
        "augment",
        made / "split",
        "--items",
        "Aggregation:3",
        "--set",
        "Aggregation.k=2",
        "--out",
        tmp_path / "items",
    )
    assert [p["rows"] for p in told["parts"] if p["part"] == "nodes"] == [3]


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


def test_recommend_is_that_of_the_library(made, tmp_path):
    rows = document(
        "recommend",
        made / "model",
        "--store",
        made / "split",
        "--users",
        "u00,u07",
        "--k",
        3,
        "--show",
        "title",
    )
    graph = hinaug.load(made / "split").train_valid
    expected = hinaug.recommend(hinaug.load(made / "model"), graph, ["u00", "u07"], k=3)
    assert [(r["user"], r["item"], r["rank"]) for r in rows] == list(
        zip(*(expected[c].to_pylist() for c in ("user", "item", "rank")), strict=True)
    )
    titles = dict(
        zip(graph.ids("item").to_pylist(), graph.nodes["item"]["title"].to_pylist(), strict=True)
    )
    assert all(r["title"] == titles[r["item"]] for r in rows)
    (tmp_path / "who").write_text("u00\n\nu07\nu07\n")
    assert (
        document(
            "recommend",
            made / "model",
            "--store",
            made / "split",
            "--users",
            f"@{tmp_path / 'who'}",
            "--k",
            3,
            "--show",
            "title",
        )
        == rows
    )
    assert (
        "u07"
        in run("recommend", made / "model", "--store", made / "store", "--users", "u07").stdout
    )


def test_files_of_lists_need_a_folder_and_users_who_are_there(made, tmp_path):
    asked = ("recommend", made / "model", "--store", made / "store", "--users")
    run(*asked, "u00", "--processes", "2", code=2)
    run(*asked, "u00", "--ray", "2", code=2)
    run(*asked, "nobody", "--out", tmp_path / "lists", code=2)
    assert not (tmp_path / "lists").exists()


def test_keywords_of_the_library_are_told_as_options():
    options = ["--student", "--columns", "--held-out"]
    told = in_options("pass students= and held_out=; name one with column=", options)
    assert told == "pass --student and --held-out; name one with --columns"
    for text in ("l2=300, column='a', unknown= stays", "--set columns=3"):
        assert in_options(text, options) == text


def test_users_left_without_are_found_in_one_pass():
    compared = 0

    class Name(str):
        def __eq__(self, other):
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    names = [Name(f"u{n}") for n in range(200)]
    rows = [{"user": Name(f"u{n}")} for n in range(0, 200, 2) for _ in range(5)]
    assert left_without(names, rows) == names[1::2]
    compared = 0
    left_without(names, rows)
    assert compared <= len(names) + len(rows)


def test_info_of_every_kind(made):
    told = {name: document("info", made / name) for name in ("store", "split", "delta", "model")}
    assert [told[n]["kind"] for n in told] == ["hin", "split", "delta", "estimator"]
    assert told["store"]["nodes"]["user"]["observed"] == 60
    assert told["store"]["edges"]["user,rates,item"]["generated"] == 0
    for name, part in (
        ("store", "user rates item"),
        ("split", "evidence: review"),
        ("delta", "Synthesis"),
        ("model", "EASE("),
    ):
        assert part in run("info", made / name).stdout


def test_graphml_is_well_formed_whatever_the_text_holds(tmp_path):
    rates, odd = ("user", "rates", "item"), "a\x0cb"
    hin = hinaug.HIN.from_tables(
        {"user": {"id": [odd], odd: ["x\x00"]}, "item": {"id": ["i"], "words": [["\x1b"]]}},
        {rates: {"src": [odd], "dst": ["i"]}},
    )
    hinaug.save(hin, tmp_path / "store")
    run("export", tmp_path / "store", "--to", tmp_path / "ml", "--format", "graphml")
    text = ET.tostring(ET.parse(tmp_path / "ml" / "graph.graphml").getroot(), "unicode")
    assert "a\ufffdb" in text
    assert "x\ufffd" in text


def test_export_as_csv_graphml_and_parquet(made, tmp_path):
    store = hinaug.load(made / "store")
    assert (
        "nodes/item.csv"
        in document("export", made / "store", "--to", tmp_path / "csv", "--format", "csv")["files"]
    )
    with open(tmp_path / "csv" / "edges" / "user.rates.item.csv") as file:
        rows = list(csv.DictReader(file))
    src, dst = store.links(RATES)
    assert [r["src"] for r in rows] == store.ids("user", src).to_pylist()
    assert [r["dst"] for r in rows] == store.ids("item", dst).to_pylist()
    with open(tmp_path / "csv" / "nodes" / "item.csv") as file:
        first = next(csv.DictReader(file))
    assert json.loads(first["x"]) == pytest.approx(store.vectors("item")[0].tolist())
    run("export", made / "store", "--to", tmp_path / "ml", "--format", "graphml")
    tree = ET.parse(tmp_path / "ml" / "graph.graphml").getroot()
    name = "{http://graphml.graphdrawing.org/xmlns}"
    assert len(tree.findall(f".//{name}node")) == sum(map(store.n, store.nodes))
    assert len(tree.findall(f".//{name}edge")) == sum(map(store.n, store.edges))
    run("export", made / "store", "--to", tmp_path / "pq")
    run("build", tmp_path / "pq", "--out", tmp_path / "back")
    assert hinaug.load(tmp_path / "back").equals(store, ordered=False)
    assert (
        "not an empty folder"
        in run("export", made / "store", "--to", tmp_path / "pq", code=2).stderr
    )


def test_build_and_its_example(tmp_path):
    (tmp_path / "likes.csv").write_text("who,what\na,x\na,x\nb,y\n")
    (tmp_path / "schema.toml").write_text('[edge.user.likes.item]\nsrc = "who"\ndst = "what"\n')
    files = (
        "build",
        tmp_path / "likes.csv",
        "--schema",
        tmp_path / "schema.toml",
        "--out",
        tmp_path / "store",
    )
    done = run(*files)
    assert "exact duplicates: 1" in done.stdout
    assert document(*files)["counts"][0]["notes"] == {"exact duplicates": 1}
    assert hinaug.load(tmp_path / "store").n(("user", "likes", "item")) == 2
    (tmp_path / "broken.csv").write_text("who,what\na,x\nshort\n")
    broken = ("build", tmp_path / "broken.csv", *files[2:-1], tmp_path / "store2")
    assert document(*broken)["counts"][0]["first"] == {"broken lines": ["'short', line 3"]}
    assert "line 3" in run(*broken, "--force").stdout
    (tmp_path / "broken.csv").unlink()
    assert "[review]" in run("build", "--example").stdout
    assert (
        "which file gives which"
        in run("build", tmp_path / "likes.csv", "--out", tmp_path / "s2", code=2).stderr
    )
    (tmp_path / "readme.txt").write_text("none of it")
    assert run("build", tmp_path, "--example").stdout.startswith(
        "# likes.csv: who, what\n# A first guess"
    )
    assert "takes files and --out" in run("build", code=2).stderr
    (tmp_path / "none").mkdir()
    assert not run("build", tmp_path / "none", "--example", code=2).stdout


def test_data_sets_are_listed_and_read(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HINAUG_DATA", str(tmp_path / "data"))
    folder = tmp_path / "data" / "lastfm-lightgcnpp"
    folder.mkdir(parents=True)
    for name in ("train", "valid", "test"):
        (folder / f"{name}.txt").write_text(
            {"train": "0 0 1\n1 1 2\n", "valid": "0 2\n", "test": "1 0\n"}[name]
        )
    rows = {row["name"]: row for row in document("datasets")}
    assert rows["lastfm-lightgcnpp"]["folder"] == str(folder)
    assert rows["ml-100k"]["folder"] is None
    assert "terms" in run("datasets", "ml-100k").stdout
    told = document("datasets", "lastfm-lightgcnpp", "--out", tmp_path / "s")
    assert told["kind"] == "split"
    assert told["terms"]
    assert (
        "ml-100k was not found"
        in run("datasets", "ml-100k", "--out", tmp_path / "m", "--no-download", code=2).stderr
    )


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
    asked = (
        "split",
        made / "store",
        "--target",
        "user,rates,item",
        "--evidence",
        "review",
        "--out",
        tmp_path / "s",
    )
    run(*asked, "--how", "cold-users", "--valid", 0.2, "--test", 0.2)
    done = run("evaluate", tmp_path / "s", "--model", "Popularity", "--json")
    users = hinaug.load(tmp_path / "s").valid["src"].unique()
    assert json.loads(done.stdout)["new_users"] == len(users)
    assert f"{len(users)} of the {len(users)} users judged are new" in done.stderr
    assert run("evaluate", made / "split", "--model", "Popularity").stderr == ""


def test_items_show_by_their_title(made):
    graph = hinaug.HIN.from_tables(
        {"i": {"id": [1, 2], "movie_title": [["The", "Kid"], None], "name": ["a", "b"]}}, {}
    )
    assert [title_of(graph, "i")(n) for n in (1, 2)] == ["The Kid", "2"]


def test_a_delta_of_another_split_may_know_the_test_pairs(made, tmp_path):
    other = (
        "split",
        made / "store",
        "--target",
        "user,rates,item",
        "--evidence",
        "review",
        "--seed",
        1,
    )
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


def test_split_says_how_it_was_made_and_how_to_mend_a_leak(made, tmp_path):
    asked = ("split", made / "store", "--target", "user,rates,item", "--out", tmp_path / "s")
    assert "--evidence review" in run(*asked).stdout
    told = document(*asked, "--evidence", "review", "--min-rating", 3, "--thin", 0.5, "--seed", 4)
    assert {k: told["how"][k] for k in ("seed", "min_rating", "thin")} == {
        "seed": 4,
        "min_rating": 3,
        "thin": 0.5,
    }
    assert document("info", tmp_path / "s")["how"] == told["how"]
    assert (
        "nothing is held out"
        in run(*asked[:-1], tmp_path / "none", "--min-rating", 9, code=2).stderr
    )
    assert not (tmp_path / "none").exists()


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


# ---- what every verb keeps -----------------------------------------------------------------------


def help_of(*verb):
    """The --help of a verb as it stands in a terminal of 80 columns, and the commands of its
    example.
    """
    text = CliRunner(env={"COLUMNS": "80"}).invoke(app, [*verb, "--help"]).stdout
    assert max(map(len, text.splitlines())) <= 80
    _, _, example = text.partition("\n Example")
    lines = [line.strip() for line in example.split("\n \n")[0].splitlines()[1:]]
    lines = lines[
        : next((n for n, line in enumerate(lines) if not line or line[0] in "╭│"), len(lines))
    ]
    return text, "\n".join(lines).replace("\\\n", " ").splitlines()


def paste(lines, folder):
    for line in lines:
        if line.startswith("hinaug "):
            run(*shlex.split(line)[1:])
        else:
            subprocess.run(line, shell=True, check=True, cwd=folder)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_teaches_by_an_example_and_speaks_json(verb):
    text, example = help_of(verb)
    assert any(line.startswith(f"hinaug {verb} ") for line in example)
    assert "--json" in text


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_a_file_with_a_function_of_its_name(verb):
    module = importlib.import_module(f"hinaug.cli.{verb}")
    first, *more = inspect.getdoc(getattr(module, verb)).splitlines()
    assert first == VERBS[verb], "the list of verbs says what the verb says"
    assert max(map(len, more)) <= 78, "longer lines break oddly in 80 columns"


def test_a_verb_is_loaded_when_it_is_asked_for():
    code = """if True:
        import sys
        from typer.testing import CliRunner
        from hinaug.cli.app import app
        done = CliRunner().invoke(app, ["info", "--help"])
        assert done.exit_code == 0, done.output
        print(*(m for m in sys.modules if m.startswith("hinaug.cli.")))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {m.removeprefix("hinaug.cli.") for m in done.stdout.split()}
    assert loaded & set(VERBS) == {"info"}


def test_a_mistyped_verb_is_told_the_nearest():
    assert "Did you mean 'evaluate'?" in run("evalate", code=2).stderr


def test_examples_work_when_pasted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for verb in VERBS:
        if verb not in ("demo", "embed"):  # one takes minutes, one needs a model
            paste(help_of(verb)[1], tmp_path)
    assert hinaug.load("likes").n(("user", "likes", "item")) == 2
    assert (tmp_path / "run" / "report.html").is_file()
    assert (tmp_path / "tables" / "nodes" / "user.csv").is_file()


def test_the_example_of_the_whole_works_when_pasted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, example = help_of()
    assert len(example) == 6
    paste(example, tmp_path)
    assert "130" in text.partition("Exit codes")[2]


def test_help_names_every_method(made):
    there = {
        "evaluate": (
            hinaug.predictors,
            hinaug.predictors.base.LinkPredictor,
            hinaug.ensembles,
            Ensemble,
        ),
        "augment": (
            hinaug.predictors,
            hinaug.predictors.base.LinkPredictor,
            hinaug.generators,
            EntityGenerator,
        ),
    }
    for verb, (*parts,) in there.items():
        words = set(re.findall(r"\w+", help_of(verb)[0]))
        for package, base in zip(parts[::2], parts[1::2], strict=True):
            with raises(UnknownNameError, asked="x") as error:
                method(package.__name__.removeprefix("hinaug."), "x", base)
            assert set(error.value.there) <= words
    assert options.complete_predictor("ea") == ["EASE"]
    assert options.complete_entities("J") == ["JointGAN:0.1", "JointVAE:0.1"]
    assert "planted" in options.complete_dataset("p")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("info", "nothing"), "nothing is not there"),
        (
            ("split", "store", "--target", "user,rate,item", "--out", "o"),
            r"did you mean 'user,rates,item'",
        ),
        (("split", "store", "--target", "user", "--out", "o"), "no edge type 'user'"),
        (
            (
                "split",
                "store",
                "--target",
                "user,rates,item",
                "--how",
                "random",
                "--time",
                "time",
                "--out",
                "o",
            ),
            "--time is for temporal and leave-last",
        ),
        (
            (
                "split",
                "store",
                "--target",
                "user,rates,item",
                "--how",
                "leave-last",
                "--test",
                "0.1",
                "--out",
                "o",
            ),
            "a count",
        ),
        (
            (
                "split",
                "store",
                "--target",
                "user,rates,item",
                "--how",
                "temporal",
                "--test",
                "5",
                "--out",
                "o",
            ),
            "a share",
        ),
        (
            ("split", "store", "--target", "user,rates,item", "--valid", "-1", "--out", "o"),
            "is no size",
        ),
        (
            (
                "split",
                "store",
                "--target",
                "user,rates,item",
                "--evidence",
                "reviews",
                "--out",
                "o",
            ),
            "did you mean 'review'",
        ),
        (
            ("split", "store", "--target", "user,wrote,review", "--min-rating", "3", "--out", "o"),
            "no column 'rating'",
        ),
        (
            ("split", "split", "--target", "user,rates,item", "--out", "o"),
            "split holds a split; expected a graph",
        ),
        (("augment", "store", "--edges", "EASE:0.1", "--out", "o"), "hinaug split makes one"),
        (("augment", "split", "--out", "o"), "nothing to generate"),
        (("augment", "split", "--edges", "EASE", "--out", "o"), "does not say how much"),
        (("augment", "split", "--edges", "EASE:much", "--out", "o"), "'much' is no size"),
        (("augment", "split", "--users", "JointVAD:0.1", "--out", "o"), "did you mean 'JointVAE'"),
        (
            ("augment", "split", "--users", "RelationGenerator:1", "--out", "o"),
            "no method 'RelationGenerator'",
        ),
        (
            ("augment", "split", "--users", "Synthesis:1", "--set", "pair=odd", "--out", "o"),
            "'similar'",
        ),
        (("evaluate", "split", "--model", "EASY"), "did you mean 'EASE'"),
        (("evaluate", "split", "--model", "EASE", "--set", "l3=1"), "no method has that"),
        (("evaluate", "split", "--model", "EASE", "--set", "l2=high"), "EASE.l2 is float"),
        (("evaluate", "split", "--model", "EASE", "--set", "l2"), "NAME=VALUE"),
        (("evaluate", "split", "--model", "EASE", "--k", "ten"), "whole numbers"),
        (("evaluate", "split", "--model", "EASE", "--delta", "store"), "expected a delta"),
        (
            ("evaluate", "split", "--model", "EASE", "--delta", "delta", "--delta", "delta"),
            "stands twice",
        ),
        (("evaluate", "split", "--model", "EASE", "--keep", "plain"), "there is no --out"),
        (
            ("evaluate", "split", "--model", "EASE", "--out", "o", "--keep", "delta"),
            r"there are \['plain'\]",
        ),
        (
            ("evaluate", "split", "--model", "EASE", "--out", "store"),
            "holds a graph, and would get a fitted model",
        ),
        (("recommend", "store", "--store", "store", "--users", "u00"), "expected a fitted model"),
        (("recommend", "model", "--store", "store", "--users", "nobody"), "'nobody'"),
        (("recommend", "model", "--store", "store", "--users", "u00,u99"), "--users @FILE"),
        (
            ("recommend", "model", "--store", "alien", "--users", "zoe"),
            "has none of these users; is alien the right one",
        ),
        (("recommend", "model", "--store", "store", "--users", "u00", "--k", "0"), "--k"),
        (("recommend", "model", "--store", "store", "--users", "u00", "--k", "abc"), "--k"),
        (
            ("build", "store", "--schema", "nowhere.toml", "--out", "o"),
            r"^hinaug: nowhere.toml: No such file or directory$",
        ),
        (("augment", "split", "--edges", "EASE:0", "--out", "o"), "nothing was generated: EASE:0"),
        (("augment", "split", "--edges", "EASE:0.1", "--out", "titles/o/deep"), "titles is a file"),
        (("export", "store", "--to", "titles/o"), "titles is a file"),
        (("recommend", "model", "--store", "store", "--users", " , "), "names nobody"),
        (
            ("recommend", "model", "--store", "store", "--users", "@nowhere"),
            "nowhere: No such file",
        ),
        (
            ("recommend", "model", "--store", "store", "--users", "@latin"),
            "--users @latin: the file is no UTF-8 text",
        ),
        (("recommend", "model", "--store", "store", "--users", ""), "names nobody"),
        (
            ("recommend", "model", "--store", "store", "--users", "u00", "--show", "titel"),
            "did you mean 'title'",
        ),
        (("report", "store"), "results.jsonl"),
        (("datasets", "ml-100"), "did you mean 'ml-100k'"),
        (("datasets", "--out", "o"), "needs the name"),
        (("demo", "ml-1m"), "no demo for 'ml-1m'"),
        (("demo", "ml-100k", "--out", "titles"), "titles is a file; name a folder"),
        (("demo", "ml-100k", "--out", "mine"), "mine/shop is not a store, and not empty"),
        (("export", "delta", "--to", "o"), "holds a delta; expected a graph"),
        (("export", "store", "--to", "o", "--format", "pyg"), "pyg"),
        (("evaluate", "split"), "--model"),
    ],
)
def test_a_mistake_is_one_sentence_and_code_2(made, monkeypatch, arguments, message):
    monkeypatch.chdir(made)
    (made / "titles").write_text("a file")
    (made / "latin").write_bytes(b"Zo\xeb\n")
    (made / "mine" / "shop" / "of" / "it").mkdir(parents=True, exist_ok=True)
    alien = {"user": {"id": ["zoe"]}, "item": {"id": ["x", "y"]}}
    hinaug.save(hinaug.HIN.from_tables(alien, {RATES: {"src": ["zoe"], "dst": ["x"]}}), "alien")
    done = run(*arguments, code=2)
    assert re.search(message, done.stderr), done.stderr
    assert "Traceback" not in done.output
    assert done.stdout == ""
    assert not (made / "o").exists()


def test_outputs_replace_only_their_own_kind(made, tmp_path):
    out = tmp_path / "out"
    again = ("augment", made / "split", "--users", "Synthesis:2", "--out", out)
    run(*again)
    run(*again)
    other = (
        "split",
        made / "store",
        "--target",
        "user,rates,item",
        "--evidence",
        "review",
        "--out",
        out,
    )
    assert "or --force" in run(*other, code=2).stderr
    assert isinstance(hinaug.load(out), hinaug.Delta)
    run(*other, "--force")
    assert isinstance(hinaug.load(out), hinaug.Split)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    for place in (tmp_path / "mine", tmp_path / "mine" / "thesis.txt"):
        assert "name a new folder" in run(*again[:-1], place, "--force", code=2).stderr
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_interrupted_is_130_and_our_own_faults_keep_their_traceback(made, monkeypatch):
    def raising(error):
        def load(*_, **__):
            raise error

        return load

    monkeypatch.setattr("hinaug.cli.folders.load", raising(KeyboardInterrupt()))
    assert "interrupted" in run("info", made / "store", code=130).stderr
    for fault in (IndexError("[]"), ImportError("gone", name="hinaug.io.store")):
        monkeypatch.setattr("hinaug.cli.folders.load", raising(fault))
        assert CliRunner().invoke(app, ["info", str(made / "store")]).exception is fault
    for mistake in (
        ImportError("gone", name="pandas"),
        pa.ArrowTypeError("no"),
        MemoryError(),
        json.JSONDecodeError("no", "", 0),
        KindError("a graph, not a table"),
        DivergenceError("the loss is not finite"),
    ):
        monkeypatch.setattr("hinaug.cli.folders.load", raising(mistake))
        assert run("info", made / "store", code=2).stderr.startswith("hinaug: ")
    monkeypatch.setattr(
        "hinaug.cli.folders.load", raising(MemoryError("Unable to allocate 745 GiB"))
    )
    assert (
        run("info", made / "store", code=2).stderr
        == "hinaug: not enough memory: Unable to allocate 745 GiB\n"
    )


def test_an_interrupt_leaves_nothing_half_written(made, tmp_path, monkeypatch):
    asked = (
        "evaluate",
        made / "split",
        "--model",
        "EASE",
        "--delta",
        made / "delta",
        "--on",
        "test",
        "--run",
        tmp_path / "run",
    )
    run(*asked, "--out", tmp_path / "model")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    for place in ("hinaug.predictors.ease.EASE._fit", "hinaug.cli.run_folder.lists"):
        with monkeypatch.context() as patch:
            patch.setattr(place, interrupted)
            assert "interrupted" in run(*asked, code=130).stderr
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    monkeypatch.setattr("hinaug.cli.export.to_parquet", interrupted)
    run("export", made / "store", "--to", tmp_path / "tables", "--format", "csv", code=130)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "run"]


def test_an_interrupt_while_verbs_are_loaded(monkeypatch, capsys):
    monkeypatch.setitem(
        sys.modules,
        "hinaug.cli.app",
        types.SimpleNamespace(app=lambda: (_ for _ in ()).throw(KeyboardInterrupt)),
    )
    with pytest.raises(SystemExit) as ended:
        hinaug.cli.main()
    assert (ended.value.code, capsys.readouterr().err) == (130, "hinaug: interrupted\n")


def test_names():
    assert sized("JointVAE:0.1") == ("JointVAE", 0.1)
    assert sized("EASE:10") == ("EASE", 10)
    assert isinstance(number("1", ""), int)
    assert isinstance(number("1.0", ""), float)
    assert method("predictors", "lightgcn", hinaug.predictors.base.LinkPredictor) is LightGCN
    with raises(UnknownNameError, asked="Ensemble"):
        method("ensembles", "Ensemble", Ensemble)
    given = Settings(["l2=7", "EASE.weight=confidence", "ItemKNN.k=3"])
    made = given.make(EASE, RATES)
    assert made.get_params() == EASE(RATES, l2=7, weight="confidence").get_params()
    with raises(UnknownNameError, asked="k", names="ItemKNN.k=3"):
        given.check()
    assert Settings(["weight=null"]).make(EASE, RATES).weight is None
    for text, asked in (("epochs=1.5", 1.5), ("epochs=true", True), ("embedding_dim=[1]", [1])):
        with raises(ParameterError, asked=asked, names="LightGCN"):
            Settings([text]).make(LightGCN, RATES)


# ---- as a program --------------------------------------------------------------------------------


def program(*arguments, code=0, encoding="utf-8"):
    done = subprocess.run(
        [sys.executable, "-m", "hinaug.cli", *map(str, arguments)],
        capture_output=True,
        encoding=encoding,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


def test_help_loads_nothing_heavy():
    code = """if True:
        import sys
        from hinaug.cli import main
        sys.argv = ["hinaug", "--help"]
        try:
            main()
        finally:
            heavy = ("torch", "pyarrow", "scipy", "networkx")
            sys.stderr.write(str([m for m in heavy if m in sys.modules]))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]"
    positions = [done.stdout.index(f"│ {verb} ") for verb in VERBS]
    assert positions == sorted(positions)


@pytest.mark.parametrize(
    "arguments", [("datasets",), ("datasets", "--json"), ("evaluate", "--help")]
)
def test_a_reader_that_goes_away_is_no_fault(arguments):
    whole = [sys.executable, "-m", "hinaug.cli", *arguments]
    with subprocess.Popen(
        whole, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_letters_that_a_terminal_lacks(tmp_path):
    graph = hinaug.HIN.from_tables({"書": {"id": ["Zoë"], "title": ["😀"]}}, {})
    hinaug.save(graph, tmp_path / "s")
    assert (
        json.loads(program("info", tmp_path / "s", "--json", encoding="ascii").stdout)["nodes"][
            "書"
        ]["observed"]
        == 1
    )
    assert "?" in program("info", tmp_path / "s", encoding="latin-1").stdout
    assert "書" in program("info", tmp_path / "s").stdout


def test_stdout_is_one_document_and_a_mistake_one_line(made):
    assert json.loads(program("info", made / "store", "--json").stdout)["kind"] == "hin"
    done = program("info", made, code=2)
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1


def test_only_methods_are_offered_by_name():
    for package, base in (
        ("predictors", LinkPredictor),
        ("ensembles", Ensemble),
        ("generators", EntityGenerator),
    ):
        for name in method_names(importlib.import_module(f"hinaug.{package}")):
            assert method(package, name, base).__name__ == name


@pytest.mark.parametrize("name", method_names(importlib.import_module("hinaug.generators")))
def test_every_generator_of_nodes_is_made_by_name(made, tmp_path, name):
    quick = {"JointVAE", "JointGAN", "CFGAN", "RLGAN"}
    extra = ("--set", "epochs=1") if name in quick else ()
    asked = ("augment", made / "split", "--users", f"{name}:3", *extra, "--out", tmp_path / "d")
    run(*asked)
    assert hinaug.load(tmp_path / "d").nodes["user"].num_rows == 3
