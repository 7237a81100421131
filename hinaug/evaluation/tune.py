"""Search for hyperparameters on validation pairs alone, seeded, pruned and resumable. Needs Optuna:
`pip install 'hinaug[tune]'`.

found = tune(EASE(RATES), {"l2": (1.0, 3000.0, "log")}, split, trials=20, rng=0)
model = found.best.fit(split.train, valid=split.valid).refit(split.train_valid)
"""

from __future__ import annotations

import importlib.util
import json
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from hinaug.checks import Rng, whole
from hinaug.errors import DivergenceError, EdgeWarning, KindError, ParameterError
from hinaug.evaluation.draws import Draw, difference, draws
from hinaug.evaluation.search_file import packed, search, unpacked
from hinaug.evaluation.space import (
    Space,
    checked,
    checked_natural,
    edges,
    own_values,
    params,
    simplicity,
    suggest,
)
from hinaug.predictors.base import LinkPredictor
from hinaug.progress import track
from hinaug.split.base import Split
from hinaug.training.estimator import Searched
from hinaug.training.run import Epoch

if TYPE_CHECKING:
    from optuna import Study, Trial

ROUNDING = 1e-5  # of values that are kept as float32, relative


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    best: unfitted, with the values that were chosen. It notes how it was found, and so do results
        of `evaluate`: `compare` reports no gain over a model on an edge.
    value: its NDCG@k on validation pairs, over all draws.
    why: why it was chosen: as the best, or as the simplest that is not shown to be worse.
    trials: a table with a row a trial: number, state (complete, pruned, diverged, failed,
        interrupted), reason (of a failure), value, seconds, and the parameters.
    seconds: of all trials.
    edges: parameters whose value lies on the edge of the space.
    natural_ends: parameters whose value lies on an edge beyond which there is nothing.
    k: how long the lists are.
    """

    best: LinkPredictor
    value: float
    trials: pa.Table
    seconds: float
    edges: tuple[str, ...]
    k: int = 20
    why: str = ""
    natural_ends: tuple[str, ...] = ()

    def __repr__(self) -> str:
        states = self.trials["state"].to_pylist()
        counts = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
        ends = f"; on the edge of the space: {', '.join(self.edges)}" if self.edges else ""
        if self.natural_ends:
            ends += f"; at a natural end: {', '.join(self.natural_ends)}"
        return (
            f"{self.best!r}: NDCG@{self.k} {self.value:.4f} on valid, of {counts} trials in "
            f"{self.seconds:.0f} s; {self.why}{ends}"
        )


def tune(
    predictor: LinkPredictor,
    space: Space,
    split: Split,
    *,
    trials: int = 30,
    seconds: float | None = None,
    users: int | float | None = None,
    n_valid: int = 1,
    quick: Mapping[str, Any] | None = None,
    natural: Mapping[str, Any] | None = None,
    prune: bool = True,
    file: Any = None,
    k: int = 20,
    rng: Rng = None,
) -> Tuned:
    """The hyperparameters that rank validation pairs best, of models fitted on `split.train`.

    The measure is NDCG@k. Test is never looked at. Where no target in `split.valid` has a link in
    train (cold items), targets without links alone are ranked. An ensemble that learns from valid
    learns its weights from half of the users there, and is judged by the others.

    A difference within its standard error is no reason for a choice: of all trials that close to
    the best, the simplest is chosen, by the places of its values in the lists of the space.

    Parameters
    ----------
    predictor
        Unfitted; the first trial is its own values, as far as the space holds them.
    space
        {parameter: values}. A list is a choice, simplest first; where there are several lists, the
        first in the space counts most. (low, high) is a range of numbers, whole ones if both are;
        (low, high, "log") the same on a logarithmic scale. Ranges have no simpler values.
    trials, seconds
        The budget. The search ends with the first that is used up (a trial that has begun is
        ended). Give each method that is compared the same number of trials.
    users
        A trial is judged by the validation pairs of that many users (a share if it is a float), the
        same in each trial. It learns from all links: with fewer, the best strength of
        regularisation would be another.
    n_valid
        Each trial is fitted so many times, and judged by the mean. In a random split each fit has
        other validation pairs, drawn from train and valid; in others only another seed.
    quick
        Parameters with other values while searching, such as {"epochs": 60}; `best` has its own.
    natural
        {parameter: end, or ends} beyond which there is nothing, such as {"dropout": 0.0,
        "n_layers": 1}: a best value there is not on an edge.
    prune
        Give up a trial whose learning curve lies under the median of the others at the same step.
        It concerns predictors that measure themselves on `valid` while they train; others have one
        value, at the end.
    file
        Where the search is kept; a search that was killed goes on from there, to the same end as if
        it had not been. One process at a time.
    rng
        Seeds the search and each fit, the same for all trials.

    A trial that fails is noted with its reason, and the search goes on. An EdgeWarning says which
    values lie on the edge of the space.

    Sampler: TPE (Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NIPS 2011);
    pruner: median. The rule of one standard error: Breiman et al., "Classification and Regression
    Trees", 1984, section 3.4.3, here with the error of the difference, users being the same.

    Raises ParameterError where no trial came to its end, and for a file of another search;
    StoreError for a file that is broken or in use.
    """
    _check_arguments(predictor, split, trials, seconds)
    space = checked(space, predictor)
    ends = checked_natural(natural, space)
    n_valid = whole(n_valid, "tune: n_valid", 1)
    seed = int(np.random.default_rng(rng).integers(2**31))
    judged = draws(predictor, split, users, n_valid, k, seed)
    who = {
        "predictor": repr(predictor),
        "space": repr(space),
        "graph": split.train.fingerprint(),
        "trial": repr((users, quick, k, n_valid)),
        "seed": seed,
    }
    # the curves of members are not those of an ensemble
    with search(file, who, prune and not hasattr(predictor, "predictors")) as study:
        if not study.trials:
            study.enqueue_trial(own_values(predictor, space), skip_if_exists=True)
        model = predictor.clone(**(quick or {}))
        _run(study, model, space, judged, (trials, seconds), seed)
        return _tuned(study, predictor, space, ends, judged, k)


def _check_arguments(predictor: Any, split: Any, trials: int, seconds: float | None) -> None:
    if not isinstance(predictor, LinkPredictor):
        raise KindError(
            "tune takes an unfitted link predictor, such as EASE(relation); got "
            f"{type(predictor).__name__}"
        )
    if not isinstance(split, Split):
        raise KindError(
            f"tune takes a split, such as random_split(hin, relation); got {type(split).__name__}"
        )
    if trials < 1 or (seconds is not None and not seconds > 0):
        raise ParameterError(
            f"tune: trials={trials!r}, seconds={seconds!r}; at least one trial, and more than 0 "
            "seconds",
            asked=(trials, seconds),
        )
    if not split.valid.num_rows:
        raise ParameterError(
            "tune: split.valid has no pairs to judge by; split with valid=0.1, say"
        )
    if importlib.util.find_spec("optuna") is None:
        raise ImportError("tune needs Optuna: pip install 'hinaug[tune]'")


# ---- trials --------------------------------------------------------------------------------------


def _run(
    study: Study,
    predictor: LinkPredictor,
    space: Space,
    judged: Sequence[Draw],
    budget: tuple[int, float | None],
    seed: int,
) -> None:
    """Trials until the budget, (trials, seconds), is used up."""
    trials, seconds = budget
    begin, left = time.perf_counter(), trials - len(_ended(study))
    for _ in track(range(max(left, 0)), f"tune {type(predictor).__name__}"):
        if seconds is not None and time.perf_counter() - begin > seconds:
            break
        study.sampler = _sampler(seed + len(_ended(study)))
        _try(study, predictor, space, judged)


def _try(study: Study, predictor: LinkPredictor, space: Space, judged: Sequence[Draw]) -> None:
    """One trial: fitted and judged by each draw. What fails is noted, with its reason."""
    import optuna

    trial = study.ask()
    given_up = optuna.trial.TrialState.PRUNED
    try:
        model = predictor.clone(**suggest(trial, space))
        values = [_judge(model, judged[0], trial)]
        values += [_judge(model.clone(), draw, None) for draw in judged[1:]]
        trial.set_user_attr("values", packed(values))
        study.tell(trial, float(np.mean([each.mean() for each in values])))
    except optuna.TrialPruned:
        study.tell(trial, state=given_up)
    except Exception as error:  # whatever a method may raise for these values
        trial.set_user_attr("reason", f"{type(error).__name__}: {error}")
        trial.set_user_attr("diverged", isinstance(error, DivergenceError))
        study.tell(trial, state=given_up)
    except BaseException:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(trial.params)  # for whoever goes on
        raise


def _judge(model: LinkPredictor, draw: Draw, trial: Trial | None) -> np.ndarray:
    """NDCG@k of each user of a draw. trial: is told the learning curve, and may be given up."""
    import optuna

    n_reported = 0

    def report(epoch: Epoch) -> None:
        nonlocal n_reported
        if trial is None or epoch.value is None:
            return
        trial.report(epoch.value, n_reported)
        n_reported += 1
        if trial.should_prune():
            raise optuna.TrialPruned

    with model.training(callbacks=[report]):
        model.fit(draw.train, valid=draw.valid, rng=draw.seed)
    return draw.measure.of_users(lambda src: model.score(draw.train, src))


def _ended(study: Study) -> list[Any]:
    return [t for t in study.trials if t.state.name in ("COMPLETE", "PRUNED")]


def _sampler(seed: int) -> Any:
    """A new one for each trial, so that it draws what it would have drawn had the search not been
    cut.
    """
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, n_startup_trials=8)


# ---- the choice ----------------------------------------------------------------------------------


def _tuned(
    study: Study,
    predictor: LinkPredictor,
    space: Space,
    natural: Mapping[str, list[Any]],
    judged: Sequence[Draw],
    k: int,
) -> Tuned:
    rows = [_row(trial, space) for trial in study.trials if trial.state.is_finished()]
    chosen, why = _choice(_complete(study, rows), space, judged)
    best = params(chosen, space)
    on_edge, at_end = edges(best, space, natural)
    if on_edge:
        said = ", ".join(f"{name}={best[name]!r} in {space[name]!r}" for name in on_edge)
        warnings.warn(
            f"tune: on the edge of the space: {said}; widen it", EdgeWarning, stacklevel=3
        )
    return Tuned(
        best=predictor.clone(**best)._mark(Searched(on_edge, len(_ended(study)))),
        value=float(chosen.value),
        trials=pa.Table.from_pylist(rows),
        seconds=sum(row["seconds"] for row in rows),
        edges=on_edge,
        k=k,
        why=why,
        natural_ends=at_end,
    )


def _complete(study: Study, rows: list[dict[str, Any]]) -> list[Any]:
    """The trials that came to their end; ParameterError for none. rows: of all trials."""
    complete = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    if not complete:
        reason = next((f"; {row['reason']}" for row in rows if row["reason"]), "")
        raise ParameterError(
            f"tune: none of {len(rows)} trials came to its end{reason}; allow more trials or "
            "seconds, or other values",
            there=len(rows),
        )
    return complete


def _choice(complete: list[Any], space: Space, judged: Sequence[Draw]) -> tuple[Any, str]:
    """The simplest trial within one standard error of the best, and why it was chosen."""
    best = max(complete, key=lambda trial: (trial.value, -trial.number))
    errors = {trial.number: _standard_error(best, trial, judged) for trial in complete}
    # where one user alone changed, the difference is its standard error: that is no choice either
    close = [
        trial
        for trial in complete
        if best.value - trial.value <= errors[trial.number] * (1 + ROUNDING)
    ]
    if not simplicity(best, space):
        others = "1 other is" if len(close) == 2 else f"{len(close) - 1} others are"
        return best, f"the best; {others} within one standard error of it"
    chosen = min(close, key=lambda trial: (simplicity(trial, space), -trial.value, trial.number))
    if simplicity(chosen, space) == simplicity(best, space):
        return best, "the best; none that is simpler is within one standard error of it"
    return chosen, (
        f"the simplest within one standard error ({errors[chosen.number]:.4f}) of the best, which "
        f"has {best.value:.4f} with {params(best, space)}"
    )


def _standard_error(best: Any, other: Any, judged: Sequence[Draw]) -> float:
    """Of the difference of two trials, over users, and over draws where there are several."""
    if best.number == other.number:
        return 0.0
    one, two = (unpacked(trial.user_attrs["values"]) for trial in (best, other))
    return float(np.sqrt(difference(one, two, judged).variance))


def _state(trial: Any) -> str:
    if "reason" in trial.user_attrs:
        return "diverged" if trial.user_attrs.get("diverged") else "failed"
    return {"FAIL": "interrupted"}.get(trial.state.name, trial.state.name.lower())


def _row(trial: Any, space: Space) -> dict[str, Any]:
    """A row of the table of trials."""
    shown = {
        name: json.dumps(value) if isinstance(value, list | tuple | dict) else value
        for name, value in params(trial, space).items()
    }
    return {
        "number": trial.number,
        "state": _state(trial),
        "reason": trial.user_attrs.get("reason", ""),
        "value": trial.value,
        "seconds": trial.duration.total_seconds() if trial.duration else 0.0,
        **shown,
    }
