"""Where data is looked for, in which order, and that nothing half done is left. No network is
touched.
"""

import hashlib
import io
import subprocess
import zipfile

import pytest
from raising import raises

from hinaug.datasets import download, fetch, find, load, unpack


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HINAUG_DATA", raising=False)
    monkeypatch.delitem(fetch.SOURCES["ml-100k"].md5, "u.data")  # the files here are made up
    monkeypatch.setattr(
        download, "_open", lambda address, headers=None: (_ for _ in ()).throw(OSError("offline"))
    )
    monkeypatch.setattr(
        subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, 1, "", "no index")
    )


class Answer(io.BytesIO):
    def __init__(self, data, size=None):
        super().__init__(data)
        self.headers = {"Content-Length": str(len(data) if size is None else size)}


def archive(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, text in files.items():
            z.writestr(name, text)
    return out.getvalue()


def zipped(folder):
    return archive(**{f"ml-100k/{p.name}": p.read_bytes() for p in folder.iterdir()})


def test_order_of_sources(ml_100k, tmp_path, monkeypatch):
    assert find("ml-100k", ml_100k).source == f"the folder {ml_100k}"
    monkeypatch.setenv("HINAUG_DATA", str(ml_100k.parent))
    found = find("ml-100k")
    assert found.folder == ml_100k
    assert found.source.startswith("$HINAUG_DATA")
    assert "no redistribution" in found.terms
    assert load("ml-100k").n("user") == 2


def test_nothing_found_says_what_was_tried(tmp_path, monkeypatch):
    monkeypatch.setenv("HINAUG_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError) as error:
        find("ml-100k")
    for part in (
        "$HINAUG_DATA",
        "the cache",
        "ml-100k.zip: offline",
        "recbole==1.2.1: pip download failed: no index",
        "by hand",
    ):
        assert part in str(error.value)
    with raises(FileNotFoundError, names="ml-latest-small"):
        find("ml-latest-small", download=False)
    with raises(ValueError, asked="ml-1m"):
        find("ml-1m")


def test_a_named_folder_is_not_replaced_by_another_source(tmp_path, ml_100k, monkeypatch):
    monkeypatch.setenv("HINAUG_DATA", str(ml_100k.parent))
    (tmp_path / "empty").mkdir()
    with raises(FileNotFoundError, names="u.data"):
        find("ml-100k", tmp_path / "empty")


def test_download_unpacks_and_is_found_again(ml_100k, monkeypatch):
    monkeypatch.setattr(download, "_open", lambda address, headers=None: Answer(zipped(ml_100k)))
    found = find("ml-100k")
    assert found.source.startswith("downloaded from https://files.grouplens.org")
    assert sorted(p.name for p in found.folder.iterdir()) == sorted(
        p.name for p in ml_100k.iterdir()
    )
    assert [p.name for p in found.folder.parent.iterdir()] == ["ml-100k"]
    monkeypatch.setattr(download, "_open", lambda address, headers=None: pytest.fail("asked again"))
    assert find("ml-100k").source.startswith("the cache")


@pytest.mark.parametrize("fault", ["cut", "slip", "no zip", "other files"])
def test_a_bad_download_leaves_nothing(ml_100k, tmp_path, monkeypatch, fault):
    data = zipped(ml_100k)
    answers = {
        "cut": lambda a, headers=None: Answer(data[:100], len(data)),
        "slip": lambda a, headers=None: Answer(archive(**{"x/../../../../evil": "boo"})),
        "no zip": lambda a, headers=None: Answer(b"<html>"),
        "other files": lambda a, headers=None: Answer(archive(**{"ml-100k/readme": "boo"})),
    }
    monkeypatch.setattr(download, "_open", answers[fault])
    words = {
        "cut": "cut off after 100",
        "slip": "points outside",
        "no zip": "not a zip",
        "other files": "does not hold",
    }[fault]
    with pytest.raises(FileNotFoundError, match=words):
        find("ml-100k")
    assert not list(tmp_path.rglob("evil"))
    assert [p.name for p in fetch.cache_folder().glob(".part-*")] == (
        [".part-ml-100k"] if fault == "cut" else []
    )
    monkeypatch.setattr(
        download, "_open", lambda address, headers=None: (_ for _ in ()).throw(OSError("offline"))
    )
    with raises(FileNotFoundError, names="offline"):  # what is left of it is no data set
        find("ml-100k")


def test_the_copy_in_the_wheel(ml_100k_copy, tmp_path, monkeypatch):
    prefix = unpack.COPY_FOLDER
    wheel = archive(
        **{prefix + p.name: p.read_bytes() for p in ml_100k_copy.iterdir()},
        **{"recbole/__init__.py": "boo"},
    )

    def pip(command, **options):
        assert command[1:4] == ["-m", "pip", "download"]
        assert "--no-deps" in command
        (type(tmp_path)(command[-1]) / "recbole-1.2.1-py3-none-any.whl").write_bytes(wheel)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    with raises(FileNotFoundError, names="sha256"):
        find("ml-100k")
    monkeypatch.setattr(unpack, "COPY_SHA256", hashlib.sha256(wheel).hexdigest())
    found = find("ml-100k")
    assert "the copy in the PyPI package recbole==1.2.1" in found.source
    assert {p.suffix for p in found.folder.iterdir()} == {
        ".inter",
        ".user",
        ".item",
        ".link",
        ".kg",
    }
    assert load("ml-100k", freebase=True).n("entity") == 3
    assert "from the PyPI package" in find("ml-100k").source


def test_files_that_are_not_as_published_are_not_used(ml_100k, monkeypatch):
    monkeypatch.setitem(fetch.SOURCES["ml-100k"].md5, "u.data", "0" * 32)
    monkeypatch.setattr(download, "_open", lambda address, headers=None: Answer(zipped(ml_100k)))
    with raises(FileNotFoundError, names="md5"):
        find("ml-100k")
    assert not list(fetch.cache_folder().iterdir())


def test_the_terms_are_shown_before_the_download(ml_100k, monkeypatch, caplog):
    def answer(address, headers=None):
        assert "Terms: GroupLens" in caplog.text
        return Answer(zipped(ml_100k))

    monkeypatch.setattr(download, "_open", answer)
    assert load("ml-100k").n("user") == 2


def test_data_in_several_files(monkeypatch):
    asked = []

    def answer(address, headers=None):
        asked.append(address)
        return Answer(b"0 1 2\n" if "train" in address else b"0 3\n")

    monkeypatch.setattr(download, "_open", answer)
    split = load("gowalla", valid=0)
    assert (split.train_valid.n(split.target), split.test.num_rows) == (2, 1)
    assert asked == [
        f"https://github.com/gusye1234/LightGCN-PyTorch/raw/HEAD/data/gowalla/{n}.txt"
        for n in ("train", "test")
    ]


def test_every_source_has_a_reader():
    import hinaug.datasets as datasets

    for name, source in fetch.SOURCES.items():
        assert callable(getattr(datasets, source.reader)), name
        assert source.terms
        assert all(a.startswith("https://") for a in (source.address, *source.parts))


def test_one_file_downloads(monkeypatch):
    monkeypatch.setattr(download, "_open", lambda address, headers=None: Answer(b"not opened here"))
    found = find("amazon-musical-instruments")
    assert [p.name for p in found.folder.iterdir()] == ["reviews_Musical_Instruments_5.json.gz"]
