"""Membership: can one tell from generated nodes whose rows the generator learned from?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from sklearn.metrics import roc_auc_score

from hinaug import checks
from hinaug.checks import Rng
from hinaug.errors import KindError, ParameterError
from hinaug.evaluation.sample import Sample, real_and_made, shared, sides
from hinaug.features.kinds import decoded, kind_of, numbers, present, vectors
from hinaug.generators.base import EntityGenerator
from hinaug.graph import arrow as tb
from hinaug.graph import expect
from hinaug.graph.hin import HIN
from hinaug.progress import track

BLOCK = 512  # nodes whose nearest generated one is looked for at once
LEAST = 8  # nodes of the type
NEIGHBOURS = 5
LEVELS = 10  # steps of a number, as soft categories


@dataclass(frozen=True, eq=False)
class Membership:
    """How well an attacker tells who was in the training data of a generator.

    auc: area under the ROC curve of the attack; 1/2 is no better than chance, 1 is perfect.
    error: standard error of `auc` (Hanley and McNeil, 1982).
    advantage: true minus false positive rate where the attacker says "member" for a likelihood
        ratio above 1; 0 is no better than chance, 1 is perfect.
    table: one row a node: id, member, similarity (to the nearest generated node, by the first
        relation, or the columns where there is none), score (log likelihood ratio).
    shadows: how many generators the attack was calibrated by.
    """

    auc: float
    error: float
    advantage: float
    shadows: int
    table: pa.Table = field(repr=False)

    def __str__(self) -> str:
        members = int(np.count_nonzero(self.table["member"].to_numpy(zero_copy_only=False)))
        return (
            f"membership attack, {self.shadows} shadow generators: AUC {self.auc:.3f} ± "
            f"{1.96 * self.error:.3f} (.5 tells nothing), advantage {self.advantage:.3f}, "
            f"{members:,} members and {len(self.table) - members:,} others"
        )


def membership(
    generator: EntityGenerator,
    hin: HIN,
    node: str | None = None,
    *,
    shadows: int = 8,
    size: int | float = 1.0,
    rng: Rng = None,
) -> Membership:
    """Attack a generator by the nearest generated node, calibrated by shadow generators.

    A target is fitted on a random half of the nodes and generates. Node v has similarities s(v) to
    what was generated: the cosine to the nearest generated node and the mean of the five nearest,
    by the links of each relation (rare ones count more, as log(n / links)) and by the columns.
    Shadow generators are fitted on pairs of opposite halves, so each node is in half of them; they
    say what s(v) is with v in the training data and without. With their means mu and one spread
    sigma a node, shrunk to the mean spread, the log likelihood ratios of all similarities add up:

        score(v) = sum over s of ((s(v) - mu_out)^2 - (s(v) - mu_in)^2) / (2 sigma^2)

    (Carlini et al., "Membership Inference Attacks From First Principles", IEEE S&P 2022; nearest
    rows of generated data: Chen et al., "GAN-Leaks", CCS 2020.)

    A figure near 1/2 means that this attack fails; another may not.

    Parameters
    ----------
    generator
        Fitted or not; clones of it are fitted.
    hin
        The graph whose nodes are attacked.
    node
        Their type; that of the generator without it.
    shadows
        An even number, at least 4.
    size
        Nodes that each generator makes, as in `generate`: 1.0 is as many as it learned from.
    rng
        A seed or a numpy Generator.

    Raises KindError for what is no generator of nodes, ParameterError for another number of shadows
    or too few nodes.

    Cost: shadows + 1 fits.

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> from hinaug.generators import Synthesis
    >>> rates = ("user", "rates", "item")
    >>> found = membership(Synthesis(relation=rates), planted(rng=0), shadows=4, rng=0)
    >>> found.auc > 0.6  # a child of two real users gives its parents away
    True
    """
    expect.graph(hin, "membership")
    node = _checked(generator, hin, node, shadows)
    draws = checks.generator(rng, "membership")
    observed = hin.observed()
    n = observed.n(node)
    halves = [_half(n, draws)]
    for _ in range(shadows // 2):
        half = _half(n, draws)
        halves += [half, ~half]
    found = np.stack(
        [
            _similarities(generator, observed, node, half, size, draws)
            for half in track(halves, "membership: generators")
        ]
    )
    inside = np.stack(halves[1:])
    ratios = [_log_ratio(s[0], s[1:], inside) for s in np.moveaxis(found, 1, 0)]
    score = np.sum(ratios, axis=0)
    member = halves[0]
    table = pa.table(
        {
            "id": observed.nodes[node]["id"],
            "member": pa.array(member),
            "similarity": pa.array(found[0, 0]),
            "score": pa.array(score),
        }
    )
    auc = float(roc_auc_score(member, score))
    says = score > 0
    advantage = float(says[member].mean() - says[~member].mean())
    return Membership(auc, _error(auc, member), advantage, shadows, table)


def _checked(generator: EntityGenerator, hin: HIN, node: str | None, shadows: int) -> str:
    if not isinstance(generator, EntityGenerator):
        raise KindError(
            f"membership takes a generator of nodes first, got {checks.kind(generator)}; see "
            "hinaug.generators",
            asked=checks.kind(generator),
        )
    node = generator.node if node is None else node
    if node != generator.node:
        raise ParameterError(
            f"membership: node={node!r}, but the generator makes {generator.node!r} nodes",
            asked=node,
            there=generator.node,
        )
    if checks.whole(shadows, "membership: shadows", 4) % 2:
        raise ParameterError(
            f"membership: shadows={shadows}: an even number, as each half has its opposite",
            asked=shadows,
        )
    if hin.n_observed(node) < LEAST:
        raise ParameterError(
            f"membership: {hin.n_observed(node)} {node!r} nodes; at least {LEAST} are needed",
            asked=node,
            there=hin.n_observed(node),
        )
    return node


def _half(n: int, rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros(n, bool)
    mask[rng.permutation(n)[: n // 2]] = True
    return mask


def _similarities(
    generator: EntityGenerator,
    hin: HIN,
    node: str,
    half: np.ndarray,
    size: int | float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Of each node to those that a clone makes which learned from `half`, [similarities, n]."""
    graph = hin.filter_nodes(node, half)
    seed = int(rng.integers(2**32))
    delta = generator.clone().fit(graph, rng=seed).generate(graph, size, rng=seed)
    everybody = Sample(hin, node, np.arange(hin.n(node)), hin)
    _, made = real_and_made(graph, delta, node, "membership")
    made = Sample(made.graph, node, made.positions, hin)  # over all nodes at the other ends
    views = [_nearest(real, new) for real, new in _views(everybody, made)]
    return np.concatenate(views) if views else np.zeros((1, len(everybody)))


def _nearest(real: sp.csr_array, made: sp.csr_array) -> np.ndarray:
    """Cosine to the nearest generated node, and the mean of the five nearest, [2, n]."""
    out, k = np.zeros((2, real.shape[0])), min(NEIGHBOURS, made.shape[0])
    columns = made.T.tocsr()
    for at in range(0, out.shape[1], BLOCK):
        near = (real[at : at + BLOCK] @ columns).toarray()
        near = np.partition(near, -k, axis=1)[:, -k:]
        out[:, at : at + BLOCK] = near.max(axis=1), near.mean(axis=1)
    return out


def _views(everybody: Sample, made: Sample) -> Iterator[tuple[sp.csr_array, sp.csr_array]]:
    """Real and generated nodes as rows of length 1: the links of each relation, and the columns."""
    for side in sides(everybody.like, everybody.node):
        if shared(everybody, side):
            links = everybody.links(side)
            count = np.bincount(links.indices, minlength=links.shape[1])
            weight = sp.diags_array(np.log((1 + len(everybody)) / (1 + count)))
            yield _unit(links @ weight), _unit(made.links(side) @ weight)
    names = everybody.table.column_names
    blocks = {name: _block(tb.one_chunk(everybody.table[name])) for name in names}
    known = {name: block for name, block in blocks.items() if block is not None}
    if known:
        real, new = (
            sp.hstack([block(tb.one_chunk(s.table[name])) for name, block in known.items()])
            for s in (everybody, made)
        )
        yield _unit(real), _unit(new)


def _block(column: pa.Array) -> Callable[[pa.Array], sp.csr_array] | None:
    """How a column becomes sparse numbers; None for one that does not."""
    there = column.drop_null()
    if not len(there):
        return None
    if tb.is_vector(column.type):
        mean = vectors(there).mean(axis=0)
        return lambda c: sp.csr_array(
            np.where(present(c)[:, None], vectors(c) - mean, 0).astype(np.float64)
        )
    if kind_of(column) == "number":
        edges = np.unique(np.quantile(numbers(there), np.arange(1, LEVELS) / LEVELS))
        return lambda c: _one_hot(np.searchsorted(edges, numbers(c)), present(c), len(edges) + 1)
    if pa.types.is_nested(column.type):
        return None
    values = decoded(there).unique()
    return lambda c: _one_hot(*_coded(c, values), len(values))


def _coded(column: pa.Array, values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    code = tb.lookup(values, decoded(column).cast(values.type)).astype(np.int64)
    return code, code >= 0


def _one_hot(code: np.ndarray, known: np.ndarray, width: int) -> sp.csr_array:
    row = np.flatnonzero(known)
    return sp.csr_array((np.ones(len(row)), (row, code[known])), shape=(len(code), width))


def _unit(rows: Any) -> sp.csr_array:
    rows = sp.csr_array(rows, dtype=np.float64)
    length = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    return sp.csr_array(sp.diags_array(1 / np.maximum(length, 1e-12)) @ rows)


def _log_ratio(target: np.ndarray, found: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The log likelihood ratio of each node; found, inside [shadows, n]."""
    n_in = inside.sum(axis=0)
    mu_in = np.where(inside, found, 0).sum(axis=0) / n_in
    mu_out = np.where(inside, 0, found).sum(axis=0) / (len(inside) - n_in)
    rest = found - np.where(inside, mu_in, mu_out)
    free = len(inside) - 2
    own = np.square(rest).sum(axis=0) / free
    variance = (free * own + 2 * own.mean()) / (free + 2) + 1e-12
    return (np.square(target - mu_out) - np.square(target - mu_in)) / (2 * variance)


def _error(auc: float, member: np.ndarray) -> float:
    n, m = int(member.sum()), int((~member).sum())
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    squares = auc * (1 - auc) + (n - 1) * (q1 - auc**2) + (m - 1) * (q2 - auc**2)
    return float(np.sqrt(max(squares, 0) / (n * m)))
