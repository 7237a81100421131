"""Fine-tuning a text encoder on pairs of texts that belong together, by low-rank adapters."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hinaug import checks
from hinaug.errors import ParameterError
from hinaug.features import kinds
from hinaug.features.text.encoder import TextEncoder
from hinaug.features.text.modules import pooled
from hinaug.features.text.tokens import pieces_of
from hinaug.graph.hin import HIN


def linked_texts(
    hin: HIN, path: Sequence[str], columns: tuple[str, str], most: int = 10_000, rng: Any = None
) -> list[tuple[str, str]]:
    """Pairs of texts at the two ends of a path, such as a review and the title of its item.

    Parameters
    ----------
    hin
        The graph; hand over `split.train`, so that no held-out link makes a pair.
    path
        Node types, as `HIN.metapath` takes them: ("review", "item").
    columns
        The column of text at each end.
    most
        Pairs at most, drawn without replacement.

    Example
    -------
    >>> nodes = {"review": {"id": ["r"], "text": ["loud"]}, "item": {"id": ["i"], "title": ["amp"]}}
    >>> hin = HIN.from_tables(nodes, {("review", "about", "item"): {"src": ["r"], "dst": ["i"]}})
    >>> linked_texts(hin, ("review", "item"), ("text", "title"), rng=0)
    [('loud', 'amp')]
    """
    hin = hin.observed()
    left, right = (
        kinds.decoded(hin.column(type, name)).to_pylist()
        for type, name in zip((path[0], path[-1]), columns, strict=True)
    )
    row, col = hin.metapath(*path).tocoo().coords
    said = [np.array([bool(t and t.strip()) for t in texts], bool) for texts in (left, right)]
    kept = np.flatnonzero(said[0][row] & said[1][col] & ((path[0] != path[-1]) | (row != col)))
    kept = checks.generator(rng, "linked_texts").permutation(kept)[:most]
    return [(left[row[k]], right[col[k]]) for k in kept]


def adapt(
    encoder: TextEncoder,
    pairs: Sequence[tuple[str, str]],
    folder: str | Path,
    *,
    rank: int = 8,
    epochs: int = 1,
    lr: float = 1e-3,
    temperature: float = 0.05,
    batch_size: int = 32,
    rng: Any = None,
) -> TextEncoder:
    """An encoder whose vectors of texts that belong together are more alike.

    LoRA (Hu et al., ICLR 2022) on the attention, by `peft`; InfoNCE with the other pairs of a batch
    as negatives (van den Oord et al., 2018), in both directions. With unit vectors a_i and b_i,

        loss = - mean_i log( exp(a_i b_i / t) / sum_j exp(a_i b_j / t) )

    The adapters are merged into the weights, which are written to `folder` beside the tokenizer, so
    that the result needs no `peft`.

    Parameters
    ----------
    encoder
        Where to start; its options are those of the result. It stays as it is.
    pairs
        Texts that belong together (see `linked_texts`), of train alone.
    folder
        Where the new model goes.
    rank, epochs, lr, temperature, batch_size
        Width of the adapters, passes over the pairs, Adam's step, t, pairs a step.

    Raises ImportError without the extra lora, ParameterError for fewer than two pairs, for dense
    layers behind the transformer, and for a model without linear layers named query and value (or
    q, v, q_proj, v_proj, q_lin, v_lin).
    """
    import torch

    peft = _peft()
    if len(pairs) < 2 or encoder._modules().dense or encoder.engine != "torch":
        raise ParameterError(
            f"adapt: {len(pairs):,} pairs, engine {encoder.engine!r}, "
            f"{len(encoder._modules().dense)} dense layers: at least two pairs and an encoder of "
            "torch without dense layers are needed",
            asked=len(pairs),
        )
    generator = checks.generator(rng, "adapt")
    tokenizer, model = encoder._loaded_model()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator.integers(2**31)))
        config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=_layers(model))
        with warnings.catch_warnings():  # of what peft still asks of transformers
            warnings.simplefilter("ignore", FutureWarning)
            tuned = peft.get_peft_model(model.float(), config)
        weights = [p for p in tuned.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(weights, lr)
        for _ in range(epochs):
            order = generator.permutation(len(pairs))
            for start in range(0, len(order) - 1, batch_size):
                batch = [pairs[k] for k in order[start : start + batch_size]]
                a, b = (
                    _vectors(encoder, tokenizer, tuned, list(t)) for t in zip(*batch, strict=True)
                )
                loss = _info_nce(a, b, temperature)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    merged = tuned.merge_and_unload()
    return _written(encoder, merged.to(getattr(torch, encoder._dtype())), tokenizer, Path(folder))


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise ImportError("adapt needs the extra lora: pip install 'hinaug[lora]'") from error
    return peft


def _layers(model: Any) -> list[str]:
    names = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    found = sorted(names & {"query", "value", "q", "v", "q_proj", "v_proj", "q_lin", "v_lin"})
    if not found:
        raise ParameterError(
            f"adapt: {type(model).__name__} has no layers of attention by a known name",
            asked=type(model).__name__,
            there=sorted(names),
        )
    return found


def _vectors(encoder: TextEncoder, tokenizer: Any, model: Any, texts: list[str]) -> Any:
    """Unit vectors of texts with gradients, [n, d]."""
    import torch

    if encoder._modules().lower:
        texts = [text.lower() for text in texts]
    pieces = pieces_of(tokenizer, texts, encoder.max_length, chunk=False)
    padded = pieces.padded(np.arange(len(texts)), tokenizer.pad_token_id or 0)
    ids, mask = (torch.from_numpy(x).to(encoder._place()) for x in padded)
    states = model(input_ids=ids, attention_mask=mask).last_hidden_state
    return torch.nn.functional.normalize(pooled(states, mask, encoder._poolings()), dim=1)


def _info_nce(a: Any, b: Any, temperature: float) -> Any:
    import torch

    likeness, own = a @ b.T / temperature, torch.arange(len(a), device=a.device)
    loss = torch.nn.functional.cross_entropy
    return (loss(likeness, own) + loss(likeness.T, own)) / 2


def _written(encoder: TextEncoder, model: Any, tokenizer: Any, folder: Path) -> TextEncoder:
    """The merged model beside its tokenizer, and an encoder of it with the same options."""

    steps = encoder._modules()
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if len(steps.poolings) > 1 and encoder.pooling is None:
        raise ParameterError(
            f"adapt: poolings {steps.poolings} side by side; give the encoder one of its own",
            asked=steps.poolings,
        )
    pooling: Any = encoder._poolings()[0]
    unit = encoder.normalize or steps.normalize
    return replace(encoder, model=folder, pooling=pooling, normalize=unit)
