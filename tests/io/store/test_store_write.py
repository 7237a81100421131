"""Saves: equal bytes, overwriting, errors and kills at any step."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from raising import raises
from stores import RATES, Outsider, files

from hinaug.errors import StoreError
from hinaug.graph.delta import Delta
from hinaug.graph.edit import State
from hinaug.graph.hin import HIN
from hinaug.io import store as io
from hinaug.io.store import load, save, write


def test_the_same_content_gives_the_same_bytes(augmented, tmp_path):
    save(augmented, tmp_path / "a")
    save(
        HIN._of(State(dict(augmented._nodes), dict(augmented._edges), augmented.deltas)),
        tmp_path / "b",
    )
    assert files(tmp_path / "a") == files(tmp_path / "b")
    one = HIN(
        {
            "u": {
                "id": ["a", "b", "c"],
                "f": pa.array([0, 1, None, 3, 4]).slice(1, 3),
                "b": pa.array([True] * 9).slice(0, 3),
            }
        },
        {},
    )
    two = HIN(
        {
            "u": {
                "id": ["a", "b", "c"],
                "f": pa.array(np.array([1, 7, 3]), mask=np.array([False, True, False])),
                "b": [True] * 3,
            }
        },
        {},
    )
    save(one, tmp_path / "one")
    save(two, tmp_path / "two")
    assert files(tmp_path / "one") == files(tmp_path / "two")
    for name, content in files(tmp_path / "one").items():
        assert name == "schema.json" or name == hashlib.sha256(content).hexdigest()[:32] + ".arrow"


def test_overwriting_leaves_exactly_the_new_store(tiny, augmented, tmp_path):
    save(augmented, tmp_path / "s")
    (tmp_path / "s" / ".hinaug-1-1.tmp").write_bytes(b"of a save that was killed")
    (tmp_path / "s" / ("0" * 32 + ".arrow")).write_bytes(b"the same")
    (tmp_path / "s" / "notes.txt").write_text("not the store's own")
    save(tiny, tmp_path / "s")
    save(tiny, tmp_path / "fresh")
    assert files(tmp_path / "s") == {
        **files(tmp_path / "fresh"),
        "notes.txt": b"not the store's own",
    }
    with raises(StoreError, asked=str(tmp_path / "s"), there="schema.json"):
        save(augmented, tmp_path / "s", overwrite=False)
    assert load(tmp_path / "s") == tiny
    save(tiny, tmp_path / "new" / "deep", overwrite=False)
    mapped = load(tmp_path / "s", verify=False)
    save(
        mapped + Delta({"user": {"id": ["z"]}}), tmp_path / "s"
    )  # over the very files it is mapped from
    assert load(tmp_path / "s").n("user") == 4
    assert mapped == tiny


def test_a_damaged_store_can_be_overwritten_and_its_bad_files_are_replaced(tiny, tmp_path):
    save(tiny, tmp_path / "s")
    good = files(tmp_path / "s")
    for path in (tmp_path / "s").iterdir():
        path.write_bytes(b"\0" * path.stat().st_size)
    save(tiny, tmp_path / "s")
    assert files(tmp_path / "s") == good


def test_folders_with_anything_else_are_never_overwritten(tiny, tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "thesis.tex").write_text("x")
    with raises(StoreError, asked=str(tmp_path / "s"), there=["thesis.tex"]):
        save(tiny, tmp_path / "s")
    (tmp_path / "s" / "schema.json").write_text('{"format": "other"}')
    with raises(StoreError, asked=str(tmp_path / "s"), there=["schema.json", "thesis.tex"]):
        save(tiny, tmp_path / "s")
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with raises(StoreError, asked=str(path)):
            save(tiny, path)
    assert (tmp_path / "file").read_text() == "x"


class Stop(BaseException):
    """As Ctrl-C comes, at any moment."""


@pytest.mark.parametrize("before", ["nothing", "store"])
@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), Stop("stopped")], ids=["disk full", "stopped"]
)
def test_an_error_at_any_step_leaves_the_old_store_or_the_new_one(
    tmp_path, monkeypatch, error, before
):
    path = tmp_path / "s"
    old, graph = (HIN({"u": {"id": list(range(n))}, "v": {"id": ["same"]}}, {}) for n in (2, 3))
    new = Outsider(RATES, inner=graph)
    new.array_ = np.arange(3)
    steps = _Steps(error)
    for stop_at in range(1000):
        shutil.rmtree(path, ignore_errors=True)
        if before == "store":
            save(old, path)
        there = files(path) if before == "store" else {}
        with monkeypatch.context() as patch:
            steps.watch(patch, stop_at)
            try:
                save(new, path)
            except (StoreError, Stop) as raised:
                said = str(raised)
            else:
                said = ""
        if steps.count <= stop_at:
            break
        assert said == "" or isinstance(error, Stop) or "No space left on device" in said
        if "schema.json" in steps.done:
            assert load(path, classes=[Outsider]).inner == graph
        else:
            assert said
            assert files(path) == there if path.exists() else not there
        save(new, path)
        assert load(path, classes=[Outsider]).inner == graph
        assert len(files(path)) == 4
    assert stop_at == steps.count
    commit = steps.done.index("schema.json")
    assert "replace" not in steps.done[commit:]  # the last file to find its place
    assert "write" not in steps.done[commit:]
    assert "fsync" in steps.done[:commit]
    assert "fsync" in steps.done[commit:]


class _Steps:
    """Counts the steps by which a save changes the disk, and lets the chosen one fail."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def watch(self, patch: pytest.MonkeyPatch, stop_at: int) -> None:
        self.count, self.stop_at = 0, stop_at
        self.done: list[str] = []
        for place, name in [
            (os, "replace"),
            (os, "fsync"),
            (os, "mkdir"),
            (os, "listdir"),
            (write.HashedFile, "write"),
        ]:
            patch.setattr(place, name, self._step(name, getattr(place, name)))

    def _step(self, name, real):
        def step(*args, **kwargs):
            self.count += 1
            if self.count == self.stop_at + 1:
                raise self.error
            result = real(*args, **kwargs)
            self.done.append(name)
            if name == "replace" and Path(args[1]).name == "schema.json":
                self.done.append("schema.json")
            return result

        return step


def test_a_folder_that_cannot_be_written_or_read(tiny, tmp_path, monkeypatch):
    save(tiny, tmp_path / "s")
    real = open

    def no_writing(path, mode="r", *args, **kwargs):
        if "x" in mode:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, mode, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", no_writing)
        with raises(StoreError, asked=str(tmp_path / "s"), names="Permission denied"):
            save(tiny + Delta(), tmp_path / "s")
    with raises(StoreError, asked="/proc/store"):
        save(tiny, "/proc/store")

    def no_reading(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", no_reading)
        with raises(StoreError, asked=str(tmp_path / "s"), names="Permission denied"):
            load(tmp_path / "s")
    assert load(tmp_path / "s") == tiny


def test_a_reader_waits_until_a_writer_is_done(tiny, tmp_path, monkeypatch):
    path = tmp_path / "s"
    save(tiny, path)
    seen: list[Any] = []
    reader = threading.Thread(target=lambda: seen.append(load(path)))
    real = os.replace

    def replace(source, target):
        if not reader.ident:
            reader.start()
            reader.join(0.2)
            assert not seen
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    save(tiny.drop("genre"), path)
    reader.join(60)
    assert seen == [tiny.drop("genre")]


KILLED = """
import sys
from hinaug.graph.hin import HIN
from hinaug.io.store import save
graphs = [
    HIN({"u": {"id": list(range(n)), "k": [n] * n}, "v": {"id": ["same"]}}, {}) for n in (50, 60)
]
save(graphs[0], sys.argv[1])
print("ready", flush=True)
while True:
    for hin in graphs:
        save(hin, sys.argv[1])
"""


def test_a_process_that_is_killed_leaves_a_whole_store(tmp_path):
    rng = np.random.default_rng(0)
    child_env = {**os.environ, "PYTHONPATH": str(Path(io.__file__).parents[3])}
    for round in range(3):
        path = tmp_path / str(round)
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, env=child_env
        )
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            for _ in range(20):  # readers beside the writer never meet half a store
                hin = load(path)
                assert hin.n("u") in (50, 60)
            time.sleep(rng.uniform(0, 0.05))
        finally:
            child.send_signal(signal.SIGKILL)
            child.communicate()
        hin = load(path)
        assert set(hin.nodes["u"]["k"].to_pylist()) == {hin.n("u")}
        save(hin, path)
        assert len(files(path)) == 3
