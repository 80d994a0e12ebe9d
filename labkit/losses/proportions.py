"""Losses of a bag of examples of which only the class counts are known.

Logits are ``(..., S, K)`` (a bag's members along S), counts ``(..., K)``, ``present`` ``(..., S)`` is False where a
smaller bag is padded. Values are one per bag, ``(...)``, in nats unless said otherwise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.counts import count_log_likelihood
from labkit.losses.basic import log_of_the_rest


def log_mean_prediction(logits: Tensor, present: Tensor | None = None) -> Tensor:
    """Log of the members' mean prediction, ``(..., K)``: probabilities are averaged, then the log is taken."""
    log_p = logits.log_softmax(-1)
    if present is None:
        return log_p.logsumexp(-2) - torch.log(torch.tensor(float(logits.shape[-2])).to(logits))
    here = torch.where(present, 0.0, -1e30).to(logits.dtype)
    return (log_p + here[..., None]).logsumexp(-2) - present.sum(-1).to(logits.dtype).log()[..., None]


def proportion_cross_entropy(logits: Tensor, counts: Tensor, present: Tensor | None = None) -> Tensor:
    """``-sum_k alpha_k log p_k`` with ``alpha`` the bag's proportions and ``p`` its mean prediction.

    A bag of one is cross entropy. Source: Ardehaly, Culotta (2017), "Co-training for demographic classification using
    deep learning from label proportions"; Tsai, Lin (2020), "Learning from label proportions with consistency
    regularization", eq. 2.
    """
    return -(_proportions(counts) * log_mean_prediction(logits, present)).sum(-1)


def proportion_kl(logits: Tensor, counts: Tensor, present: Tensor | None = None) -> Tensor:
    """``KL(alpha, p)``: the cross entropy less the entropy of the proportions; 0 only where they agree."""
    alpha = _proportions(counts)
    return proportion_cross_entropy(logits, counts, present) + torch.xlogy(alpha, alpha).sum(-1)


def proportion_squared(logits: Tensor, counts: Tensor, present: Tensor | None = None) -> Tensor:
    """``sum_k (alpha_k - p_k)^2`` (no unit)."""
    return (_proportions(counts) - log_mean_prediction(logits, present).exp()).square().sum(-1)


def proportion_l1(logits: Tensor, counts: Tensor, present: Tensor | None = None) -> Tensor:
    """``sum_k |alpha_k - p_k|`` (no unit)."""
    return (_proportions(counts) - log_mean_prediction(logits, present).exp()).abs().sum(-1)


def count_nll(logits: Tensor, counts: Tensor, present: Tensor | None = None, method: str = "auto") -> Tensor:
    """``-log P(counts)`` of the whole bag: the exact likelihood of what is known (see ``labkit.counts``).

    A member's gradient is ``p - posterior``. A bag of one is cross entropy. Source: Shukla, Zeng, Ahmed, Van den Broeck
    (2023), "A unified approach to count-based weakly supervised learning" (two classes).
    """
    return -count_log_likelihood(logits.log_softmax(-1), counts, present, method)


def one_against_rest_count_nll(logits: Tensor, counts: Tensor, present: Tensor | None = None) -> Tensor:
    """Mean over classes of the two-class ``-log P(count of that class)``: a composite likelihood.

    With two classes it is :func:`count_nll`; with more it counts the same evidence several times, and is quick.
    """
    log_p = logits.log_softmax(-1)
    own = log_p.movedim(-1, 0)  # (K, ..., S)
    log_other = log_of_the_rest(log_p).movedim(-1, 0)
    if present is None:
        present = torch.ones_like(log_p[..., 0], dtype=torch.bool)
    count = counts.movedim(-1, 0).to(logits.dtype)
    pair = torch.stack([present.sum(-1).to(logits.dtype) - count, count], -1)
    return -count_log_likelihood(torch.stack([log_other, own], -1), pair, present.expand(own.shape)).mean(0)


def _proportions(counts: Tensor) -> Tensor:
    return counts / counts.sum(-1, keepdim=True)
