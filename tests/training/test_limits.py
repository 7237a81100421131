"""Values that parameters cannot have are refused by every method, when it is made and in `fit`."""

import dataclasses

import numpy as np
import pytest

import hinaug.ensembles
import hinaug.generators
import hinaug.predictors
from hinaug.checks import Interval
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.predictors import GFCF, Popularity
from hinaug.training.estimator import Estimator

RATES = ("user", "rates", "item")
METHODS = {
    made
    for folder in (hinaug.predictors, hinaug.ensembles, hinaug.generators)
    for name in folder.__all__
    if isinstance(made := getattr(folder, name), type) and issubclass(made, Estimator)
}
LIMITS = [
    (method, name, limit)
    for method in sorted(METHODS, key=lambda m: m.__name__)
    for base in method.__mro__
    for name, limit in vars(base).get("LIMITS", {}).items()
    if name in {f.name for f in dataclasses.fields(method)}
]


def made(method, /, **parameters):
    """The method over one relation, with whatever else it must be given."""
    first = dataclasses.fields(method)[0].name
    given = {"relation": RATES, "predictor": Popularity(RATES), "node": "user"}
    if issubclass(method, hinaug.ensembles.Ensemble):
        return method([Popularity(RATES), GFCF(RATES)], **parameters)
    return method(given[first], **parameters)


def outside(limit):
    """Values beyond each end of an interval, or beside a list of words."""
    if not isinstance(limit, Interval):
        return ["no such word"]
    ends = [
        end
        for end in (
            None if limit.least is None else limit.least - 1,
            limit.above,
            None if limit.most is None else limit.most + 1,
            limit.below,
        )
        if end is not None
    ]
    return ends


def test_there_are_limits():
    assert len(LIMITS) > 150


@pytest.mark.parametrize(("method", "name", "limit"), LIMITS)
def test_values_outside_are_refused(method, name, limit):
    for value in outside(limit):
        with pytest.raises(ParameterError) as error:
            made(method, **{name: value})
        assert error.value.asked == value
        assert error.value.there == limit


@pytest.mark.parametrize("method", sorted(METHODS, key=lambda m: m.__name__))
def test_limits_are_of_fields(method):
    """A limit of a parameter that was renamed would be silent."""
    own = set(vars(method).get("LIMITS", {}))
    assert own - {"generated"} <= {f.name for f in dataclasses.fields(method)}


def test_a_value_that_was_set_later_is_seen_by_fit():
    hin = HIN.from_tables({}, {RATES: {"src": ["a"], "dst": ["x"]}}, missing="add")
    model = GFCF(RATES)
    model.alpha = -1.0
    with pytest.raises(ParameterError) as error:
        model.fit(hin)
    assert error.value.asked == -1.0


def test_what_an_interval_holds():
    half_open = Interval(least=0, below=1)
    assert [v in half_open for v in (-0.1, 0, 0.5, 1)] == [False, True, True, False]
    assert 2 in Interval(above=1, most=2)
    assert 1 not in Interval(above=1, most=2)
    assert np.inf not in Interval(least=0)
    assert np.nan not in Interval(least=0)
