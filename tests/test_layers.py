"""`import hinaug` stays light. Which folder may import which is held by import-linter, see
pyproject.toml.
"""

import subprocess
import sys

import hinaug

HEAVY = ("torch", "pandas", "sklearn", "transformers", "scipy", "pyarrow", "numpy")


def loaded_by(code):
    """The heavy libraries that are loaded once `code` has run."""
    code = f"import sys; {code}; print([m for m in {HEAVY} if m in sys.modules])"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_import_loads_no_library():
    assert loaded_by("import hinaug") == "[]"


def test_a_graph_loads_no_torch():
    assert loaded_by("from hinaug.graph import HIN, Delta") == "['scipy', 'pyarrow', 'numpy']"


def test_every_root_name_can_be_imported():
    for name in hinaug.__all__:
        assert getattr(hinaug, name) is not None
    assert callable(hinaug.evaluate)
    assert callable(hinaug.recommend)
