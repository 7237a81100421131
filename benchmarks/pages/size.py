"""Files read, and graphs and tables larger than memory."""

from __future__ import annotations

from pages.tables import Row, figure, rows, seconds, table

READING = """`reading.py` builds a graph of 10 million ratings with a short text each, and one of reviews
as JSON lines. An earlier commit is measured beside this tree.
"""
SCALE = """`python benchmarks/scale.py store --edges 1e8` under a limit of 4 GB that the system sets
(RLIMIT_DATA), on one thread of a busy machine: 40 edges a user, 250 an item. Private memory is the
most during a step; pages of mapped files are not counted. *csr* and *propagate* (three layers of 64
columns; the transpose is made first) are of the whole graph. The steps of 100 M ran in three
processes, each under the limit and from the saved graph. The goal was a ratio of at most 1.5 for
build, splits and csr, and 3 for a layer: build and csr miss it.

`python benchmarks/ranks.py --nodes 1e7 --model MF --limit 7`: 10 M nodes x 64 columns, 7.7 GB of
parameters and Adam, BPR with 4,096 links a step.
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


def store() -> str:
    """Steps of `scale.py`: nanoseconds an edge by the number of edges, and memory."""
    steps: dict[str, dict[float, Row]] = {}
    for row in rows("scale"):
        if row["part"] == "store":
            steps.setdefault(row["step"], {})[row["edges"]] = row
    body = []
    for step, by_size in steps.items():
        ten, hundred = (by_size.get(size) for size in (1e7, 1e8))
        both = ten and hundred
        body.append(
            [
                step,
                *(figure(None) if r is None else f"{r['ns_edge']:.0f}" for r in (ten, hundred)),
                f"{hundred['ns_edge'] / ten['ns_edge']:.2f}" if both else figure(None),
                figure(None) if hundred is None else f"{hundred['anon_mb']:,.0f}",
            ]
        )
    head = ["step", "10 M edges, ns an edge", "100 M", "ratio", "100 M: private MB"]
    return table(head, body)


def large_tables() -> str:
    """Tables under a limit of memory: `ranks.py --nodes`."""
    body = [
        [row["how"], row["limit"], row["result"], row["private_mb"], row["cpu_s"]]
        for row in rows("scale")
        if row["part"] == "columns"
    ]
    return table(["processes", "limit each", "result", "private MB", "CPU s a step"], body)


def page() -> str:
    """The whole page."""
    parts = [
        "# Reading files, and graphs larger than memory\n",
        "## Reading files\n",
        READING,
        reading(),
    ]
    parts += ["## Graphs and tables larger than memory\n", SCALE, store(), "", large_tables()]
    return "\n".join(parts)
