"""Columns of generated users beside CTGAN's, judged by SDMetrics: MovieLens 100K.

    HINAUG_DATA=folder OMP_NUM_THREADS=1 python benchmarks/tables.py [--epochs 300]

Age, gender and occupation of the users; CTGAN (its defaults) sees this table alone, hinaug's
generators the ratings too. As many users are generated as there are. Printed are SDMetrics' column
shapes and column pair trends (1 is best), CPU seconds to fit and to generate, and beside them the
same of other real users: a random half against the other half, which is what can be expected of
samples of half the size. The peers live in an environment of their own in the cache folder;
--python names another interpreter that has them.

Goals: no column and pair below CTGAN's on at least three quarters of them, in a fifth of its time.
Links are not compared: CTGAN and SDMetrics have none.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from speed import HERE, PEERS, python_of

from hinaug import HIN
from hinaug.datasets import movielens_100k
from hinaug.generators import JointVAE, SecondMoment, Synthesis

COLUMNS = ["age", "gender", "occupation"]
RATES = ("user", "rates", "movie")
PEERS["ctgan"] = ["ctgan==0.12.1", "sdmetrics==0.32.0", "torch==2.13.0"]


def made_by_hinaug(hin: HIN, path: Path, generator: Any) -> dict[str, float]:
    """Writes the columns of generated users; gives CPU seconds."""
    start = time.process_time()
    generator.fit(hin, rng=0)
    fitted = time.process_time()
    delta = generator.generate(hin, hin.n("user"), rng=0)
    seconds = {"fit": fitted - start, "sample": time.process_time() - fitted}
    pa.csv.write_csv(delta.nodes["user"].select(COLUMNS), path)
    return seconds


def asked(python: str, script: str, *args: Any) -> Any:
    """What a script of a peer prints."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [python, str(HERE / script), *map(str, args)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{script} ended:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def halves(table: pa.Table, folder: Path) -> list[Path]:
    """Two random halves of the real users."""
    order = np.random.default_rng(0).permutation(table.num_rows)
    paths = [folder / "half-a.csv", folder / "half-b.csv"]
    for path, rows in zip(paths, np.array_split(order, 2), strict=True):
        pa.csv.write_csv(table.take(pa.array(rows)), path)
    return paths


def shown(name: str, found: dict[str, Any], seconds: dict[str, float] | None) -> None:
    each = {part: np.array(list(found[part].values())) for part in ("shapes", "pairs")}
    took = "" if seconds is None else f"{seconds['fit']:8.1f} {seconds['sample']:8.1f}"
    detail = ", ".join(f"{k} {v:.3f}" for part in each for k, v in found[part].items() if v == v)
    print(
        f"{name:24} {np.nanmean(each['shapes']):.3f}  {np.nanmean(each['pairs']):.3f} {took:18} "
        f"{detail}"
    )


def not_below(ours: dict[str, Any], theirs: dict[str, Any]) -> tuple[int, int]:
    """On how many columns and pairs ours is not below theirs, and of how many."""
    pairs = [(ours[p][k], theirs[p][k]) for p in theirs for k in theirs[p]]
    judged = [(a, b) for a, b in pairs if a == a and b == b]  # SDMetrics gives some pairs no score
    return sum(a >= b for a, b in judged), len(judged)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=300, help="of CTGAN; 300 is its default")
    parser.add_argument("--python", help="an interpreter that has ctgan and sdmetrics")
    options = parser.parse_args()
    python = options.python or python_of("ctgan")
    hin = movielens_100k(Path(os.environ.get("HINAUG_DATA", ".")) / "ml-100k")
    generators = {
        "Synthesis": Synthesis(relation=RATES),
        "SecondMoment": SecondMoment("user"),
        "JointVAE": JointVAE("user"),
    }
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        real = folder / "real.csv"
        pa.csv.write_csv(hin.nodes["user"].select(COLUMNS), real)
        paths = {name: folder / f"{name}.csv" for name in (*generators, "CTGAN")}
        seconds = {name: made_by_hinaug(hin, paths[name], one) for name, one in generators.items()}
        told = (real, paths["CTGAN"], hin.n("user"), options.epochs)
        seconds["CTGAN"] = asked(python, "table_ctgan.py", *told)
        scores = asked(python, "table_sdmetrics.py", real, *paths.values())
        found = dict(zip(paths, scores, strict=True))
        a, b = halves(hin.nodes["user"].select(COLUMNS), folder)
        ceiling = asked(python, "table_sdmetrics.py", a, b)[0]
    print(f"{'':24} shapes pairs   fit s  sample s")
    shown("half of the real users", ceiling, None)
    for name, one in found.items():
        shown(name, one, seconds[name])
    for name in generators:
        good, n = not_below(found[name], found["CTGAN"])
        times = sum(seconds[name].values()) / sum(seconds["CTGAN"].values())
        reached = good >= 0.75 * n and times <= 0.2
        print(
            f"{name}: not below CTGAN on {good} of {n}, in {times:.2f} of its time: "
            f"{'reached' if reached else 'missed'}"
        )


if __name__ == "__main__":
    main()
