"""Mistakes end in one sentence and code 2, and leave what was there; interrupts too."""

import json
import re
import sys
import types
from typing import Literal

import pyarrow as pa
import pytest
from commands import RATES, TARGET, run
from raising import raises
from typer.testing import CliRunner

import hinaug
from hinaug.cli.app import app
from hinaug.cli.names import Settings, _kind_in_words, method, number, sized
from hinaug.cli.output import in_options
from hinaug.ensembles import Ensemble
from hinaug.errors import DivergenceError, KindError, ParameterError, UnknownNameError
from hinaug.predictors import EASE, LightGCN


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
        (
            ("evaluate", "split", "--model", "EASE", "--set", "l2=high"),
            "EASE.l2 takes a number or null",
        ),
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
    other = ("split", made / "store", *TARGET, "--out", out)
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


def test_types_of_settings_are_told_in_words():
    hints = {
        int | None: "a whole number or null",
        bool: "true or false",
        Literal["a", "b"] | float: "one of ['a', 'b'] or a number",
    }
    assert {kind: _kind_in_words(kind) for kind in hints} == hints


def test_keywords_of_the_library_are_told_as_options():
    options = ["--student", "--columns", "--held-out"]
    told = in_options("pass students= and held_out=; name one with column=", options)
    assert told == "pass --student and --held-out; name one with --columns"
    for text in ("l2=300, column='a', unknown= stays", "--set columns=3"):
        assert in_options(text, options) == text
