"""A planted world cut in two: real users, and others of the same distribution as generated ones."""

import numpy as np
import pyarrow as pa

from hinaug import Delta
from hinaug.datasets import planted_mixed
from hinaug.datasets.planted_mixed import FOLLOWS, RATES

N, REAL = 1500, 1000


class World:
    """hin: the real users. held_out: the others, as a graph. users, rates, follows: the others as
    tables, `follows` with both directions.
    """

    def __init__(self, rng=0):
        whole, truth = planted_mixed(N, 200, 20, rng=rng, degree=15, follows=8, return_truth=True)
        mask = np.arange(N) < REAL
        self.hin = whole.filter_nodes("user", mask)
        self.held_out = whole.filter_nodes("user", ~mask)
        self.item_topic, self.user_topic = truth["item_topic"], truth["user_topic"][~mask]
        ids = np.array(whole.ids("user").to_pylist(), object)
        names = np.where(mask, ids, [f"new {i}" for i in ids])
        items = np.array(whole.ids("item").to_pylist(), object)
        table = whole.nodes["user"].filter(pa.array(~mask))
        self.users = table.set_column(0, "id", pa.array(names[~mask]))
        src, dst = whole.links(RATES)
        mine = ~mask[src]
        rows = whole.edges[RATES].filter(pa.array(mine)).select(["rating", "time"])
        self.rates = pa.table(
            {"src": names[src[mine]].tolist(), "dst": items[dst[mine]].tolist(), **_columns(rows)}
        )
        src, dst = whole.links(FOLLOWS)
        one = mask[src] != mask[dst]
        self.follows = pa.table({"src": names[src[one]].tolist(), "dst": names[dst[one]].tolist()})

    def delta(self, users=None, rates=None, follows=None):
        """The others as generated nodes, or what stands in the place of one of their tables."""
        tables = (users, rates, follows)
        given = (self.users, self.rates, self.follows)
        users, rates, follows = (b if a is None else a for a, b in zip(tables, given, strict=True))
        return Delta({"user": users}, {RATES: rates, FOLLOWS: follows}, origin="world")


def _columns(table):
    return dict(zip(table.column_names, table.columns, strict=True))


def replaced(table, name, values):
    """The table with another column of this name, in the type of the old one."""
    at = table.column_names.index(name)
    return table.set_column(at, name, pa.array(values, table.schema.field(name).type))
