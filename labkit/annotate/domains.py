"""Where an example was met, and nothing about what it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.annotate.base import Annotator
from labkit.evidence import Labels


@dataclass(frozen=True)
class Domains(Annotator):
    """Says in which of ``count`` domains an example was met; domains differ in how common the hidden classes are.

    Latent label shift: ``p_d(x) = sum_y P(y | d) p(x | y)``. Roberts, Mani, Garg, Lipton (2022), "Unsupervised learning
    under latent label shift". Each domain's proportions ``P(y | d)`` are drawn from a Dirichlet; an example of class y
    then falls into domain d with probability ``P(d | y)``, proportional to ``size_d P(y | d)``. (Their code instead
    takes from a data set as many examples as the proportions say, and rounds down. Here all examples are used and
    classes stay as common as they are, for which the drawn proportions give way a little; the condition number is
    taken of those that result.) Data with room for ``count`` answers: :func:`labkit.datasets.latent_shift`.

    The proportions hang on the seed of a run, not on which part of the data is annotated. So random numbers must come
    from :func:`labkit.streams.generator`.

    Args:
        classes: K, the number of hidden classes. count: D, at least K for the classes to be found.
        concentration: total mass of the Dirichlet, ``concentration / K`` for each class: small makes domains of nearly
            one class, large makes all alike. Published 0.5, 3, 10.
        spread: standard deviation of the logarithm of a domain's size. 0 (published): all alike.
        max_condition: draw again while the condition number of the proportions ``(D, K)`` is above this. Published 4
            or 8 for ten classes.
    """

    classes: int
    count: Any = 10
    concentration: Any = 0.5
    spread: Any = 0.0
    max_condition: Any = 8.0

    def __post_init__(self):
        if self.classes < 2:
            raise ValueError(f"expected at least two hidden classes, got {self.classes}")

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator) -> Labels:
        y, law = labels.labels.numpy(), self.law(rng)
        if y.ndim != 1 or (y >= self.classes).any():
            raise ValueError(f"expected one of {self.classes} hidden classes per example, got labels {y.shape} up to "
                             f"{y.max()}")  # fmt: skip
        if labels.n_classes < law.shape[1]:
            raise ValueError(f"{law.shape[1]} domains need data with as many answers, these have {labels.n_classes}; "
                             "make them with labkit.datasets.latent_shift(data, groups, domains)")  # fmt: skip
        edges = law.cumsum(1)
        edges[:, -1] = np.inf  # rounding must not let a draw fall off the end
        domain = (rng.random(len(y))[:, None] >= edges[y]).sum(1)
        return Labels(torch.from_numpy(domain), labels.n_classes)

    def law(self, rng: np.random.Generator) -> np.ndarray:
        """``(K, D)``: P(domain | class) for the seed of this stream, the same in every part of its data."""
        d, k, own = int(self.count), self.classes, _of_the_seed(rng)
        if d < 1 or not float(self.concentration) > 0 or not float(self.spread) >= 0:
            raise ValueError(f"expected at least one domain, a concentration above 0 and a spread from 0; got {self}")
        size = np.exp(float(self.spread) * own.standard_normal(d))
        for _ in range(10_000):
            drawn = own.dirichlet(np.full(k, float(self.concentration) / k), d)
            common = drawn.sum(0)
            if not (common > 1e-6).all():
                continue  # a class that is met nowhere
            found = drawn / common
            if np.linalg.cond(found / found.sum(1, keepdims=True)) <= float(self.max_condition):
                joint = size * drawn.T
                return joint / joint.sum(1, keepdims=True)
        raise ValueError(f"no draw of {d} domains at concentration {float(self.concentration):g} has a condition "
                         f"number up to {float(self.max_condition):g}; allow more, or give more domains")  # fmt: skip


def _of_the_seed(rng: np.random.Generator) -> np.random.Generator:
    """A stream that all parts of a run's data share: the key of theirs (seed and purpose), a counter of its own."""
    state = rng.bit_generator.state["state"]
    if "key" not in state:
        raise TypeError(f"domains need a stream of labkit.streams.generator, got {type(rng.bit_generator).__name__}")
    return np.random.Generator(np.random.Philox(key=state["key"], counter=[0, 0, 0, 2**32]))


__all__ = ["Domains"]
