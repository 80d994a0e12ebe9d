"""Sets of classes that may be right: uniform, by flips, by classes that look alike, of an unsure annotator.

``missing`` is the rate at which the true class is left out of a set. With ``reveal`` the evidence carries
``P(set | class)``, so that a posterior can be exact; otherwise it is the bare set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from labkit.annotate.base import Annotator, check_rate
from labkit.evidence import Candidates, Labels


class _Flips(Annotator):
    """Every wrong class joins the set by a draw of its own; ``joins`` says how likely, ``(n, K, K)`` or ``(K, K)``."""

    missing: Any = 0.0
    reveal: bool = False
    at_least_two: bool = False

    def joins(self, n_classes: int, known: dict[str, Tensor]) -> np.ndarray:
        """``[..., c, j]``: P(class j in the set | class c); the diagonal is not used."""
        raise NotImplementedError

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator, **known: Tensor) -> Candidates:
        y, k = labels.labels.numpy(), labels.n_classes
        n, missing = len(y), check_rate(self.missing, "missing")
        if missing and self.at_least_two:
            raise ValueError("sets without the truth and sets of at least two classes are not offered together")
        rate = np.broadcast_to(self.joins(k, known), (n, k, k))
        own = rate[np.arange(n), y].copy()
        own[np.arange(n), y] = 0
        lost = rng.random(n) < missing
        if (lost & (own.max(1) <= 0)).any():
            raise ValueError("the truth cannot be missing where no other class can be in the set")
        uniform, again = rng.random((n, k)), rng.random((n, k))
        mask = uniform < own
        lonely = (lost | self.at_least_two) & ~mask.any(1)
        for row in np.flatnonzero(lonely):  # at least one wrong class: drawn anew until there is one
            mask[row] = _not_empty(own[row], rng) if lost[row] else _one_other(again[row], y[row])
        mask[np.arange(n), y] = ~lost
        return Candidates(mask, _set_weights(mask, rate, missing, self.at_least_two) if self.reveal else None)


def _not_empty(rate: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    while True:
        drawn = rng.random(len(rate)) < rate
        if drawn.any():
            return drawn


def _one_other(uniform: np.ndarray, y: int) -> np.ndarray:
    uniform = uniform.copy()
    uniform[y] = 2.0
    return np.arange(len(uniform)) == uniform.argmin()


def _set_weights(mask: np.ndarray, rate: np.ndarray, missing: float, at_least_two: bool = False) -> np.ndarray:
    """``(n, K)``: P(set | class c), ``rate`` ``(n, K, K)``.

    In the set: (1 - missing) times the draws of the others. Not in it: missing times the same, given that somebody is.
    With at least two, what a lonely truth would have is shared by its pairs.
    """
    k = mask.shape[1]
    each = np.where(mask[:, None, :], rate, 1 - rate)  # [n, c, j]
    each[:, np.arange(k), np.arange(k)] = 1
    nobody = 1 - rate
    nobody[:, np.arange(k), np.arange(k)] = 1
    somebody = 1 - nobody.prod(2)
    drawn = each.prod(2)
    if at_least_two:
        size = mask.sum(1)[:, None]
        drawn = np.where(size == 2, drawn + nobody.prod(2) / (k - 1), np.where(size > 2, drawn, 0.0))
    return np.where(mask, (1 - missing) * drawn, missing * drawn / np.where(somebody > 0, somebody, 1))


@dataclass(frozen=True)
class FlippedCandidates(_Flips):
    """Every wrong class is in the set with probability ``rate``, each by itself; a higher rate adds candidates only.

    Args:
        rate: flip probability q. missing: rate at which the true class is left out. reveal: say P(set | class).
        at_least_two: sets of the truth alone get one more class at random (Lv et al., 2020, draw so).
    """

    rate: Any = 0.3
    missing: Any = 0.0
    reveal: bool = False
    at_least_two: bool = False

    def joins(self, n_classes, known):
        return np.full((n_classes, n_classes), check_rate(self.rate))


@dataclass(frozen=True)
class ClassCandidates(_Flips):
    """Class j is in the set of an example of class c with probability ``matrix[c][j]`` (the diagonal is not used)."""

    matrix: Any
    missing: Any = 0.0
    reveal: bool = False
    at_least_two: bool = False

    def __post_init__(self):
        object.__setattr__(self, "matrix", tuple(map(tuple, np.asarray(self.matrix, dtype=float).tolist())))

    def joins(self, n_classes, known):
        matrix = np.asarray(self.matrix)
        if matrix.shape != (n_classes, n_classes) or not ((matrix >= 0) & (matrix <= 1)).all():
            raise ValueError(f"matrix holds probabilities, ({n_classes}, {n_classes}); got {matrix.shape}")
        return matrix


@dataclass(frozen=True)
class InstanceCandidates(_Flips):
    """Classes that look like the example to a weak classifier are in its set: instance-dependent candidates.

    The classifier's beliefs without the true class, divided by their largest and then by their mean over the classes,
    times ``rate`` and at most 1, are the probabilities. (Source: Xu et al., 2023, "Progressive purification for
    instance-dependent partial label learning", appendix; their rates are 0.4, and 0.04 for a hundred classes.)

    Args:
        beliefs: name of ``(n, K)`` probabilities in ``Data.side`` (see :func:`labkit.annotate.weak_posterior`), or
            "posterior".
    """

    rate: Any = 0.4
    beliefs: str = "weak"
    missing: Any = 0.0
    reveal: bool = False
    at_least_two: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.beliefs,)

    def joins(self, n_classes, known):
        if not self.rate >= 0:
            raise ValueError(f"rate is a number from 0, got {self.rate}")
        belief = known[self.beliefs].double().numpy()
        other = np.repeat(belief[:, None, :], n_classes, 1)  # [n, c, j]: as if c were the truth
        other[:, np.arange(n_classes), np.arange(n_classes)] = 0
        other /= np.maximum(other.max(2, keepdims=True), 1e-30)
        return np.minimum(self.rate * other / np.maximum(other.mean(2, keepdims=True), 1e-30), 1.0)


@dataclass(frozen=True)
class UniformCandidates(Annotator):
    """Every set that holds the truth is equally likely, but for the full one.

    Source: Feng et al. (2020), "Provably consistent partial-label learning".
    """

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator) -> Candidates:
        y, k = labels.labels.numpy(), labels.n_classes
        mask = rng.random((len(y), k)) < 0.5
        mask[np.arange(len(y)), y] = True
        while (full := mask.all(1)).any():
            mask[full] = rng.random((full.sum(), k)) < 0.5
            mask[np.arange(len(y)), y] = True
        return Candidates(mask)


@dataclass(frozen=True)
class TopCandidates(Annotator):
    """What an unsure annotator would not rule out: its most probable classes, until their mass reaches ``mass``.

    The truth is not looked at and may be missing. ``mass=0`` is the single best guess.

    Args:
        beliefs: as for :class:`InstanceCandidates`. most: at most so many candidates; None: as many as it takes.
    """

    mass: Any = 0.9
    beliefs: str = "weak"
    most: int | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.beliefs,)

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator, **known: Tensor) -> Candidates:
        mass = check_rate(self.mass, "mass")
        belief = known[self.beliefs].double().numpy()
        order = (-belief).argsort(1, kind="stable")
        sorted_belief = np.take_along_axis(belief, order, 1)
        before = sorted_belief.cumsum(1) - sorted_belief  # mass of the classes that are more probable
        chosen = before < mass - 1e-12
        chosen[:, 0] = True
        if self.most is not None:
            chosen[:, max(1, int(self.most)) :] = False
        mask = np.zeros_like(chosen)
        np.put_along_axis(mask, order, chosen, 1)
        return Candidates(mask)


__all__ = ["ClassCandidates", "FlippedCandidates", "InstanceCandidates", "TopCandidates", "UniformCandidates"]
