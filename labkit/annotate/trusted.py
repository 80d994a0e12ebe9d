"""A few labels that somebody made sure of, among many that nobody did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.annotate.base import Annotator, check_rate
from labkit.annotate.noise import Clean
from labkit.evidence import Labels, TrustedLabels


@dataclass(frozen=True)
class Trusted(Annotator):
    """The labels that ``noise`` gives, but a random share of the examples keeps its label and is marked as trusted.

    Returns :class:`~labkit.evidence.TrustedLabels`. The number of trusted examples is ``round(share * n)`` at every
    seed. Paired: a larger share trusts a superset, and what the others are told does not move with it.

    Args:
        noise: any annotator that gives labels; it sees all examples. share: of trusted examples, in [0, 1].
        balanced: trust about equally many of every class, as somebody who collects examples class by class; else
            every example is as likely as any other.

    Raises:
        ValueError: a share outside [0, 1]. TypeError: ``noise`` gives another form of evidence.
    """

    noise: Annotator = field(default_factory=Clean)
    share: Any = 0.05
    balanced: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        return self.noise.needs

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator, **known: Tensor) -> TrustedLabels:
        n, share = len(labels), check_rate(self.share, "share")
        order = rng.random(n)  # first, so that neither moves with the other
        if self.balanced:  # one of every class, then a second of every class, and so on
            order = order + _place_in_class(labels.labels, order)
        trusted = torch.from_numpy(order.argsort().argsort() < round(share * n))
        said = self.noise(labels, features, rng, **known)
        if type(said) is not Labels:
            raise TypeError(f"trusted labels stand among Labels, but {type(self.noise).__name__} gives "
                            f"{type(said).__name__}")  # fmt: skip
        own = trusted.view(-1, *[1] * (labels.labels.ndim - 1))
        return TrustedLabels(
            torch.where(own, labels.labels, said.labels), labels.n_classes, trusted, said.transition
        )  # fmt: skip


def _place_in_class(classes: Tensor, order: np.ndarray) -> np.ndarray:
    """How many examples of its own class come before each example, ``(n,)``."""
    if classes.ndim != 1:
        raise ValueError(f"balanced takes one class per example, got labels of shape {tuple(classes.shape)}")
    place = np.zeros(len(order))
    for c in classes.unique():
        own = (classes == c).numpy()
        place[own] = order[own].argsort().argsort()
    return place
