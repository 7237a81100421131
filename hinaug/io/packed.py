"""Packed files, known by the ending of their name or by their first bytes: a stream of what is
inside.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from hinaug.errors import ParameterError

_FIRST = {  # of the bytes of a packed file
    "gz": re.compile(rb"\x1f\x8b"),
    "bz2": re.compile(rb"BZh[1-9]1AY&SY"),
    "xz": re.compile(rb"\xfd7zXZ\x00"),
    "zst": re.compile(rb"\x28\xb5\x2f\xfd"),
    "zip": re.compile(rb"PK\x03\x04"),
}
ENDINGS = tuple(_FIRST)


def packer_of(path: Path) -> str | None:
    """The packer of a file: "gz", "bz2", "xz", "zst" or "zip"; None where it is plain."""
    ending = path.suffix.lower()[1:]
    if ending in _FIRST:
        return ending
    with path.open("rb") as file:
        start = file.read(16)
    return next((name for name, first in _FIRST.items() if first.match(start)), None)


def opener(path: Path) -> Callable[[], Any]:
    """A function that opens a file as a binary stream of what is inside."""
    packer = packer_of(path)
    if packer is None:
        return lambda: path.open("rb")
    return lambda: _OPEN[packer](path)


def inner_name(path: Path) -> str:
    """The name of what is inside: without the packer's ending; of a zip file, that of its member
    where its own name has no further ending.
    """
    if path.suffix.lower()[1:] not in _FIRST:
        return path.name
    is_bare_zip = path.suffix.lower() == ".zip" and not Path(path.stem).suffix
    return _member(path) if is_bare_zip else path.stem


@contextmanager
def unpacking(name: Any) -> Iterator[None]:
    """Errors of a packed file as ParameterError with its name."""
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, OSError) as error:
        if getattr(error, "errno", None) is not None:  # of the disk, not of what stands on it
            raise
        raise ParameterError(
            f"{name}: cannot be unpacked ({error}); fetch it again", asked=str(name)
        ) from error


def _member(path: Path) -> str:
    """The one file of a zip file. ParameterError where it holds none or several."""
    with unpacking(path), zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not _is_aside(name)]
    if len(names) != 1:
        raise ParameterError(
            f"{path}: holds {len(names)} files ({', '.join(names[:5])}), and one is needed; unpack "
            "it and give the folder",
            asked=str(path),
            there=names,
        )
    return names[0]


def _is_aside(name: str) -> bool:
    """Folders, and what file managers leave beside files."""
    return name.endswith("/") or any(part.startswith((".", "__")) for part in name.split("/"))


def _open_zip(path: Path) -> Any:
    try:
        return zipfile.ZipFile(path).open(_member(path))
    except RuntimeError as error:  # a password, or a method of packing that Python does not have
        raise ParameterError(
            f"{path}: cannot be unpacked ({error}); unpack it and give the file", asked=str(path)
        ) from error


def _open_zst(path: Path) -> Any:
    return pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")


_OPEN: dict[str, Callable[[Path], Any]] = {
    "gz": gzip.open,
    "bz2": bz2.open,
    "xz": lzma.open,
    "zst": _open_zst,
    "zip": _open_zip,
}
