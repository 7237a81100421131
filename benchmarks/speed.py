"""hinaug beside its peers, on the same data, in one run: propagation, ALS, EASE, evaluation,
LightGCN.

    HINAUG_DATA=folder python benchmarks/speed.py --parts propagation als --data ml-1m-lightgcnpp
    [--out results.jsonl]

Every contestant is a process of its own (`peers/`), the peers in environments of their own in the
cache folder; they take turns, a round each, one thread each. Seconds are medians over the rounds.
The ratios are of CPU seconds, which other work on the machine disturbs less; with one thread they
are the wall seconds of a quiet machine. A goal that is not reached reads "missed"; the exit status
is 1 only when contestants that should agree do not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from hinaug.datasets.lightgcn import INTERACTS, lightgcn_split
from hinaug.training import ranking

HERE = Path(__file__).parent / "peers"
PEERS = {
    "implicit": ["implicit==0.7.3", "threadpoolctl==3.6.0"],
    "lenskit": ["lenskit==2025.8.1", "torch==2.13.0"],
    "recbole": [
        "recbole==1.2.1",
        "torch==2.13.0",
        "setuptools<81",
        "numpy==1.26.4",
        "pandas<3",
        "scipy<1.13",
    ],
}
K = 20
Ask = Callable[..., dict[str, Any]]


# ---- contestants ---------------------------------------------------------------------------------


def python_of(peer: str) -> str:
    """The interpreter of a peer's own environment, made once; "hinaug" is this one."""
    if peer == "hinaug":
        return sys.executable
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    root = cache / "hinaug" / "peers" / PEERS[peer][0].replace("==", "-")
    python, done = root / "bin" / "python", root / "speed.txt"
    if not done.exists() or done.read_text().split("\n") != PEERS[peer]:
        print(f"making an environment for {PEERS[peer][0]} ...", file=sys.stderr)
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", root], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS[peer]], check=True)
        done.write_text("\n".join(PEERS[peer]))
    return str(python)


@contextmanager
def contestant(peer: str, script: str, *args: Any, threads: int = 1) -> Iterator[Ask]:
    """A process that waits for questions; see `peers/serve.py`."""
    names = ("OMP", "MKL", "OPENBLAS", "RAYON", "LK", "LK_BACKEND", "NUMBA")
    env = {**os.environ, **{f"{n}_NUM_THREADS": str(threads) for n in names}}
    env |= {
        "LK_NUM_BACKEND_THREADS": str(threads),
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
        "HINAUG_PROGRESS": "0",
    }
    log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed below
    child = subprocess.Popen(
        [python_of(peer), str(HERE / script), *map(str, args)],
        env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
    )  # fmt: skip
    assert child.stdin
    assert child.stdout

    def answer() -> str:
        line = child.stdout.readline() if child.stdout else ""
        if not line:
            log.seek(0)
            raise SystemExit(f"{script} ({peer}) ended:\n{log.read()[-3000:]}")
        return line

    def ask(**asked: Any) -> dict[str, Any]:
        assert child.stdin
        child.stdin.write(json.dumps({"threads": threads, "seed": 0, "save": None, **asked}) + "\n")
        child.stdin.flush()
        return json.loads(answer())

    try:
        answer()  # ready
        yield ask
    finally:
        child.stdin.close()
        child.wait(timeout=60)
        log.close()


def split_of(data: str) -> Any:
    return lightgcn_split(Path(os.environ.get("HINAUG_DATA", ".")) / data, rng=0)


def matrices(data: str) -> tuple[sp.csr_array, sp.csr_array, sp.csr_array]:
    """train.txt; what is not to be ranked for test (train and valid); test: [users, items] 0/1."""
    split = split_of(data)
    hide = split.train_valid.adjacency(INTERACTS)
    folder = Path(os.environ.get("HINAUG_DATA", ".")) / data
    train = split.train.adjacency(INTERACTS) if (folder / "valid.txt").exists() else hide
    src, dst = (
        split.train.positions(t, split.test[c]) for t, c in (("user", "src"), ("item", "dst"))
    )
    return train, hide, sp.csr_array((np.ones(len(src), np.float32), (src, dst)), shape=hide.shape)


def write(matrix: sp.csr_array, path: Path) -> Path:
    np.savez(path, indptr=matrix.indptr, indices=matrix.indices, shape=matrix.shape)
    return path


def ndcg(
    users: np.ndarray, items: np.ndarray, hide: sp.csr_array, test: sp.csr_array, rows: np.ndarray
) -> float:
    """NDCG@20 of inner products, the same lists and the same measure for all; rows: users to rank
    for.
    """
    values = []
    for at in range(0, len(rows), 512):
        some = rows[at : at + 512]
        ranked, _ = ranking.top_k(users[some] @ items.T, K, exclude=hide[some])
        values.append(ranking.ndcg(ranked, test[some], K))
    return float(np.concatenate(values).mean())


# ---- tables --------------------------------------------------------------------------------------


class Table:
    """Rows of one part, on screen and as JSON lines."""

    def __init__(self, part: str, data: str, out: Path | None) -> None:
        self.part, self.data, self.out = part, data, out
        self.load = os.getloadavg()[0]
        print(f"\n{part}, {data} (load average {self.load:.1f} at the start)")
        print(f"  {'':<34}{'wall s':>9}{'CPU s':>9}{'ratio':>8}  {'goal':<22}{'':<8}", flush=True)

    def row(
        self,
        name: str,
        wall: float,
        cpu: float,
        base: float,
        goal: str = "",
        met: bool | None = None,
        **more: Any,
    ) -> None:
        """base: CPU seconds of hinaug; the ratio is how many times as long this one takes."""
        said = "" if met is None else "met" if met else "missed"
        ratio = cpu / base
        shown = ", ".join(
            f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in more.items()
        )
        print(
            f"  {name:<34}{wall:>9.3f}{cpu:>9.3f}{ratio:>8.2f}  {goal:<22}{said:<8}{shown}",
            flush=True,
        )
        record = {
            "part": self.part,
            "data": self.data,
            "peer": name,
            "wall_s": round(wall, 4),
            "cpu_s": round(cpu, 4),
        }
        record |= {
            "ratio": round(ratio, 3),
            "goal": goal,
            "met": met,
            "load": round(self.load, 2),
            **more,
        }
        if self.out:
            with self.out.open("a") as file:
                file.write(json.dumps(record) + "\n")

    def note(self, text: str) -> None:
        print(f"  {text}", flush=True)


def agree(what: str, ours: Any, theirs: Any, tolerance: float, off: list[str]) -> None:
    """Note a disagreement: the largest difference beyond the tolerance."""
    difference = float(np.abs(np.asarray(ours) - np.asarray(theirs)).max())
    if not difference <= tolerance:
        off.append(f"{what}: differs by {difference:.3g}, more than {tolerance:g}")


# ---- parts ---------------------------------------------------------------------------------------


def propagation(data: str, options: argparse.Namespace, off: list[str]) -> None:
    """Three layers, forward and backward, d = 64."""
    goals = {"PyG LGConv": 10.0, "PyG EdgeIndex.matmul": 2.0}
    names = ["hinaug", "PyG EdgeIndex.matmul", "PyG LGConv", "torch CSR"]
    table = Table("propagation", data, options.out)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path = write(matrices(data)[0], Path(folder) / "train.npz")
        ask = stack.enter_context(
            contestant("hinaug", "propagation.py", path, threads=options.threads)
        )
        times: dict[str, list[list[float]]] = {name: [] for name in names}
        samples = {}
        speeds = []
        for _ in range(options.rounds + 1):  # the first warms up
            for name in names:
                got = ask(method=name, dim=options.dim)
                times[name] += got["times"]
                samples[name] = got["sample"]
            bound = ask(method="copy", dim=options.dim)
            speeds.append(bound["speed"])
    wall, cpu = ({n: float(np.median([t[i] for t in times[n][1:]])) for n in names} for i in (0, 1))
    for name in names:
        agree(f"propagation, {data}, {name}", samples["hinaug"], samples[name], 1e-4, off)
        goal = goals.get(name)
        met = None if goal is None else cpu[name] / cpu["hinaug"] >= goal
        table.row(
            name,
            wall[name],
            cpu[name],
            cpu["hinaug"],
            "" if goal is None else f"at least {goal:g}",
            met,
        )
    least = bound["bytes"] / max(speeds)
    table.row("bound: bytes at the speed of a "
              "copy", least, least, cpu["hinaug"], gb=bound["bytes"] / 1e9,
              copy_gb_s=max(speeds) / 1e9)  # fmt: skip


# Those of hinaug as in published.py; the others' from a grid by factors of three, alpha x l2, with
# implicit's CG on valid.txt
# or, on gowalla, a tenth of train.txt. LensKit has the same objective.
ALS_SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "ml-1m-lightgcnpp": {
        "hinaug": {"l2": 0.01, "unobserved_weight": 0.2},
        "implicit": {"alpha": 5.0, "l2": 60.0},
        "lenskit": {"alpha": 5.0, "l2": 60.0},
    },
    "gowalla": {
        "hinaug": {"l2": 0.001, "unobserved_weight": 0.03},
        "implicit": {"alpha": 60.0, "l2": 30.0},
        "lenskit": {"alpha": 60.0, "l2": 30.0},
    },
}


def als(data: str, options: argparse.Namespace, off: list[str]) -> None:
    """Time for all rounds, and to the NDCG@20 on test that every contestant reaches.

    The target is 99.5 % of the lowest of the contestants' best values. Users of hinaug are folded
    in, as when it scores; the peers' are those that they learned. The curve is measured once,
    outside the clock.
    """
    settings = ALS_SETTINGS[data]
    table = Table("als", data, options.out)
    train, hide, test = matrices(data)
    there = np.flatnonzero(np.diff(test.indptr))
    rows = np.sort(np.random.default_rng(0).permutation(there)[:5000])
    who = {
        "hinaug": ("hinaug", "als_hinaug.py", {}),
        "implicit, CG": ("implicit", "als_implicit.py", {"cg": True}),
        "implicit, Cholesky": ("implicit", "als_implicit.py", {"cg": False}),
        "LensKit": ("lenskit", "als_lenskit.py", {}),
    }
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        path = write(train, Path(temporary) / "train.npz")
        asks = {
            n: stack.enter_context(contestant(p, s, path, threads=options.threads))
            for n, (p, s, _) in who.items()
        }
        curves, times = {}, {n: [] for n in who}
        for r in range(options.rounds):
            for name, (peer, _, more) in who.items():
                if r and name == "implicit, Cholesky":
                    continue  # far from the others, and no goal: one run tells enough
                with tempfile.TemporaryDirectory() as kept:
                    save = kept if r == 0 else None
                    got = asks[name](
                        dim=options.dim,
                        rounds=options.als_rounds,
                        save=save,
                        **settings[peer],
                        **more,
                    )
                    times[name].append(got["times"])
                    if save:
                        curves[name] = []
                        for t in range(1, options.als_rounds + 1):
                            file = np.load(f"{kept}/{t}.npz")
                            curves[name].append(
                                ndcg(file["users"], file["items"], hide, test, rows)
                            )
    middle = {n: np.median(np.array(t), axis=0) for n, t in times.items()}  # [rounds, 2]
    target = 0.995 * min(max(c) for c in curves.values())
    at = {n: next(t for t, v in enumerate(c) if v >= target) for n, c in curves.items()}
    ours = middle["hinaug"]
    for name in who:
        wall, cpu = middle[name][-1]
        table.row(
            f"{name}, {options.als_rounds} rounds", wall, cpu, ours[-1, 1], ndcg=curves[name][-1]
        )
    goals = {"LensKit": ("at least 1", 1.0), "implicit, CG": ("at least 0.5", 0.5)}
    for name in who:
        wall, cpu = middle[name][at[name]]
        base = ours[at["hinaug"], 1]
        goal, least = goals.get(name, ("", None))
        met = None if least is None else bool(cpu / base >= least)
        table.row(f"{name}, to NDCG@20 "
                  f"{target:.4f}", wall, cpu, base, goal, met, rounds=at[name] + 1,
                  ndcg=curves[name][at[name]])  # fmt: skip
    for name, curve in curves.items():
        table.note(f"{name}: NDCG@20 by round " + " ".join(f"{v:.4f}" for v in curve))
        agree(f"als, {data}, {name}: best NDCG@20", max(curves["hinaug"]), max(curve), 0.02, off)


def ease(data: str, options: argparse.Namespace, off: list[str]) -> None:
    table = Table("ease", data, options.out)
    train, _, _ = matrices(data)
    who = {"hinaug": ("hinaug", "ease_hinaug.py"), "LensKit": ("lenskit", "ease_lenskit.py")}
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        path = write(train, Path(temporary) / "train.npz")
        asks = {
            n: stack.enter_context(contestant(p, s, path, threads=options.threads))
            for n, (p, s) in who.items()
        }
        times, weights = {n: [] for n in who}, {}
        for r in range(options.rounds + 1):
            for name, ask in asks.items():
                save = str(Path(temporary) / f"{name}.npy") if r == 0 else None
                times[name] += ask(l2=options.ease_l2, save=save)["times"]
                if save:
                    weights[name] = np.load(save)
    middle = {n: np.median(np.array(t[1:]), axis=0) for n, t in times.items()}
    agree(f"ease, {data}: weights", weights["hinaug"], weights["LensKit"], 1e-3, off)
    base = middle["hinaug"][1]
    for name, (wall, cpu) in middle.items():
        goal, met = ("at least 1", bool(cpu / base >= 1)) if name != "hinaug" else ("", None)
        table.row(name, wall, cpu, base, goal, met, items=train.shape[1])


def evaluation(data: str, options: argparse.Namespace, off: list[str]) -> None:
    """Recall, NDCG and Precision at 20 of random vectors by full ranking, and the most memory held
    while at it.
    """
    table = Table("evaluation", data, options.out)
    folder = Path(os.environ.get("HINAUG_DATA", ".")) / data
    who = {"hinaug.evaluate": "hinaug", "PyG metrics": "pyg"}
    times: dict[str, list[list[float]]] = {n: [] for n in who}
    values, peaks = {}, dict.fromkeys(who, 0.0)
    with ExitStack() as stack:
        asks = {
            n: stack.enter_context(
                contestant("hinaug", "evaluation.py", how, folder, threads=options.threads)
            )
            for n, how in who.items()
        }
        for _ in range(options.rounds):
            for name, ask in asks.items():
                got = ask()
                times[name] += got["times"]
                values[name], peaks[name] = got["values"], max(peaks[name], got["peak"])
    middle = {n: np.median(np.array(t), axis=0) for n, t in times.items()}
    agree(f"evaluation, {data}", values["hinaug.evaluate"], values["PyG metrics"], 1e-6, off)
    base = middle["hinaug.evaluate"][1]
    for name, (wall, cpu) in middle.items():
        goal, met = (
            ("at least 2", bool(cpu / base >= 2)) if name != "hinaug.evaluate" else ("", None)
        )
        table.row(
            name, wall, cpu, base, goal, met, peak_mb=round(peaks[name]), recall=values[name][0]
        )
    small = peaks["hinaug.evaluate"]
    table.note(
        f"peak memory of hinaug {small:.0f} MB, goal under 1000 MB: "
        f"{'met' if small < 1000 else 'missed'}"
    )


def lightgcn(data: str, options: argparse.Namespace, off: list[str]) -> None:
    """Time to RecBole's best NDCG@10 on valid; its own settings against our defaults, the same
    pairs and width.
    """
    table = Table("lightgcn", data, options.out)
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        parts = options.recbole or Path(temporary) / "recbole.npz"
        if not parts.exists():
            with contestant("recbole", "lightgcn_recbole.py", threads=options.threads) as theirs:
                theirs(dim=options.dim, save=str(parts))
        file = np.load(parts)
        best, target = int(np.argmax(file["curve"])), float(file["curve"].max())
        ours = stack.enter_context(
            contestant("hinaug", "lightgcn_hinaug.py", parts, threads=options.threads)
        )
        runs: dict[str, list[list[list[float]]]] = {"softmax": [], "bpr": []}
        curves: dict[str, list[float]] = {}
        for _ in range(options.rounds):
            for loss in runs:
                got = ours(dim=options.dim, loss=loss)
                runs[loss].append(got["times"])
                curves[loss] = got["curve"]
        agree(
            f"lightgcn, {data}: NDCG@10 of RecBole's best vectors", target, got["theirs"], 1e-4, off
        )
    wall, cpu = file["times"][best]
    for loss, times in runs.items():
        at = next((t for t, v in enumerate(curves[loss]) if v >= target), None)
        if at is None:
            table.note(
                f"hinaug, {loss}: ends at NDCG@10 {max(curves[loss]):.4f}, below RecBole's "
                f"{target:.4f}: missed"
            )
            continue
        mine = np.median(np.array([t[at] for t in times]), axis=0)
        table.row(
            f"hinaug, {loss}, to {target:.4f}",
            *mine,
            mine[1],
            steps=5 * (at + 1),
            best=max(curves[loss]),
        )
        table.row(
            "  RecBole, one run",
            wall,
            cpu,
            mine[1],
            "at least 20",
            bool(cpu / mine[1] >= 20),
            epoch=best + 1,
        )


PARTS: dict[str, tuple[Callable[[str, argparse.Namespace, list[str]], None], list[str]]] = {
    "propagation": (propagation, ["ml-1m-lightgcnpp", "gowalla"]),
    "als": (als, ["ml-1m-lightgcnpp", "gowalla"]),
    "ease": (ease, ["ml-1m-lightgcnpp"]),
    "evaluation": (evaluation, ["ml-1m-lightgcnpp", "gowalla"]),
    "lightgcn": (lightgcn, ["ml-100k"]),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--data", nargs="+", help="only these sets")
    parser.add_argument(
        "--rounds", type=int, default=3, help="turns of every contestant, at least 3 for a result"
    )
    parser.add_argument("--threads", type=int, default=1, help="of each contestant")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--als-rounds", type=int, default=16)
    parser.add_argument("--ease-l2", type=float, default=300.0)
    parser.add_argument(
        "--recbole",
        type=Path,
        help="RecBole's run, which takes minutes, is kept here and used again",
    )
    parser.add_argument("--out", type=Path, help="JSON lines are appended here")
    options = parser.parse_args()
    off: list[str] = []
    for part in options.parts:
        run, sets = PARTS[part]
        for data in sets:
            if not options.data or data in options.data:
                run(data, options, off)
    print("\n" + ("\n".join(off) if off else "contestants agree"))
    return 1 if off else 0


if __name__ == "__main__":
    sys.exit(main())
