"""How much of the signal noise leaves: relative signal strength, and what it promises to those who ignore noise.

Zhu, Zhang, Gangrade, Scott (2024), "Label noise: ignorance is bliss", NeurIPS. At a point x with clean posterior
``eta`` and noisy posterior ``eta_noisy`` (both ``(K,)``), the relative signal strength is

    M(x) = min_j (max_i eta_noisy_i - eta_noisy_j) / (max_i eta_i - eta_j),   0/0 and c/0 being infinite.

A prediction j that costs ``max eta - eta_j`` in truth costs at least M(x) times that in the eyes of the noise. So
what is learnt from noisy labels carries over: for every k > 0 and every classifier

    R - R* <= P(M < k) + (noisy R - noisy R*) / k.

M is never negative, may exceed 1, and is 0 exactly where the noise moves the most likely class. Everything is float64;
``weights`` ``(n,)`` are the probabilities of the points, alike if not given.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.evidence import stochastic_matrix


def noisy_posterior(posterior: Tensor, transition: Tensor) -> Tensor:
    """``eta_noisy_l = sum_c eta_c T[c, l]``, ``(n, K)``.

    Args:
        posterior: ``(n, K)`` clean. transition: ``(K, K)``, or ``(n, K, K)`` where noise depends on the example (as
            ``transition_at`` of the annotators in :mod:`labkit.annotate.instance` gives it).
    """
    posterior, transition = posterior.double(), torch.as_tensor(transition).double()
    if transition.ndim == 2:
        stochastic_matrix(transition, posterior.shape[-1])
    elif transition.shape != (*posterior.shape, posterior.shape[-1]):
        raise ValueError(f"one (K, K) matrix, or one for each of the {len(posterior)} examples, is needed; got shape "
                         f"{tuple(transition.shape)} for posteriors {tuple(posterior.shape)}")  # fmt: skip
    return (posterior[..., None, :] @ transition)[..., 0, :]


def signal_strength(clean: Tensor, noisy: Tensor) -> Tensor:
    """M at each point, ``(n, K)`` clean and noisy posteriors to ``(n,)``; infinite where all classes tie."""
    clean_gap, noisy_gap = (p.double().amax(-1, keepdim=True) - p.double() for p in (clean, noisy))
    ratio = torch.where(clean_gap > 0, noisy_gap / torch.where(clean_gap > 0, clean_gap, 1.0), torch.inf)
    return ratio.amin(-1)


def symmetric_strength(rate: float, n_classes: int) -> float:
    """M of symmetric noise, the same at every point: ``1 - rate K / (K - 1)``, as long as that is not negative.

    Beyond ``rate = (K - 1) / K`` the true class is said less often than any other one, and M is 0.
    """
    return max(0.0, 1 - rate * n_classes / (n_classes - 1))


def excess_risk(posterior: Tensor, predicted: Tensor, weights: Tensor | None = None) -> Tensor:
    """``E[max_i eta_i - eta_predicted]``: error above the best possible, a 0-d tensor. ``predicted`` is ``(n,)``."""
    posterior = posterior.double()
    lost = posterior.amax(-1) - posterior.gather(-1, predicted[..., None])[..., 0]
    return (_weights(posterior, weights) * lost).sum()


@dataclass(frozen=True)
class Bound:
    """``P(M < k) + noisy excess / k`` at the levels k where it can be smallest: the values that M takes.

    Attributes: ``level``, ``weak`` (P(M < k)) and ``total`` (``(levels,)`` each), and ``best``, the least total (at
    most 1, which is what k near 0 promises of any classifier).
    """

    level: Tensor
    weak: Tensor
    total: Tensor
    best: float


def bound(clean: Tensor, noisy: Tensor, noisy_excess: float, weights: Tensor | None = None) -> Bound:
    """The promise for any classifier whose noisy labels' error is ``noisy_excess`` above the best possible.

    Between two values of M the first term stands still and the second falls, so only values of M are looked at.
    """
    strength, order = signal_strength(clean, noisy).sort()
    below = torch.cat([torch.zeros(1, dtype=torch.float64), _weights(clean.double(), weights)[order].cumsum(0)])
    level = strength[strength > 0].unique()
    weak = below[torch.searchsorted(strength, level)]  # those strictly weaker
    total = weak + noisy_excess / level
    return Bound(level, weak, total, min(1.0, float(total.min())) if len(level) else 1.0)


def ignorant_floor(clean: Tensor, noisy: Tensor, weights: Tensor | None = None) -> tuple[float, float]:
    """Where ignoring noise ends with endless data: ``(excess risk, P(M = 0))``; the first is at most the second.

    The classifier learnt from endless noisy labels predicts the likeliest noisy class. That is wrong only where M = 0.
    """
    strength = signal_strength(clean, noisy)
    lost = excess_risk(clean, noisy.argmax(-1), weights)
    return float(lost), float((_weights(clean.double(), weights) * (strength == 0)).sum())


def _weights(posterior: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return torch.full((len(posterior),), 1 / len(posterior), dtype=torch.float64)
    if weights.shape != posterior.shape[:1] or not abs(float(weights.sum()) - 1) < 1e-9 or (weights < 0).any():
        raise ValueError(f"weights are {len(posterior)} probabilities that sum to 1, got shape {tuple(weights.shape)} "
                         f"and sum {float(weights.sum()):g}")  # fmt: skip
    return weights.double()


__all__ = [
    "Bound", "bound", "excess_risk", "ignorant_floor", "noisy_posterior", "signal_strength", "symmetric_strength",
]  # fmt: skip
