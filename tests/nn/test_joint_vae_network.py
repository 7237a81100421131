"""The network of JointVAE: shapes, chained heads, and the sampled softmax against the full one."""

import numpy as np
import scipy.sparse as sp
import torch

from hinaug.nn.joint_vae import JointVAENetwork, bag, sampled_softmax_loss
from hinaug.training.joint_vae import JointVAEEpochs, encoder_rows


def network(**kwargs):
    random = torch.Generator().manual_seed(0)
    return JointVAENetwork([6, 4], [3, 2], 8, 2, random, write_columns=True, **kwargs)


def test_shapes_and_the_chain():
    net, rng = network(), np.random.default_rng(0)
    links = [sp.csr_array((rng.random((5, m)) < 0.5).astype(np.float32)) for m in (6, 4)]
    codes = rng.integers(2, size=(5, 2))
    rows = encoder_rows(links, codes, net.levels)
    assert rows.shape == (5, 15)
    np.testing.assert_array_equal(rows.toarray()[:, 10:13].argmax(1), codes[:, 0])
    mean, log_variance = net.encode(bag(rows))
    assert mean.shape == log_variance.shape == (5, 2)
    hidden = net.decode(mean)
    after = net.after(hidden, 0, bag(links[0]))
    assert net.logits(1, after).shape == (5, 4)
    assert not torch.equal(net.logits(1, after), net.logits(1, hidden))
    known = torch.from_numpy(codes)
    first = net.column_logits(1, after, known)
    assert not torch.equal(first, net.column_logits(1, after, 1 - known))


def test_the_sampled_softmax_is_the_full_one_when_all_are_candidates():
    random, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    rows, table = (torch.randn(n, 3, generator=random) for n in (4, 7))
    links = sp.csr_array((rng.random((4, 7)) < 0.4).astype(np.float32))
    full = -(torch.from_numpy(links.toarray()) * (rows @ table.T).log_softmax(1)).sum() / 4
    sampled = sampled_softmax_loss(rows, table, links, torch.arange(7), torch.ones(7))
    torch.testing.assert_close(sampled, full)


def test_the_sampled_norm_has_no_bias():
    """exp(log Z) of the estimate is Z on average over samples."""
    random = torch.Generator().manual_seed(0)
    row, table = torch.randn(1, 3, generator=random), torch.randn(50, 3, generator=random)
    links = sp.csr_array(([1.0], ([0], [7])), shape=(1, 50))
    logits = (row @ table.T)[0]
    inclusion = torch.full((50,), 0.3)
    found = []
    for seed in range(2000):
        picks = np.flatnonzero(np.random.default_rng(seed).random(50) < 0.3)
        loss = sampled_softmax_loss(row, table, links, torch.from_numpy(picks), inclusion)
        found.append(float((loss + logits[7]).exp()))
    assert abs(np.mean(found) / float(logits.exp().sum()) - 1) < 0.03


def test_it_learns_with_full_and_with_sampled_softmax():
    rng = np.random.default_rng(0)
    topic = rng.integers(2, size=200)
    inside = topic[:, None] == (np.arange(40) % 2)
    links = [sp.csr_array((rng.random((200, 40)) < np.where(inside, 0.3, 0.02)).astype(np.float32))]
    for sparse in (False, True):
        random = torch.Generator().manual_seed(0)
        net = JointVAENetwork([40], [2], 16, 4, random, write_columns=True, sparse=[sparse])
        epoch = JointVAEEpochs(
            net,
            links,
            topic[:, None],
            np.random.default_rng(0),
            random,
            batch_size=50,
            lr=0.01,
            dropout=0.5,
            kl=0.2,
            n_epochs=20,
            candidates=10,
        )
        losses = [float(epoch(k + 1)["loss"]) for k in range(20)]
        assert losses[-1] < 0.95 * losses[0]
        hidden = net.decode(net.encode(bag(epoch.shown))[0])
        share = net.logits(0, hidden).softmax(1).detach().numpy()
        assert (share * inside).sum(1).mean() > 0.8
