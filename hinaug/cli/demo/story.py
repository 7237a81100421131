"""The demo from beginning to end: data, three steps that are run here, two that were run before."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from rich.console import Console
from threadpoolctl import threadpool_limits

from hinaug.cli.demo.alone import alone
from hinaug.cli.demo.jobs import JOBS, Job
from hinaug.cli.demo.new_items import new_items
from hinaug.cli.demo.shop import shop
from hinaug.datasets import find
from hinaug.errors import UnknownNameError
from hinaug.features import TextEncoder, embed_text
from hinaug.report import Command, Facts, Finding, Findings, Log, report

ABOUT = (
    "Plain, random and augmented side by side, on held-out links, every item ranked. "
    "A verdict needs p < .005 and eight splits."
)


def run(
    dataset: str = "ml-100k",
    *,
    folder: Path | None = None,
    out: Path | str = "hinaug-demo",
    encoder: str = "minilm",
    seeds: Sequence[int] = range(8),
    console: Console | None = None,
) -> list[Finding]:
    """Runs the demo on a public data set, and prints what it finds.

    Writes results.jsonl, report.html and the augmented stores to `out`.
    """
    console = console or Console(width=120, highlight=False)
    if dataset not in JOBS:
        raise UnknownNameError(
            f"no demo for {dataset!r}; there are {list(JOBS)}", asked=dataset, there=list(JOBS)
        )
    found = find(dataset, folder)
    console.print(f"[bold]{dataset}[/]: read from {found.source}\n  terms: {found.terms}")
    job = JOBS[dataset](found.folder)
    started = time.perf_counter()
    if job.embed is not None:
        job.hin = embed_text(job.hin, job.embed, TextEncoder(encoder))
        seconds = time.perf_counter() - started
        console.print(f"  text of {job.embed} nodes embedded with {encoder} in {seconds:.1f} s")
    command = f"hinaug demo {dataset} --encoder {encoder} --seeds {len(seeds)}"
    facts = {"Data": dataset, "Source": str(found.source), "Terms": found.terms}
    # small matrices: more threads would mostly wait for each other
    with threadpool_limits(1, "blas"):
        return tell(job, Path(out), seeds, console, facts, command)


def tell(
    job: Job,
    out: Path,
    seeds: Sequence[int],
    console: Console,
    facts: dict[str, str],
    command: str,
    *,
    quick: bool = False,
) -> list[Finding]:
    """The story of one job. quick: small models, for a smoke test."""
    started = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    data = facts.get("Data", "a graph of your own")
    log = Log(out / "results.jsonl", f"{data}: where augmentation wins", about=ABOUT,
              console=console)  # fmt: skip
    console.print(job.hin.summary())
    earlier = _earlier(data)
    findings = _told(log, "A tuned model on all its data", earlier, "tuned")
    findings += shop(job, seeds, log, out / "shop", quick)
    if job.features:
        findings += new_items(job, seeds, log, out / "new-items")
    alone(job, seeds[0], log, quick)
    findings += _told(log, "Where it does not help", earlier, "no help")
    log.section("")
    log.add(Findings("Where augmentation wins, and where not", findings))
    rows = {**facts, "Links": " ".join(job.relation), "Notes": "; ".join(job.notes)}
    log.add(Facts({**rows, "Seeds": ", ".join(map(str, seeds))}), Command(command))
    log.end(time.perf_counter() - started)
    console.print(f"results: {log.path}; augmented stores: {out}/shop, {out}/new-items")
    console.print(f"report: {report(out)}")
    console.print(f"done in {time.perf_counter() - started:.0f} s")
    return findings


def _earlier(data: str) -> dict[str, list[Finding]]:
    """Findings that take longer than a demo may; benchmarks/relations.py measured them."""
    rows = json.loads(files("hinaug.cli.demo").joinpath("earlier.json").read_text())
    return {step: [Finding(**one) for one in each] for step, each in rows.get(data, {}).items()}


def _told(log: Log, title: str, earlier: dict[str, list[Finding]], step: str) -> list[Finding]:
    found = earlier.get(step, [])
    if found:
        log.section(title, "Measured before, by benchmarks/relations.py; not part of this run.")
        log.add(*found)
    return found
