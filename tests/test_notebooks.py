"""Every notebook runs top to bottom on the planted world, draws, and is committed as it was
written: without outputs.
"""

import json
import re
from pathlib import Path

import matplotlib
import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import BertConfig, BertModel, BertTokenizerFast

import hinaug.datasets

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def test_there_are_notebooks():
    tour = [path.stem for path in NOTEBOOKS if path.stem[0].isdigit()]
    assert [name[:2] for name in tour] == ["01", "02", "03", "04"]
    assert {path.stem for path in NOTEBOOKS} > set(tour)


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


quiet = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:jupyter_client", "ignore::DeprecationWarning:zmq"
)


def output_of(path, monkeypatch, cache):
    """What a notebook prints, and its outputs, with a cache of data of its own."""
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.setenv("MPLCONFIGDIR", matplotlib.get_cachedir())  # its list of fonts is made once
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv("HINAUG_DATA", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=900, resources=where).execute()
    outputs = [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]
    streams = (out for out in outputs if out.output_type == "stream" and out.name == "stdout")
    return "".join(out.text for out in streams), outputs


@pytest.fixture(scope="module")
def tiny_models(tmp_path_factory):
    """Folders of a random BERT and of random static vectors, for words of the planted world."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    texts = hinaug.datasets.planted(rng=0).column("item", "text").to_pylist()
    words += sorted({word for text in texts for word in text.lower().split()})
    bert, static = (tmp_path_factory.mktemp(name) for name in ("bert", "static"))
    (bert / "vocab.txt").write_text("\n".join(words), "utf-8")
    sizes = {"hidden_size": 8, "intermediate_size": 16, "max_position_embeddings": 256}
    layers = {"num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        BertModel(BertConfig(vocab_size=len(words), **sizes, **layers)).save_pretrained(bert)
    BertTokenizerFast(vocab=str(bert / "vocab.txt")).save_pretrained(bert)
    tokenizer = Tokenizer(models.WordLevel({w: k for k, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(static / "tokenizer.json"))
    table = np.random.default_rng(0).normal(size=(len(words), 4)).astype(np.float32)
    save_file({"embeddings": table}, static / "model.safetensors")
    (static / "config.json").write_text(json.dumps({"normalize": True}), "utf-8")
    return {"HINAUG_BERT": bert, "HINAUG_STATIC": static, "HINAUG_WRITER": "plain"}


@quiet
@each
def test_runs(path, monkeypatch, tmp_path, tiny_models):
    for name, folder in tiny_models.items():
        monkeypatch.setenv(name, str(folder))
    shown, outputs = output_of(path, monkeypatch, tmp_path)  # no data: the planted world
    assert "This run is on the planted world" in shown, "a notebook says what it runs on"
    assert any("image/png" in out.get("data", {}) for out in outputs), (
        "a notebook shows at least one plot"
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache that holds MovieLens 100K, which is fetched."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        patch.delenv("HINAUG_DATA", raising=False)
        hinaug.datasets.load("ml-100k")
    return folder


@pytest.mark.slow
@quiet
@each
def test_runs_on_movielens(path, monkeypatch, cache):
    shown, _ = output_of(path, monkeypatch, cache)
    assert re.search("This run is on (MovieLens 100K|the planted world)", shown)
    assert "is left out" not in shown, "every model that a package carries is there"
