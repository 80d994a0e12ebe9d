"""What the labels around a pixel say: targets softened by neighbours, and logits held to the neighbours' shares.

Masks as targets are ``(..., H, W, K)``, hard (one-hot) or soft; logits ``(..., K)``; values in nats.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.evidence import one_hot

KERNELS = ("mean", "svls")


def neighbour_kernel(kernel: str = "mean", size: int = 3, sigma: float = 1.0) -> Tensor:
    """Weights of a ``size`` x ``size`` square, summing to 1, float64.

    "mean": all equal, the pixel itself among them. "svls": a Gaussian whose centre is replaced by the sum of all other
    weights, so that the pixel itself has exactly one half whatever ``sigma`` (in pixels) is. (In the authors' code the
    centre is looked up at [1, 1], which is the centre of a 3 x 3 square only.)
    """
    if kernel not in KERNELS or size < 1 or size % 2 == 0 or not sigma > 0:
        raise ValueError(f"expected one of {KERNELS}, an odd size and sigma > 0, got {kernel!r}, {size} and {sigma}")
    if kernel == "mean" or size == 1:
        return torch.full((size, size), 1 / size**2, dtype=torch.float64)
    away = torch.arange(size, dtype=torch.float64) - size // 2
    weights = torch.exp(-(away[:, None] ** 2 + away**2) / (2 * sigma**2))
    weights[size // 2, size // 2] = 0
    weights = weights / (2 * weights.sum())
    weights[size // 2, size // 2] = 0.5
    return weights


def neighbour_shares(target: Tensor, kernel: str = "mean", size: int = 3, sigma: float = 1.0) -> Tensor:
    """``tau_k``, the weighted share of class k around each pixel: ``(..., H, W, K)`` of the same shape, rows sum to 1.

    Beyond the image its edge repeats. (The authors' mean kernel has zeros there, which count as class 0.)
    """
    if target.ndim < 3 or not target.is_floating_point():
        raise ValueError(f"expected masks as targets (..., H, W, K), got {target.dtype} {tuple(target.shape)}")
    weights = neighbour_kernel(kernel, size, sigma).to(target)
    planes = target.movedim(-1, -3).reshape(-1, 1, *target.shape[-3:-1])
    planes = F.pad(planes, (size // 2,) * 4, mode="replicate")
    shares = F.conv2d(planes, weights[None, None])
    return shares.reshape(*target.shape[:-3], target.shape[-1], *target.shape[-3:-1]).movedim(-3, -1)


def svls_target(mask: Tensor, n_classes: int, size: int = 3, sigma: float = 1.0) -> Tensor:
    """Spatially varying label smoothing: ``(..., H, W)`` class indices -> targets ``(..., H, W, K)``.

    One half the pixel's own label, one half its neighbours' (see :func:`neighbour_kernel`); inside a region nothing is
    smoothed. Islam, Glocker (2021), "Spatially varying label smoothing: capturing uncertainty from expert annotations",
    with their 3 x 3 square and sigma = 1. Cross entropy against it is cross entropy with the hard mask plus
    ``sum_k (1[k = y] - t_k) z_k`` (Murugesan et al., 2023): a constraint on logits whose weight nobody can set.
    """
    return neighbour_shares(one_hot(mask, n_classes), "svls", size, sigma)


def neighbour_penalty(logits: Tensor, shares: Tensor, power: int = 1) -> Tensor:
    """``mean_k |tau_k - z_k| ** power``, ``(..., K)`` twice -> ``(...)``: the logits themselves should be the shares.

    Murugesan, Adiga Vasudeva, Liu, Lombaert, Ben Ayed, Dolz (2023), "Trust your neighbours", and (2024),
    "Neighbor-aware calibration of segmentation networks with penalty-based constraints" (NACL): cross entropy plus 0.1
    times this, with the mean kernel and ``power=1``; averaged over classes as in the authors' code. Shares lie in
    [0, 1], so in the middle of a region the penalty alone would leave the confidence at ``e / (e + K - 1)``.
    """
    if power not in (1, 2):
        raise ValueError(f"power is 1 (absolute) or 2 (squared), got {power!r}")
    apart = shares - logits
    return (apart.abs() if power == 1 else apart.square()).mean(-1)
