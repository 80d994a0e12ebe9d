"""Unbiased risk estimators for complementary labels, and the two corrections that keep them from going below zero.

``per_class`` ``(n, K)``: an ordinary loss of every class for every example (:func:`cross_entropy_of_classes`);
``label`` ``(n,)`` the complementary label; ``transition`` Q ``(K, K)``. Source: Ishida, Niu, Menon, Sugiyama (2019),
"Complementary-label learning for arbitrary losses and models", theorem 1 and section 3.3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.annotate.complementary import uniform_complement
from labkit.evidence import one_hot


def inverse_transition(transition: Tensor | None, n_classes: int) -> Tensor:
    """Q^-1 ``(K, K)`` float64 (rows sum to 1); None is the uniform Q, whose inverse is ``1 - (K - 1) I``."""
    if transition is None:
        transition = uniform_complement(n_classes)
    return torch.linalg.inv(transition.double())


def unbiased_loss(per_class: Tensor, label: Tensor, inverse: Tensor) -> Tensor:
    """``sum_y Q^-1[l, y] l_y`` ``(n,)``: its mean over l given the class is the loss of that class; may be negative."""
    return (inverse.to(per_class.dtype)[label] * per_class).sum(-1)


def risk_by_class(per_class: Tensor, label: Tensor, inverse: Tensor, prior: Tensor) -> Tensor:
    """``r_y = sum_l pi_l Q^-1[l, y] mean of l_y over examples with label l``, ``(K,)``.

    Each estimates ``P(class y) E[loss of y | class y]``, which is not negative. Their sum is the mean of
    :func:`unbiased_loss` where ``prior`` (shares of the complementary labels in training, pi) fits the batch; labels
    that a batch lacks add nothing. Public toolkits clamp per complementary label instead (the wrong axis).
    """
    told = one_hot(label, per_class.shape[-1], per_class.dtype)  # (n, K)
    count = told.sum(0)
    mean = told.mT @ per_class / count.clamp_min(1)[:, None]  # [l, y]
    return (prior.to(per_class.dtype)[:, None] * inverse.to(per_class.dtype) * mean).sum(0)


def non_negative_risk(by_class: Tensor, beta=0.0) -> Tensor:
    """``sum_y max(r_y, -beta)``: the sum where all are at least -beta."""
    return torch.maximum(by_class, -torch.as_tensor(beta, dtype=by_class.dtype, device=by_class.device)).sum()


def gradient_ascent_risk(by_class: Tensor) -> Tensor:
    """What a step descends on: the sum of ``r_y``, or where one is negative, minus the sum of the negative ones.

    (So a step *raises* what has gone below zero. The value is that of the plain sum; only the gradient differs. The
    authors' code weights classes by their complementary counts, which the paper does not.)
    """
    plain, negative = by_class.sum(), by_class.clamp_max(0).sum()
    descended = torch.where((by_class < 0).any(), -negative, plain)
    return plain.detach() + descended - descended.detach()


__all__ = ["gradient_ascent_risk", "inverse_transition", "non_negative_risk", "risk_by_class", "unbiased_loss"]
