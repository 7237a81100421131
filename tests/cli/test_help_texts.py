"""The help of every verb: its example works, and it names what there is."""

import importlib
import inspect
import re
import shlex
import subprocess
import sys

import pytest
from commands import run
from raising import raises
from typer.testing import CliRunner

import hinaug
from hinaug.cli import options
from hinaug.cli.app import VERBS, app
from hinaug.cli.names import method
from hinaug.ensembles import Ensemble
from hinaug.errors import UnknownNameError
from hinaug.generators.base import EntityGenerator


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
