"""Generated users and items."""

from __future__ import annotations

from pages.tables import Row, as_it_is, averages, rows

HEAD = """# Generated users and items

`entities.py` prints these rows; its head says what each part does. Means over seeds. *test* is
NDCG@20 of EASE, *w* the confidence of generated rows chosen on valid, *change* that against no
generated users on the same seeds, *auc* that of a classifier that tells generated nodes from real
ones (.5 is best), *s* CPU seconds.

The last tables are of `tables.py`: SDMetrics' column shapes and pair trends (1 is best), on which
share of these a generator is not below CTGAN, and its time as a share of CTGAN's.
"""
PARTS = {
    "thin": "MovieLens 100K, a fifth of the links, one or six generated users a real one",
    "adversarial": "The same with one a user: trained on against a critic, by rewards, and controls",
    "adversarial, ml-latest-small": "The same on the small MovieLens",
    "instruments": "Musical Instruments, one or six generated users a real one",
    "near": "Users with one to five links: five neighbours for each",
    "planted": "A planted world of five kinds of columns",
    "items": "Items of amazon-hin",
    "light": "A tuned LightGCN on all of MovieLens 100K, one generated user a real one",
    "scale": "100,000 users and 20,000 items",
    "columns of ml-100k": "Age, gender and occupation, MovieLens 100K",
    "columns of recipe-reviews": "Reputation, stars, votes and replies, recipe reviews",
}


def with_change(found: list[Row]) -> list[Row]:
    """Means over seeds, with the change against no generated users on the same seeds."""
    none = {row["seed"]: row["test"] for row in found if row["name"] == "none"}
    made = averages(found, by="name")
    for mean in made if none else []:
        seeds = [row["seed"] for row in found if row["name"] == mean["name"]]
        base = sum(none[seed] for seed in seeds) / len(seeds)
        mean["change"] = f"{100 * (mean['test'] / base - 1):+.1f} %"
    return made


def page() -> str:
    """The whole page."""
    found = rows("entities")
    parts = [HEAD]
    for part, title in PARTS.items():
        few = with_change([row for row in found if row["section"] == part])
        if few:
            parts += [f"## {title}\n", as_it_is(few, without=["seed", "l2", "valid", "chosen"])]
    return "\n".join(parts)
