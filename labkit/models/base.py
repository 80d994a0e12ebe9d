"""What a network is: a body, a linear head, and an architecture that builds them for data of some shape."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn


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


class AsImage(nn.Module):
    """``(n, ...)`` to ``(n, channels, height, width)``."""

    def __init__(self, shape: tuple[int, int, int]):
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), *self.shape)


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


def initialised(model: Architecture, data, number: int = 0) -> Model:
    """A network for ``data`` whose initial weights are decided by ``number`` alone.

    Torch's modules draw from its global generator; that is put back as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(number)  # torch.manual_seed also seeds every device, which takes longer
        return model.build(data.shape, data.image_shape, data.n_classes)
