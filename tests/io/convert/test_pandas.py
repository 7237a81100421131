"""pandas there and back."""

from __future__ import annotations

import pandas as pd
import pyarrow.compute as pc
from hypothesis import given
from hypothesis import strategies as st
from seen import marks, seen

from hinaug.graph.delta import Delta
from hinaug.io import convert

RATES = ("user", "rates", "item")


@given(st.data())
def test_pandas_loses_lineage_only(drawn, data):
    hin = drawn(data)
    back = convert.from_pandas(convert.to_pandas(hin))
    assert seen(back) == seen(hin)
    assert marks(back) == marks(hin)


def test_to_pandas_by_hand(augmented):
    frames = convert.to_pandas(augmented)
    assert list(frames) == [*augmented.nodes, *augmented.edges]
    rates = frames[RATES]
    assert rates["src"].tolist() == ["ann", "ann", "bob", "ann", "cid", "bob", "g"]
    assert rates["origin"].isna().tolist() == [True] * 6 + [False]
    assert frames["user"]["age"].dtype == pd.Int64Dtype()
    assert frames["item", "has", "genre"]["dst"].tolist() == [10, 10, 10, 20]
    assert frames["item"]["x"][1].tolist() == [2, 3]
    joined = rates.merge(frames["user"], left_on="src", right_on="id")
    assert len(joined) == 7


def test_filled_cells_and_masks_are_what_is_lost(tiny):
    both = tiny + Delta(
        masks={RATES: {"src": ["ann"], "dst": ["i1"]}},
        values={("user", "age"): {"id": ["bob"], "value": [9]}},
    )
    back = convert.from_pandas(convert.to_pandas(both))
    assert back == both
    assert back.deltas == ()
    assert pc.sum(back.nodes["user"]["age"]).as_py() == 80


def test_a_column_that_a_delta_added_comes_back_as_an_observed_one(tiny):
    city = {"id": ["ann", "cid"], "value": ["Rome", "Oslo"]}
    hin = tiny + Delta(columns={("user", "city"): city})
    back = convert.from_pandas(convert.to_pandas(hin))
    assert back == hin
    assert back.deltas == ()
    assert back.observed().nodes["user"]["city"].to_pylist() == ["Rome", None, "Oslo"]
