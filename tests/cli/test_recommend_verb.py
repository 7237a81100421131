"""hinaug recommend: lists that are those of the library."""

from commands import document, run

import hinaug
from hinaug.cli.recommend import left_without


def test_recommend_is_that_of_the_library(made, tmp_path):
    rows = document(
        "recommend",
        made / "model",
        "--store",
        made / "split",
        "--users",
        "u00,u07",
        "--k",
        3,
        "--show",
        "title",
    )
    graph = hinaug.load(made / "split").train_valid
    expected = hinaug.recommend(hinaug.load(made / "model"), graph, ["u00", "u07"], k=3)
    assert [(r["user"], r["item"], r["rank"]) for r in rows] == list(
        zip(*(expected[c].to_pylist() for c in ("user", "item", "rank")), strict=True)
    )
    titles = dict(
        zip(graph.ids("item").to_pylist(), graph.nodes["item"]["title"].to_pylist(), strict=True)
    )
    assert all(r["title"] == titles[r["item"]] for r in rows)
    (tmp_path / "who").write_text("u00\n\nu07\nu07\n")
    assert (
        document(
            "recommend",
            made / "model",
            "--store",
            made / "split",
            "--users",
            f"@{tmp_path / 'who'}",
            "--k",
            3,
            "--show",
            "title",
        )
        == rows
    )
    assert (
        "u07"
        in run("recommend", made / "model", "--store", made / "store", "--users", "u07").stdout
    )


def test_files_of_lists_need_a_folder_and_users_who_are_there(made, tmp_path):
    asked = ("recommend", made / "model", "--store", made / "store", "--users")
    run(*asked, "u00", "--processes", "2", code=2)
    run(*asked, "u00", "--ray", "2", code=2)
    run(*asked, "nobody", "--out", tmp_path / "lists", code=2)
    assert not (tmp_path / "lists").exists()


def test_users_left_without_are_found_in_one_pass():
    compared = 0

    class Name(str):
        def __eq__(self, other):
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    names = [Name(f"u{n}") for n in range(200)]
    rows = [{"user": Name(f"u{n}")} for n in range(0, 200, 2) for _ in range(5)]
    assert left_without(names, rows) == names[1::2]
    compared = 0
    left_without(names, rows)
    assert compared <= len(names) + len(rows)
