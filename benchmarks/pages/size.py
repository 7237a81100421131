"""Files read, and graphs and tables larger than memory."""

from __future__ import annotations

from pages.tables import Row, as_it_is, pair, rows, seconds, table

READING = """`reading.py` builds a graph of 10 million ratings with a short text each, and one of reviews
as JSON lines. An earlier commit is measured beside this tree.
"""
SCALE = """`python benchmarks/scale.py store --edges 1e8` under a limit of 4 GB that the system sets
(RLIMIT_DATA), on one thread of a busy machine: 40 edges a user, 250 an item. Private memory is the
most during a step; pages of mapped files are not counted. *csr* and *propagate* (three layers of 64
columns; the transpose is made first) are of train, *evaluate* ranks for 10,000 users. 100 M edges ran
as one command, after a run that ended as its edges were written; without the audit, which says
"unknown" for lack of memory, it took {steps:.0f} CPU seconds, and {write:.0f} to write the edges. The
goal was a ratio of at most 1.5 for build, splits and csr, and 3 for a layer: build and csr miss it.
"""
TABLES = """`python benchmarks/ranks.py --nodes 1e7 --model MF --limit 7`: 10 M nodes x 64 columns, 7.7 GB of
parameters and Adam, BPR with 4,096 links a step.
"""
BUILD = """`python benchmarks/store.py --pairs 9`: 1 M rated edges with times and 200 k reviews from
pandas, in processes that take turns with LensKit 2025.8.1. Medians of the ratios with their
quartiles: CPU seconds, and the memory that is held afterwards.
"""
RANKS = """`python benchmarks/ranks.py --data gowalla`: LightGCN with 64 columns, 20 steps of 4,096 links.
Ranks are processes of one machine with two cores: equality, memory and bytes are real, no network
was measured. *apart* is the largest difference of a loss from that of one rank. *held* are parameters
and Adam, *sent* is of a rank and a step. CPU seconds are of the first rank, a step.
"""
SHARDS = """`python benchmarks/shards.py`: 20 items for each user, and static vectors of texts, by one process,
by two, and by two workers of Ray, in turns; medians. *starts* is the time until the first shard, *left*
counts processes that still run when the command has ended. Seconds are of a busy machine with two
cores.
"""
MANY = """`python benchmarks/scale.py texts` and `top`, in one process under a limit of 4 GB: vectors of 1 M
texts, and 20 of 20,000 items for 1 M users.
"""
LOCAL = """`python benchmarks/linear.py --parts local`: EASE of each item among the 200 items most similar to
it. l2 is chosen on a tenth of train.txt; on gowalla 30 is taken, which a search for SLIM chose there. CPU
seconds are of the last fit; those of EASE and SLIM are of two, of SLIM in an earlier form, with 100
neighbours.
"""


def reading() -> str:
    """Files to a graph, beside the first commit that had a reader of tables."""
    body = [
        [
            f"{row['file']}, {row['mb']} MB",
            row["tree"],
            seconds(row["cpu_s"]),
            f"{row['peak_mb']:,}",
            f"{row['peak_by_size']}",
        ]
        for row in rows("reading")
    ]
    return table(["file", "commit", "CPU s", "peak MB above imports", "peak / file"], body)


def of_part(part: str) -> list[Row]:
    """The rows of one part of scale.jsonl."""
    return [row for row in rows("scale") if row["part"] == part]


def scale_head() -> str:
    """What `store` shows, with the CPU seconds of 100 M edges."""
    took = {row["step"]: row["cpu_s"] for row in of_part("store") if row["edges"] == 1e8}
    return SCALE.format(write=took.pop("write"), steps=sum(took.values()))


def store() -> str:
    """Steps of `scale.py`: nanoseconds an edge by the number of edges, and memory."""
    steps: dict[str, dict[float, Row]] = {}
    for row in of_part("store"):
        steps.setdefault(row["step"], {})[row["edges"]] = row
    body = []
    for step, by_size in steps.items():
        one, ten, hundred = (by_size.get(size) for size in (1e6, 1e7, 1e8))
        both = ten and hundred
        body.append(
            [
                step,
                *("" if r is None else f"{r['ns_edge']:,}" for r in (one, ten, hundred)),
                f"{hundred['ns_edge'] / ten['ns_edge']:.2f}" if both else "",
                "" if hundred is None else f"{hundred['anon_mb']:,}",
            ]
        )
    head = ["step", "1 M edges, ns an edge", "10 M", "100 M", "100 M / 10 M", "100 M: private MB"]
    return table(head, body)


def large_tables() -> str:
    """Tables under a limit of memory: `ranks.py --nodes`."""
    body = [
        [row["how"], row["limit"], row["result"], row["private_mb"], row["cpu_s"]]
        for row in of_part("columns")
    ]
    return table(["processes", "limit each", "result", "private MB", "CPU s a step"], body)


def build() -> str:
    """The build beside LensKit: `store.py --pairs`."""
    body = []
    for row in of_part("build"):
        for name, what in (("cpu", "CPU s"), ("held", "MB")):
            found = row[name]
            low, high = found["quartiles"]
            ratio = f"{found['ratio']:.2f} ({low:.2f} to {high:.2f})"
            both = [f"{found[side]:g}" for side in ("hinaug", "LensKit")]
            body.append([f"{row['strings']} strings, {what}", *both, ratio, f"{found['goal']:g}"])
    return table(["build", "hinaug", "LensKit", "ratio", "goal"], body)


def local() -> str:
    """LocalEASE beside EASE: `linear.py --parts local`."""
    body = []
    for row in of_part("local"):
        data = row["data"].removesuffix("-lightgcnpp")
        cut = 20 if "NDCG@20" in row else 10
        for found in rows("published"):
            if found["data"] == data and found["model"][:4] in ("EASE", "SLIM"):
                line = [f"{data}, at {cut}", found["model"], pair(found["test"])]
                body.append([*line, seconds(found["cpu_s"]), "", ""])
        figures = pair([row[f"Recall@{cut}"], row[f"NDCG@{cut}"]])
        cost = [seconds(row["fit_cpu_s"]), f"{row['peak_mb']:,}", f"{row['weights_mb']:g}"]
        body.append([f"{data}, at {cut}", f"LocalEASE, l2 {row['l2']:g}", figures, *cost])
        other = [f"{data}, at {cut}", "the same, neighbours by counts in place of cosines"]
        body.append([*other, pair(row["by counts"]), "", "", ""])
    head = ["data", "model", "Recall / NDCG", "CPU s", "peak MB of the fit", "weights MB"]
    return table(head, body)


def page() -> str:
    """The whole page."""
    parts = ["# Reading files, and graphs larger than memory\n"]
    parts += ["## Reading files\n", READING, reading()]
    parts += [
        "## Graphs and tables larger than memory\n",
        scale_head(),
        store(),
        TABLES,
        large_tables(),
    ]
    parts += ["## Building a graph, beside LensKit\n", BUILD, build()]
    without = ("part", "data", "model", "steps")
    parts += ["## Training on several processes\n", RANKS, as_it_is(of_part("ranks"), without)]
    parts += ["## Many rows\n", SHARDS, as_it_is(of_part("shards"), ("part",)), MANY]
    many = [*of_part("texts"), *of_part("top")]
    parts += [as_it_is(many, ("texts", "users", "ns_edge", "hwm_mb", "said"))]
    parts += ["## EASE without its matrix\n", LOCAL, local()]
    return "\n".join(parts)
