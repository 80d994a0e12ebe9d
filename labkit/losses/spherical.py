"""Spherical losses: they see the outputs o ``(..., K)`` only through ``sum_k o_k``, ``sum_k o_k^2`` and ``o_y``.

For such a loss the gradient step of a huge output layer costs no more with more classes (Vincent, de Brébisson,
Bouthillier, 2015, "Efficient exact gradient update for training deep networks with very large sparse targets"); that
update is not built here. A target distribution averages over labels, values ``(...)``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.losses.robust import of_label


def z_scores(outputs: Tensor) -> Tensor:
    """``(o_k - mean) / sd``, sd the population standard deviation over the classes; none exceeds ``sqrt(K - 1)``.

    Blind to shift and (positive) scale of the outputs. Where all outputs are equal, no direction is defined: there the
    scores are 0 and so is their gradient, so a network must not start there.
    """
    centred = outputs - outputs.mean(-1, keepdim=True)
    largest = centred.abs().amax(-1, keepdim=True).detach()  # squares of large or tiny outputs stay within range
    centred = centred / torch.where(largest > 0, largest, 1.0)
    variance = centred.square().mean(-1, keepdim=True)
    return centred / torch.where(largest > 0, variance, 1.0).sqrt() * (largest > 0)


def z_loss(outputs: Tensor, target: Tensor, a=1.0, b=0.0) -> Tensor:
    """``softplus(a (b - z_y)) / a`` on :func:`z_scores`, a > 0; never below its value at ``z_y = sqrt(K - 1)``.

    de Brébisson, Vincent (2016), "The Z-loss: a shift and scale invariant classification loss belonging to the
    spherical family"; the released example has a = 1, b = 0.
    """
    return of_label(F.softplus(a * (b - z_scores(outputs)), threshold=40) / a, target)


def taylor_softmax(outputs: Tensor, target: Tensor) -> Tensor:
    """``-log(t_y / sum_k t_k)`` with ``t_k = 1 + o_k + o_k^2 / 2``, which is above 0 for every output.

    de Brébisson, Vincent (2016), "An exploration of softmax alternatives belonging to the spherical loss family".
    """
    log = taylor_log(outputs)
    return of_label(log.logsumexp(-1, keepdim=True) - log, target)


def spherical_softmax(outputs: Tensor, target: Tensor, epsilon=1e-3) -> Tensor:
    """``-log(t_y / sum_k t_k)`` with ``t_k = o_k^2 + epsilon``: blind to the sign of an output.

    de Brébisson, Vincent (2016), as above; its epsilon could not be read, 1e-3 is ours.
    """
    log = spherical_log(outputs, epsilon)
    return of_label(log.logsumexp(-1, keepdim=True) - log, target)


def taylor_log(outputs: Tensor) -> Tensor:
    """``log(1 + o + o^2 / 2)``: what a Taylor softmax has in the place of logits."""
    return (0.5 + 0.5 * (1 + outputs).square()).log()


def spherical_log(outputs: Tensor, epsilon=1e-3) -> Tensor:
    """``log(o^2 + epsilon)``: what a spherical softmax has in the place of logits."""
    return (outputs.square() + epsilon).log()
