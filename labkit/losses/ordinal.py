"""Soft targets for classes that have an order, and pixel weights for ordered maps.

A target table is ``(K, K)``: row y is the target distribution of class y. ``one_hot(y) @ table`` is its use.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from labkit.losses.basic import cross_entropy
from labkit.losses.smoothing import smooth
from labkit.names import look_up

DISTANCES = {
    "l1": lambda r, alpha: (alpha * (r[:, None] - r[None, :])).abs(),
    "l2": lambda r, alpha: (alpha * (r[:, None] - r[None, :])) ** 2,
    "logl2": lambda r, alpha: (alpha * (r.log()[:, None] - r.log()[None, :])) ** 2,
}


def ordinal_targets(ranks, distance: str = "l1", alpha=1.0, dtype: torch.dtype | None = None) -> Tensor:
    """``t_yk = softmax_k(-phi(r_y, r_k))``: the further a class from the true one, the less it gets; ``(K, K)``.

    Díaz, Marathe (2019), "Soft labels for ordinal regression" (SORD), equation 1; with three levels of driveability
    in Humblot-Renaux, Marchegiani, Moeslund, Gade (2022), who try alpha 1 and 2 and the three distances.

    Args:
        ranks: number of classes K (their ranks are 1 to K), or the rank of every class.
        distance: phi: "l1" ``|alpha (r_y - r_k)|``, "l2" its square, "logl2" the same on ``log r`` (ranks above 0).
        alpha: steepness, from 0 (uniform) to infinity (one-hot); may be a 0-d tensor.

    Raises:
        ValueError: fewer than two classes, equal ranks, an unknown distance, or ranks without a logarithm for "logl2".
    """
    r = _ranks(ranks, dtype)
    phi = look_up("distance", distance, DISTANCES)
    if distance == "logl2" and not isinstance(ranks, int) and min(ranks) <= 0:
        raise ValueError(f"distance 'logl2' takes the logarithm of ranks; give ranks above 0, got {list(ranks)}")
    return torch.softmax(-phi(r, alpha), -1)


def gaussian_targets(ranks, sigma=0.5, dtype: torch.dtype | None = None) -> Tensor:
    """``t_yk`` proportional to ``exp(-(r_k - r_y)^2 / (2 sigma^2))``, rows renormalised; ``(K, K)``.

    Kuang, Song, Michoski (2024), HiSTN, sigma 0.5 on five levels: 0.881, 0.119, 0.0003 at distance 0, 1, 2 from an end
    level, 0.787, 0.106, 0.0003 from an inner one. It is SORD with squared distance and alpha = 1 / (sigma sqrt 2).
    """
    return ordinal_targets(ranks, "l2", 0.5**0.5 / sigma, dtype)


def adjacent_targets(ranks, smoothing=0.1, dtype: torch.dtype | None = None) -> Tensor:
    """``1 - smoothing`` on the class, ``smoothing`` shared equally by its neighbours in rank (an end level has one)."""
    r = _ranks(ranks, dtype)
    place = r.argsort().argsort()  # 0 to K - 1, whatever the distances between ranks
    near = ((place[:, None] - place[None, :]).abs() == 1).to(r.dtype)
    return (1 - smoothing) * torch.eye(len(r), dtype=r.dtype) + smoothing * near / near.sum(-1, keepdim=True)


def ordinal_cross_entropy(logits: Tensor, target: Tensor, table: Tensor) -> Tensor:
    """Cross entropy against ``target @ table``, ``(n,)`` in nats; the identity as table is cross entropy.

    The papers write KL(t || p). It is smaller by the entropy of t, which does not depend on the network.
    """
    return cross_entropy(logits, target @ table.to(logits))


def matching_smoothing(table: Tensor) -> float:
    """The amount a of uniform smoothing ``(1 - a) e_y + a / K`` whose entropy is the mean entropy of the table's rows.

    So that "soft" and "soft in the right places" can be told apart: the same doubt, spread without an order.
    """
    from scipy.optimize import brentq

    table = table.double()
    wanted = float(torch.special.entr(table).sum(-1).mean())
    first = torch.eye(len(table), dtype=torch.float64)[0]
    excess = lambda a: float(torch.special.entr(smooth(first, a)).sum()) - wanted
    if excess(1.0) <= 0:
        return 1.0
    return float(brentq(excess, 0.0, 1.0)) if wanted > 0 else 0.0


def driveability_weights(mask, low: float = 0.1, high: float = 1.0) -> Tensor:
    """Weights of the pixels of a class map: large near the camera (the bottom rows) and away from class borders.

    ``w = depth (1 - exp(-distance / (1 + 30 (1 - depth^2)^2)))``, then stretched to [low, high]; depth is row / height
    (0 at the top) and distance, in pixels, goes to the nearest border pixel (0 on a border).
    Humblot-Renaux, Marchegiani, Moeslund, Gade (2022), section III-C, range [0.1, 1]. They find borders with a Roberts
    filter, which marks one side; here a pixel is on a border if one of its four neighbours has another class. The
    weights multiply the loss of a pixel, and the sum is divided by the number of pixels, not by the sum of weights.

    Args:
        mask: ``(H, W)`` class per pixel.

    Returns: ``(H, W)`` float64; a map on which all weights are equal gets ``high`` everywhere.
    """
    from scipy.ndimage import distance_transform_edt

    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.size == 0:
        raise ValueError(f"a class map has shape (H, W), got {mask.shape}; weigh the maps of a batch one by one")
    border = np.zeros(mask.shape, bool)
    down, right = mask[1:] != mask[:-1], mask[:, 1:] != mask[:, :-1]
    for part in (border[1:], border[:-1]):
        part |= down
    for part in (border[:, 1:], border[:, :-1]):
        part |= right
    distance = distance_transform_edt(~border) if border.any() else np.full(mask.shape, np.inf)
    depth = np.broadcast_to(np.arange(len(mask))[:, None] / len(mask), mask.shape)
    weight = depth * -np.expm1(-distance / (1 + 30 * (1 - depth**2) ** 2))
    spread = np.ptp(weight)
    stretched = low + (high - low) * (weight - weight.min()) / spread if spread > 0 else np.full(mask.shape, high)
    return torch.from_numpy(stretched)


def _ranks(ranks, dtype: torch.dtype | None) -> Tensor:
    """Ranks ``(K,)``: 1 to K for a number of classes."""
    values = [float(r) for r in (range(1, ranks + 1) if isinstance(ranks, int) else ranks)]
    if len(values) < 2 or len(set(values)) < len(values):
        raise ValueError(f"an order needs at least two classes, each with a rank of its own; got {ranks}")
    return torch.tensor(values, dtype=dtype or torch.get_default_dtype())


__all__ = [
    "DISTANCES",
    "adjacent_targets",
    "driveability_weights",
    "gaussian_targets",
    "matching_smoothing",
    "ordinal_cross_entropy",
    "ordinal_targets",
]
