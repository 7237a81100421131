"""Files as they come from elsewhere: delimiters, quotes, encodings, numbers, times, broken rows."""

import gzip
import io
import json
import tomllib
import warnings

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from files import EDGE, LIKES, links, made
from hypothesis import given
from hypothesis import strategies as st
from raising import raises

from hinaug.errors import ParameterError
from hinaug.io.delimited import Dialect, lines_of, stream_delimited
from hinaug.io.tables import build, columns, example
from hinaug.io.tables.graph import MIXED, NO_NUMBER, NO_TIME, UNUSED
from hinaug.io.tables.json_lines import BLOCK, read_json
from hinaug.io.tables.records import BROKEN, EMPTY, HEADER, RUNAWAY, read
from hinaug.io.tables.values import numbers, plain, texts, times

# ---- delimiters and headers ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "u,i\n1,7\n2,8\n"),
        ("a.tsv", "u\ti\n1\t7\n2\t8\n"),
        ("a.dat", "u::i\n1::7\n2::8\n"),
        ("a.dat", "u;i\n1;7\n2;8\n"),
        ("a.txt", "u i\n1  7\n2\t8 \n"),
        ("a.txt", "u|i\r\n1|7\r\n2|8\r\n"),
        ("a.csv", "\n\nu,i\n\n1,7\n\n2,8"),
        ("a.csv", "\ufeffu,i\n1,7\n2,8\n"),
    ],
)
def test_the_delimiter_is_seen(tmp_path, name, content):
    assert links(made(tmp_path / name, content)[0]) == [("1", "7"), ("2", "8")]


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("sep=;\r\nu;i\r\n1;7\r\n2;8\r\n", "utf-8-sig"),
        ('"sep=,"\nu,i\n1,7\n2,8\n', "utf8"),
        ("sep=\t\r\nu\ti\r\n1\t7\r\n2\t8\r\n", "utf-16"),
    ],
)
def test_a_first_line_of_excel_tells_the_delimiter_alone(tmp_path, content, encoding):
    path = tmp_path / "a.csv"
    hin, _ = made(path, content.encode(encoding))
    assert links(hin) == [("1", "7"), ("2", "8")]
    assert columns([path]) == {"a.csv": ["u", "i"]}
    broken = content + "3" + content.split("\n")[1][1] + "9" + content.split("\n")[1][1] * 2 + "\n"
    _, counts = made(path, broken.encode(encoding), EDGE)
    assert counts[0].first[BROKEN][0].endswith("line 5")


def test_numbers_with_a_decimal_comma(tmp_path):
    content = "u;i;r;price;name\n1;7;4,5;1.234,50;5,9\n2;8;3;-0,25;x\n3;9;1,x;7;y\n"
    schema = EDGE + 'rating = "r"\nkeep = ["price", "name"]\n'
    hin, counts = made(tmp_path / "a.csv", content, 'decimal = ","\n' + schema)
    edges = hin.edges[LIKES]
    assert edges["rating"].to_pylist() == [4.5, 3.0, None]
    assert edges["price"].to_pylist() == [1234.5, -0.25, 7.0]
    assert edges["name"].to_pylist() == ["5,9", "x", "y"]
    assert counts[1].first[NO_NUMBER] == ["'1,x', line 4"]
    hin, _ = made(tmp_path / "a.csv", content, schema)
    assert hin.edges[LIKES]["rating"].to_pylist() == [None, 3, None]
    with raises(ParameterError, asked=";"):
        made(tmp_path / "a.csv", content, 'decimal = ";"\n' + schema)


def test_a_decimal_comma_is_seen_where_it_is_no_delimiter(tmp_path):
    (tmp_path / "a.csv").write_text("id;price\n1;4,5\n2;3,25\n", encoding="utf-16")
    (tmp_path / "b.csv").write_text("id,price\n1,4.5\n2,3.25\n")
    (tmp_path / "c.csv").write_text("id;words\n1;4,5\n2;none\n")
    text = example([tmp_path])
    assert text.count("decimal") == 1
    hin, _ = build([tmp_path], tomllib.loads(text))
    assert hin.nodes["a"]["price"].to_pylist() == hin.nodes["b"]["price"].to_pylist() == [4.5, 3.25]
    assert hin.nodes["c"]["words"].to_pylist() == ["4,5", "none"]


@pytest.mark.parametrize("delimiter", ["::", "§", "||", "\t", " - ", "\\"])
def test_any_delimiter_can_be_said(tmp_path, delimiter):
    said = f"{EDGE}columns = ['u', 'i', 'n']\ndelimiter = {json.dumps(delimiter, ensure_ascii=False)}\nkeep = ['n']\n"
    rows = [("1", "7", "a:b"), ("2", "8", "c|d")]
    hin, _ = made(tmp_path / "a.edges", "\n".join(map(delimiter.join, rows)), said)
    assert links(hin) == [("1", "7"), ("2", "8")]
    assert hin.edges[LIKES]["n"].to_pylist() == ["a:b", "c|d"]


def test_a_long_delimiter_inside_quotes_stays(tmp_path):
    said = EDGE + 'delimiter = "::"\nquote = true\n'
    assert links(made(tmp_path / "a.dat", 'u::i\n"a::b"::x\n', said)[0]) == [("a::b", "x")]
    with pytest.raises(ParameterError):
        made(tmp_path / "b.dat", "u::i\na\x1f::x\n", said)


def test_comments_are_left_out_and_lines_stay_known(tmp_path):
    said = EDGE + 'columns = ["u", "i", "n"]\ncomment = "%"\ntime = "n"\n'
    hin, counts = made(tmp_path / "out.dat", "% sym\n% 2 3\n1 7 5\n% more\n2 8 soon\n", said)
    assert links(hin) == [("1", "7"), ("2", "8")]
    assert counts[1].first == {NO_TIME: ["'soon', line 5"]}


@pytest.mark.parametrize(
    "content", ["1,7\n2,8\n", "u1,2020-01-01\nu2,2020-01-02\n", "u1,b7\nu2,b9\nu33,b1\n"]
)
def test_a_header_that_looks_like_data_is_warned_of(tmp_path, content):
    first, second = content.split("\n")[0].split(",")
    path = tmp_path / "a.csv"
    with pytest.warns(UserWarning, match=r"a\.csv"):
        made(path, content, f'[edge.user.likes.item]\nsrc = "{first}"\ndst = "{second}"\n')
    said = EDGE + 'columns = ["u", "i"]\n'
    assert len(links(made(path, content, said)[0])) == content.count("\n")


@pytest.mark.parametrize(
    "content", ["u,i\nann,b7\n", "user1,item\nann,x\nbob,y\n", "2019,2020\nyes,no\n", "u,i\n"]
)
def test_a_header_of_names_is_not_warned_of(tmp_path, content):
    (tmp_path / "a.csv").write_text(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read([tmp_path / "a.csv"])


def test_names_and_rows_come_from_one_parser(tmp_path):
    hin, _ = made(tmp_path / "a.csv", '"user, id",i\n007,1\n', '[node.user]\nid = "user, id"\n')
    assert hin.ids("user").to_pylist() == ["007"]


def test_columns_and_header_may_both_be_said(tmp_path):
    assert links(
        made(tmp_path / "a.csv", "x,y\n1,7\n", EDGE + 'columns = ["u", "i"]\nheader = true\n')[0]
    ) == [("1", "7")]
    with pytest.raises(ParameterError) as error:
        made(tmp_path / "a.csv", "x,y\n1,7\n", EDGE + 'columns = ["u", "i", "n"]\nheader = true\n')
    assert error.value.there == ["x", "y"]
    numbered = '[edge.user.likes.item]\nsrc = "1"\ndst = "2"\nheader = false\n'
    assert links(made(tmp_path / "a.csv", "1,7\n2,8\n", numbered)[0]) == [("1", "7"), ("2", "8")]


# ---- quotes --------------------------------------------------------------------------------------


def test_lone_quotes_are_text_but_in_csv(tmp_path):
    content = 'u\ti\na\t"weird al\nb\tx\nc\t5" disk\n'
    right = [("a", '"weird al'), ("b", "x"), ("c", '5" disk')]
    for name in ("a.tsv", "a.dat", "a.inter"):
        assert links(made(tmp_path / name, content)[0]) == right
    assert links(made(tmp_path / "a.csv", content, EDGE + "quote = false\n")[0]) == right


def test_quotes_are_the_rule_where_the_header_has_them(tmp_path):
    assert links(made(tmp_path / "a.tsv", '"u"\t"i"\n"a"\t"x\ty"\n')[0]) == [("a", "x\ty")]


def test_a_quote_that_runs_away_is_noted(tmp_path):
    _, counts = made(tmp_path / "a.csv", 'u,i\na,"fine\ntext"\nb,"weird al\nc,x\nd,y\n')
    assert counts[0].notes == {RUNAWAY: 1}
    assert counts[0].first[RUNAWAY][0].startswith("line 4")
    assert (counts[0].read, counts[0].kept) == (2, 2)


# ---- encodings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-8-sig", "utf-32"]
)
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_an_encoding_holds_for_names_and_values(tmp_path, encoding, form):
    row = {"Jäger": "Bär", "i": "é"}
    text = (
        json.dumps(row, ensure_ascii=False)
        if form == "jsonl"
        else "\n".join([",".join(row), ",".join(row.values())])
    )
    path = tmp_path / f"a.{form}"
    hin, _ = made(
        path,
        (text + "\n").encode(encoding),
        f'encoding = "{encoding}"\n[node.user]\nid = "Jäger"\nkeep = ["i"]\n',
    )
    assert hin.nodes["user"].to_pylist() == [{"id": "Bär", "i": "é"}]
    assert columns([path], encoding) == {path.name: ["Jäger", "i"]}
    assert '"Jäger"' in example([path], encoding)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path, encoding):
    assert links(made(tmp_path / "a.csv", "u,i\na,é\n".encode(encoding))[0]) == [("a", "é")]


@pytest.mark.parametrize("encoding", ["latin1x", "base64", "utf-8"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_an_encoding_that_is_wrong_is_one_error(tmp_path, encoding, name):
    content = b"u,i\nK\xf6ln,1\n" if name == "a.csv" else b'{"u": "K\xf6ln", "i": 1}\n'
    with pytest.raises(ParameterError):
        made(tmp_path / name, content, f'encoding = "{encoding}"\n{EDGE}')


# ---- numbers and times ---------------------------------------------------------------------------

TEXT_STAYS = ["1_0", "0x10", "007", "12345678901234567890", "nan", "1e999", "١"]


@pytest.mark.parametrize("word", TEXT_STAYS)
def test_what_is_no_plain_number_stays_text(word):
    for column in (pa.array([word, "2"]), pa.array([word, "2"]).dictionary_encode()):
        assert plain(column, False, "").to_pylist() == [word, "2"]


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_whole_numbers_are_exact(values):
    text = pa.array([None if v is None else str(v) for v in values], pa.string())
    assert plain(text, False, "").cast(pa.int64()).to_pylist() == values
    assert numbers(text, "")[0].to_pylist() == values


def test_numbers_that_would_lose_digits_stay_text():
    text = pa.array(["9007199254740993", "1.5"])
    assert plain(text, False, "").equals(text)
    assert numbers(pa.array(["9007199254740993", "x"]), "")[0].to_pylist() == [2**53 + 1, None]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_floats_are_those_of_python(values):
    found, bad = numbers(pa.array(map(repr, values)), "")
    assert found.to_pylist() == values
    assert not len(bad)


@given(st.lists(st.datetimes().map(lambda t: t.isoformat(sep=" ")), min_size=1))
def test_times_are_those_of_python(words):
    found, bad = times(pa.array(words), "")
    micro = np.array(words, "datetime64[us]").astype(np.int64)
    right = found.cast(pa.int64()).to_numpy()
    assert not len(bad)
    assert (right * (1 if pa.types.is_timestamp(found.type) else 10**6) == micro).all()


def test_times_keep_nanoseconds():
    found, _ = times(
        pa.array(["2024-01-01T00:00:00.000000020", "2024-01-01T01:00:00.00000003+01:00"]), ""
    )
    assert found.cast(pa.int64()).to_pylist() == [1704067200000000020, 1704067200000000030]
    found, _ = times(pa.array([10**18 + 20, 10**18]), "")
    assert found.to_pylist() == [10**18 + 20, 10**18]
    found, bad = times(pa.array(["9999-12-31", "2024-02-30", "12"]), "")
    assert (found.to_pylist(), bad.tolist()) == ([253402214400, None, 12], [1])


@pytest.mark.parametrize("indent", [None, 1])
def test_objects_over_several_lines_or_inside_one_object(indent):
    rows = [{"u": f"u{k % 3}", "i": f"i{k}", "tags": [{"t": 1}, {"t": 2}]} for k in range(6)]
    one_after_another = "\n".join(json.dumps(row, indent=1) for row in rows)
    page = json.dumps({"next": None, "total": 6, "data": rows}, indent=indent)
    for content in (one_after_another, page, json.dumps(rows, indent=indent)):
        found = read_json(lambda c=content: io.BytesIO(c.encode()), "a")
        assert found.table.to_pylist() == rows
    single = json.dumps(rows[0] | {"tags": [{"t": 1}]}, indent=indent)
    assert read_json(lambda: io.BytesIO(single.encode()), "a").table.num_rows == 1


def test_a_broken_object_among_those_over_several_lines_is_no_json(tmp_path):
    content = json.dumps({"u": "a", "i": "b"}, indent=1)
    with raises(ParameterError, asked=7):
        made(tmp_path / "a.json", content + "\n" + content[:-2])


def test_ids_of_json_are_exact(tmp_path):
    big = 9007199254740993
    hin, _ = made(tmp_path / "a.jsonl", f'{{"u": {big}, "i": 1.5}}\n{{"u": 1.5, "i": {big}}}\n')
    assert links(hin)[0][0] == str(big)
    hin, _ = made(tmp_path / "b.jsonl", f'{{"u": {10**20 + 1}, "i": 1}}\n')
    assert links(hin) == [(str(10**20 + 1), "1")]


# ---- broken rows ---------------------------------------------------------------------------------


def test_the_first_rows_that_are_broken_are_shown(tmp_path):
    rows = [
        "a,b,2024-01-01,1",
        "short",
        '"two\nlines",y,03/01/2024,x',
        "",
        "c,d,soon,2",
        "e,f",
        "a,b,2024-01-01,1",
        "g,h,later,3",
    ]
    said = EDGE + 'time = "n"\nrating = "r"\n'
    _, counts = made(tmp_path / "a.csv", "\n".join(["u,i,n,r", *rows]), said)
    assert counts[0].first == {BROKEN: ["'short', line 3", "'e,f', line 8"]}
    assert counts[0].notes == {BROKEN: 2, "exact duplicates": 1}
    assert counts[1].first[NO_TIME] == [
        "'03/01/2024', line 4",
        "'soon', line 7",
        "'later', line 10",
    ]
    assert counts[1].first[NO_NUMBER] == ["'x', line 4"]


def test_rows_of_json_lines_are_shown_by_line(tmp_path):
    content = '{"u": 1, "i": 2, "t": 5}\n\n{broken\n{"u": 1, "i": 3, "t": "soon"}\n[1]\n'
    _, counts = made(tmp_path / "a.jsonl", content, EDGE + 'time = "t"\n')
    assert counts[0].first == {BROKEN: ["'{broken', line 3", "'[1]', line 5"]}
    assert counts[1].first == {NO_TIME: ["'soon', line 4"]}


def test_of_several_files_the_name_is_shown(tmp_path):
    (tmp_path / "1.csv").write_text("u,i,t\na,b,1\n")
    (tmp_path / "2.csv").write_text("u,i,t\nx\nc,d,soon\n")
    _, counts = build([tmp_path], tomllib.loads(EDGE + 'time = "t"\nfile = "*.csv"\n'))
    assert counts[0].first == {BROKEN: ["2.csv, 'x', line 2"]}
    assert counts[1].first == {NO_TIME: ["'soon', 2.csv, line 3"]}


def test_a_file_of_broken_rows_alone_is_an_error(tmp_path):
    with pytest.raises(ParameterError) as error:
        made(tmp_path / "a.csv", "u,i,n\na,b\nc,d\n")
    assert (error.value.asked, error.value.there) == (2, ["u", "i", "n"])


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz", "a.dat.gz"])
@pytest.mark.parametrize(
    "content", [b"not packed", gzip.compress(b"u,i\n1,2\n" * 99, mtime=0)[:-9]]
)
def test_an_archive_that_is_none_is_named(tmp_path, name, content):
    with pytest.raises(ParameterError) as error:
        made(tmp_path / name, content)
    assert name in str(error.value)


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b\nc", 'd"e', "", ","]), min_size=1, max_size=3),
        min_size=1,
        max_size=8,
    )
)
def test_lines_are_those_that_a_text_editor_shows(rows):
    def cell(word):
        return '"' + word.replace('"', '""') + '"'

    content, line, right = "x,y\n", 2, []
    for row in rows:
        text = ",".join(map(cell, row)) + "\n"
        right += [line] if len(row) == 2 else []
        content, line = content + text, line + text.count("\n")
    import io

    found, _ = lines_of(lambda: io.BytesIO(content.encode()), Dialect(), 2, list(range(len(right))))
    assert list(found.values()) == right
    _, batches = stream_delimited(
        lambda: io.BytesIO(content.encode()), Dialect(), name="", skip=lambda row: None
    )
    assert sum(batch.num_rows for batch in batches) == len(right)


# ---- JSON lines by Arrow and by Python -----------------------------------------------------------

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | st.sampled_from(["a", "2020-01-01", "é", "half \ud83d", ""])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("pq"), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["a", "b"]), values, min_size=1), min_size=1, max_size=6
    )
)
def test_any_json_is_read(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("json") / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    table = read_json(path, path).table
    assert table.num_rows == len(rows)
    for name in {name for row in rows for name in row}:
        column, right = table[name].to_pylist(), [row.get(name) for row in rows]
        kinds = {type(value) for value in right if value is not None}
        if kinds <= {str} or kinds <= {bool} or kinds <= {int}:
            fixed = [v.replace("\ud83d", "?") if isinstance(v, str) else v for v in right]
            assert column == fixed


def test_values_of_unlike_kinds_in_far_blocks_become_text(tmp_path):
    row = '{"u": 1, "i": "%s"}\n' % ("x" * 1000)
    n = BLOCK // len(row) + 10
    (tmp_path / "a.jsonl").write_text(row * n + '{"u": "one", "i": "y", "t": "2020-01-01"}\n')
    found = read_json(tmp_path / "a.jsonl", "a")
    assert found.table["u"].to_pylist() == ["1"] * n + ["one"]
    assert found.table["t"].to_pylist()[-1] == "2020-01-01"
    assert found.lines([0, n - 1, n]) == {0: 1, n - 1: n, n: n + 1}


def test_texts_of_several_columns():
    table = pa.table({"a": ["x", None, " ", "NA"], "b": [["p", " q "], [], None, ["r"]]})
    assert texts(table.to_batches(), ["NA"]).to_pylist() == ["x\np q", None, None, "r"]
    assert texts(table.slice(1, 2).to_batches()).to_pylist() == [None, None]


# ---- files that were joined, cut or written by hand ----------------------------------------------


def test_further_headers_are_left_out_and_lines_stay_known(tmp_path):
    rows = ["u,i,t", "1,7,1", "u,i,t", "2,8,2", "u, i ,t", "3,9,soon", "u,i,4"]
    hin, counts = made(tmp_path / "a.csv", "\n".join(rows), EDGE + 'time = "t"\nkeep = ["t"]\n')
    assert links(hin) == [("1", "7"), ("2", "8"), ("3", "9"), ("u", "i")]
    assert (counts[0].read, counts[0].kept, counts[0].notes) == (6, 4, {HEADER: 2})
    assert counts[1].first[NO_TIME] == ["'soon', line 6"]


def test_a_column_of_one_file_may_hold_its_own_name(tmp_path):
    (tmp_path / "a.csv").write_text("word\nword\nother\n")
    hin, _ = build([tmp_path], {"node": {"n": {"id": "word"}}})
    assert hin.ids("n").to_pylist() == ["word", "other"]


def test_blanks_around_names_and_ids_are_no_part_of_them(tmp_path):
    hin, _ = made(tmp_path / "a.csv", " u ,\ti\n 007 , 😀\n7,x y \n")
    assert links(hin) == [("007", "😀"), ("7", "x y")]


def test_an_empty_part_is_noted_and_an_empty_file_is_an_error(tmp_path):
    (tmp_path / "1.jsonl").write_text("")
    (tmp_path / "2.jsonl").write_text('{"u": 1, "i": 7}\n')
    hin, counts = build([tmp_path], tomllib.loads(EDGE + 'file = "*.jsonl"\n'))
    assert links(hin) == [("1", "7")]
    assert (counts[0].read, counts[0].kept, counts[0].notes) == (1, 1, {EMPTY: 1})
    with raises(ParameterError, asked=str(tmp_path / "1.jsonl")):
        build([tmp_path / "1.jsonl"], tomllib.loads(EDGE))


@pytest.mark.parametrize(
    ("values", "form", "odd"),
    [
        (["1", "2", "N/A", "4"], "", ["'N/A', line 4"]),
        (["1,5", "2.5", "1.234,5"], "", ["'1,5', line 2", "'1.234,5', line 4"]),
        (["1,5", "x", "1.234,5"], 'decimal = ","\n', ["'x', line 3"]),
        (["01", "2", "N/A", "4"], "", None),
        (["a", "b", "3"], "", None),
        (["1", "2"], "", None),
    ],
)
def test_the_values_that_keep_a_column_from_being_numbers_are_shown(tmp_path, values, form, odd):
    content = "\n".join(["u;i;n", *(f"{k};{k};{value}" for k, value in enumerate(values))])
    _, counts = made(tmp_path / "a.csv", content, EDGE + 'keep = ["n"]\n' + form)
    assert counts[1].first.get(f"n: {MIXED}") == odd


def test_files_that_are_no_tables_and_databases_that_are_read_are_not_unused(tmp_path):
    with duckdb.connect(str(tmp_path / "shop.db")) as shop:
        shop.sql("CREATE TABLE likes AS SELECT 1 AS u, 7 AS i")
    for name, content in {"schema.toml": "", "README.md": "# Read", "b.csv": "x,y\n1,2\n"}.items():
        (tmp_path / name).write_text(content)
    database = f'database = "duckdb:///{tmp_path}/shop.db"\nquery = "SELECT * FROM likes"\n'
    _, counts = build([tmp_path], tomllib.loads(EDGE + database))
    assert [count.what for count in counts if UNUSED in count.notes] == ["file b.csv"]


def test_records_and_bytes_are_refused_by_name(tmp_path):
    rec = pa.array([{"k": 1, "l": [1]}])
    pq.write_table(pa.table({"u": ["a"], "i": [b"\xff"], "rec": rec}), tmp_path / "a.parquet")
    with raises(ParameterError, asked=pa.binary(), names="dst"):
        build([tmp_path], tomllib.loads(EDGE))
    with raises(ParameterError, there=["k", "l"], names="rec"):
        build([tmp_path], {"node": {"n": {"id": "u", "keep": ["rec"]}}})


def test_a_folder_of_parts_is_one_table(tmp_path):
    for folder in ("likes.csv", "other.parquet"):
        (tmp_path / folder).mkdir()
    for n in (1, 2):
        (tmp_path / "likes.csv" / f"part-{n}-0a{n}f.csv").write_text(f"u,i\n{n},{n + 6}\n")
        pq.write_table(pa.table({"u": [n]}), tmp_path / "other.parquet" / f"{n}.snappy.parquet")
    (tmp_path / "likes.csv" / "_SUCCESS").write_text("")
    (tmp_path / "likes.csv" / ".part.csv.crc").write_text("crc")
    said = EDGE + 'file = "likes.csv"\n[node.n]\nfile = "other.parquet"\nid = "u"\n'
    hin, counts = build([tmp_path], tomllib.loads(said))
    assert links(hin) == [("1", "7"), ("2", "8")]
    assert hin.n("n") == 2
    assert {count.what for count in counts} >= {"file likes.csv", "file other.parquet"}
    assert links(build([tmp_path / "likes.csv"], tomllib.loads(EDGE))[0]) == links(hin)
    told = tomllib.loads(example([tmp_path]))
    assert sorted(section["file"] for section in told["node"].values()) == [
        "likes.csv",
        "other.parquet",
    ]


def test_the_example_tells_what_it_does_not_keep(tmp_path):
    rows = [
        {"user": 1, "item": 7, "tags": ["a"], "deep": {"x": 1, "all": [{"y": 2}]}, "stars": 4},
        {"user": 1, "item": 8, "tags": [], "odd\nname": 1},
    ]
    (tmp_path / "rates.jsonl").write_text("\n".join(map(json.dumps, rows)))
    told = example([tmp_path])
    assert "# not kept: tags, deep.x, deep.all.y, odd name\n" in told
    assert told.endswith("an edge for each entry: tags, deep.all.y\n")
    section = tomllib.loads(told)["edge"]["user"]["rates"]["item"]
    listed = '[edge.item.has.tag]\nfile = "rates.jsonl"\nsrc = "item"\ndst = "{}"\n'
    hin, _ = build([tmp_path], tomllib.loads(told + listed.format("deep.all.y")))
    assert section["rating"] == "stars"
    assert hin.ids("tag").to_pylist() == ["2"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", "u,i\né,7\n2,8\n"), ("a.jsonl", '{"u": "é", "i": 7}\n')]
)
def test_text_with_a_zero_beside_each_letter_is_utf_16(tmp_path, encoding, name, content):
    hin, _ = made(tmp_path / name, content.encode(encoding))
    assert links(hin)[0] == ("é", "7")


def test_a_zero_byte_in_a_value_is_no_encoding(tmp_path):
    assert links(made(tmp_path / "a.csv", b"u,i\na\x00b,7\n")[0]) == [("a\x00b", "7")]


def test_lines_with_commas_behind_and_dicts_of_python_are_objects(tmp_path):
    rows = [
        "{'u': 'a', 'i': 7, 'ok': True, 'no': None, 'deep': {'x': (1, 2)}}",
        '{"u": "b", "i": 8},',
        "{u'u': u'it\\'s', 'i': \"9\"}\r",
        "{'u': open('x'), 'i': 1}",
        "{'u': {1, 2}, 'i': 1}",
    ]
    hin, counts = made(tmp_path / "a.json", "\n".join(rows), EDGE)
    assert links(hin) == [("a", "7"), ("b", "8"), ("it's", "9")]
    assert counts[0].notes == {BROKEN: 2}
    assert counts[0].first[BROKEN][0].endswith("line 4")


def test_broken_lines_are_shown_with_blanks_where_blanks_are_the_delimiter(tmp_path):
    _, counts = made(tmp_path / "a.txt", "u i n\na 7 1\nb  8 x y\n", EDGE)
    assert counts[0].first == {BROKEN: ["'b 8 x y', line 3"]}


def test_columns_in_runs_are_plain(tmp_path):
    runs = pa.RunEndEncodedArray.from_arrays([2], ["z"])
    table = pa.table({"u": pa.array(["a", "b"], pa.string_view()), "i": ["7", "8"], "r": runs})
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    hin, _ = build([tmp_path], tomllib.loads(EDGE + 'keep = ["r"]\n'))
    assert hin.edges[LIKES]["r"].to_pylist() == ["z", "z"]
    assert hin.edges[LIKES]["r"].type == pa.string()


@pytest.mark.parametrize(
    ("form", "quoted"),
    [
        ("", r'"a \"q\" b"'),
        ("", r'"\"q\" b, c"'),
        ("escape = true\n", r'"a \"q\""'),
    ],
)
def test_quotes_behind_backslashes_are_inside(tmp_path, form, quoted):
    rows = ["u,i,t", f'{quoted},"7",1', '"c","8\n9",soon', '"d","9",2']
    hin, counts = made(tmp_path / "a.csv", "\n".join(rows), EDGE + form + 'time = "t"\n')
    plain = quoted[1:-1].replace('\\"', '"')
    assert links(hin) == [(plain, "7"), ("c", "8\n9"), ("d", "9")]
    assert counts[1].first == {NO_TIME: ["'soon', line 3"]}


@pytest.mark.parametrize("value", ['"C:\\"', '"a ""b\\"""', '"a\\\\"', 'a\\"b'])
def test_a_backslash_before_the_end_of_quotes_is_text(tmp_path, value):
    hin, _ = made(tmp_path / "a.csv", f'u,i\n{value},"7"\n"c","8"\n')
    (first, _), *_ = links(hin)
    assert first == (value[1:-1].replace('""', '"') if value[0] == '"' else value)


def test_a_backslash_before_the_end_of_quotes_with_a_blank_behind_is_text(tmp_path):
    hin, counts = made(tmp_path / "a.csv", 'u,i\n"C:\\dir\\" ,"7"\n"c","8"\n')
    assert [b for _, b in links(hin)] == ["7", "8"]
    assert not counts[0].notes
