"""Stores on disk: what goes in comes out, and whatever goes wrong is a StoreError and never a wrong
graph.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.io import store as io
from hinaug.io.store import StoreError, load, save
from hinaug.split.base import Split
from hinaug.split.random import random_split

RATES = ("user", "rates", "item")


@pytest.fixture(autouse=True, scope="module")
def quick_disk():
    """Waiting for the disk is what makes saves slow; that it is asked for is tested below."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: os.fstat(descriptor))
        yield


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def forge(folder: Path, edit) -> None:
    """Change schema.json and make its checksum right again."""
    manifest = json.loads((folder / "schema.json").read_text())
    result = edit(manifest)
    manifest = result if isinstance(result, dict) and "format" in result else manifest
    manifest["sha256"] = io._manifest_hash(manifest)
    (folder / "schema.json").write_text(json.dumps(manifest))


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
    return tiny._with_lineage({"item": "row", RATES: "aggregate"}) + users + mask


# ---- round trips ---------------------------------------------------------------------------------


@given(st.data())
def test_graphs_and_deltas_come_back_as_they_were(graphs, deltas, data):
    hin = data.draw(graphs())
    delta = data.draw(deltas(hin))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        for verify in (True, False):
            save(hin + delta, path)
            back = load(path, verify=verify)
            assert back == hin + delta
            assert back.fingerprint() == (hin + delta).fingerprint()
            assert back - delta == hin
            assert back.observed().schema == hin.schema
            assert back.deltas[0].fitted_on == delta.fitted_on
            assert back.deltas[0].keys().equals(delta.keys())
            assert back.ids("item", []).type == pa.int64()
            once = files(path)
            save(back, path)
            assert files(path) == once
            save(delta, path)
            assert load(path, verify=verify) == delta
        shutil.rmtree(path)


def test_a_store_that_is_read_has_no_copy_of_its_tables(augmented, tmp_path):
    save(augmented, tmp_path / "s")
    before = pa.total_allocated_bytes()
    back = load(tmp_path / "s", verify=False)
    x = back.observed().nodes["item"]["x"].chunk(0).values.buffers()[1]
    assert pa.total_allocated_bytes() - before < 4096  # deltas and small parts
    assert x.size >= 4 * 8
    assert not back.links(RATES)[0].flags.writeable


def test_the_same_content_gives_the_same_bytes(augmented, tmp_path):
    save(augmented, tmp_path / "a")
    save(
        HIN._make(dict(augmented._nodes), dict(augmented._edges), augmented.deltas), tmp_path / "b"
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


def test_lineage_and_integer_ids_survive(augmented, tmp_path):
    save(augmented, tmp_path / "s")
    back = load(tmp_path / "s")
    assert back.schema == augmented.schema
    assert back.schema.nodes["item"]["x"].lineage == "row"
    assert back.schema.edge_lineage[RATES] == "aggregate"
    assert back.ids("genre").to_pylist() == [10, 20]


def test_empty_graphs_and_odd_type_names(tmp_path):
    for at, hin in enumerate(
        [
            HIN({}, {}),
            HIN(
                {"u": {"id": []}},
                {
                    ("u", "likes", "u"): {
                        "src": pa.array([], pa.int32()),
                        "dst": pa.array([], pa.int32()),
                    }
                },
            ),
            HIN(
                {"../x": {"id": ["a"]}, "深": {"id": ["b"]}, "$": {"id": ["c"]}},
                {("../x", "/", "深"): {"src": [0], "dst": [0]}},
            ),
        ]
    ):
        save(hin, tmp_path / str(at))
        assert load(tmp_path / str(at)) == hin
    assert sorted(os.listdir(tmp_path)) == ["0", "1", "2"]
    save(Delta(), tmp_path / "d")
    assert load(tmp_path / "d") == Delta()


def test_a_split_stores_what_its_graphs_share_once(tiny, tmp_path):
    split = random_split(tiny, RATES, valid=1, test=1, min_train=0, rng=0)
    save(split, tmp_path / "s")
    back = load(tmp_path / "s")
    assert type(back) is Split
    for field in dataclasses.fields(Split):
        assert getattr(back, field.name) == getattr(split, field.name), field.name
    assert json.loads((tmp_path / "s" / "schema.json").read_text())["kind"] == "split"
    assert back.train.nodes["item"]["x"].chunk(0).buffers() is not None
    names = {
        name for name, table in _tables(tmp_path / "s").items() if "title" in table.column_names
    }
    assert len(names) == 1


def _tables(folder: Path) -> dict[str, pa.Table]:
    return {p.name: pa.ipc.open_file(pa.OSFile(str(p))).read_all() for p in folder.glob("*.arrow")}


# ---- estimators ----------------------------------------------------------------------------------


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


def test_estimators_come_back_with_fields_and_what_was_learned(tmp_path):
    old = Outsider(
        RATES,
        rate=float("inf"),
        inner=[Outsider(RATES).learn(), {"x": Outsider(("a", "b", "c"), 0.25)}],
    ).learn()
    save(old, tmp_path / "s")
    new = load(tmp_path / "s", classes=[Outsider])
    assert (new.relation, new.rate) == (RATES, float("inf"))
    assert new.inner[1]["x"].relation == ("a", "b", "c")
    assert not hasattr(new, "_cache")
    assert not hasattr(new, "not_learned")
    for one, two in ((old, new), (old.inner[0], new.inner[0])):
        for name in ("weights_", "point_", "none_"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name), strict=True)
        for dtype, values in one.numbers_.items():
            np.testing.assert_array_equal(values, two.numbers_[dtype])
        assert two.numbers_[">i4"].dtype == np.int32
        assert type(two.matrix_) is sp.csr_array
        assert type(two.column_) is sp.csc_matrix
        assert (one.matrix_ != two.matrix_).nnz == (one.column_ != two.column_).nnz == 0
        assert two.matrix_.dtype == np.float32
        assert two.ids_.equals(one.ids_)
        assert two.chunked_.to_pylist() == [1, 2]
        assert two.table_.equals(one.table_)
        assert type(two.scalar_) is np.float32
        assert type(two.flag_) is np.bool_
        assert (two.scalar_, two.flag_) == (one.scalar_, one.flag_)
        assert repr(two.odd_) == repr(one.odd_)
        assert two.keys_ == one.keys_
        assert two.graph_ == one.graph_
        assert two.nested_ == one.nested_
    save(new, tmp_path / "t")
    assert files(tmp_path / "s") == files(tmp_path / "t")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (object(), "learned_ is builtins.object"),
        (lambda: 0, "has no disk form"),
        (np.array(["text"]), "arrays of <U4 have no disk form"),
        (np.array([None]), "arrays of object"),
        ({"deep": [np.array([1j])]}, "learned_/deep/0: numpy arrays of complex128"),
        (sp.coo_array(np.eye(2)), "saved as CSR or CSC, this is coo"),
        ({1, 2}, "builtins.set"),
    ],
)
def test_what_has_no_disk_form_says_where_it_is(tmp_path, value, says):
    thing = Outsider(RATES)
    thing.learned_ = value
    with pytest.raises(StoreError) as error:
        save(thing, tmp_path / "s")
    assert says in str(error.value)
    assert not (tmp_path / "s").exists()


def test_only_graphs_deltas_splits_and_estimators_are_saved(tmp_path):
    for thing in (3, {"a": 1}, pa.table({"a": [1]}), Outsider, None):
        with pytest.raises(StoreError, match="save takes a HIN, a Delta, a Split or an estimator"):
            save(thing, tmp_path / "s")


def test_classes_are_imported_from_hinaug_only(tmp_path, monkeypatch):
    save(Outsider(RATES), tmp_path / "s")
    with pytest.raises(
        StoreError, match=r"only classes of hinaug are loaded by name; pass classes=\[Outsider\]"
    ):
        load(tmp_path / "s")

    fake = types.ModuleType("hinaug.fake")
    fake.Good = dataclasses.make_dataclass(
        "Good", [("a", int)], namespace={"__module__": "hinaug.fake"}
    )  # type: ignore[attr-defined]
    fake.Plain = type("Plain", (), {"__module__": "hinaug.fake"})  # type: ignore[attr-defined]
    fake.Outsider = Outsider  # type: ignore[attr-defined]
    fake.run = pytest.fail  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hinaug.fake", fake)
    save(fake.Good(3), tmp_path / "g")
    assert load(tmp_path / "g") == fake.Good(3)
    for path, says in {
        "hinaug.fake:Plain": "does not have",
        "hinaug.fake:run": "does not have",
        "hinaug.fake:Outsider": "does not have",
        "hinaug.fake:Missing": "does not have",
        "hinaug.nowhere:Good": "cannot be imported",
        "os:system": "only classes of hinaug",
        "hinaugx:Good": "only classes of hinaug",
        "hinaug.__main__:Good": "only classes of hinaug",
        "hinaug.fake.:Good": "only classes of hinaug",
        "hinaug.fake": "does not have",
        ".fake:Good": "only classes of hinaug",
    }.items():

        def rename(manifest, path=path):
            manifest["root"]["class"] = path

        forge(tmp_path / "g", rename)
        with pytest.raises(StoreError) as error:
            load(tmp_path / "g")
        assert says in str(error.value), path


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda root: root["fields"].update(b=1), "has no field 'b'"),
        (lambda root: root["fields"].clear(), "does not accept the fields"),
        (lambda root: root["learned"].update(__class__=1), "no name of a learned attribute"),
        (lambda root: root["learned"].update(fit=1), "no name of a learned attribute"),
        (
            lambda root: root["learned"].update(x_={"$": "array", "array": "none"}),
            "does not describe an object",
        ),
        (lambda root: root["learned"].update(x_={"$": "pickle"}), "unknown form 'pickle'"),
        (lambda root: root["learned"].update(x_={"$": "tuple"}), "does not describe an object"),
        (
            lambda root: root["learned"].update(x_={"$": "dict", "items": [[[], 1]]}),
            "does not describe an object",
        ),
    ],
)
def test_an_estimator_that_cannot_be_put_together(tmp_path, edit, says):
    save(Outsider(RATES), tmp_path / "s")
    forge(tmp_path / "s", lambda manifest: edit(manifest["root"]))
    with pytest.raises(StoreError) as error:
        load(tmp_path / "s", classes=[Outsider])
    assert says in str(error.value)


# ---- overwriting and being interrupted -----------------------------------------------------------


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
    with pytest.raises(StoreError, match="overwrite=True"):
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
    with pytest.raises(StoreError, match=r"it is not a store and holds 'thesis.tex'"):
        save(tiny, tmp_path / "s")
    (tmp_path / "s" / "schema.json").write_text('{"format": "other"}')
    with pytest.raises(StoreError, match="not a store"):
        save(tiny, tmp_path / "s")
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match="cannot save to"):
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
            (io._HashedFile, "write"),
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
        with pytest.raises(
            StoreError,
            match=r"cannot save to .*: Permission denied; what was there before is unchanged",
        ):
            save(tiny + Delta(), tmp_path / "s")
    with pytest.raises(StoreError, match="cannot save to /proc/store"):
        save(tiny, "/proc/store")

    def no_reading(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", no_reading)
        with pytest.raises(StoreError, match=r"cannot read .*: Permission denied"):
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
graphs = [HIN({"u": {"id": list(range(n)), "k": [n] * n}, "v": {"id": ["same"]}}, {}) for n in (50, 60)]
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


# ---- damage --------------------------------------------------------------------------------------


@pytest.fixture
def stored(augmented, tmp_path) -> Path:
    save(augmented, tmp_path / "s")
    return tmp_path / "s"


def test_truncated_files(stored):
    for path in sorted(stored.iterdir()):
        content = path.read_bytes()
        for size in {0, 1, 7, 8, len(content) - 1, *range(0, len(content), 97)}:
            path.write_bytes(content[:size])
            for verify in (True, False):
                with pytest.raises(StoreError, match=r"cut short|damaged"):
                    load(stored, verify=verify)
        path.write_bytes(content)
        path.write_bytes(content + b"\0")
        with pytest.raises(StoreError, match=r"bytes instead of|damaged"):
            load(stored)
        path.write_bytes(content)
    load(stored)


def test_flipped_bits(stored, augmented):
    rng = np.random.default_rng(0)
    for path in sorted(stored.iterdir()):
        content = path.read_bytes()
        for at in [*rng.integers(0, len(content), 60).tolist(), 0, len(content) - 1]:
            bad = bytearray(content)
            bad[at] ^= 1 << int(rng.integers(8))
            path.write_bytes(bad)
            if path.suffix == ".arrow":
                with pytest.raises(
                    StoreError, match="is damaged: its bytes do not have the sha256"
                ):
                    load(stored)
            else:
                with contextlib.suppress(StoreError):
                    assert load(stored) == augmented  # white space turned into other white space
        path.write_bytes(content)


def test_arrays_that_are_damaged(tmp_path):
    thing = Outsider(RATES)
    thing.weights_ = np.arange(1000, dtype=np.float32)
    save(thing, tmp_path / "s")
    path = next((tmp_path / "s").glob("*.safetensors"))
    content = path.read_bytes()
    for at in range(0, len(content), 101):
        path.write_bytes(content[:at])
        with pytest.raises(StoreError, match="cut short"):
            load(tmp_path / "s", classes=[Outsider], verify=False)
        path.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        with pytest.raises(StoreError, match="is damaged"):
            load(tmp_path / "s", classes=[Outsider])
    path.write_bytes(b"\xff" * len(content))
    with pytest.raises(StoreError, match="cannot be read as safetensors"):
        load(tmp_path / "s", classes=[Outsider], verify=False)
    path.unlink()
    with pytest.raises(
        StoreError, match=f"the file {path.name} is missing; there are 'schema.json'"
    ):
        load(tmp_path / "s", classes=[Outsider])


def test_an_arrow_file_of_rubbish_of_the_right_size(stored):
    for path in stored.glob("*.arrow"):
        content = path.read_bytes()
        path.write_bytes(b"\xff" * len(content))
        with pytest.raises(StoreError, match="cannot be read as an Arrow table"):
            load(stored, verify=False)
        path.write_bytes(content)


def test_what_is_no_store(stored, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.csv").write_text("a")
    for path, says in {
        tmp_path / "none": "is not there; a store is a folder",
        stored / "schema.json": "is a file; a store is a folder",
        tmp_path / "empty": "there is no schema.json, only no files",
        tmp_path / "other": "there is no schema.json, only 'a.csv'",
    }.items():
        with pytest.raises(StoreError) as error:
            load(path)
        assert says in str(error.value)
    for text in (
        "",
        "[]",
        "{}",
        "3",
        "nul",
        "\xff\xfe",
        '{"format": "hinaug"',
        '{"format": "zarr"}',
        "[" * 100_000,
        '{"format": "hinaug"}',
    ):
        (stored / "schema.json").write_text(text, encoding="latin-1")
        with pytest.raises(StoreError):
            load(stored)


def test_a_newer_store_says_upgrade(stored):
    def newer(manifest):
        return {"format": "hinaug", "version": 2, "something": "else"}

    forge(stored, newer)
    with pytest.raises(StoreError, match=r"written by a newer hinaug .* upgrade"):
        load(stored)
    forge(stored, lambda manifest: manifest.update(version="1"))
    with pytest.raises(StoreError, match="version '1' is unknown"):
        load(stored)


def test_an_edited_schema_does_not_pass(stored):
    text = (stored / "schema.json").read_text()
    (stored / "schema.json").write_text(text.replace('"user"', '"usre"'))
    with pytest.raises(StoreError, match="edited by hand"):
        load(stored)


@pytest.mark.parametrize(
    "name",
    [
        "../x.arrow",
        "/etc/passwd",
        "a/b.arrow",
        "..",
        "",
        "x.arrow",
        "0" * 32 + ".arrow",
        "\0",
        "schema.json",
    ],
)
def test_hostile_file_names(stored, name):
    def rename(manifest):
        manifest["tables"]["nodes/0"]["file"] = name

    forge(stored, rename)
    with pytest.raises(StoreError, match="no name of a store's file; refused"):
        load(stored)


def test_a_named_pipe_or_folder_in_place_of_a_table(stored):
    path = next(stored.glob("*.arrow"))
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(StoreError, match="no regular file"):
        load(stored)
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreError, match="no regular file"):
        load(stored)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda m: m.update(kind="matrix"), "unknown kind 'matrix'"),
        (lambda m: m.update(kind="delta"), "says 'delta' and holds a 'hin'"),
        (lambda m: m.pop("root"), "'root' missing"),
        (lambda m: m.update(tables=[]), "tables missing or of the wrong form"),
        (lambda m: m.update(root=None), "save takes"),
        (lambda m: m.update(root=[1]), "save takes"),
        (lambda m: m["tables"].pop("nodes/0"), "does not describe an object"),
        (lambda m: m["tables"]["nodes/0"].pop("file"), "without file name"),
        (lambda m: m["tables"].update({"nodes/0": 3}), "without file name"),
        (
            lambda m: m["tables"]["nodes/0"].update(rows=4),
            "table 'nodes/0' has 3 rows instead of 4",
        ),
        (lambda m: m["tables"]["nodes/0"].update(bytes=4), "bytes instead of 4"),
        (lambda m: m["root"]["tables"][0].update(role="other"), "does not describe an object"),
        (lambda m: m["root"]["tables"][0].update(type=["a", "b", "c"]), "does not fit together"),
        (lambda m: m["root"]["tables"][0].update(type="usr"), "no node type 'user'"),
        (
            lambda m: m["root"]["tables"].append(m["root"]["tables"][0]),
            "stands in schema.json more than once",
        ),
        (lambda m: m["root"]["tables"][3].update(table="nodes/0"), "does not fit together"),
        (lambda m: m["root"]["deltas"].append(m["root"]["deltas"][0]), "already applied"),
        (lambda m: m["root"]["deltas"][0].update(uid="0" * 64), "was saved as 000000000000"),
        (lambda m: m["root"]["deltas"][0]["tables"].pop(), "and was saved as"),
        (lambda m: m["root"]["deltas"].reverse() or m["root"]["deltas"].pop(), None),
    ],
)
def test_a_schema_that_contradicts_itself(stored, edit, says):
    forge(stored, edit)
    if says is None:  # still a graph, though not the same one
        assert len(load(stored).deltas) == 1
        return
    with pytest.raises(StoreError) as error:
        load(stored)
    assert says in str(error.value)


def test_positions_out_of_range_and_ids_twice_are_found_when_verifying(tiny, tmp_path):
    rates = tiny.edges[RATES]
    for at, bad in enumerate((3, -1)):
        wrong = rates.set_column(0, "src", pa.array([0, 0, 1, 0, bad, 1], pa.int32()))
        save(HIN._make(dict(tiny._nodes), {**tiny._edges, RATES: wrong}), tmp_path / str(at))
        with pytest.raises(StoreError, match="points past the 3 nodes of 'user'"):
            load(tmp_path / str(at))
    twice = pa.table({"id": ["a", "a", "b"]})
    save(HIN._make({**tiny._nodes, "user": twice}, dict(tiny._edges)), tmp_path / "twice")
    with pytest.raises(StoreError, match="ids must be unique"):
        load(tmp_path / "twice")
    ids = pa.table(
        {"id": pa.array(["a"])},
        schema=pa.schema([pa.field("id", pa.string(), metadata={b"hinaug.id_type": b"float64"})]),
    )
    save(HIN._make({"user": ids}, {}), tmp_path / "type")
    with pytest.raises(StoreError, match="type of the ids"):
        load(tmp_path / "type")


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda v: (
            st.lists(v, max_size=3)
            | st.dictionaries(st.text(max_size=2) | st.just("$") | st.integers(), v, max_size=3)
            | st.tuples(v, v)
        ),
        max_leaves=8,
    )
)
def test_any_json_value_as_a_field(value):
    with tempfile.TemporaryDirectory() as folder:
        save(Outsider(RATES, inner=value), Path(folder) / "s")
        assert repr(load(Path(folder) / "s", classes=[Outsider]).inner) == repr(value)
