"""A tiny random language model, made here: no network, no downloads."""

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
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
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", eos_token="<end>", pad_token="<pad>"
    )
    tokenizer.chat_template = template
    with torch.random.fork_rng():
        torch.manual_seed(3)
        config = LlamaConfig(
            vocab_size=len(vocab), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=positions,
            initializer_range=0.8, pad_token_id=0, bos_token_id=None, eos_token_id=2,
        )  # fmt: skip
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
