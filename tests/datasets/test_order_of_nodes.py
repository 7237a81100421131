"""Every reader: the order of nodes says nothing of the file or the ids, and is always the same."""

import json

import numpy as np
import pytest
from dataset_rows import linked
from scipy.stats import spearmanr

from hinaug import datasets

N = 60  # users and items, numbered by popularity as some publishers do: item k has N - k users
PAIRS = [(user, item) for item in range(1, N) for user in range(1, N - item + 1)]
GENRES = "|".join(["1"] + ["0"] * 18)


def lines(folder, name, rows, header=None):
    text = [header] if header else []
    (folder / name).write_text("\n".join([*text, *rows]) + "\n", "utf-8")


def movielens_100k(folder, pairs):
    lines(folder, "u.data", [f"{u}\t{i}\t4\t{u}" for u, i in pairs])
    lines(folder, "u.user", [f"{u}|20|F|other|1" for u in dict.fromkeys(u for u, _ in pairs)])
    items = dict.fromkeys(i for _, i in pairs)
    lines(folder, "u.item", [f"{i}|A (1990)|01-Jan-1990||x|{GENRES}" for i in items])


def movielens_latest_small(folder, pairs):
    ratings = [f"{u},{i},4.0,{u}" for u, i in pairs]
    lines(folder, "ratings.csv", ratings, "userId,movieId,rating,timestamp")
    movies = [f"{i},A (1990),Drama" for i in dict.fromkeys(i for _, i in pairs)]
    lines(folder, "movies.csv", movies, "movieId,title,genres")
    tags = [f"{u},{i},tag {i},1" for u, i in pairs]
    lines(folder, "tags.csv", tags, "userId,movieId,tag,timestamp")


def hetrec_lastfm(folder, pairs):
    items = dict.fromkeys(i for _, i in pairs)
    lines(folder, "artists.dat", [f"{i}\tA\tu\tp" for i in items], "id\tname\turl\tpictureURL")
    lines(folder, "tags.dat", [f"{i}\tt{i}" for i in items], "tagID\ttagValue")
    heard = [f"{u}\t{i}\t1" for u, i in pairs]
    lines(folder, "user_artists.dat", heard, "userID\tartistID\tweight")
    lines(folder, "user_friends.dat", ["1\t2", "2\t1"], "userID\tfriendID")
    tags = [f"{u}\t{i}\t{i}\t1\t1\t2010" for u, i in pairs]
    header = "userID\tartistID\ttagID\tday\tmonth\tyear"
    lines(folder, "user_taggedartists.dat", tags, header)


def amazon_hin(folder, pairs):
    lines(folder, "user_item.dat", [f"{u}\t{i}\t5\t{u}" for u, i in pairs])
    items = dict.fromkeys(i for _, i in pairs)
    for name in ("brand", "category", "view"):
        lines(folder, f"item_{name}.dat", [f"{i},{i}" for i in items])


def yelp_hin(folder, pairs):
    lines(folder, "user_business.dat", [f"{u}\t{i}\t5" for u, i in pairs])
    users, items = (dict.fromkeys(side) for side in zip(*pairs, strict=True))
    lines(folder, "user_user.dat", ["1\t2\t1", "2\t1\t1"])
    lines(folder, "user_compliment.dat", [f"{u}\t{u}\t1" for u in users])
    for name in ("city", "category"):
        lines(folder, f"business_{name}.dat", [f"{i}\t{i}\t1" for i in items])


def recbole_atomic(folder, pairs):
    header = "user_id:token\titem_id:token\ttimestamp:float"
    lines(folder, "d.inter", [f"{u}\t{i}\t{u}" for u, i in pairs], header)
    items = dict.fromkeys(i for _, i in pairs)
    lines(folder, "d.link", [f"{i}\te{i}" for i in items], "item_id:token\tentity_id:token")
    header = "head_id:token\trelation_id:token\ttail_id:token"
    lines(folder, "d.kg", [f"e{i}\tlike\te{i}" for i in items], header)


def recipe_reviews(folder, pairs):
    header = "recipe_code,recipe_name,comment_id,user_id,text,stars,thumbs_up,thumbs_down,"
    header += "reply_count,user_reputation,created_at"
    rows = [f"{i},A,c{u}-{i},{u},text,5,0,0,0,1,1" for u, i in pairs]
    lines(folder, "recipe.csv", rows, header)


def amazon_reviews(folder, pairs):
    rows = [json.dumps({"reviewerID": f"{u}", "asin": f"{i}", "overall": 5}) for u, i in pairs]
    lines(folder, "reviews.json", rows)
    items = dict.fromkeys(i for _, i in pairs)
    about = [json.dumps({"asin": f"{i}", "brand": f"b{i}", "category": [f"c{i}"]}) for i in items]
    lines(folder, "meta_reviews.json", about)


def lightgcn_split(folder, pairs):
    lines(folder, "train.txt", [f"{u} {i}" for u, i in pairs])
    lines(folder, "test.txt", [])


WRITERS = (
    amazon_hin,
    amazon_reviews,
    hetrec_lastfm,
    lightgcn_split,
    movielens_100k,
    movielens_latest_small,
    recbole_atomic,
    recipe_reviews,
    yelp_hin,
)
OTHERS = {
    "bag_of_words",
    "find",
    "load",
    "planted",
    "planted_mixed",
}  # public names that read no file
ELSEWHERE = {"hpo", "hpo_version"}  # no users and items: see test_hpo.py
MORE = {
    "amazon_reviews": lambda folder: {"metadata": folder / "meta_reviews.json"},
    "movielens_latest_small": lambda _: {"tag_nodes": True},
}


def read(writer, folder, pairs):
    folder.mkdir()
    writer(folder, pairs)
    name = writer.__name__
    more = MORE.get(name, lambda _: {})(folder)
    path = folder / "reviews.json" if name == "amazon_reviews" else folder
    out = getattr(datasets, name)(path, **more)
    return out.source if name == "lightgcn_split" else out


def test_every_reader_is_here():
    assert {w.__name__ for w in WRITERS} == set(datasets.__all__) - OTHERS - ELSEWHERE


@pytest.mark.parametrize("writer", WRITERS, ids=lambda w: w.__name__)
def test_nodes_follow_a_hash_and_edges_the_file(tmp_path, writer):
    one = read(writer, tmp_path / "one", PAIRS)
    turned = read(writer, tmp_path / "turned", PAIRS[::-1])
    for type in one.nodes:
        names = one.ids(type).to_pylist()
        assert names == turned.ids(type).to_pylist(), type
        if len(names) >= N - 1:
            numbers = [int("".join(c for c in str(name) if c.isdigit())) for name in names]
            assert abs(spearmanr(numbers, np.arange(len(names))).statistic) < 0.35, type
    target = max((e for e in one.edges if e[0] in ("user", "uid")), key=one.n)
    pairs = [(int(u), int(i)) for u, i in linked(one, target)]
    assert pairs == PAIRS
    assert [(int(u), int(i)) for u, i in linked(turned, target)] == PAIRS[::-1]


def test_positions_say_nothing_of_popularity(tmp_path):
    n = 1_500
    degree = 1 + np.arange(n)[::-1] // 150
    pairs = [(user, item) for item in range(n) for user in range(degree[item])]
    hin = read(amazon_hin, tmp_path / "d", pairs)
    count = np.bincount(hin.links(("user", "rates", "item"))[1], minlength=n)
    assert sorted(count) == sorted(degree)
    assert abs(spearmanr(count, np.arange(n)).statistic) < 0.08  # 3 standard errors
