"""One model trained by several processes, on torch.distributed.

    torchrun --nproc-per-node 2 script.py

    with joined() as ranks, model.training(ranks=ranks):
        model.fit(split.train, rng=0)

`Ranks` is the group of processes. Embeddings are divided by columns: each rank holds all nodes and
its share of the columns, and so of the optimiser. The model that comes out is an ordinary one, the
same at every rank.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
