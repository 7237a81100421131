"""advise: is augmentation worth its cost here, which one, and how much? Measured, not guessed."""

from __future__ import annotations

import itertools
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from hinaug import checks
from hinaug.checks import Rng
from hinaug.errors import KindError, ParameterError
from hinaug.evaluation import advise_accuracy, advise_cold
from hinaug.evaluation.guard import refuse_graph
from hinaug.evaluation.probes import Budget, Case, Found, OutOfTimeError, Proposal
from hinaug.graph import expect
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import linked_targets
from hinaug.graph.schema import EdgeType
from hinaug.predictors import ALS, BSPM, EASE, ItemKNN, LightGCN
from hinaug.predictors.base import LinkPredictor
from hinaug.progress import track
from hinaug.split.base import Split
from hinaug.training.estimator import Estimator

Answer = Literal["yes", "no", "abstain"]
MOST_ITEMS_OF_EASE = 12_000  # beyond, its matrix costs too much for a probe


@dataclass(frozen=True)
class Rule:
    """When to advise what. `RULES` is the table of them; another goal is more rows.

    goal: what is wanted. condition: of the graph, in words. probe: what is measured, in words.
    measure: measures it. threshold: of the ratio to the control, from which the answer is yes.
    advice: in words. decides: whether the answer of the goal needs a yes here.
    """

    goal: str
    condition: str
    probe: str
    measure: Callable[[Case], Found]
    threshold: float
    advice: str
    decides: bool = True


RULES = (
    Rule(
        "cold",
        "items without links, with features",
        "hide a tenth of the items: ridge on features against shuffled features",
        advise_cold.ridge_against_shuffled,
        1.5,
        "edges for new items from a kernel ridge",
    ),
    Rule(
        "cold",
        "the ridge beats shuffled features",
        "reserved places by edges against random places and predicted popularity",
        advise_cold.places_for_new_items,
        1.0,
        "reserved places for new items, by a model with these edges",
    ),
    Rule(
        "accuracy",
        "a model with an l2 or a shrinkage",
        "its own grid, widened until the best is inside, against the model as it is",
        advise_accuracy.own_grid,
        1.0,
        "take that value first",
        decides=False,
    ),
    Rule(
        "accuracy",
        "users with at most 3 links",
        "popularity against the model with its own l2, for them",
        advise_accuracy.thin_users,
        1.0,
        "popularity for them (ByHistory), and no generation",
        decides=False,
    ),
    Rule(
        "accuracy",
        "a teacher on validation",
        "the best teacher against the model with its own l2, popularity, or both",
        advise_accuracy.teacher,
        1.05,
        "edges from the teacher",
        decides=False,
    ),
    Rule(
        "accuracy",
        "a teacher that is not clearly worse",
        "the model with the teacher's edges against the same without, and random edges",
        advise_accuracy.edges,
        1.0,
        "edges from the teacher",
    ),
)
GOALS = tuple(dict.fromkeys(rule.goal for rule in RULES))


@dataclass(frozen=True)
class Probe:
    """One row of an advice: a rule and what its probe found.

    value: the method over its control, 1.2 for 20 % more; None where the condition does not hold.
    low, high: its 95 % interval. answer: yes, no, or abstain where the interval covers 1 or time
    ran out. said: what else was found. seconds: what the probe took.
    """

    rule: Rule
    value: float | None
    low: float | None
    high: float | None
    answer: Answer
    said: str
    seconds: float

    def row(self) -> dict[str, Any]:
        """The row as plain values."""
        rule = self.rule
        names = {"condition": rule.condition, "probe": rule.probe, "threshold": rule.threshold}
        own = {name: getattr(self, name) for name in ("value", "low", "high", "answer", "said")}
        return {**names, **own, "advice": rule.advice, "seconds": self.seconds}


@dataclass(frozen=True, eq=False)
class Advice:
    """What to do for a goal, and what it rests on. `str` gives a page.

    goal: what was asked for. answer: yes, no, or abstain. statistics: of the graph.
    probes: one for each rule that was tried, in order.
    model: the predictor to fit, on the graph with the delta: the one given, with its own l2 where
        that was better, and with reserved places where new items are to be served.
    seconds: what all of it took.

    To follow it, on any graph of the same types, such as `split.train_valid`:

        graph = hin + advice.delta(hin, rng=0)
        model = advice.model.clone().fit(graph, rng=0)
    """

    goal: str
    answer: Answer
    statistics: dict[str, Any]
    probes: tuple[Probe, ...]
    proposal: Proposal
    seconds: float

    @property
    def model(self) -> LinkPredictor:
        """The predictor to fit on the graph with the delta."""
        return self.proposal.model

    @property
    def gain(self) -> tuple[float, float, float] | None:
        """The expected gain as a share of the control, with its interval; None without a yes."""
        last = self.probes[-1] if self.probes else None
        if self.answer != "yes" or last is None or last.value is None:
            return None
        return last.value - 1, (last.low or 0.0) - 1, (last.high or 0.0) - 1

    def delta(self, hin: HIN, rng: Rng = None) -> Delta:
        """The edges that are advised, made for this graph; empty where none are."""
        return self.proposal.delta(hin, rng)

    def table(self) -> pa.Table:
        """One row a probe: condition, probe, value, low, high, threshold, answer, advice, said,
        seconds.
        """
        return pa.Table.from_pylist([probe.row() for probe in self.probes])

    def document(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "goal": self.goal,
            "answer": self.answer,
            "gain": self.gain,
            "model": in_short(self.model),
            "generator": in_short(self.proposal.generator) if self.answer == "yes" else None,
            "statistics": self.statistics,
            "probes": [probe.row() for probe in self.probes],
            "seconds": self.seconds,
        }

    def __str__(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in self.statistics.items())
        lines = [f"Goal {self.goal}: {self._headline()}", *_wrapped(f"Graph: {facts}", ""), ""]
        for probe in self.probes:
            lines += _page_of(probe)
        if self.answer == "yes":
            lines += ["", *_wrapped(f"Edges: {in_short(self.proposal.generator)}", "  ")]
            lines += _wrapped(f"Model: {in_short(self.model)}", "  ")
        lines += ["", f"{self.seconds:.0f} seconds in all. Ratios are to the control; intervals of"]
        lines += ["95 % over users and draws, on validation only; test is for the end."]
        return "\n".join(lines)

    def _headline(self) -> str:
        last = self.probes[-1]
        if self.gain is not None:
            share, low, high = (100 * value for value in self.gain)
            return f"yes, {last.rule.advice}; expect {share:+.0f} % [{low:+.0f}, {high:+.0f}]"
        if self.answer == "no" and last.value is None:
            return f"no augmentation: this graph has no {last.rule.condition}"
        if self.answer == "no":
            return f"no augmentation: {last.value:.2f} times the control is too little"
        return (
            "no advice to augment: a gain could not be told from chance. Each row below answers a "
            "question of its own"
        )


def advise(
    hin: HIN,
    split: Split,
    goal: str = "accuracy",
    minutes: float = 5.0,
    *,
    model: LinkPredictor | None = None,
    teachers: Sequence[LinkPredictor] | None = None,
    rng: Rng = None,
) -> Advice:
    """Says whether augmentation is worth it, which and how much, from short probes on validation.

    Each rule of `RULES` for the goal has a condition, a probe and a threshold. With m the mean of
    the method, c that of its control and [a, b] the 95 % interval of m - c over users and draws,

        abstain  where a <= 0 <= b, or where the minutes end
        yes      where m / c >= threshold and a > 0
        no       else, and where the condition does not hold

    A goal is answered yes only if all of its deciding rules are; after the first that is not, the
    others are not tried.

    "accuracy"  edges between users and items for the deployed model. Its own l2 is tuned first, on
                a grid that grows until the best is inside: an l2 that is too small looks like a
                gain by edges. The control is the tuned model or popularity, whichever is better,
                and random edges.
    "cold"      items without links. A tenth of the others is hidden, five times. Controls are
                shuffled features, random places and predicted popularity.

    Parameters
    ----------
    hin
        The graph to advise on, such as `split.train`, with or without deltas.
    split
        Its validation pairs are judged by ("accuracy"), or only its relation and its evidence are
        used ("cold"). Test is not looked at.
    goal
        "accuracy" or "cold".
    minutes
        The budget. A step that would not end in time, by the longest of its kind, is left out and
        said; one that has begun is not cut short.
    model
        The deployed predictor, unfitted. None: EASE, or ItemKNN beyond 12,000 items.
    teachers
        Predictors whose edges may help it, the cheapest first. None: BSPM, ALS and LightGCN.
    rng
        Of hides, folds and fits.

    Raises KindError and ParameterError for arguments of another kind or value, and LeakError where
    the graph holds the validation pairs. Time: the budget, and the step that was running.

    Example
    -------
    >>> from hinaug import random_split
    >>> from hinaug.datasets import planted
    >>> split = random_split(planted(rng=0), ("user", "rates", "item"), evidence=["review"], rng=0)
    >>> advise(split.train, split, "cold", rng=0).answer
    'no'
    """
    model = _check(hin, split, goal, minutes, model)
    refuse_graph(hin, split, split.valid, "valid")
    draws = checks.generator(rng, "advise")
    teachers = default_teachers(model) if teachers is None else list(teachers)
    steps = track(itertools.count(), f"advise, goal {goal}: steps")
    case = Case(hin, split, model, teachers, Budget(60 * minutes), draws, steps)
    probes, answer = _tried_in_turn([rule for rule in RULES if rule.goal == goal], case)
    proposal = case.proposal
    if answer != "yes" or proposal is None:
        proposal = Proposal(case.kept["tuned"] if case.kept.get("tune") else model)
    facts = statistics(hin, split.target)
    return Advice(goal, answer, facts, tuple(probes), proposal, case.budget.spent)


def default_teachers(model: LinkPredictor) -> list[LinkPredictor]:
    """Predictors of other families than the deployed one, the cheapest first."""
    relation = model.relation
    found = [BSPM(relation), ALS(relation), LightGCN(relation, loss="softmax")]
    return [teacher for teacher in found if type(teacher) is not type(model)]


def statistics(hin: HIN, relation: EdgeType) -> dict[str, Any]:
    """What the graph says of itself: nodes, links, how many of each node, and who has few."""
    links = hin.observed().adjacency(relation)
    source, _, target = relation
    per_source, linked = np.diff(links.indptr), linked_targets(links)
    of_sources, n_linked = max(len(per_source), 1), max(int(linked.sum()), 1)
    few = np.count_nonzero(per_source <= advise_accuracy.THIN)
    return {
        f"{source}s": len(per_source),
        f"{target}s": len(linked),
        "links": links.nnz,
        f"links per {source}": round(links.nnz / of_sources, 1),
        f"links per linked {target}": round(links.nnz / n_linked, 1),
        f"{source}s with at most {advise_accuracy.THIN}": f"{100 * few / of_sources:.0f} %",
        f"{target}s without links": int((~linked).sum()),
    }


def _check(
    hin: Any, split: Any, goal: Any, minutes: Any, model: LinkPredictor | None
) -> LinkPredictor:
    """The deployed model, once all arguments are of their kind."""
    expect.graph(hin, "advise")
    if not isinstance(split, Split):
        raise KindError(
            f"advise(hin, split) takes a Split second, got {checks.kind(split)}; see random_split"
        )
    if goal not in GOALS:
        raise ParameterError(
            f"advise: goal={goal!r}; expected one of {list(GOALS)}", asked=goal, there=GOALS
        )
    checks.number(minutes, "advise: minutes", "a number above 0")
    if not minutes > 0:
        raise ParameterError(f"advise: minutes={minutes!r}; above 0 is needed", asked=minutes)
    if model is None:
        small = hin.n(split.target[2]) <= MOST_ITEMS_OF_EASE
        return EASE(split.target) if small else ItemKNN(split.target)
    if not isinstance(model, LinkPredictor):
        raise KindError(
            f"advise: model is an unfitted link predictor, such as EASE(relation); got "
            f"{checks.kind(model)}"
        )
    if model.relation != split.target:
        raise ParameterError(
            f"advise: the model scores {model.relation}, the split holds out {split.target}",
            asked=model.relation,
            there=split.target,
        )
    return model


def _tried_in_turn(rules: Sequence[Rule], case: Case) -> tuple[list[Probe], Answer]:
    """The probes of the rules, up to the first that decides against a yes, and the answer."""
    probes: list[Probe] = []
    for rule in rules:
        probe, bars = _tried(rule, case)
        probes.append(probe)
        if bars or (rule.decides and probe.answer != "yes"):
            return probes, probe.answer
    return probes, "yes"


def _tried(rule: Rule, case: Case) -> tuple[Probe, bool]:
    """What the probe of a rule found, and whether that bars any advice."""
    begin = time.monotonic()
    try:
        found = rule.measure(case)
    except OutOfTimeError:
        said = "out of time: give more minutes"
        return Probe(rule, None, None, None, "abstain", said, time.monotonic() - begin), True
    seconds = time.monotonic() - begin
    if found.gain is None:
        answer: Answer = "abstain" if found.barred else "no"
        said = found.said or found.barred
        return Probe(rule, None, None, None, answer, said, seconds), bool(found.barred)
    value, (low, high) = found.gain.ratio, found.gain.ratio_interval
    said = f"{found.said}; {found.barred}" if found.barred else found.said
    answer = "abstain" if found.barred else _answer(value, low, high, rule.threshold)
    return Probe(rule, value, low, high, answer, said, seconds), bool(found.barred)


def _answer(value: float, low: float, high: float, threshold: float) -> Answer:
    if low <= 1 <= high:
        return "abstain"
    return "yes" if low > 1 and value >= threshold else "no"


def in_short(estimator: Any) -> str:
    """A method as it is written down, without what is as it comes."""
    if isinstance(estimator, list):
        return f"[{', '.join(map(in_short, estimator))}]"
    if not isinstance(estimator, Estimator):
        return f"{estimator:.4g}" if isinstance(estimator, float) else repr(estimator)
    method: Any = estimator
    given = [
        f"{'' if entry.default is MISSING else f'{entry.name}='}{in_short(value)}"
        for entry in fields(method)
        if entry.init and (value := getattr(method, entry.name)) != entry.default
    ]
    return f"{type(method).__name__}({', '.join(given)})"


def _page_of(probe: Probe) -> list[str]:
    rule = probe.rule
    head = f"{probe.answer.upper():8}{rule.condition}"
    if probe.value is None:
        figure = "not measured"
    else:
        figure = (
            f"{probe.value:.2f} times [{probe.low:.2f}, {probe.high:.2f}], "
            f"{rule.threshold:g} is needed"
        )
    lines = [head, *_wrapped(f"{rule.probe}: {figure} ({probe.seconds:.0f} s)", " " * 8)]
    lines += _wrapped(probe.said, " " * 8) if probe.said else []
    return lines + (_wrapped(f"-> {rule.advice}", " " * 8) if probe.answer == "yes" else [])


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, 88, initial_indent=indent, subsequent_indent=indent)
