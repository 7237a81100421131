"""hinaug split: every way of the library, what leaks, and how it was made."""

import pytest
from commands import RATES, TARGET, document, run

import hinaug


def test_split_is_that_of_the_library(made):
    split = hinaug.load(made / "split")
    expected = hinaug.random_split(hinaug.load(made / "store"), RATES, evidence=["review"], rng=0)
    assert split.train == expected.train
    assert split.test.equals(expected.test)


@pytest.mark.parametrize(
    ("options", "function", "keywords"),
    [
        (("--how", "temporal", "--test", "0.2"), "temporal_split", {"test": 0.2}),
        (("--how", "leave-last", "--valid", "2"), "leave_last", {"valid": 2}),
        (
            ("--how", "cold-users", "--known", "1", "--seed", "3"),
            "cold_users",
            {"known": 1, "rng": 3},
        ),
        (("--how", "cold-items", "--valid", "0.2"), "cold_items", {"valid": 0.2, "rng": 0}),
        (("--valid", "1", "--test", "0.3"), "random_split", {"valid": 1, "test": 0.3, "rng": 0}),
    ],
)
def test_every_way_to_split(made, tmp_path, options, function, keywords):
    told = document(
        "split",
        made / "store",
        "--target",
        "user, rates, item",
        "--evidence",
        "review",
        *options,
        "--out",
        tmp_path / "s",
    )
    expected = getattr(hinaug, function)(
        hinaug.load(made / "store"), RATES, evidence=["review"], **keywords
    )
    assert hinaug.load(tmp_path / "s").test.equals(expected.test)
    assert (told["valid"], told["test"]) == (expected.valid.num_rows, expected.test.num_rows)


def test_split_by_rating_and_thin(made, tmp_path):
    run("split", made / "store", *TARGET, "--min-rating", 4, "--thin", 0.3, "--out", tmp_path / "s")
    split, whole = hinaug.load(tmp_path / "s"), hinaug.load(made / "split")
    assert min(split.source.edges[RATES]["rating"].to_pylist()) == 4
    assert split.train.n(RATES) < 0.6 * whole.train.n(RATES)


def test_strict_ends_with_1_when_there_is_a_leak(made, tmp_path):
    leaky = ("split", made / "store", "--target", "user,rates,item", "--out", tmp_path / "leaky")
    assert document(*leaky)["audit"]["leaks"]
    assert document(*leaky, "--strict", code=1)["audit"]["leaks"]
    clean = document("split", made / "store", *TARGET, "--strict", "--out", tmp_path / "s")
    assert not clean["audit"]["leaks"]


def test_split_says_how_it_was_made_and_how_to_mend_a_leak(made, tmp_path):
    asked = ("split", made / "store", "--target", "user,rates,item", "--out", tmp_path / "s")
    assert "--evidence review" in run(*asked).stdout
    told = document(*asked, "--evidence", "review", "--min-rating", 3, "--thin", 0.5, "--seed", 4)
    assert {k: told["how"][k] for k in ("seed", "min_rating", "thin")} == {
        "seed": 4,
        "min_rating": 3,
        "thin": 0.5,
    }
    assert document("info", tmp_path / "s")["how"] == told["how"]
    assert (
        "nothing is held out"
        in run(*asked[:-1], tmp_path / "none", "--min-rating", 9, code=2).stderr
    )
    assert not (tmp_path / "none").exists()


def test_findings_are_told_with_the_options_and_keys_that_mend_them(made, tmp_path):
    hin = hinaug.load(made / "store")
    items, (src, dst) = hin.ids("item").to_pylist(), hin.links(RATES)
    last = dict(zip(src.tolist(), dst.tolist(), strict=True))
    liked = [items[last[u]] if u in last else None for u in range(hin.n("user"))]
    alike = {"src": items[:-1], "dst": items[1:]}
    hin = hin.with_edges(("item", "like", "item"), alike, lineage="aggregate")
    hinaug.save(hin.with_column("user", "last", liked, lineage="row"), tmp_path / "store")
    asked = ("split", tmp_path / "store", *TARGET)
    told = run(*asked, "--out", tmp_path / "split").stdout
    assert "--drop item,like,item\n" in told
    assert "keep does not name it" in told
    dropped = run(*asked, "--drop", "item,like,item", "--out", tmp_path / "split").stdout
    assert "--drop" not in dropped
