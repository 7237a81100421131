"""What the tests of generated nodes share: figures that compare made nodes with real ones."""

import numpy as np
import pyarrow.compute as pc
from scipy import stats

from hinaug.datasets.planted import RATES


def rows(hin, delta, node="user"):
    """Links of the made nodes as a dense 0/1 matrix [n, others], their table and the positions of
    the links.
    """
    mine, other, kind = ("src", "dst", "item") if node == "user" else ("dst", "src", "user")
    table, edges = delta.nodes[node], delta.edges[RATES]
    at = pc.index_in(edges[mine], value_set=table["id"]).to_numpy()
    out = np.zeros((table.num_rows, hin.n(kind)))
    to = hin.positions(kind, edges[other])
    out[at, to] = 1
    assert out.sum() == edges.num_rows  # no pair twice
    return out, table, at, to


def degree_distance(real, made):
    return stats.ks_2samp(real.sum(1), made.sum(1)).statistic


def popularity_correlation(real, made):
    return stats.spearmanr(real.sum(0), made.sum(0)).statistic


def total_variation(real, made):
    values = sorted({*real, *made}, key=str)
    a, b = (np.array([x.count(v) for v in values]) / len(x) for x in (list(real), list(made)))
    return abs(a - b).sum() / 2


def mutual_information(labels, topics):
    """In nats, of two lists of labels."""
    a, b = (np.unique([str(v) for v in x], return_inverse=True)[1] for x in (labels, topics))
    joint = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(joint, (a, b), 1 / len(a))
    outer = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    return float((joint[joint > 0] * np.log(joint[joint > 0] / outer[joint > 0])).sum())


def main_topic(matrix, item_topic):
    return (matrix @ np.eye(item_topic.max() + 1)[item_topic]).argmax(1)


def copies(real, made):
    """Share of the made nodes whose set of links is that of a real node."""
    known = {tuple(np.flatnonzero(r)) for r in real}
    return np.mean([tuple(np.flatnonzero(m)) in known for m in made])


def auc(real, made, seed=0):
    """How well a classifier tells real from made rows (0.5: not at all); the basis is learned on
    other real rows.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import cross_val_predict
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(seed)
    order = rng.permutation(len(real))
    basis, real = real[order[: len(real) // 2]], real[order[len(real) // 2 :]]
    made = made[rng.permutation(len(made))[: len(real)]]
    popular = np.log1p(basis.sum(0))
    unit = basis / np.maximum(np.linalg.norm(basis, axis=0), 1)
    cosine = unit.T @ unit
    np.fill_diagonal(cosine, 0)
    vectors = np.linalg.svd(unit, full_matrices=False)[2][:16].T
    both = np.concatenate([real, made])
    n = np.maximum(both.sum(1), 1)
    together = np.einsum("ui,ui->u", both @ cosine, both) / np.maximum(n * (n - 1), 1)
    mean = both @ popular / n
    spread = np.sqrt(np.maximum(both @ popular**2 / n - mean**2, 0))
    x = np.column_stack([np.log(n), mean, spread, together, both @ vectors / np.sqrt(n)[:, None]])
    y = np.r_[np.ones(len(real)), np.zeros(len(made))]
    shuffle = rng.permutation(len(y))
    model = HistGradientBoostingClassifier(
        max_iter=50, max_depth=3, min_samples_leaf=10, random_state=0
    )
    with threadpool_limits(1):  # small data: more threads only wait for each other
        score = cross_val_predict(model, x[shuffle], y[shuffle], cv=5, method="predict_proba")[:, 1]
    rank = np.argsort(np.argsort(score))
    positive = y[shuffle] == 1
    return float((rank[positive].mean() - (positive.sum() - 1) / 2) / (~positive).sum())
