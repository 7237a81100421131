"""Texts encoded in shards: the vectors of the encoder itself, and after a kill only what is
missing.
"""

import os
import signal
from dataclasses import dataclass, field

import numpy as np
import pytest
from static_tables import static_vectors

from hinaug.errors import RankError
from hinaug.features.text import StaticEncoder, TextViews, TfIdfEncoder
from hinaug.serving import ShardedEncoder

WORDS = ["[UNK]", "green", "tea", "jam", "sweet", "figs"]


def texts(n, seed=0):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS[1:], rng.integers(1, 9))) for _ in range(n)]


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    return static_vectors(tmp_path_factory.mktemp("static"), WORDS)


def test_shards_of_two_processes_are_the_vectors_of_one(static, tmp_path):
    encoder, given = StaticEncoder(static), [*texts(50), "unknown"]
    expected = encoder.encode(given)
    assert np.isnan(expected[-1]).all()
    for processes in (1, 2):
        sharded = ShardedEncoder(encoder, tmp_path / str(processes), processes, size=20)
        assert sharded.encode(given).tobytes() == expected.tobytes()
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / n).rglob("part*")} for n in "12"
    )
    assert len(first) == 3
    assert first == second
    sharded.remove()
    assert not (tmp_path / "2").exists()


def test_fitted_views_come_along(static, tmp_path):
    given = texts(30)
    views = TextViews([TfIdfEncoder(dim=3), StaticEncoder(static)]).fit(given)
    sharded = ShardedEncoder(views, tmp_path / "s", 2, size=15)
    np.testing.assert_allclose(sharded.encode(given), views.encode(given), atol=1e-6)
    assert sharded.fitted_texts_ == views.fitted_texts_


@dataclass
class Mortal:
    """Lengths of texts; dies where a text says so, while a marker is there."""

    marker: str
    scale: float = 1.0
    calls: list = field(default_factory=list, repr=False)

    def encode(self, given):
        if "die" in given and os.path.exists(self.marker):
            os.kill(os.getpid(), signal.SIGKILL)
        return np.array([[self.scale * len(text)] for text in given], np.float32)


def test_a_kill_in_the_middle_leaves_what_is_done(tmp_path):
    marker = tmp_path / "marker"
    marker.touch()
    given = [*texts(45), "die", *texts(14, 1)]
    sharded = ShardedEncoder(Mortal(str(marker)), tmp_path / "s", 2, size=20)
    with pytest.raises(RankError) as caught:
        sharded.encode(given)
    assert 2 in caught.value.there
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "s").rglob("part*.parquet")}
    marker.unlink()
    assert sharded.encode(given).ravel().tolist() == [len(text) for text in given]
    assert all(path.stat().st_mtime_ns == when for path, when in done.items())


def test_another_encoder_or_other_texts_get_no_old_shards(tmp_path):
    given = texts(30)
    for scale in (1.0, 2.0):
        sharded = ShardedEncoder(Mortal("nowhere", scale), tmp_path / "s", size=20)
        assert sharded.encode(given)[0, 0] == scale * len(given[0])
        assert sharded.encode([*given[:25], "a"])[-1, 0] == scale
