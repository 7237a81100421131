"""hinaug embed: text columns to vectors by a tiny model made here; what it refuses."""

import json

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast
from typer.testing import CliRunner

import hinaug
from hinaug.cli.app import app
from hinaug.errors import HinaugError
from hinaug.features.text import TextEncoder
from hinaug.graph.arrow import lineage_of

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "tea", "jam", "green", "sweet", "of", "figs"]


def run(*arguments, code=0):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("bert")
    (path / "vocab.txt").write_text("\n".join(WORDS), "utf-8")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        config = BertConfig(
            vocab_size=len(WORDS), hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, max_position_embeddings=32, initializer_range=0.5,
        )  # fmt: skip
        BertModel(config).save_pretrained(path)
    BertTokenizerFast(vocab=str(path / "vocab.txt")).save_pretrained(path)
    return path


@pytest.fixture
def store(tmp_path):
    items = {
        "id": ["a", "b", "c"],
        "title": ["Green tea", "Jam", None],
        "tags": [["sweet"], ["of", "figs"], None],
        "mean": ["sweet", "sweet", "jam"],
    }
    hin = hinaug.HIN.from_tables({"item": items}, {})
    for name in ("title", "tags"):
        hin = hin.with_column("item", name, hin.column("item", name), lineage="row")
    hin = hin.with_column("item", "mean", hin.column("item", "mean"), lineage="aggregate")
    hinaug.save(hin, tmp_path / "store")
    return tmp_path / "store"


def vectors(store, model, out, *options):
    asked = ("--type", "item", "--model", model, "--max-length", 16, "--no-cache", *options)
    told = json.loads(run("embed", store, *asked, "--out", out, "--json").stdout)
    return told, hinaug.load(out)


def test_one_column_gives_what_the_library_gives(store, model, tmp_path):
    told, hin = vectors(store, model, tmp_path / "out", "--columns", "title", "--batch-tokens", 1)
    assert (told["encoded"], told["without_text"], told["dimensions"]) == (2, 1, 8)
    encoder = TextEncoder(model, max_length=16, cache=False, progress=False)
    expected = encoder.encode(["Green tea", "Jam", None])
    np.testing.assert_allclose(hin.vectors("item", fill=np.nan), expected, atol=1e-5)
    assert lineage_of(hin.nodes["item"].schema.field("x")) == "row"


def test_columns_are_joined_in_order_and_lists_are_words(store, model, tmp_path):
    columns = ("--columns", "title, tags", "--into", "text", "--normalize")
    _, hin = vectors(store, model, tmp_path / "out", *columns)
    encoder = TextEncoder(model, max_length=16, cache=False, progress=False, normalize=True)
    expected = encoder.encode(["Green tea\nsweet", "Jam\nof figs", None])
    found = hin.vectors("item", "text", fill=np.nan)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    field = hin.nodes["item"].schema.field("text")
    assert lineage_of(field) == "row"
    assert hin.nodes["item"].column_names == ["id", "title", "tags", "mean", "text"]


def test_the_lineage_is_that_of_the_worst_column(store, model, tmp_path):
    _, hin = vectors(store, model, tmp_path / "out", "--columns", "title,mean")
    assert lineage_of(hin.nodes["item"].schema.field("x")) == "aggregate"


@pytest.mark.parametrize(
    "wrong",
    [
        ("--type", "item", "--columns", "titel"),
        ("--type", "items", "--columns", "title"),
        ("--type", "item", "--columns", " , "),
        ("--type", "item", "--columns", "title", "--model", "."),
    ],
)
def test_what_is_refused(store, model, tmp_path, monkeypatch, wrong):
    monkeypatch.chdir(tmp_path)
    given = wrong if "--model" in wrong else (*wrong, "--model", model)
    done = run("embed", store, *given, "--out", tmp_path / "out", code=2)
    assert isinstance(done.exception.__context__.__cause__, HinaugError)
    assert not (tmp_path / "out").exists()
