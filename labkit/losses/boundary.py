"""Label smoothing where a mask has its edge, and nowhere else."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from labkit.evidence import one_hot
from labkit.losses.smoothing import smooth


def boundary(mask: Tensor, size: int = 3) -> Tensor:
    """Pixels that the erosion of their class by a ``size`` x ``size`` square removes: booleans ``(..., H, W)``.

    That is where the square around a pixel holds another class. Beyond the image there is no other class.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f"size is the odd width of a square, got {size}")
    if mask.ndim < 2 or mask.is_floating_point():
        raise ValueError(f"a mask is (..., H, W) of whole numbers, got {mask.dtype} of shape {tuple(mask.shape)}")
    planes = mask.float().reshape(-1, 1, *mask.shape[-2:])
    pool = lambda t: F.max_pool2d(t, size, 1, size // 2)  # pads with -infinity, which is never the largest
    return (pool(planes) != -pool(-planes)).reshape(mask.shape)


def boundary_smoothing(mask: Tensor, n_classes: int, smoothing=0.5, size: int = 3) -> Tensor:
    """Targets ``(..., H, W, K)``: ``(1 - e) onehot + e / K`` on the boundary, one-hot inside.

    Wang, Ning, Blaschko (2023), "Jaccard metric losses", with their values e = 0.5 and a 3 x 3 square.

    Args:
        mask: ``(..., H, W)`` class indices. smoothing: e.
    """
    return smooth(one_hot(mask, n_classes), smoothing * boundary(mask, size)[..., None])
