"""Statistics of what a node meets, numbers in texts and ids, and columns that tell beside others.

Each is planted twice: computed from all pairs, which is a leak, and from train, which is none.
"""

import numpy as np
import pyarrow as pa
import pytest
from leak_worlds import RATES, named, quiet, split_of, world
from scipy import sparse

from hinaug.datasets import planted
from hinaug.graph.hin import HIN
from hinaug.split import audit


def shop():
    """Users with ages, items with prices and makers."""
    rng = np.random.default_rng(4)
    hin = planted(150, 90, 4, rng=4).drop("review")
    time = np.array(hin.column(RATES, "time"))
    time = time // 86_400 // 90 * 90 * 86_400 + time % 86_400  # few days
    hin = hin.with_column(RATES, "time", time, "row")
    price, maker = rng.gamma(2, 10, 90).round(2), rng.integers(0, 9, 90)
    hin = hin.with_column("user", "age", rng.integers(16, 90, 150), "row")
    hin = hin.with_column("item", "price", price, "row")
    hin = hin.with_column("item", "shown", rng.integers(200, 2_000, 90), "row")
    return hin.with_column("item", "maker", [f"maker {m}" for m in maker], "row")


def met(graph, type):
    """Rows of the target as a matrix from users to items, or back."""
    matrix = graph.adjacency(RATES)
    return matrix if type == "user" else matrix.T.tocsr()


def count(graph):
    return np.diff(met(graph, "item").indptr)


def mean_price(graph):
    x = met(graph, "user")
    price = np.array(graph.column("item", "price"))
    return (x @ price / np.maximum(np.diff(x.indptr), 1)).round(2)


def makers(graph):
    codes = np.unique(graph.column("item", "maker"), return_inverse=True)[1]
    return met(graph, "user") @ np.eye(9)[codes]


def last_maker(graph):
    """The maker of the item that each user rated last."""
    user, item = graph.links(RATES)
    last = np.full(graph.n("user"), -1)
    order = np.argsort(np.array(graph.column(RATES, "time")), kind="stable")
    last[user[order]] = item[order]
    name = np.array(graph.column("item", "maker"))
    return np.where(last < 0, "maker 0", name[last])


def days(graph):
    """On how many days each user rated."""
    day = np.array(graph.column(RATES, "time")) // 86_400
    user = graph.links(RATES)[0]
    return np.array([len(np.unique(day[user == u])) for u in range(graph.n("user"))])


PLANTS = {
    "mean": ("user", mean_price),
    "sum": ("user", lambda g: met(g, "user") @ np.array(g.column("item", "price"))),
    "of users": ("item", lambda g: met(g, "item") @ np.array(g.column("user", "age"))),
    "distinct": ("user", lambda g: (makers(g) > 0).sum(axis=1)),
    "mode": ("user", lambda g: [f"likes {k}" for k in makers(g).argmax(axis=1)]),
    "checksum": ("user", lambda g: met(g, "user") @ np.arange(90)),
    "in a text": (
        "item",
        lambda g: [f"{n % 7}.5 of 9 stars by {n} people" for n in count(g)],
    ),
    "rate beside its base": (
        "item",
        lambda g: (count(g) / np.array(g.column("item", "shown"))).round(7),
    ),
    "rest beside its base": ("item", lambda g: np.array(g.column("item", "shown")) - count(g)),
    "last": ("user", lambda g: [f"liked {m}" for m in last_maker(g)]),
    "last in a text": (
        "user",
        lambda g: [
            f"no {k % 7}: chose {m.replace(' ', '')} lately" for k, m in enumerate(last_maker(g))
        ],
    ),
    "days": ("user", days),
    "beside a column": ("item", lambda g: count(g) * np.array(g.column("item", "price"))),
}


@pytest.mark.parametrize("kind", PLANTS)
def test_a_statistic_of_all_pairs_is_found_and_one_of_train_is_not(kind):
    type, statistic = PLANTS[kind]
    hin = shop()
    leak = split_of(hin.with_column(type, "told", statistic(hin), "row"))
    assert "told" in named(leak, f"{type}.told").where
    clean = hin.with_column(type, "told", statistic(split_of(hin).train), "row")
    quiet(split_of(clean))


def test_ids_that_are_numbered_by_sales():
    hin = shop()
    numbers = (1000 + np.argsort(np.argsort(-count(hin), kind="stable"))).astype(str)
    nodes = {t: hin.nodes[t] for t in hin.nodes}
    edges = {RATES: hin.edges[RATES]}
    order = np.random.default_rng(0).permutation(90)
    nodes["item"] = pa.table({"id": numbers[order], "price": np.arange(90.0)})
    numbered = HIN({t: nodes[t] for t in ("user", "item")}, edges)
    dst = hin.links(RATES)[1]
    back = np.argsort(order)
    table = hin.edges[RATES]
    at = table.column_names.index("dst")
    edges[RATES] = table.set_column(at, "dst", pa.array(back[dst].astype(np.int32)))
    numbered = HIN({t: nodes[t] for t in ("user", "item")}, edges)
    found = audit(split_of(numbered))
    assert not found.leaks  # no method reads ids as numbers
    assert "item (numbers of ids)" in {f.where for f in found.unknown}


def test_a_title_of_several_words_inside_a_text():
    hin = shop()
    titles = [f"the {a} of {b}" for a in "abcdefghij" for b in "klmnopqrs"]
    hin = hin.with_column("item", "title", titles, "row")
    split = split_of(hin)
    gone = {}
    for row in split.test.to_pylist():
        gone[row["src"]] = titles[int(hin.positions("item", [row["dst"]])[0])]
    bios = [
        f"Just now I read {gone[u]}, and slept." if u in gone else "Nothing."
        for u in hin.ids("user").to_pylist()
    ]
    found = named(split_of(hin.with_column("user", "bio", bios, "row")), "user.bio", "mention")
    assert "'title' of 'item'" in found.why


def test_users_sorted_by_what_is_held_out():
    hin = world(300, 40)
    split = split_of(hin)
    last = {row["src"]: row["dst"] for row in split.test.to_pylist()}
    ids = hin.ids("user").to_pylist()
    order = np.array(sorted(range(300), key=lambda k: str(last.get(ids[k], "none"))))
    table = hin.nodes["user"].take(pa.array(order))
    rates = hin.edges[RATES]
    back = np.argsort(order)[hin.links(RATES)[0]].astype(np.int32)
    rates = rates.set_column(rates.column_names.index("src"), "src", pa.array(back))
    ordered = HIN({"user": table, "item": hin.nodes["item"]}, {RATES: rates})
    held = [(r["src"], r["dst"]) for r in split.test.to_pylist()]
    assert held
    quiet(split_of(ordered, rng=5))  # what others hold out says nothing of this split


def test_a_relation_of_shared_users_and_one_like_it_that_follows_taste():
    """Two items are joined if somebody has both; or if somebody has, in another world alike."""
    hin, truth = planted(300, 80, 4, rng=7, return_truth=True)
    hin = hin.drop("review")

    def together(graph):
        shared = sparse.triu(graph.adjacency(RATES).T @ graph.adjacency(RATES), 1).tocoo()
        ids = np.array(hin.ids("item").to_pylist())
        kept = np.random.default_rng(0).random(len(shared.data)) < 0.3
        return {"src": list(ids[shared.row[kept]]), "dst": list(ids[shared.col[kept]])}

    edge = ("item", "together", "item")
    leak = hin.with_edges(edge, together(hin), lineage="row")
    assert "share nothing" in named(split_of(leak), "together", "derived edges").why
    topic = truth["item_topic"]
    same = np.argwhere(np.triu(topic[:, None] == topic[None], 1))
    ids = np.array(hin.ids("item").to_pylist())
    some = same[np.random.default_rng(0).random(len(same)) < 0.5]
    honest = {"src": list(ids[some[:, 0]]), "dst": list(ids[some[:, 1]])}
    quiet(split_of(hin.with_edges(edge, honest, lineage="row")))
    quiet(split_of(hin.with_edges(edge, together(split_of(hin).train), lineage="row")))
