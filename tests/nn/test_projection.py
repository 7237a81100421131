"""ProjectionNetwork: the loss against a loop over pairs, and what is left out of it."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.nn import functional as F

from hinaug.nn import ProjectionNetwork

HISTORIES = sp.csr_array(np.array([[0, 2.0, 0, 1, 0], [1, 0, 0, 0, 0]], np.float32))
NODES = torch.tensor([0, 3])


def given(dropout=0.0):
    network = ProjectionNetwork(3, temperature=0.5, dropout=dropout)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        network.weight += 0.3 * torch.randn(3, 3, generator=random)
    return network, torch.randn(5, 3, generator=random)


def test_the_loss_by_a_loop_over_pairs():
    network, x = given()
    weight = torch.tensor([1.0, 3.0])
    loss = network.loss(x, HISTORIES, NODES, weight, torch.Generator())
    p = x @ network.weight
    losses = []
    for row, node in enumerate(NODES.tolist()):
        history = HISTORIES[[row]].toarray()[0]
        profile = torch.from_numpy(history) @ p
        against = [j for j in range(5) if not history[j]]
        cosines = torch.stack([F.cosine_similarity(profile, p[j], dim=0) for j in against])
        losses.append(-F.log_softmax(cosines / 0.5, 0)[against.index(node)])
    expected = (losses[0] + 3 * losses[1]) / 4
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    (by_hand,) = torch.autograd.grad(expected, network.weight)
    loss.backward()
    torch.testing.assert_close(network.weight.grad, by_hand, atol=1e-5, rtol=1e-4)


def test_it_starts_at_the_identity_and_dropout_follows_its_generator():
    assert torch.equal(ProjectionNetwork(4).weight.detach(), torch.eye(4))
    network, x = given(dropout=0.5)
    ones = torch.ones(2)

    def value(seed):
        return float(
            network.loss(x, HISTORIES, NODES, ones, torch.Generator().manual_seed(seed)).detach()
        )

    assert value(1) == value(1) != value(2)
