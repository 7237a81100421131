"""Networks of embeddings: a new neighbour hears what the propagation would give."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from hinaug.nn import (
    BipartitePropagation,
    Embeddings,
    PropagatedEmbeddings,
    ScaledEmbeddings,
    ScaledPropagation,
)


def links(seed=0):
    dense = np.random.default_rng(seed).random((5, 4)) < 0.5
    dense[:, 0] = dense[0] = True
    return sp.csr_array(dense * np.random.default_rng(1).uniform(0.5, 2.0, (5, 4)))


def vectors(*shape):
    return torch.from_numpy(np.random.default_rng(sum(shape)).standard_normal(shape, np.float32))


@pytest.mark.parametrize("network", ["lightgcn", "lightgcn++"])
@pytest.mark.parametrize("n_layers", [1, 3])
def test_own_vector_and_messages_make_the_final_vector(network, n_layers):
    r = links()
    if network == "lightgcn":
        net = PropagatedEmbeddings(vectors(5, 3), vectors(4, 3), BipartitePropagation(r, n_layers))
        power = -0.5
    else:
        net = ScaledEmbeddings(vectors(5, 3), vectors(4, 3), ScaledPropagation(r, n_layers))
        power = -net.propagate.alpha
    with torch.no_grad():
        final = net()
        own = net.users, net.items
        sent_users, sent_items = net.messages()
    for degree, matrix, sent, mine, z in (
        (r.sum(axis=1), r, sent_items, own[0], final[0]),
        (r.sum(axis=0), r.T, sent_users, own[1], final[1]),
    ):
        heard = torch.from_numpy(degree[:, None] ** power * (matrix @ sent.numpy()))
        torch.testing.assert_close(net.own_weight * mine + heard.float(), z, atol=1e-5, rtol=1e-5)


def test_free_vectors_send_nothing():
    net = Embeddings(vectors(5, 3), vectors(4, 3))
    assert net.messages() is None
    assert net.own_weight == 1
    assert net.generators() == ()
