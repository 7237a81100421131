"""Generated users alone: how well a model does that has seen nobody else, and what they give away.

Half of the users are real, three are generated for each, and the other half judges. Nothing is
tuned, and one split is no verdict.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hinaug.cli.demo.jobs import Job
from hinaug.evaluation import fidelity, membership
from hinaug.generators import JointVAE, SecondMoment
from hinaug.graph import HIN
from hinaug.predictors import EASE
from hinaug.progress import track
from hinaug.report import Log, Table, Text

TIMES = 3.0  # generated users for each real one
SHADOWS = 4  # generators that calibrate the attack
EPOCHS = 40  # of JointVAE, whose own 100 take more time than a demo has


def alone(job: Job, seed: int, log: Log, quick: bool) -> None:
    """Runs the step on one split of the users, and tells what was found."""
    user, _, item = job.relation
    log.section(
        f"Trained on generated {user}s alone",
        f"Generators see half of the {user}s and make {TIMES:g} for each. EASE learns from the "
        f"generated ones alone and ranks {item}s for the other half. An attack tells from them "
        f"who was in the training data. Generated {user}s are not anonymous.",
    )
    hin = job.hin.drop(*job.evidence)
    half = np.random.default_rng(seed).permutation(hin.n(user)) % 2 == 0
    seen, unseen = hin.filter_nodes(user, half), hin.filter_nodes(user, ~half)
    makers = [
        SecondMoment(user, relations=[job.relation]),
        JointVAE(user, relations=[job.relation], epochs=2 if quick else EPOCHS),
    ]
    judged = [
        _judged(maker, seen, unseen, EASE(job.relation), seed)
        for maker in track(makers, f"generators of {user}s")
    ]
    log.add(Text(" ".join(_told(row, user) for row in judged)), _table(judged, user))


def _judged(maker: Any, seen: HIN, unseen: HIN, student: EASE, seed: int) -> dict[str, Any]:
    """What the users of one generator are worth, and what they give away."""
    delta = maker.fit(seen, rng=seed).generate(seen, TIMES, rng=seed)
    found = fidelity(seen, delta, maker.node, held_out=unseen, students=[student], rng=seed)
    use = found["useful/EASE/alone"]
    return {
        "by": maker.origin,
        "made": found.n_made,
        "ndcg": use.figure,
        "share": use.score,
        "control": use.floor,
        "leak": membership(maker, seen, shadows=SHADOWS, rng=seed),
    }


def _told(row: dict[str, Any], user: str) -> str:
    leak = row["leak"]
    return (
        f"EASE on {user}s by {row['by']} alone has {100 * row['share']:.0f} % of its accuracy on "
        f"the real ones (best control {100 * row['control']:.0f} %); the attack tells members from "
        f"others with an AUC of {leak.auc:.2f} ± {1.96 * leak.error:.2f} (.5 tells nothing)."
    )


def _table(judged: list[dict[str, Any]], user: str) -> Table:
    columns = [f"{user}s by", "generated", "NDCG@20", "share of real", "best control"]
    columns += ["membership AUC", "±", "advantage"]
    rows: list[list[Any]] = []
    for row in judged:
        leak = row["leak"]
        use = [row["by"], row["made"], row["ndcg"], row["share"], row["control"]]
        rows.append([*use, leak.auc, 1.96 * leak.error, leak.advantage])
    title = f"EASE on generated {user}s alone, and who was in the training data"
    return Table(title, columns, rows, list(range(len(rows))))
