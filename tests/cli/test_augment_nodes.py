"""hinaug augment: whole nodes like given attributes, and neighbours of given nodes."""

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import hinaug
from hinaug.cli.app import app
from hinaug.cli.whom import whom
from hinaug.datasets import planted
from hinaug.datasets.planted import RATES
from hinaug.errors import ParameterError, SchemaError, UnknownNameError
from hinaug.generators import JointVAE, SecondMoment
from hinaug.graph import HIN
from hinaug.split.random import random_split

QUICK = ("--set", "epochs=2")


def run(*arguments, code=0):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nodes")
    hinaug.save(
        random_split(planted(60, 40, rng=0), RATES, evidence=["review"], rng=0), folder / "split"
    )
    return folder


@pytest.fixture(scope="module")
def train(folder):
    return hinaug.load(folder / "split").train


def made(folder, out, *arguments):
    run("augment", folder / "split", *arguments, "--out", out)
    return hinaug.load(out)


def test_a_number_alone_is_made_by_the_given_generator_or_by_joint_vae(folder, train, tmp_path):
    by_default = made(folder, tmp_path / "a", "--users", 7, *QUICK)
    assert by_default == JointVAE("user", epochs=2).fit(train, rng=0).generate(train, 7, rng=0)
    asked = made(folder, tmp_path / "b", "--items", "0.1", "--generator", "secondmoment")
    assert asked == SecondMoment("item").fit(train, rng=0).generate(train, 0.1, rng=0)


def test_new_users_have_what_like_asks_for(folder, tmp_path):
    jobs = ("--like", "job=baker", "--like", "job=guide", "--like", "age=30..60.5")
    users = made(folder, tmp_path / "a", "--users", 12, *jobs, *QUICK).nodes["user"]
    assert users.num_rows == 12
    assert set(users["job"].to_pylist()) <= {"baker", "guide"}
    assert all(30 <= age <= 60 for age in users["age"].to_pylist())


def test_neighbours_keep_the_links_of_those_they_are_for(folder, train, tmp_path):
    ids = train.ids("user").to_pylist()[:2]
    (folder / "names").write_text("\n".join(ids))
    delta = made(folder, tmp_path / "a", "--users", 3, "--for", f"@{folder / 'names'}", *QUICK)
    model = JointVAE("user", epochs=2).fit(train, rng=0)
    assert delta == model.neighbours(train, ids, 3, rng=0)
    assert delta == made(folder, tmp_path / "b", "--users", 3, "--for", ",".join(ids), *QUICK)


def test_thin_takes_those_with_one_to_five_links(folder, train, tmp_path):
    links = train.edges[RATES]["src"].to_pylist()
    thin = [user for user in set(links) if links.count(user) <= 5]
    delta = made(folder, tmp_path / "a", "--users", 2, "--for", "thin", *QUICK)
    assert delta.nodes["user"].num_rows == 2 * len(thin) > 0


# ---- what is read --------------------------------------------------------------------------------

LIKES = ("user", "likes", "item")


def world():
    users = {
        "id": pa.array([1, 2, 3, 4]),
        "town": ["x", "x", "y", None],
        "age": [20, 35, 60, 41],
        "since": pa.array(np.array(["2020", "2021", "2022", "2023"], "datetime64[D]")),
        "vip": [True, False, False, None],
        "tags": [["a"], [], ["b"], []],
    }
    edges = {"src": [1, 1, 2], "dst": ["i", "j", "i"]}
    return HIN.from_tables({"user": users, "item": {"id": ["i", "j"]}}, {LIKES: edges})


def like(*texts):
    return whom(texts, None, world(), LIKES, "user", 0).attributes


@pytest.mark.parametrize(
    ("texts", "rows"),
    [
        (["town=x"], [{"town": "x"}] * 2),
        (["age=36.."], [{"age": 60}, {"age": 41}]),
        (["age=..20"], [{"age": 20}]),
        (["age=41"], [{"age": 41}]),
        (["vip=true"], [{"vip": True}]),
        (["town=x", "age=30..40"], [{"town": "x", "age": 35}]),
        (["town = y", "town=x", "age=..30"], [{"town": "x", "age": 20}]),
    ],
)
def test_like_is_the_attributes_of_those_who_have_all_of_it(texts, rows):
    assert like(*texts).to_pylist() == rows


def test_times_have_ranges_too():
    years = [d.year for d in like("since=2021-06-01..2022-06-01")["since"].to_pylist()]
    assert years == [2022]


def test_where_nobody_has_all_of_it_values_of_several_are_put_together(capsys):
    rows = like("town=y", "age=..36").to_pylist()
    assert {row["town"] for row in rows} == {"y"}
    assert {row["age"] for row in rows} <= {20, 35}
    assert "no user has all of town=y, age=..36" in capsys.readouterr().err


def test_ids_have_the_type_of_the_graph():
    assert whom([], "2,1", world(), LIKES, "user", 0).nodes.to_pylist() == [2, 1]
    assert whom([], "thin", world(), LIKES, "user", 0).nodes.to_pylist() == [1, 2]
    assert whom([], "thin", world(), LIKES, "item", 0).nodes.to_pylist() == ["i", "j"]


@pytest.mark.parametrize(
    ("texts", "given", "error", "asked"),
    [
        (["town"], None, ParameterError, "town"),
        (["town="], None, ParameterError, "town="),
        (["twon=x"], None, UnknownNameError, "twon"),
        (["id=1"], None, UnknownNameError, "id"),
        (["town=z"], None, ParameterError, "z"),
        (["age=61.."], None, ParameterError, "61.."),
        (["age=old"], None, SchemaError, "old"),
        (["tags=a"], None, ParameterError, "a"),
        (["town=x"], "1", ParameterError, None),
        ([], "1,5", UnknownNameError, ["5"]),
        ([], " , ", ParameterError, " , "),
    ],
)
def test_what_cannot_be_read_is_told(texts, given, error, asked):
    with pytest.raises(error) as told:
        whom(texts, given, world(), LIKES, "user", 0)
    assert type(told.value) is error
    assert told.value.asked == asked


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--edges", "EASE:5", "--like", "job=baker"), "one of --users and --items"),
        (("--users", "3", "--items", "3", "--for", "thin"), "one of --users and --items"),
        (("--users", "0.1", "--for", "thin"), "how many new nodes each gets"),
        (("--users", "3", "--for", "thin", "--generator", "SecondMoment"), "take JointVAE"),
        (("--edges", "EASE:5", "--generator", "JointVAE"), "say how many"),
        (("--users", "Synthesis"), "does not say how much"),
        (("--users", "3", "--generator", "JointVAD"), "did you mean 'JointVAE'"),
    ],
)
def test_mistakes_end_in_a_sentence(folder, tmp_path, arguments, words):
    said = run("augment", folder / "split", *arguments, "--out", tmp_path / "out", code=2)
    assert words in " ".join(said.split())
    assert not (tmp_path / "out").exists()
