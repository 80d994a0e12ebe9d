"""From a network that was trained on noisy labels: anchor points, and the dual estimator."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from labkit.evidence import one_hot


def anchor_points(probs, percentile: float | None = 97.0) -> Tensor:
    """Row i is what is said of class i's *anchor*, the example that most surely is an i: ``(K, K)`` float64.

    ``x_i = argmax_x P(given = i | x)`` and ``T[i] = P(given = . | x_i)``, exact if the probabilities are and some
    example is an i for sure. Patrini, Rozza, Menon, Nock, Qu (2017), equations 12 and 13. The very highest
    probabilities are often those of outliers: as in their code, the examples from the ``percentile`` on are passed
    over and the next one is taken (None takes the largest of all, as they do with 100 classes).

    Public code sets the passed-over entries to zero in place, so that rows of later classes are read with holes in
    them, and passes over everything that ties with the percentile: with a network so sure that more than 3 % tie at
    the top, its anchor of class i is an example of another class. Here examples are counted one by one.

    Args:
        probs: ``(n, K)`` predicted probabilities of the *given* label, rows sum to 1.

    Raises:
        ValueError: not a matrix of distributions, or a percentile outside (0, 100).
    """
    probs = _distributions(probs)
    if percentile is not None and not 0 < percentile < 100:
        raise ValueError(f"percentile lies between 0 and 100, or is None, got {percentile}")
    n = len(probs)
    place = n - 1 if percentile is None else max(math.ceil(percentile / 100 * (n - 1)) - 1, 0)
    order = probs.argsort(dim=0, stable=True)  # nothing is changed: rows are read from the probabilities as they came
    rows = probs[order[place]]
    return rows / rows.sum(1, keepdim=True)


def dual_t(probs, given, percentile: float | None = 97.0) -> Tensor:
    """``T = A B`` by way of the predicted label y': ``A[i, k] = P(y' = k | class i)`` from anchor points, ``B[k, j]``
    the share of the given label j among examples predicted k, which is only counted. ``(K, K)`` float64.

    Yao, Liu, Han, Gong, Deng, Niu, Sugiyama (2020), "Dual T: reducing estimation error for transition matrix in
    label-noise learning", section 3. A class that is never predicted has nothing to count: its row of B then takes
    the prediction at its word, so that T stays stochastic (public code leaves a row of zeros).

    Args:
        probs: ``(n, K)`` as for :func:`anchor_points`, of the training examples. given: ``(n,)`` their noisy labels.
    """
    probs, given = _distributions(probs), torch.as_tensor(given).cpu()
    if given.shape != probs.shape[:1]:
        raise ValueError(f"given labels are one per row of probs, {len(probs)}, got shape {tuple(given.shape)}")
    k = probs.shape[1]
    predicted = one_hot(probs.argmax(1), k, torch.float64)
    counts = predicted.T @ one_hot(given, k, torch.float64)
    met = counts.sum(1, keepdim=True)
    shares = torch.where(met > 0, counts / met.clamp_min(1), torch.eye(k, dtype=torch.float64))
    return anchor_points(probs, percentile) @ shares


def _distributions(probs) -> Tensor:
    probs = torch.as_tensor(probs).detach().cpu().double()
    if probs.ndim != 2 or not (probs >= 0).all() or not ((probs.sum(1) - 1).abs() < 1e-3).all():
        raise ValueError(f"probs are distributions in rows (examples, classes), got shape {tuple(probs.shape)}, "
                         f"values from {float(probs.min()):.4g}; logits need softmax first")  # fmt: skip
    return probs
