"""Bad input gets one clear error: what was asked, what there is, what to do; never one from inside
a library.
"""

from __future__ import annotations

import importlib
import inspect
import traceback
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from raising import raises

import hinaug
from hinaug import (
    HIN,
    Delta,
    TextEncoder,
    audit,
    checks,
    cold_items,
    cold_users,
    compare,
    datasets,
    embed_text,
    evaluate,
    leave_last,
    load,
    merge,
    random_split,
    recommend,
    save,
    temporal_split,
    thin,
)
from hinaug.ensembles import Weighted
from hinaug.errors import LeakError, NotFittedError, SchemaError, StoreError, UnknownNameError
from hinaug.evaluation import metrics
from hinaug.evaluation.compare import holm
from hinaug.generators import Aggregation, JointVAE, RelationGenerator, Synthesis, random_delta
from hinaug.graph import expect
from hinaug.io import convert
from hinaug.predictors import EASE, ItemKNN, Popularity
from hinaug.training import ranking

HOME = Path(hinaug.__file__).parent
RATES = ("user", "rates", "item")
LIST = ["user", "rates", "item"]


def _graph() -> HIN:
    """Eight users, each with four of six items, in order of time."""
    pairs = [(u, (u + k) % 6) for u in range(8) for k in range(4)]
    return HIN.from_tables(
        {
            "user": {"id": [f"user{u}" for u in range(8)], "age": range(8), "text": ["a word"] * 8},
            "item": {"id": [f"item{i}" for i in range(6)], "x": np.eye(6)},
        },
        {
            RATES: {
                "src": [f"user{u}" for u, _ in pairs],
                "dst": [f"item{i}" for _, i in pairs],
                "rating": [3.0] * len(pairs),
                "time": range(len(pairs)),
            }
        },
    )


hin = _graph()
split = random_split(hin, RATES, valid=1, test=1, rng=0)
model = Popularity(RATES).fit(split.train)
result = evaluate(model, split.train, split, k=2)
frame = pd.DataFrame({"src": ["user0"], "dst": ["item1"]})
edge = Delta(edges={RATES: {"src": ["user0"], "dst": ["item5"]}})
other = HIN.from_tables(
    {"user": {"id": ["a"]}, "item": {"id": ["b"]}}, {RATES: {"src": ["a"], "dst": ["b"]}}
)


CASES = [
    # ---- a graph is asked for
    (lambda: EASE(RATES).fit(split), TypeError, ["EASE.fit takes a HIN, got Split", "split.train"]),
    (lambda: EASE(RATES).fit(frame), TypeError, ["got DataFrame", "HIN.from_tables"]),
    (lambda: EASE(RATES).fit({"user": frame}), TypeError, ["got dict", "HIN.from_tables"]),
    (lambda: EASE(RATES).fit(None), TypeError, ["got NoneType", "hinaug.load"]),
    (lambda: Popularity(RATES).fit(hin).refit(split), TypeError, ["Popularity.refit takes a HIN"]),
    (lambda: model.score(split, [0]), TypeError, ["Popularity.score takes a HIN", "split.train"]),
    (
        lambda: Weighted([EASE(RATES)]).fit_with([model], split),
        TypeError,
        ["Weighted.fit_with takes a HIN, got Split"],
    ),
    (lambda: Synthesis("user").fit(split), TypeError, ["Synthesis.fit takes a HIN"]),
    (
        lambda: Synthesis("user").fit(hin).generate(split, 3),
        TypeError,
        ["Synthesis.generate takes a HIN"],
    ),
    (
        lambda: RelationGenerator(EASE(RATES)).fit(split),
        TypeError,
        ["RelationGenerator.fit takes a HIN"],
    ),
    (lambda: random_delta(split, edge), TypeError, ["random_delta takes a HIN"]),
    (lambda: embed_text(split, "user", len), TypeError, ["embed_text takes a HIN"]),
    (lambda: random_split(split, RATES), TypeError, ["random_split takes a HIN"]),
    (lambda: cold_items(frame, RATES), TypeError, ["cold_items takes a HIN, got DataFrame"]),
    (lambda: convert.to_pandas(split), TypeError, ["to_pandas takes a HIN"]),
    (lambda: convert.to_pyg(split), TypeError, ["to_pyg takes a HIN"]),
    (lambda: convert.to_networkx(split), TypeError, ["to_networkx takes a HIN"]),
    (lambda: convert.to_parquet(split, "x"), TypeError, ["to_parquet takes a HIN"]),
    (lambda: recommend(model, split, ["user0"]), TypeError, ["recommend takes a HIN"]),
    (lambda: evaluate(model, split, split), TypeError, ["evaluate takes a HIN"]),
    # ---- tables, pairs, types
    (
        lambda: HIN.from_tables([frame], {}),
        TypeError,
        ["nodes is a dict of tables", "'user': table", "got list"],
    ),
    (
        lambda: HIN.from_tables({"user": {"id": ["a"]}}, [frame]),
        TypeError,
        ["edges is a dict", "('user', 'rates', 'item'): table"],
    ),
    (lambda: HIN(None, {}), TypeError, ["nodes is a dict of tables"]),
    (
        lambda: HIN.from_tables({"user": {"id": "abc"}}, {}),
        SchemaError,
        ["column 'id'", "a list or an array", "got str 'abc'"],
    ),
    (
        lambda: HIN.from_tables({"user": {"ID": ["a"]}}, {}),
        SchemaError,
        ["no column 'id'", "['ID']", "name the column of unique ids"],
    ),
    (
        lambda: HIN.from_tables({"user": {"id": ["a"]}}, {LIST[0]: frame}),
        SchemaError,
        ["a tuple (source, relation, target)", "such as", "got 'user'"],
    ),
    (
        lambda: HIN.from_tables({"user": {"id": ["a"]}}, {}, lineage="rows"),
        SchemaError,
        ["'rows'", "('row', 'aggregate')", "did you mean 'row'"],
    ),
    (
        lambda: HIN(dict(hin.nodes), {RATES: {"src": [9], "dst": [0]}}),
        SchemaError,
        ["position 9", "the 8 nodes of 'user'", "add those nodes or drop"],
    ),
    (
        lambda: HIN(dict(hin.nodes), {RATES: {"src": [0]}}),
        SchemaError,
        ["no column 'dst'", "['src']", "HIN.from_tables"],
    ),
    (
        lambda: EASE(LIST).fit(hin),
        TypeError,
        ["no edge type ['user', 'rates', 'item']", "write the tuple ('user', 'rates', 'item')"],
    ),
    (
        lambda: EASE(("user", "rate", "item")).fit(hin),
        UnknownNameError,
        ["this graph has", "did you mean ('user', 'rates', 'item')?"],
    ),
    (lambda: hin.adjacency(LIST), TypeError, ["write the tuple"]),
    (lambda: hin.n(LIST), TypeError, ["write the tuple"]),
    (lambda: hin.with_column(LIST, "a", [1]), TypeError, ["write the tuple"]),
    (
        lambda: hin.with_edges(LIST, frame),
        SchemaError,
        ["an edge type is a tuple", "got ['user', 'rates', 'item']"],
    ),
    (
        lambda: hin.with_nodes(["user"], {"id": ["z"]}),
        SchemaError,
        ["a node type is a non-empty string", "got ['user']"],
    ),
    (
        lambda: hin.nodes[["user"]],
        TypeError,
        ["this graph has ['user', 'item']", "a node type is a string"],
    ),
    (lambda: random_split(hin, LIST), TypeError, ["write the tuple"]),
    (lambda: Synthesis("user", relation=LIST).fit(hin), TypeError, ["write the tuple"]),
    (
        lambda: hin.with_column("user", 3, range(8)),
        SchemaError,
        ["the name 3 is int", "choose a string"],
    ),
    (
        lambda: hin.with_column("user", "a", [1]),
        SchemaError,
        ["1 values for 8 observed rows", "one value a row"],
    ),
    (
        lambda: hin.adjacency(RATES, weight="rating", duplicates="first"),
        ValueError,
        ["duplicates='first'", "'last'"],
    ),
    (
        lambda: hin.with_column(RATES, "word", ["a"] * 32).adjacency(RATES, weight="word"),
        SchemaError,
        ["'word' is string", "'rating', 'time'", "leave weight out"],
    ),
    (
        lambda: hin.filter_edges(RATES, [0, 1]),
        ValueError,
        ["one bool per observed row", "there are 32", "np.isin"],
    ),
    (lambda: hin.filter_nodes("user", [0]), ValueError, ["there are 8", "np.isin"]),
    (
        lambda: hin.ids("user", ["user0"]),
        SchemaError,
        ["takes positions", "hin.positions('user', ids)"],
    ),
    (lambda: hin.ids("user", [8]), SchemaError, ["position 8 is outside the 8 'user' nodes"]),
    (lambda: hin.ids("user", [-1]), SchemaError, ["position -1 is outside"]),
    (lambda: hin.positions("user", "user0"), SchemaError, ["got str 'user0'", "into a list"]),
    (
        lambda: hin + hin,
        TypeError,
        ["hin + delta takes a Delta, got HIN", "with_nodes and with_edges"],
    ),
    (lambda: hin + None, TypeError, ["got NoneType", "merge"]),
    (lambda: hin - split, TypeError, ["hin - delta takes a Delta, got Split"]),
    (lambda: convert.from_scipy(None), SchemaError, ["takes a matrix of numbers", "shape ()"]),
    (
        lambda: convert.from_scipy(np.eye(2), "rates"),
        SchemaError,
        ["type='rates'", "such as ('user', 'rates', 'item')"],
    ),
    (
        lambda: convert.from_scipy(np.eye(2), row_ids=["a"]),
        SchemaError,
        ["1 ids for the 2 'user' nodes", "row_ids and col_ids"],
    ),
    (lambda: convert.from_pyg(3), SchemaError, ["takes a HeteroData, got int"]),
    (lambda: convert.from_networkx(3), SchemaError, ["takes a MultiDiGraph, got int"]),
    (lambda: convert.from_pandas([frame]), TypeError, ["{type: DataFrame}", "got list"]),
    (
        lambda: convert.from_parquet("/no/such/folder"),
        SchemaError,
        ["nodes/TYPE", "*.parquet", "it is no folder", "to_parquet"],
    ),
    (
        lambda: convert.from_parquet(None),
        TypeError,
        ["from_parquet: a folder is needed", "got NoneType"],
    ),
    # ---- deltas
    (lambda: Delta([frame]), TypeError, ["nodes is a dict of tables", "got list"]),
    (
        lambda: Delta(edges={RATES: {"src": ["a"]}}),
        SchemaError,
        ["no column 'dst'", "['src']", "add it"],
    ),
    (lambda: Delta(edges={RATES: frame}, origin=3), TypeError, ["origin=3", "a string is needed"]),
    (
        lambda: Delta(edges={RATES: frame}, fitted_on="abc"),
        TypeError,
        ["list of fingerprints", "[hin.fingerprint()]", "got str"],
    ),
    (
        lambda: Delta({"user": {"id": ["a"], "confidence": [3]}}),
        SchemaError,
        ["found 3.0 to 3.0", "scale and fill"],
    ),
    (
        lambda: Delta({"user": {"id": ["a", "a"]}}),
        SchemaError,
        ["'a' stand more than once", "keep one row each"],
    ),
    (lambda: merge(edge), TypeError, ["merge([first, second])", "got Delta"]),
    (lambda: merge([edge, hin]), TypeError, ["got HIN"]),
    (lambda: edge + hin, TypeError, ["hin + delta", "merge"]),
    (lambda: edge.top("3"), ValueError, ["k='3'", "a whole number"]),
    (
        lambda: edge.select("confidence > 1"),
        ValueError,
        ["select takes an expression", "got 'confidence > 1'"],
    ),
    (
        lambda: edge.select(pc.field("confidence")),
        ValueError,
        ["'confidence'", "not true or false", "pc.field"],
    ),
    (
        lambda: edge.select(pc.field("confidence") > "x"),
        ValueError,
        ["cannot be read", "write a comparison"],
    ),
    (lambda: hin + edge + edge, SchemaError, ["already applied", "take it off"]),
    (lambda: hin - edge, SchemaError, ["not applied to this graph", "its deltas: none"]),
    (
        lambda: other + edge,
        SchemaError,
        [
            "1 ids are no 'user' nodes of this graph: 'user0'",
            "the graph that this delta was made for",
        ],
    ),
    (
        lambda: hin + Delta({"user": {"id": ["z"], "age": ["old"]}}),
        SchemaError,
        ["the graph has int64, the delta string", "cast"],
    ),
    (
        lambda: hin + Delta(values={("user", "age"): {"id": ["z"], "value": [3]}}),
        SchemaError,
        ["1 ids are no 'user' nodes", "'z'", "made for"],
    ),
    (
        lambda: hin + Delta({"usr": {"id": ["a"]}}),
        UnknownNameError,
        ["no node type 'usr'", "did you mean 'user'"],
    ),
    # ---- fitting and scoring
    (
        lambda: Weighted([EASE(RATES)]).fit(split.train, valid=hin),
        TypeError,
        ["Weighted.fit: valid is an Arrow table", "got HIN", "valid=split.valid"],
    ),
    (
        lambda: EASE(RATES).fit(split.train, valid=split),
        TypeError,
        ["got Split", "valid=split.valid"],
    ),
    (
        lambda: EASE(RATES).fit(split.train, valid=pa.table({"user": ["a"]})),
        SchemaError,
        ["no column 'src'", "['user']", "external ids"],
    ),
    (
        lambda: RelationGenerator(EASE(RATES)).fit(hin, valid=hin),
        TypeError,
        ["RelationGenerator.fit: valid"],
    ),
    (
        lambda: EASE(RATES, l2="3"),
        TypeError,
        ["EASE: l2='3'", "a number is needed, or None", "got str"],
    ),
    (lambda: EASE(RATES, constant=None), TypeError, ["constant=None", "got NoneType"]),
    (lambda: EASE(RATES, l2=True), TypeError, ["l2=True", "got bool"]),
    (lambda: ItemKNN(RATES, k=2.5), TypeError, ["ItemKNN: k=2.5", "a whole number", "got float"]),
    (
        lambda: Weighted([EASE(RATES)], k="5").fit(split.train, valid=split.valid),
        TypeError,
        ["Weighted: k='5'"],
    ),
    (lambda: EASE(RATES).clone(l2="3"), TypeError, ["l2='3'"]),
    (lambda: EASE(RATES).clone(L2=3), TypeError, ["no parameter 'L2'", "it has"]),
    (lambda: JointVAE("user", lr="x"), TypeError, ["JointVAE: lr='x'", "such as 0.001"]),
    (lambda: JointVAE("user", keep="x"), TypeError, ["JointVAE: keep='x'"]),
    (lambda: Aggregation("user", sharpness="1"), TypeError, ["Aggregation: sharpness='1'"]),
    (
        lambda: RelationGenerator(EASE(RATES), holdout="0.1"),
        TypeError,
        ["holdout='0.1'", "such as 0.1"],
    ),
    (
        lambda: RelationGenerator(EASE(RATES), evidence=3).fit(hin, rng=0),
        TypeError,
        ["evidence=3", "a list of types"],
    ),
    (
        lambda: EASE(RATES).fit(hin, rng="x"),
        TypeError,
        ["EASE.fit: rng='x' is no seed", "a whole number"],
    ),
    (lambda: random_split(hin, RATES, rng=-1), TypeError, ["rng=-1 is no seed"]),
    (lambda: EASE(RATES).refit(hin), NotFittedError, ["this EASE is not fitted", "call .fit(hin)"]),
    (
        lambda: model.score(hin, ["user0"]),
        SchemaError,
        ["takes positions of 'user' nodes", "hin.positions"],
    ),
    (lambda: model.score(hin, [8]), SchemaError, ["position 8 is outside the 8 'user' nodes"]),
    (
        lambda: model.score_pairs(hin, [0], [[6]]),
        SchemaError,
        ["position 6 is outside the 6 'item' nodes"],
    ),
    (lambda: model.score_pairs(hin, [0], [[-1]]), SchemaError, ["position -1"]),
    (
        lambda: model.score_pairs(hin, [0, 1], [[0]]),
        ValueError,
        ["(2,) and (1, 1)", "each source a row"],
    ),
    (
        lambda: Synthesis("user").fit(hin).generate(hin, "3"),
        ValueError,
        ["size='3'", "the 8 observed"],
    ),
    (lambda: Synthesis("user").fit(hin).generate(hin, float("nan")), ValueError, ["size=nan"]),
    (
        lambda: Synthesis("user").fit(hin.filter_nodes("user", np.zeros(8, bool))),
        SchemaError,
        ["no 'user' nodes to learn from", "'item': 6"],
    ),
    (
        lambda: Synthesis("item", relation=("user", "knows", "user")).fit(hin),
        UnknownNameError,
        ["no edge type"],
    ),
    (lambda: random_delta(hin, hin), TypeError, ["takes a Delta to be like, got HIN"]),
    # ---- evaluating
    (lambda: audit(hin), TypeError, ["audit takes a Split, got HIN", "random_split"]),
    (lambda: audit(split, [edge]), TypeError, ["deltas after the split", "got list"]),
    (
        lambda: evaluate(model, split.train, split, k="10"),
        TypeError,
        ["evaluate: k='10'", "a whole number of at least 1"],
    ),
    (
        lambda: evaluate(model, split.train, split, k=[]),
        ValueError,
        ["names no cut-off", "k=(10, 20)"],
    ),
    (
        lambda: evaluate(model, split.train, split.train),
        TypeError,
        ["takes a Split third, got HIN"],
    ),
    (lambda: evaluate(split.train, model, split), TypeError, ["link predictor first", "got HIN"]),
    (lambda: evaluate(EASE, split.train, split), TypeError, ["got the class EASE itself"]),
    (lambda: evaluate(EASE(RATES), split.train, split), NotFittedError, ["call .fit(hin)"]),
    (
        lambda: evaluate(model, split.source, split),
        LeakError,
        ["8 of 8 valid pairs", "pass split.train"],
    ),
    (lambda: result["NDCG"], UnknownNameError, ["this result has", "did you mean 'NDCG@2'"]),
    (lambda: result.interval("Coverage@2"), ValueError, ["one figure for all users", "'NDCG@2'"]),
    (lambda: result.interval("NDCG@2", level=95), ValueError, ["level=95", "such as 0.95"]),
    (
        lambda: result.by("degree", "NDCG@2"),
        UnknownNameError,
        ["no slice 'degree'", "did you mean 'train degree'"],
    ),
    (lambda: compare(result, model), TypeError, ["results of evaluate", "got Popularity"]),
    (lambda: compare(result, result, "NDCG@2", names="ab"), ValueError, ["two names"]),
    (lambda: holm([0.1]), TypeError, ["{name: p}", "got list"]),
    (
        lambda: recommend(model, hin, ["user0"], k="5"),
        TypeError,
        ["recommend: k='5'", "at least 1"],
    ),
    (lambda: recommend(model, hin, ["user0"], k=0), ValueError, ["recommend: k=0", "at least 1"]),
    (
        lambda: recommend(model, hin, ["user00"]),
        SchemaError,
        ["no 'user' nodes: 'user00'", "there are 8", "did you mean 'user0'"],
    ),
    (
        lambda: recommend(model, hin, ["nobody"]),
        SchemaError,
        ["there are 8, such as 'user0'", "leave those ids out"],
    ),
    (lambda: recommend(model, hin, None), SchemaError, ["a list or an array", "got NoneType"]),
    (
        lambda: recommend(model, hin, ["user0"], candidates="item1"),
        SchemaError,
        ["ids of 'item'", "got str 'item1'"],
    ),
    (lambda: recommend(hin, model, ["user0"]), TypeError, ["link predictor first", "got HIN"]),
    (lambda: recommend(EASE(RATES), hin, ["user0"]), NotFittedError, ["call .fit(hin)"]),
    (lambda: metrics.recall([[0]], np.eye(1), "1"), ValueError, ["got '1'"]),
    (lambda: metrics.recall([[0]], None, 1), ValueError, ["matrices [n_users, n_items]"]),
    (lambda: ranking.top_k([["a"]], 1), ValueError, ["top_k needs scores", "numbers"]),
    (lambda: metrics.novelty([[0]], ["x"], 3, 1), ValueError, ["popularity must be one number"]),
    # ---- splitting
    (
        lambda: random_split(hin, RATES, test="0.1"),
        TypeError,
        ["test='0.1'", "a share in [0, 1)", "got str"],
    ),
    (lambda: random_split(hin, RATES, test=1.5), ValueError, ["test=1.5", "a count of pairs"]),
    (
        lambda: random_split(hin, RATES, min_train="1"),
        TypeError,
        ["min_train='1'", "a whole number"],
    ),
    (lambda: random_split(hin, RATES, evidence=None), TypeError, ["evidence=None", "['review']"]),
    (lambda: random_split(hin, RATES, keep=3), TypeError, ["keep=3", "('user', 'likes', 'item')"]),
    (lambda: leave_last(hin, RATES, time=None), TypeError, ["time=None", "the name of a column"]),
    (lambda: leave_last(hin, RATES, time="tme"), UnknownNameError, ["did you mean 'time'"]),
    (
        lambda: temporal_split(hin, RATES, cuts=("a", "b")),
        ValueError,
        ["cuts=('a', 'b')", "two numbers in the unit of 'time'"],
    ),
    (lambda: temporal_split(hin, RATES, cuts=5), ValueError, ["cuts=5", "two numbers"]),
    (lambda: temporal_split(hin, RATES, valid="x"), TypeError, ["valid='x'", "a share"]),
    (lambda: cold_users(hin, RATES, known=-1), ValueError, ["cold_users: known=-1", "at least 0"]),
    (lambda: thin(hin, 0.5), TypeError, ["thin takes a Split, got HIN", "random_split"]),
    (lambda: thin(split, "x"), ValueError, ["share='x'", "such as 0.5"]),
    # ---- text and data
    (lambda: TextEncoder(3), TypeError, ["model=3", "'minilm'"]),
    (lambda: TextEncoder(batch_tokens="3"), TypeError, ["batch_tokens='3'", "at least 1"]),
    (lambda: TextEncoder().encode(None), TypeError, ["a sequence of texts, got NoneType"]),
    (lambda: TextEncoder().encode(["a", 3]), TypeError, ["got int 3", "cast them to str"]),
    (
        lambda: embed_text(hin, "user", "minilm"),
        TypeError,
        ["encoder='minilm'", "TextEncoder('minilm')"],
    ),
    (
        lambda: embed_text(hin, "user", len, column="age"),
        SchemaError,
        ["'age' is int64, not text", "['text']", "column="],
    ),
    (
        lambda: embed_text(hin, "user", lambda texts: [["a"] for _ in texts]),
        ValueError,
        ["shape (8, 1) for 8 texts", "numbers [n, d]"],
    ),
    (lambda: datasets.load(None), ValueError, ["no data set None", "'ml-100k'"]),
    (lambda: datasets.load("ml-100"), ValueError, ["did you mean 'ml-100k'"]),
    (
        lambda: datasets.load("ml-100k", folder=3),
        TypeError,
        ["ml-100k: a folder is needed", "got int 3"],
    ),
    (lambda: datasets.movielens_100k(None), TypeError, ["movielens_100k: a folder is needed"]),
    (
        lambda: datasets.lightgcn_split("/no/such/folder"),
        FileNotFoundError,
        ["does not exist", "train.txt, test.txt", "published at"],
    ),
    (lambda: datasets.planted("x"), TypeError, ["planted: n_users='x'"]),
    (lambda: datasets.planted(5, 5, 9), ValueError, ["n_groups=9", "n_items=5"]),
    (lambda: load("/no/such/folder"), StoreError, ["is not there", "schema.json"]),
    (lambda: load(None), TypeError, ["load: a folder is needed", "got NoneType"]),
    (lambda: save(hin, None), TypeError, ["save: a folder is needed"]),
]


@pytest.mark.parametrize(("call", "kind", "words"), CASES)
def test_one_clear_error(call, kind, words):
    with pytest.raises(kind) as error:
        call()
    message = str(error.value)
    assert not [word for word in words if word not in message], message
    assert "\n" not in message
    assert len(message) < 500
    raised = traceback.extract_tb(error.value.__traceback__)[-1]
    assert Path(raised.filename).is_relative_to(HOME), f"raised in {raised.filename}, not by hinaug"


def test_every_error_of_the_checks_is_raised_there_and_good_input_passes():
    assert checks.whole(np.int64(3), "k", 1) == 3
    assert (
        checks.generator(np.random.default_rng(5), "x").random()
        == np.random.default_rng(5).random()
    )
    assert checks.folder("a/b", "x") == Path("a/b")
    expect.graph(hin, "x")
    expect.pairs(None, "x")
    expect.pairs(split.valid, "x")
    for value in (3, 0.5, np.float32(1), np.int8(1), 2**2000, float("inf")):
        checks.number(value, "l2", "a number")
    for value in ("3", None, True, np.True_, float("nan"), [3], np.ones(2), 1j):
        with raises(TypeError, names="l2"):
            checks.number(value, "l2", "a number")


def test_numbers_of_numpy_and_whole_numbers_are_parameters_like_any_other():
    assert EASE(RATES, l2=np.float32(3)).l2 == 3
    assert EASE(RATES, l2=3, prior_k=np.int64(5)).prior_k == 5
    changed = EASE(RATES)
    changed.l2 = "3"  # after it was made
    with raises(TypeError, asked="3"):
        changed.fit(hin)
    assert not hasattr(changed, "pairs_")


FOLDERS = ["hinaug"] + [f"hinaug.{p.parent.name}" for p in sorted(HOME.glob("*/__init__.py"))]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_public_name_has_a_docstring(folder):
    """What a folder shows, and the methods and properties of its classes."""
    shown = importlib.import_module(folder)
    bare = []
    for name in getattr(shown, "__all__", ()):
        thing = getattr(shown, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            inside = vars(thing).items() if inspect.isclass(thing) else ()
            bare += [name] if not inspect.getdoc(thing) else []
            bare += [
                f"{name}.{n}"
                for n, m in inside
                if not n.startswith("_")
                and (inspect.isfunction(m) or isinstance(m, property | classmethod))
                and not inspect.getdoc(getattr(thing, n) if isinstance(m, classmethod) else m)
            ]
    assert bare == []
