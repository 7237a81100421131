"""What a store must bear: kills, full disks, two writers, forged files, links, old stores, and
whatever a user passes in.

`HINAUG_FUZZ=10000` (see benchmarks/fuzz.py) draws that many new examples instead of the few fixed
ones.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raising import raises

from hinaug import recommend
from hinaug.errors import StoreError
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.merge import merge
from hinaug.io import store as io
from hinaug.io.store import load, save
from hinaug.predictors import Popularity
from hinaug.split.cold import cold_items, cold_users
from hinaug.split.last import leave_last
from hinaug.split.random import random_split
from hinaug.split.temporal import temporal_split
from hinaug.split.thin import thin

RATES = ("user", "rates", "item")
DATA = Path(__file__).parents[1] / "data"
ENV = {**os.environ, "PYTHONPATH": str(Path(io.__file__).parents[3]), "OMP_NUM_THREADS": "1"}
FUZZ = int(os.environ.get("HINAUG_FUZZ", "0"))


def run(code: str, *args: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, env=ENV, timeout=100
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return ran.stdout


# ---- stores of old -------------------------------------------------------------------------------


@pytest.mark.parametrize("verify", [True, False])
def test_a_store_of_version_1_is_read_for_ever(verify):
    hin, delta = load(DATA / "store-v1", verify=verify), load(DATA / "delta-v1", verify=verify)
    assert hin.ids("user").to_pylist() == ["ann", "משתמש", "مستخدم", "用户 四", "مولّد"]
    assert hin.observed().ids("item").to_pylist() == [10, -20, 2**40]
    assert hin.nodes["user"]["age"].to_pylist() == [30, None, 41, 7, 5]
    assert hin.nodes["item"]["title"].to_pylist() == ["One", "Zwei", "Drei – ü"]
    assert hin.nodes["item"]["x"].to_pylist() == [[1, 2], None, [5, 6]]
    assert hin.nodes["item"]["kind"].to_pylist() == ["a", "b", "a"]
    assert hin.nodes["item"]["adult"].to_pylist() == [True, None, False]
    assert hin.n("tag") == hin.n(("item", "has tag/../x", "tag")) == 0
    rates = hin.edges[RATES].to_pydict()
    assert (rates["src"], rates["dst"], rates["time"]) == (
        [1, 3, 4, 0],
        [1, 2, 0, 1],
        [2, 4, None, None],
    )
    assert (rates["rating"], rates["confidence"]) == ([None, 2, 4, 3], [None, None, 0.25, 1])
    assert rates["origin"] == [None, None, "maker", "maker"]
    assert hin.schema.nodes["item"]["title"].lineage == "aggregate"
    assert hin.schema.edge_lineage[RATES] == "row"
    assert hin.deltas == (delta,)
    assert delta.uid == "e83b66524e90fe38aac62902f3f14042ab15c74a95982144ddf7a15a934b28b4"
    assert hin.fingerprint() == "fbae9caf5bab1e72f42c6d2ba551892ceb14f564d65be47de717e7b1a229aa53"
    assert delta.fitted_on == (hin.observed().fingerprint(),)
    assert (hin - delta).n(RATES) == 4


def test_what_is_saved_today_is_what_was_saved_then(tmp_path):
    save(load(DATA / "store-v1"), tmp_path / "s")
    then, now = (
        json.loads((f / "schema.json").read_text()) for f in (DATA / "store-v1", tmp_path / "s")
    )
    assert now["root"] == then["root"]
    assert {n: t["rows"] for n, t in now["tables"].items()} == {
        n: t["rows"] for n, t in then["tables"].items()
    }


# ---- kills, disks, writers -----------------------------------------------------------------------

KILLS = """
import os, random, signal, sys, time
import numpy as np
from hinaug.graph.hin import HIN
from hinaug.io.store import load, save

os.fsync = lambda descriptor: None  # a kill takes nothing from the disk's cache
path, lost, torn = sys.argv[1], [], 0
graphs = [HIN({"u": {"id": np.arange(n), "k": [n] * n}, "v": {"id": ["same"]}}, {}) for n in (500, 600)]
save(graphs[0], path)
start = time.perf_counter()
for _ in range(4):
    save(graphs[1], path); save(graphs[0], path)
once = (time.perf_counter() - start) / 8
chance = random.Random(0)
for kill in range(200):
    child = os.fork()
    if not child:
        while True:
            for hin in graphs:
                save(hin, path)
    time.sleep(chance.uniform(0, 3 * once))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    torn += any(name.endswith(".tmp") for name in os.listdir(path)) or len(os.listdir(path)) != 3
    hin = load(path)
    if set(hin.nodes["u"]["k"].to_pylist()) != {hin.n("u")} or hin.n("u") not in (500, 600):
        lost.append(kill)
save(graphs[0], path)
print(len(lost), torn, len(os.listdir(path)))
"""


def test_two_hundred_kills_lose_no_store(tmp_path):
    lost, torn, left = map(int, run(KILLS, str(tmp_path / "s")).split())
    assert lost == 0
    assert torn > 20  # the kills did hit saves under way
    assert left == 3


WRITER = """
import os, sys
from hinaug.graph.hin import HIN
from hinaug.errors import StoreError
from hinaug.io.store import save

os.fsync = lambda descriptor: None
n, done = int(sys.argv[2]), 0
hin = HIN({"u": {"id": list(range(n)), "k": [n] * n}}, {})
for round in range(40):
    try:
        save(hin, f"{sys.argv[1]}/{round}", overwrite=sys.argv[3] == "over")
        done += 1
    except StoreError as error:
        assert "holds a store already" in str(error), error
print(done)
"""


@pytest.mark.parametrize("mode", ["over", "once"])
def test_two_writers_at_once(tmp_path, mode):
    both = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), n, mode],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENV,
        )
        for n in ("50", "60")
    ]
    out = [child.communicate(timeout=60) for child in both]
    assert [child.returncode for child in both] == [0, 0], out
    done = [int(o) for o, _ in out]
    assert (
        done == [40, 40] if mode == "over" else sum(done) == 40
    )  # who said overwrite=False overwrote nothing
    for round in range(40):
        hin = load(tmp_path / str(round))
        assert set(hin.nodes["u"]["k"].to_pylist()) == {hin.n("u")}
        assert len(os.listdir(tmp_path / str(round))) == 2


FULL = """
import dataclasses, os, resource, signal, sys
import numpy as np
from hinaug.graph.hin import HIN
from hinaug.errors import StoreError
from hinaug.io.store import load, save

@dataclasses.dataclass
class Thing:
    graph: object

path, before = sys.argv[1], sys.argv[2] == "store"
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
old = HIN({"u": {"id": ["old"]}}, {})
thing = Thing(HIN({"u": {"id": list(range(300))}}, {}))
thing.array_ = np.arange(2000)
refused = 0
for size in [0, 1, 8, 100, 270, *range(500, 20000, 487), 10**6]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**9, -1))
    if before:
        save(old, path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, -1))
    try:
        save(thing, path)
    except StoreError as error:
        refused += 1
        assert "what was there before is unchanged" in str(error), error
        if before:
            assert load(path).equals(old) and len(os.listdir(path)) == 2
        else:
            assert not os.path.exists(path)
    else:
        assert size > 16000
        assert load(path, classes=[Thing]).graph.n("u") == 300
        import shutil; shutil.rmtree(path)
print(refused)
"""


@pytest.mark.parametrize("before", ["nothing", "store"])
def test_a_disk_that_takes_no_more_than_so_many_bytes(tmp_path, before):
    assert int(run(FULL, str(tmp_path / "s"), before)) > 30


# ---- forged files --------------------------------------------------------------------------------

FORGED = """
import sys
from pathlib import Path
from hinaug.errors import StoreError
from hinaug.io.store import load

good = bad = 0
for folder in sorted(Path(sys.argv[1]).iterdir()):
    try:
        hin = load(folder)
        for type in [*hin.nodes, *hin.edges]:
            hin.table(type).to_pylist()
        for type in hin.edges:
            hin.adjacency(type)
        good += 1
    except StoreError:
        bad += 1
print(good, bad)
"""


def forge(folder: Path, name: str, content: bytes) -> None:
    """Give a table of a store other bytes, with names, sizes and checksums that fit."""
    text = (folder / "schema.json").read_text()
    sha256, old = hashlib.sha256(content).hexdigest(), name.removesuffix(".arrow")
    manifest = json.loads(text.replace(old + ".arrow", sha256[:32] + ".arrow"))
    for entry in manifest["tables"].values():
        if entry["file"] == sha256[:32] + ".arrow":
            entry.update(bytes=len(content), sha256=sha256)
    (folder / name).unlink()
    (folder / f"{sha256[:32]}.arrow").write_bytes(content)
    manifest["sha256"] = io.manifest_hash(manifest)
    (folder / "schema.json").write_text(json.dumps(manifest))


def test_forged_tables_with_checksums_that_fit_never_crash(tmp_path):
    """Huge counts, negative offsets, lengths past the end: every region of the file, in a process
    that may die of it.
    """
    rng = np.random.default_rng(0)
    hin = HIN(
        {
            "u": {"id": ["a", "bb", "ccc"], "t": ["x", None, "y"]},
            "i": {"id": [1, 2], "x": np.ones((2, 2))},
        },
        {("u", "r", "i"): {"src": [0, 1, 2], "dst": [0, 1, 1], "w": [1.0, None, 2.0]}},
    )
    save(hin, tmp_path / "good")
    (tmp_path / "bad").mkdir()
    count = 0
    for path in sorted((tmp_path / "good").glob("*.arrow")):
        content = path.read_bytes()
        for at in range(8, len(content) - 8, 31):
            for value in (b"\xff" * 4, b"\x00" * 4, b"\xff\xff\xff\x7f", rng.bytes(4)):
                shutil.copytree(tmp_path / "good", tmp_path / "bad" / str(count))
                forge(
                    tmp_path / "bad" / str(count),
                    path.name,
                    content[:at] + value + content[at + 4 :],
                )
                count += 1
    good, bad = map(int, run(FORGED, str(tmp_path / "bad")).split())
    assert good + bad == count
    assert bad > count // 4


def test_links_that_lead_out_are_refused(tmp_path):
    save(HIN({"u": {"id": ["a"]}}, {}), tmp_path / "s")
    for name in sorted(os.listdir(tmp_path / "s")):
        (tmp_path / "s" / name).rename(tmp_path / name)
        (tmp_path / "s" / name).symlink_to(tmp_path / name)
        with raises(StoreError, asked=str(tmp_path / "s" / name)):
            load(tmp_path / "s")
        (tmp_path / "s" / name).unlink()
        (tmp_path / name).rename(tmp_path / "s" / name)
    outside = tmp_path / "precious"
    outside.write_text("x")
    (tmp_path / "s" / "schema.json").unlink()
    (tmp_path / "s" / "schema.json").symlink_to(outside)
    save(HIN({"u": {"id": ["b"]}}, {}), tmp_path / "s")  # takes the place of the link
    assert load(tmp_path / "s").ids("u").to_pylist() == ["b"]
    assert outside.read_text() == "x"


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "con", "n" * 300, "a\0b", "..", ".", "x.arrow", "schema.json", "א/ب"]
)
def test_odd_names_of_types_stay_inside_their_store(tmp_path, name):
    hin = HIN({name: {"id": [name], name: [1]}}, {(name, name, name): {"src": [0], "dst": [0]}})
    save(hin, tmp_path / "a" / "s")
    assert load(tmp_path / "a" / "s") == hin
    delta = Delta({name: {"id": ["new"]}})
    save(hin + delta, tmp_path / "a" / "s")
    assert load(tmp_path / "a" / "s") == hin + delta
    assert os.listdir(tmp_path) == ["a"]
    assert os.listdir(tmp_path / "a") == ["s"]


# ---- whatever a user passes in -------------------------------------------------------------------

surrogates = st.text(st.characters(), max_size=3)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | surrogates
    | st.binary(max_size=3)
    | st.sampled_from(
        [np.nan, "", "a", "b", 1, 2, -1, "\x00", "ن", np.float32(1), pd.Timestamp(0), 1j, object]
    )
)
few = st.sampled_from(["a", "b", "c", "ن", "", 1])


def columns() -> st.SearchStrategy:
    lists = (
        st.lists(few, max_size=4)
        | st.lists(scalars, max_size=4)
        | st.lists(st.lists(scalars, max_size=2), max_size=3)
    )
    shapes = [
        np.zeros((2, 2)),
        np.zeros((2, 0)),
        np.zeros(()),
        np.array(["a", "b"]),
        np.array([2**63], np.uint64),
    ]
    made = [
        pd.Series(["a", None]),
        pd.Categorical(["a", "b"]),
        pa.array(["a", "b"]),
        pa.chunked_array([["a"], ["b"]]),
        3,
    ]
    return lists | st.sampled_from(
        [*shapes, *made, pa.array([[], [1.0]]), pa.array([{"a": 1}]), pa.nulls(2)]
    )


def tables_like(*names: str) -> st.SearchStrategy:
    keys = (
        st.sampled_from([*names, "rating", "confidence", "origin", "key", "value", "", 3])
        | surrogates
    )
    return st.dictionaries(keys, columns(), max_size=4) | st.fixed_dictionaries(
        {n: st.lists(few, max_size=4) for n in names}
    )


node_types = st.sampled_from(["user", "item", "user", "", 3, None, ("a",)]) | surrogates
edge_types = st.sampled_from(
    [RATES, RATES, ("user", "knows", "user"), ("a", "b"), "rates", (1, 2, 3), None]
)


def documented(
    call: Callable[[], Any], kinds: tuple[type[Exception], ...] = (ValueError, TypeError)
) -> Any:
    """The result, or None where one of our own sentences was raised; anything from inside a library
    is a failure.
    """
    try:
        return call()
    except kinds as caught:
        error = caught
    raised = traceback.extract_tb(error.__traceback__)[-1]
    if not (str(error) and Path(raised.filename).is_relative_to(Path(io.__file__).parents[2])):
        raise error
    return None


fuzz = settings(
    max_examples=FUZZ or 100,
    derandomize=not FUZZ,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)


@fuzz
@given(
    st.dictionaries(node_types, tables_like("id"), max_size=2),
    st.dictionaries(edge_types, tables_like("src", "dst"), max_size=2),
)
def test_fuzz_from_tables(nodes, edges):
    hin = documented(lambda: HIN.from_tables(nodes, edges))
    if hin is not None:
        assert len(hin.fingerprint()) == 64
        assert hin.summary()
        assert hin == HIN(dict(hin.nodes), dict(hin.edges))


@fuzz
@given(
    st.dictionaries(node_types, tables_like("id"), max_size=2),
    st.dictionaries(edge_types, tables_like("src", "dst"), max_size=2),
    st.dictionaries(edge_types, tables_like("src", "dst"), max_size=1),
    st.dictionaries(st.tuples(node_types, surrogates), tables_like("id", "value"), max_size=1),
)
def test_fuzz_delta(nodes, edges, masks, values):
    base = HIN.from_tables(
        {"user": {"id": ["b", "z"]}, "item": {"id": [1, 2]}}, {RATES: {"src": ["b"], "dst": [1]}}
    )
    delta = documented(lambda: Delta(nodes, edges, masks, values))
    if delta is not None:
        once = documented(lambda: merge([delta]))
        assert once is None or len(once) <= len(delta)
        both = documented(lambda: base + delta)
        if both is not None:
            assert both - delta == base
            for type in [*both.nodes, *both.edges]:
                documented(lambda type=type: both.table(type))


@fuzz
@given(st.data())
def test_fuzz_splitters_and_recommend(graphs, data):
    hin = data.draw(graphs())
    target = data.draw(
        st.sampled_from([RATES, RATES, RATES, ("user", "knows", "user"), ("a", "b", "c")])
    )
    size = st.sampled_from([0, 0.1, 0.5, 1, 2, -1, 1.5])
    shares = {"valid": data.draw(size), "test": data.draw(size)}
    how = data.draw(
        st.sampled_from([random_split, leave_last, temporal_split, cold_users, cold_items])
    )
    seeded = {} if how in (leave_last, temporal_split) else {"rng": 0}
    extra = data.draw(
        st.sampled_from(
            [{}, {}, {"evidence": ["tag"]}, {"evidence": ["item"]}, {"evidence": ["none"]}]
        )
    )
    split = documented(lambda: how(hin, target, **shares, **seeded, **extra))
    if split is None:
        return
    assert split.train_valid.n(target) >= split.train.n(target)
    documented(lambda: thin(split, 0.5, rng=0))
    model = documented(lambda: Popularity(target).fit(split.train))
    if model is not None:
        users = data.draw(
            st.lists(st.sampled_from([*hin.nodes["user"]["id"].to_pylist(), "nobody"]), max_size=3)
        )
        k = data.draw(st.sampled_from([1, 10, 0, -1]))
        out = documented(lambda: recommend(model, split.train, users, k))
        assert out is None or out.column_names == ["user", "item", "score", "rank"]
