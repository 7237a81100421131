"""The command line as a program of its own: what it loads, its streams and letters."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hinaug
from hinaug.cli.app import VERBS


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


def test_the_folder_of_a_clone_is_not_taken_for_the_package(tmp_path):
    (tmp_path / "hinaug").symlink_to(Path(hinaug.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", "import hinaug; hinaug.load"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
