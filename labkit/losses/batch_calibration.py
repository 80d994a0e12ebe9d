"""Calibration error of a batch as a penalty: differentiable in the confidences, constant in who is right.

Logits ``(n, K)`` (further axes are places, counted as examples), targets class indices or ``(n, K)`` weights. Each is
one number per batch, 0-d, without cross entropy.

Whether an example is predicted right, c, is the target's weight of the predicted class: 0 or 1 for a label. It is
detached everywhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.evidence import one_hot


def squared_mmce(logits: Tensor, target: Tensor, width=0.4, balanced: bool = False) -> Tensor:
    """``sum_ij v_i v_j exp(-|p_i - p_j| / width)``, p the confidence of the predicted class; never negative.

    ``v_i = (c_i - p_i) / n`` is MMCE; ``balanced`` weighs the right and the wrong predictions of the batch alike,
    ``v_i = c_i (1 - p_i) / n_right - (1 - c_i) p_i / n_wrong`` (a group without members adds nothing).

    Kumar, Sarawagi, Jain (2018), "Trainable calibration measures for neural networks from kernel mean embeddings";
    width 0.4. (Public copies of the balanced form divide by the counts twice.)
    """
    p, right, _ = _batch(logits, target)
    if balanced:
        count = lambda c: torch.where(c.sum() > 0, c.sum(), 1)
        v = right * (1 - p) / count(right) - (1 - right) * p / count(1 - right)
    else:
        v = (right - p) / len(p)
    kernel = torch.exp(-(p[:, None] - p[None, :]).abs() / width)
    return (v[:, None] * v[None, :] * kernel).sum()


def mmce(logits: Tensor, target: Tensor, width=0.4, balanced: bool = False) -> Tensor:
    """The square root of :func:`squared_mmce`, with slope 0 instead of an infinite one where it is 0."""
    square = squared_mmce(logits, target, width, balanced)
    positive = square > 0
    return torch.where(positive, torch.where(positive, square, 1).sqrt(), 0)


def dca(logits: Tensor, target: Tensor) -> Tensor:
    """``|mean confidence - accuracy|`` of the batch.

    Liang, Zhang, Wang, Jacobs (2020), "Improved trainable calibration method for neural networks on medical imaging
    classification" (difference between confidence and accuracy).
    """
    p, right, _ = _batch(logits, target)
    return (p - right).mean().abs()


def mdca(logits: Tensor, target: Tensor) -> Tensor:
    """``(1 / K) sum_c |mean_i p_ic - share of class c|``: the same for every class, without a winner.

    Hebbalaguppe, Prakash, Madan, Arora (2022), "A stitch in time saves nine: a train-time regularizing loss for
    improved neural network calibration" (MDCA).
    """
    _, _, gap = _batch(logits, target)
    return gap.mean(0).abs().mean()


def _batch(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Confidence and correctness of the predicted class, ``(n,)``, and probabilities less targets, ``(n, K)``."""
    k = logits.shape[-1]
    weights = target if target.is_floating_point() else one_hot(target, k, logits.dtype)
    logits, weights = logits.reshape(-1, k), weights.reshape(-1, k)
    probs = logits.softmax(-1)
    confidence, predicted = probs.max(-1)
    right = (weights * one_hot(predicted, k, logits.dtype)).sum(-1)
    return confidence, right.detach(), probs - weights
