"""Classes of the user's own, named "module:Class" or "path/to/file.py:Class"."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from hinaug.errors import KindError, ParameterError, UnknownNameError, nearest


def own_class(text: str, base: type) -> type:
    """The class that "module:Class" or "file.py:Class" names. The module's code is run.

    Modules are looked up as Python does, and in the current folder.

    Raises ParameterError where the module cannot be imported, UnknownNameError where it has no such
    name, and KindError where that is no subclass of `base`.
    """
    place, _, name = text.rpartition(":")
    module = _imported(place, text)
    found = getattr(module, name, None)
    if isinstance(found, type) and issubclass(found, base) and found is not base:
        return found
    own = [n for n, c in vars(module).items() if isinstance(c, type) and issubclass(c, base)]
    there = [n for n in own if vars(module)[n].__module__ == module.__name__]
    if found is None:
        raise UnknownNameError(
            f"{text}: {place} has no {name!r}; its subclasses of {base.__name__} are "
            f"{there}{nearest(name, there)}",
            asked=name,
            there=there,
        )
    raise KindError(
        f"{text} is no subclass of hinaug's {base.__name__}; those in {place} are {there}",
        asked=name,
        there=there,
    )


def _imported(place: str, text: str) -> ModuleType:
    """The module; ParameterError where it is missing, or fails while it is imported."""
    try:
        with _current_folder_first():
            return (
                _of_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
            )
    except Exception as error:  # whatever the user's code may raise
        raise ParameterError(
            f"{text}: {place} cannot be imported: {type(error).__name__}: {error}; write "
            "MODULE:CLASS or path/to/file.py:CLASS",
            asked=text,
        ) from error


@contextmanager
def _current_folder_first() -> Iterator[None]:
    before = list(sys.path)
    sys.path.insert(0, os.getcwd())
    try:
        yield
    finally:
        sys.path[:] = before


def _of_file(path: Path) -> ModuleType:
    """The module in a file, run once; it is called by the name of the file."""
    path = path.expanduser().resolve(strict=True)
    there = sys.modules.get(path.stem)
    if there is not None and getattr(there, "__file__", None) == str(path):
        return there
    if there is not None:
        raise ImportError(f"there is another module {path.stem!r}; give the file another name")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError("it is no file of Python")
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module
