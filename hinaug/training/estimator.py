"""Estimator: what every method is. Hyperparameters are fields; what was learned ends in "_"."""

from __future__ import annotations

import copy
import dataclasses
import os
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from hinaug import checks
from hinaug.errors import KindError, NotFittedError, ParameterError, nearest
from hinaug.graph import expect
from hinaug.graph.hin import HIN
from hinaug.training.run import Callback, Run

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Searched:
    """How hyperparameters were found. edges: those on the edge of the space. trials: how many."""

    edges: tuple[str, ...] = ()
    trials: int = 0


class Estimator:
    """A method with hyperparameters (the dataclass fields) and learned attributes (their names end
    in "_").

    Fields are checked when the estimator is made and again in `fit`. One that is annotated as int
    or float (or None beside it) takes numbers alone, else KindError. One that stands in `LIMITS`
    takes the values named there (or None, where the annotation allows it), else ParameterError.
    Pickling and copying keep fields and learned attributes. Caches are not kept: they have names
    that start with "_".
    """

    # why a saved model holds the links it was fitted on; None: it does not hold them
    HOLDS_DATA: ClassVar[str | None] = None

    # values that fields can have; a subclass adds to those of its bases
    LIMITS: ClassVar[checks.Limits] = {}

    # how `tune` found the hyperparameters; fits, clones, copies and pickles keep it
    searched: ClassVar[Searched | None] = None

    # whether several processes can fit it together, see `training`
    ON_RANKS: ClassVar[bool] = False

    # whether it can be fitted some columns at a time, or by rows, see `training`
    IN_BLOCKS: ClassVar[bool] = False

    _run = Run()  # how `fit` runs inside a block of `training`; copies and pickles have the default

    def __post_init__(self) -> None:
        self._check_fields()

    def get_params(self) -> dict[str, Any]:
        """{name: value} of the hyperparameters; nested estimators as they are."""
        return {f.name: getattr(self, f.name) for f in _fields(self) if f.init}

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
        made = type(self)(
            **{name: changes.get(name, _cloned(value)) for name, value in params.items()}
        )
        return made if self.searched is None else made._mark(self.searched)

    def _mark(self, searched: Searched) -> Self:
        """Notes how the hyperparameters were found; gives the estimator itself."""
        self.__dict__["searched"] = searched
        return self

    @contextmanager
    def training(
        self,
        *,
        callbacks: Iterable[Callback] = (),
        checkpoint: str | os.PathLike[str] | None = None,
        every: int = 10,
        ranks: Any = None,
        column_block: int | None = None,
        on_disk: bool = False,
        by_rows: bool = False,
    ) -> Iterator[Self]:
        """Inside the block, `fit` and `refit` call back and keep checkpoints.

            with model.training(checkpoint="checkpoints"):
                model.fit(split.train, valid=split.valid, rng=0)

        It concerns methods that train in epochs (`hinaug.training.loop`). Clones, copies and
        pickles do not carry it, and an ensemble does not hand it to its members.

        Parameters
        ----------
        callbacks
            Each is called after each epoch with an `Epoch`: its number, losses, and the measure on
            held-out pairs, if there is one. What a callback raises ends the training.
        checkpoint
            A folder. A training that was killed goes on from its last checkpoint there, when the
            same fit is run again with the same seed; it ends as if it had not been killed.
        every
            Epochs between two checkpoints.
        ranks
            The processes that fit it together, see `hinaug.training.distributed.joined`. Each of
            them calls `fit` with the same arguments, and each then has the whole model.
        column_block
            Columns of the vectors that a step works on at once, for MF and LightGCN with "bpr":
            less memory, and half as much again to compute. Without checkpoints.
        on_disk
            With `column_block`: parameters and optimiser lie in temporary files (`TMPDIR`).
        by_rows
            With `ranks`, for MF and LightGCN with "bpr": each has a range of the users with their
            links, and a range of the items, in place of columns. For graphs that fit no machine;
            far more is sent. Without checkpoints.

        Raises ValueError for every < 1, and for ranks, column_block or by_rows where the method
        cannot use them.
        """
        every = checks.whole(every, f"{type(self).__name__}.training: every", 1)
        before = self.__dict__.get("_run")
        folder = None if checkpoint is None else Path(checkpoint)
        if ranks is not None and not self.ON_RANKS:
            raise ParameterError(
                f"{type(self).__name__} cannot be fitted by several processes together; MF, "
                "LightGCN, ALS, SLIM and LocalEASE can",
                asked=type(self).__name__,
            )
        self._check_blocks(column_block, on_disk, by_rows, folder)
        self._run = Run(tuple(callbacks), folder, every, ranks, column_block, on_disk, by_rows)
        try:
            yield self
        finally:
            self.__dict__.pop("_run", None)
            if before is not None:
                self._run = before

    def _check_blocks(
        self, size: int | None, on_disk: bool, by_rows: bool, folder: Path | None
    ) -> None:
        """Raises for blocks of columns, or rows, where there are none or with checkpoints."""
        who = f"{type(self).__name__}.training"
        if size is not None:
            checks.whole(size, f"{who}: column_block", 1)
        elif on_disk:
            raise ParameterError(
                f"{who}: on_disk needs column_block, the columns in memory at once", asked=on_disk
            )
        elif not by_rows:
            return
        if not self.IN_BLOCKS or folder is not None or (by_rows and size is not None):
            raise ParameterError(
                f"{who}: column_block={size}, by_rows={by_rows}: one of both, for MF and LightGCN, "
                "without checkpoint",
                asked=(size, by_rows),
                there=folder,
            )

    def _check_fields(self) -> None:
        """Fields that are annotated as numbers hold numbers, and fields with limits keep them."""
        for field in _fields(self):
            kinds = _annotated(field)
            if field.init and kinds & {"int", "float"} and kinds <= {"int", "float", "None"}:
                self._check_number(field, kinds)
        limits: dict[str, Any] = {}
        for base in reversed(type(self).__mro__):
            limits.update(vars(base).get("LIMITS", {}))
        for field in _fields(self):
            if field.name in limits:
                self._check_limit(field, limits[field.name])

    def _check_limit(self, field: dataclasses.Field, limit: Any) -> None:
        value, may_be_none = getattr(self, field.name), "None" in _annotated(field)
        if (value is None and may_be_none) or value in limit:
            return
        words = str(limit) if isinstance(limit, checks.Interval) else f"one of {list(limit)}"
        raise ParameterError(
            f"{type(self).__name__}: {field.name}={value!r}; it must be {words}"
            f"{', or None' if may_be_none else ''}",
            asked=value,
            there=limit,
        )

    def _check_number(self, field: dataclasses.Field, kinds: set[str]) -> None:
        value, of = getattr(self, field.name), Real if "float" in kinds else Integral
        if checks.is_number(value, of) or (value is None and "None" in kinds):
            return
        what = "a number" if of is Real else "a whole number"
        such = f", such as {field.default!r}" if checks.is_number(field.default) else ""
        none = ", or None" if "None" in kinds else ""
        raise KindError(
            f"{type(self).__name__}: {field.name}={value!r}: {what} is needed{such}{none}; got "
            f"{checks.kind(value)}",
            asked=value,
            there=sorted(kinds),
        )

    def _ready(self, verb: str, hin: Any, valid: Any, rng: Any) -> np.random.Generator:
        """Check the arguments before anything is learned or made; gives the generator of `rng`."""
        who = f"{type(self).__name__}.{verb}"
        self._check_fields()
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

    def _per_graph(self, hin: HIN, name: str, make: Callable[[], T]) -> T:
        """What `make` gives for this graph; kept under `name` until another graph comes."""
        caches = self.__dict__.setdefault("_caches", {})
        kept = caches.get(name)
        if kept is None or kept[0]() is not hin:
            kept = caches[name] = (weakref.ref(hin), make())
        return kept[1]

    def _forget(self) -> None:
        """Drop what an earlier fit learned and every cache; the hyperparameters stay."""
        kept = {f.name for f in _fields(self)} | {"_run", "searched"}
        for name in [n for n in vars(self) if n not in kept]:
            del self.__dict__[name]

    def __getstate__(self) -> dict[str, Any]:
        fields = {f.name for f in _fields(self)}
        return {n: v for n, v in vars(self).items() if n in fields or not n.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def _check_fitted(self) -> None:
        if not any(name.endswith("_") and not name.startswith("_") for name in vars(self)):
            raise NotFittedError(f"this {type(self).__name__} is not fitted; call .fit(hin) before")


def _fields(estimator: Any) -> tuple[dataclasses.Field, ...]:
    """The hyperparameters of an estimator, which is a dataclass."""
    return dataclasses.fields(estimator)


def _annotated(field: dataclasses.Field) -> set[str]:
    """The words of a field's annotation, such as {"float", "None"}."""
    said = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", "")
    return {word.strip() for word in said.split("|")}


def _cloned(value: Any) -> Any:
    if isinstance(value, Estimator):
        return value.clone()
    if isinstance(value, list | tuple) and any(isinstance(v, Estimator) for v in value):
        return type(value)(_cloned(v) for v in value)
    return copy.deepcopy(value)
