"""Many rows in shards: the same bytes from one process and from several, and only what is missing
is made again.
"""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hinaug.datasets import planted
from hinaug.errors import RankError, StoreError
from hinaug.io import save
from hinaug.predictors import ALS
from hinaug.serving import recommend
from hinaug.serving.shards import Job, Recommend, _ready, in_shards

RATES = ("user", "rates", "item")


def contents(paths):
    return [Path(path).read_bytes() for path in paths]


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    hin = planted(60, 40, 3, rng=0)
    model = ALS(RATES, embedding_dim=4).fit(hin, rng=0)
    save(hin, folder / "hin")
    save(model, folder / "model")
    users = tuple(hin.ids("user").to_pylist())
    made = Recommend(str(folder / "model"), str(folder / "hin"), users, 5)
    return made, recommend(model, hin, list(users), 5)


def test_two_processes_write_what_one_writes(job, tmp_path):
    job, whole = job
    one = in_shards(job, 60, tmp_path / "one", size=25)
    two = in_shards(job, 60, tmp_path / "two", size=25, processes=2)
    assert contents(one) == contents(two)
    assert pa.concat_tables([pq.read_table(path) for path in one]).equals(whole)


@dataclass(frozen=True)
class Numbers(Job):
    """Rows that are their own numbers; a marker in the folder kills who makes the last shard."""

    marker: str

    def open(self):
        def rows(start, stop):
            if start >= 20 and Path(self.marker).exists():
                os.kill(os.getpid(), signal.SIGKILL)
            return pa.table({"row": np.arange(start, stop)})

        return rows


def test_a_killed_worker_leaves_what_is_done(tmp_path):
    marker = tmp_path / "marker"
    marker.touch()
    job, folder = Numbers(str(marker)), tmp_path / "out"
    with pytest.raises(RankError) as caught:
        in_shards(job, 25, folder, size=5, processes=2)
    assert 4 in caught.value.there
    made = {path: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}
    marker.unlink()
    paths = in_shards(job, 25, folder, size=5)
    assert all(path.stat().st_mtime_ns == when for path, when in made.items())
    assert pq.read_table(paths)["row"].to_pylist() == list(range(25))


def test_only_what_is_missing_is_made_again(tmp_path):
    job = Numbers("nowhere")
    paths = in_shards(job, 25, tmp_path / "out", size=5)
    before = contents(paths)
    paths[2].unlink()
    when = paths[1].stat().st_mtime_ns
    assert contents(in_shards(job, 25, tmp_path / "out", size=5)) == before
    assert paths[1].stat().st_mtime_ns == when


def test_a_folder_of_another_job_is_refused(tmp_path):
    in_shards(Numbers("nowhere"), 25, tmp_path / "out", size=5)
    with pytest.raises(StoreError):
        in_shards(Numbers("elsewhere"), 25, tmp_path / "out", size=5)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(StoreError):
        in_shards(Numbers("nowhere"), 25, tmp_path / "full", size=5)


def test_a_folder_where_nothing_was_made_takes_another_job(tmp_path):
    marker = tmp_path / "marker"
    marker.touch()
    with pytest.raises(RankError):
        in_shards(Numbers(str(marker)), 50, tmp_path / "out", size=25, processes=2)
    for path in (tmp_path / "out").glob("*.parquet"):
        path.unlink()
    assert len(in_shards(Numbers("nowhere"), 25, tmp_path / "out", size=5)) == 5


def test_no_worker_of_ray_is_an_error_in_time():
    class Silent:
        """Ray, of which no worker answers."""

        def wait(self, calls, num_returns, timeout):
            return [], calls

    class Actor:
        class is_ready:
            @staticmethod
            def remote():
                return object()

    with pytest.raises(RankError) as caught:
        _ready(Silent(), [Actor(), Actor()])
    assert (caught.value.asked, caught.value.there) == (2, 0)


@pytest.mark.slow
def test_ray_writes_what_one_process_writes(job, tmp_path):
    import subprocess
    import sys

    job, _ = job
    one = in_shards(job, 60, tmp_path / "one", size=25)
    code = (
        "from hinaug.serving.shards import *; "
        f"in_shards({job!r}, 60, {str(tmp_path / 'ray')!r}, size=25, ray=2)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=300)
    assert contents(one) == contents(sorted((tmp_path / "ray").glob("*.parquet")))


KILLED_ONCE = """
import os, signal, sys
from dataclasses import dataclass
import numpy as np, pyarrow as pa
from hinaug.serving.shards import Job, in_shards

@dataclass(frozen=True)
class Once(Job):
    marker: str
    payload: bytes  # more than Ray keeps in a message

    def open(self):
        def rows(start, stop):
            if start and os.path.exists(self.marker):
                os.unlink(self.marker)
                os.kill(os.getpid(), signal.SIGKILL)
            return pa.table({"row": np.arange(start, stop)})

        return rows

in_shards(Once(sys.argv[1], bytes(10**6)), 20, sys.argv[2], size=5, ray=2)
"""


@pytest.mark.slow
def test_ray_starts_a_killed_worker_again(tmp_path):
    import subprocess
    import sys

    marker, out = tmp_path / "marker", tmp_path / "out"
    marker.touch()
    command = [sys.executable, "-c", KILLED_ONCE, str(marker), str(out)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    assert not marker.exists()
    assert pq.read_table(sorted(out.glob("*.parquet")))["row"].to_pylist() == list(range(20))


def test_a_model_that_was_fitted_anew_gets_no_old_shards(job, tmp_path):
    job, _ = job
    hin = planted(60, 40, 3, rng=0)
    mine = Recommend(str(tmp_path / "model"), job.store, job.users, 5)
    save(ALS(RATES, embedding_dim=4).fit(hin, rng=0), tmp_path / "model")
    in_shards(mine, 60, tmp_path / "out", size=30)
    in_shards(mine, 60, tmp_path / "out", size=30)
    save(ALS(RATES, embedding_dim=4).fit(hin, rng=1), tmp_path / "model")
    with pytest.raises(StoreError):
        in_shards(mine, 60, tmp_path / "out", size=30)
