"""Graph layers, losses, encoders and decoders in plain torch, for anyone to import.

Nothing here imports anything else of hinaug: matrices are scipy's, vectors are tensors. Nothing
touches the global random
state: whatever is random takes a `torch.Generator`. notebooks/03_layers.ipynb trains with these
layers in a plain loop.
"""

from hinaug.nn.critic import NodeCritic, SpectralLinear, gumbel_top, hinge_critic_loss
from hinaug.nn.decoders import BilinearDecoder, CosineDecoder, DotDecoder
from hinaug.nn.embeddings import (
    Embeddings,
    NoisyEmbeddings,
    PropagatedEmbeddings,
    ScaledEmbeddings,
)
from hinaug.nn.encoders import MLP, MixedHead, gumbel_softmax
from hinaug.nn.hetero import HeteroEncoder, HeteroNetwork
from hinaug.nn.losses import (
    bpr_loss,
    gradient_penalty,
    softmax_loss,
    wasserstein_critic_loss,
    wasserstein_generator_loss,
)
from hinaug.nn.mult_vae import MultVAENetwork
from hinaug.nn.projection import ProjectionNetwork
from hinaug.nn.propagation import BipartitePropagation, ScaledPropagation
from hinaug.nn.sampling import Block, NeighborSampler
from hinaug.nn.sparse import SparseMatrix, pair_dot, spmm

__all__ = [
    "MLP",
    "BilinearDecoder",
    "BipartitePropagation",
    "Block",
    "CosineDecoder",
    "DotDecoder",
    "Embeddings",
    "HeteroEncoder",
    "HeteroNetwork",
    "MixedHead",
    "MultVAENetwork",
    "NeighborSampler",
    "NodeCritic",
    "NoisyEmbeddings",
    "ProjectionNetwork",
    "PropagatedEmbeddings",
    "ScaledEmbeddings",
    "ScaledPropagation",
    "SparseMatrix",
    "SpectralLinear",
    "bpr_loss",
    "gradient_penalty",
    "gumbel_softmax",
    "gumbel_top",
    "hinge_critic_loss",
    "pair_dot",
    "softmax_loss",
    "spmm",
    "wasserstein_critic_loss",
    "wasserstein_generator_loss",
]
