"""The store beside its peers, one thread: build, adjacency, bytes, opening, metapaths, kills. Exits
with 1 if a bar is missed.

    python benchmarks/store.py                # against PyG by hand and networkx
    python benchmarks/store.py --peer         # against LensKit too; it gets an environment of its own in the cache folder
    python benchmarks/store.py --pairs 9      # against LensKit alone, in turns: medians of the ratios
    python benchmarks/store.py --kills 200    # 200 saves killed at random moments

Every build runs in a fresh process with the same DataFrames: 1 M rated edges with times, 200 k
reviews, string ids, once with strings as Python objects and once as Arrow strings. Held memory is
the growth of the resident set while the frames stay alive, or the buffers of the graph (which may
be those of the frames) where that is more.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RATES, WRITES, ABOUT = (
    ("user", "rates", "item"),
    ("user", "writes", "review"),
    ("review", "about", "item"),
)
LENSKIT = "lenskit==2025.8.1"
ENV = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "TOKENIZERS_PARALLELISM": "false",
}


def frames(
    kind: str,
    users: int = 100_000,
    items: int = 50_000,
    edges: int = 1_000_000,
    reviews: int = 200_000,
) -> Any:
    """({type: DataFrame}, {edge type: DataFrame}) with ids as `kind` of strings, "object" or
    "arrow".
    """
    import pandas as pd
    import pyarrow as pa

    rng = np.random.default_rng(0)
    strings = object if kind == "object" else pd.ArrowDtype(pa.string())
    ids = {
        name: np.array([f"{name[0].upper()}{i * 7919:010d}" for i in range(n)], object)
        for name, n in (("user", users), ("item", items), ("review", reviews))
    }
    src, dst = rng.integers(0, users, edges), rng.integers(0, items, edges)
    some = rng.choice(edges, reviews, replace=False)

    def series(type: str, rows: Any = slice(None)) -> Any:
        return pd.Series(ids[type][rows], dtype=strings)

    rates = {
        "src": series("user", src),
        "dst": series("item", dst),
        "rating": rng.integers(1, 6, edges).astype(float),
    }
    return {name: pd.DataFrame({"id": series(name)}) for name in ids}, {
        RATES: pd.DataFrame({**rates, "time": rng.integers(10**9, 2 * 10**9, edges)}),
        WRITES: pd.DataFrame({"src": series("user", src[some]), "dst": series("review")}),
        ABOUT: pd.DataFrame({"src": series("review"), "dst": series("item", dst[some])}),
    }


# ---- four ways to build --------------------------------------------------------------------------


def build_hinaug(nodes: Any, edges: Any) -> Any:
    from hinaug.graph.hin import HIN

    return HIN.from_tables(nodes, edges)


def build_pyg(nodes: Any, edges: Any) -> Any:
    """As one writes it by hand: codes by pandas, nothing checked, ids kept in the frames alone."""
    import pandas as pd
    import torch
    from torch_geometric.data import HeteroData

    data = HeteroData()
    index = {name: pd.Index(frame["id"]) for name, frame in nodes.items()}
    for name, frame in nodes.items():
        data[name].num_nodes = len(frame)
    for (source, relation, target), frame in edges.items():
        ends = [
            index[node].get_indexer(frame[side])
            for node, side in ((source, "src"), (target, "dst"))
        ]
        data[source, relation, target].edge_index = torch.from_numpy(np.stack(ends))
    data[RATES].rating = torch.from_numpy(edges[RATES]["rating"].to_numpy(np.float32))
    data[RATES].time = torch.from_numpy(edges[RATES]["time"].to_numpy().copy())
    return data


def build_networkx(nodes: Any, edges: Any) -> Any:
    import networkx as nx

    graph = nx.MultiDiGraph()
    for name, frame in nodes.items():
        graph.add_nodes_from((name, i) for i in frame["id"])
    for (source, relation, target), frame in edges.items():
        attributes = frame.drop(columns=["src", "dst"]).to_dict("records") or [{}] * len(frame)
        graph.add_edges_from(
            ((source, s), (target, d), relation, a)
            for s, d, a in zip(frame["src"], frame["dst"], attributes, strict=True)
        )
    return graph


def build_lenskit(nodes: Any, edges: Any) -> Any:
    from lenskit.data import DatasetBuilder

    builder = DatasetBuilder()
    for name, frame in nodes.items():
        builder.add_entities(name, frame["id"])
    for (source, relation, target), frame in edges.items():
        ends = {"src": f"{source}_id", "dst": f"{target}_id", "time": "timestamp"}
        add = builder.add_interactions if relation == "rates" else builder.add_relationships
        add(relation, frame.rename(columns=ends), entities=[source, target])
    return builder.build()


def buffers(graph: Any) -> int:
    tables = (
        [graph.table(t) for t in [*graph.nodes, *graph.edges]]
        if hasattr(graph, "fingerprint")
        else []
    )
    return sum(table.get_total_buffer_size() for table in tables)


def resident() -> int:
    import ctypes

    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure_build(name: str, kind: str, rounds: int) -> dict[str, float]:
    build = {
        "hinaug": build_hinaug,
        "PyG by hand": build_pyg,
        "networkx": build_networkx,
        "LensKit": build_lenskit,
    }[name]
    import pyarrow as pa

    pa.set_cpu_count(1)
    if "torch" in sys.modules or name == "PyG by hand":
        importlib.import_module("torch").set_num_threads(1)
    small = frames(kind, 10, 10, 20, 5)
    build(*small)  # imports
    nodes, edges = frames(kind)
    walls, cpus, held = [], [], []
    for _ in range(rounds):
        graph = None
        before = resident()
        wall, cpu = time.perf_counter(), time.process_time()
        graph = build(nodes, edges)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        held.append(max(resident() - before, buffers(graph)))
    return {
        "wall": min(walls),
        "cpu": min(cpus),
        "held": held[0] / 1e6,
    }  # later rounds fill what the first left free


# ---- adjacency, opening, metapaths ---------------------------------------------------------------


def big(
    repeats: bool, edges: int = 10_000_000, users: int = 1_000_000, items: int = 200_000
) -> Any:
    from hinaug.graph.hin import HIN

    rng = np.random.default_rng(0)
    src, dst = rng.integers(0, users, edges, np.int32), rng.integers(0, items, edges, np.int32)
    if repeats:
        rows = rng.integers(0, edges // 2, edges)
        src, dst = src[rows], dst[rows]
    table = {"src": src, "dst": dst, "rating": rng.integers(1, 6, edges).astype(np.float32)}
    return HIN({"user": {"id": np.arange(users)}, "item": {"id": np.arange(items)}}, {RATES: table})


def best(run: Callable[[], Any], rounds: int = 3) -> tuple[float, float]:
    """Least wall and CPU seconds."""
    walls, cpus = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return min(walls), min(cpus)


def measure_matrices() -> dict[str, Any]:
    from hinaug.io.store import load, save

    out: dict[str, Any] = {}
    for repeats in (False, True):
        hin = big(repeats)
        table = hin.edges[RATES].select(["src", "dst"]).nbytes
        for duplicates in ("binary", "sum", "mean", "max", "last"):

            def adjacency(hin: Any = hin, duplicates: str = duplicates) -> Any:
                hin._cache.clear()
                return hin.adjacency(
                    RATES, None if duplicates == "binary" else "rating", duplicates
                )

            out[f"adjacency {duplicates}{', repeated pairs' if repeats else ''}"] = best(adjacency)
        matrix = adjacency()
        parts = sum(p.nbytes for p in (matrix.data, matrix.indices, matrix.indptr))
        out["bytes an edge"] = max(out.get("bytes an edge", 0), (table + parts) / hin.n(RATES))
    with tempfile.TemporaryDirectory() as folder:
        save(hin, Path(folder) / "s")
        out["open, mapped"] = best(lambda: load(Path(folder) / "s", verify=False))
        out["open, verified"] = best(lambda: load(Path(folder) / "s"), 1)
    return out


def measure_metapath() -> dict[str, Any]:
    hin = big(False, 1_000_000, 200_000, 50_000)
    wall, _ = best(lambda: hin.metapath("user", "item", "user"), 1)
    before = resident()
    whole = hin.metapath("user", "item", "user")
    size = resident() - before
    nnz = whole.nnz
    del whole
    budget = nnz * 8 * 3 // 2
    blocked, _ = best(lambda: hin.metapath("user", "item", "user", memory=budget), 1)
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
    try:
        hin.metapath("user", "item", "user", memory=nnz)
        said = "no error"
    except MemoryError as error:
        said = str(error)
    return {
        "whole": wall,
        "blocked": blocked,
        "nnz": nnz,
        "held": size,
        "budget": budget,
        "peak": peak,
        "too small": said,
    }


# ---- kills ---------------------------------------------------------------------------------------

VICTIM = """
import sys
from hinaug.graph.hin import HIN
from hinaug.io.store import save
graphs = [HIN({"u": {"id": list(range(n)), "k": [n] * n}}, {}) for n in (5000, 6000)]
print("ready", flush=True)
for _ in range(10**9):
    for hin in graphs:
        save(hin, sys.argv[1])
"""


def kill_saves(times: int) -> tuple[int, int]:
    """(stores that were whole after a SIGKILL, kills)."""
    from hinaug.graph.hin import HIN
    from hinaug.io.store import load, save

    whole, rng = 0, np.random.default_rng()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s"
        save(HIN({"u": {"id": [1], "k": [1]}}, {}), path)
        for _ in range(times):
            child = subprocess.Popen(
                [sys.executable, "-c", VICTIM, str(path)], stdout=subprocess.PIPE, env=ENV
            )
            assert child.stdout
            child.stdout.readline()
            time.sleep(rng.uniform(0, 0.05))
            child.send_signal(signal.SIGKILL)
            child.communicate()
            hin = load(path)
            whole += set(hin.nodes["u"]["k"].to_pylist()) == {hin.n("u")}
    return whole, times


# ---- in turns with LensKit -----------------------------------------------------------------------

GOALS = {"arrow": 1.05, "object": 0.6}  # of LensKit's CPU seconds
MEMORY = 0.55


def paired(kind: str, pairs: int) -> dict[str, Any]:
    """Medians of hinaug / LensKit over pairs of processes that build one after the other."""
    python, found = peer_python(), []
    for _ in range(pairs):
        ours = child(sys.executable, "--rounds", "3", "--run", "hinaug", kind)
        theirs = child(python, "--rounds", "3", "--run", "LensKit", kind)
        found.append((ours, theirs))
    row: dict[str, Any] = {"part": "build", "strings": kind, "pairs": pairs}
    for name, goal in (("cpu", GOALS[kind]), ("held", MEMORY)):
        ratios = np.array([ours[name] / theirs[name] for ours, theirs in found])
        low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75]).round(2).tolist()
        both = np.median([[side[name] for side in pair] for pair in found], axis=0)
        row[name] = {
            "ratio": middle,
            "quartiles": [low, high],
            "goal": goal,
            "hinaug": round(float(both[0]), 2),
            "LensKit": round(float(both[1]), 2),
        }
    return row


# ---- putting it together -------------------------------------------------------------------------


def peer_python() -> Path:
    """The interpreter of LensKit's own environment, made once."""
    root = (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        / "hinaug"
        / "peers"
        / LENSKIT.replace("==", "-")
    )
    python = root / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", root], check=True)
    has = subprocess.run([python, "-c", "import lenskit.data"], capture_output=True).returncode == 0
    if not has:
        subprocess.run([python, "-m", "pip", "install", "--quiet", LENSKIT], check=True)
    return python


def child(python: Any, *args: str) -> dict[str, Any]:
    ran = subprocess.run([python, __file__, *args], env=ENV, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"{' '.join(args)} failed:\n{ran.stderr[-2000:]}")
    return json.loads(ran.stdout.splitlines()[-1])


def print_pairs(pairs: int, file: str | None) -> int:
    """Both kinds of strings; 1 where a goal is missed."""
    rows = []
    for kind in GOALS:
        rows.append(paired(kind, pairs))
        print(json.dumps(rows[-1]), flush=True)
    if file:
        with open(file, "a") as out:
            out.writelines(json.dumps(row) + "\n" for row in rows)
    return int(any(row[n]["ratio"] > row[n]["goal"] for row in rows for n in ("cpu", "held")))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--peer", action="store_true", help=f"run {LENSKIT} beside, in an environment of its own"
    )
    parser.add_argument(
        "--kills", type=int, default=0, help="kill so many saves and look for lost stores"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--only", choices=["build", "matrices", "metapath", "kills"], help="one part alone"
    )
    parser.add_argument("--pairs", type=int, help=f"medians of so many pairs with {LENSKIT}")
    parser.add_argument("--json", help="a file to append the rows of --pairs to")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)  # one measurement, in a child
    args = parser.parse_args()
    if args.pairs:
        return print_pairs(args.pairs, args.json)
    if args.run:
        what, kind = args.run
        measured = {"matrices": measure_matrices, "metapath": measure_metapath}.get(what)
        print(json.dumps(measured() if measured else measure_build(what, kind, args.rounds)))
        return 0

    missed: list[str] = []

    def row(name: str, shown: str, bar: bool | None = None, says: str = "") -> None:
        print(
            f"{name:<44}{shown:>34}  {'' if bar is None else 'ok' if bar else 'MISSED'} {says}",
            flush=True,
        )
        if bar is False:
            missed.append(name)

    if args.only in (None, "build"):
        for kind in ("object", "arrow"):
            runs = {
                "hinaug": (sys.executable, args.rounds),
                "PyG by hand": (sys.executable, args.rounds),
            }
            if args.peer:
                runs["LensKit"] = (str(peer_python()), args.rounds)
            if kind == "object":
                runs["networkx"] = (sys.executable, 1)
            got = {
                n: child(python, "--rounds", str(r), "--run", n, kind)
                for n, (python, r) in runs.items()
            }
            ours = got["hinaug"]
            for name, m in got.items():
                shown = f"{m['wall']:.2f} s, {m['cpu']:.2f} s CPU, {m['held']:.0f} MB"
                if name == "LensKit":
                    fast, small = ours["cpu"] / m["cpu"], ours["held"] / m["held"]
                    row(f"build, {kind} strings: {name}", shown)
                    row("  hinaug / LensKit, time", f"{fast:.2f}", fast <= 0.5, "at most half")
                    row("  hinaug / LensKit, memory", f"{small:.2f}", small <= 0.5, "at most half")
                elif name == "networkx":
                    row(
                        f"build, {kind} strings: {name}",
                        shown,
                        ours["cpu"] < m["cpu"] / 5,
                        "hinaug five times as fast",
                    )
                else:
                    row(f"build, {kind} strings: {name}", shown)
    if args.only in (None, "matrices"):
        for name, value in child(sys.executable, "--run", "matrices", "-").items():
            if name == "bytes an edge":
                row(
                    "edge table and adjacency",
                    f"{value:.1f} bytes an edge",
                    value <= 24,
                    "at most 24",
                )
            elif name.startswith("open"):
                row(
                    f"10 M edges, {name}",
                    f"{value[0]:.3f} s",
                    value[0] < 0.2 if "mapped" in name else None,
                    "under .2",
                )
            else:
                row(
                    f"10 M edges, {name}",
                    f"{value[0]:.2f} s, {value[1]:.2f} s CPU",
                    value[1] < 1,
                    "under 1 s of CPU",
                )
    if args.only in (None, "metapath"):
        m = child(sys.executable, "--run", "metapath", "-")
        row(
            "user-item-user, 1 M edges, whole",
            f"{m['whole']:.2f} s, {m['held'] / 1e6:.0f} MB, {m['nnz']:,} pairs",
        )
        row(
            "  in a budget",
            f"{m['blocked']:.2f} s in {m['budget'] / 1e6:.0f} MB",
            m["blocked"] < 2 * m["whole"] + 0.5,
        )
        row(
            "  in a budget too small",
            m["too small"][:30],
            "needs about" in m["too small"],
            m["too small"],
        )
    if args.kills or args.only == "kills":
        whole, times = kill_saves(args.kills or 200)
        row("saves killed, stores whole", f"{whole} of {times}", whole == times)
    print(f"{len(missed)} bars missed" if missed else "every bar holds")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
