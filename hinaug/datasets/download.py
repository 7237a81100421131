"""Fetching with nothing left half done: a download appears whole or not at all; archives stay in their folder."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

CONNECT = 5.0  # seconds; without a network this fails fast
COPY = "recbole==1.2.1"
COPY_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
COPY_FOLDER = "recbole/dataset_example/ml-100k/"


def download_to(address: str, target: Path) -> None:
    """One file, or the contents of one zip archive, as the folder `target`; it appears whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".part-") as part:
        file = Path(part) / Path(urllib.parse.urlparse(address).path).name
        _stream(address, file)
        ready = Path(part) / "ready"
        ready.mkdir()
        if file.suffix == ".zip":
            with zipfile.ZipFile(file) as archive:
                _unpack(archive, ready, _root(archive))
        else:
            file.rename(ready / file.name)
        _publish(ready, target)


def _stream(address: str, file: Path) -> None:
    from hinaug.progress import track

    answer = _open(address)
    with answer, open(file, "wb") as out:
        size = int(answer.headers.get("Content-Length") or 0)
        blocks = iter(lambda: answer.read(1 << 18), b"")
        for block in track(
            blocks, f"downloading {file.name} (256 KiB blocks)", size // (1 << 18) + 1 if size else None
        ):
            out.write(block)
    if size and file.stat().st_size != size:
        raise OSError(f"cut off after {file.stat().st_size} of {size} bytes")


def _open(address: str) -> Any:
    """`urlopen` that gives up after CONNECT seconds even while a name is being looked up, which no timeout covers."""
    box: list[Any] = []

    def ask() -> None:
        try:
            box.append(urllib.request.urlopen(address, timeout=CONNECT))
        except Exception as error:
            box.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(2 * CONNECT)
    if not box:
        raise OSError(f"no answer within {2 * CONNECT:.0f} s")
    if isinstance(box[0], OSError):
        raise box[0]
    if isinstance(box[0], Exception):
        raise OSError(str(box[0])) from box[0]
    return box[0]


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
        done = subprocess.run([*command, COPY, "-d", part], capture_output=True, text=True, timeout=300, check=False)
        wheels = list(Path(part).glob("recbole-*.whl"))
        if done.returncode or len(wheels) != 1:
            raise OSError(f"pip download failed: {(done.stderr or done.stdout).strip()[-300:]}")
        digest = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
        if digest != COPY_SHA256:
            raise ValueError(f"the wheel's sha256 is {digest}, expected {COPY_SHA256}; not used")
        ready = Path(part) / "ready"
        ready.mkdir()
        with zipfile.ZipFile(wheels[0]) as archive:
            _unpack(archive, ready, COPY_FOLDER)
        _publish(ready, target)


def _root(archive: zipfile.ZipFile) -> str:
    """The one folder that holds everything, "" when there is none."""
    tops = {n.partition("/")[0] + "/" for n in archive.namelist() if "/" in n}
    loose = any("/" not in n for n in archive.namelist())
    return tops.pop() if len(tops) == 1 and not loose else ""


def _unpack(archive: zipfile.ZipFile, target: Path, root: str) -> None:
    """Files under `root`; a member that would land outside `target` is refused."""
    for member in archive.infolist():
        if member.is_dir() or not member.filename.startswith(root):
            continue
        to = (target / member.filename[len(root) :]).resolve()
        if not to.is_relative_to(target.resolve()):
            raise OSError(f"the archive has a member {member.filename!r} that points outside its folder; not unpacked")
        to.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as source, open(to, "wb") as out:
            shutil.copyfileobj(source, out)


def _publish(ready: Path, target: Path) -> None:
    if target.exists():  # half a folder from elsewhere, or another process was faster with the same files
        shutil.rmtree(target)
    ready.rename(target)
