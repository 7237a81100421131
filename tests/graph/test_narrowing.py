"""Some of the new nodes of a delta: with what goes with them, and a word on what was narrowed."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from raising import raises

from hinaug.errors import NarrowedWarning, ParameterError, UnknownNameError
from hinaug.graph.delta import Delta
from hinaug.graph.narrowing import topics_of

RATES, WROTE = ("user", "rates", "item"), ("user", "wrote", "review")
ABOUT = ("review", "about", "item")


def delta_of(links, confidence, reviewed=()):
    """Users with links [k, m], a confidence each, and a review of the first link of some."""
    users = [f"u{i}" for i in range(len(links))]
    src, dst = np.nonzero(links)
    rates = {"src": [users[u] for u in src], "dst": [f"i{i}" for i in dst]}
    reviews = {"id": [f"r{u}" for u in reviewed]}
    ends = [[users[u] for u in reviewed], reviews["id"]]
    about = [f"i{np.flatnonzero(links[u])[0]}" for u in reviewed]
    nodes = {"user": {"id": users, "confidence": np.asarray(confidence, np.float32)}}
    edges = {RATES: rates}
    if len(reviewed):
        nodes["review"] = reviews
        edges[WROTE] = {"src": ends[0], "dst": ends[1]}
        edges[ABOUT] = {"src": reviews["id"], "dst": about}
    return Delta(nodes, edges, origin="test")


def test_the_top_nodes_come_with_their_links_and_records():
    links = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]])
    delta = delta_of(links, [0.1, 0.9, 0.5, 0.9], reviewed=[0, 1, 3])
    kept = delta.top(2, node="user")
    assert kept.nodes["user"]["id"].to_pylist() == ["u1", "u3"]
    assert kept.nodes["review"]["id"].to_pylist() == ["r1", "r3"]
    assert kept.edges[RATES]["src"].to_pylist() == ["u1", "u1", "u3", "u3"]
    assert kept.edges[ABOUT]["src"].to_pylist() == ["r1", "r3"]
    assert delta.top(9, node="user") == delta
    assert len(delta.top(0, node="user")) == 0


def test_what_a_kept_node_links_to_by_another_relation_stays():
    nodes = {
        "user": {"id": ["u0", "u1"], "confidence": np.array([0.9, 0.1], np.float32)},
        "review": {"id": ["r0", "r1"]},
    }
    likes = ("user", "likes", "review")
    edges = {
        WROTE: {"src": ["u1", "u1"], "dst": ["r0", "r1"]},
        likes: {"src": ["u0"], "dst": ["r0"]},
    }
    for some in (edges, dict(reversed(edges.items()))):
        kept = Delta(nodes, some, origin="test").top(1, node="user")
        assert kept.nodes["review"]["id"].to_pylist() == ["r0"]
        assert kept.edges[likes]["src"].to_pylist() == ["u0"]


def two_topics(rng):
    """200 nodes of ten links each, of the first ten targets or of the others."""
    topic = np.arange(200) % 2
    links = np.zeros((200, 30))
    for u, t in enumerate(topic):
        links[u, 15 * t + rng.permutation(15)[:10]] = 1
    return links, topic


def test_topics_are_found():
    links, _ = two_topics(np.random.default_rng(0))
    label = topics_of(sp.csr_array(links))
    assert not set(label[:15]) & set(label[15:])


def test_what_was_narrowed_is_said():
    rng = np.random.default_rng(0)
    links, topic = two_topics(rng)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        delta_of(links, rng.random(200)).top(100, node="user")
    with pytest.warns(NarrowedWarning, match="entropy of topics"):
        delta_of(links, np.where(topic == 0, 0.9, 0.1)).top(100, node="user")
    few = links.copy()
    few[:100] *= rng.random((100, 30)) < 0.7
    with pytest.warns(NarrowedWarning, match="mean degree") as told:
        delta_of(few, np.where(np.arange(200) < 100, 0.9, 0.1)).top(100, node="user")
    assert [one.filename for one in told] == [__file__]


def test_nodes_without_shared_targets_are_chosen_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept = delta_of(np.eye(3), [0.1, 0.9, 0.5]).top(1, node="user")
        assert kept.nodes["user"]["id"].to_pylist() == ["u1"]
        bare = Delta({"user": {"id": ["a", "b"]}}, origin="test")
        assert bare.top(1, node="user").nodes["user"]["id"].to_pylist() == ["a"]


def test_the_same_targets_for_all_are_one_topic():
    assert set(topics_of(sp.csr_array(np.ones((4, 3))))) == {0}


def test_what_cannot_be_chosen():
    delta = delta_of(np.ones((2, 2)), [0.5, 0.5])
    with raises(UnknownNameError, asked="item", there=["user"]):
        delta.top(1, node="item")
    with raises(ParameterError, asked=("src", "user")):
        delta.top(1, "src", node="user")
    with raises(ParameterError, asked=(-1, None)):
        delta.top(-1, node="user")
