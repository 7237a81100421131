"""Helpers for tests of stores: their files, forged manifests, an estimator of somebody else's."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.graph import edit
from hinaug.graph.hin import HIN
from hinaug.io import store as io

RATES = ("user", "rates", "item")


def with_lineage(hin, lineage):
    """The graph with words for where its columns come from."""
    return HIN._of(edit.with_lineage(hin._state, lineage))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def forge(folder: Path, edit) -> None:
    """Change schema.json and make its checksum right again."""
    manifest = json.loads((folder / "schema.json").read_text())
    result = edit(manifest)
    manifest = result if isinstance(result, dict) and "format" in result else manifest
    manifest["sha256"] = io.manifest_hash(manifest)
    (folder / "schema.json").write_text(json.dumps(manifest))


@dataclasses.dataclass(eq=False)
class Outsider:
    relation: tuple
    rate: float = 0.5
    inner: Any = None
    seed: int = dataclasses.field(default=3, init=False)

    def learn(self) -> Outsider:
        rng = np.random.default_rng(0)
        self.weights_ = rng.normal(size=(3, 2)).astype(np.float32).T
        self.numbers_ = {
            t: np.arange(2, dtype=t)
            for t in ("bool", "int8", "uint64", "float16", "float64", ">i4")
        }
        self.point_ = np.array(2.5)
        self.none_ = np.zeros((0, 4))
        self.matrix_ = sp.csr_array(np.eye(3, dtype=np.float32))
        self.column_ = sp.csc_matrix(np.eye(2))
        self.ids_ = pa.array(["a", None, "ب"])
        self.chunked_ = pa.chunked_array([[1], [2]])
        self.table_ = pa.table({"a": [1, 2]})
        self.scalar_, self.flag_ = np.float32(0.1), np.bool_(True)
        self.odd_ = [
            float("nan"),
            float("inf"),
            -float("inf"),
            1e300,
            2**80,
            True,
            None,
            "\ud800",
            [],
            {},
            (),
        ]
        self.keys_ = {("a", 1): {"$": "tuple"}, 3: "three", None: [1.5]}
        self.nested_ = {
            "a": {"b": np.array([1]), "t": pa.array([1])},
            "a/b": np.array([2]),
            "a/t": pa.array([2]),
        }
        self.graph_ = HIN({"u": {"id": [1]}}, {})
        self._cache = object()
        self.__private_ = object()
        self.not_learned = object()
        return self
