"""How well outlines of masks agree."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.evidence import one_hot


def outline(masks: Tensor, n_classes: int) -> Tensor:
    """``(..., H, W)`` class indices -> booleans ``(..., K - 1, H, W)``: pixels of object class 1, 2, ... with one of
    four neighbours of another class. Beyond the picture there is no other class."""
    own = one_hot(masks, n_classes).bool().movedim(-1, -3)[..., 1:, :, :]
    padded = F.pad(own, (1, 1, 1, 1), value=True)
    up, down = padded[..., :-2, 1:-1], padded[..., 2:, 1:-1]
    left, right = padded[..., 1:-1, :-2], padded[..., 1:-1, 2:]
    # what is padded counts as the pixel's own class
    return own & ~(up & down & left & right)


@torch.no_grad()
def boundary_f(said: Tensor, true: Tensor, n_classes: int, tolerance: int = 0) -> Tensor:
    """Boundary F: harmonic mean of the shares of said outline pixels that are true and of true ones that are said.

    An outline pixel is matched where the other mask has one of the same class at most ``tolerance`` pixels away (in a
    square). Pixels of all pictures and object classes are counted together; 1 where neither has an outline, 0 where
    nothing matches.

    Args:
        said, true: ``(..., n, H, W)`` class indices; class 0 is the ground. Returns ``(...)``, float64.
    """
    if said.shape[-3:] != true.shape[-3:] or said.ndim < 3 or tolerance < 0:
        raise ValueError(f"expected two sets of masks (..., n, H, W) and a tolerance from 0, got {tuple(said.shape)}, "
                         f"{tuple(true.shape)} and {tolerance}")  # fmt: skip
    a, b = (outline(masks, n_classes) for masks in torch.broadcast_tensors(said, true))
    near = lambda e: F.max_pool2d(e.double().flatten(0, -4), 2 * tolerance + 1, 1, tolerance).view(e.shape) > 0
    count = lambda e: e.flatten(-4).double().sum(-1)
    precise, complete = count(a & near(b)), count(b & near(a))
    p, r = precise / count(a).clamp_min(1), complete / count(b).clamp_min(1)
    score = 2 * p * r / (p + r).clamp_min(1e-12)
    return torch.where(count(a) + count(b) > 0, score, 1.0)
