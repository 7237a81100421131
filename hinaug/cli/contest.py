"""Arms of `hinaug compare`: every model, alone and with each delta, all with one budget."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hinaug.cli.arms import METRIC, control
from hinaug.cli.models import Named, settings_of, space_of
from hinaug.errors import EdgeWarning, ParameterError, nearest
from hinaug.evaluation import Comparison, Result, compare, evaluate, holm, tune
from hinaug.generators import random_delta
from hinaug.graph import HIN, Delta
from hinaug.predictors.base import LinkPredictor
from hinaug.progress import track
from hinaug.report import brief, outcome, verdict
from hinaug.report.wording import LEVEL
from hinaug.split import Split


@dataclass
class Arm:
    """A model with what it learns from beside the split's own links.

    delta: None for the model alone. drawn: whether a random delta of that size stands in its place.
    chosen: the model with the values that a search found, before any fit.
    """

    model: Named
    delta: str | None = None
    drawn: bool = False
    chosen: LinkPredictor | None = None
    value: float | None = None
    edges: tuple[str, ...] = ()
    results: list[Result] = field(default_factory=list)

    @property
    def name(self) -> str:
        """How tables call it."""
        if self.delta is None:
            return self.model.name
        return f"{self.model.name} + {control(self.delta) if self.drawn else self.delta}"


@dataclass
class Contest:
    """All arms, judged, and the comparisons of one table.

    p: after Holm's correction over all of them; None where there was no test.
    """

    arms: list[Arm]
    found: dict[tuple[str, str], Comparison]
    p: dict[tuple[str, str], float | None]

    def sentences(self) -> dict[str, str]:
        """{arm: what may be said of it}, for all but the first arm and the random ones."""
        out = {}
        for arm in self.arms[1:]:
            if arm.drawn:
                continue
            pair = (base_of(arm, self.arms), arm.name)
            if arm.delta is None:
                out[arm.name] = self.found[pair].verdict(LEVEL, self.p[pair])
            else:
                out[arm.name] = verdict(*self.beside(arm))
        return out

    def outcome(self, arm: Arm) -> str:
        """helps, hurts, no gain or no verdict, against what `base_of` says."""
        if arm.delta is None:
            pair = (base_of(arm, self.arms), arm.name)
            return self.found[pair].outcome(LEVEL, self.p[pair])
        return str(outcome(*self.beside(arm)))

    def beside(self, arm: Arm) -> tuple[Comparison, Comparison, float | None, float | None]:
        """An arm with a delta against its model alone, and against the random delta."""
        pairs = [(base_of(arm, self.arms), arm.name), (replace(arm, drawn=True).name, arm.name)]
        return self.found[pairs[0]], self.found[pairs[1]], self.p[pairs[0]], self.p[pairs[1]]


def base_of(arm: Arm, arms: Sequence[Arm]) -> str:
    """What an arm is compared with: its model alone; for a model alone, the first."""
    return arms[0].name if arm.delta is None else arm.model.name


def arms_of(models: Sequence[Named], deltas: Sequence[str]) -> list[Arm]:
    """Each model alone, with each delta, and with a random one of the same size.

    Raises ParameterError where nothing is to compare, or two models have one name.
    """
    names = [model.name for model in models]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ParameterError(f"--model: {twice[0]} stands twice", asked=twice[0])
    if len(models) + len(deltas) < 2:
        raise ParameterError("nothing to compare; add another --model, or a --delta", asked=names)
    out = [Arm(model) for model in models]
    for model in models:
        for delta in deltas:
            out += [Arm(model, delta, drawn) for drawn in (False, True)]
    return out


def judged(
    arms: list[Arm],
    split: Split,
    deltas: Mapping[str, Delta],
    *,
    on: str,
    fits: int,
    trials: int,
    search: Sequence[str],
    seed: int,
) -> Contest:
    """Every arm searched with the same number of trials on valid, then fitted and judged.

    A model without chance in it, on a graph without chance, is fitted once: more would give the
    same. Each fit of a random arm draws its own delta.
    """
    for arm in track(arms, "arms"):
        _search(arm, split, deltas, trials, search, seed)
        for n in range(seed, seed + fits):
            arm.results.append(_fitted(arm, split, deltas, on, n))
            if arm.results[0].deterministic:
                break
    return compared(arms)


def compared(arms: list[Arm]) -> Contest:
    """Models with the first, deltas with their model alone and with the random arm."""
    by_name = {arm.name: arm for arm in arms}
    pairs = [(base_of(arm, arms), arm.name) for arm in arms[1:]]
    pairs += [
        (replace(arm, drawn=True).name, arm.name) for arm in arms if arm.delta and not arm.drawn
    ]
    found = {
        (a, b): compare(by_name[a].results, by_name[b].results, METRIC, (a, b)) for a, b in pairs
    }
    return Contest(arms, found, holm({pair: c.p for pair, c in found.items()}))


def _search(
    arm: Arm,
    split: Split,
    deltas: Mapping[str, Delta],
    trials: int,
    search: Sequence[str],
    seed: int,
) -> None:
    """Sets what the arm is fitted with; without trials, or a space, the model as it was named."""
    arm.chosen = arm.model.predictor
    if not trials:
        return
    space = _space(arm.model.predictor, search)
    if not space:
        return
    graph = _with(split.train, _delta(arm, split, deltas, seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EdgeWarning)  # the table marks them
        found = tune(
            arm.model.predictor,
            space,
            replace(split, train=graph),
            trials=trials,
            rng=seed,
        )
    arm.chosen, arm.value, arm.edges = found.best, found.value, found.edges


def check_search(models: Sequence[Named], search: Sequence[str]) -> None:
    """Raises ParameterError for a --search of a parameter that no model has."""
    there = sorted({name for model in models for name in model.predictor.get_params()})
    for text in search:
        name = text.partition("=")[0].strip()
        if name not in there:
            raise ParameterError(
                f"--search {text!r}: none of these models has {name!r}{nearest(name, there)}",
                asked=name,
                there=there,
            )


def _space(predictor: LinkPredictor, search: Sequence[str]) -> dict[str, Any]:
    """What is searched: --search as far as the model has it, else its usual values."""
    params = predictor.get_params()
    return space_of(predictor, [s for s in search if s.partition("=")[0].strip() in params])


def _fitted(arm: Arm, split: Split, deltas: Mapping[str, Delta], on: str, seed: int) -> Result:
    """One fit of an arm, judged; on test it is refitted on train and valid."""
    assert arm.chosen is not None
    extra = _delta(arm, split, deltas, seed)
    valid = split.valid if split.valid.num_rows else None
    graph = _with(split.train, extra)
    model = arm.chosen.clone().fit(graph, valid=valid, rng=seed)
    if on == "test":
        graph = _with(split.train_valid, extra)
        model = model.refit(graph, rng=seed)
    return evaluate(model, graph, split, k=[10, 20], on=on)


def _delta(arm: Arm, split: Split, deltas: Mapping[str, Delta], seed: int) -> Delta | None:
    if arm.delta is None:
        return None
    delta = deltas[arm.delta]
    return random_delta(split.train, delta, rng=seed) if arm.drawn else delta


def _with(graph: HIN, delta: Delta | None) -> HIN:
    return graph if delta is None else graph + delta


def document(contest: Contest) -> dict[str, Any]:
    """The figures for machines."""
    arms = {}
    for arm in contest.arms:
        names = [*arm.results[0].values, *arm.results[0].overall]
        arms[arm.name] = {
            "settings": brief(repr(arm.chosen)),
            "set": settings_of(arm.chosen) if arm.chosen is not None else {},
            "valid": arm.value,
            "edges": list(arm.edges),
            "fits": len(arm.results),
            "figures": {n: sum(r[n] for r in arm.results) / len(arm.results) for n in names},
        }
    comparisons = [
        {**vars(c), "relative": c.relative, "p_holm": contest.p[pair]}
        for pair, c in contest.found.items()
    ]
    return {"arms": arms, "comparisons": comparisons, "verdicts": contest.sentences()}
