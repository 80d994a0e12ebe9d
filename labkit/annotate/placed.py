"""Labels that hang on the example and the seed alone, not on which part of the data is annotated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from labkit.annotate.base import Annotator
from labkit.evidence import Evidence, Labels


@dataclass(frozen=True)
class ByPlace(Annotator):
    """``inner``, with random numbers that belong to places in the data set: ``Data.side["place"]``, 0 to ``total - 1``.

    An annotator draws for the examples of a training set in their order, so two training sets of one seed are told
    different labels of the examples they share. For a cross-validation they must be told the same: all ``total``
    numbers are drawn, and an example takes those of its place. For annotators that only call ``rng.random`` with
    examples along the last axis (all that make one label per example do).
    """

    inner: Annotator
    total: int

    @property
    def needs(self) -> tuple[str, ...]:
        return (*self.inner.needs, "place")

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator, **known: Tensor) -> Evidence:
        place = known["place"].cpu().numpy()
        if place.min() < 0 or place.max() >= self.total:
            raise ValueError(f"places lie in 0..{self.total - 1}, got {place.min()} to {place.max()}")
        handed = {name: known[name] for name in self.inner.needs}
        return self.inner(labels, features, _Placed(rng, self.total, place), **handed)


class _Placed:
    """A stream whose draws along the last axis are those of these places."""

    def __init__(self, rng: np.random.Generator, total: int, place: np.ndarray):
        self.rng, self.total, self.place = rng, total, place

    def random(self, shape) -> np.ndarray:
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        if shape[-1] != len(self.place):
            raise ValueError(f"draws for {len(self.place)} examples have them along the last axis, got shape {shape}")
        return self.rng.random((*shape[:-1], self.total))[..., self.place]


__all__ = ["ByPlace"]
