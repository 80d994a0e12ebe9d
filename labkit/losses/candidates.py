"""Losses of candidate sets: one class of the set is the true one.

Logits ``(..., K)``, ``mask`` ``(..., K)`` booleans (True: candidate), values ``(...)`` in nats. The likelihood of the
set, ``-log sum_S p_j`` ("CC", Feng et al., 2020), is :func:`labkit.losses.evidence_nll` of the mask.
"""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.losses.basic import log_of_the_rest
from labkit.losses.robust import FULL_MAE, _gce, _miss


def restricted(logits: Tensor, mask: Tensor) -> Tensor:
    """Predictions renormalised on the set, ``p_j / sum_S p``, ``(..., K)``; 0 outside it.

    From the logits, so that a set that the network holds for impossible (every p rounds to 0) has its shares too.
    """
    return torch.where(mask, logits, -torch.inf).softmax(-1)


def average_loss(per_class: Tensor, mask: Tensor) -> Tensor:
    """``(1 / s) sum_S l_j`` of losses ``(..., K)`` of every class (ABS, average-based strategy).

    Source: Lv et al. (2024), "On the robustness of average losses for partial-label learning": robust where the loss
    is bounded and symmetric (``mae``, ``gce``), not with cross entropy. One candidate: the ordinary loss.
    """
    return torch.where(mask, per_class, 0.0).sum(-1) / mask.sum(-1).to(per_class.dtype)


def cross_entropy_of_classes(logits: Tensor) -> Tensor:
    """``-log p_j`` for every class, ``(..., K)``."""
    return -logits.log_softmax(-1)


def mae_of_classes(logits: Tensor) -> Tensor:
    """``sum_k |p_k - [k = j]| = 2 - 2 p_j`` for every class (no unit)."""
    return FULL_MAE * _miss(logits.log_softmax(-1))


def gce_of_classes(logits: Tensor, q=0.7) -> Tensor:
    """``(1 - p_j^q) / q`` for every class (no unit); Zhang, Sabuncu (2018), published q = 0.7; q = 0: ``-log p_j``."""
    return _gce(logits.log_softmax(-1), q)


CLASS_LOSSES = {  # name -> losses of every class, from logits (..., K) and q
    "cross entropy": lambda logits, q: cross_entropy_of_classes(logits),
    "mae": lambda logits, q: mae_of_classes(logits),
    "gce": gce_of_classes,
}


def average_cross_entropy(logits: Tensor, mask: Tensor) -> Tensor:
    """``-(1 / s) sum_S log p_j``: every candidate counts alike. At least CC + log s (Jensen)."""
    return average_loss(cross_entropy_of_classes(logits), mask)


def outside_cross_entropy(logits: Tensor, mask: Tensor) -> Tensor:
    """``-sum over classes outside the set of log(1 - p_j)``: each of them is ruled out by itself."""
    return torch.where(mask, 0.0, -log_of_the_rest(logits.log_softmax(-1))).sum(-1)


def leveraged(logits: Tensor, mask: Tensor, weights: Tensor, beta=1.0, form: str = "sigmoid") -> Tensor:
    """LWS: ``sum_S w_j psi(f_j) + beta sum_{not S} w_j psi(-f_j)``, weights given (see :func:`leverage_weights`).

    ``form`` "sigmoid": ``psi(z) = 1 / (1 + e^z)`` (no unit); "cross entropy": ``-log p_j`` inside and
    ``-log(1 - p_j)`` outside. Source: Wen et al. (2021), "Leveraged weighted loss for partial label learning", eq. 3;
    published beta 1 or 2.

    Raises:
        ValueError: another form.
    """
    if form == "sigmoid":
        inside, outside = torch.sigmoid(-logits), torch.sigmoid(logits)
    elif form == "cross entropy":
        log_p = logits.log_softmax(-1)
        inside, outside = -log_p, -log_of_the_rest(log_p)
    else:
        raise ValueError(f"form is 'sigmoid' or 'cross entropy', got {form!r}")
    return (weights * torch.where(mask, inside, beta * outside)).sum(-1)


def leverage_weights(logits: Tensor, mask: Tensor) -> Tensor:
    """Predictions renormalised inside and, separately, outside the set, ``(..., K)``; an empty outside has none."""
    outside = torch.where(mask, -1e30, logits).softmax(-1)
    return torch.where(mask, restricted(logits, mask), outside)


def class_activation_target(logits: Tensor, mask: Tensor) -> Tensor:
    """CAVL: the candidate with the largest class activation value ``|f_j - 1| f_j``, ``(...)`` class indices.

    Source: Zhang, F. et al. (2022), "Exploiting class activation value for partial-label learning", eq. 5. The
    published code multiplies by the mask, so a class outside the set (value 0) beats candidates with negative logits.
    """
    return torch.where(mask, (logits - 1).abs() * logits, -torch.inf).argmax(-1)


def pairwise_sigmoid(logits: Tensor) -> Tensor:
    """``sigmoid(f_i - f_j)``, ``(..., K, K)`` (no unit)."""
    return torch.sigmoid(logits[..., :, None] - logits[..., None, :])


__all__ = [
    "CLASS_LOSSES", "average_cross_entropy", "average_loss", "class_activation_target", "cross_entropy_of_classes",
    "gce_of_classes", "leverage_weights", "leveraged", "mae_of_classes", "outside_cross_entropy", "pairwise_sigmoid",
    "restricted",
]  # fmt: skip
