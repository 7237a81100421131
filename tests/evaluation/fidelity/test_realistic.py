"""What is planted is found: nodes of the same distribution score at the ceiling, and each kind of
damage lowers its property and not its neighbours.
"""

import numpy as np
import pyarrow as pa
import pytest
from entities_world import World, replaced

from hinaug.evaluation.fidelity import fidelity
from hinaug.evaluation.fidelity.judge import View, _columns, _covered, _links, _told_apart
from hinaug.evaluation.fidelity.tree import Property
from hinaug.evaluation.sample import real_and_made

RATED, FOLLOWING, FOLLOWED = (
    "user rates item",
    "user follows user, out",
    "user follows user, in",
)


@pytest.fixture(scope="module")
def world():
    return World()


def judged(world, delta, *parts):
    """The properties of some parts of the report, as one tree."""
    view = View(*real_and_made(world.hin, delta, "user", "test"), None, np.random.default_rng(0))
    return Property("", parts=tuple(p for part in parts for p in part(view)))


def fall(tree, path):
    """How far a property is below its ceiling."""
    return tree[path].ceiling - tree[path].score


@pytest.fixture(scope="module")
def same(world):
    return fidelity(world.hin, world.delta(), "user", rng=0)


def test_the_same_distribution_scores_at_the_ceiling(same):
    for name in ("columns", "links", "told apart", "modes covered"):
        assert fall(same, f"realistic/{name}") < 0.06, name
    leaves = [p for _, p in same["realistic"].walk() if not p.parts and p.score is not None]
    assert len(leaves) > 40
    assert np.mean([p.ceiling - p.score for p in leaves]) < 0.03
    for name in ("columns", "links", "joint"):
        assert abs(same[f"realistic/told apart/{name}"].figure - 0.5) < 0.09


@pytest.mark.parametrize("column", ["income", "job", "joined"])
def test_another_margin(world, column):
    users = world.users
    if column == "income":
        values = [None if v is None else 2 * v for v in users["income"].to_pylist()]
    elif column == "job":
        values = [None if v is None else users["job"][0].as_py() for v in users["job"].to_pylist()]
    else:
        days = users["joined"].cast(pa.int32()).to_pylist()
        values = pa.array([None if v is None else v + 200 for v in days], pa.int32()).cast("date32")
    tree = judged(world, world.delta(replaced(users, column, values)), _columns)
    assert fall(tree, f"marginals/{column}") > 0.15
    others = [p for p in tree["marginals"].parts if p.name != column]
    assert max(p.ceiling - p.score for p in others) < 0.06
    if column == "income":  # dependence does not follow from the margin
        assert fall(tree, "pairs/level, job") < 0.05


def test_columns_that_do_not_go_together(world):
    rng = np.random.default_rng(0)
    there = world.users["job"].is_valid().to_numpy()
    jobs = np.array(world.users["job"].to_pylist(), object)
    jobs[there] = rng.permutation(jobs[there])
    tree = judged(world, world.delta(replaced(world.users, "job", jobs)), _columns)
    assert fall(tree, "marginals") < 0.03
    assert fall(tree, "missing") < 0.03
    assert fall(tree, "pairs/job, joined") > 0.2
    assert fall(tree, "pairs/income, level") < 0.06
    assert tree["pairs/job, joined"].score < tree["pairs/job, joined"].floor + 0.1


def test_columns_that_do_not_go_with_the_links(world):
    order = np.random.default_rng(0).permutation(world.users.num_rows)
    moved = world.users.take(pa.array(order)).set_column(0, "id", world.users["id"])
    tree = judged(world, world.delta(moved), _columns)
    for name in ("marginals", "pairs", "missing"):
        assert fall(tree, name) < 0.04, name
    assert fall(tree, f"given links/job, {RATED}") > 0.3


def test_values_that_are_missing_elsewhere(world):
    more = np.random.default_rng(0).random(world.users.num_rows) < 0.3
    levels = np.array(world.users["level"].to_pylist(), object)
    tree = judged(
        world, world.delta(replaced(world.users, "level", np.where(more, None, levels))), _columns
    )
    assert fall(tree, "missing/level") > 0.2
    assert tree["missing/level"].figure > 0.2
    assert fall(tree, "missing/job") < 0.05
    assert fall(tree, "marginals") < 0.03
    assert fall(tree, "pairs") < 0.04
    # as often as before, but for anybody: the share is right, and the groups are not
    rng = np.random.default_rng(1)
    income = np.array(world.users["income"].to_pylist(), object)
    there = income[[v is not None for v in income]]
    spread = np.where(rng.permutation([v is None for v in income]), None, rng.choice(there, 500))
    tree = judged(world, world.delta(replaced(world.users, "income", spread)), _columns)
    assert fall(tree, "missing/income") > 0.05


def test_fewer_links(world):
    keep = np.random.default_rng(0).random(world.rates.num_rows) < 0.5
    tree = judged(world, world.delta(rates=world.rates.filter(pa.array(keep))), _links)
    assert fall(tree, f"degree/{RATED}") > 0.3
    assert fall(tree, f"degree/{FOLLOWING}") < 0.06
    assert fall(tree, f"popularity/{RATED}") < 0.06
    assert fall(tree, f"across relations/{RATED}, {FOLLOWING}") < 0.25


def test_other_items_of_the_same_topic(world):
    """Popularity goes, and the rest stays."""
    rng, items = np.random.default_rng(0), np.array(world.hin.ids("item").to_pylist(), object)
    at = world.hin.positions("item", world.rates["dst"])
    place = np.arange(len(items))
    for topic in np.unique(world.item_topic):
        own = np.flatnonzero(world.item_topic == topic)
        place[own] = rng.permutation(own)
    moved = replaced(world.rates, "dst", items[place[at]].tolist())
    tree = judged(world, world.delta(rates=moved), _links)
    assert fall(tree, f"popularity/{RATED}") > 0.2
    assert fall(tree, f"degree/{RATED}") < 0.06
    assert fall(tree, f"popularity/{FOLLOWING}") < 0.08


def test_links_that_do_not_go_together(world):
    dst = np.random.default_rng(0).permutation(world.rates["dst"].to_pylist())
    moved = replaced(world.rates, "dst", dst.tolist())
    first = moved.group_by(["src", "dst"]).aggregate([("rating", "min"), ("time", "min")])
    tree = judged(world, world.delta(rates=first.rename_columns(moved.column_names)), _links)
    assert tree[f"coherence/{RATED}"].score < 0.2
    assert fall(tree, f"coherence/{RATED}") > 0.6
    assert fall(tree, f"popularity/{RATED}") < 0.06
    assert fall(tree, "metapaths/user rates item, item by brand/focus") > 0.1


def test_relations_shuffled_independently_are_seen_across_relations_alone(world):
    """Each relation by itself is as before, so what looks at one at a time is blind."""
    ids = world.users["id"].to_pylist()
    order = np.random.default_rng(0).permutation(len(ids))
    another = dict(zip(ids, [ids[i] for i in order], strict=True))
    moved = world.follows
    for end in ("src", "dst"):
        moved = replaced(moved, end, [another.get(i, i) for i in moved[end].to_pylist()])
    tree = judged(world, world.delta(follows=moved), _links, _told_apart)
    across = f"across relations/{RATED}, {FOLLOWING}"
    assert tree[across].score < 0.25
    assert fall(tree, across) > 0.6
    for name in ("degree", "popularity", "clustering", "assortativity"):
        assert fall(tree, name) < 0.05, name
    assert fall(tree, f"coherence/{FOLLOWING}") < 0.25


def test_ratings_of_links(world):
    lower = [max(1, v - 1) for v in world.rates["rating"].to_pylist()]
    tree = judged(world, world.delta(rates=replaced(world.rates, "rating", lower)), _links)
    assert fall(tree, f"columns/{RATED}: rating") > 0.15
    assert fall(tree, f"columns/{RATED}: time") < 0.06


def test_one_kind_of_user_alone_leaves_modes_uncovered(world):
    one = set(world.users["id"].filter(pa.array(world.user_topic == 1)).to_pylist())

    def kept(table):
        ends = [table[c].to_pylist() for c in ("id", "src", "dst") if c in table.column_names]
        return np.array([any(i in one for i in row) for row in zip(*ends, strict=True)])

    tree = judged(world, world.delta().select(kept), lambda view: [_covered(view)])
    assert tree["modes covered"].score < 0.6
    assert fall(tree, "modes covered") > 0.2


def test_a_column_that_is_never_written_does_not_say_all(world):
    """It scores 0 by itself, and is left out where a classifier would see nothing else."""
    unwritten = replaced(world.users, "job", [None] * world.users.num_rows)
    tree = judged(world, world.delta(unwritten), _columns, _told_apart)
    assert tree["marginals/job"].score == 0
    joint = tree["joint"]
    assert "job" in joint.says
    assert abs(joint.figure - 0.5) < 0.1


def test_nodes_without_links(world):
    """Every measure of links says so, and none raises."""
    tree = judged(world, world.delta(rates=world.rates.slice(0, 0)), _links, _told_apart)
    for name in ("degree", "popularity", "coherence", "clustering", "assortativity"):
        assert tree[f"{name}/{RATED}"].score < 0.1, name
    assert tree["links"].score < 0.1  # the classifier's
