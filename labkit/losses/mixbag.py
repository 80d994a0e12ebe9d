"""Losses for a bag made of parts of two bags: its proportions are known only within an interval.

Asanomi, Matsuo, Suehiro, Bise (2023), "MixBag: Bag-level data augmentation for learning from label
proportions". Counts are ``(..., K)``, numbers of members ``(...)``, values in nats unless said otherwise.
"""

from __future__ import annotations

import torch
from torch import Tensor

INTERVALS = ("binomial", "finite", "exact")
# per class: the loss of predicting the share exp(log_p) where the target is t, and what is left of it at exp(log_p) = t
TERMS = {
    "cross_entropy": (lambda log_p, t: -t * log_p, lambda t: -torch.xlogy(t, t)),
    "divergence": (lambda log_p, t: torch.xlogy(t, t) - t * log_p - t + log_p.exp(), torch.zeros_like),
    "squared": (lambda log_p, t: (log_p.exp() - t).square(), torch.zeros_like),
    "l1": (lambda log_p, t: (log_p.exp() - t).abs(), torch.zeros_like),
}


def mixed_proportions(first: Tensor, second: Tensor, n_first: Tensor, n_second: Tensor) -> Tensor:
    """Expected proportions ``(..., K)`` of ``n_first`` members of one bag and ``n_second`` of another, drawn blindly.

    ``a alpha_1 + b alpha_2`` with ``a = n_first / (n_first + n_second)``, ``b = 1 - a``.

    Args:
        first, second: counts of the two bags.
    """
    a, b = _weights(n_first, n_second, first.dtype)
    return a * _proportions(first) + b * _proportions(second)


def half_width(
    first: Tensor, second: Tensor, n_first: Tensor, n_second: Tensor, z=2.5758, interval: str = "binomial"
) -> Tensor:
    """Half the width of an interval around :func:`mixed_proportions`, ``(..., K)``; not cut off at 0 and 1.

    - "binomial", as published: ``a z s_1 + b z s_2``, ``s = sqrt(alpha (1 - alpha) / n)``;
    - "finite": members are drawn *without* replacement from a bag of k, so ``s^2`` is ``(k - n) / (k - 1)`` times that;
    - "exact": and the draws from the two bags are independent, so variances add: ``z sqrt(a^2 s_1^2 + b^2 s_2^2)`` is
      z standard deviations of the proportions of the mixed bag. The others are wider.

    Args:
        z: standard deviations; published 2.5758 (99 %).
    """
    if interval not in INTERVALS:
        raise ValueError(f"interval is one of {', '.join(INTERVALS)}, got {interval!r}")
    a, b = _weights(n_first, n_second, first.dtype)
    one, two = (_variance(counts, n, interval) for counts, n in ((first, n_first), (second, n_second)))
    if interval == "exact":
        return z * (a.square() * one + b.square() * two).sqrt()
    return z * (a * one.sqrt() + b * two.sqrt())


def interval_loss(log_mean: Tensor, target: Tensor, half: Tensor, term: str = "cross_entropy") -> Tensor:
    """A loss of predicted proportions that is flat where a class lies within ``half`` of its target, ``(...)``.

    Sum over classes of a term: "cross_entropy" ``-t log p`` (published), "squared", "l1", or "divergence"
    ``t log(t / p) - t + p``. Inside the closed interval p is replaced by t: a constant, no gradient. A negative
    ``half`` is never inside, and what is left is the plain loss.

    Beware of "cross_entropy": with all classes outside, a predicted share that is too large is pushed down by the
    others being pushed up. A class that is *alone* outside, above its interval, has gradient ``-t / p < 0`` in p: it
    is pushed further up. "divergence" (ours) is the same loss when all classes are outside (their p add up to 1), and
    its gradient ``1 - t / p`` points to the interval from either side.

    Args:
        log_mean: log of the predicted proportions ``(..., K)``, as from ``proportions.log_mean_prediction``.
        target, half: ``(..., K)``.
    """
    if term not in TERMS:
        raise ValueError(f"term is one of {', '.join(TERMS)}, got {term!r}")
    outside, at_target = TERMS[term]
    inside = (log_mean.exp() - target).abs() <= half
    return torch.where(inside, at_target(target), outside(log_mean, target)).sum(-1)


def _proportions(counts: Tensor) -> Tensor:
    return counts / counts.sum(-1, keepdim=True)


def _weights(n_first: Tensor, n_second: Tensor, dtype) -> tuple[Tensor, Tensor]:
    total = (n_first + n_second).to(dtype)
    return (n_first / total)[..., None], (n_second / total)[..., None]


def _variance(counts: Tensor, n: Tensor, interval: str) -> Tensor:
    """Of the share of each class among n members of the bag; nothing drawn has none."""
    alpha, size, n = _proportions(counts), counts.sum(-1, keepdim=True), n[..., None].to(counts.dtype)
    variance = alpha * (1 - alpha) / n.clamp_min(1)
    return variance if interval == "binomial" else variance * (size - n) / (size - 1).clamp_min(1)
