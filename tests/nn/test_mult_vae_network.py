"""MultVAENetwork: the loss against the formula, with columns beside the links and without."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.nn import functional as F

from hinaug.nn import MultVAENetwork, SparseMatrix

BLOCKS = [("categorical", 3), ("continuous", 2)]


def given(width, seed=0):
    rng = np.random.default_rng(seed)
    links = sp.csr_array((rng.random((4, 6)) < 0.5) * rng.uniform(0.5, 2, (4, 6)))
    columns = rng.random((4, width)).astype(np.float32)
    return links, torch.from_numpy(columns)


@pytest.mark.parametrize(("width", "blocks"), [(0, None), (5, None), (5, BLOCKS)])
def test_the_loss_by_the_formula(width, blocks):
    links, columns = given(width)
    net = MultVAENetwork(6, width, 8, 2, torch.Generator().manual_seed(0), blocks)
    shown = 0.5 * links
    loss = net(SparseMatrix(shown), 0.3 * columns, links, columns, 0.7, torch.Generator())
    hidden = torch.from_numpy(shown.toarray()).float() @ net.encoder_items + net.encoder_bias
    hidden = torch.tanh(hidden + 0.3 * columns @ net.encoder_columns)
    mean, log_variance = net.posterior(hidden).split(2, 1)
    noise = torch.empty(4, 2).normal_(generator=torch.Generator())
    h = torch.tanh(net.decoder(mean + torch.exp(log_variance / 2) * noise))
    logits = h @ net.decoder_items[:, :-1].T + net.decoder_items[:, -1]
    x = torch.from_numpy(links.toarray())
    rows = -(x * F.log_softmax(logits, 1)).sum(1)
    rows = rows + 0.35 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)
    if blocks:
        out = net.column_head(h)
        rows = rows - (columns[:, :3] * F.log_softmax(out[:, :3], 1)).sum(1)
        rows = rows + 0.5 * ((out[:, 3:] - columns[:, 3:]) ** 2).sum(1)
    assert float(loss.detach()) == pytest.approx(float(rows.mean().detach()), rel=1e-5)
    loss.backward()
    named = dict(net.named_parameters())
    got = {n: p.grad.clone() for n, p in named.items() if p.grad is not None}
    net.zero_grad()
    rows.mean().backward()
    for name, gradient in got.items():
        torch.testing.assert_close(
            gradient, named[name].grad.to(gradient.dtype), atol=1e-5, rtol=1e-4
        )


def test_a_head_starts_as_the_columns_of_one_last_layer_would():
    wide = MultVAENetwork(6, 5, 8, 2, torch.Generator().manual_seed(1), BLOCKS)
    assert wide.column_head.weight.shape == (5, 8)
    assert wide.decoder_items.shape == (6, 9)
    bound = 8**-0.5
    for p in (wide.decoder_items, wide.column_head.weight, wide.column_head.bias):
        assert 0 < float(p.detach().abs().max()) <= bound
