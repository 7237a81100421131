"""The house: imports run downward only, and `import hinaug` stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import hinaug

ROOT = Path(hinaug.__file__).parent
LAYERS = [  # lowest first; a module may import its own layer and those below
    {"tables", "schema", "matrices", "nn", "metrics", "progress"},
    {"hin"},
    {"delta", "overlay", "checks"},
    {"pack", "io", "convert"},
    {"text", "base"},
    {"split", "leaks", "datasets", "build"},
    {"predictors"},
    {"generators", "ensemble", "tuning"},
    {"ranking"},
    {"evaluation"},
    {"testing", "show"},
    {"report"},
    {"demo", "cli"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
ALONE = {"nn", "metrics"}  # import nothing of hinaug


def imports():
    """(module, imported module, whether it runs at import time) for every import of hinaug inside hinaug."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts == ("__init__",):
            continue
        tree = ast.parse(path.read_text())
        typing = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            for inner in ast.walk(node)
        }
        top = {id(node) for node in tree.body}
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.ImportFrom)
                and node.module
                and node.module.split(".")[0] == "hinaug"
                and id(node) not in typing
            ):
                names = [node.module.split(".")[1]] if "." in node.module else [alias.name for alias in node.names]
                for name in names:
                    yield parts[0], name, id(node) in top


def test_every_module_has_a_layer():
    there = {
        p.stem if p.is_file() else p.name for p in ROOT.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()
    }
    assert there - {"__init__", "__pycache__"} <= set(LEVEL), "give the new module a place in LAYERS"


def test_imports_run_downward_only():
    upward = {(a, b) for a, b, at_import in imports() if at_import and a != b and LEVEL[b] > LEVEL[a]}
    assert not upward


def test_nn_and_metrics_stand_aside():
    assert not {(a, b) for a, b, _ in imports() if a in ALONE and b not in (a,)}


def test_import_is_light():
    heavy = ("torch", "pandas", "sklearn", "transformers")
    code = f"import sys, hinaug, hinaug.hin, hinaug.delta; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_every_root_name_can_be_imported():
    for name in hinaug.__all__:
        assert getattr(hinaug, name) is not None
    assert callable(hinaug.evaluate)
    assert callable(hinaug.recommend)
