"""How much of what links say is chance: the statistic that defaults of several methods follow.

Links drawn at random, with n_s a source and n_t a target on average, have singular values up to
sqrt(n_s) + sqrt(n_t), apart from the first (Bai and Yin, "Limit of the smallest eigenvalue of a
large dimensional sample covariance matrix", Annals of Probability 1993). What lies below that edge
cannot be told from noise, so ridges and cut-offs belong there, whatever the size of the data.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def noise_variance(links: sp.csr_array) -> float:
    """(sqrt(n_s) + sqrt(n_t))^2, the largest eigenvalue of X^T X that noise alone has.

    n_s and n_t are the mean numbers of links of the sources and targets that have some; a link of
    weight w counts as w^2.
    """
    squares = np.square(links.data, dtype=np.float64).sum()
    n_sources, n_targets = linked_ends(links)
    return float((np.sqrt(squares / n_sources) + np.sqrt(squares / n_targets)) ** 2)


def noise_edge(links: sp.csr_array) -> float:
    """1 / sqrt(n_s) + 1 / sqrt(n_t), the same edge for links divided by the roots of both degrees.

    From 0 (everybody has everything) to 2 (everybody has one link). Weights do not count.
    """
    n_links = max(1, int(np.count_nonzero(links.data)))
    n_sources, n_targets = linked_ends(links)
    return float(np.sqrt(n_sources / n_links) + np.sqrt(n_targets / n_links))


def linked_ends(links: sp.csr_array) -> tuple[int, int]:
    """How many sources and how many targets have a link, each at least 1."""
    rows, columns = links.nonzero()
    return max(1, len(np.unique(rows))), max(1, len(np.unique(columns)))


def links_of_a_source(links: sp.csr_array) -> float:
    """n_s, the mean number of links of the sources that have some; above 0."""
    return max(1, int(np.count_nonzero(links.data))) / linked_ends(links)[0]
