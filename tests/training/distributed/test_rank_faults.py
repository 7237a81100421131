"""Faults of training on several processes: an error that names the rank, and nothing lost."""

import json

import numpy as np
import pytest
from rank_processes import on_ranks
from rank_tasks import RATES, fitted, train, train_to_rename

from hinaug.datasets import planted
from hinaug.errors import RankError
from hinaug.predictors import MF
from hinaug.training.distributed import Ranks

MODEL = MF(RATES, embedding_dim=4, epochs=6)


def resumes(folder, epochs, size=2):
    """A new start goes on after `epochs` epochs, with the losses of a training without a fault."""
    want, _ = fitted(MODEL.clone(), Ranks())
    for losses, _, _ in on_ranks(train, size, MODEL, folder):
        assert len(losses) == MODEL.epochs - epochs
        assert np.abs(np.subtract(losses, want[epochs:])).max() < 1e-8


@pytest.mark.parametrize(("lost", "size"), [(0, 2), (1, 2), (3, 4)])
def test_a_killed_rank_is_named(tmp_path, lost, size):
    """With four ranks some wait for one that has given up already."""
    answers = on_ranks(train, size, MODEL, tmp_path, 3, "kill", lost, timeout=5.0)
    assert answers.pop(lost) == "killed"
    for answer in answers:
        assert isinstance(answer, RankError)
        assert answer.there == [lost]
    resumes(tmp_path, 2)


@pytest.mark.parametrize(
    ("lost", "number", "is_done"),
    [(0, 1, False), (0, 4, False), (0, 4, True), (1, 2, True), (2, 2, False)],
)
def test_three_ranks_go_on_where_one_was_killed_in_a_checkpoint(tmp_path, lost, number, is_done):
    """Rank 0 renames its own file and then the manifest, others their own file alone."""
    given = tmp_path, lost, number, is_done
    answers = on_ranks(train_to_rename, 3, MODEL, *given, timeout=5.0)
    assert answers.pop(lost) == "killed"
    for answer in answers:
        assert isinstance(answer, RankError)
        assert answer.there == [lost]
    manifests = [json.loads(path.read_text()) for path in tmp_path.rglob("manifest.json")]
    assert len(manifests) == (number > 1)
    epochs = manifests[0]["number"] if manifests else 0
    assert epochs == {1: 0, 2: 2, 4: 4 if is_done else 2}[number]
    resumes(tmp_path, epochs, size=3)


def test_a_slow_rank_is_named(tmp_path):
    answers = on_ranks(train, 2, MODEL, tmp_path, 3, "wait", timeout=2.0)
    assert [type(a) for a in answers] == [RankError, RankError]
    assert answers[0].there == [1]
    resumes(tmp_path, 2)


@pytest.mark.parametrize("full", [0, 1])
def test_a_full_disk_names_the_rank_and_keeps_the_last_checkpoint(tmp_path, full):
    answers = on_ranks(train, 2, MODEL, tmp_path, 3, "fill", full)
    for answer in answers:
        assert isinstance(answer, RankError)
        assert answer.there == [full]
    assert not list(tmp_path.rglob("*.partial"))
    resumes(tmp_path, 2)


def checkpointed(folder):
    on_ranks(train, 2, MODEL, folder, 5, "kill", timeout=5.0)
    return next(folder.rglob("manifest.json"))


def test_a_half_written_checkpoint_is_not_taken(tmp_path):
    """Files that no manifest names are left from a kill: they are ignored, and then removed."""
    manifest = checkpointed(tmp_path)
    assert json.loads(manifest.read_text())["number"] == 4
    left = [manifest.with_name("6-0-of-2.safetensors"), manifest.with_name("manifest.json.partial")]
    for path in left:
        path.write_bytes(b"half")
    resumes(tmp_path, 4)
    assert not left[1].exists()


def test_a_damaged_file_is_named_with_its_rank(tmp_path):
    damaged = checkpointed(tmp_path).with_name("4-1-of-2.safetensors")
    damaged.write_bytes(damaged.read_bytes()[:-20])
    for answer in on_ranks(train, 2, MODEL, tmp_path):
        assert isinstance(answer, RankError)
        assert answer.there == [1]


def test_a_damaged_manifest_is_named(tmp_path):
    manifest = checkpointed(tmp_path)
    manifest.write_bytes(manifest.read_bytes()[:20])
    for answer in on_ranks(train, 2, MODEL, tmp_path):
        assert isinstance(answer, RankError)
        assert str(manifest) in str(answer)


def with_own_graph(ranks):
    model = MF(RATES, embedding_dim=4, epochs=2)
    with model.training(ranks=ranks):
        model.fit(planted(60, 40, 3, rng=ranks.rank), rng=7)


def test_ranks_with_other_graphs_end_with_an_error_that_names_them():
    for answer in on_ranks(with_own_graph, 2):
        assert isinstance(answer, RankError)
        assert answer.there == [1]
