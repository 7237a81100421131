"""Graphs with and without deltas, to send through every form."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN

RATES = ("user", "rates", "item")


@pytest.fixture(scope="session")
def drawn(graphs, deltas):
    """A random graph, half of the time with deltas."""

    def draw(data) -> HIN:
        hin = data.draw(graphs())
        if data.draw(st.booleans()):
            hin = hin + data.draw(deltas(hin, "a", 0)) + data.draw(deltas(hin, "b", 1))
        return hin

    return draw


@pytest.fixture
def augmented(tiny) -> HIN:
    return tiny + Delta(
        {"user": {"id": ["g"], "age": [5]}},
        {RATES: {"src": ["g"], "dst": ["i4"], "confidence": [0.25]}},
        origin="gan",
    )
