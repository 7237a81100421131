"""Last.fm of HetRec 2011: users listen to artists, tag them, and have friends.

Source: I. Cantador, P. Brusilovsky and T. Kuflik, "2nd Workshop on Information Heterogeneity and
Fusion in Recommender Systems (HetRec 2011)", RecSys 2011; data from Last.fm. Terms: non-commercial
use; cite the workshop and Last.fm.
"""

from __future__ import annotations

import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hinaug.datasets.files import graph, numbered, require
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
from hinaug.io.delimited import read_delimited

LISTENS = ("user", "listens", "artist")
FRIEND = ("user", "friend", "user")
WROTE = ("user", "wrote", "tagging")
ABOUT = ("tagging", "about", "artist")
USES = ("tagging", "uses", "tag")
ADDRESS = "https://files.grouplens.org/datasets/hetrec2011/hetrec2011-lastfm-2k.zip"
_FILES = [
    "artists.dat",
    "tags.dat",
    "user_artists.dat",
    "user_friends.dat",
    "user_taggedartists.dat",
]
_INT = pa.int64()


def hetrec_lastfm(folder: Any) -> HIN:
    """HetRec Last.fm: 1,892 users, 17,632 artists, 92,834 listening counts, 11,946 tags, 186,479
    tag assignments.

    folder: the unpacked archive (artists.dat, tags.dat, user_artists.dat, user_friends.dat,
        user_taggedartists.dat).
    Types: user; artist (name); tag (text); ("user", "listens", "artist") with weight, how often the
    user played the artist; ("user", "friend", "user"), 25,434 rows, one in each direction of a
    friendship. Each act of tagging is an evidence node "tagging" (text, the tag's; time, the day in
    seconds) with ("user", "wrote", "tagging"), ("tagging", "about", "artist") and ("tagging",
    "uses", "tag"): a split can take it away with the listening that it reveals. Ids are the
    published integers; a tagging is called "user:artist:n". Nodes stand in the order of a hash of
    their ids, edges in the file's. All lineage is "row".

    Oddities: 1,538 taggings are of 390 artists that the list does not have; they stay without an
    artist. Five taggings are dated 1956 to 1979, before the site was; their time is null. Listening
    has no time.
    Official address: https://files.grouplens.org/datasets/hetrec2011/hetrec2011-lastfm-2k.zip
    """
    path = require(folder, _FILES, ADDRESS)

    def read(file_name: str, **types: pa.DataType) -> pa.Table:
        file = path / file_name
        table = read_delimited(file, name=file, delimiter="\t", quote=False, types=types)
        missing = [c for c in types if c not in table.column_names]
        if missing:
            raise ParameterError(f"{file}: no column {missing[0]!r}; there is {table.column_names}")
        return table.select(list(types))

    text = pa.string()
    artists = read("artists.dat", id=_INT, name=text)
    tags = read("tags.dat", tagID=_INT, tagValue=text).rename_columns(["id", "text"])
    heard = read("user_artists.dat", userID=_INT, artistID=_INT, weight=_INT).rename_columns(
        ["src", "dst", "weight"]
    )
    friends = read("user_friends.dat", userID=_INT, friendID=_INT).rename_columns(["src", "dst"])
    fields = ("userID", "artistID", "tagID", "day", "month", "year")
    acts = read("user_taggedartists.dat", **dict.fromkeys(fields, _INT))
    named = (heard["src"], friends["src"], friends["dst"], acts["userID"])
    users = pc.unique(pa.chunked_array([c for column in named for c in column.chunks], _INT))
    more_nodes, more_edges = _taggings(acts, artists["id"], tags)
    nodes = {"user": pa.table({"id": users}), "artist": artists, "tag": tags}
    edges = {LISTENS: heard, FRIEND: friends}
    return graph(nodes | more_nodes, edges | more_edges, "row")


def _taggings(
    acts: pa.Table, artists: Any, tags: pa.Table
) -> tuple[dict[str, pa.Table], dict[EdgeType, pa.Table]]:
    days = zip(*(acts[c].to_pylist() for c in ("year", "month", "day")), strict=True)
    acts = acts.append_column("time", pa.array([_seconds(*day) for day in days], _INT))
    ends = ("userID", "artistID")
    number = numbered(acts, ends, ("time", "tagID"))
    rows = zip(*(acts[end].to_pylist() for end in ends), number, strict=True)
    own = pa.array([f"{user}:{artist}:{n}" for user, artist, n in rows], pa.string())
    words = tags["text"].take(pc.index_in(acts["tagID"], value_set=tags["id"]))
    about = pa.table({"src": own, "dst": acts["artistID"]}).filter(
        pc.is_in(acts["artistID"], value_set=artists)
    )
    nodes = {"tagging": pa.table({"id": own, "text": words, "time": acts["time"]})}
    return nodes, {
        WROTE: pa.table({"src": acts["userID"], "dst": own}),
        ABOUT: about,
        USES: pa.table({"src": own, "dst": acts["tagID"]}),
    }


def _seconds(year: int, month: int, day: int) -> int | None:
    """Midnight UTC; None for a year before the site was there (2002)."""
    if year < 2002:
        return None
    return int(datetime.datetime(year, month, day, tzinfo=datetime.UTC).timestamp())
