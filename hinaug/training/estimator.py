"""Estimator: hyperparameters are fields, what was learned ends in an underscore."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, Self

import numpy as np

from hinaug import checks
from hinaug.errors import KindError, NotFittedError, nearest
from hinaug.graph import expect


class Estimator:
    """Hyperparameters are the dataclass fields; what was learned ends in "_".

    A field that is annotated as int or float (or None beside it) takes numbers alone: TypeError,
    when it is made and in `fit`.
    """

    def __post_init__(self) -> None:
        self._check_numbers()

    def get_params(self) -> dict[str, Any]:
        """{name: value} of the hyperparameters; nested estimators as they are."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}  # type: ignore[arg-type]

    def clone(self, **changes: Any) -> Self:
        """An unfitted copy, with the named hyperparameters changed; nested estimators are cloned
        too.
        """
        params = self.get_params()
        unknown = [name for name in changes if name not in params]
        if unknown:
            raise KindError(
                f"{type(self).__name__} has no parameter {unknown[0]!r}; it has "
                f"{list(params)}{nearest(unknown[0], params)}"
            )
        return type(self)(
            **{name: changes.get(name, _cloned(value)) for name, value in params.items()}
        )

    def _check_numbers(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            said = (
                field.type
                if isinstance(field.type, str)
                else getattr(field.type, "__name__", str(field.type))
            )
            kinds = {word.strip() for word in said.split("|")}
            if not field.init or not kinds & {"int", "float"} or kinds - {"int", "float", "None"}:
                continue
            value, of = getattr(self, field.name), Real if "float" in kinds else Integral
            if not (checks.is_number(value, of) or (value is None and "None" in kinds)):
                what = "a number" if of is Real else "a whole number"
                such = f", such as {field.default!r}" if checks.is_number(field.default) else ""
                none = ", or None" if "None" in kinds else ""
                raise KindError(
                    f"{type(self).__name__}: {field.name}={value!r}: {what} is "
                    f"needed{such}{none}; got {checks.kind(value)}"
                )

    def _ready(self, verb: str, hin: Any, valid: Any, rng: Any) -> np.random.Generator:
        """What is looked at before anything is learned or made; gives the generator to draw from."""
        who = f"{type(self).__name__}.{verb}"
        self._check_numbers()
        expect.graph(hin, who)
        expect.pairs(valid, who)
        return checks.generator(rng, who)

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """A fit that fails leaves the estimator as it was, not half-fitted."""
        before = dict(vars(self))
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    def _check_fitted(self) -> None:
        if not any(name.endswith("_") and not name.startswith("_") for name in vars(self)):
            raise NotFittedError(f"this {type(self).__name__} is not fitted; call .fit(hin) before")


def _cloned(value: Any) -> Any:
    if isinstance(value, Estimator):
        return value.clone()
    if isinstance(value, list | tuple) and any(isinstance(v, Estimator) for v in value):
        return type(value)(_cloned(v) for v in value)
    return copy.deepcopy(value)
