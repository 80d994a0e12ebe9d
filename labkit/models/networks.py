"""The usual small networks: softmax regression, multi-layer perceptron, LeNet, a residual network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from labkit.models.base import Architecture, AsImage, Linear, Model


class Residual(nn.Module):
    """Two 3x3 convolutions with group normalisation, added to their input (He et al., 2016)."""

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.norm1 = nn.GroupNorm(8, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(8, channels)
        same = stride == 1 and channels_in == channels
        self.skip = nn.Identity() if same else nn.Conv2d(channels_in, channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.norm1(self.conv1(x)).relu()
        return (self.norm2(self.conv2(hidden)) + self.skip(x)).relu()


class Average(nn.Module):
    """Mean over height and width."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((-2, -1))


@dataclass(frozen=True)
class LinearModel(Architecture):
    """Softmax regression."""

    def build(self, shape, image_shape, n_classes):
        return Model(nn.Flatten(), Linear(math.prod(shape), n_classes))


@dataclass(frozen=True)
class MLP(Architecture):
    """Fully connected layers with ReLU; ``hidden`` are their widths."""

    hidden: tuple[int, ...] = (128,)

    def build(self, shape, image_shape, n_classes):
        widths = [math.prod(shape), *self.hidden]
        layers = [Linear(a, b, relu=True) for a, b in pairwise(widths)]
        return Model(nn.Sequential(nn.Flatten(), *layers), Linear(widths[-1], n_classes))


@dataclass(frozen=True)
class LeNet(Architecture):
    """Two 5x5 convolutions with max pooling, then two fully connected layers (LeCun et al., 1998, with ReLU)."""

    channels: tuple[int, int] = (6, 16)
    hidden: tuple[int, int] = (120, 84)

    def build(self, shape, image_shape, n_classes):
        c, h, w = self.image(shape, image_shape)
        a, b = self.channels
        convolutions = nn.Sequential(
            AsImage((c, h, w)),
            nn.Conv2d(c, a, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(a, b, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(),
        )  # fmt: skip
        flat = b * (h // 4) * (w // 4)
        first, second = self.hidden
        dense = nn.Sequential(Linear(flat, first, relu=True), Linear(first, second, relu=True))
        return Model(nn.Sequential(convolutions, dense), Linear(second, n_classes))


@dataclass(frozen=True)
class ResNet(Architecture):
    """A small residual network: a 3x3 stem, then one stage per width, each after the first halving the image."""

    widths: tuple[int, ...] = (16, 32, 64)
    blocks: int = 1

    def build(self, shape, image_shape, n_classes):
        c, h, w = self.image(shape, image_shape)
        layers: list[nn.Module] = [AsImage((c, h, w)), nn.Conv2d(c, self.widths[0], 3, padding=1, bias=False)]
        channels = self.widths[0]
        for stage, width in enumerate(self.widths):
            for block in range(self.blocks):
                layers.append(Residual(channels, width, stride=2 if stage and not block else 1))
                channels = width
        return Model(nn.Sequential(*layers, Average()), Linear(channels, n_classes))
