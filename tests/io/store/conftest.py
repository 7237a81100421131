"""A graph with deltas, and a store of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from stores import RATES, with_lineage

from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.io.store import save


@pytest.fixture(autouse=True, scope="module")
def quick_disk():
    """Waiting for the disk is what makes saves slow; that it is asked for is tested below."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: os.fstat(descriptor))
        yield


@pytest.fixture
def augmented(tiny) -> HIN:
    users = Delta(
        {"user": {"id": ["g"]}},
        {RATES: {"src": ["g"], "dst": ["i4"], "confidence": [0.5]}},
        origin="gan",
    )
    mask = Delta(
        masks={RATES: {"src": ["ann"], "dst": ["i1"]}},
        values={("user", "age"): {"id": ["bob"], "value": [9]}},
    )
    return with_lineage(tiny, {"item": "row", RATES: "aggregate"}) + users + mask


@pytest.fixture
def stored(augmented, tmp_path) -> Path:
    save(augmented, tmp_path / "s")
    return tmp_path / "s"
