"""How fast texts become vectors, beside sentence-transformers, and whether the vectors are the same.

    HINAUG_DATA=folder python benchmarks/text_speed.py MODEL --peer PYTHON [--texts 2000] [--rounds 3] [--out FILE]

MODEL is the folder of a sentence model, PYTHON an interpreter with sentence-transformers. Texts are reviews of Amazon
Musical Instruments. Every way is a process of its own with one thread; the ways take turns, and the order turns round
from one round to the next. Seconds are CPU seconds of the process, without loading and without the first texts, which
warm it up. `cosine` is the smallest cosine with the vectors of the first way, such as sentence-transformers, and
`times` its seconds over those of a way. `memory_mb` is what the process holds at most while it encodes, above what it
held with the model loaded. `warm_times` is how much faster all texts are read from the cache, by the wall clock.
--cache FOLDER keeps the vectors of all ways of hinaug there; it must be a new one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

WAYS = ["sentence-transformers", "float32", "onnx", "bfloat16"]
OPTIONS: dict[str, dict[str, Any]] = {
    "float32": {},
    "onnx": {"engine": "onnx"},
    "bfloat16": {"dtype": "bfloat16"},
}
LENGTH = 256  # tokens, what the model says of itself


def peak() -> float:
    """Megabytes that the process has held at most since the last reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def encoder(way: str, model: str, cache: str | bool) -> Any:
    if way == "sentence-transformers":
        from sentence_transformers import SentenceTransformer

        peer = SentenceTransformer(model, device="cpu")
        return lambda texts: peer.encode(texts, show_progress_bar=False)
    from hinaug.features import TextEncoder

    ours = TextEncoder(
        model, max_length=LENGTH, cache=cache, device="cpu", progress=False, **OPTIONS[way]
    )
    return ours.encode


def timed(encode: Any, texts: list[str]) -> tuple[float, float, np.ndarray]:
    cpu, wall = time.process_time(), time.perf_counter()
    vectors = np.asarray(encode(texts), np.float32)
    return time.process_time() - cpu, time.perf_counter() - wall, vectors


def worker(way: str, model: str, texts_file: str, out: str, cache: str) -> None:
    """One way, once: its seconds and vectors."""
    import torch

    torch.set_num_threads(1)
    texts = json.loads(Path(texts_file).read_text())
    encode = encoder(way, model, cache or False)
    encode(["the first text, " + text[:60] for text in texts[:32]])
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = peak()
    cpu, wall, vectors = timed(encode, texts)
    row = {"cpu": cpu, "wall": wall, "memory": peak() - before}
    if cache and way != "sentence-transformers":
        row["warm"] = min(timed(encode, texts)[1] for _ in range(3))
    np.save(out, vectors)
    print(json.dumps(row))


def run(way: str, options: Any, folder: Path, cache: str) -> dict[str, float]:
    python = options.peer if way == "sentence-transformers" else sys.executable
    # -P: datasets.py beside this file is not the package that a peer imports
    command = [python, "-P", __file__, options.model, "--worker", way, "--folder", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [*command, "--cache", cache], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{way}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def reviews(n: int) -> list[str]:
    from hinaug.datasets import load

    texts = load("amazon-musical-instruments").column("review", "text").to_pylist()
    texts = list(dict.fromkeys(text for text in texts if text and text.strip()))
    return [texts[k] for k in np.random.default_rng(0).permutation(len(texts))[:n]]


def smallest_cosine(a: np.ndarray, b: np.ndarray) -> float:
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]
    return float((unit[0] * unit[1]).sum(axis=1).min())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--peer", default=sys.executable)
    parser.add_argument("--texts", type=int, default=2000, help="at most")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--worker", choices=WAYS)
    parser.add_argument("--out", type=Path, help="a file to put the lines at the end of")
    parser.add_argument("--folder")
    parser.add_argument("--cache", default="", help="a new folder for the vectors")
    options = parser.parse_args()
    if options.worker:
        folder = Path(options.folder)
        out = str(folder / f"{options.worker}.npy")
        worker(options.worker, options.model, str(folder / "texts.json"), out, options.cache)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = reviews(options.texts)
        (folder / "texts.json").write_text(json.dumps(texts))
        runs: dict[str, list[dict[str, float]]] = {way: [] for way in options.ways}
        for number in range(options.rounds):
            for way in options.ways[:: -1 if number % 2 else 1]:
                own = str(folder / f"cache-{number}") if way == "float32" else ""
                row = run(way, options, folder, options.cache or own)
                runs[way].append(row)
                print(way, json.dumps({k: round(v, 3) for k, v in row.items()}), flush=True)
        vectors = {way: np.load(folder / f"{way}.npy") for way in options.ways}
    first = options.ways[0]
    for way in options.ways:
        cpu, peer = (float(np.median([row["cpu"] for row in runs[name]])) for name in (way, first))
        row = {"part": "speed of texts", "way": way, "texts": len(texts)}
        row |= {"rounds": options.rounds, "cpu_s": round(cpu, 2), "times": round(peer / cpu, 2)}
        row["cosine"] = round(smallest_cosine(vectors[first], vectors[way]), 5)
        row["memory_mb"] = round(max(found["memory"] for found in runs[way]))
        if "warm" in runs[way][0]:
            row["warm_times"] = round(min(found["wall"] / found["warm"] for found in runs[way]))
        print(json.dumps(row))
        if options.out:
            with options.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
