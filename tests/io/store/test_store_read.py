"""Loads: mapped tables, and every kind of damage."""

from __future__ import annotations

import contextlib
import os

import numpy as np
import pyarrow as pa
import pytest
from raising import raises
from stores import RATES, Outsider, forge

from hinaug.errors import StoreError
from hinaug.io.store import load, save


def test_a_store_that_is_read_has_no_copy_of_its_tables(augmented, tmp_path):
    save(augmented, tmp_path / "s")
    before = pa.total_allocated_bytes()
    back = load(tmp_path / "s", verify=False)
    x = back.observed().nodes["item"]["x"].chunk(0).values.buffers()[1]
    assert pa.total_allocated_bytes() - before < 4096  # deltas and small parts
    assert x.size >= 4 * 8
    assert not back.links(RATES)[0].flags.writeable


def cut(path, size, found):
    """What is told of a file of another size: its sizes, and of the schema, which has none, the
    path.
    """
    return {"asked": str(path)} if path.suffix == ".json" else {"asked": size, "there": found}


def test_truncated_files(stored):
    for path in sorted(stored.iterdir()):
        content = path.read_bytes()
        for size in {0, 1, 7, 8, len(content) - 1, *range(0, len(content), 97)}:
            path.write_bytes(content[:size])
            for verify in (True, False):
                with raises(StoreError, **cut(path, len(content), size)):
                    load(stored, verify=verify)
        path.write_bytes(content)
        path.write_bytes(content + b"\0")
        with raises(StoreError, **cut(path, len(content), len(content) + 1)):
            load(stored)
        path.write_bytes(content)
    load(stored)


def test_flipped_bits(stored, augmented):
    rng = np.random.default_rng(0)
    for path in sorted(stored.iterdir()):
        content = path.read_bytes()
        for at in [*rng.integers(0, len(content), 60).tolist(), 0, len(content) - 1]:
            bad = bytearray(content)
            bad[at] ^= 1 << int(rng.integers(8))
            path.write_bytes(bad)
            if path.suffix == ".arrow":
                with raises(StoreError, asked=str(path), names="sha256"):
                    load(stored)
            else:
                with contextlib.suppress(StoreError):
                    assert load(stored) == augmented  # white space turned into other white space
        path.write_bytes(content)


def test_arrays_that_are_damaged(tmp_path):
    thing = Outsider(RATES)
    thing.weights_ = np.arange(1000, dtype=np.float32)
    save(thing, tmp_path / "s")
    path = next((tmp_path / "s").glob("*.safetensors"))
    content = path.read_bytes()
    for at in range(0, len(content), 101):
        path.write_bytes(content[:at])
        with raises(StoreError, asked=len(content), there=at):
            load(tmp_path / "s", classes=[Outsider], verify=False)
        path.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        with raises(StoreError, asked=str(path)):
            load(tmp_path / "s", classes=[Outsider])
    path.write_bytes(b"\xff" * len(content))
    with raises(StoreError, asked=str(path), names="safetensors"):
        load(tmp_path / "s", classes=[Outsider], verify=False)
    path.unlink()
    with raises(StoreError, asked=path.name, there=["schema.json"]):
        load(tmp_path / "s", classes=[Outsider])


def test_an_arrow_file_of_rubbish_of_the_right_size(stored):
    for path in stored.glob("*.arrow"):
        content = path.read_bytes()
        path.write_bytes(b"\xff" * len(content))
        with raises(StoreError, asked=str(path)):
            load(stored, verify=False)
        path.write_bytes(content)


def test_what_is_no_store(stored, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.csv").write_text("a")
    for path, says in {
        tmp_path / "none": "is not there; a store is a folder",
        stored / "schema.json": "is a file; a store is a folder",
        tmp_path / "empty": "it is empty",
        tmp_path / "other": "there is no schema.json, only 'a.csv'",
    }.items():
        with pytest.raises(StoreError) as error:
            load(path)
        assert says in str(error.value)
    for text in (
        "",
        "[]",
        "{}",
        "3",
        "nul",
        "\xff\xfe",
        '{"format": "hinaug"',
        '{"format": "zarr"}',
        "[" * 100_000,
        '{"format": "hinaug"}',
    ):
        (stored / "schema.json").write_text(text, encoding="latin-1")
        with pytest.raises(StoreError):
            load(stored)


def test_a_newer_store_says_upgrade(stored):
    def newer(manifest):
        return {"format": "hinaug", "version": 4, "something": "else"}

    forge(stored, newer)
    with raises(StoreError, asked=4, there=(1, 2, 3), names="upgrade"):
        load(stored)
    forge(stored, lambda manifest: manifest.update(version="1"))
    with raises(StoreError, asked="1", there=(1, 2, 3)):
        load(stored)


def test_an_edited_schema_does_not_pass(stored):
    text = (stored / "schema.json").read_text()
    (stored / "schema.json").write_text(text.replace('"user"', '"usre"'))
    with raises(StoreError, asked=str(stored / "schema.json")):
        load(stored)


@pytest.mark.parametrize(
    "name",
    [
        "../x.arrow",
        "/etc/passwd",
        "a/b.arrow",
        "..",
        "",
        "x.arrow",
        "0" * 32 + ".arrow",
        "\0",
        "schema.json",
    ],
)
def test_hostile_file_names(stored, name):
    def rename(manifest):
        manifest["tables"]["nodes/0"]["file"] = name

    forge(stored, rename)
    with raises(StoreError, asked=name):
        load(stored)


def test_a_named_pipe_or_folder_in_place_of_a_table(stored):
    path = next(stored.glob("*.arrow"))
    path.unlink()
    os.mkfifo(path)
    with raises(StoreError, asked=str(path)):
        load(stored)
    path.unlink()
    path.mkdir()
    with raises(StoreError, asked=str(path)):
        load(stored)
