"""Unbiased risk estimators for complementary labels, and the two corrections that keep them from going below zero.

``per_class`` ``(n, K)``: an ordinary loss of every class for every example (:func:`cross_entropy_of_classes`);
``excluded`` ``(n, K)`` booleans, True: said not to be this class, at least one an example. Several labels of an example
count as repeats of it with one label each. Source: Ishida, Niu, Menon, Sugiyama (2019), "Complementary-label learning
for arbitrary losses and models", theorem 1 and section 3.3. Q[c, l] = P(label l | class c): any with an inverse.
"""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.annotate.complementary import uniform_complement
from labkit.losses.complementary import mean_over


def inverse_transition(transition: Tensor | None, n_classes: int) -> Tensor:
    """Q^-1 ``(K, K)`` float64 (rows sum to 1); None is the uniform Q, whose inverse is ``1 - (K - 1) I``.

    Raises:
        ValueError: a matrix that has no inverse (classes that the complementary labels do not tell apart).
    """
    matrix = uniform_complement(n_classes) if transition is None else transition.double()
    if not torch.linalg.cond(matrix) < 1e8:  # also true of NaN
        raise ValueError(
            "this transition matrix has no inverse: some classes have the same complementary labels, so no unbiased "
            f"estimator exists; its smallest singular value is {float(torch.linalg.svdvals(matrix)[-1]):.3g}"
        )
    return torch.linalg.inv(matrix)


def unbiased_loss(per_class: Tensor, excluded: Tensor, inverse: Tensor) -> Tensor:
    """``sum_y Q^-1[l, y] l_y`` ``(n,)``, mean over the labels l: on average over l the loss of the true class.

    May be negative. With uniform labels it is :func:`labkit.losses.unbiased_of_sets`; K - 1 of them: the ordinary loss.
    """
    return mean_over(excluded, per_class @ inverse.to(per_class.dtype).mT)


def risk_by_class(per_class: Tensor, excluded: Tensor, inverse: Tensor, prior: Tensor) -> Tensor:
    """``r_y = sum_l prior_l Q^-1[l, y] mean of l_y over examples with label l``, ``(K,)``.

    Each estimates ``P(class y) E[loss of y | class y]``, which is not negative for a loss that is not. ``prior``
    ``(K,)``: shares of the complementary labels in training. The sum of r is the mean of :func:`unbiased_loss` over all
    labels where the batch has these shares; labels that a batch lacks add nothing. Public toolkits clamp per
    complementary label instead (the wrong axis), and one multiplies by ``prior_y`` for ``prior_l``.
    """
    told = excluded.to(per_class.dtype)
    mean = told.mT @ per_class / told.sum(0).clamp_min(1)[:, None]  # [l, y]
    return (prior.to(per_class.dtype)[:, None] * inverse.to(per_class.dtype) * mean).sum(0)


def non_negative_risk(by_class: Tensor, beta=0.0) -> Tensor:
    """``sum_y max(r_y, -beta)``: the sum where all are at least -beta (infinity: always)."""
    return torch.maximum(by_class, -torch.as_tensor(beta, dtype=by_class.dtype, device=by_class.device)).sum()


def gradient_ascent_risk(by_class: Tensor, beta=0.0, discount=1.0) -> Tensor:
    """The sum of ``r_y`` whose gradient is, where some ``r_y < -beta``, minus ``discount`` that of these alone.

    So a step on it *raises* what has gone below and leaves the others. (The paper discounts the step size: the same for
    plain gradient descent, not for Adam. The authors' code weights classes by their complementary counts when it tests
    and sums, which the paper does not.)
    """
    beta = torch.as_tensor(beta, dtype=by_class.dtype, device=by_class.device)
    plain, below = by_class.sum(), by_class < -beta
    raised = -discount * torch.where(below, by_class, 0.0).sum()
    descended = torch.where(below.any(), raised, plain)
    return plain.detach() + descended - descended.detach()


__all__ = ["gradient_ascent_risk", "inverse_transition", "non_negative_risk", "risk_by_class", "unbiased_loss"]
