"""A small table of static vectors, in the layout of model2vec."""

import json

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers


def static_vectors(path, words, dim=8):
    """Write a vector for each word into the folder; the first word stands for all others."""
    known = {word: k for k, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token=words[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(path / "tokenizer.json"))
    table = np.random.default_rng(0).normal(size=(len(words), dim)).astype(np.float32)
    save_file({"embeddings": table}, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps({"normalize": True}))
    return path
