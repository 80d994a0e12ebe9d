"""Labels for "an event comes within the next h hours" that fade with the time to the event.

``d`` is the time to the next event (any shape; a very large number or infinity where none follows), in the unit of the
horizons; gamma is per that unit. Every function returns the probability of the positive class, same shape as ``d``,
does not increase with d, is 1 up to h_min and 0 beyond h_max.

Yèche, Pace, Rätsch, Kuznetsova (2023), "Temporal label smoothing for early event prediction", section 4.2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.losses.basic import cross_entropy
from labkit.names import look_up


def q_hard(d: Tensor, h: float) -> Tensor:
    """``1[d <= h]``: the label that evaluation uses."""
    return (d <= h).to(_float(d))


def q_exp(d: Tensor, gamma, h_min: float, h_max: float) -> Tensor:
    """``(e^(-gamma d) - e^(-gamma h_max)) / (e^(-gamma h_min) - e^(-gamma h_max))`` between the horizons.

    The paper's choice, gamma 0.05 to 0.2 per hour. gamma to 0 is :func:`q_linear`, to infinity a step at h_min. The
    horizon h of the evaluation does not appear in it.
    """
    u, length = d.to(_float(d)).clamp(h_min, h_max) - h_min, h_max - h_min
    gamma = torch.as_tensor(gamma, dtype=u.dtype, device=u.device).clamp_min(1e-12)  # at 0 the limit, not 0 / 0
    return _between(1 - torch.expm1(-gamma * u) / torch.expm1(-gamma * length), d, h_min, h_max)


def q_linear(d: Tensor, h_min: float, h_max: float) -> Tensor:
    """``(h_max - d) / (h_max - h_min)`` between the horizons."""
    d_ = d.to(_float(d)).clamp(h_min, h_max)
    return _between((h_max - d_) / (h_max - h_min if h_max > h_min else 1.0), d, h_min, h_max)


def q_sigmoid(d: Tensor, gamma, h_min: float, h_max: float, h: float) -> Tensor:
    """A logistic curve of slope 1 / gamma, scaled and shifted so that q(h_min) = 1, q(h) = 1/2, q(h_max) = 0.

    ``q = A + C s(d)`` with ``s(d) = sigmoid(-(d - h) / gamma - b)``; b moves the turning point away from h where h is
    not in the middle. gamma to 0 is the hard label (1/2 at h itself).

    Raises:
        ValueError: no such curve: h too far from the middle for so flat a slope (a tensor gamma gives NaN instead).
    """
    if not h_min < h < h_max:
        raise ValueError(f"expected h_min < h < h_max, got {h_min}, {h}, {h_max}")
    d_ = d.to(_float(d)).clamp(h_min, h_max)
    beta = 1 / torch.as_tensor(gamma, dtype=d_.dtype, device=d_.device)
    left, right = torch.exp(-beta * (h - h_min)), torch.exp(-beta * (h_max - h))
    middle = (1 + left * right) / 2
    # q(h) = 1/2 asks s(h_min) - s(h) = s(h) - s(h_max); with s = 1 / (1 + e^b e^(beta (d - h))) this is linear in e^b
    if not torch.is_tensor(gamma) and not (middle > left and middle > right):
        raise ValueError(f"no logistic curve of slope 1/{gamma} is 1, 1/2, 0 at {h_min}, {h}, {h_max}; "
                         "take a smaller gamma or horizons with h in the middle")  # fmt: skip
    b = torch.log((middle - right) / (middle - left))
    s = lambda t: torch.sigmoid(-beta * (t - h) - b)
    top, bottom = s(torch.full_like(d_, h_min)), s(torch.full_like(d_, h_max))
    return _between((s(d_) - bottom) / (top - bottom), d, h_min, h_max)


def q_step(d: Tensor, step: float, h_min: float, h_max: float) -> Tensor:
    """``ceil((h_max - d) / step) / ((h_max - h_min) / step)`` between the horizons: a staircase.

    Raises:
        ValueError: h_max - h_min is not a whole number of steps (the published rule then exceeds 1 at h_min).
    """
    steps = round((h_max - h_min) / step)
    if steps < 1 or abs(steps * step - (h_max - h_min)) > 1e-9 * step:
        raise ValueError(f"h_max - h_min = {h_max - h_min} must be a whole number of steps of {step}")
    d_ = d.to(_float(d)).clamp(h_min, h_max)
    return _between(torch.ceil((h_max - d_) / step) / steps, d, h_min, h_max)


SHAPES = {
    "exp": lambda d, gamma, h_min, h_max, h: q_exp(d, gamma, h_min, h_max),
    "sigmoid": q_sigmoid,
    "step": lambda d, gamma, h_min, h_max, h: q_step(d, gamma, h_min, h_max),
    "linear": lambda d, gamma, h_min, h_max, h: q_linear(d, h_min, h_max),
    "hard": lambda d, gamma, h_min, h_max, h: q_hard(d, h),
}


def temporal_target(d: Tensor, shape: str, gamma, h_min: float, h_max: float, h: float) -> Tensor:
    """Targets over the two classes (no event within h, event), ``(..., 2)``; shapes are the keys of ``SHAPES``."""
    q = look_up("shape", shape, SHAPES)(d, gamma, h_min, h_max, h)
    return torch.stack([1 - q, q], -1)


def temporal_smoothing(logits: Tensor, d: Tensor, shape: str, gamma, h_min: float, h_max: float, h: float) -> Tensor:
    """Soft binary cross entropy in nats, same shape as ``d``: two logits ``(..., 2)`` against the faded label.

    It is smallest where ``sigmoid(z_1 - z_0) = q``.
    """
    return cross_entropy(logits, temporal_target(d.to(logits), shape, gamma, h_min, h_max, h))


def _between(q: Tensor, d: Tensor, h_min: float, h_max: float) -> Tensor:
    return torch.where(d <= h_min, 1.0, torch.where(d > h_max, 0.0, q)).to(q.dtype)


def _float(d: Tensor) -> torch.dtype:
    return d.dtype if d.is_floating_point() else torch.get_default_dtype()


__all__ = [
    "SHAPES",
    "q_exp",
    "q_hard",
    "q_linear",
    "q_sigmoid",
    "q_step",
    "temporal_smoothing",
    "temporal_target",
]
