"""What every detector of wrong labels is given, checked once."""

from __future__ import annotations

import numpy as np


def check_labels(labels, n_classes: int | None = None) -> np.ndarray:
    """Given labels ``(n,)`` as int64. ValueError for another shape, no label at all, or one outside ``0 .. K-1``."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or len(labels) == 0 or labels.dtype.kind not in "iu":
        raise ValueError(f"labels are one whole number per example, got shape {labels.shape} of {labels.dtype}")
    labels = labels.astype(np.int64)
    outside = (labels < 0) | (labels >= (n_classes or np.inf))
    if outside.any():
        first = int(outside.argmax())
        limit = "" if n_classes is None else f"..{n_classes - 1}"
        raise ValueError(f"{outside.sum()} labels lie outside 0{limit}; the first is {labels[first]} at {first}")
    return labels


def check_probs(labels, probs) -> tuple[np.ndarray, np.ndarray]:
    """Given labels ``(n,)`` int64 and class probabilities ``(n, K)`` float64, rows that sum to 1 within 1e-3.

    The probabilities should be *out of fold*: from a model that was not trained on the example it judges.
    """
    probs = np.asarray(probs, dtype=np.float64)
    if probs.ndim != 2 or probs.shape[1] < 2:
        raise ValueError(f"probabilities are a matrix (examples, classes), got shape {probs.shape}")
    labels = check_labels(labels, probs.shape[1])
    if len(labels) != len(probs):
        raise ValueError(f"{len(labels)} labels and {len(probs)} rows of probabilities; there must be a row per label")
    wrong = ~np.isfinite(probs).all(1) | (probs < 0).any(1) | (np.abs(probs.sum(1) - 1) > 1e-3)
    if wrong.any():
        first = int(wrong.argmax())
        raise ValueError(
            f"{wrong.sum()} rows are no probabilities, the first is row {first}: {probs[first].round(4).tolist()}; "
            "logits need a softmax first"
        )
    return labels, probs


def per_example(values, labels: np.ndarray, name: str) -> np.ndarray:
    """``values`` as finite float64 with one row per label."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim == 0 or len(values) != len(labels):
        raise ValueError(f"{name} has shape {values.shape}; expected a row for each of the {len(labels)} labels")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds {int((~np.isfinite(values)).sum())} values that are NaN or infinite")
    return values
