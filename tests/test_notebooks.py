"""Every notebook runs top to bottom on the planted world, draws, and is committed as it was
written: without outputs.
"""

import re
from pathlib import Path

import matplotlib
import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def test_there_are_notebooks():
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04"]


@each
def test_is_committed_as_it_was_written(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        assert not re.search(r"(?<![\w.])/(home|root|work|tmp|Users|mnt)/", cell.source), (
            "no paths of one machine"
        )
        for call in re.findall(r"(?<![\w.])(?:load|find)\(.*?\)", cell.source):
            assert "download=False" in call, "a notebook does not fetch data by itself"
    assert notebook.metadata.kernelspec.name == "python3"


@each
def test_links_lead_to_notebooks_that_are_there(path):
    text = "".join(
        cell.source
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "markdown"
    )
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert (path.parent / target).is_file(), target


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:jupyter_client", "ignore::DeprecationWarning:zmq"
)
@each
def test_runs(path, monkeypatch, tmp_path):
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.setenv("MPLCONFIGDIR", matplotlib.get_cachedir())  # its list of fonts is made once
    monkeypatch.setenv(
        "XDG_CACHE_HOME", str(tmp_path)
    )  # no data at hand: the same world on every computer
    monkeypatch.delenv("HINAUG_DATA", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    outputs = [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]
    shown = "".join(
        out.text for out in outputs if out.output_type == "stream" and out.name == "stdout"
    )
    assert "This run is on the planted world" in shown, "a notebook says what it runs on"
    assert any("image/png" in out.get("data", {}) for out in outputs), (
        "a notebook shows at least one plot"
    )
    assert not any(out.output_type == "stream" and out.name == "stderr" for out in outputs), (
        "and is quiet"
    )
