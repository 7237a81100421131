"""Columns of generated users beside CTGAN's, judged by SDMetrics.

    HINAUG_DATA=folder OMP_NUM_THREADS=1 python benchmarks/tables.py --data ml-100k
    [--data recipe-reviews] [--epochs 300] [--out results/entities.jsonl]

ml-100k: age, gender and occupation of the users. recipe-reviews: reputation, stars, votes and
replies of the first review of each user. CTGAN (its defaults) sees this table alone, hinaug's
generators the ratings too. As many users are generated as there are. Printed are SDMetrics' column
shapes and column pair trends (1 is best), on how many of these a generator is not below CTGAN, its
time as a share of CTGAN's, CPU seconds to fit and generate, and beside them the same of other real
users: a random half against the other half, which is what can be expected of samples of half the
size. The peers live in an environment of their own in the cache folder; --python names another
interpreter that has them.

Goals: not below CTGAN on at least three quarters of columns and pairs, in a fifth of its time.
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
from hinaug.datasets import movielens_100k, recipe_reviews
from hinaug.generators import JointVAE, SecondMoment, Synthesis

NUMBERS = ["reputation", "rating", "thumbs_up", "thumbs_down", "replies"]
PEERS["ctgan"] = ["ctgan==0.12.1", "sdmetrics==0.32.0", "torch==2.13.0"]


def ml_100k(folder: Path) -> HIN:
    """Users with age, gender and occupation, and whom they rated."""
    hin = movielens_100k(folder / "ml-100k")
    kept = hin.nodes["user"].select(["id", "age", "gender", "occupation"])
    return with_users(hin, kept, ("user", "rates", "movie"))


def recipes(folder: Path) -> HIN:
    """Users with the numbers of their first review, and which recipes they rated."""
    hin = recipe_reviews(folder / "recipe-reviews")
    user, review = hin.links(("user", "wrote", "review"))
    who, first = np.unique(user, return_index=True)
    numbers = hin.nodes["review"].select(NUMBERS).take(pa.array(review[first]))
    numbers = numbers.add_column(0, "id", hin.ids("user", who))
    return with_users(hin, numbers, ("user", "rates", "recipe"))


def with_users(hin: HIN, users: pa.Table, rates: Any) -> HIN:
    """A graph of these users and one relation."""
    src, dst = hin.links(rates)
    links = {"src": hin.ids("user", src), "dst": hin.ids(rates[2], dst)}
    links["rating"] = hin.column(rates, "rating")
    return HIN.from_tables(
        {"user": users, rates[2]: {"id": hin.ids(rates[2])}}, {rates: pa.table(links)}
    )


DATA = {"ml-100k": ml_100k, "recipe-reviews": recipes}


def made_by_hinaug(hin: HIN, path: Path, generator: Any, names: list[str]) -> dict[str, float]:
    """Writes the columns of generated users; gives CPU seconds."""
    start = time.process_time()
    generator.fit(hin, rng=0)
    fitted = time.process_time()
    delta = generator.generate(hin, hin.n("user"), rng=0)
    seconds = {"fit": fitted - start, "sample": time.process_time() - fitted}
    pa.csv.write_csv(delta.nodes["user"].select(names), path)
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


def not_below(ours: dict[str, Any], theirs: dict[str, Any]) -> tuple[int, int]:
    """On how many columns and pairs ours is not below theirs, and of how many."""
    pairs = [(ours[p][k], theirs[p][k]) for p in theirs for k in theirs[p]]
    judged = [(a, b) for a, b in pairs if a == a and b == b]  # SDMetrics gives some pairs no score
    return sum(a >= b for a, b in judged), len(judged)


def measured(hin: HIN, folder: Path, python: str, epochs: int) -> list[dict[str, Any]]:
    """A row for each generator, for CTGAN and for the halves of the real users."""
    users = hin.nodes["user"].drop_columns(["id"])
    real, path = folder / "real.csv", folder / "CTGAN.csv"
    pa.csv.write_csv(users, real)
    generators = {
        "Synthesis": Synthesis(),
        "SecondMoment": SecondMoment("user"),
        "JointVAE": JointVAE("user"),
        "JointVAE, 20 epochs": JointVAE("user", epochs=20),
    }
    paths = {name: folder / f"{at}.csv" for at, name in enumerate(generators)}
    seconds = {
        name: made_by_hinaug(hin, paths[name], one, users.column_names)
        for name, one in generators.items()
    }
    seconds["CTGAN"] = asked(python, "table_ctgan.py", real, path, hin.n("user"), epochs)
    paths["CTGAN"] = path
    a, b = halves(users, folder)
    ceiling = asked(python, "table_sdmetrics.py", a, b)[0]
    scores = asked(python, "table_sdmetrics.py", real, *paths.values())
    found = dict(zip(paths, scores, strict=True))
    made = [{"name": "half of the real users", **means(ceiling)}]
    for name, one in found.items():
        good, n = not_below(one, found["CTGAN"])
        took = {who: sum(both.values()) for who, both in seconds.items()}
        shares = {} if name == "CTGAN" else {"not below": good / n}
        shares |= {"time": took[name] / took["CTGAN"], "s": took[name]}
        made.append({"name": name, **means(one), **shares})
    return made


def means(found: dict[str, Any]) -> dict[str, float]:
    """Mean scores; SDMetrics gives some pairs none, such as two numbers that go little together."""
    scores = {part: np.array(list(found[part].values())) for part in ("shapes", "pairs")}
    return {part: float(x[x == x].mean()) for part, x in scores.items() if (x == x).any()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=DATA, default=["ml-100k"])
    parser.add_argument("--epochs", type=int, default=300, help="of CTGAN; 300 is its default")
    parser.add_argument("--python", help="an interpreter that has ctgan and sdmetrics")
    parser.add_argument("--out", type=Path, help="append the rows here, as .jsonl")
    options = parser.parse_args()
    python = options.python or python_of("ctgan")
    for data in options.data:
        hin = DATA[data](Path(os.environ.get("HINAUG_DATA", ".")))
        with tempfile.TemporaryDirectory() as place:
            found = measured(hin, Path(place), python, options.epochs)
        for row in found:
            rounded = {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}
            line = json.dumps({"section": f"columns of {data}", "seed": 0, **rounded})
            print(line, flush=True)
            if options.out:
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")


if __name__ == "__main__":
    main()
