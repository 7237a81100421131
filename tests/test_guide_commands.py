"""The commands in docs/guide run on small raw files, and print what stands below them."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hinaug.cli.app import app
from hinaug.datasets import planted

GUIDES = sorted((Path(__file__).parent.parent / "docs" / "guide").glob("*.md"))
SHELL = re.compile(r"```bash\n(.*?)```(?:\s*```text\n(.*?)```)?", re.DOTALL)


def without_figures(line):
    """Figures differ a little between machines; words do not."""
    return " ".join(re.sub(r"-?\d[\d.,]*(e-?\d+)?", "0", line).split())


@pytest.fixture
def raw(tmp_path, monkeypatch):
    """The raw files that from-raw-to-report.md names, small, in the current folder."""
    import duckdb

    monkeypatch.chdir(tmp_path)
    hin = planted(60, 40, rng=0)
    users, items = hin.links(("user", "rates", "item"))
    rows = list(zip((users + 1).tolist(), (items + 1).tolist(), strict=True))
    rates = [(u, i, 1 + (u + i) % 5, 1_600_000_000 + 60 * n) for n, (u, i) in enumerate(rows)]
    files = {
        "user_movie": rates,
        "user_age": [(u, u % 5) for u in range(1, 61)],
        "user_occupation": [(u, u % 7) for u in range(1, 61)],
        "user_gender": [(u, u % 2) for u in range(1, 61)],
        "movie_genre": [(i, i % 6) for i in range(1, 41)],
        "movie_year": [(i, 1980 + i % 9) for i in range(1, 41)],
    }
    (tmp_path / "hin").mkdir()
    for name, lines in files.items():
        text = "".join("\t".join(map(str, line)) + "\n" for line in lines)
        (tmp_path / "hin" / f"{name}.dat").write_text(text)
    (tmp_path / "reviews").mkdir()
    names = ("reviewerID", "asin", "overall", "unixReviewTime", "reviewText")
    for part in (0, 1):
        lines = [(f"U{u}", f"B{i}", float(r), t, f"Of {i}.") for u, i, r, t in rates[part::2]]
        text = "".join(json.dumps(dict(zip(names, x, strict=True))) + "\n" for x in lines)
        (tmp_path / "reviews" / f"part-{part}.jsonl").write_text(text)
    with duckdb.connect("shop.db") as shop:
        shop.execute(
            "CREATE TABLE customers AS SELECT range + 1 AS id, 'baker' AS job FROM range(60)"
        )
        shop.execute(
            "CREATE TABLE products AS SELECT range + 1 AS id, 'tea' AS title FROM range(40)"
        )
        shop.execute(
            "CREATE TABLE orders (customer_id INT, product_id INT, stars INT, bought_at INT)"
        )
        shop.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rates)


def commands(block):
    """The commands of a block, those over several lines as one."""
    return block.replace("\\\n", " ").strip().splitlines()


def printed_by(line):
    """What a command prints; verbs of hinaug run in this process, and > writes a file."""
    if not line.startswith("hinaug "):
        return subprocess.run(line, shell=True, check=True, capture_output=True, text=True).stdout
    line, _, file = line.partition(" > ")
    done = CliRunner().invoke(app, shlex.split(line)[1:])
    assert done.exit_code == 0, f"{line}\n{done.output}"
    if file:
        Path(file).write_text(done.stdout)
    return "" if file else done.stdout


@pytest.mark.parametrize(
    "page", [p for p in GUIDES if "```bash\nhinaug" in p.read_text("utf-8")], ids=lambda p: p.stem
)
def test_the_commands_of_a_page_run_and_print_what_it_says(page, raw):
    for block, told in SHELL.findall(page.read_text(encoding="utf-8")):
        printed = "".join(map(printed_by, commands(block))).splitlines()
        lines = {without_figures(line) for line in printed}
        assert {without_figures(line) for line in told.splitlines()} <= lines
