"""hinaug build and datasets: from files to a store."""

from commands import document, run

import hinaug


def test_build_and_its_example(tmp_path):
    (tmp_path / "likes.csv").write_text("who,what\na,x\na,x\nb,y\n")
    (tmp_path / "schema.toml").write_text('[edge.user.likes.item]\nsrc = "who"\ndst = "what"\n')
    files = (
        "build",
        tmp_path / "likes.csv",
        "--schema",
        tmp_path / "schema.toml",
        "--out",
        tmp_path / "store",
    )
    done = run(*files)
    assert "exact duplicates: 1" in done.stdout
    assert document(*files)["counts"][0]["notes"] == {"exact duplicates": 1}
    assert hinaug.load(tmp_path / "store").n(("user", "likes", "item")) == 2
    (tmp_path / "broken.csv").write_text("who,what\na,x\nshort\n")
    broken = ("build", tmp_path / "broken.csv", *files[2:-1], tmp_path / "store2")
    assert document(*broken)["counts"][0]["first"] == {"broken lines": ["'short', line 3"]}
    assert "line 3" in run(*broken, "--force").stdout
    (tmp_path / "broken.csv").unlink()
    assert "[review]" in run("build", "--example").stdout
    assert (
        "which file gives which"
        in run("build", tmp_path / "likes.csv", "--out", tmp_path / "s2", code=2).stderr
    )
    (tmp_path / "readme.txt").write_text("none of it")
    assert run("build", tmp_path, "--example").stdout.startswith(
        "# likes.csv: who, what\n# A first guess"
    )
    assert "takes files and --out" in run("build", code=2).stderr
    (tmp_path / "none").mkdir()
    assert not run("build", tmp_path / "none", "--example", code=2).stdout


def test_data_sets_are_listed_and_read(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HINAUG_DATA", str(tmp_path / "data"))
    folder = tmp_path / "data" / "lastfm-lightgcnpp"
    folder.mkdir(parents=True)
    for name in ("train", "valid", "test"):
        (folder / f"{name}.txt").write_text(
            {"train": "0 0 1\n1 1 2\n", "valid": "0 2\n", "test": "1 0\n"}[name]
        )
    rows = {row["name"]: row for row in document("datasets")}
    assert rows["lastfm-lightgcnpp"]["folder"] == str(folder)
    assert rows["ml-100k"]["folder"] is None
    assert "terms" in run("datasets", "ml-100k").stdout
    told = document("datasets", "lastfm-lightgcnpp", "--out", tmp_path / "s")
    assert told["kind"] == "split"
    assert told["terms"]
    assert (
        "ml-100k was not found"
        in run("datasets", "ml-100k", "--out", tmp_path / "m", "--no-download", code=2).stderr
    )
