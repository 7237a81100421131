"""A world that the command line made itself."""

import pytest
from commands import TARGET, run

import hinaug
from hinaug.datasets import planted


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder with store, split, delta and model, made by the command line itself."""
    folder = tmp_path_factory.mktemp("cli")
    hinaug.save(planted(60, 40, rng=0), folder / "store")
    run("split", folder / "store", *TARGET, "--out", folder / "split")
    run(
        "augment",
        folder / "split",
        "--edges",
        "EASE:0.1",
        "--users",
        "Synthesis:6",
        "--out",
        folder / "delta",
    )
    run(
        "evaluate",
        folder / "split",
        "--model",
        "EASE",
        "--set",
        "l2=50",
        "--delta",
        folder / "delta",
        "--on",
        "test",
        "--out",
        folder / "model",
    )
    return folder
