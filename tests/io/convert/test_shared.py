"""What the forms share: marks of generated rows, and libraries that are not there."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from raising import raises
from seen import marks

from hinaug.errors import SchemaError
from hinaug.graph.hin import HIN
from hinaug.io import convert

RATES = ("user", "rates", "item")


def test_without_pandas_the_error_says_what_to_install(tiny, monkeypatch):
    real = importlib.import_module

    def none(name, *args, **kwargs):
        if name.split(".")[0] in ("pandas", "networkx", "torch_geometric"):
            raise ImportError(f"No module named {name!r}")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(importlib, "import_module", none)
    for door, package in (
        (convert.to_pandas, "pandas"),
        (convert.to_networkx, "networkx"),
        (convert.to_pyg, "torch-geometric"),
    ):
        with raises(ImportError, name=package, names=f"pip install {package}"):
            door(tiny)


# ---- own columns with the names of marks ---------------------------------------------------------


def through_pandas(hin: HIN, folder: Path, type: Any, columns: dict[str, list]) -> HIN:
    frames = convert.to_pandas(hin)
    frames[type] = frames[type].assign(**columns)
    return convert.from_pandas(frames)


def through_parquet(hin: HIN, folder: Path, type: Any, columns: dict[str, list]) -> HIN:
    convert.to_parquet(hin, folder / "p")
    kind = "nodes" if isinstance(type, str) else "edges"
    path = (
        folder
        / "p"
        / kind
        / (type if isinstance(type, str) else "__".join(type))
        / "part-0.parquet"
    )
    table = pq.read_table(path, partitioning=None)
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    pq.write_table(table, path)
    return convert.from_parquet(folder / "p")


def through_networkx(hin: HIN, folder: Path, type: Any, columns: dict[str, list]) -> HIN:
    graph = convert.to_networkx(hin)
    if isinstance(type, str):
        rows = [d for node, d in graph.nodes(data=True) if node[0] == type]
    else:
        rows = [d for u, v, key, d in graph.edges(keys=True, data=True) if type[1] in key]
    for at, row in enumerate(rows):
        row.update({name: values[at] for name, values in columns.items()})
    return convert.from_networkx(graph)


def through_pyg(hin: HIN, folder: Path, type: Any, columns: dict[str, list]) -> HIN:
    data = convert.to_pyg(hin)
    for name, values in columns.items():
        data[type][name] = values
    return convert.from_pyg(data)


FORMS = [through_pandas, through_parquet, through_networkx, through_pyg]
form = pytest.mark.parametrize("form", FORMS, ids=lambda f: f.__name__.removeprefix("through_"))


@form
@pytest.mark.parametrize("type", ["user", RATES], ids=["nodes", "edges"])
@pytest.mark.parametrize("name", ["key", "confidence", "origin"])
def test_an_own_column_with_the_name_of_a_mark_is_refused(form, type, name, tiny, tmp_path):
    n = tiny.n(type)
    values: list = [0.5] * n if name == "confidence" else [f"own {i}" for i in range(n)]
    with pytest.raises(SchemaError) as error:
        form(tiny, tmp_path, type, {name: values})
    assert error.value.asked == [name]
    assert "rename the column" in str(error.value)


@form
@pytest.mark.parametrize(
    "wrong",
    [
        {"key": ["k1", "k2", "k3"]},  # no key of a delta
        {"key": [1, 2, 3]},
        {"origin": [1, 2, 3]},
        {"confidence": ["high", "low", "low"]},
        {"origin": ["France", None, "Italy"]},  # two of three
    ],
    ids=str,
)
def test_own_columns_with_the_names_of_all_marks_are_refused(form, wrong, tiny, tmp_path):
    right: dict[str, list] = {
        "origin": ["France"] * 3,
        "confidence": [0.5, 1.0, 0.0],
        "key": ["0123456789ab:1", "0123456789ab:2", "0123456789ab:3"],
    }
    with pytest.raises(SchemaError) as error:
        form(tiny, tmp_path, "user", {**right, **wrong})
    assert error.value.asked == ["origin", "confidence", "key"]


@pytest.mark.parametrize("form", FORMS[:3])
def test_true_marks_are_taken_wherever_they_come_from(form, tiny, tmp_path):
    given: dict[str, list] = {
        "origin": [None, "gan", None],
        "confidence": [None, 0.5, None],
        "key": [None, "0123456789ab:1", None],
    }
    back = form(HIN.from_tables({"user": tiny.nodes["user"]}, {}), tmp_path, "user", given)
    assert back.n_observed("user") == 2
    assert back.deltas[0].nodes["user"].to_pylist() == [
        {
            "id": "bob",
            "age": None,
            "confidence": 0.5,
            "origin": "gan",
            "key": "0123456789ab:1",
        }
    ]


def test_marks_that_became_categories_or_lost_every_row_are_still_marks(augmented):
    frames = convert.to_pandas(augmented)
    coded = {
        type: frame.astype({c: "category" for c in ("origin", "key") if c in frame})
        for type, frame in frames.items()
    }
    back = convert.from_pandas(coded)
    assert marks(back) == marks(augmented)
    observed = {
        type: frame[frame["origin"].isna()] if "origin" in frame else frame
        for type, frame in frames.items()
    }
    assert convert.from_pandas(observed).deltas == ()
    assert convert.from_pandas(observed).n("user") == 3
