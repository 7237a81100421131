"""The demo's whole path on the planted world, and the command line."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from rich.console import Console

import hinaug
from hinaug.cli.demo import Job, experiment, run
from hinaug.datasets import planted

RATES = ("user", "rates", "item")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    hin = planted(rng=0)
    titles = dict(
        zip(hin.ids("item").to_pylist(), hin.nodes["item"]["title"].to_pylist(), strict=True)
    )
    job = Job(hin, RATES, ("review",), titles.__getitem__, "item", notes=["a made-up world"])
    out, text = tmp_path_factory.mktemp("demo"), io.StringIO()
    before = torch.random.get_rng_state()
    found = experiment(
        job, out=out, seeds=(0, 1), console=Console(file=text, width=120), quick=True
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    return out, text.getvalue(), found


def test_prints_every_part_of_the_story(ran):
    _, text, _ = ran
    for part in (
        "All data",
        "Thin data",
        "audit: 0 leaks",
        "plain",
        "random",
        "augmented",
        "NDCG@20",
        "MAP@20",
        "Hit@10",
    ):
        assert part in text
    for part in (
        "train degree",
        "what was generated",
        "RelationGenerator",
        "WGAN",
        "known for",
        "generated edge",
    ):
        assert part in text
    assert text.count("on the augmentation over 2 splits") == 6  # for each regime and model


def test_results_are_lines_of_json(ran):
    out, _, found = ran
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert (out / "report.html").stat().st_size > 20_000
    results = [r for r in rows if r["kind"] == "result"]
    assert len(results) == 2 * 2 * 3 * 3  # regimes x seeds x arms x models
    assert {r["on"] for r in results} == {"test"}
    assert all(0 <= r["NDCG@20"] <= 1 for r in results)
    comparisons = [r for r in rows if r["kind"] == "comparison"]
    assert len(comparisons) == sum(len(c) for c in found.values()) == 18
    for c in comparisons:
        assert c["low"] <= c["difference"] <= c["high"]
        assert c["p"] <= c["p_holm"] <= 1


def test_the_augmented_store_is_loadable_and_reversible(ran):
    out, _, _ = ran
    for regime in ("all", "thin"):
        graph = hinaug.load(out / regime)
        assert len(graph.deltas) == 1
        assert graph.n("user") > graph.n_observed("user")
        assert graph - graph.deltas[0] == graph.observed()
        made = graph.edges[RATES].filter(~np.asarray(graph.edges[RATES]["origin"].is_null()))
        assert set(made["origin"].to_pylist()) == {"RelationGenerator(LightGCN)", "WGAN"}


def test_unknown_data_set_is_one_clear_error():
    with pytest.raises(ValueError, match=r"no demo for 'ml-1m'.*ml-100k"):
        run("ml-1m")


def cli(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "hinaug.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_command_line_shows_a_store(ran):
    done = cli("info", str(ran[0] / "thin"))
    assert done.returncode == 0
    assert "user rates item" in done.stdout


def test_a_mistake_ends_in_one_line_and_code_2(tmp_path):
    done = cli("info", str(tmp_path / "nothing"))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    done = cli("demo", "ml-100k", "--data", str(tmp_path))
    assert done.returncode == 2
    assert "u.data" in done.stderr


def test_help_and_version():
    assert cli("--version").stdout.strip() == f"hinaug {hinaug.__version__}"
    help = cli("demo", "--help")
    assert help.returncode == 0
    assert "Example" in help.stdout
