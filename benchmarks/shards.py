"""The verbs recommend and embed by one process, by several and by Ray: bytes, seconds, and what is
left over.

    python benchmarks/shards.py [--users 2e5] [--texts 2e5] [--model FOLDER] [--workers 2]
        [--rounds 3] [--no-ray] [--json FILE]

recommend: 20 of 5,000 items for each user, by ALS with 64 columns. embed: texts of 8 to 16 words by
static vectors (FOLDER as model2vec writes it). The ways take turns. CPU seconds are of all
processes that a command starts, looked at ten times a second; "starts" is the time until the first
shard is there. Files are compared byte by byte. What still runs five seconds after a command has
ended counts as left over.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa
from scale import RELATION, chunks, ids, written

from hinaug import HIN, save
from hinaug.predictors import ALS

ITEMS, LINKS = 5000, 10
TICK = os.sysconf("SC_CLK_TCK")


class Family:
    """A process and all that come from it, with the CPU seconds that each has used."""

    def __init__(self, root: int) -> None:
        self.root = root
        self.used: dict[tuple[int, str], float] = {}

    def look(self) -> None:
        """Add what has run since the last look."""
        family = {self.root}
        for pid, (parent, start, used) in sorted(processes().items()):
            if pid in family or parent in family or (pid, start) in self.used:
                family.add(pid)
                self.used[pid, start] = used

    def left(self) -> int:
        """How many of them still run."""
        there = {(pid, start) for pid, (_, start, _) in processes().items()}
        return len(there & self.used.keys())


def processes() -> dict[int, tuple[int, str, float]]:
    """{process: (its parent, when it started, CPU seconds)} of those that run."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if words[0] != "Z":
            used = (int(words[11]) + int(words[12])) / TICK
            found[int(path.parent.name)] = int(words[1]), words[19], used
    return found


def made(folder: Path, users: int, texts: int) -> None:
    """The graphs, and the model that recommends."""
    nodes = {
        name: {"id": ids(name[0], np.arange(n, dtype=np.int32))}
        for name, n in (("user", users), ("item", ITEMS))
    }
    parts = (part.select(["src", "dst"]) for part in chunks(LINKS * users, users, ITEMS, 0))
    hin = HIN.from_tables(nodes, {RELATION: parts})
    save(hin, folder / "graph")
    save(ALS(RELATION, embedding_dim=64, epochs=2).fit(hin, rng=0), folder / "model")
    (folder / "users").write_text("\n".join(hin.ids("user").to_pylist()))
    table = pa.table({"id": ids("i", np.arange(texts, dtype=np.int32)), "text": written(texts)})
    save(HIN.from_tables({"item": table}, {}, lineage="row"), folder / "texts")


def command(verb: str, folder: Path, model: str) -> list[str]:
    """What is run, without the number of workers."""
    if verb == "recommend":
        given = [str(folder / "model"), "--store", str(folder / "graph")]
        given += ["--users", f"@{folder / 'users'}", "--k", "20"]
    else:
        given = [str(folder / "texts"), "--type", "item", "--columns", "text", "--quick"]
        given += ["--static", model]
    return [sys.executable, "-W", "ignore", "-m", "hinaug.cli", verb, *given]


def measured(line: list[str], out: Path) -> dict[str, Any]:
    """CPU seconds, seconds, seconds until the first shard, and a hash of the files in `out`."""
    begin, starts = time.perf_counter(), None
    process = subprocess.Popen([*line, "--out", str(out)], stdout=subprocess.DEVNULL)
    family = Family(process.pid)
    while process.poll() is None:
        family.look()
        if starts is None and any(out.parent.glob(f"{out.name}*/**/part-*.parquet")):
            starts = time.perf_counter() - begin
        time.sleep(0.1)
    wall = time.perf_counter() - begin
    if process.returncode:
        raise SystemExit(f"{' '.join(line)} ended with {process.returncode}")
    time.sleep(5)
    digest = hashlib.sha256()
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(out)}:".encode() + path.read_bytes())
    return {
        "cpu_s": sum(family.used.values()),
        "wall_s": wall,
        "starts_s": wall if starts is None else starts,
        "left": family.left(),
        "bytes": digest.hexdigest(),
    }


def compared(
    line: list[str], ways: dict[str, list[str]], rounds: int, folder: Path
) -> list[dict[str, Any]]:
    """A row for each way of working: what is added to the command line."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, extra in ways.items():
            found[name].append(measured([*line, *extra], folder / "out"))
            shutil.rmtree(folder / "out")
    first = found["one process"][0]["bytes"]
    return [
        {
            "how": name,
            **{
                key: round(median(run[key] for run in runs), 1)
                for key in ("cpu_s", "wall_s", "starts_s")
            },
            "same_bytes": all(run["bytes"] == first for run in runs),
            "left": max(run["left"] for run in runs),
        }
        for name, runs in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=float, default=2e5)
    parser.add_argument("--texts", type=float, default=2e5)
    parser.add_argument("--model", default="potion", help="static vectors")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="a file to append the rows to")
    parser.add_argument("--no-ray", action="store_true")
    given = parser.parse_args()
    workers = str(given.workers)
    ways: dict[str, list[str]] = {
        "one process": ["--processes", "1"],
        f"--processes {workers}": ["--processes", workers],
    }
    if not given.no_ray:
        ways[f"--ray {workers}"] = ["--ray", workers]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made(folder, int(given.users), int(given.texts))
        for verb, n in (("recommend", given.users), ("embed", given.texts)):
            line = command(verb, folder, given.model)
            for row in compared(line, ways, given.rounds, folder):
                text = json.dumps({"part": "shards", "verb": verb, "rows": int(n), **row})
                print(text, flush=True)
                if given.json:
                    with open(given.json, "a") as file:
                        file.write(text + "\n")


if __name__ == "__main__":
    main()
