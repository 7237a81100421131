"""Links that a writer chooses, and reviews that it writes of links."""

import re

import numpy as np
import pyarrow as pa
import pytest
from raising import raises

from hinaug.datasets.planted import ABOUT, RATES, WROTE, planted
from hinaug.errors import ParameterError, SchemaError, UnknownNameError
from hinaug.generators.relations import RelationGenerator, WrittenRelation, WrittenReviews
from hinaug.graph.pairs import PairIndex
from hinaug.predictors import EASE


@pytest.fixture(scope="module")
def hin():
    titled = planted(60, 40, rng=1)
    return titled.with_column("item", "title", [f"title {i} end" for i in range(40)], lineage="row")


def says(answer):
    return lambda prompts: [answer] * len(prompts)


def made(hin, writer, size=None, condition=None, **options):
    chooser = WrittenRelation(EASE(RATES), writer, name="title", **options).fit(hin, rng=0)
    return chooser.generate(hin, size, condition=condition, rng=0), chooser.tally


def best(hin, k):
    """The k best unobserved items of each user by EASE, highest first."""
    scores = EASE(RATES).fit(hin, rng=0).score(hin, np.arange(hin.n("user"))).astype(float)
    scores[hin.adjacency(RATES).nonzero()] = -np.inf
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def test_numbers_choose_in_the_order_of_the_predictor(hin):
    delta, tally = made(hin, says("3. like the others\n1) next\n3 again\n2"), per_source=2)
    rows = delta.edges[RATES]
    users = hin.positions("user", rows["src"])
    expected = best(hin, 3)[users]
    items = hin.positions("item", rows["dst"]).reshape(-1, 2)
    np.testing.assert_array_equal(items[:, 0], expected[::2, 2])
    np.testing.assert_array_equal(items[:, 1], expected[::2, 0])
    assert rows["reason"].to_pylist()[:2] == ["like the others", "next"]
    assert tally.accepted == 120
    assert tally.why == {"more than was asked for": 120}


def test_targets_without_a_name_are_not_offered(hin):
    titles = [None, "", "  ", *[f"title {i} end" for i in range(3, 40)]]
    some = hin.with_column("item", "title", titles, lineage="row")
    prompts = []
    delta, _ = made(some, lambda ps: prompts.extend(ps) or ["1"] * len(ps), candidates=39)
    assert len(delta)
    offered = [re.findall(r"^\d+\. (.*)$", prompt, re.MULTILINE) for prompt in prompts]
    assert all(names and all(name.startswith("title ") for name in names) for names in offered)
    for none in ([None] * 40, [" "] * 40):
        bare = hin.with_column("item", "title", pa.array(none, pa.string()))
        with raises(SchemaError, asked="title"):
            made(bare, says("1"))


def test_new_pairs_only_and_names_work_too(hin):
    names = hin.column("item", "title").to_pylist()
    delta, tally = made(hin, lambda ps: [f"{names[0]} | known" for _ in ps])
    rows = delta.edges[RATES]
    assert set(rows["dst"].to_pylist()) == {hin.ids("item")[0].as_py()}
    assert tally.repaired == tally.accepted == rows.num_rows
    assert tally.refused == 60 - rows.num_rows > 0
    known = PairIndex.of(hin, RATES)
    src, dst = hin.positions("user", rows["src"]), hin.positions("item", rows["dst"])
    assert not known.contains(src, dst).any()


@pytest.mark.parametrize("answer", ["0", "21", "999999", "-", "", "title 7000 end", "none of them"])
def test_answers_outside_of_the_list_are_refused(hin, answer):
    delta, tally = made(hin, says(answer))
    assert len(delta) == 0
    assert tally.refused == 60


class Weigher:
    """Likes long prompts and the last word of the list that stands in the history."""

    def __init__(self):
        self.asked = []

    def __call__(self, prompts):
        self.asked += prompts
        return ["because"] * len(prompts)

    def likelihoods(self, prompts, choices):
        return np.array(
            [
                [
                    5.0 * (name == names[0]) + 3.0 * (name == names[2] and "(nothing)" not in p)
                    for name in names
                ]
                for p, names in zip(prompts, choices, strict=True)
            ]
        )


def test_likelihoods_count_beyond_what_the_names_have_alone(hin):
    writer = Weigher()
    delta, _ = made(hin, writer, candidates=4)
    rows = delta.edges[RATES]
    items, users = hin.positions("item", rows["dst"]), hin.positions("user", rows["src"])
    np.testing.assert_array_equal(items, best(hin, 4)[users, 2])
    share = np.exp(3.0) / (np.exp(3.0) + 3)
    np.testing.assert_allclose(rows["confidence"].to_numpy(), share, rtol=1e-5)
    assert rows["reason"].to_pylist() == ["because"] * 60
    no_reasons, _ = made(hin, Weigher(), candidates=4, reasons=False)
    assert "reason" not in no_reasons.edges[RATES].column_names
    by_text, _ = made(hin, Weigher(), by="text")
    assert len(by_text) == 0


def test_size_condition_and_controls(hin):
    assert made(hin, says("1"), size=7)[0].edges[RATES].num_rows == 7
    assert len(made(hin, says("1"), size=0)[0]) == 0
    ids = hin.ids("user")[3:5]
    rows = made(hin, says("1"), condition=ids)[0].edges[RATES]
    assert rows["src"].to_pylist() == ids.to_pylist()
    seen = {}
    for control in (None, "shuffled", "none"):
        spy = []
        made(hin, lambda ps, spy=spy: spy.extend(ps) or ["1"] * len(ps), control=control)
        seen[control] = [p.partition("Candidates")[0] for p in spy]
    assert sorted(seen["shuffled"]) == sorted(seen[None])
    assert seen["shuffled"] != seen[None]
    assert len(set(seen["none"])) == 1


def test_reviews_of_generated_links(hin):
    links = RelationGenerator(EASE(RATES)).fit(hin, rng=0).generate(hin, 12, rng=0)
    reviews = WrittenReviews(
        RATES, says("Sure, here is one: It is fine."), wrote=WROTE, about=ABOUT,
        source_reads=["job"], target_reads=["title"], target_about=[("review", "text")],
    ).fit(hin)  # fmt: skip
    delta = reviews.generate(hin, condition=links)
    n = links.edges[RATES].num_rows
    assert delta.nodes["review"]["text"].to_pylist() == ["It is fine."] * n
    assert delta.edges[WROTE]["src"].to_pylist() == links.edges[RATES]["src"].to_pylist()
    assert delta.edges[ABOUT]["dst"].to_pylist() == links.edges[RATES]["dst"].to_pylist()
    both = hin + links + delta
    assert both.n("review") == hin.n("review") + n
    assert (both - delta).equals(hin + links)
    assert reviews.generate(hin, 3, condition=links).nodes["review"].num_rows == 3
    again = reviews.generate(hin + delta, 3, condition=links)
    assert (hin + delta + again).n("review") == hin.n("review") + n + 3
    for wrong in (None, {"src": ["a"]}, 7):
        with pytest.raises(ParameterError):
            reviews.generate(hin, condition=wrong)
    with pytest.raises(UnknownNameError):
        reviews.generate(hin, condition=delta)
    with pytest.raises(ParameterError):
        WrittenReviews(RATES, says(""), wrote=ABOUT, about=WROTE).fit(hin)


def test_reviews_that_are_declined_are_left_out(hin):
    links = {"src": hin.ids("user")[:2], "dst": hin.ids("item")[:2]}
    reviews = WrittenReviews(RATES, says("I cannot."), wrote=WROTE, about=ABOUT).fit(hin)
    assert len(reviews.generate(hin, condition=links)) == 0
    assert reviews.tally.refused == 2
