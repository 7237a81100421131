"""hinaug embed: text columns to vectors by a tiny model made here; what it refuses."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, BertTokenizerFast
from typer.testing import CliRunner

import hinaug
from hinaug import random_split
from hinaug.cli.app import app
from hinaug.datasets.planted import RATES, planted
from hinaug.errors import HinaugError
from hinaug.features.text import StaticEncoder, TextEncoder, TextViews, TfIdfEncoder
from hinaug.features.text.locate import POTION_INSTALL
from hinaug.graph.arrow import lineage_of
from hinaug.serving import ShardedEncoder

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


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    """A folder of static vectors of four numbers."""
    path = tmp_path_factory.mktemp("static")
    words = ["[UNK]", "Green", "tea", "Jam", "sweet"]
    tokenizer = Tokenizer(models.WordLevel({w: k for k, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(path / "tokenizer.json"))
    table = np.random.default_rng(0).normal(size=(len(words), 4)).astype(np.float32)
    save_file({"embeddings": table}, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps({"normalize": False}))
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


@pytest.mark.parametrize("unit", [False, True])
def test_quick_takes_static_vectors_and_no_model(store, static, tmp_path, unit):
    options = ("--columns", "title", "--quick", "--static", static, *["--normalize"] * unit)
    told, hin = vectors(store, "no/such-model", tmp_path / "out", *options)
    assert (told["encoded"], told["without_text"], told["dimensions"]) == (2, 1, 4)
    found = hin.vectors("item", fill=np.nan)
    expected = StaticEncoder(static).encode(["Green tea", "Jam", None])
    length = np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected / length if unit else expected, atol=1e-6)
    assert lineage_of(hin.nodes["item"].schema.field("x")) == "row"


@pytest.mark.parametrize("columns", ["title", "title,tags"])
def test_views_stand_side_by_side_in_the_order_asked_for(store, model, static, tmp_path, columns):
    asked = ("--columns", columns, "--views", "static, bert", "--static", static)
    _, hin = vectors(store, model, tmp_path / "out", *asked)
    tags = "," in columns
    texts = ["Green tea" + "\nsweet" * tags, "Jam" + "\nof figs" * tags, None]
    bert = TextEncoder(model, max_length=16, cache=False, progress=False)
    views = TextViews([StaticEncoder(static), bert]).fit(texts)
    found = hin.vectors("item", fill=np.nan)
    assert found.shape == (3, 12)
    np.testing.assert_allclose(found, views.encode(texts), atol=1e-5)
    # means are of all texts
    assert lineage_of(hin.nodes["item"].schema.field("x")) == "aggregate"


def test_tfidf_is_fitted_on_the_texts_of_the_store(model, static, tmp_path):
    texts = ["red Jam", "blue Jam", "red tea", None]
    hinaug.save(
        hinaug.HIN.from_tables({"item": {"id": list("abcd"), "t": texts}}, {}), tmp_path / "s"
    )
    asked = ("--columns", "t", "--views", "tfidf,static,bert", "--static", static)
    _, hin = vectors(tmp_path / "s", model, tmp_path / "out", *asked)
    views = TextViews([TfIdfEncoder()]).fit(texts)
    found = hin.vectors("item", fill=np.nan)
    width = views.encode(texts).shape[1]
    assert found.shape[1] == width + 4 + 8
    np.testing.assert_allclose(found[:, :width], views.encode(texts), atol=1e-5)


def test_words_of_a_split_are_those_of_train(model, static, tmp_path):
    hin = planted(60, 40, rng=0)
    split = random_split(hin, RATES, evidence=["review"], rng=0)
    hinaug.save(split, tmp_path / "split")
    asked = ("--type", "review", "--columns", "text", "--views", "tfidf", "--out", tmp_path / "out")
    told = json.loads(run("embed", tmp_path / "split", *asked, "--json").stdout)
    found = hinaug.load(tmp_path / "out")
    views = TextViews([TfIdfEncoder()]).fit(split.train.column("review", "text").to_pylist())
    assert told["encoded"] == split.train.n("review") < split.train_valid.n("review")
    for part in ("train", "train_valid"):  # by the words of train alone
        texts = getattr(split, part).column("review", "text").to_pylist()
        vectors = getattr(found, part).vectors("review", fill=np.nan)
        np.testing.assert_allclose(vectors, views.encode(texts), atol=1e-5)
    assert found.test.equals(split.test)
    run("embed", tmp_path / "split", *asked[:-1], tmp_path / "two", "--drop", "user", code=2)
    run("embed", tmp_path / "split", *asked[:-1], tmp_path / "two")


def test_long_texts_are_counted_and_read_as_asked(store, model, tmp_path):
    long = "Green tea of figs " * 3
    hinaug.save(hinaug.HIN.from_tables({"item": {"id": ["a", "b"], "t": [long, "Jam"]}}, {}), store)
    found = {}
    for way in ("cut", "average"):
        options = ("--columns", "t", "--long", way, "--max-length", 5, "--dtype", "auto")
        asked = ("--type", "item", "--model", model, "--no-cache", *options, "--json")
        told = json.loads(run("embed", store, *asked, "--out", tmp_path / way).stdout)
        assert told["long"] == 1
        found[way] = hinaug.load(tmp_path / way).vectors("item")
        encoder = TextEncoder(model, max_length=5, long=way, dtype="auto", cache=False)
        np.testing.assert_allclose(found[way], encoder.encode([long, "Jam"]), atol=1e-5)
    assert not np.allclose(found["cut"][0], found["average"][0])
    run("embed", store, *asked, "--long", "drop", "--out", tmp_path / "out", code=2)


def test_one_error_where_static_vectors_are_absent(store, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    out = tmp_path / "out"
    done = run(
        "embed", store, "--type", "item", "--columns", "title", "--quick", "--out", out, code=2
    )
    assert isinstance(done.exception.__context__.__cause__, FileNotFoundError)
    assert POTION_INSTALL in " ".join(done.output.split())
    assert not out.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        ("--type", "item", "--columns", "titel"),
        ("--type", "items", "--columns", "title"),
        ("--type", "item", "--columns", " , "),
        ("--type", "item", "--columns", "title", "--model", "."),
        ("--type", "item", "--columns", "title", "--quick", "--static", "."),
        ("--type", "item", "--columns", "title", "--quick", "--views", "tfidf"),
        ("--type", "item", "--columns", "title", "--views", "tfidf,word2vec"),
        ("--type", "item", "--columns", "title", "--views", ","),
    ],
)
def test_what_is_refused(store, model, tmp_path, monkeypatch, wrong):
    monkeypatch.chdir(tmp_path)
    given = wrong if "--model" in wrong else (*wrong, "--model", model)
    done = run("embed", store, *given, "--out", tmp_path / "out", code=2)
    assert isinstance(done.exception.__context__.__cause__, HinaugError)
    assert not (tmp_path / "out").exists()


def test_processes_write_the_store_of_one_process(store, static, tmp_path):
    options = ("--columns", "title", "--quick", "--static", static)
    _, whole = vectors(store, "no/such-model", tmp_path / "whole", *options)
    for n in (1, 2):
        told, hin = vectors(store, "none", tmp_path / str(n), *options, "--processes", n)
        assert told["encoded"] == 2
        assert hin.fingerprint() == whole.fingerprint()
    assert not list(tmp_path.glob("*.shards"))


def test_what_a_killed_embed_made_is_not_made_again(store, model, tmp_path, monkeypatch):
    """The last step fails; then the vectors come from the shards and the model is asked no more."""
    options = ("--columns", "title", "--processes", 1)
    monkeypatch.setattr("hinaug.cli.embed.save", lambda *_: 1 / 0)
    asked = ("--type", "item", "--model", model, "--max-length", 16, *options)
    CliRunner().invoke(app, [str(a) for a in ("embed", store, *asked, "--out", tmp_path / "out")])
    parts = {path: path.stat().st_mtime_ns for path in (tmp_path / "out.shards").rglob("part*")}
    assert len(parts) == 1
    monkeypatch.undo()
    removed = []
    monkeypatch.setattr(ShardedEncoder, "remove", lambda sharded: removed.append(sharded.folder))
    vectors(store, model, tmp_path / "out", *options)
    assert removed == [f"{tmp_path / 'out'}.shards"]
    assert {path: path.stat().st_mtime_ns for path in parts} == parts
