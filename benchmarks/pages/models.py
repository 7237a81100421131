"""Models on published splits."""

from __future__ import annotations

from collections.abc import Iterator

from pages.tables import figure, groups, pair, rows, seconds, table

HEAD = """# Models on published splits

Hyperparameters stand in `../chosen.json`; `published.py` has the protocol at its head.
*published* is the figure of the method's authors. *refit* is fitted on train and valid. CPU seconds
are of both fits. Means of three seeds have their standard deviation in brackets; other rows have one
seed. Rows of ensembles on gowalla, amazon-hin and yelp-hin are of an earlier form, in which members
saw the pairs that the weights were learned from. *Eight* is an ensemble of SLIM, EASE, GFCF, BSPM,
ALS, two LightGCN and XSimGCL. More in the
[note](../notes/2026-11-29-published-splits.md).
"""


def published() -> Iterator[str]:
    """One table a data set of single models and ensembles."""
    for data, found in groups(rows("published")).items():
        head = [f"{data}: {found[0]['measure']}", "test", "published", "refit", "valid", "CPU s"]
        body = [
            [
                row["model"],
                pair(row.get("test"), row.get("sd")),
                pair(row.get("published")),
                pair(row.get("refit"), row.get("refit_sd")),
                figure(row.get("valid")),
                seconds(row.get("cpu_s")),
                row.get("note", ""),
            ]
            for row in found
        ]
        yield f"## {data}\n\n" + table([*head, ""], body)


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *published()])
