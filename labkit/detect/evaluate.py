"""How good is a score at finding wrong labels? `wrong` ``(n,)`` booleans (known flips, human verdicts)."""

from __future__ import annotations

import numpy as np

from labkit.detect.base import check_labels, per_example


def _checked(wrong, score) -> tuple[np.ndarray, np.ndarray]:
    wrong = np.asarray(wrong)
    if wrong.ndim != 1 or wrong.dtype != bool:
        raise ValueError(f"wrong is one boolean per example, got shape {wrong.shape} of {wrong.dtype}")
    return wrong, per_example(score, wrong, "score")


def auprc(wrong, score) -> float:
    """Average precision of ranking by ``score``; NaN if nothing is wrong. Chance: the share of wrong labels."""
    from sklearn.metrics import average_precision_score

    wrong, score = _checked(wrong, score)
    return float(average_precision_score(wrong, score)) if wrong.any() else float("nan")


def auroc_per_class(wrong, score, labels, n_classes: int | None = None) -> np.ndarray:
    """``(K,)`` area under the ROC curve among the examples *given* class k; NaN where all are right or all wrong."""
    from sklearn.metrics import roc_auc_score

    wrong, score = _checked(wrong, score)
    labels = check_labels(labels, n_classes)
    values = np.full(n_classes or labels.max() + 1, np.nan)
    for k in range(len(values)):
        mine = labels == k
        if wrong[mine].any() and not wrong[mine].all():
            values[k] = roc_auc_score(wrong[mine], score[mine])
    return values


def recall_at(wrong, score, budget: float) -> float:
    """Share of the wrong labels among the ``budget`` (a share of all examples) with the highest score.

    Within a tie examples are taken at their average: a score that says nothing finds ``budget`` of the errors.
    """
    wrong, score = _checked(wrong, score)
    if not 0 <= budget <= 1:
        raise ValueError(f"a budget is the share of all examples that is reviewed, from 0 to 1, got {budget!r}")
    if not wrong.any():
        return float("nan")
    place = np.unique(-score, return_inverse=True)[1]
    size, errors = np.bincount(place), np.bincount(place, weights=wrong)
    before = np.cumsum(size) - size
    taken = np.clip(budget * len(wrong) - before, 0, size) / size
    return float((taken * errors).sum() / wrong.sum())


def flagged_quality(wrong, flagged) -> dict[str, float]:
    """``precision``, ``recall`` and ``f1`` of a set of suspects, and its size over the true number (``ratio``)."""
    wrong, flagged = (np.asarray(a).astype(bool) for a in (wrong, flagged))
    hit, size, total = (wrong & flagged).sum(), flagged.sum(), wrong.sum()
    over = lambda a, b: float(a / b) if b else float("nan")
    return {"precision": over(hit, size), "recall": over(hit, total), "f1": over(2 * hit, size + total),
            "ratio": over(size, total)}  # fmt: skip


__all__ = ["auprc", "auroc_per_class", "flagged_quality", "recall_at"]
