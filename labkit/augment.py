"""Augmentation: a random change of the inputs that keeps their class, drawn anew for every batch.

``lk.fit(..., augmentation=Shift(1) >> Noise(0.1))``. Random numbers come from the seed's own "augmentation" stream, so
methods compared at one seed see the same changed inputs. Evaluation sees inputs as they are. A distillation teacher
sees what its student sees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


class Augmentation:
    """``draw`` makes an epoch's random numbers, ``apply`` changes one run's batch with one step's share of them."""

    def draw(self, rng: np.random.Generator, steps: int, batch_size: int, shape: tuple[int, ...]) -> dict:
        """Name -> array whose first axes are ``(steps, batch_size)``; ``shape`` is that of one example."""
        raise NotImplementedError

    def apply(self, x: Tensor, draws: dict[str, Tensor]) -> Tensor:
        """``(b, *shape)`` to the same shape. Written for vmap: no `if` on a tensor's values."""
        raise NotImplementedError

    def __rshift__(self, then: Augmentation) -> Chain:
        """``first >> second``."""
        return Chain((*_links(self), *_links(then)))


@dataclass(frozen=True)
class Chain(Augmentation):
    """Augmentations one after another."""

    links: tuple[Augmentation, ...]

    def draw(self, rng, steps, batch_size, shape):
        drawn = [link.draw(rng, steps, batch_size, shape) for link in self.links]
        return {f"{i}.{name}": value for i, held in enumerate(drawn) for name, value in held.items()}

    def apply(self, x, draws):
        for i, link in enumerate(self.links):
            own = {name.partition(".")[2]: v for name, v in draws.items() if name.partition(".")[0] == str(i)}
            x = link.apply(x, own)
        return x


@dataclass(frozen=True)
class Noise(Augmentation):
    """Adds Gaussian noise of standard deviation ``scale`` (in the units of standardised inputs) to every number."""

    scale: float = 0.1

    def __post_init__(self):
        if not (0 <= self.scale < math.inf):
            raise ValueError(f"scale is a standard deviation, 0 or more, got {self.scale}")

    def draw(self, rng, steps, batch_size, shape):
        return {"noise": rng.standard_normal((steps, batch_size, *shape), dtype=np.float32)}

    def apply(self, x, draws):
        return x + self.scale * draws["noise"]


@dataclass(frozen=True)
class Shift(Augmentation):
    """Moves images by up to ``pixels`` rows and columns; the border's own pixels fill the gap.

    Args:
        pixels: largest move. image_shape: ``(h, w)`` or ``(c, h, w)`` of one example (``Data.image_shape``).
    """

    pixels: int
    image_shape: tuple[int, ...]

    def __post_init__(self):
        if self.pixels < 0 or len(self.image_shape) not in (2, 3):
            raise ValueError(f"pixels is 0 or more and image_shape (h, w) or (c, h, w), got {self}")

    def draw(self, rng, steps, batch_size, shape):
        move = lambda: rng.integers(-self.pixels, self.pixels + 1, (steps, batch_size))
        return {"down": move(), "right": move()}

    def apply(self, x, draws):
        h, w = self.image_shape[-2:]
        rows = (torch.arange(h, device=x.device) - draws["down"][:, None]).clamp(0, h - 1)  # (b, h)
        columns = (torch.arange(w, device=x.device) - draws["right"][:, None]).clamp(0, w - 1)
        images = x.reshape(len(x), -1, h, w)
        images = images.gather(2, rows[:, None, :, None].expand(images.shape))
        return images.gather(3, columns[:, None, None, :].expand(images.shape)).reshape(x.shape)


@dataclass(frozen=True)
class Flip(Augmentation):
    """Mirrors images left to right with probability ``rate``."""

    image_shape: tuple[int, ...]
    rate: float = 0.5

    def __post_init__(self):
        if not 0 <= self.rate <= 1:
            raise ValueError(f"rate is a probability in [0, 1], got {self.rate}")

    def draw(self, rng, steps, batch_size, shape):
        return {"turn": rng.random((steps, batch_size)) < self.rate}

    def apply(self, x, draws):
        images = x.reshape(len(x), -1, *self.image_shape[-2:])
        return torch.where(draws["turn"][:, None, None, None], images.flip(3), images).reshape(x.shape)


def _links(augmentation: Augmentation) -> tuple[Augmentation, ...]:
    return augmentation.links if isinstance(augmentation, Chain) else (augmentation,)


__all__ = ["Augmentation", "Chain", "Flip", "Noise", "Shift"]
