"""Whole nodes as records: the schema holds, whatever is written."""

import json

import numpy as np
import pyarrow as pa
import pytest
from raising import raises

from hinaug.datasets.planted import RATES, planted
from hinaug.errors import ParameterError, SchemaError, UnknownNameError, WriterError
from hinaug.generators.entities import WrittenNodes
from hinaug.testing.generators import _check_columns, _check_linked, _check_marks

GOOD = {"age": 30, "job": "baker", "likes": [2, 4]}


@pytest.fixture(scope="module")
def hin():
    return planted(40, 30, rng=2)


def says(*answers):
    """Answers in turn."""
    state = {"at": 0}

    def writer(prompts):
        said = [answers[(state["at"] + i) % len(answers)] for i in range(len(prompts))]
        state["at"] += len(prompts)
        return said

    return writer


def nodes(writer, node="user", **options):
    return WrittenNodes(node, RATES, writer, name="title" if node == "user" else "job", **options)


def test_new_users_keep_the_contract_of_new_nodes(hin):
    made = nodes(says(json.dumps(GOOD))).fit(hin)
    delta = made.generate(hin, 5, rng=0)
    _check_columns(delta, hin, "user", "WrittenNodes")
    _check_linked(delta, "user", "WrittenNodes")
    _check_marks(delta, hin, "WrittenNodes")
    assert made.generate(hin, 5, rng=0) == delta
    assert delta.edges[RATES].num_rows == 10
    assert ((hin + delta) - delta).equals(hin)
    assert len(made.generate(hin, 0)) == 0
    assert made.tally.accepted == 5
    np.testing.assert_array_equal(delta.nodes["user"]["confidence"], 1.0)


def test_new_items_are_written_from_the_other_end(hin):
    record = {"title": "a new lamp", "text": "it shines", "likes": [1]}
    made = nodes(says(json.dumps(record)), "item").fit(hin)
    assert set(made.schema_) == {"title", "text"}
    delta = made.generate(hin, 3, rng=0)
    assert delta.nodes["item"]["text"].to_pylist() == ["it shines"] * 3
    assert set(delta.edges[RATES]["src"].to_pylist()) <= set(hin.ids("user").to_pylist())


def test_refused_records_are_asked_for_again(hin):
    bad = json.dumps({**GOOD, "job": "king"})
    made = nodes(says(bad, json.dumps(GOOD)), tries=5).fit(hin)
    assert made.generate(hin, 4, rng=0).nodes["user"].num_rows == 4
    assert made.tally.refused > 0
    assert made.tally.asked == made.tally.accepted + made.tally.refused
    with pytest.raises(WriterError) as caught:
        nodes(says(bad)).fit(hin).generate(hin, 4, rng=0)
    assert (caught.value.asked, caught.value.there) == (4, 0)


def test_targets_without_a_name_are_not_offered(hin):
    titles = [None, " ", *[f"title {i}" for i in range(2, 30)]]
    some, prompts = hin.with_column("item", "title", titles, lineage="row"), []
    good = says(json.dumps(GOOD))
    made = nodes(lambda ps: prompts.extend(ps) or good(ps)).fit(some)
    delta = made.generate(some, 3, rng=0)
    assert set(delta.edges[RATES]["dst"].to_pylist()) <= set(some.ids("item").to_pylist()[2:])
    assert len(prompts) == 3
    bare = hin.with_column("item", "title", pa.nulls(30, pa.string()))
    with raises(SchemaError, asked="title"):
        nodes(good).fit(bare)


def test_links_are_those_that_were_offered(hin):
    prompts = []

    def writer(asked):
        prompts.extend(asked)
        return [json.dumps({**GOOD, "likes": [3, 3, 99, 0, -1]})] * len(asked)

    delta = nodes(writer, offered=10).fit(hin).generate(hin, 6, rng=0)
    titles = hin.column("item", "title").to_pylist()
    linked = [titles[i] for i in hin.positions("item", delta.edges[RATES]["dst"])]
    third = [next(line[3:] for line in p.splitlines() if line.startswith("3. ")) for p in prompts]
    assert linked == third
    np.testing.assert_array_equal(delta.nodes["user"]["confidence"], 0.5)


def test_conditions(hin):
    made = nodes(says(json.dumps(GOOD))).fit(hin)
    given = pa.table({"job": ["guide", "guide"]})
    assert made.generate(hin, condition=given).nodes["user"]["job"].to_pylist() == ["guide"] * 2
    assert made.generate(hin, condition=hin.ids("user")[:3]).nodes["user"].num_rows == 3
    with pytest.raises(ParameterError):
        made.generate(hin, condition={RATES: hin.ids("item")[:1]})


def test_columns_that_can_be_written(hin):
    made = nodes(says('{"age": 30, "likes": [1]}'), columns=["age"]).fit(hin)
    assert set(made.schema_) == {"age"}
    ages = hin.column("user", "age").to_numpy()
    assert made.schema_["age"]["minimum"] == ages.min()
    with pytest.raises(UnknownNameError):
        nodes(says(""), columns=["x"]).fit(hin)
    with pytest.raises(ParameterError):
        WrittenNodes("review", RATES, says(""), name="title").fit(hin)


def test_no_real_node_is_shown_where_none_shall_be(hin):
    prompts = []
    spy = lambda ps: prompts.extend(ps) or [json.dumps(GOOD)] * len(ps)  # noqa: E731
    nodes(spy, control="none").fit(hin).generate(hin, 2, rng=0)
    assert not any('<<<{"age"' in p for p in prompts)
    nodes(spy).fit(hin).generate(hin, 1, rng=0)
    assert prompts[-1].count('<<<{"age"') == 3
