"""Probes of `advise` for the goal "accuracy": do edges from a better model help the deployed one?

All is measured on the split's validation pairs of items with links, NDCG@20. What is chosen among
several is chosen on four fifths of the users and judged on the fifth.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, fields, replace

import numpy as np

from hinaug.ensembles import ScoreFusion
from hinaug.evaluation.draws import sample
from hinaug.evaluation.evaluate import evaluate
from hinaug.evaluation.probes import (
    Case,
    Found,
    Grid,
    OutOfTimeError,
    Proposal,
    cross_fitted,
    gain_of_users,
    strength_of,
    weakest,
    weighed,
    widened_grid,
)
from hinaug.generators import RelationGenerator, random_delta
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import linked_targets
from hinaug.predictors import Popularity
from hinaug.predictors.base import LinkPredictor
from hinaug.split.base import Split

METRIC = "NDCG@20"
MOST_USERS = 5000  # judged
FEWEST = 20  # users, below which nothing is measured
THIN = 3  # so many links, or fewer
SIZES = (4.0, 2.0)  # edges of each source, in units of the mean links
WEIGHTS = (0.3, 1.0)  # of each edge


def own_grid(case: Case) -> Found:
    """The deployed model with its own l2 (or shrinkage) from a grid, against the model as it is."""
    split = _warm_pairs(case)
    if split is None:
        return Found(None, barred="too few users have validation pairs of items with links")
    case.kept["split"] = split
    with case.budget.step("the model"):
        model = case.model.clone().fit(case.hin, rng=case.rng)
        as_it_is = _judged(case, model)
    case.tick()
    case.kept["popularity"] = _judged(case, Popularity(case.relation).fit(case.hin))
    grid = _grid(case, case.model, model, case.hin)
    if grid is None:
        case.kept |= {"own": as_it_is[None], "tuned": case.model}
        return Found(None, f"{type(case.model).__name__} has neither l2 nor shrinkage")
    gain = gain_of_users(cross_fitted(grid.figures, case.rng), as_it_is)
    own = np.concatenate([grid.figures, as_it_is[None]])
    case.kept |= {"own": own, "tuned": grid.clone(case.model), "tune": gain.low > 0}
    said = f"{grid.name} = {grid.best:.4g} of {', '.join(f'{v:.4g}' for v in grid.values)}"
    barred = (
        "" if grid.inside else f"the best {grid.name} is on the edge of its grid: widen it first"
    )
    return Found(gain, said, barred)


def thin_users(case: Case) -> Found:
    """Popularity against the deployed model with its own l2, for users with at most 3 links."""
    thin = _degrees(case) <= THIN
    said = f"{100 * thin.mean():.0f} % of the users judged have at most {THIN} links"
    if thin.sum() < FEWEST:
        return Found(None, said)
    own = cross_fitted(case.kept["own"][:, thin], case.rng)
    return Found(gain_of_users(case.kept["popularity"][thin], own), said)


def teacher(case: Case) -> Found:
    """The best of the teachers against the best without: the deployed model with its own l2,
    popularity, or the mean of both's z-scores.
    """
    with case.budget.step("the model"):
        blend = ScoreFusion([case.kept["tuned"], Popularity(case.relation)])
        blended = _judged(case, blend.fit(case.hin, rng=case.rng))
    without = np.concatenate([case.kept["own"], [case.kept["popularity"], blended]])
    case.kept["base"] = base = cross_fitted(without, case.rng)
    generators, figures = [], []
    for model in case.teachers:
        if not case.budget.allows("a teacher"):
            break
        with case.budget.step("a teacher"):
            generator = RelationGenerator(model, evidence=case.split.evidence)
            generators.append(generator.fit(case.hin, rng=case.rng))
            figures.append(_judged(case, generator.predictor_))
        case.tick()
    if not figures:
        raise OutOfTimeError("a teacher")
    table = np.stack(figures)
    best = int(table.mean(axis=1).argmax())
    gain = gain_of_users(cross_fitted(table, case.rng), base)
    if gain.high > 0:
        case.kept["teacher"] = generators[best]
    names = [type(generator.predictor).__name__ for generator in generators]
    means = zip([*names, "without"], [*table.mean(axis=1), base.mean()], strict=True)
    return Found(gain, ", ".join(f"{name} {mean:.4f}" for name, mean in means))


def edges(case: Case) -> Found:
    """The deployed model with the teacher's edges, against the best without and random edges."""
    if "teacher" not in case.kept:
        return Found(None, "no teacher that is not clearly worse")
    generator: RelationGenerator = case.kept["teacher"]
    trials: list[Trial] = []
    student = weighed(case.model)
    for times in SIZES:
        made = _even(generator, times).generate(case.hin, rng=case.rng)
        for weight in WEIGHTS:
            if trials and not case.budget.allows("the model with edges"):
                break
            delta = made.with_confidence(weight)
            with case.budget.step("the model with edges"):
                fitted = student.clone().fit(case.hin + delta, rng=case.rng)
                figures = _judged(case, fitted, case.hin + delta)
            trials.append(Trial(times, weight, delta, student, figures))
            case.tick()
            if len(trials) == 1:
                student = _tuned_with_edges(case, trials, fitted)
    best = max(trials, key=lambda trial: float(trial.figures.mean()))
    with case.budget.step("the model with edges"):
        graph = case.hin + random_delta(case.hin, best.delta, rng=case.rng)
        random = _judged(case, best.student.clone().fit(graph, rng=case.rng), graph)
    case.tick()
    case.proposal = Proposal(
        best.student, _even(generator, best.times).clone(), confidence=best.weight
    )
    chosen = cross_fitted(np.stack([trial.figures for trial in trials]), case.rng)
    gains = [gain_of_users(chosen, case.kept["base"]), gain_of_users(chosen, random)]
    said = (
        f"{best.times:g} times the mean links for each {case.relation[0]} by "
        f"{type(generator.predictor).__name__}, weight {best.weight:g}: {gains[0].value:.4f}, "
        f"without {gains[0].control:.4f}, random edges {gains[1].control:.4f}"
    )
    thin = _degrees(case) <= THIN
    if thin.sum() >= FEWEST:
        few = gain_of_users(chosen[thin], case.kept["base"][thin])
        said += f"; users with at most {THIN} links {100 * (few.ratio - 1):+.1f} %"
    return Found(weakest(gains), said)


@dataclass
class Trial:
    """One way to use a teacher's edges, and what the users got."""

    times: float
    weight: float
    delta: Delta
    student: LinkPredictor
    figures: np.ndarray


def _tuned_with_edges(case: Case, trials: list[Trial], fitted: LinkPredictor) -> LinkPredictor:
    """The student with its own l2 for a graph with edges; what is tried is added to `trials`."""
    first = trials[0]
    grid = _grid(case, first.student, fitted, case.hin + first.delta)
    if grid is None:
        return first.student
    for value, figures in zip(grid.values, grid.figures, strict=True):
        student = first.student.clone(**{grid.name: value})
        trials.append(Trial(first.times, first.weight, first.delta, student, figures))
    return grid.clone(first.student)


def _even(generator: RelationGenerator, times: float) -> RelationGenerator:
    """The generator, with so many times the mean links for each source.

    In proportion to the links that a source has, those who need edges most would get the fewest.
    """
    generator = copy.copy(generator)
    generator.per_source = times
    return generator


def _warm_pairs(case: Case) -> Split | None:
    """The split with the validation pairs of items with links, of some users; None for too few."""
    split, hin = case.split, case.hin.observed()
    linked = linked_targets(hin.adjacency(case.relation))
    if not split.valid.num_rows:
        return None
    positions = hin.positions(case.relation[2], split.valid["dst"])
    valid = split.valid.filter(linked[positions].tolist())
    valid = sample(valid, MOST_USERS, int(case.rng.integers(2**31)))
    if len(set(valid["src"].to_pylist())) < FEWEST:
        return None
    return replace(split, valid=valid)


def _judged(case: Case, model: LinkPredictor, hin: HIN | None = None) -> np.ndarray:
    """NDCG@20 of each user."""
    graph = case.hin if hin is None else hin
    return evaluate(model, graph, case.kept["split"], k=20).values[METRIC]


def _grid(case: Case, model: LinkPredictor, fitted: LinkPredictor, graph: HIN) -> Grid | None:
    """The strength of a model on a graph, around that of the fitted one; None where it has none."""
    name = strength_of(model)
    if name is None:
        return None

    def measure(value: float) -> np.ndarray:
        other = model.clone(**{name: value})
        return _judged(case, other.fit(graph, rng=case.rng), graph)

    start = _suggested(case, model, fitted, graph, name)
    grid = widened_grid(name, start, measure, case.budget, "the model")
    case.tick()
    return grid


def _suggested(
    case: Case, model: LinkPredictor, fitted: LinkPredictor, graph: HIN, name: str
) -> float:
    """What the method takes by itself for this graph, where it has a rule; else what was given."""
    given = getattr(model, name)
    rule = next(entry.default for entry in fields(model) if entry.name == name)
    if given is not None and rule is not None:
        return float(given)
    if given is not None:
        with case.budget.step("the model"):
            fitted = model.clone(**{name: None}).fit(graph, rng=case.rng)
    return float(getattr(fitted, f"{name}_"))


def _degrees(case: Case) -> np.ndarray:
    """Observed links of each user who is judged."""
    degree = np.diff(case.hin.observed().adjacency(case.relation).indptr)
    users = np.unique(case.hin.positions(case.relation[0], case.kept["split"].valid["src"]))
    return degree[users]
