"""What an evaluation found: values of each user, figures over all, slices."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa

from hinaug import io
from hinaug.errors import KindError, ParameterError, UnknownNameError, nearest
from hinaug.evaluation.intervals import mean_interval


@dataclass(eq=False)
class Result:
    """Per-user values of one evaluation.

    name: the class of the predictor. on: the part of the split, "valid" or "test".
    users: external ids of the users who were judged.
    values: {"NDCG@20": float64 [n_users], ...}.
    overall: figures over all lists, {"Coverage@20": ..., ...}.
    slices: {name: label of each user}; each slice partitions the users.
    seconds: how long ranking and measuring took.
    deterministic: whether another fit would give the same values, so that one is enough.
    split: a fingerprint of the held-out pairs; "" where nobody knows.
    edges: parameters that a search left on the edge of its space.
    trials: how many trials that search had; None without one.
    """

    name: str
    on: str
    users: pa.Array
    values: dict[str, np.ndarray]
    overall: dict[str, float]
    slices: dict[str, np.ndarray]
    seconds: float = 0.0
    deterministic: bool = False
    split: str = ""
    edges: tuple[str, ...] = ()
    trials: int | None = None

    def __post_init__(self) -> None:
        self.slices = {name: np.asarray(labels) for name, labels in self.slices.items()}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the result to the folder `path`, with all that `compare` asks of it.

        A result that was read back is tested, and barred from gains, as the one that was saved.

        Parameters
        ----------
        path
            A folder, new, empty or a store, which is replaced.

        Raises StoreError for a folder that holds anything else.

        Example
        -------
        >>> import tempfile
        >>> users, values = pa.array(["ann", "bob"]), {"NDCG@20": np.array([0.1, 0.3])}
        >>> found = Result("EASE", "test", users, values, {}, {}, edges=("l2",), trials=8)
        >>> folder = tempfile.mkdtemp()
        >>> found.save(folder)
        >>> again = Result.load(folder)
        >>> again["NDCG@20"], again.edges, again.trials
        (0.2, ('l2',), 8)
        """
        io.save(self._on_disk(), path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The result that `save` wrote to the folder `path`.

        Raises StoreError for what is no store, and KindError for a store of something else.
        """
        found = io.load(path)
        if not isinstance(found, cls):
            raise KindError(
                f"{path} holds a {type(found).__name__}, not a {cls.__name__}; read it with "
                "hinaug.load",
                asked=cls.__name__,
                there=type(found).__name__,
            )
        return found

    def _on_disk(self) -> Self:
        """A copy whose text stands in Arrow arrays, as stores hold it; results inside likewise."""
        copied = dataclasses.replace(self)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Result):
                setattr(copied, field.name, value._on_disk())
        text: Any = {n: pa.array(labels.tolist(), pa.string()) for n, labels in self.slices.items()}
        copied.slices = text
        return copied

    def __getitem__(self, metric: str) -> float:
        """Mean over the users, or an overall figure."""
        if metric in self.overall:
            return self.overall[metric]
        return float(self._of(metric).mean())

    def interval(self, metric: str, level: float = 0.95) -> tuple[float, float]:
        """Confidence interval of the mean over users; fits are not repeated in one result.

        See `hinaug.evaluation.mean_interval`. `compare` has intervals over users and fits.
        """
        return mean_interval(self._of(metric), level)

    def _of(self, metric: str) -> np.ndarray:
        """The values per user of a metric."""
        if metric in self.overall:
            raise ParameterError(
                f"{metric!r} is one figure for all users, without an interval or a test; with "
                f"values per user there are {list(self.values)}",
                asked=metric,
                there=list(self.values),
            )
        if metric not in self.values:
            names = [*self.values, *self.overall]
            raise UnknownNameError(
                f"no metric {metric!r}; this result has {names}{nearest(metric, names)}",
                asked=metric,
                there=names,
            )
        return self.values[metric]

    def by(self, slice: str, metric: str) -> dict[str, tuple[int, float]]:
        """{label: (number of users, mean)} of one slice."""
        labels, values = self._labels(slice), self._of(metric)
        return {
            str(label): (int((labels == label).sum()), float(values[labels == label].mean()))
            for label in ordered_labels(labels)
        }

    def _labels(self, slice: str) -> np.ndarray:
        if slice not in self.slices:
            names = list(self.slices)
            raise UnknownNameError(
                f"no slice {slice!r}; this result has {names}{nearest(slice, names)}",
                asked=slice,
                there=names,
            )
        return self.slices[slice]

    def table(self) -> pa.Table:
        """One row per metric: mean and 95 % interval."""
        rows = [
            {"metric": m, "mean": self[m], "low": self.interval(m)[0], "high": self.interval(m)[1]}
            for m in self.values
        ]
        rows += [
            {"metric": m, "mean": value, "low": None, "high": None}
            for m, value in self.overall.items()
        ]
        return pa.Table.from_pylist(rows)

    def __repr__(self) -> str:
        return f"Result({self.name} on {self.on}, {len(self.users)} users: {_means(self)})"


def _means(result: Result) -> str:
    shown = [m for m in result.values if m.startswith(("NDCG", "Recall", "MAP", "Hit"))]
    return ", ".join(f"{m} {result[m]:.4f}" for m in shown)


@dataclass(eq=False, kw_only=True)
class JointResult(Result):
    """One list of warm and new items, judged by all that is held out, and by each kind alone.

    The values of the result itself are those of all held-out items. See
    `evaluate(..., protocol="joint")` for the formulas.

    warm, new: the same lists judged by the held-out items of one kind; users without one are left
        out. Compare two models by `compare(a, b)`, `compare(a.warm, b.warm)` and
        `compare(a.new, b.new)`.
    """

    warm: Result
    new: Result

    def __repr__(self) -> str:
        parts = (("warm", self.warm), ("new", self.new))
        lines = [f"{name}: {_means(part)} ({len(part.users)} users)" for name, part in parts]
        return "\n  ".join([super().__repr__(), *lines])


def ordered_labels(labels: np.ndarray) -> list[str]:
    """The labels in use, those of `evaluate` in their own order, others by name."""
    degrees = ["0", "1-3", "4-5", "0-5", "6-20", "21-60", "61+"]
    known = [*degrees, "none", "under half", "half or more"]
    in_use = set(labels.tolist())
    return [label for label in known if label in in_use] + sorted(in_use - set(known))
