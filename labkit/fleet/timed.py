"""Numbers that change while training goes on: two stages, a straight line, half a cosine.

In place of any number of a method or optimiser: ``LabelSmoothing(lk.Stages(0.4, 0.0, at=0.6))``. Inside a step the
field is the number of that step. Their own numbers may be swept: ``lk.Stages(0.4, 0.0, at=lk.sweep(0.25, 0.5))`` gives
runs with a column ``smoothing.at``. Progress is the share of training done, from 0 towards 1.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Timed:
    """A number as a function of progress."""

    def at_progress(self, progress: Tensor) -> Tensor:
        """The value at ``progress``, a 0-d tensor in [0, 1], in its dtype."""
        raise NotImplementedError

    def __float__(self):
        raise TypeError(f"{self!r} changes during training, and here one number is needed for all of it")


@dataclass(frozen=True)
class Stages(Timed):
    """``first`` until the share ``at`` of training is done, ``then`` from there on."""

    first: Any
    then: Any
    at: Any = 0.5

    def at_progress(self, progress):
        early = (progress < self.at).to(progress.dtype)
        return early * self.first + (1 - early) * self.then


@dataclass(frozen=True)
class Ramp(Timed):
    """From ``start`` to ``stop`` in a straight line."""

    start: Any
    stop: Any

    def at_progress(self, progress):
        return (1 - progress) * self.start + progress * self.stop


@dataclass(frozen=True)
class Cosine(Timed):
    """From ``start`` to ``stop`` along half a cosine: slow, fast, slow."""

    start: Any
    stop: Any

    def at_progress(self, progress):
        left = (1 + torch.cos(math.pi * progress)) / 2
        return left * self.start + (1 - left) * self.stop


def at_this_step(thing, values: dict[str, Tensor], progress: Tensor) -> None:
    """Put a run's own numbers (``"smoothing"`` or ``"smoothing.at"``) and this step's into the fields of ``thing``."""
    for name, value in values.items():
        field, _, inner = name.partition(".")
        if inner:
            value = dataclasses.replace(getattr(thing, field), **{inner: value})
        thing.__dict__[field] = value  # optimisers are frozen
    for field, value in list(vars(thing).items()):
        if isinstance(value, Timed):
            thing.__dict__[field] = value.at_progress(progress)


__all__ = ["Cosine", "Ramp", "Stages", "Timed", "at_this_step"]
