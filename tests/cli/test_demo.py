"""The demo's whole path on the planted world, and the command line."""

import io
import json
import subprocess
import sys
from importlib.resources import files

import pytest
import torch
from raising import raises
from rich.console import Console

import hinaug
from hinaug.cli.demo import run
from hinaug.cli.demo.jobs import Job
from hinaug.cli.demo.story import tell
from hinaug.datasets import planted
from hinaug.errors import UnknownNameError
from hinaug.report.blocks import as_block

RATES = ("user", "rates", "item")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    job = Job(planted(rng=0), RATES, ["x"], ("review",), name="title", notes=["a made-up world"])
    out, text = tmp_path_factory.mktemp("demo"), io.StringIO()
    before = torch.random.get_rng_state()
    console = Console(file=text, width=120)
    found = tell(job, out, (0, 1), console, {"Data": "planted"}, "hinaug demo", quick=True)
    assert torch.equal(torch.random.get_rng_state(), before)
    return out, text.getvalue(), found


def test_prints_every_part_of_the_story(ran):
    _, text, found = ran
    for part in (
        "audit: 0 leaks",
        "RelationGenerator(LightGCN)",
        "user rates item",
        "train degree",
        "generated edge",
        "the teacher itself",
        "by features of other items",
        "by predicted popularity",
        "later liked",
        "Trained on generated users alone",
        "not anonymous",
        "Where augmentation wins, and where not",
    ):
        assert part in text
    where = [finding.where for finding in found]
    assert where == ["Thin data, EASE", "Thin data, ItemKNN", "New items, 2 of 20 places"]
    assert {finding.outcome for finding in found} == {"no verdict"}  # two splits are too few


def test_places_reach_new_items_where_features_tell(ran):
    new = ran[2][-1]
    assert new.plain == 0
    assert new.augmented > 1.5 * new.control


def test_results_are_lines_of_json(ran):
    out, _, _ = ran
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert (out / "report.html").stat().st_size > 20_000
    comparisons = [row for row in rows if row["kind"] == "comparison"]
    assert len(comparisons) == 2 * 3
    for c in comparisons:
        assert c["low"] <= c["difference"] <= c["high"]
        assert c["p"] <= c["p_holm"] <= 1
    lines = next(row for row in rows if row["kind"] == "Lines" and "places" in row["title"])
    assert len(lines["series"]["by the items' features"][0]) == 4


def test_users_generated_alone_have_their_use_and_their_leak_beside_it(ran):
    out, _, _ = ran
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    table = next(r for r in rows if r["kind"] == "Table" and "alone" in r["caption"])
    named = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    assert [row["users by"] for row in named] == ["SecondMoment", "JointVAE"]
    best = named[0]  # in so small a world a control may do as well
    assert 0.5 < best["share of real"] <= 1
    for row in named:
        assert row["generated"] == 3 * 100
        assert 0 <= row["membership AUC"] <= 1
        assert row["±"] > 0


def test_the_augmented_store_is_loadable_and_reversible(ran):
    out, _, _ = ran
    for name, maker in (("shop", "LightGCN"), ("new-items", "KernelRidge")):
        graph = hinaug.load(out / name)
        assert len(graph.deltas) == 1
        assert graph - graph.deltas[0] == graph.observed()
        origins = set(graph.edges[RATES]["origin"].drop_null().to_pylist())
        assert origins == {f"RelationGenerator({maker})"}


def test_earlier_findings_have_the_form_of_the_page():
    rows = json.loads(files("hinaug.cli.demo").joinpath("earlier.json").read_text())
    for steps in rows.values():
        assert set(steps) <= {"tuned", "no help"}
        for finding in (one for each in steps.values() for one in each):
            made = as_block({"kind": "Finding", **finding})
            assert made.measured


def test_unknown_data_set_is_one_clear_error():
    with raises(UnknownNameError, asked="ml-1m") as error:
        run("ml-1m")
    assert "ml-100k" in error.value.there


def cli(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "hinaug.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_command_line_shows_a_store(ran):
    done = cli("info", str(ran[0] / "shop"))
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
