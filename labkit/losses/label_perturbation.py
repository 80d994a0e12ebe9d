"""Labels of two classes, perturbed on purpose.

Targets ``(..., 2)``, logits ``(..., 2)``; the logit of the second class less that of the first is the z of binary
cross entropy.
"""

from __future__ import annotations

from torch import Tensor


def perturbed(target: Tensor, strength) -> Tensor:
    """``(1 - 2 b) y + b`` in both classes, ``(..., 2)``: b = 1 flips, 0.5 erases, small b smooths (by 2 b).

    Liu, Ye, Wang, Cui, Zhang, Zhang, Barnes (2023), "Model calibration in dense classification with adaptive label
    perturbation". Their default b = 2 gives targets of -1 and 2. Perturbed with probability a, the expected target is
    ``(1 - 2 a b) y + a b``: cross entropy is linear in the target, so in expectation only the product a b matters.
    """
    _two(target)
    return (1 - 2 * strength) * target + strength


def signed_logit(logits: Tensor, target: Tensor) -> Tensor:
    """``(2 y - 1) z``, ``(...)``: how far the network is on the label's side.

    ``1 / b`` times the slope of the expected self-calibrating loss in the rate a. (The authors' ``-2 BCE - log s -
    log(1 - s)`` is the same number, and overflows.)
    """
    _two(logits)
    _two(target)
    return (target[..., 1] - target[..., 0]) * (logits[..., 1] - logits[..., 0])


def _two(values: Tensor) -> None:
    if values.shape[-1] != 2:
        raise ValueError(f"label perturbation is defined for two classes, got shape {tuple(values.shape)}")
