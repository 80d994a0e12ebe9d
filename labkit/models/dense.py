"""Networks that answer in every pixel."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit.models.base import Architecture, AsImage, Model


class Patches(nn.Module):
    """``(n, C, H, W)`` to ``(n, H * W, C * size * size)``: the square around every pixel, zeros beyond the image."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        r = self.size // 2
        windows = F.pad(x, (r, r, r, r)).unfold(-2, self.size, 1).unfold(-2, self.size, 1)  # (n, C, H, W, size, size)
        return windows.permute(1, 4, 5, 0, 2, 3).flatten(4).flatten(0, 2).movedim(0, -1)  # in memory pixels come last


class PerPixel(nn.Linear):
    """``nn.Linear`` on ``(n, P, features)``, with ReLU if asked, as one matrix product with all pixels as columns."""

    def __init__(self, features_in: int, features_out: int, relu: bool = False):
        super().__init__(features_in, features_out)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        columns = torch.matmul(self.weight, x.movedim(-1, 0).flatten(1)) + self.bias[:, None]
        return (columns.relu() if self.relu else columns).unflatten(1, x.shape[:2]).movedim(0, -1)


@dataclass(frozen=True)
class PatchNet(Architecture):
    """A small multi-layer perceptron, the same for every pixel, of the ``size`` x ``size`` square around it.

    That is a fully convolutional network whose first kernel is ``size`` wide and whose others are one pixel wide,
    written as matrix products, which stack into a fleet where convolutions do not. Features are ``(n, P, d)``, logits
    ``(n, P, K)`` with P = height * width.
    """

    size: int = 5
    hidden: tuple[int, ...] = (16,)

    def __post_init__(self):
        if self.size < 1 or self.size % 2 == 0 or not self.hidden:
            raise ValueError(f"size is odd and hidden not empty, got size={self.size} and hidden={self.hidden}")

    def build(self, shape, image_shape, n_classes):
        image = self.image(shape, image_shape)
        widths = [image[0] * self.size**2, *self.hidden]
        layers = [PerPixel(a, b, relu=True) for a, b in pairwise(widths)]
        return Model(nn.Sequential(AsImage(image), Patches(self.size), *layers), PerPixel(widths[-1], n_classes))
