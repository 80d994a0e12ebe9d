"""Small networks, written for one run and stackable into a fleet.

Every model is a ``body`` (input to penultimate features) and a linear ``head`` (features to logits). None keeps
running statistics: batch normalisation updates buffers in place and ties examples of a batch together, so the
residual network normalises by group instead (Wu, He, 2018).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from labkit.names import look_up


class Model(nn.Module):
    """``head(body(x))``; ``x`` is ``(n, *input_shape)``, features are ``(n, d)``, logits ``(n, K)``."""

    def __init__(self, body: nn.Module, head: nn.Module):
        super().__init__()
        self.body, self.head = body, head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


class Linear(nn.Linear):
    """``nn.Linear``, with ReLU if asked, computed with examples along the columns: ``relu(W x^T + b)^T``.

    The numbers are those of ``nn.Linear`` and ``relu``. Stacked over runs on a CPU, the products come out of the fast
    side of the batched matrix product in this order: 2 to 4 times faster for a narrow layer such as ten classes.
    """

    def __init__(self, features_in: int, features_out: int, relu: bool = False):
        super().__init__(features_in, features_out)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        columns = torch.matmul(self.weight, x.mT) + self.bias[:, None]
        return (columns.relu() if self.relu else columns).mT


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


class AsImage(nn.Module):
    """``(n, ...)`` to ``(n, channels, height, width)``."""

    def __init__(self, shape: tuple[int, int, int]):
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), *self.shape)


class Average(nn.Module):
    """Mean over height and width."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((-2, -1))


@dataclass(frozen=True)
class Architecture:
    """What to build; ``build`` makes a network for inputs of one shape."""

    def build(self, shape: tuple[int, ...], image_shape: tuple[int, ...] | None, n_classes: int) -> Model:
        """A freshly initialised network (torch's default initialisation, from torch's global generator).

        Args:
            shape: shape of one example. image_shape: how it reads as ``(h, w)`` or ``(c, h, w)``, or None.
        """
        raise NotImplementedError

    def image(self, shape, image_shape) -> tuple[int, int, int]:
        found = tuple(image_shape or shape)
        if len(found) == 2:
            found = (1, *found)
        if len(found) != 3 or math.prod(found) != math.prod(shape):
            raise ValueError(
                f"model {type(self).__name__.lower()!r} needs images, but examples have shape {tuple(shape)}; "
                "use 'mlp' or 'linear' for tables"
            )
        return found


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


MODELS = {"linear": LinearModel(), "mlp": MLP(), "lenet": LeNet(), "resnet": ResNet()}


def architecture(model: str | Architecture) -> Architecture:
    """An architecture by name ("linear", "mlp", "lenet", "resnet") or as it is."""
    if isinstance(model, Architecture):
        return model
    return look_up("model", model, MODELS)


def initialised(model: Architecture, data, number: int = 0) -> Model:
    """A network for ``data`` whose initial weights are decided by ``number`` alone.

    Torch's modules draw from its global generator; that is put back as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(number)
        return model.build(data.shape, data.image_shape, data.n_classes)
