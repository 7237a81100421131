"""Texts as columns, for new items, said in other words, and written; facts and names in texts."""

from __future__ import annotations

from collections.abc import Iterator

from pages.tables import SPLITS, Row, as_it_is, figure, rows, table

HEAD = """# Texts

`large_models.py`, `large_models_new.py`, `large_models_text.py` and `text_speed.py` print these
rows. NDCG@20. *anew*: the change when the columns are dealt out anew among their owners. A ridge is
searched in each arm among the same values. p is over users and splits, and there is no verdict
below eight splits.
"""
USES = {
    "side column": "In EASE: the mean of a user's texts as columns",
    "prior column": "In EASE: the items' texts as a prior",
}
PARTS = {
    "speed of texts": "Speed of encoding, beside sentence-transformers",
    "paraphrases": "Other words",
    "facts": "Facts in sentences, against labels made by hand",
    "mentions": "Names of the ontology of phenotypes in its own texts",
    "prediction": "Phenotypes of diseases, with and without a leak",
    "categories": "Genres chosen by a model of 135 M parameters",
    "writing": "Writing by a model of 135 M parameters",
}


def change(found: Row) -> str:
    """+13.1 %"""
    return f"{found['%']:+.1f} %"


def verdict(splits: int, found: Row) -> str:
    """What one test says."""
    if splits < SPLITS or found["p"] >= 0.005:
        return "no verdict"
    return "helps" if found["%"] > 0 else "hurts"


def in_ease(found: list[Row]) -> Iterator[list[str]]:
    """The columns of users and items, with their controls."""
    for row in found:
        if row["side"] not in ("profile", "text"):
            continue
        same = ("part", "data", "view", "ridge", "trials", "splits")
        anew = next(
            r for r in found if r["side"] == "permuted" and all(r[k] == row[k] for k in same)
        )
        ridge = "one ridge" if row["ridge"] == "shared" else "a ridge each"
        for part, name in (("train", "train"), ("refit", "train + valid")):
            one = row[part]
            yield [
                row["data"],
                row["view"],
                name,
                figure(one["base"]),
                figure(one["arm"]),
                change(one),
                change(anew[part]),
                f"{one['p']:.2g}",
                verdict(row["splits"], one),
                f"{row['splits']}, {ridge} of {row['trials']}",
            ]


def replaced(found: list[Row]) -> Iterator[list[str]]:
    """Half of the reviews replaced, against the reviews' own texts."""
    for row in found:
        if row["side"] != "own":
            ridge = "one ridge" if row["ridge"] == "shared" else "a ridge each"
            figures = [f"{change(row[p])} (p {row[p]['p']:.2g})" for p in ("train", "refit")]
            yield [row["side"], *figures, f"{row['splits']}, {ridge} of {row['trials']}"]


def of_new_items(found: list[Row]) -> Iterator[list[str]]:
    """Models for new items against the cosine of frozen vectors."""
    for row in found:
        if row["model"] != "cosine":
            figures = [figure(row["base"]), figure(row["NDCG@20"]), change(row)]
            yield [row["data"], row["model"], *figures, f"{row['p']:.2g}", str(row["splits"])]


def page() -> str:
    """The whole page."""
    by_part: dict[str, list[Row]] = {}
    for row in rows("large_models"):
        by_part.setdefault(row["part"], []).append(row)
    head = ["data", "encoder", "fitted on", "no text", "text", "change", "anew", "p", "verdict"]
    parts = [HEAD]
    for part, title in USES.items():
        parts += [f"## {title}\n", table([*head, "splits"], in_ease(by_part[part]))]
    parts += ["## Half of the reviews replaced, Musical Instruments\n"]
    head = ["by", "change, train", "change, train + valid", "splits"]
    parts += [table(head, replaced(by_part["replaced reviews"]))]
    head = ["data", "model", "cosine", "model has", "change", "p", "splits"]
    parts += ["## New items alone\n", table(head, of_new_items(by_part["projection"]))]
    for part, title in PARTS.items():
        parts += [f"## {title}\n", as_it_is(by_part[part], without=["part"])]
    return "\n".join(parts)
