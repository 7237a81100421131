"""When a column follows an aggregate of held-out rows rather than one of the rows that the graph
may know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from scipy.special import comb

Features = dict[str, np.ndarray]


FEW = 8  # values that tell fewer things apart than this follow much by chance
OF_NEIGHBOURS = re.compile(r"[^\W\d]\.")  # "mean of rows item.price"
MONOTONE = " (as a monotone function of it)"
Found = tuple[bool, str, str] | None  # certain, which aggregate, how it follows


def numbers(
    values: np.ndarray, whole: Features, part: Features, hint: bool, alone: bool = False
) -> Found:
    """alone: the reference is held-out rows only, so that most nodes have none."""
    doubt: Found = None
    there = values[np.isfinite(values)]
    if len(there) >= 8 and np.isin(there, (0, 1)).all():  # too little to equal anything but a mark
        marks = (
            [(f, r) for f, r in whole.items() if f.startswith("number of") and "=" not in f]
            if alone
            else []
        )
        found = next(((f, how) for f, r in marks if (how := _flag(values, r)) is not None), None)
        return None if found is None else (found[1][0], found[0], found[1][1])
    coarse = len(there) >= 8 and len(np.unique(there)) < FEW
    for feature, reference in whole.items():
        if reference.ndim != 1:
            continue
        own = part.get(feature, np.full(len(reference), np.nan))
        neighbours = OF_NEIGHBOURS.search(feature) is not None
        follows = _equal(values, reference, own, hint) or _monotone(
            values, reference, own, FEW if neighbours else 4
        )
        if follows is not None:
            # a few classes may follow what the neighbours are like for reasons of their own
            if not coarse or not (follows[1] == MONOTONE or neighbours):
                if follows[0]:
                    return True, feature, follows[1]
                doubt = doubt or (False, feature, follows[1])
            elif hint:
                doubt = doubt or (False, feature, follows[1])
    return _shrunken(values, whole, part) or doubt


def _equal(
    values: np.ndarray, whole: np.ndarray, part: np.ndarray, hint: bool
) -> tuple[bool, str] | None:
    ok = np.isfinite(values) & np.isfinite(whole)
    if ok.sum() < 2:
        return None
    v, w = values[ok], whole[ok]
    near = (np.abs(v - w) <= 0.5 + 2e-4 * np.abs(w)).mean() >= 0.98
    for how, scale in (("", 1.0 if near else None), (" (up to a factor)", _scale(v, w))):
        if scale is None:
            continue
        differ = ok & ~np.isclose(whole, part, rtol=1e-6, equal_nan=True)
        if not differ.any():
            return None
        close = _near(values, scale * whole)
        own = _near(values, scale * part)
        if close[ok].mean() >= 0.98 and close[differ].mean() > 0.9 and own[differ].mean() < 0.5:
            _, count = np.unique(np.round(v, 6), return_counts=True)
            share = count / count.sum()
            bits = -(share * np.log2(share)).sum() * ok.sum()
            if len(count) < 2:  # the same for all: little to see
                return hint and how == "", how
            odd = np.abs(v * 100 - np.round(v * 100)) > 1e-3
            bits += 8 * min(int(odd.sum()), len(count))
            return bool(bits >= 14 or hint), how
    return None


def _scale(values: np.ndarray, whole: np.ndarray) -> float | None:
    ok = (whole != 0) & (values != 0)
    if ok.sum() < 3:
        return None
    ratio = values[ok] / whole[ok]
    for usual in (
        float(ratio[0]),
        float(ratio[len(ratio) // 2]),
    ):  # where nearly all agree, one of two does
        if (np.abs(ratio - usual) <= 1e-4 * abs(usual)).mean() >= 0.98:
            return usual if abs(usual - 1) > 1e-5 and len(np.unique(whole[ok])) >= 3 else None
    return None


def _near(values: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Equal, or equal after the rounding that the values show."""
    there = values[np.isfinite(values)]
    tolerance = 1e-6
    for digits in range(3):
        if np.allclose(there, np.round(there, digits), atol=1e-9):
            fractions = whole[np.isfinite(whole)]
            if not np.allclose(fractions, np.round(fractions, digits), atol=1e-9):
                tolerance = 0.5 * 10.0**-digits + 1e-6
            break
    with np.errstate(invalid="ignore"):
        return np.abs(values - whole) <= tolerance + 1e-4 * np.abs(whole) * (tolerance < 1e-5)


def _monotone(
    values: np.ndarray, whole: np.ndarray, part: np.ndarray, few: int
) -> tuple[bool, str] | None:
    ok = np.isfinite(values) & np.isfinite(whole)
    if ok.sum() < 2 * few:
        return None
    v, w = values[ok], whole[ok]
    some = np.linspace(0, len(v) - 1, 16).astype(np.int64)  # most are out of order at a glance
    up = v[some, None] - v[some]
    along = up * (
        np.sign(w[some, None] - w[some])
        * (np.abs(w[some, None] - w[some]) > 1e-4 * np.abs(w[some]))
    )
    slack = 2e-6 * float(np.ptp(v))
    for sign in (1, -1):
        if (sign * along < -slack).any() or not _ordered(v, sign * w):
            continue
        if len(np.unique(v)) >= few and len(np.unique(_rounded(w))) >= few:
            also = ok & np.isfinite(part)
            if also.sum() < ok.sum() or not _ordered(values[also], sign * part[also]):
                return True, MONOTONE
    return None


def _rounded(x: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 10.0 ** (6 - np.ceil(np.log10(np.maximum(np.abs(x), 1e-300))))
    return np.where(x == 0, 0.0, np.round(x * scale) / scale)


def _ordered(values: np.ndarray, by: np.ndarray) -> bool:
    """Whether values never fall where `by` rises; ties on either side are free."""
    _, group = np.unique(_rounded(by), return_inverse=True)
    order = np.lexsort((values, group))
    group, values = group[order], values[order]
    first = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    last = np.r_[first[1:] - 1, len(group) - 1]
    slack = 1e-6 * max(float(np.ptp(values)), 1e-12)
    return bool((values[first[1:]] >= np.maximum.accumulate(values[last])[:-1] - slack).all())


def _flag(values: np.ndarray, whole: np.ndarray) -> tuple[bool, str] | None:
    """A mark on the nodes that have held-out rows; certain where few other marks are as likely."""
    ok = np.isfinite(values)
    mark, has = values[ok] == values[ok].max(), np.nan_to_num(whole[ok]) > 0
    if has.all() or not has.any() or not ((mark == has).all() or (mark != has).all()):
        return None
    return bool(comb(len(has), has.sum()) >= 1000), " (as a mark on the nodes that have some)"


def _shrunken(values: np.ndarray, whole: Features, part: Features) -> Found:
    """(sum + a) / (count + b), a mean drawn toward a constant."""
    for feature, left in _drawn(values, whole):
        if left < 1e-5 and all(
            other > 100 * max(left, 1e-9) for name, other in _drawn(values, part) if name == feature
        ):
            return True, feature.replace("sum of", "mean of"), " (drawn toward a constant)"
    return None


def _drawn(values: np.ndarray, by: Features) -> Iterator[tuple[str, float]]:
    """How far `values` are from a mean drawn toward a constant, for each sum: v count - sum is a
    line in v.
    """
    size = next((f for f in by if f.startswith("number of") and "=" not in f), None)
    if size is None:
        return
    ok = np.isfinite(values) & (by[size] > 0)
    if ok.sum() < 8 or len(np.unique(values[ok])) < 4:
        return
    v = values[ok]
    design = np.column_stack([v, np.ones(len(v))])
    for feature, total in by.items():
        if feature.startswith("sum of"):
            left = v * by[size][ok] - total[ok]
            fit, *_ = np.linalg.lstsq(design, left, rcond=None)
            if fit[0] < -1e-3:
                yield (
                    feature,
                    float(np.abs(left - design @ fit).max())
                    / max(float(np.abs(total[ok]).max()), 1e-12),
                )


def vectors(
    values: np.ndarray, whole: Features, part: Features, hint: bool, alone: bool = False
) -> Found:
    size = next(
        (r for f, r in whole.items() if f.startswith("number of") and "=" not in f),
        np.ones(len(values)),
    )
    for feature, reference in whole.items():
        if reference.ndim != 2:
            continue
        own = part.get(feature, np.zeros_like(reference))
        if reference.shape == values.shape:
            differ = ~np.isclose(reference, own, atol=1e-5).all(axis=1)
            moved = (
                differ & np.isfinite(values).all(axis=1) & (np.linalg.norm(reference, axis=1) > 0)
            )
            there = np.isfinite(values).all(axis=1)
            usable = there & (np.linalg.norm(reference, axis=1) > 0)
            telling = usable.sum() >= 0.8 * min(
                (there & (size > 0)).sum(), (np.abs(values) > 0).any(axis=1).sum()
            )
            if moved.any() and values.shape[1] > 1 and telling:
                near = [_cosine(values[moved], other[moved]) for other in (reference, own)]
                all_near = _cosine(values[usable], reference[usable])
                if (
                    np.median(near[0]) > 0.9999
                    and (near[0] > near[1]).mean() > 0.5
                    and (all_near > 0.9999).mean() > 0.9
                ):
                    kinds = len(np.unique(np.round(values[usable], 4), axis=0))
                    return bool(kinds >= FEW or hint), feature, ""
        if _linear(values, reference, own):
            return True, feature, " (after a linear map)"
    return None


def _linear(values: np.ndarray, whole: np.ndarray, part: np.ndarray) -> bool:
    """Centred, scaled, rotated, projected: a linear map fits far better from the whole than from
    the part.
    """
    ok = np.flatnonzero(np.isfinite(values).all(axis=1) & (np.linalg.norm(whole, axis=1) > 0))
    d = whole.shape[1]
    if len(ok) < 1.2 * d + 8 or values[ok].std() == 0:
        return False
    if len(ok) > 3000:
        ok = np.random.default_rng(0).choice(ok, min(len(ok), max(3000, 2 * d)), replace=False)
    v = values[ok] - values[ok].mean(axis=0)
    spread = float((v**2).sum())
    left = []
    for by in (whole[ok].astype(np.float64), part[ok].astype(np.float64)):
        by = by - by.mean(axis=0)
        gram = by.T @ by
        gram[np.diag_indices_from(gram)] += 1e-9 * max(float(np.trace(gram)), 1e-12)
        left.append(
            float(((v - by @ np.linalg.solve(gram, by.T @ v)) ** 2).sum()) / max(spread, 1e-12)
        )
    return left[0] < 1e-5 and left[1] > 20 * left[0] + 1e-6


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-12)


def spanned(values: np.ndarray, owner: np.ndarray, held: np.ndarray, rows: np.ndarray) -> bool:
    """Whether a node's vector is a mixture, with any weights, of the vectors of its rows, and needs
    the held-out ones.
    """
    if rows.shape[1] != values.shape[1] or values.shape[1] < 4 or not len(rows):
        return False
    order = np.argsort(owner, kind="stable")
    nodes, first, size = np.unique(owner[order], return_index=True, return_counts=True)
    has = np.add.reduceat(held[order].astype(np.int64), first) > 0
    usable = has & (size <= values.shape[1] // 2) & np.isfinite(values[nodes]).all(axis=1)
    usable &= np.linalg.norm(np.nan_to_num(values[nodes]), axis=1) > 0
    chosen = np.flatnonzero(usable)
    if len(chosen) < 3:
        return False
    chosen = np.random.default_rng(0).choice(chosen, min(len(chosen), 200), replace=False)
    left = np.zeros((len(chosen), 2))
    for k, node in enumerate(chosen):
        mine = order[first[node] : first[node] + size[node]]
        for j, which in enumerate((mine, mine[~held[mine]])):
            base = np.nan_to_num(rows[which]).T.astype(np.float64)
            v = values[nodes[node]].astype(np.float64)
            if base.shape[1]:
                fit, *_ = np.linalg.lstsq(base, v, rcond=1e-8)
                v = v - base @ fit
            left[k, j] = np.linalg.norm(v) / np.linalg.norm(values[nodes[node]])
    return bool(
        (left[:, 0] < 2e-3).mean() >= 0.95
        and ((left[:, 1] > 1e-2) & (left[:, 0] < 2e-3)).sum() >= 3
    )


def explained(values: np.ndarray, part: Features) -> bool:
    for reference in part.values():
        if reference.ndim != values.ndim or reference.shape != values.shape:
            continue
        if values.ndim == 2:
            ok = np.isfinite(values).all(axis=1) & (np.linalg.norm(reference, axis=1) > 0)
            if ok.sum() >= 2 and (_cosine(values[ok], reference[ok]) > 0.9999).all():
                return True
            continue
        ok = np.isfinite(values) & np.isfinite(reference)
        if ok.sum() < 2 or np.ptp(reference[ok]) == 0:
            continue
        if _near(values, reference)[ok].all():
            return True
        many = ok.sum() >= 8 and len(np.unique(values[ok])) >= 4
        if many and any(_ordered(values[ok], sign * reference[ok]) for sign in (1, -1)):
            return True
    return values.ndim == 1 and any(left < 1e-5 for _, left in _drawn(values, part))
