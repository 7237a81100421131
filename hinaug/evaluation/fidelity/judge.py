"""Judge generated nodes: how real, how useful, and what they give away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations

import numpy as np
import pyarrow as pa

from hinaug import checks
from hinaug.checks import Rng
from hinaug.errors import KindError, ParameterError
from hinaug.evaluation.fidelity import classifier, columns, links
from hinaug.evaluation.fidelity.features import Features
from hinaug.evaluation.fidelity.tree import Measured, Plot, Property, group, table
from hinaug.evaluation.fidelity.useful import check_students, useful
from hinaug.evaluation.privacy.copies import Copies, copies, nearer_to_seen
from hinaug.evaluation.sample import Sample, Side, real_and_made, shared, sides, unseen
from hinaug.graph import arrow as tb
from hinaug.graph import expect
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.predictors.base import FoldsIn

MOST = 2000  # nodes of each of the three samples of real ones, and of generated ones
COLUMNS = 12  # whose pairs are looked at
LEAST = 30  # real nodes
UNPROVEN = "what two attacks find; none shows that the nodes are safe to give away"
WEAK = (
    "weak: a generator can keep its distance and still tell who was in it; `membership` attacks it"
)


@dataclass(frozen=True, eq=False)
class Fidelity:
    """What generated nodes of a type are worth, as a tree of properties.

    node: the type. n_real, n_made: how many real and generated nodes there are.
    properties: "realistic", "useful" and "privacy", see `fidelity`.
    copied: the generated nodes that repeat a real one: id, of, what.
    """

    node: str
    n_real: int
    n_made: int
    properties: tuple[Property, ...]
    copied: pa.Table = field(repr=False)

    def __getitem__(self, path: str) -> Property:
        """The property at a path, such as "realistic/columns/missing"."""
        return Property("all", parts=self.properties)[path]

    def table(self) -> pa.Table:
        """One row a property: its path, score, ceiling, floor, figure, and what it says."""
        return table(self.properties)

    def figures(self) -> Iterable[tuple[str, Plot]]:
        """(path, plot) of each property that has a picture; `hinaug.report` draws them."""
        for root in self.properties:
            for path, one in root.walk():
                if one.plot is not None:
                    yield "/".join(path), one.plot

    def __str__(self) -> str:
        lines = [
            f"Fidelity({self.n_made:,} generated beside {self.n_real:,} real {self.node!r} nodes)",
            f"  {'':42} score ceiling floor figure",
        ]
        for root in self.properties:
            for path, one in root.walk():
                lines.append(_line(path, one))
        return "\n".join(lines)

    __repr__ = __str__


def _line(path: tuple[str, ...], one: Property) -> str:
    def shown(value: float | None) -> str:
        return "     -" if value is None else f"{value:6.3f}"

    name = "  " * len(path) + one.name
    four = " ".join(shown(v) for v in (one.score, one.ceiling, one.floor, one.figure))
    return f"{name:44}{four}" + (f"  {one.says}" if one.says else "")


def fidelity(
    real: HIN,
    delta: Delta,
    node: str,
    *,
    held_out: HIN | None = None,
    students: Sequence[FoldsIn] = (),
    rng: Rng = None,
) -> Fidelity:
    """Judges generated nodes against real ones by a tree of small properties.

    Each has a score in [0, 1]; a ceiling, the score of other real nodes in the place of generated
    ones; where there is one a floor, the score of a control that ignores what is measured; and data
    for a plot. All three come from samples of one size. Real nodes are divided at random: one third
    teaches what maps, bins and classifiers need, and two are judged against each other and against
    the generated ones. With `held_out` its nodes teach, and real ones are divided in two. A node
    whose nearest real node is one of those that taught does not come to a classifier: the map knows
    that node.

    | property                         | score                                                     |
    |----------------------------------|-----------------------------------------------------------|
    | realistic/columns/marginals      | each column by itself, see `fidelity.columns`             |
    | realistic/columns/pairs          | each two columns: dependence, whatever the margins        |
    | realistic/columns/given links    | each column and groups of nodes with like links           |
    | realistic/columns/missing        | nulls as often, and for the same nodes                    |
    | realistic/links/degree           | number of links, each relation                            |
    | realistic/links/popularity       | shares of links that each other end gets                  |
    | realistic/links/columns          | ratings and times of links; texts of reviews              |
    | realistic/links/coherence        | do the links of a node go together (PMI), each relation   |
    | realistic/links/across relations | the same for links of two relations                       |
    | realistic/links/clustering       | do nodes that share a link share more of them             |
    | realistic/links/assortativity    | do nodes of many links have popular ones                  |
    | realistic/links/metapaths        | number, ends and focus of paths over two relations        |
    | realistic/told apart             | 2 (1 - AUC) of boosted trees on columns, links and both   |
    | realistic/modes covered          | real nodes with a generated one in their neighbourhood    |
    | useful                           | students trained on generated nodes, see `useful`         |
    | privacy/copies                   | 1 - share of generated nodes that repeat a real one       |
    | privacy/distance                 | generated nodes nearer to seen than to held-out ones      |

    Nothing here shows that generated nodes are safe to give away. `membership` attacks a generator.

    Parameters
    ----------
    real
        The graph that the generator learned from.
    delta
        What it made for `real`; it may be on `real` already.
    node
        The type of the generated nodes.
    held_out
        A graph with other nodes of the type, which the generator has not seen, such as
        `hin.filter_nodes(node, ~mask)` beside `hin.filter_nodes(node, mask)`. "useful" and
        "distance" need it.
    students
        Predictors that can fold in, such as EASE, ALS and LightGCN; clones of them are trained.
    rng
        A seed or a numpy Generator.

    Raises KindError for what is no graph, delta or student, ParameterError where there are too few
    nodes, or held-out nodes that are in `real`.

    Cost: samples of at most 2,000 nodes but for copies, which look at all.

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> from hinaug.generators import Synthesis
    >>> hin = planted(rng=0).drop("review")
    >>> maker = Synthesis(relation=("user", "rates", "item")).fit(hin, rng=0)
    >>> found = fidelity(hin, maker.generate(hin, 200, rng=0), "user", rng=0)
    >>> found["realistic/links/degree"].score > 0.8
    True
    """
    expect.graph(real, "fidelity")
    if not isinstance(delta, Delta):
        raise KindError(
            f"fidelity takes a Delta second, got {checks.kind(delta)}; a generator's generate "
            "makes one",
            asked=checks.kind(delta),
        )
    draws = checks.generator(rng, "fidelity")
    everybody, made = real_and_made(real, delta, node, "fidelity")
    if len(everybody) < LEAST:
        raise ParameterError(
            f"fidelity: {len(everybody)} real {node!r} nodes; at least {LEAST} are needed",
            asked=node,
            there=len(everybody),
        )
    check_students(students, held_out, node)
    others = None
    if held_out is not None:
        expect.graph(held_out, "fidelity: held_out")
        others = unseen(held_out, everybody, "fidelity")
    view = View(everybody, made, others, draws)
    found = copies(everybody, made)
    base = real if delta.identity not in {d.identity for d in real.deltas} else real - delta
    properties = (
        realistic(view),
        useful(base, delta, _some(others, draws), students, draws),
        Property("privacy", says=UNPROVEN, parts=(_copies(found), _distance(view))),
    )
    return Fidelity(node, len(everybody), len(made), properties, found.table)


def _some(others: Sample | None, rng: np.random.Generator) -> Sample | None:
    """The held-out nodes, or random ones of many: each is scored over all targets."""
    if others is None or len(others) <= MOST:
        return others
    return others.take(np.sort(rng.permutation(len(others))[:MOST]))


class View:
    """Samples of equal size: `fit` teaches, `a` is judged against `b` (real) and `made`."""

    def __init__(
        self, real: Sample, made: Sample, held_out: Sample | None, rng: np.random.Generator
    ) -> None:
        self.real, self.rng = real, rng
        self.held_out = None
        order = rng.permutation(len(real))
        if held_out is None:
            fit, a, b = (real.take(p) for p in np.array_split(order, 3))
        else:
            a, b = (real.take(p) for p in np.array_split(order, 2))
            halves = np.array_split(rng.permutation(len(held_out)), 2)
            fit, self.held_out = (held_out.take(h[:MOST]) for h in halves)
        n = min(len(a), len(b), len(made), MOST)
        self.fit = fit.take(np.arange(min(len(fit), MOST)))
        self.a = a.take(np.arange(min(len(a), MOST)))
        self.b, self.made = (s.take(rng.permutation(len(s))[:n]) for s in (b, made))
        self.sides = sides(real.like, real.node)
        self.known = tuple(side for side in self.sides if shared(real, side))
        self.pmi = {
            (x, y): links.Together(self.fit, x, y, rng)
            for at, x in enumerate(self.known)
            for y in self.known[at:]
        }
        self.features = Features(self.fit, self.sides, self.known, self.pmi, rng)
        self._place()

    def _place(self) -> None:
        """The source of each node, its nearest real one, and whether a classifier may see it."""
        space = [self.features.space(s) for s in (self.fit, self.a, self.b, self.made)]
        self.spaces = dict(zip(("fit", "a", "b", "made"), space, strict=True))
        real = np.concatenate(space[:3])
        start = np.cumsum([0, *(len(s) for s in space[:3])])
        self.group, self.open = {}, {}
        for at, name in enumerate(("fit", "a", "b", "made")):
            own = None if name == "made" else start[at] + np.arange(len(space[at]))
            near = classifier.nearest(space[at], real, own)
            self.open[name] = near >= start[1]
            self.group[name] = near if own is None else own

    @property
    def judged_samples(self) -> dict[str, Sample]:
        return {"a": self.a, "b": self.b, "made": self.made}

    def judged(
        self,
        name: str,
        measure: Callable[[Sample, Sample], Measured],
        control: Sample | None = None,
        says: str = "",
    ) -> Property:
        """A property with the ceiling of real nodes, and the floor of a control."""
        score = measure(self.a, self.made)
        ceiling = measure(self.a, self.b)
        floor = None if control is None else measure(self.a, control).score
        if ceiling.score is None:
            score = Measured(None, score.figure, ceiling.says or score.says)
        return Property(
            name, score.score, ceiling.score, floor, score.figure, score.says or says, score.plot
        )


def realistic(view: View) -> Property:
    """The properties that say how much generated nodes are like real ones."""
    parts = []
    if view.real.table.num_columns:
        parts.append(group("columns", _columns(view)))
    if view.sides:
        parts.append(group("links", _links(view)))
    parts.append(group("told apart", _told_apart(view)))
    parts.append(_covered(view))
    return group("realistic", parts)


# ---- columns -------------------------------------------------------------------------------------


def _columns(view: View) -> list[Property]:
    names = view.real.table.column_names
    cuts = {}
    for name in names[:COLUMNS]:
        cut = columns.Cut.of(tb.one_chunk(view.fit.table[name]))
        if cut is not None:
            cuts[name] = cut
    return [
        group("marginals", [_marginal(view, name) for name in names]),
        group("pairs", [_pair(view, cuts, x, y) for x, y in combinations(cuts, 2)]),
        group("given links", _given_links(view, cuts)),
        group("missing", [m for name in names if (m := _missing(view, cuts, name)) is not None]),
    ]


def _marginal(view: View, name: str) -> Property:
    measure = columns.measure_of(tb.one_chunk(view.real.table[name]))
    if measure is None:
        kind = view.real.table.schema.field(name).type
        return Property(name, says=f"values of type {kind} are not compared")
    return view.judged(name, lambda x, y: measure(*_both(x, y, name)))


def _both(x: Sample, y: Sample, name: str) -> tuple[pa.Array, pa.Array]:
    return tb.one_chunk(x.table[name]), tb.one_chunk(y.table[name])


def _pair(view: View, cuts: dict[str, columns.Cut], x: str, y: str) -> Property:
    def codes(sample: Sample, shuffle: bool = False) -> tuple[np.ndarray, np.ndarray]:
        found = [cuts[name].codes(tb.one_chunk(sample.table[name])) for name in (x, y)]
        return found[0], view.rng.permutation(found[1]) if shuffle else found[1]

    return _dependence(view, f"{x}, {y}", codes, (cuts[x].n, cuts[y].n))


def _dependence(view: View, name: str, codes: Callable, shape: tuple[int, int]) -> Property:
    """How two groupings go together; the floor is that of independent groupings."""
    real = codes(view.a)
    found = [columns.dependence(real, codes(s), shape) for s in (view.made, view.b)]
    floor = columns.dependence(real, codes(view.b, shuffle=True), shape)
    if found[1].score is None:
        return Property(name, says=found[1].says)
    score = found[0].score or 0.0
    return Property(name, score, found[1].score, floor.score, found[0].figure, found[0].says)


def _given_links(view: View, cuts: dict[str, columns.Cut]) -> list[Property]:
    """Each column against groups of nodes with like links, in each relation."""
    parts = []
    for side in view.known:
        centres = _centres(view.features.placed(view.fit, side)[:, :-1], view.rng)
        if len(centres) < 2:
            continue
        for name, cut in cuts.items():

            def codes(
                sample: Sample,
                shuffle: bool = False,
                name: str = name,
                cut: columns.Cut = cut,
                side: Side = side,
                centres: np.ndarray = centres,
            ) -> tuple[np.ndarray, np.ndarray]:
                near = classifier.nearest(view.features.placed(sample, side)[:, :-1], centres)
                near = np.where(np.diff(sample.links(side).indptr) > 0, near, -1)
                own = cut.codes(tb.one_chunk(sample.table[name]))
                return own, view.rng.permutation(near) if shuffle else near

            label = name if len(view.known) == 1 else f"{name}, {side}"
            parts.append(_dependence(view, label, codes, (cut.n, len(centres))))
    return parts


def _centres(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    from sklearn.cluster import KMeans

    k = min(columns.CODES, len(np.unique(rows, axis=0)))
    if rows.shape[1] == 0 or k < 2:
        return rows[:0]
    seed = int(rng.integers(2**31))
    return KMeans(k, n_init=1, random_state=seed).fit(rows).cluster_centers_


def _missing(view: View, cuts: dict[str, columns.Cut], name: str) -> Property | None:
    """None where neither a real nor a generated value is missing."""
    samples = (view.real, view.made)
    if not any(s.table[name].null_count for s in samples):
        return None

    def measure(x: Sample, y: Sample) -> Measured:
        nulls = [s.table[name].is_null().to_numpy() for s in (x, y)]
        groups = [(np.zeros(len(x), np.int64), np.zeros(len(y), np.int64))]
        for other, cut in cuts.items():
            if other != name:
                codes = [cut.codes(tb.one_chunk(s.table[other])) for s in (x, y)]
                groups.append((codes[0] + 1, codes[1] + 1))
        return columns.missing(nulls[0], nulls[1], groups)

    return view.judged(name, measure, says="figure: largest difference of P(null | group)")


# ---- links ---------------------------------------------------------------------------------------


def _links(view: View) -> list[Property]:
    found = {
        "degree": _each(view, view.sides, links.degree),
        "popularity": _each(view, view.known, links.popularity),
        "columns": [p for side in view.sides for p in _edge_columns(view, side)],
        "coherence": [_together(view, (side, side)) for side in view.known],
        "across relations": [_together(view, pair) for pair in combinations(view.known, 2)],
        "clustering": _each(view, view.known, links.clustering),
        "assortativity": [_assortativity(view, side) for side in view.known],
        "metapaths": [group(name, parts) for name, parts in _metapaths(view)],
    }
    return [group(name, parts) for name, parts in found.items() if parts]


def _each(view: View, sides: Iterable[Side], measure: Callable) -> list[Property]:
    return [_by_side(view, side, measure) for side in sides]


def _assortativity(view: View, side: Side) -> Property:
    counts = np.bincount(view.fit.links(side).indices, minlength=view.fit.links(side).shape[1])
    return _by_side(view, side, partial(links.assortativity, popularity_of=counts))


def _by_side(view: View, side: Side, measure: Callable) -> Property:
    return view.judged(str(side), lambda x, y: measure(x, y, side))


def _edge_columns(view: View, side: Side) -> list[Property]:
    """The columns of the links of a relation; where each other end has one owner, also its own."""
    owned = side not in view.known
    if not view.a.edges(side, owned).num_columns:
        return []
    tables = {id(s): s.edges(side, owned) for s in (view.a, view.b, view.made)}
    parts = []
    for name in tables[id(view.a)].column_names:
        measure = columns.measure_of(tb.one_chunk(tables[id(view.a)][name]))
        if measure is not None:

            def compare(
                x: Sample, y: Sample, name: str = name, measure: Callable = measure
            ) -> Measured:
                return measure(*(tb.one_chunk(tables[id(s)][name]) for s in (x, y)))

            parts.append(view.judged(f"{side}: {name}", compare))
    return parts


def _together(view: View, pair: tuple[Side, Side]) -> Property:
    pmi = view.pmi[pair]
    name = str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}, {pair[1]}"
    found = view.judged(name, lambda x, y: links.together(pmi, x, y))
    floor = None if found.score is None else 0.0
    says = found.says or "figure: mean PMI; floor: links dealt out anew"
    return Property(name, found.score, found.ceiling, floor, found.figure, says, found.plot)


def _metapaths(view: View) -> Iterable[tuple[str, list[Property]]]:
    """Paths over two relations that end at another type of node."""
    for first in view.sides:
        for second in sides(view.real.like, first.other):
            if second.other == view.real.node or second.edge == first.edge:
                continue
            yield f"{first}, {second}", _along(view, first, second)


def _along(view: View, first: Side, second: Side) -> list[Property]:
    paths = {id(s): s.paths(first, second) for s in (view.a, view.b, view.made)}
    measures = {"number": links.counts, "ends": links.ends, "focus": links.focus}

    def compare(measure: Callable) -> Callable[[Sample, Sample], Measured]:
        return lambda x, y: measure([paths[id(x)], paths[id(y)]])

    return [view.judged(name, compare(measure)) for name, measure in measures.items()]


# ---- all at once ---------------------------------------------------------------------------------


def _told_apart(view: View) -> list[Property]:
    """By a classifier that sees columns, links relation by relation, or all and how links go
    together across relations.

    Columns that are null on every generated node would say all; they are left out, and named.
    """
    unwritten = [
        name
        for name in view.real.table.column_names
        if view.made.table[name].null_count == len(view.made)
    ]
    maps: dict[str, Callable[[Sample], np.ndarray]] = {
        "columns": lambda sample: view.features.attributes(sample, unwritten),
        "links": view.features.links,
    }
    rows = {
        kind: {s: make(sample) for s, sample in view.judged_samples.items()}
        for kind, make in maps.items()
    }
    rows["joint"] = {
        s: np.concatenate(
            [rows["columns"][s], rows["links"][s], view.features.across(sample)], axis=1
        )
        for s, sample in view.judged_samples.items()
    }
    without = f"; without {', '.join(unwritten)}, null on every generated node" if unwritten else ""
    return [
        _classified(view, kind, x, "" if kind == "links" else without) for kind, x in rows.items()
    ]


def _classified(view: View, name: str, rows: dict[str, np.ndarray], without: str) -> Property:
    written = ~np.isnan(rows["made"]).all(axis=0)
    x = {s: each[view.open[s]][:, written] for s, each in rows.items()}
    groups = {s: view.group[s][view.open[s]] for s in rows}
    made, real = (
        classifier.two_sample(x["a"], x[other], (groups["a"], groups[other]), view.rng)
        for other in ("made", "b")
    )
    if made.score is None or real.score is None:
        return Property(name, says=made.says or real.says)
    says = f"figure: AUC, .5 is best{without}"
    return Property(name, made.score, real.score, 0.0, made.figure, says)


def _covered(view: View) -> Property:
    found = [classifier.coverage(view.spaces["a"], view.spaces[other]) for other in ("made", "b")]
    return Property(
        "modes covered", found[0].score, found[1].score, None, found[0].figure, found[0].says
    )


def _copies(found: Copies) -> Property:
    n = found.table.num_rows
    says = (
        f"{n:,} generated nodes repeat the links of a real one; real ones: {found.among_real:.3f}"
    )
    return Property("copies", 1 - found.share, 1 - found.among_real, None, found.share, says)


def _distance(view: View) -> Property:
    if view.held_out is None:
        return Property("distance", says="pass held_out= to judge it")
    seen = np.concatenate([view.spaces["a"], view.spaces["b"]])
    unseen_ = view.features.space(view.held_out)
    n = min(len(seen), len(unseen_))
    rng = view.rng
    seen, unseen_ = (x[rng.permutation(len(x))[:n]] for x in (seen, unseen_))
    share = nearer_to_seen(view.spaces["made"], seen, unseen_)
    return Property(
        "distance",
        1 - max(2 * share - 1, 0.0),
        1.0,
        None,
        share,
        f"figure: share nearer to a seen node than to a held-out one, .5 is best; {WEAK}",
    )
