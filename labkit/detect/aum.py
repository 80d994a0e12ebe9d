"""Area under the margin: labels that a network fits late, or never, are suspect.

Pleiss, Zhang, Elenberg, Weinberger (2020), "Identifying mislabeled data using the area under the margin ranking",
NeurIPS. The margins come from training itself (`labkit.methods.Watched`), so one training run is enough; the paper
stops before the first drop of the learning rate, while labels are not yet memorised.
"""

from __future__ import annotations

import numpy as np

from labkit.detect.base import check_labels


def area_under_margin(margins) -> np.ndarray:
    """``(n,)`` score: minus the mean over epochs of ``z_y - max_{k != y} z_k`` (in logits).

    Args:
        margins: ``(epochs, n)``; NaN where an epoch did not show an example (it then counts for nothing). An example
            that was never shown has the score 0.
    """
    margins = np.asarray(margins, dtype=np.float64)
    if margins.ndim != 2 or margins.size == 0:
        raise ValueError(f"margins are a matrix (epochs, examples), got shape {margins.shape}")
    if np.isinf(margins).any():
        raise ValueError(f"{int(np.isinf(margins).sum())} margins are infinite; a run that diverged says nothing")
    shown = ~np.isnan(margins)
    return -np.where(shown, margins, 0).sum(0) / np.maximum(shown.sum(0), 1)


def threshold_samples(labels, n_classes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Move ``n / (K + 1)`` random examples to a class that does not exist; their margins are those of wrong labels.

    Returns labels ``(n,)`` over K + 1 classes (the fake one is K) and which examples were moved, ``(n,)`` booleans.
    The moved ones are not judged; a second run with other ones judges them (paper: section 3.3).
    """
    labels = check_labels(labels, n_classes)
    size = len(labels) // (n_classes + 1)
    if size < 1:
        raise ValueError(f"{len(labels)} examples are too few to set one of {n_classes + 1} parts aside")
    moved = np.zeros(len(labels), bool)
    moved[rng.choice(len(labels), size, replace=False)] = True
    return np.where(moved, n_classes, labels), moved


def below_threshold(score, moved, percentile: float = 99.0) -> np.ndarray:
    """``(n,)`` booleans: flagged where the area lies below that percentile of the threshold samples' areas.

    ``score`` is that of `area_under_margin` (minus the area). The threshold samples themselves are not flagged.
    """
    score, moved = np.asarray(score, dtype=np.float64), np.asarray(moved, bool)
    if not moved.any():
        raise ValueError("there are no threshold samples; threshold_samples makes them")
    return (-score < np.percentile(-score[moved], percentile)) & ~moved


__all__ = ["area_under_margin", "below_threshold", "threshold_samples"]
