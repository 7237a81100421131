"""A graph larger than memory, many texts, and many lists, each in one command under a limit of
memory.

    python benchmarks/scale.py store [--edges 1e6] [--limit 4] [--audit 60] [--folder FOLDER] [--keep]
        [--json FILE]
    python benchmarks/scale.py texts [--texts 1e6] [--model FOLDER]
    python benchmarks/scale.py top [--users 1e6] [--items 2e4]

store: writes edges in chunks as Parquet files with the user's own ids (40 edges a user, 250 an
item, powers of the rank), then builds the graph from them, saves it, opens it, appends 1 % of edges
to the store, splits it at random and by the last pairs, audits the split within its budget, makes
the CSR matrix, propagates three layers of d = 64, and evaluates popularity for 10,000 users.

texts: vectors of texts of 8 to 16 words by static vectors (FOLDER as model2vec writes it), as
`hinaug embed --quick` makes them in one process, and the graph with them saved.

top: 20 items for each user, by ALS (64 columns) that is fitted on ten links a user, as
`hinaug recommend --out` writes them in one process.

Each step prints CPU seconds, CPU nanoseconds an edge (a text, a user), the private memory (RssAnon)
and the most that was resident since the step began (VmHWM, which counts pages of mapped files, that
the system takes back as it needs them). The limit in GB is memory.max of a new cgroup where one may
be made, else RLIMIT_DATA. Everything runs on one thread. 100 M edges need about 30 GB of disk in
FOLDER. With --keep the edges and the saved graph stay there, and the next run starts from them.

glibc keeps freed blocks below 32 MB for later, which a limit counts; so blocks of 4 MB and more are
taken from the system one by one (as MALLOC_MMAP_THRESHOLD_=4194304 does for any program).
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # others reserve 1 GB of the limit

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.compute as pc  # noqa: E402
import pyarrow.dataset as ds  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

RELATION = ("user", "rates", "item")
CHUNK = 5_000_000
M_MMAP_THRESHOLD = -3  # of mallopt
D, LAYERS, RANKED = 64, 3, 10_000


def limited(gigabytes: float) -> str:
    """Sets the limit of memory; says which one."""
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 4 << 20)
    size = int(gigabytes * 2**30)
    group = Path("/sys/fs/cgroup") / f"hinaug-{os.getpid()}"
    try:
        if not (group.parent / "cgroup.subtree_control").exists():
            raise OSError("no cgroups of version 2")
        group.mkdir()
        (group / "memory.max").write_text(str(size))
        (group / "cgroup.procs").write_text(str(os.getpid()))
        return f"cgroup memory.max {gigabytes:g} GB"
    except OSError:
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
        return f"RLIMIT_DATA {gigabytes:g} GB"


def status(name: str) -> float:
    """A line of /proc/self/status in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return float("nan")


class Watch:
    """The most private memory while a step runs."""

    def __enter__(self) -> Watch:
        self.anon, self.done = 0.0, threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def _watch(self) -> None:
        while not self.done.wait(0.05):
            self.anon = max(self.anon, status("RssAnon"))

    def __exit__(self, *error: object) -> None:
        self.anon = max(self.anon, status("RssAnon"))
        self.done.set()
        self.thread.join()


class Steps:
    """Runs steps and prints what they took."""

    def __init__(self, part: str, unit: str, n: int, file: str | None) -> None:
        self.of, self.n, self.file = {"part": part, f"{unit}s": n}, n, file
        each = f"ns/{unit}"
        print(f"{'step':<12}{'CPU s':>9}{'wall s':>9}{each:>9}{'anon MB':>9}{'HWM MB':>9}")

    def __call__(self, name: str, step: Callable[[], Any], note: Callable[[Any], str] = str) -> Any:
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts anew
        cpu, wall = time.process_time(), time.perf_counter()
        with Watch() as watch:
            out = step()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        said = "" if note is str else note(out)
        row = (cpu, wall, 1e9 * cpu / self.n, watch.anon, status("VmHWM"))
        print(
            f"{name:<12}{row[0]:>9.2f}{row[1]:>9.2f}{row[2]:>9.0f}{row[3]:>9.0f}{row[4]:>9.0f}"
            f"  {said}",
            flush=True,
        )
        if self.file:
            line = {
                "cpu_s": round(cpu, 2),
                "ns_edge": round(row[2]),
                "anon_mb": round(row[3]),
                "hwm_mb": round(row[4]),
            }
            with open(self.file, "a") as file:
                file.write(json.dumps({**self.of, "step": name, **line, "said": said}) + "\n")
        return out


def ends(n: int, start: float, power: float) -> tuple[np.ndarray, np.ndarray]:
    """Cumulated popularity of n nodes, and which node has each rank."""
    total = np.cumsum((np.arange(n) + start) ** -power)
    return total / total[-1], np.random.default_rng(n).permutation(n).astype(np.int32)


def chunks(edges: int, n_users: int, n_items: int, seed: int) -> Iterator[pa.Table]:
    """Edges with external ids, ratings and times."""
    rng = np.random.default_rng(seed)
    sides = [(*ends(n_users, 30.0, 0.5), "u"), (*ends(n_items, 30.0, 0.8), "i")]
    for start in range(0, edges, CHUNK):
        n = min(CHUNK, edges - start)
        columns = {}
        for name, (popular, node, letter) in zip(("src", "dst"), sides, strict=True):
            at = np.minimum(np.searchsorted(popular, rng.random(n)), len(node) - 1)
            columns[name] = ids(letter, node[at])
        columns["rating"] = pa.array(rng.integers(1, 6, n, dtype=np.uint8))
        columns["time"] = pa.array(rng.integers(1.2e9, 1.6e9, n, dtype=np.int32))
        yield pa.table(columns)


def ids(letter: str, numbers: Any) -> pa.Array:
    return pc.binary_join_element_wise(letter, pa.array(numbers).cast(pa.string()), "")


def write(folder: Path, edges: int, n_users: int, n_items: int) -> None:
    part = folder.with_suffix(".partial")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for n, table in enumerate(chunks(edges, n_users, n_items, 0)):
        pq.write_table(table, part / f"{n:05d}.parquet")
    part.rename(folder)


def stored(steps: Steps, edges: int, folder: Path, seconds: float) -> None:
    """Every step, one after another."""
    from hinaug.evaluation import evaluate
    from hinaug.io import load, save
    from hinaug.io.store import append_edges
    from hinaug.predictors import Popularity
    from hinaug.split import audit, leave_last, random_split

    n_users, n_items = edges // 40, edges // 250
    if not (folder / "store").exists():
        _made(steps, edges, folder, n_users, n_items)
    hin = steps("load", lambda: load(folder / "store", verify=False))
    shutil.copytree(folder / "store", folder / "more")
    more = chunks(edges // 100, n_users, n_items, 1)
    steps("append 1 %", lambda: append_edges(folder / "more", RELATION, more))
    shutil.rmtree(folder / "more")
    kept = [steps("leave last", lambda: leave_last(hin, RELATION), sizes)]
    steps("save split", lambda: save(kept.pop(), folder / "split"))
    shutil.rmtree(folder / "split")
    split = steps("random", lambda: random_split(hin, RELATION, rng=0), sizes)
    if seconds:
        steps("audit", lambda: audit(split, seconds=seconds, memory=2 * 2**30), first_line)
    links = steps("csr", lambda: split.train.adjacency(RELATION))
    importlib.import_module("hinaug.nn")  # torch takes a second
    steps("propagate", lambda: propagate(links))
    model = Popularity(RELATION).fit(split.train)
    few = thinned(split)
    result = steps("evaluate", lambda: evaluate(model, split.train, few, k=20, on="test"))
    print(f"NDCG@20 of popularity {result['NDCG@20']:.4f}")


def _made(steps: Steps, edges: int, folder: Path, n_users: int, n_items: int) -> None:
    """Edges written as Parquet files, and the graph built from them and saved."""
    from hinaug.graph.hin import HIN
    from hinaug.io import save

    if not (folder / "rows").exists():
        steps("write", lambda: write(folder / "rows", edges, n_users, n_items))
    nodes = {
        type: {"id": ids(type[0], np.arange(n, dtype=np.int32))}
        for type, n in (("user", n_users), ("item", n_items))
    }

    def build() -> HIN:
        return HIN.from_tables(nodes, {RELATION: ds.dataset(folder / "rows")}, lineage="row")

    hin = steps("build", build)
    steps("save", lambda: save(hin, folder / "store"))
    shutil.rmtree(folder / "rows")


def propagate(links: Any) -> None:
    import torch

    from hinaug.nn import BipartitePropagation

    torch.set_num_threads(1)
    users, items = (torch.full((n, D), 0.1) for n in links.shape)
    with torch.no_grad():
        BipartitePropagation(links, LAYERS)(users, items)


def thinned(split: Any) -> Any:
    """The split with the held-out test pairs of the first users alone."""
    from dataclasses import replace

    users = pc.unique(split.test["src"])[:RANKED]
    return replace(split, test=split.test.filter(pc.is_in(split.test["src"], value_set=users)))


# ---- many texts, many lists -------------------------------------------------------------------


def written(n: int, seed: int = 0) -> pa.Array:
    """Texts of 8 to 16 words of two to four syllables."""
    rng = np.random.default_rng(seed)
    syllables = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
    lengths = rng.integers(2, 5, 20_000)
    words = ["".join(rng.choice(syllables, length)) for length in lengths]
    counts = rng.integers(8, 17, n)
    drawn = pa.array(words).take(pa.array(rng.integers(0, len(words), counts.sum())))
    bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(bounds), drawn), " ")


def embedded(steps: Steps, n: int, model: str, folder: Path) -> None:
    """Vectors of n texts, in shards of one process."""
    from hinaug.features.text import StaticEncoder, embed_text
    from hinaug.graph.hin import HIN
    from hinaug.io import save
    from hinaug.serving import ShardedEncoder

    table = pa.table({"id": ids("i", np.arange(n, dtype=np.int32)), "text": written(n)})
    hin = HIN.from_tables({"item": table}, {}, lineage="row")
    encoder = ShardedEncoder(StaticEncoder(model), folder / "shards")
    made = steps("encode", lambda: embed_text(hin, "item", encoder, "text", "x"))
    steps("save", lambda: save(made, folder / "store"))


def listed(steps: Steps, users: int, items: int, folder: Path) -> None:
    """20 items for each user, in shards of one process."""
    from hinaug.graph.hin import HIN
    from hinaug.io import save
    from hinaug.predictors import ALS
    from hinaug.serving.shards import Recommend, in_shards

    nodes = {
        type: {"id": ids(type[0], np.arange(n, dtype=np.int32))}
        for type, n in (("user", users), ("item", items))
    }
    parts = (table.select(["src", "dst"]) for table in chunks(10 * users, users, items, 0))
    hin = steps("build", lambda: HIN.from_tables(nodes, {RELATION: parts}))
    save(hin, folder / "store")
    model = ALS(RELATION, embedding_dim=D, epochs=2)
    steps("fit", lambda: model.fit(hin, rng=0))
    save(model, folder / "model")
    asked = tuple(hin.ids("user").to_pylist())
    job = Recommend(str(folder / "model"), str(folder / "store"), asked, 20)
    files = steps("lists", lambda: in_shards(job, users, folder / "lists"))
    rows = sum(pq.read_metadata(file).num_rows for file in files)
    print(f"{rows:,} rows in {len(files):,} files")


def first_line(audit: Any) -> str:
    return str(audit).splitlines()[0]


def sizes(split: Any) -> str:
    n = split.train.n(RELATION), split.valid.num_rows, split.test.num_rows
    return "{:,} train, {:,} valid, {:,} test".format(*n)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["store", "texts", "top"])
    parser.add_argument("--edges", type=float, default=1e6)
    parser.add_argument("--texts", type=float, default=1e6)
    parser.add_argument("--users", type=float, default=1e6)
    parser.add_argument("--items", type=float, default=2e4)
    parser.add_argument("--model", default="potion", help="static vectors")
    parser.add_argument("--limit", type=float, default=4.0, help="GB")
    parser.add_argument("--audit", type=float, default=60.0, help="seconds; 0 for none")
    parser.add_argument("--folder", type=Path, help="for files, also temporary ones")
    parser.add_argument("--keep", action="store_true", help="keep the saved graph in FOLDER")
    parser.add_argument("--json", help="a file to append the rows to")
    given = parser.parse_args(arguments)
    if given.folder:
        given.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="hinaug-scale-") as folder:
        tempfile.tempdir = folder
        print(f"{given.part}, {limited(given.limit)}, one thread")
        run(given, Path(folder))


def run(given: argparse.Namespace, folder: Path) -> None:
    """The part that was asked for."""
    edges, texts, users = (int(n) for n in (given.edges, given.texts, given.users))
    if given.part == "texts":
        embedded(Steps("texts", "text", texts, given.json), texts, given.model, folder)
    elif given.part == "top":
        steps = Steps("top", "user", users, given.json)
        listed(steps, users, int(given.items), folder)
    else:
        place = given.folder if given.keep else folder
        stored(Steps("store", "edge", edges, given.json), edges, place, given.audit)


if __name__ == "__main__":
    sys.exit(main())
