"""Confident learning: how many labels of class i are really class j, and which ones.

Northcutt, Jiang, Chuang (2021), "Confident learning: estimating uncertainty in dataset labels", JAIR 70; the details
(tolerances, rounding, ties) are those of cleanlab 2.9.0, whose numbers these functions give. `probs` are out-of-fold
probabilities ``(n, K)``, `labels` the given labels ``(n,)``. All arithmetic is in float64. A class that is never given
is allowed: nothing is confidently counted into it.
"""

from __future__ import annotations

import numpy as np
from scipy.special import xlogy

from labkit.detect.base import check_probs
from labkit.names import look_up

TOLERANCE = 1e-6
ABSENT = 2.0  # the threshold of a class without labels: above every probability


def thresholds(labels, probs) -> np.ndarray:
    """``(K,)`` t_k: the mean probability of class k over the examples labelled k; 2 for a class never given."""
    labels, probs = check_probs(labels, probs)
    means = [probs[labels == k, k].mean() if (labels == k).any() else ABSENT for k in range(probs.shape[1])]
    return np.maximum(means, 2 * TOLERANCE)


def confident_guess(labels, probs) -> np.ndarray:
    """``(n,)`` the class an example confidently belongs to, -1 for none.

    Confident are the classes with ``p_k >= t_k``. Of several the most probable class is taken: of *all* classes, as in
    the paper's implementation, so that it need not be one of the several.
    """
    labels, probs = check_probs(labels, probs)
    confident = probs >= thresholds(labels, probs) - TOLERANCE
    several = confident.sum(1) > 1
    return np.where(confident.any(1), np.where(several, probs.argmax(1), confident.argmax(1)), -1)


def confident_joint(labels, probs, calibrate: bool = True) -> np.ndarray:
    """``(K, K)`` int64: entry (i, j) counts examples labelled i that seem to be j (paper: section 3.1).

    The diagonal is at least 1. With ``calibrate`` rows are scaled to the number of labels given per class and rounded
    so that they keep it: an estimate of the joint *counts*. Divided by n it is the joint distribution.
    """
    labels, probs = check_probs(labels, probs)
    k, guess = probs.shape[1], confident_guess(labels, probs)
    joint = np.zeros((k, k), dtype=np.int64)
    np.add.at(joint, (labels[guess >= 0], guess[guess >= 0]), 1)
    np.fill_diagonal(joint, joint.diagonal().clip(min=1))
    if not calibrate:
        return joint
    given = np.bincount(labels, minlength=k)
    scaled = (joint.T / joint.sum(1) * given).T
    return round_rows(scaled / scaled.sum() * given.sum())


def round_rows(counts: np.ndarray) -> np.ndarray:
    """Each row to whole numbers with the same total: the entries furthest from theirs give way."""
    made = np.empty(counts.shape, dtype=np.int64)
    for i, row in enumerate(np.asarray(counts, float)):
        whole = row.round()
        missing = int(np.round(row.sum().round() - whole.sum()))
        step = -1 if missing < 0 else 1
        # at most half an entry each was lost to rounding, so one step for `missing` of them is enough
        whole[np.argsort(row - whole)[::-step][: abs(missing)]] += step
        made[i] = whole
    return made


def label_issues(labels, probs, by: str = "prune_by_noise_rate", joint: np.ndarray | None = None) -> np.ndarray:
    """``(n,)`` booleans: which labels are probably wrong.

    Args:
        by: "confident_learning": the confident examples off the diagonal. "prune_by_noise_rate": of the examples
            labelled i the C[i, j] with the largest ``p_j - p_i``, for each j. "prune_by_class": of the examples
            labelled i the ``n_i - C[i, i]`` with the lowest ``p_i``. The last two keep an example of every class.
        joint: C for the last two; by default the calibrated `confident_joint`.

    Whatever the rule, an example whose given label is (within 1e-6) the most probable class is not flagged.
    """
    labels, probs = check_probs(labels, probs)
    rule = look_up("rule", by, {"confident_learning": _off_diagonal, "prune_by_noise_rate": _by_noise_rate,
                                "prune_by_class": _by_class})  # fmt: skip
    joint = confident_joint(labels, probs) if joint is None else np.asarray(joint)
    if joint.shape != (probs.shape[1],) * 2:
        raise ValueError(f"the joint of {probs.shape[1]} classes is a square matrix, got shape {joint.shape}")
    flagged = rule(labels, probs, joint)
    favoured = probs.copy()
    favoured[np.arange(len(labels)), labels] += TOLERANCE
    return flagged & (favoured.argmax(1) != labels)


def _off_diagonal(labels, probs, joint):
    guess = confident_guess(labels, probs)
    return (guess >= 0) & (guess != labels)


def _by_noise_rate(labels, probs, joint):
    flagged, counts = np.zeros(len(labels), bool), keep_one(joint)
    for i in range(len(joint)):
        mine = np.flatnonzero(labels == i)
        for j in range(len(joint)):
            if i != j and counts[i, j] > 0 and len(mine) > 1:
                flagged[mine[np.argsort(probs[mine, i] - probs[mine, j])[: counts[i, j]]]] = True
    return flagged


def _by_class(labels, probs, joint):
    flagged, counts = np.zeros(len(labels), bool), keep_one(joint)
    for i in range(len(joint)):
        mine = np.flatnonzero(labels == i)
        wrong = len(mine) - counts[i, i]
        if wrong > 0 and len(mine) > 1:
            flagged[mine[np.argsort(probs[mine, i])[:wrong]]] = True
    return flagged


def keep_one(joint: np.ndarray) -> np.ndarray:
    """Diagonal raised to 1 where it is 0, at the cost of the other counts of its row, evenly."""
    lacking = np.maximum(1 - joint.diagonal(), 0)
    others = np.maximum(np.count_nonzero(joint, axis=1) - 1, 1)
    made = np.maximum(joint - (lacking / others)[:, None], 0)
    np.fill_diagonal(made, joint.diagonal() + lacking)
    return made.astype(np.int64)


def adjusted(labels, probs) -> np.ndarray:
    """``(n, K)`` probabilities less their class's threshold, shifted to be positive, rows scaled to sum to 1.

    So that a class the model is timid about does not look full of errors.
    """
    labels, probs = check_probs(labels, probs)
    t = thresholds(labels, probs)
    shifted = probs - t + t.max()
    return shifted / shifted.sum(1, keepdims=True)


def self_confidence(labels, probs, adjust: bool = False) -> np.ndarray:
    """``(n,)`` score ``1 - p_y``. Sorting by it is the cross-validation rank of the out-of-fold probability."""
    labels, probs = check_probs(labels, probs)
    p = adjusted(labels, probs) if adjust else probs
    return 1 - p[np.arange(len(labels)), labels]


def margin(labels, probs, adjust: bool = False) -> np.ndarray:
    """``(n,)`` score ``(1 + max_{k != y} p_k - p_y) / 2``: how clearly another class is ahead."""
    labels, probs = check_probs(labels, probs)
    p = adjusted(labels, probs) if adjust else probs
    given = p[np.arange(len(labels)), labels]
    others = p.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    return 1 - (given - others.max(1) + 1) / 2


def weighted_entropy(labels, probs) -> np.ndarray:
    """``(n,)`` score ``1 - log(1 + s) / s`` with ``s = H(p) / (log K · p_y)``.

    Where s is 0, the limit: 0 for a certain prediction of the given label, 1 for a certain one of another class.
    (cleanlab divides by ``max(s, 1e-6)`` there, which ranks the *surest correct* examples as the worst of all; above
    ``s = 1e-6`` the two agree.)
    """
    labels, probs = check_probs(labels, probs)
    given = probs[np.arange(len(labels)), labels]
    entropy = -xlogy(probs, probs).sum(1) / np.log(probs.shape[1])
    s = np.maximum(entropy, 0) / np.maximum(given, TOLERANCE)
    quality = np.where(s > 0, np.log1p(s) / np.where(s > 0, s, 1), (given > 0.5).astype(float))
    return 1 - quality


SCORES = {
    "self confidence": self_confidence, "margin": margin, "weighted entropy": weighted_entropy,
}  # fmt: skip

__all__ = [
    "SCORES", "adjusted", "confident_guess", "confident_joint", "label_issues", "margin", "self_confidence",
    "thresholds", "weighted_entropy",
]  # fmt: skip
