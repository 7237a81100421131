"""Amazon and Yelp as graphs of bare numbers: who rated what, and the attributes of both sides as
nodes.

Source: C. Shi, B. Hu, W. X. Zhao and P. S. Yu, "Heterogeneous Information Network Embedding for
Recommendation" (HERec), IEEE TKDE 31(2), 2019, and its authors' collection of graphs. Terms: none
stated by the publishers; cite the paper.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.datasets.files import graph, require
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
from hinaug.io.delimited import read_delimited

ADDRESS = "https://github.com/librahu/HIN-Datasets-for-Recommendation-and-Network-Embedding"
_INT = pa.int64()
_AMAZON: dict[str, tuple[EdgeType, str]] = {  # file: edge type, delimiter
    "user_item.dat": (("user", "rates", "item"), "\t"),
    "item_brand.dat": (("item", "made_by", "brand"), ","),
    "item_category.dat": (("item", "in", "category"), ","),
    "item_view.dat": (("item", "has", "view"), ","),
}
_YELP: dict[str, tuple[EdgeType, str]] = {
    "user_business.dat": (("user", "rates", "business"), "\t"),
    "user_user.dat": (("user", "friend", "user"), "\t"),
    "user_compliment.dat": (("user", "received", "compliment"), "\t"),
    "business_city.dat": (("business", "in", "city"), "\t"),
    "business_category.dat": (("business", "has", "category"), "\t"),
}


def amazon_hin(folder: Any) -> HIN:
    """Amazon: 6,170 users, 2,753 items, 195,791 ratings with time; 3,857 views, 334 brands, 22
    categories.

    folder: holds user_item.dat (tab-separated), item_brand.dat, item_category.dat and item_view.dat
        (commas).
    Types: user, item, brand, category, view; ("user", "rates", "item") with rating 1-5 and time in
    seconds, ("item", "made_by", "brand"), ("item", "in", "category"), ("item", "has", "view"). Ids
    are the published integers, from 0, which number users and items by popularity, most ratings
    first; so nodes stand in the order of a hash of their ids. Edges keep the file's order. Lineage
    is "row", but unknown for views: what they stand for is not said, and by their name they come
    from behaviour. The fixed split beside it: `lightgcn_split(folder, amazon_hin(folder), ("user",
    "rates", "item"))`.
    Official address:
    https://github.com/librahu/HIN-Datasets-for-Recommendation-and-Network-Embedding (Amazon)
    """
    return _graph(require(folder, list(_AMAZON), ADDRESS), _AMAZON, unknown=("item", "has", "view"))


def yelp_hin(folder: Any) -> HIN:
    """Yelp: 16,239 users, 14,284 businesses, 198,397 ratings; 158,590 friend rows, 11 compliments,
    47 cities, 511 categories.

    folder: holds user_business.dat, user_user.dat, user_compliment.dat, business_city.dat,
        business_category.dat (tabs).
    Types: user, business, compliment, city, category; ("user", "rates", "business") with rating 1-5
    (no time), ("user", "friend", "user") with a row in each direction, ("user", "received",
    "compliment"), ("business", "in", "city"), ("business", "has", "category"). The third column of
    all but the ratings is always 1 and left out. Ids are the published integers, from 1; nodes
    stand in the order of a hash of their ids, edges in the file's. Lineage is "row", but unknown
    for compliments: others give them for what a user wrote. The fixed split beside it counts from
    0: `lightgcn_split(folder, yelp_hin(folder), ("user", "rates", "business"), first_id=1)`.
    Official address:
    https://github.com/librahu/HIN-Datasets-for-Recommendation-and-Network-Embedding (Yelp)
    """
    return _graph(
        require(folder, list(_YELP), ADDRESS), _YELP, unknown=("user", "received", "compliment")
    )


def _graph(path: Path, files: dict[str, tuple[EdgeType, str]], unknown: EdgeType) -> HIN:
    edges = {type: _read(path / name, type, delimiter) for name, (type, delimiter) in files.items()}
    ends: dict[str, list[Any]] = {}
    for (src, _, dst), table in edges.items():
        ends.setdefault(src, []).append(table["src"])
        ends.setdefault(dst, []).append(table["dst"])
    nodes = {
        t: pa.table({"id": np.unique(np.concatenate([c.to_numpy() for c in columns]))})
        for t, columns in ends.items()
    }
    return graph(nodes, edges, {type: "row" for type in edges if type != unknown})


def _read(file: Path, type: EdgeType, delimiter: str) -> pa.Table:
    """An edge table; of ratings the third column and, where there is one, the fourth."""
    with open(file, "rb") as stream:
        width = stream.readline().count(delimiter.encode()) + 1
    names = ["src", "dst", "rating", "time"][:width]
    if width not in (2, 3, 4):
        raise ParameterError(
            f"{file}: expected 2 to 4 fields between {delimiter!r} in a line, found {width}"
        )
    kinds = {"src": _INT, "dst": _INT, "rating": pa.float32(), "time": _INT}
    table = read_delimited(
        file, name=file, delimiter=delimiter, columns=names, types=kinds, quote=False
    )
    empty = [n for n in names if table[n].null_count]
    if empty:
        raise ParameterError(
            f"{file}: an empty field {empty[0]} in line "
            f"{pc.index(pc.is_null(table[empty[0]]), True).as_py() + 1}"
        )
    if type[1] != "rates":
        table = table.select(["src", "dst"])
    return table
