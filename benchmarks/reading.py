"""Files to a graph, beside an earlier commit: seconds and peak memory of `hinaug.io.tables.build`.

    python benchmarks/reading.py --rows 10000000 --json 180 [--base COMMIT] [--out results.jsonl]

The CSV file has a row a rating: user, item, rating, time and a short text, which an edge keeps. The
other file has a review a line as JSON and becomes nodes and edges. Each tree is a process of its
own, one after the other; memory is the peak of the process above what its imports took.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv as pacsv

ROOT = Path(__file__).parent.parent
EDGES = {
    "edge": {
        "user": {
            "rates": {
                "item": {
                    "src": "user",
                    "dst": "item",
                    "rating": "rating",
                    "time": "time",
                    "keep": ["text"],
                }
            }
        }
    }
}
REVIEWS = {
    "review": {
        "user": "reviewerID",
        "item": "asin",
        "rating": "overall",
        "time": "unixReviewTime",
        "text": ["summary", "reviewText"],
    }
}
WORDS = [
    "good",
    "bad",
    "guitar",
    "the",
    "a",
    "string",
    "sounds",
    "very",
    "amp",
    "loud",
    "case",
    "strap",
    "cable",
    "works",
    "price",
]


# ---- files ---------------------------------------------------------------------------------------


def ratings(path: Path, rows: int, rng: np.random.Generator) -> None:
    """A CSV file of ratings, written in parts."""
    texts = pa.array([" ".join(rng.choice(WORDS, rng.integers(2, 7))) for _ in range(50_000)])
    schema = pa.schema([(name, pa.string()) for name in ("user", "item", "rating", "time", "text")])
    n_users, n_items = max(rows // 50, 1), max(rows // 200, 1)
    with pacsv.CSVWriter(path, schema) as writer:
        for start in range(0, rows, 500_000):
            n = min(500_000, rows - start)
            users = (n_users * rng.random(n) ** 2).astype(np.int64)
            items = (n_items * rng.random(n) ** 2).astype(np.int64)
            columns = [
                [f"A{k:07d}" for k in users],
                [f"B{k:06d}" for k in items],
                (rng.integers(1, 11, n) / 2).astype(str),
                rng.integers(1_000_000_000, 1_700_000_000, n).astype(str),
            ]
            arrays = [pa.array(c, pa.string()) for c in columns]
            writer.write_table(pa.table([*arrays, texts.take(rng.integers(0, 50_000, n))], schema))


def reviews(path: Path, megabytes: int, rng: np.random.Generator) -> None:
    """JSON lines of reviews in the layout of the Amazon data of 2014."""
    sentences = [" ".join(rng.choice(WORDS, rng.integers(5, 15))) + ". " for _ in range(20_000)]
    n_users = max(megabytes * 150, 1)
    with path.open("w") as file:
        while file.tell() < megabytes * 10**6:
            for _ in range(1_000):
                body = "".join(sentences[k] for k in rng.integers(0, 20_000, rng.integers(1, 12)))
                review = {
                    "reviewerID": f"A{int(n_users * rng.random() ** 2):012d}",
                    "asin": f"B{int(n_users / 4 * rng.random() ** 2):09d}",
                    "reviewerName": "nobody",
                    "helpful": rng.integers(0, 9, 2).tolist(),
                    "reviewText": body,
                    "overall": float(rng.integers(1, 6)),
                    "summary": sentences[rng.integers(0, 20_000)],
                    "unixReviewTime": int(rng.integers(1_000_000_000, 1_700_000_000)),
                    "reviewTime": "02 28, 2014",
                }
                file.write(json.dumps(review) + "\n")


# ---- one tree ------------------------------------------------------------------------------------

CHILD = """
import json, sys, time
from pathlib import Path

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

from hinaug.io.tables import build
import pandas, pyarrow.csv, pyarrow.json, pyarrow.parquet, pyarrow.compute  # Arrow imports pandas
before, start, cpu = peak(), time.perf_counter(), time.process_time()
hin, _ = build([sys.argv[1]], json.loads(sys.argv[2]))
print(json.dumps({
    "seconds": round(time.perf_counter() - start, 2),
    "cpu_seconds": round(time.process_time() - cpu, 2),
    "peak_mb": round(peak() - before),
    "edges": {",".join(e): hin.n(e) for e in hin.edges},
}))
"""


def measured(tree: Path, path: Path, schema: dict) -> dict:
    """What a fresh process of the tree needs to build a graph of the file."""
    command = [sys.executable, "-c", CHILD, str(path), json.dumps(schema)]
    env = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(command, cwd=tree, env=env, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the CSV file")
    parser.add_argument("--json", type=int, default=180, help="MB of JSON lines")
    parser.add_argument("--base", help="a commit to measure beside this tree")
    parser.add_argument("--out", type=Path, help="a file that gets a line a measurement")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, trees = Path(name), {"this tree": ROOT}
        if args.base:
            trees[args.base] = folder / "base"
            add = ["git", "worktree", "add", "--detach", "--quiet", folder / "base", args.base]
            subprocess.run(add, cwd=ROOT, check=True)
        try:
            compare(folder, trees, args)
        finally:
            if args.base:
                remove = ["git", "worktree", "remove", "--force", folder / "base"]
                subprocess.run(remove, cwd=ROOT, check=True)


def compare(folder: Path, trees: dict[str, Path], args: argparse.Namespace) -> None:
    ratings(folder / "ratings.csv", args.rows, np.random.default_rng(0))
    reviews(folder / "reviews.jsonl", args.json, np.random.default_rng(0))
    for file, schema in (("ratings.csv", EDGES), ("reviews.jsonl", REVIEWS)):
        size = (folder / file).stat().st_size / 2**20
        for tree, root in trees.items():
            found = measured(root, folder / file, schema)
            row = {"file": file, "mb": round(size), "tree": tree, **found}
            row["peak_by_size"] = round(found["peak_mb"] / size, 2)
            print(json.dumps(row), flush=True)
            if args.out:
                with args.out.open("a") as out:
                    out.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
