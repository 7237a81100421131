"""From ugly files and a short schema to a graph: hand-made files whose graph is known."""

import gzip
import json
import tomllib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raising import raises

from hinaug.cli.build import known_folder
from hinaug.datasets import planted
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.io.convert import to_parquet
from hinaug.io.store import save
from hinaug.io.tables import EXAMPLE, build, columns, parse
from hinaug.io.tables.graph import NO_NUMBER
from hinaug.io.tables.values import first_of_each, times

RATES, WROTE, ABOUT = (
    ("user", "rates", "item"),
    ("user", "wrote", "review"),
    ("review", "about", "item"),
)
REVIEWS = [
    {
        "u": "ann",
        "name": "Ann Example",
        "i": "b1",
        "stars": 5,
        "say": "good",
        "head": "Yes",
        "at": 100,
    },
    {"u": "bob", "i": "b2", "stars": "four", "say": None, "at": "1970-01-01T00:05:00Z"},
    {"u": " ann ", "i": "b2", "say": ["two", "parts"], "at": "300", "extra": {"deep": [1]}},
    {"u": "cat", "i": "", "stars": 1, "at": 1},
    {"u": None, "i": "b1", "stars": 1},
    {"u": "bob", "i": 7, "stars": 2.5, "head": "half \ud83d"},
]
SCHEMA = """
[review]
user = "u"
item = "i"
text = ["head", "say"]
rating = "stars"
time = "at"
"""


def lines(path, rows, broken=()):
    path.write_text("\n".join([*(json.dumps(r) for r in rows), *broken]) + "\n")
    return path


def links(hin, type):
    src, dst = hin.links(type)
    return list(
        zip(hin.ids(type[0], src).to_pylist(), hin.ids(type[2], dst).to_pylist(), strict=True)
    )


def notes(counts):
    return {c.what: (c.read, c.kept, c.notes) for c in counts}


def test_a_file_of_reviews_is_three_nodes_and_three_edges(tmp_path):
    path = lines(tmp_path / "r.jsonl", [*REVIEWS, REVIEWS[0]], ["{broken", "", "[1, 2]"])
    hin, counts = build([path], tomllib.loads(SCHEMA))
    assert links(hin, RATES) == [("ann", "b1"), ("bob", "b2"), ("ann", "b2"), ("bob", "7")]
    assert links(hin, WROTE) == [("ann", "0"), ("bob", "1"), ("ann", "2"), ("bob", "5")]
    assert links(hin, ABOUT) == [("0", "b1"), ("1", "b2"), ("2", "b2"), ("5", "7")]
    assert hin.edges[RATES]["rating"].to_pylist() == [5, None, None, 2.5]
    assert hin.edges[RATES]["time"].to_pylist() == [100, 300, 300, None]
    assert hin.nodes["review"]["text"].to_pylist() == ["Yes\ngood", None, "two parts", "half ?"]
    found = notes(counts)
    assert found["file r.jsonl"] == (9, 6, {"broken lines": 2, "exact duplicates": 1})
    assert found["reviews"] == (6, 4, {"no user": 1, "no item": 1, NO_NUMBER: 1})
    assert hin.schema.nodes["review"]["text"].lineage == "row"
    assert hin.schema.edge_lineage == dict.fromkeys((RATES, WROTE, ABOUT), "row")


def test_nothing_is_stored_that_the_schema_does_not_name(tmp_path):
    hin, _ = build([lines(tmp_path / "r.jsonl", REVIEWS)], tomllib.loads(SCHEMA))
    save(hin, tmp_path / "store")
    assert not any(b"Ann Example" in p.read_bytes() for p in (tmp_path / "store").iterdir())


def test_need_leaves_rows_out_and_a_review_id_is_kept_once(tmp_path):
    rows = [
        {"u": "a", "i": "x", "stars": 1, "id": "r1"},
        {"u": "b", "i": "y", "stars": 2, "id": "r1"},
        {"u": "c", "i": "x", "id": "r2"},
    ]
    schema = '[review]\nuser = "u"\nitem = "i"\nrating = "stars"\nid = "id"\n'
    hin, counts = build(
        [lines(tmp_path / "r.jsonl", rows)], tomllib.loads(schema + 'need = ["rating"]')
    )
    assert links(hin, RATES) == [("a", "x")]
    assert notes(counts)["reviews"] == (3, 1, {"no rating": 1, "another row of a known id": 1})
    hin, _ = build([tmp_path / "r.jsonl"], tomllib.loads(schema))
    assert links(hin, WROTE) == [("a", "r1"), ("c", "r2")]


def test_lists_become_edges(tmp_path):
    items = [
        {"id": "a", "in": [["Toys", "Cars"], ["Toys"]], "related": {"also": ["b", "zzz"]}},
        {"id": "b", "in": "Loose", "related": {}},
        {"id": "c", "in": None},
    ]
    schema = """
        [node.item]
        id = "id"
        [edge.item.in.category]
        src = "id"
        dst = "in"
        [edge.item.also.item]
        src = "id"
        dst = "related.also"
        missing = "drop"
        lineage = "aggregate"
    """
    hin, counts = build([lines(tmp_path / "i.jsonl", items)], tomllib.loads(schema))
    assert links(hin, ("item", "in", "category")) == [("a", "Toys"), ("a", "Cars"), ("b", "Loose")]
    assert links(hin, ("item", "also", "item")) == [("a", "b")]
    assert notes(counts)["edges item also item"] == (2, 1, {"dst is no item": 1})
    assert notes(counts)["edges item in category"][2] == {"repeated": 1, "category nodes added": 3}
    assert hin.schema.edge_lineage["item", "also", "item"] == "aggregate"


def test_rows_may_be_nodes_themselves_and_ratings_are_said_by_their_own_row(tmp_path):
    (tmp_path / "r.csv").write_text("who,what,stars,day,mood\nann,x,3,2024-01-02,up\nbob,x,4,,\n")
    schema = """
        [node.visit]
        keep = ["mood"]
        [edge.user.made.visit]
        src = "who"
        [edge.user.rates.item]
        src = "who"
        dst = "what"
        rating = "stars"
        time = "day"
        keep = ["mood"]
    """
    hin, counts = build([tmp_path / "r.csv"], tomllib.loads(schema))
    assert links(hin, ("user", "made", "visit")) == [("ann", "0"), ("bob", "1")]
    assert notes(counts)["nodes visit"] == (2, 2, {"ids are numbers of rows": 2})
    told = {name: column.lineage for name, column in hin.schema.edges[RATES].items()}
    assert told == {"rating": "row", "time": "row", "mood": None}
    assert hin.schema.edge_lineage[RATES] is None


def test_columns_of_files(tmp_path):
    (tmp_path / "b.csv").write_text("x;y\n1;2\n")
    (tmp_path / "readme.md").write_text("no table")
    lines(tmp_path / "a.jsonl", [{"p": 1}, {"q": 2}])
    assert columns([tmp_path]) == {"a.jsonl": ["p", "q"], "b.csv": ["x", "y"]}


def test_csv_values_are_numbers_only_where_all_are(tmp_path):
    (tmp_path / "u.csv").write_text(
        "\ufeffid;zip;age;city\n1;007;30;NA\n2;12345;;Rome\n1;007;31;Bonn\n;;;\n9;1;2;3;4\n"
    )
    schema = """
        null = ["NA"]
        [node.user]
        id = "id"
        keep = { postcode = "zip", age = "age", city = "city" }
        lineage = { age = "row" }
    """
    hin, counts = build([tmp_path / "u.csv"], tomllib.loads(schema))
    assert hin.nodes["user"].to_pylist() == [
        {"id": "1", "postcode": "007", "age": 30, "city": None},
        {"id": "2", "postcode": "12345", "age": None, "city": "Rome"},
    ]
    assert notes(counts)["nodes user"] == (4, 2, {"no id": 1, "another row of a known id": 1})
    assert notes(counts)["file u.csv"] == (5, 4, {"broken lines": 1})
    assert [hin.schema.nodes["user"][c].lineage for c in ("age", "city")] == ["row", None]


def test_split_duplicates_and_parts(tmp_path):
    for n, rows in enumerate((["a,x|y", "a,x|y"], ["b,y", "a,x|y"])):
        (tmp_path / f"part-{n}.csv").write_text("\n".join(["who,what", *rows]) + "\n")
    schema = '[edge.a.to.b]\nfile = "part-*.csv"\nsrc = "who"\ndst = "what"\nsplit = "|"\n'
    hin, _ = build([tmp_path], tomllib.loads(schema))
    assert links(hin, ("a", "to", "b")) == [("a", "x"), ("a", "y"), ("b", "y")]
    hin, counts = build([tmp_path], tomllib.loads('duplicates = "keep"\n' + schema))
    assert links(hin, ("a", "to", "b")) == 2 * [("a", "x"), ("a", "y")] + [
        ("b", "y"),
        ("a", "x"),
        ("a", "y"),
    ]
    assert "repeated" not in notes(counts)["edges a to b"][2]


def test_parquet_gz_and_one_json_list(tmp_path):
    pq.write_table(
        pa.table({"id": [1.0, None, 2.0], "x": [[1.0, 2.0], [0.0, 0.0], None]}),
        tmp_path / "n.parquet",
    )
    with gzip.open(tmp_path / "e.json.gz", "wt") as file:
        json.dump([{"a": 1, "b": 2}, {"a": 2, "b": 2}], file)
    schema = """
        [node.n]
        file = "n.parquet"
        id = "id"
        keep = ["x"]
        [edge.n.to.n]
        file = "e.json.gz"
        src = "a"
        dst = "b"
    """
    hin, _ = build([tmp_path / "n.parquet", tmp_path / "e.json.gz"], tomllib.loads(schema))
    assert links(hin, ("n", "to", "n")) == [("1", "2"), ("2", "2")]
    np.testing.assert_array_equal(hin.vectors("n", fill=0), [[1, 2], [0, 0]])


def test_the_example_is_a_schema_that_builds(tmp_path):
    lines(
        tmp_path / "reviews.jsonl",
        [
            {
                "reviewerID": "u",
                "asin": "i",
                "summary": "s",
                "reviewText": "t",
                "overall": 4,
                "unixReviewTime": 9,
            }
        ],
    )
    lines(
        tmp_path / "items.jsonl",
        [
            {
                "asin": "i",
                "title": "T",
                "price": 2,
                "description": "D",
                "categories": ["C"],
                "related": {"also_bought": ["i"]},
            }
        ],
    )
    hin, _ = build([tmp_path], tomllib.loads(EXAMPLE))
    assert hin.nodes["item"].to_pylist() == [{"id": "i", "title": "T", "price": 2, "text": "D"}]
    assert {t: hin.n(t) for t in hin.edges} == {
        RATES: 1,
        WROTE: 1,
        ABOUT: 1,
        ("item", "in", "category"): 1,
        ("item", "also_bought", "item"): 1,
    }


def test_a_world_written_as_files_comes_back(tmp_path):
    world = planted(40, 30, dim=0, tags=False, rng=3)
    ratings = world.edges[RATES].to_pylist()
    users, items = (world.ids(t).to_pylist() for t in ("user", "item"))
    rows = [
        {
            "who": users[r["src"]],
            "what": items[r["dst"]],
            "stars": r["rating"],
            "at": r["time"],
            "say": t,
        }
        for r, t in zip(ratings, world.nodes["review"]["text"].to_pylist(), strict=True)
    ]
    schema = '[review]\nuser = "who"\nitem = "what"\nrating = "stars"\ntime = "at"\ntext = "say"\n'
    hin, _ = build([lines(tmp_path / "r.jsonl", rows)], tomllib.loads(schema))
    assert links(hin, RATES) == links(world, RATES)
    for column in ("rating", "time"):
        assert hin.edges[RATES][column].to_pylist() == world.edges[RATES][column].to_pylist()
    assert hin.nodes["review"]["text"].to_pylist() == world.nodes["review"]["text"].to_pylist()


def test_folders_that_need_no_schema(tmp_path):
    world = planted(20, 15, rng=1)
    to_parquet(world, tmp_path / "tables")
    assert known_folder(tmp_path / "tables").equals(world, ordered=False)
    (tmp_path / "atomic").mkdir()
    (tmp_path / "atomic" / "x.inter").write_text(
        "user_id:token\titem_id:token\trating:float\nu\ti\t3\n"
    )
    assert links(known_folder(tmp_path / "atomic"), RATES) == [("u", "i")]
    assert known_folder(tmp_path) is None


def test_times():
    values, bad = times(
        pa.array(["1970-01-02", "1970-01-01T01:00:00+01:00", "12", "soon", None]), ""
    )
    assert (values.to_pylist(), bad.tolist()) == ([86400, 0, 12, None, None], [3])
    values, bad = times(pa.array(["02 1, 1970", "2"]), "", "%d %m, %Y")
    assert (values.to_pylist(), bad.tolist()) == ([86400, None], [1])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, "a", "b"]),
            st.sampled_from([0.5, None]),
            st.sampled_from([[1], [], None]),
        )
    )
)
def test_first_of_each_is_what_a_loop_finds(rows):
    kinds = (pa.string(), pa.float64(), pa.list_(pa.int64()))
    table = pa.table(
        [pa.array([r[n] for r in rows], k) for n, k in enumerate(kinds)], names=list("abc")
    )
    seen: list = []
    expected = [n for n, row in enumerate(rows) if row not in seen and not seen.append(row)]
    assert first_of_each(table).tolist() == expected


def test_first_of_each_over_many_rows():
    rng = np.random.default_rng(0)
    n = 200_000  # more than the 16 bits of a place in a stretch
    user, item = rng.integers(0, 900, n), rng.integers(0, 700, n)
    texts = pa.array(item % 7).cast(pa.string())
    table = pa.table({"u": pa.array(user).dictionary_encode(), "t": texts, "i": item})
    _, first = np.unique(user * 700 + item, return_index=True)
    assert np.array_equal(first_of_each(table), np.sort(first))


CATEGORIES = """
null = ["NA"]
[node.item]
file = "items.parquet"
id = "id"
keep = ["kind", "year"]
text = "about"
[edge.user.rates.item]
file = "ratings.parquet"
src = "user"
dst = "items"
split = "|"
rating = "stars"
time = "day"
"""


def test_categories_of_parquet_are_read_as_their_values(tmp_path):
    tables = {
        "items.parquet": {
            "id": pa.array(["a", "b", "a", "c"]),
            "kind": pa.array(["x", "NA", "x", None]),
            "year": pa.array([1999, 2001, 1999, None]),
            "about": pa.array(["one", None, "one", "two"]),
        },
        "ratings.parquet": {
            "user": pa.array(["u", "v", "u", "w"]),
            "items": pa.array(["a|b", "c", "a|b", "a"]),
            "stars": pa.array([1.5, 2.0, 1.5, None]),
            "day": pa.array(["1970-01-02", "5", "1970-01-02", None]),
        },
    }
    made = {}
    for form in ("plain", "coded"):
        (tmp_path / form).mkdir()
        for name, values in tables.items():
            if form == "coded":
                values = {c: column.dictionary_encode() for c, column in values.items()}
            pq.write_table(pa.table(values), tmp_path / form / name)
        made[form], counts = build([tmp_path / form], tomllib.loads(CATEGORIES))
        assert notes(counts)["file items.parquet"][2] == {"exact duplicates": 1}
    plain, coded = made["plain"], made["coded"]
    for type in [*plain.nodes, *plain.edges]:
        assert coded.table(type).to_pylist() == plain.table(type).to_pylist()
    assert plain.nodes["item"]["kind"].to_pylist() == ["x", None, None]
    assert plain.n(RATES) == 4
    assert pa.types.is_dictionary(coded.nodes["item"].schema.field("kind").type)


def test_an_export_with_categories_can_be_built_from(tmp_path):
    kinds = pa.array(["x", "y", "x"]).dictionary_encode()
    hin = HIN.from_tables({"item": {"id": ["a", "b", "c"], "kind": kinds}}, {})
    to_parquet(hin, tmp_path / "p")
    again, _ = build(
        [tmp_path / "p" / "nodes" / "item" / "part-0.parquet"],
        {"node": {"item": {"id": "id", "keep": "all"}}},
    )
    assert again == hin


def test_files_of_one_section_with_and_without_categories(tmp_path):
    ids = pa.array(["a", "b"])
    section = {"node": {"n": {"file": "*.parquet", "id": "id"}}}
    for name, column in (("1", ids.dictionary_encode()), ("2", pa.array(["c"])), ("3", ids)):
        pq.write_table(pa.table({"id": column}), tmp_path / f"{name}.parquet")
    assert build([tmp_path], section)[0].ids("n").to_pylist() == ["a", "b", "c"]
    pq.write_table(pa.table({"id": [[1]]}), tmp_path / "4.parquet")
    with raises(ParameterError, asked="1.parquet, 2.parquet, 3.parquet, 4.parquet"):
        build([tmp_path], section)


def test_a_word_that_stands_twice_in_a_dictionary_is_one_word():
    coded = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), pa.array(["a", "a", "b"]))
    assert first_of_each(pa.table({"c": coded})).tolist() == [0, 2]


DEEP = pa.struct([("x", pa.int64())])


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ("", {"names": "[node.TYPE]"}),
        ("[node.n]\nids = 'a'", {"asked": "ids", "names": "did you mean 'id'"}),
        ("[nodes.n]\nid = 'a'", {"asked": "nodes", "names": "did you mean 'node'"}),
        ("[node]\nid = 'a'", {"asked": {"id": "a"}, "names": "[node.TYPE]"}),
        ("[edge.a.b]\nsrc = 'a'", {"asked": {"a": {"b": {"src": "a"}}}}),
        ("edge = 3", {"asked": 3, "names": "[edge.SOURCE.RELATION.TARGET]"}),
        ("[node.n]\nid = 3", {"asked": 3, "names": "[node.n] id"}),
        (
            "[node.n]\nid = 'whom'",
            {"asked": "whom", "there": ["who", "deep"], "names": "did you mean 'who'"},
        ),
        ("[node.n]\nid = 'deep'", {"asked": DEEP, "names": "[node.n] id"}),
        ("[node.n]\nid = 'who'\nkeep = ['deep']", {"asked": DEEP, "names": "column 'deep'"}),
        ("[node.n]\nid = 'who'\nkeep = 3", {"asked": 3, "names": "[node.n] keep"}),
        ("[node.n]\nid = 'who'\nrating = 'deep'", {"asked": DEEP, "names": "[node.n] rating"}),
        ("[node.n]\nid = 'who'\nkeep = { id = 'who' }", {"asked": "id"}),
        ("[node.n]\nid = 'who'\nneed = 'who'", {"asked": "who", "there": []}),
        ("[node.n]\nid = 'who'\nlineage = 'rows'", {"asked": "rows", "names": "lineage"}),
        (
            "[node.n]\nid = 'who'\nfile = 's.jsonl'",
            {"asked": "s.jsonl", "there": ["r.jsonl"], "names": "did you mean 'r.jsonl'"},
        ),
        ("[edge.n.to.m]\nsrc = 'who'\ndst = 'who'\nmissing = 'drop'", {"asked": "n"}),
        (
            "[edge.n.to.m]\nsrc = 'who'\nmissing = 'skip'",
            {"asked": "skip", "there": ("add", "drop"), "names": "missing"},
        ),
        ("[edge.n.to.m]\ndst = 'who'", {"asked": "src", "names": "[edge.n.to.m]"}),
        (
            "[node.n]\nid = 'who'\n[edge.m.to.n]\nsrc = 'who'",
            {"asked": "dst", "names": "[edge.m.to.n]"},
        ),
        (
            "[node.n]\nfile = 'other'\n[edge.n.to.n]\nsrc = 'who'",
            {"asked": "dst", "names": "[edge.n.to.n]"},
        ),
        ("[review]\nuser = 'who'", {"asked": "item", "names": "[review]"}),
        ("null = 'NA'\n[node.n]\nid = 'who'", {"asked": "NA", "names": "null"}),
        (
            "duplicates = 'no'\n[node.n]\nid = 'who'",
            {"asked": "no", "there": ("drop", "keep"), "names": "duplicates"},
        ),
    ],
)
def test_mistakes_in_a_schema(tmp_path, schema, told):
    path = lines(tmp_path / "r.jsonl", [{"who": "a", "deep": {"x": 1}}])
    with raises(ParameterError, **told):
        build([path], tomllib.loads(schema))


@pytest.mark.parametrize(
    ("name", "content", "asked"),
    [
        ("r.jsonl", b"no json\nat all\n", 2),
        ("r.json.gz", gzip.compress(b'{"a": 1}', mtime=0)[:-6], None),
        ("r.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-6], None),
        ("r.json.gz", b"not packed", None),
        ("r.csv", b"", None),
        ("r.csv", b"a,a\n1,2\n", ["a"]),
        ("r.csv", b"who\nK\xf6ln\n", None),
        ("r.parquet", b"PAR1", None),
        ("r.xlsx", b"", "xlsx"),
    ],
)
def test_broken_files(tmp_path, name, content, asked):
    """asked: None where it is the file itself."""
    path = tmp_path / name
    path.write_bytes(content)
    with raises(ParameterError, asked=str(path) if asked is None else asked, names=name):
        build([path], {"node": {"n": {"id": "a"}}})


def test_a_list_of_json_that_is_broken(tmp_path):
    (tmp_path / "r.json").write_bytes(b"[{]")
    with pytest.raises(ParameterError) as error:
        build([tmp_path / "r.json"], {"node": {"n": {"id": "a"}}})
    assert "column 3" in error.value.asked


def test_files_that_are_not_there_or_not_used(tmp_path):
    with raises(FileNotFoundError, names="nothing.csv"):
        build([tmp_path / "nothing.csv"], {"node": {"n": {}}})
    with raises(FileNotFoundError, names="[node.n]"):
        build([], {"node": {"n": {}}})
    (tmp_path / "schema.toml").write_text("[node.n\n")
    with raises(ParameterError, asked=str(tmp_path / "schema.toml")):
        parse(tmp_path / "schema.toml")
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("id\n1\n")
    _, counts = build(
        [tmp_path / "a.csv", tmp_path / "b.csv"], {"node": {"n": {"file": "a.csv", "id": "id"}}}
    )
    assert notes(counts)["file b.csv"][2] == {"file that no section uses": 1}
    with raises(ParameterError, asked="file", there=["a.csv", "b.csv"]):
        build([tmp_path / "a.csv", tmp_path / "b.csv"], {"node": {"n": {"id": "id"}}})


def test_nodes_that_only_edges_name_come_in_an_order_of_their_own(tmp_path):
    rows = ["u2,i9", "u10,i1", "u1,i5", "u2,i1"]
    known = []
    for name, order in (("a.csv", rows), ("b.csv", rows[::-1])):
        (tmp_path / name).write_text("\n".join(["u,i", *order]))
        likes = {"src": "u", "dst": "i"}
        hin, _ = build([tmp_path / name], {"edge": {"user": {"likes": {"item": likes}}}})
        known.append([hin.ids(node).to_pylist() for node in ("user", "item")])
    assert known == [[["u1", "u10", "u2"], ["i1", "i5", "i9"]]] * 2
