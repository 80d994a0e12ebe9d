"""ReCoV: examples that are often in the worst fold of a cross-validation are suspect.

Chen, Ramanathan, Xu, Martel (2023), "Cross-validation is all you need: a statistical approach to label noise
estimation", arXiv:2306.13990. Any scikit-learn classifier will do. The cost is counted in fits: `repeats * folds`.
"""

from __future__ import annotations

import math

import numpy as np

from labkit.detect.base import check_labels, check_probs

RULES = ("two sigma", "false discovery")


def cross_validations(estimator, x, labels, n_classes: int, repeats: int, folds: int, rng):
    """Repeated k-fold cross-validation: out-of-fold probabilities ``(repeats, n, K)`` and folds ``(repeats, n)``.

    ``rng``: a NumPy generator for the shuffles. A class missing from a training part has probability 0 there.
    """
    labels = check_labels(labels, n_classes)
    if repeats < 1 or not 2 <= folds <= len(labels):
        raise ValueError(f"expected repeats >= 1 and 2 <= folds <= {len(labels)}, got {repeats} and {folds}")
    place = np.stack([rng.permutation(len(labels)) % folds for _ in range(repeats)])
    probs = np.stack([_out_of_fold(estimator, x, labels, n_classes, fold) for fold in place])
    return probs, place


def recov(labels, probs, place) -> np.ndarray:
    """``(n,)`` score: the share of the repeats in which the example was in the fold of lowest accuracy.

    Args: ``probs`` ``(R, n, K)`` and ``place`` ``(R, n)`` as `cross_validations` returns them. Of equally bad folds the
    first is taken. Where no label is wrong, R times the score is about binomial (R, 1 / folds).
    """
    probs, place = np.asarray(probs), np.asarray(place)
    labels = check_labels(labels, probs.shape[-1])
    right = (probs.argmax(-1) == labels).astype(np.float64)  # (R, n)
    folds = np.arange(place.max() + 1)
    accuracy = np.stack([(right * (place == f)).sum(1) / (place == f).sum(1) for f in folds], 1)
    return (place == accuracy.argmin(1)[:, None]).mean(0)


def recov_cut(score, repeats: int, folds: int, rule: str = "two sigma", level: float = 0.05) -> np.ndarray:
    """``(n,)`` booleans: which scores are too high to be chance.

    Args:
        rule: "two sigma": a count above ``R / k + 2 sqrt(R (k - 1) / k^2)``. "false discovery": a one-sided binomial
            test per example, Benjamini and Hochberg (1995) at ``level``. (The authors' code takes P(count > c) for the
            p value; ours is P(count >= c), which keeps the level.)
    """
    from scipy.stats import binom, false_discovery_control

    counts = np.asarray(score, dtype=np.float64) * repeats
    if rule == "two sigma":
        return counts > repeats / folds + 2 * math.sqrt(repeats * (folds - 1) / folds**2)
    if rule == "false discovery":
        return false_discovery_control(binom.sf(np.round(counts) - 1, repeats, 1 / folds)) <= level
    raise ValueError(f"rule is one of {', '.join(RULES)}, got {rule!r}")


def fast_recov(
    estimator, x, labels, n_classes: int, rng, runs: int = 10, folds: int = 5, temperature: float = 0.1,
    threshold: float = 0.3, drop: float = 0.8, rate: float = 0.3,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """fastReCoV: a memory of out-of-fold confidence that also arranges the next folds. ``runs * folds`` fits.

    Per run the memory becomes ``rate * w + (1 - rate) * memory`` with ``w = 1 - (max_j p_y(j) - p_y)``. It starts at 0,
    so it is biased low by the factor ``1 - (1 - rate)**runs``, as in the authors' code. The next folds are cut from an
    order drawn without replacement with probabilities ``∝ exp(memory / temperature)``; examples with a memory of at
    most ``threshold`` count as noisy, and each training part loses a random ``drop`` of them.

    Returns the score ``1 - memory`` ``(n,)`` and which are called noisy ``(n,)``. Defaults: the authors'.
    """
    labels = check_labels(labels, n_classes)
    n, memory = len(labels), np.zeros(len(labels))
    order, noisy = rng.permutation(n), np.zeros(n, bool)
    for _ in range(runs):
        fold = np.empty(n, dtype=np.int64)
        fold[order] = np.arange(n) * folds // n  # the first stretch is the "best" fold, the last the "worst"
        left_out = []
        for _ in range(folds):
            suspects = rng.permutation(np.flatnonzero(noisy))
            left_out.append(suspects[: int(drop * len(suspects))])
        probs = _out_of_fold(estimator, x, labels, n_classes, fold, left_out)
        said = probs[np.arange(n), labels]
        memory = rate * (1 - (said.max() - said)) + (1 - rate) * memory
        noisy = memory <= threshold
        order = np.argsort(-(memory / temperature + rng.gumbel(size=n)))  # a draw without replacement (Gumbel, 1954)
    return 1 - memory, noisy


def _out_of_fold(estimator, x, labels, n_classes, fold, left_out=None) -> np.ndarray:
    from sklearn.base import clone

    x, probs = np.asarray(x), np.zeros((len(labels), n_classes))
    for f in range(fold.max() + 1):
        train = fold != f
        if left_out is not None:
            train[left_out[f]] = False
        model = clone(estimator).fit(x[train], labels[train])
        probs[np.ix_(fold == f, model.classes_)] = model.predict_proba(x[fold == f])
    return probs


def mean_probs(labels, probs) -> np.ndarray:
    """``(n, K)`` mean of repeated out-of-fold probabilities ``(R, n, K)``: what confident learning is given."""
    return check_probs(labels, np.asarray(probs).mean(0))[1]


__all__ = ["cross_validations", "fast_recov", "mean_probs", "recov", "recov_cut"]
