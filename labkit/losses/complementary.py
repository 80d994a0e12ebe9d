"""Losses of complementary labels: classes that an example is not.

Logits ``(..., K)``; ``excluded`` ``(..., K)`` booleans (True: said not to be this class), s of them, from 1 to K - 1.
Values ``(...)``, one per example, in nats unless said otherwise: averaged over a batch, no loss depends on its size
(one public toolkit sums MCL's). With a matrix Q[c, l] = P(complementary label l | class c), forward
correction is :func:`labkit.losses.evidence_nll`; with uniform labels it is :func:`negative_learning` plus log(K - 1).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from labkit.losses.candidates import pairwise_sigmoid


def pairwise_comparison(logits: Tensor, excluded: Tensor) -> Tensor:
    """PC: ``(K - 1) sum_{j != l} sigmoid(f_l - f_j) - K (K - 1) / 2 + K - 1`` for one excluded class l (no unit).

    Unbiased for the ordinary ``sum_{j != y} sigmoid(f_j - f_y)`` under uniform complementary labels. Several labels:
    the mean over them. Source: Ishida, Niu, Hu, Sugiyama (2017), "Learning from complementary labels", eq. 6 and 10.
    (The authors' later code also sums j = l: larger by (K - 1) / 2.)
    """
    k = logits.shape[-1]
    over_others = pairwise_sigmoid(logits).sum(-1) - 0.5  # sigmoid(0) = 1/2 is the class itself
    return mean_over(excluded, (k - 1) * over_others) - k * (k - 1) / 2 + k - 1


def negative_learning(logits: Tensor, excluded: Tensor) -> Tensor:
    """SCL-NL: ``-log(1 - sum of p over the excluded)``. One label: ``-log(1 - p_l)``. K - 1 labels: cross entropy.

    Source: Chou, Niu, Lin, Sugiyama (2020), "Unbiased risk estimators can mislead", table 1; Kim et al. (2019), "NLNL:
    negative learning for noisy labels". Also the likelihood of the set of all other classes.
    """
    return -torch.where(excluded, -torch.inf, logits.log_softmax(-1)).logsumexp(-1)


def surrogate_exponential(logits: Tensor, excluded: Tensor) -> Tensor:
    """SCL-EXP: ``exp(p_l)``, mean over the excluded (no unit); Chou et al. (2020), table 1."""
    return mean_over(excluded, logits.softmax(-1).exp())


def unbiased_of_sets(per_class: Tensor, excluded: Tensor) -> Tensor:
    """MCL, the wrapper: ``sum_{j allowed} l_j - ((K - 1 - s) / s) sum_{j excluded} l_j`` of losses ``(..., K)``.

    Unbiased for any loss, given the number s of uniform complementary labels; K - 1 of them: the ordinary loss. May be
    negative. Equal to ``sum_j l_j - ((K - 1) / s) sum_{j excluded} l_j``, the mean of Ishida et al.'s (2019) estimator
    over the labels. For MAE it is ``2 ((K - 1) / s) (1 - sum of p over the allowed)``, never negative. Source: Feng et
    al. (2020), "Learning with multiple complementary labels", theorem 3. (One public toolkit divides by the loss of the
    excluded instead of multiplying.)
    """
    k, s = per_class.shape[-1], excluded.sum(-1).to(per_class.dtype)
    ruled_out = torch.where(excluded, per_class, 0.0).sum(-1)
    return per_class.sum(-1) - ruled_out - (k - 1 - s) / s * ruled_out


def squared_of_classes(logits: Tensor) -> Tensor:
    """``sum_k (p_k - [k = j])^2`` for every class j, ``(..., K)`` (no unit, from 0 to 2)."""
    p = logits.softmax(-1)
    return p.square().sum(-1, keepdim=True) - 2 * p + 1


def partial_huber_of_classes(logits: Tensor, threshold=0.1) -> Tensor:
    """``-log p_j`` where ``p_j > threshold``, else its tangent there, ``-log threshold - p_j / threshold + 1``.

    ``(..., K)``, at most ``1 - log threshold``. Source: Menon et al. (2020), "Can gradient clipping mitigate label
    noise?"; threshold 0.1 in Feng et al. (2020).
    """
    log_p = logits.log_softmax(-1)
    threshold = torch.as_tensor(threshold, dtype=log_p.dtype, device=log_p.device)
    p = log_p.exp()
    return torch.where(p > threshold, -log_p, 1 - threshold.log() - p / threshold)


def multiple_log(logits: Tensor, excluded: Tensor) -> Tensor:
    """MCL-LOG: ``-((K - 1) / s) log(sum of p over the allowed)``; Feng et al. (2020), eq. 9.

    K - 1 labels: cross entropy. (One public toolkit has 2 (K - 1) / s here and in MCL-EXP: right for MAE only.)
    """
    k, s = logits.shape[-1], excluded.sum(-1).to(logits.dtype)
    return (k - 1) / s * negative_learning(logits, excluded)


def multiple_exponential(logits: Tensor, excluded: Tensor) -> Tensor:
    """MCL-EXP: ``((K - 1) / s) exp(-sum of p over the allowed)`` (no unit); Feng et al. (2020), eq. 10."""
    k, s = logits.shape[-1], excluded.sum(-1).to(logits.dtype)
    return (k - 1) / s * (-torch.where(excluded, 0.0, logits.softmax(-1)).sum(-1)).exp()


def weighted_complementary(logits: Tensor, excluded: Tensor, weighted: bool = True) -> Tensor:
    """L-W: ``(1 + w) u`` with ``u = -log softmax(1 - p)_l`` and ``w = (1 - p_l) / (K - 1)``; L-UW: u alone.

    Mean over the excluded. w is not held constant for the gradient, as in the published code. Some toolkits call L-W
    "DM". u lies between log(1 + (K - 1) e^(-1/(K - 1))) and log(1 + (K - 1) e): never 0. Source: Gao, Zhang (2021),
    "Discriminative complementary-label learning with weighted loss".
    """
    p = logits.softmax(-1)
    u = -(1 - p).log_softmax(-1)
    return mean_over(excluded, (1 + (1 - p) / (logits.shape[-1] - 1)) * u if weighted else u)


def order_preserving(logits: Tensor, excluded: Tensor, weighted: bool = False) -> Tensor:
    """OP: ``-log softmax(-f)_l``; OP-W: times ``p_l softmax(1 / softmax(-f))_l + 1e-6``. Mean over the excluded.

    The weight is not held constant for the gradient. Where the largest ``1 / softmax(-f)`` is beyond 1e4, all are
    scaled down to that: their softmax is one-hot on the largest logit in any case, and its slope stays finite. Source:
    Liu, Cao, Zhang, Feng, An (2023), "Consistent complementary-label learning via order-preserving losses" (the
    weighted form as in public code).
    """
    against = -(-logits).log_softmax(-1)
    if not weighted:
        return mean_over(excluded, against)
    largest = against.amax(-1, keepdim=True)
    scale = largest.clamp_max(math.log(1e4)).exp()
    outer = (scale * (against - largest).expm1()).softmax(-1)  # of exp(against) less its largest
    return mean_over(excluded, (logits.softmax(-1) * outer + 1e-6) * against)


def complementary_nll(log_complementary: Tensor, excluded: Tensor) -> Tensor:
    """CPE: ``-log`` of the estimated probability of the labels that were given, mean over them.

    ``log_complementary`` ``(..., K)``: log of ``t(p)``, the network's estimate of P(complementary label | x). Source:
    Lin, Lin (2023), "Reduction from complementary-label learning to probability estimates".
    """
    return mean_over(excluded, -log_complementary)


def complementary_distances(complementary: Tensor, transition: Tensor) -> Tensor:
    """L1 distances ``(..., K)``, 0 to 2, of an estimate of P(complementary label | x) ``(..., K)`` to the rows of Q."""
    return (complementary[..., None, :] - transition.to(complementary.dtype)).abs().sum(-1)


def decode_complementary(complementary: Tensor, transition: Tensor) -> Tensor:
    """CPE: class indices ``(...)``, the row of Q nearest to the estimate (the first of equally near ones)."""
    return complementary_distances(complementary, transition).argmin(-1)


def log_complementary(logits: Tensor, transition: Tensor) -> Tensor:
    """``log (Q^T p)``, ``(..., K)``, in log space. A label that no class has is -1e30; a 0 in Q has no slope."""
    q = transition.to(logits.dtype)
    log_q = torch.where(q > 0, torch.where(q > 0, q, 1.0).log(), -1e30)
    return (logits.log_softmax(-1)[..., :, None] + log_q).logsumexp(-2)


def mean_over(excluded: Tensor, values: Tensor) -> Tensor:
    """Mean of ``values`` ``(..., K)`` over the excluded classes of an example, ``(...)``."""
    return torch.where(excluded, values, 0.0).sum(-1) / excluded.sum(-1).to(values.dtype)


__all__ = [
    "complementary_distances", "complementary_nll", "decode_complementary", "log_complementary", "mean_over",
    "multiple_exponential", "multiple_log", "negative_learning", "order_preserving", "pairwise_comparison",
    "partial_huber_of_classes", "squared_of_classes", "surrogate_exponential", "unbiased_of_sets",
    "weighted_complementary",
]  # fmt: skip
