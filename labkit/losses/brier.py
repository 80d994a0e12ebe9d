"""The Brier score as a loss."""

from __future__ import annotations

from torch import Tensor

from labkit.evidence import one_hot


def brier(logits: Tensor, target: Tensor) -> Tensor:
    """``sum_k (p_k - t_k)^2``, from 0 to 2.

    Logits ``(..., K)``, target class indices or ``(..., K)`` weights, value ``(...)``. Brier (1950), "Verification of
    forecasts expressed in terms of probability". Proper, like cross entropy, but bounded: a sure mistake costs 2, not
    everything. It is no number of nats.
    """
    weights = target if target.is_floating_point() else one_hot(target, logits.shape[-1], logits.dtype)
    return (logits.softmax(-1) - weights).square().sum(-1)
