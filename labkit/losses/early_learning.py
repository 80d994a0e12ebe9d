"""What networks share or have said before: symmetric Kullback-Leibler divergence, early-learning regularisation."""

from __future__ import annotations

import torch
from torch import Tensor

FLOOR = 1e-4  # published: probabilities are kept this far from 0 and 1


def symmetric_kl(logits: Tensor, other: Tensor) -> Tensor:
    """``KL(p || q) + KL(q || p) = sum_k (p_k - q_k)(log p_k - log q_k)``, ``(n,)`` in nats; both are ``(n, K)`` logits.

    Both sides feel a gradient. Jeffreys (1946); between two networks: Wei, Feng, Chen, An (2020), equation 4.
    """
    log_p, log_q = logits.log_softmax(-1), other.log_softmax(-1)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(-1)


def kept_apart(logits: Tensor) -> Tensor:
    """``clip(p, 1e-4, 1 - 1e-4)``, ``(n, K)``: it sums to 1 only nearly, and has no gradient where it was clipped."""
    return logits.softmax(-1).clamp(FLOOR, 1 - FLOOR)


def early_learning(logits: Tensor, remembered: Tensor) -> Tensor:
    """``log(1 - <t, p>)``, ``(n,)``: at most 0, and the less the better p agrees with the remembered prediction t.

    p is the clipped prediction (:func:`kept_apart`), t ``(n, K)`` a constant, not negative, with a sum of at most 1, so
    that the logarithm's argument is at least 1e-4. The gradient pulls p towards t and can outweigh that of a wrong
    label. Liu, Niles-Weed, Razavian, Fernandez-Granda (2020), "Early-learning regularization prevents memorization of
    noisy labels", equation 6.
    """
    return torch.log(1 - (remembered * kept_apart(logits)).sum(-1))


def remember(remembered: Tensor, logits: Tensor, decay) -> Tensor:
    """``t <- decay t + (1 - decay) p / sum(p)`` with the clipped prediction p, a constant: ``(n, K)``."""
    p = kept_apart(logits.detach())
    return decay * remembered + (1 - decay) * p / p.sum(-1, keepdim=True)
