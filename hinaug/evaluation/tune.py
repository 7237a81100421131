"""Search for hyperparameters on validation pairs alone, seeded, pruned and resumable. Needs Optuna:
`pip install 'hinaug[tune]'`.

found = tune(EASE(RATES), {"l2": (1.0, 3000.0, "log")}, split, trials=20, rng=0)
model = found.best.fit(split.train, valid=split.valid).refit(split.train_valid)
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.checks import Rng
from hinaug.errors import DivergenceError, EdgeWarning, KindError, ParameterError, nearest
from hinaug.graph.hin import HIN
from hinaug.predictors.base import LinkPredictor
from hinaug.progress import track
from hinaug.split.base import Split
from hinaug.training.run import Epoch
from hinaug.training.validation import Validation

if TYPE_CHECKING:
    from optuna import Study, Trial

EDGE = 0.02  # a best value in the outer 2 % of a range lies on its edge
Space = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Tuned:
    """best: unfitted, with the values that were found. value: its NDCG@k on validation pairs.

    trials: a table with a row a trial: number, state (complete, pruned, diverged, failed), value,
        seconds, and the parameters.
    seconds: of all trials. edges: names of parameters whose best value lies on the edge of the
    space.
    """

    best: LinkPredictor
    value: float
    trials: pa.Table
    seconds: float
    edges: tuple[str, ...]
    k: int = 20

    def __repr__(self) -> str:
        states = self.trials["state"].to_pylist()
        counts = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
        edge = f"; on the edge of the space: {', '.join(self.edges)}" if self.edges else ""
        return (
            f"{self.best!r}: NDCG@{self.k} {self.value:.4f} on valid, of {counts} trials in "
            f"{self.seconds:.0f} s{edge}"
        )


def tune(
    predictor: LinkPredictor,
    space: Space,
    split: Split,
    *,
    trials: int = 30,
    seconds: float | None = None,
    users: int | float | None = None,
    quick: Mapping[str, Any] | None = None,
    prune: bool = True,
    file: Any = None,
    k: int = 20,
    rng: Rng = None,
) -> Tuned:
    """The hyperparameters with the best NDCG@k on `split.valid`, of models fitted on `split.train`.
    Test is never looked at.

    Where no target in `split.valid` has a link in train (cold items), targets without links alone
    are ranked.

    predictor: unfitted; the first trial is its own values, as far as the space holds them.
    space: {parameter: values}. A list is a choice, in order where it is of numbers; (low, high) a
        range of numbers, whole ones if both are; (low, high, "log") the same on a logarithmic
        scale.
    trials, seconds: the budget. The search ends with the first that is used up (a trial that has
        begun is ended). To compare methods, give each the same.
    users: a trial is judged by the validation pairs of that many users (a share if it is a float),
        the same in each trial. It learns from all links: with fewer, the best strength of
        regularisation would be another.
    quick: parameters with other values while searching, such as {"epochs": 60}; `best` has its own.
    prune: give up a trial whose learning curve lies under the median of the others at the same
        step. It concerns predictors that measure themselves on `valid` while they train; others
        have one value, at the end.
    file: where the search is kept; a search that was killed goes on from there, to the same end as
        if it had not been.
    rng: seeds the search and each fit, the same for all trials.

    Sampler: TPE (Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NIPS 2011);
    pruner: median. An EdgeWarning says which best values lie on the edge of the space.
    """
    _check_arguments(predictor, split, trials, seconds)
    space = {name: _checked(name, values, predictor) for name, values in space.items()}
    seed = int(np.random.default_rng(rng).integers(2**31))
    train, valid = split.train, _sample(split.valid, users, seed)
    measure = Validation(train, predictor.relation, valid, k)
    who = {
        "predictor": repr(predictor),
        "space": repr(space),
        "graph": train.fingerprint(),
        "trial": repr((users, quick, k)),
        "seed": seed,
    }
    study = _study(
        file, who, prune and not hasattr(predictor, "predictors")
    )  # members' curves are not the ensemble's
    if not study.trials:
        study.enqueue_trial(_own_values(predictor, space), skip_if_exists=True)
    begin, left = time.perf_counter(), trials - len(_ended(study))
    for _ in track(range(max(left, 0)), f"tune {type(predictor).__name__}"):
        if seconds is not None and time.perf_counter() - begin > seconds:
            break
        study.sampler = _sampler(seed + len(_ended(study)))
        _try(study, predictor.clone(**(quick or {})), space, train, valid, measure, seed)
    return _result(study, predictor, space, k)


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


def _own_values(predictor: LinkPredictor, space: Space) -> dict[str, Any]:
    """The predictor's own values as a trial has them, as far as the space holds them."""
    own = {}
    for name, values in space.items():
        value = getattr(predictor, name)
        if _inside(value, values):
            own[name] = values.index(value) if isinstance(values, list) else value
    return own


def _try(
    study: Study,
    predictor: LinkPredictor,
    space: Space,
    train: HIN,
    valid: pa.Table,
    measure: Validation,
    seed: int,
) -> None:
    import optuna

    trial = study.ask()
    values = {name: _suggest(trial, name, of) for name, of in space.items()}
    n_reported = 0

    def report(epoch: Epoch) -> None:
        nonlocal n_reported
        if epoch.value is None:
            return
        trial.report(epoch.value, n_reported)
        n_reported += 1
        if trial.should_prune():
            raise optuna.TrialPruned

    model = predictor.clone(**values)
    try:
        with model.training(callbacks=[report]):
            model.fit(train, valid=valid, rng=seed)
        study.tell(trial, measure(lambda src: model.score(train, src)))
    except optuna.TrialPruned:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    except DivergenceError:
        trial.set_user_attr("diverged", True)
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    except BaseException:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(trial.params)  # for whoever goes on
        raise


def _study(file: Any, who: dict[str, Any], prune: bool) -> Study:
    try:
        import optuna
        from optuna.storages import InMemoryStorage, JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError:
        raise ImportError("tune needs Optuna: pip install 'hinaug[tune]'") from None
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage = (
            InMemoryStorage()
            if file is None
            else JournalStorage(JournalFileBackend(str(Path(file))))
        )
        pruner = (
            optuna.pruners.MedianPruner(5, n_warmup_steps=2)
            if prune
            else optuna.pruners.NopPruner()
        )
        study = optuna.create_study(
            storage=storage,
            study_name="tune",
            direction="maximize",
            pruner=pruner,
            load_if_exists=True,
        )
    finally:
        optuna.logging.set_verbosity(level)
    was = study.user_attrs.get("who")
    if was is None:
        study.set_user_attr("who", who)
    elif was != who:
        what = next(name for name in who if was.get(name) != who[name])
        raise ParameterError(
            f"tune: {file} holds another search, whose {what} is {was.get(what)!r} and not "
            f"{who[what]!r}; "
            "give the same arguments to go on with it, or another file"
        )
    for trial in study.trials:
        if trial.state == optuna.trial.TrialState.RUNNING:  # killed in the middle
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            study.enqueue_trial(trial.params)
    return study


def _ended(study: Study) -> list[Any]:
    return [t for t in study.trials if t.state.name in ("COMPLETE", "PRUNED")]


def _sampler(seed: int) -> Any:
    """A new one for each trial, so that it draws what it would have drawn had the search not been
    cut.
    """
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, n_startup_trials=8)


def _checked(name: str, values: Any, predictor: LinkPredictor) -> list[Any] | tuple[Any, ...]:
    """The values of a parameter, in the order given; ParameterError for none that can be tried."""
    known = predictor.get_params()
    if name not in known:
        raise ParameterError(
            f"tune: {type(predictor).__name__} has no parameter {name!r}; it has "
            f"{list(known)}{nearest(name, known)}",
            asked=name,
            there=list(known),
        )
    if isinstance(values, list) and values:
        return list(values)
    if isinstance(values, tuple) and _is_range(values):
        return values
    raise ParameterError(
        f"tune: space[{name!r}]={values!r}; expected a list of values, (low, high), or (low, "
        "high, 'log') with 0 < low < high",
        asked=values,
    )


def _is_range(values: tuple[Any, ...]) -> bool:
    """Whether it is (low, high) or (low, high, "log")."""
    if len(values) not in (2, 3) or values[2:] not in ((), ("log",)):
        return False
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values[:2]):
        return False
    low, high = values[:2]
    return bool(low < high and (len(values) == 2 or low > 0))


def _whole(values: Sequence[Any]) -> bool:
    return all(isinstance(v, int) for v in values[:2])


def _suggest(trial: Trial, name: str, values: Sequence[Any]) -> Any:
    if isinstance(values, list):
        return values[trial.suggest_categorical(name, list(range(len(values))))]
    log = len(values) == 3
    if _whole(values):
        return trial.suggest_int(name, values[0], values[1], log=log)
    return trial.suggest_float(name, float(values[0]), float(values[1]), log=log)


def _inside(value: Any, values: Sequence[Any]) -> bool:
    if isinstance(values, list):
        return value in values
    return (
        isinstance(value, int | float)
        and values[0] <= value <= values[1]
        and not (_whole(values) and value % 1)
    )


def _sample(valid: pa.Table, users: int | float | None, seed: int) -> pa.Table:
    """The pairs of some users."""
    if users is None:
        return valid
    ids = pc.unique(valid["src"])
    n = users if isinstance(users, int) else round(users * len(ids))
    if n < 1:
        raise ParameterError(
            f"tune: users={users!r}; a count of at least 1, or a share of the {len(ids):,} users "
            "in (0, 1]"
        )
    if n >= len(ids):
        return valid
    chosen = ids.take(
        pa.array(np.sort(np.random.default_rng(seed).choice(len(ids), n, replace=False)))
    )
    return valid.filter(pc.is_in(valid["src"], value_set=chosen))


def _edges(best: Mapping[str, Any], space: Space) -> tuple[str, ...]:
    """Names of the parameters whose best value lies on the edge of its values."""
    return tuple(name for name, values in space.items() if _is_on_edge(best[name], values))


def _is_on_edge(value: Any, values: Sequence[Any]) -> bool:
    if isinstance(values, list):
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        return numbers and len(values) > 2 and value in (min(values), max(values))
    if _whole(values):
        return value in values[:2]
    low, high, at = (np.log(v) if len(values) == 3 else v for v in (*values[:2], value))
    return not EDGE <= (at - low) / (high - low) <= 1 - EDGE


def _params(trial: Any, space: Space) -> dict[str, Any]:
    """The parameters of a trial; of a list, a trial has the place of the value."""
    return {
        name: values[trial.params[name]] if isinstance(values, list) else trial.params[name]
        for name, values in space.items()
        if name in trial.params
    }


def _state(trial: Any) -> str:
    if trial.user_attrs.get("diverged"):
        return "diverged"
    return {"FAIL": "failed"}.get(trial.state.name, trial.state.name.lower())


def _row(trial: Any, space: Space) -> dict[str, Any]:
    """A row of the table of trials."""
    shown = {
        name: json.dumps(v) if isinstance(v, list | tuple | dict) else v
        for name, v in _params(trial, space).items()
    }
    return {
        "number": trial.number,
        "state": _state(trial),
        "value": trial.value,
        "seconds": trial.duration.total_seconds() if trial.duration else 0.0,
        **shown,
    }


def _result(study: Study, predictor: LinkPredictor, space: Space, k: int) -> Tuned:
    ended = [t for t in study.trials if t.state.name in ("COMPLETE", "PRUNED", "FAIL")]
    if not any(t.state.name == "COMPLETE" for t in ended):
        raise ParameterError(
            f"tune: none of {len(ended)} trials came to its end; allow more trials or seconds"
        )

    rows = [_row(trial, space) for trial in ended]
    best = _params(study.best_trial, space)
    edges = _edges(best, space)
    if edges:
        said = ", ".join(f"{name}={best[name]!r} in {space[name]!r}" for name in edges)
        warnings.warn(
            f"tune: on the edge of the space: {said}; widen it", EdgeWarning, stacklevel=3
        )
    return Tuned(
        predictor.clone(**best),
        float(study.best_value),
        pa.Table.from_pylist(rows),
        sum(row["seconds"] for row in rows),
        edges,
        k,
    )
