"""Smoothing seen as a penalty on logits, taken apart, and its relatives. Logits ``(..., K)``, values ``(...)`` in nats.

Targets are ``(...)`` class indices or ``(..., K)`` weights; z_y below is the target's mean logit ``sum_k t_k z_k``,
which is the labelled class's logit where the target is one-hot.
"""

from __future__ import annotations

from torch import Tensor

from labkit.evidence import one_hot
from labkit.losses.basic import cross_entropy


def smoothing_decomposition(logits: Tensor, target: Tensor, smoothing=1.0) -> tuple[Tensor, Tensor]:
    """What label smoothing adds to cross entropy, ``a (z_y - mean_k z_k)``, as a sum of two terms of opposite sign.

    regularisation     R =  (a / K) sum_{k: z_k < z_y} (z_y - z_k) >= 0   pushes the label's logit down to the others
    error enhancement  E = -(a / K) sum_{k: z_k > z_y} (z_k - z_y) <= 0   rewards logits for lying *above* the label's

    ``CE + R + E`` is label smoothing exactly; E = 0 if and only if the label's logit is the largest.

    Zhou, Li, Cheng, Yan, Dong and others (2025), "MaxSup: overcoming representation collapse in label smoothing".

    Args:
        smoothing: a; with the default 1 the terms are per unit of smoothing.
    """
    above = _label_logit(logits, target)[..., None] - logits
    share = smoothing / logits.shape[-1]
    return share * above.relu().sum(-1), -share * (-above).relu().sum(-1)


def smoothing_without_error_term(logits: Tensor, target: Tensor, smoothing) -> Tensor:
    """``CE + R``: label smoothing less what it does to wrong predictions (Zhou et al., 2025; an ablation there)."""
    return cross_entropy(logits, target) + smoothing_decomposition(logits, target, smoothing)[0]


def maxsup(logits: Tensor, target: Tensor, weight) -> Tensor:
    """``CE + a (max_k z_k - mean_k z_k)``: the largest logit is held down, whoever's it is.

    Zhou et al. (2025); a grows from 0.1 to 0.2 in training. It is label smoothing wherever the prediction is the
    label, exceeds it by ``a (max z - z_y)`` elsewhere, and does not change when a constant is added to all logits.
    Among equal largest logits one takes the (sub)gradient.
    """
    return cross_entropy(logits, target) + weight * (logits.max(-1).values - logits.mean(-1))


def logit_penalty(logits: Tensor, target: Tensor, weight) -> Tensor:
    """``CE + (beta / 2) sum_k z_k^2``: a spring on every logit, right or wrong.

    Dauphin, Cubuk (2021), "Deconstructing the regularization of BatchNorm"; beta = 2e-3 as Zhou et al. (2025) run it.
    """
    return cross_entropy(logits, target) + weight / 2 * logits.square().sum(-1)


def _label_logit(logits: Tensor, target: Tensor) -> Tensor:
    """``sum_k t_k z_k``, shape ``(...)``: one dimension fewer than the logits, as the class axis is summed away.

    (A label logit that keeps a class axis and is compared again along a new one turns n examples into n x n.)
    """
    weights = target if target.is_floating_point() else one_hot(target, logits.shape[-1], logits.dtype)
    if weights.shape != logits.shape:
        raise ValueError(
            f"a target holds one class index per example or one weight per logit; logits are {tuple(logits.shape)}, "
            f"the target is {tuple(target.shape)}"
        )
    return (weights * logits).sum(-1)
