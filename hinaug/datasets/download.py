"""Fetching with nothing left half done: a download appears whole or not at all, and goes on where
it was cut off.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import threading
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hinaug.datasets.unpack import publish, root, unpack
from hinaug.progress import track

CONNECT = 5.0  # seconds; without a network this fails fast
BLOCK = 1 << 18


def download_to(
    addresses: Sequence[str], target: Path, md5: Mapping[str, str] | None = None
) -> None:
    """Files, or the contents of one zip archive, as the folder `target`; it appears whole or not at
    all.

    What a broken connection left stays in `.part-NAME` beside the target, where no reader looks,
    and the next call goes on there.

    addresses: of the files.
    md5: of files that are known; if a file has another one, that is an OSError and nothing is kept.
    Raises OSError, BadZipFile.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    left = target.parent / f".part-{target.name}"
    own = f"{os.getpid()}-{threading.get_ident()}"  # two at once do not mix
    part = target.parent / f".part-{target.name}-{own}"
    try:
        left.rename(part)
    except OSError:
        part.mkdir(exist_ok=True)
    try:
        files = [_fetch(address, part) for address in addresses]
    except BaseException:  # Ctrl-C too
        _keep(part, left)
        raise
    try:
        ready = part / "ready"
        ready.mkdir()
        for file in files:
            if file.suffix == ".zip":
                with zipfile.ZipFile(file) as archive:
                    unpack(archive, ready, root(archive))
            else:
                file.rename(ready / file.name)
        for name, expected in (md5 or {}).items():
            _check(ready / name, expected)
        publish(ready, target)
    finally:
        shutil.rmtree(part)


def _keep(part: Path, left: Path) -> None:
    if not any(part.iterdir()) or left.exists():
        shutil.rmtree(part)
    else:
        part.rename(left)


def _check(file: Path, expected: str) -> None:
    if not file.is_file():
        return
    found = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    if found != expected:
        raise OSError(
            f"the md5 of {file.name} is {found}, expected {expected}; not used; ask again for "
            "another copy"
        )


def _fetch(address: str, folder: Path) -> Path:
    """The file of an address. Until it is whole it is called NAME.partial, and NAME.known beside it
    says what the whole one is.
    """
    file = folder / urllib.parse.unquote_plus(Path(urllib.parse.urlparse(address).path).name)
    if file.is_file():
        return file
    partial, known = folder / f"{file.name}.partial", folder / f"{file.name}.known"
    answer, start = _from_where_it_stopped(address, partial, known)
    with answer, open(partial, "ab" if start else "wb") as out:
        size = start + int(answer.headers.get("Content-Length") or 0)
        if not start:
            mark = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
            known.write_text(json.dumps({"address": address, "size": size, "mark": mark}))
        steps = (size - start) // BLOCK + 1 if size > start else None
        _copy(answer, out, size, f"downloading {file.name} (256 KiB blocks)", steps)
    if size and partial.stat().st_size != size:
        raise OSError(
            f"cut off after {partial.stat().st_size:,} of {size:,} bytes; ask again to go on from "
            "there"
        )
    known.unlink()
    partial.rename(file)
    return file


def _copy(answer: Any, out: Any, size: int, label: str, steps: int | None) -> None:
    """Writes what the server sends, block by block, under a progress bar."""
    try:
        for block in track(iter(lambda: answer.read(BLOCK), b""), label, steps):
            out.write(block)
    except http.client.HTTPException as error:
        raise OSError(
            f"cut off after {out.tell():,} of {size:,} bytes ({type(error).__name__}); ask "
            "again to go on from there"
        ) from error


def _from_where_it_stopped(address: str, partial: Path, known: Path) -> tuple[Any, int]:
    """The rest of a file, when the server says that it is still the same one, else all of it; and
    where it starts.
    """
    try:
        there, have = json.loads(known.read_text()), partial.stat().st_size
    except (OSError, ValueError):
        there, have = {}, 0
    mark, size = there.get("mark", ""), there.get("size", 0)
    is_exact = mark and not mark.startswith("W/")  # a weak mark allows for other bytes
    if is_exact and there.get("address") == address and 0 < have < size:
        answer = _open(address, {"Range": f"bytes={have}-", "If-Range": mark})
        given = answer.headers.get("Content-Range")
        if given == f"bytes {have}-{size - 1}/{size}":
            return answer, have
        if not given:
            return answer, 0  # another file by now, or a server that gives whole files only
        answer.close()
    return _open(address), 0


def _open(address: str, headers: Mapping[str, str] | None = None) -> Any:
    """`urlopen` that gives up after CONNECT seconds even while a name is being looked up, which no
    timeout covers.
    """
    box: list[Any] = []

    def ask() -> None:
        try:
            request = urllib.request.Request(address, headers=dict(headers or {}))
            box.append(urllib.request.urlopen(request, timeout=CONNECT))
        except Exception as error:
            box.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(2 * CONNECT)
    if not box:
        raise OSError(f"no answer within {2 * CONNECT:.0f} s; is this computer online?")
    if isinstance(box[0], urllib.error.HTTPError):
        box[0].close()
        raise OSError(
            f"the server answered {box[0].code} {box[0].reason}; the file may have moved: look at "
            "the publisher's page"
        ) from box[0]
    if isinstance(box[0], urllib.error.URLError):
        raise OSError(f"no connection ({box[0].reason}); is this computer online?") from box[0]
    if isinstance(box[0], OSError):
        raise box[0]
    if isinstance(box[0], Exception):
        raise OSError(
            f"no download ({type(box[0]).__name__}: {box[0]}); look at the address"
        ) from box[0]
    return box[0]
