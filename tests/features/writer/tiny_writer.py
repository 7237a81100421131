"""A tiny random language model, made here: no network, no downloads."""

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WORDS = [
    "a",
    "the",
    "guitar",
    "tent",
    "amp",
    "is",
    "loud",
    "quiet",
    "good",
    "bad",
    "light",
    "heavy",
    "very",
    "item",
    "says",
    "one",
    "two",
]


def save_tiny(folder, template=None, positions=64):
    """A random Llama of two layers over a handful of words, saved to a folder."""
    vocab = {word: at for at, word in enumerate(["<pad>", "<unk>", "<end>", *WORDS])}
    core = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    return _save(folder, core, template, positions)


def save_letters(folder):
    """The same over single bytes, so that it can write anything."""
    letters = ["<pad>", "<unk>", "<end>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    core = Tokenizer(models.BPE({letter: at for at, letter in enumerate(letters)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return _save(folder, core, None, 256)


def _save(folder, core, template, positions):
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", eos_token="<end>", pad_token="<pad>"
    )
    tokenizer.chat_template = template
    with torch.random.fork_rng():
        torch.manual_seed(3)
        config = LlamaConfig(
            vocab_size=core.get_vocab_size(), hidden_size=16, intermediate_size=32,
            num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
            max_position_embeddings=positions, initializer_range=0.8, pad_token_id=0,
            bos_token_id=None, eos_token_id=2,
        )  # fmt: skip
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
