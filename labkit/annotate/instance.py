"""Wrong labels that are likelier for some examples than for others, and for some classes than for others.

Noise that depends on the example has no transition matrix of its own that a method could be handed: each example has
one, ``T(x)[c, l] = P(label l | x, class c)``. So ``reveal`` is refused here; what is known of ``T(x)`` is given by
``transition_at``, for theory and for evaluation (:mod:`labkit.theory.signal_strength`), never to a method.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from labkit.annotate.base import Annotator, check_rate
from labkit.annotate.noise import _ByMatrix
from labkit.evidence import Labels
from labkit.streams import generator

CIFAR10_FLIPS = {9: 1, 2: 0, 3: 5, 5: 3, 4: 7}  # truck to car, bird to plane, cat and dog, deer to horse
DIGIT_FLIPS = {7: 1, 2: 7, 5: 6, 6: 5, 3: 8}  # handwritten digits, written for MNIST


@dataclass(frozen=True)
class Asymmetric(_ByMatrix):
    """Each label of a class in ``flips`` becomes that class's look-alike with probability ``rate``.

    Patrini, Rozza, Menon, Nock, Qu (2017), "Making deep neural networks robust to label noise", section 5, whose maps
    are ``CIFAR10_FLIPS`` and ``DIGIT_FLIPS``. Both touch five of ten classes: the overall rate is half of ``rate``.

    Args:
        rate: probability of a flip within the classes that flip. flips: class -> class; its default is for ten digits.
    """

    rate: Any = 0.4
    flips: Any = tuple(DIGIT_FLIPS.items())
    reveal: bool = False

    def __post_init__(self):
        pairs = self.flips.items() if isinstance(self.flips, Mapping) else self.flips
        pairs = tuple((int(a), int(b)) for a, b in pairs)
        if len({a for a, _ in pairs}) < len(pairs) or any(a == b or min(a, b) < 0 for a, b in pairs):
            raise ValueError(f"flips name another class for each class at most once, from 0; got {pairs}")
        object.__setattr__(self, "flips", pairs)

    def transition(self, n_classes: int) -> Tensor:
        rate, matrix = check_rate(self.rate), torch.eye(n_classes, dtype=torch.float64)
        if (largest := max((max(pair) for pair in self.flips), default=0)) >= n_classes:
            raise ValueError(f"flips name class {largest}, but there are {n_classes} classes; give a map for these")
        for a, b in self.flips:
            matrix[a, a], matrix[a, b] = 1 - rate, rate
        return matrix


class _ByExample(Annotator):
    """What the annotators with a matrix for each example share."""

    reveal: bool

    def _refuse_reveal(self) -> None:
        if self.reveal:
            raise ValueError(
                f"{type(self).__name__} noise has a transition matrix for every example and none for all: there is "
                "nothing to reveal. Estimate an average matrix, or use Symmetric, PairFlip, Asymmetric or Transition"
            )


@dataclass(frozen=True)
class InstanceDependent(_ByExample):
    """An example's own flip rate, and a destination that its features decide.

    Example i of class c keeps its label with probability ``1 - q_i``; else it becomes ``l != c`` with probability
    proportional to ``exp(x_i . W_c[:, l])``. q_i is normal around ``rate``, truncated to [0, 1]; every class c has a
    matrix ``W_c`` of standard normal numbers (one for all classes is another noise). Features are used as given,
    flattened: give standardised ones. (Raw pixels of 0 to 255 send a whole class to one other.)

    Xia, Liu, Han, Wang, Gong, Liu, Niu, Tao, Sugiyama (2020), "Part-dependent label noise: towards instance-dependent
    label noise", algorithm 2 of the appendix; spread 0.1. **Truncation moves the mean rate**: at spread 0.1, rate 0.1
    means 12.9 % of wrong labels, and rate 0 means 8 %. ``exact=True`` moves the normal so that the mean is ``rate``.

    Paired: at one seed a higher rate flips a superset of the examples, each to the class it would go to anyway.

    Args:
        rate, spread: of the normal. exact: whether ``rate`` is the mean after truncation.
        world: which W, the same for all seeds, for training and validation: a law of nature, not of a run.
    """

    rate: Any = 0.4
    spread: Any = 0.1
    exact: bool = False
    world: Any = 0
    reveal: bool = False

    def __post_init__(self):
        self._refuse_reveal()

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator) -> Labels:
        y, k = _one_place(labels, self), labels.n_classes
        whether, how, where = rng.random((3, len(y)))
        flipped = torch.from_numpy(whether < self.flip_rates(how))
        x, weights = self._law(features, k)
        scores = x.new_zeros(len(y), k)
        for c in range(k):
            scores[y == c] = x[y == c] @ weights[c]
        cumulative = scores.scatter(1, y[:, None], -torch.inf).softmax(-1).cumsum(-1)
        # rounding must not let a draw fall off the end, nor onto the class itself: the end is the last other class
        target = (torch.from_numpy(where)[:, None] * cumulative[:, -1:] >= cumulative).sum(-1)
        last_other = torch.where(y == k - 1, k - 2, k - 1)
        return Labels(torch.where(flipped, torch.minimum(target, last_other), y), k)

    def destinations(self, features: Tensor, n_classes: int) -> Tensor:
        """``(n, K, K)`` float64: where an example of class c goes if it is flipped; 0 on the diagonal."""
        scores = torch.einsum("nd,cdl->ncl", *self._law(features, n_classes))
        return scores.masked_fill(torch.eye(n_classes, dtype=torch.bool), -torch.inf).softmax(-1)

    def transition_at(self, features: Tensor, n_classes: int) -> Tensor:
        """``T(x)``, ``(n, K, K)`` float64: P(label l | x, class c), the mean over an example's unseen flip rate."""
        from scipy import stats

        if self._fixed():
            mean = check_rate(self.rate)
        else:
            centre, spread = self._centre(), float(self.spread)
            mean = float(stats.truncnorm.mean(-centre / spread, (1 - centre) / spread, centre, spread))
        away = mean * self.destinations(features, n_classes)
        return away + (1 - mean) * torch.eye(n_classes, dtype=torch.float64)

    def flip_rates(self, uniform: np.ndarray) -> np.ndarray:
        """q at these quantiles: a higher rate raises every one of them."""
        from scipy import stats

        if self._fixed():
            return np.full(np.shape(uniform), check_rate(self.rate))
        centre, spread = self._centre(), float(self.spread)
        return stats.truncnorm.ppf(uniform, -centre / spread, (1 - centre) / spread, centre, spread)

    def _law(self, features: Tensor, n_classes: int) -> tuple[Tensor, Tensor]:
        """Inputs ``(n, d)`` and W ``(K, d, K)``, float64."""
        x = features.flatten(1).double().cpu()
        rng = generator(int(self.world), "annotation", 2**32)
        return x, torch.from_numpy(rng.standard_normal((n_classes, x.shape[1], n_classes)))

    def _fixed(self) -> bool:
        """Whether all q are alike: no spread, or a mean that only one distribution on [0, 1] has."""
        return float(self.spread) == 0 or (self.exact and float(self.rate) in (0.0, 1.0))

    def _centre(self) -> float:
        """Where the normal stands before truncation."""
        rate, spread = check_rate(self.rate), float(self.spread)
        if not spread > 0:
            raise ValueError(f"spread is the standard deviation of flip rates and not negative, got {spread:g}")
        return _centre(rate, spread) if self.exact else rate


@functools.cache  # a search, which every seed would do again
def _centre(mean: float, spread: float) -> float:
    """Where a normal of this spread stands whose mean is ``mean`` once it is truncated to [0, 1]."""
    from scipy import optimize, stats

    gap = lambda m: stats.truncnorm.mean(-m / spread, (1 - m) / spread, m, spread) - mean
    reach = spread * 30  # the mean of what is left of a tail 30 deviations away is spread / 30
    if not gap(-reach) < 0 < gap(1 + reach):
        raise ValueError(f"no normal of spread {spread:g} has mean {mean:g} on [0, 1]; make the spread smaller")
    return float(optimize.brentq(gap, -reach, 1 + reach, xtol=1e-12))


@dataclass(frozen=True)
class MarginBased(_ByExample):
    """Confusion where two classes are nearly as likely: the likeliest class becomes the second with probability
    ``strength f(m)``, cut at 1, where m is the margin between their true probabilities.

    - kind "I": ``f = (1 - m^2) / 2``;
    - kind "II": ``f = 1 - m^3``;
    - kind "III": ``f = 1 - (m + m^2 + m^3) / 3``.

    Zhang, Zheng, Wu, Goswami, Chen (2021), "Learning with feature-dependent label noise: a progressive approach"
    (polynomial-margin diminishing noise). Only examples of the likeliest class flip, and where m = 1 none does; the
    released code instead gives every example its likeliest or second class whatever its own is, and flips a sixth of
    them even at m = 1. Data must know the true posterior. Paired: a greater strength flips a superset.

    Args:
        strength: 1 is the paper's function; :func:`margin_strength` finds the one for a rate.
    """

    kind: str = "I"
    strength: Any = 1.0
    reveal: bool = False

    needs: ClassVar[tuple[str, ...]] = ("posterior",)

    def __post_init__(self):
        if self.kind not in MARGINS:
            raise ValueError(f"kind is one of {', '.join(MARGINS)}, got {self.kind!r}")
        self._refuse_reveal()

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator, posterior: Tensor) -> Labels:
        y, (first, second) = _one_place(labels, self), _top_two(posterior).indices.unbind(-1)
        unlucky = torch.from_numpy(rng.random(len(y))) < self.flip_rates(posterior)
        return Labels(torch.where((y == first) & unlucky, second, y), labels.n_classes)

    def flip_rates(self, posterior: Tensor) -> Tensor:
        """P(second | likeliest class) for each example, ``(n,)`` float64."""
        if not float(self.strength) >= 0:
            raise ValueError(f"strength multiplies probabilities and is not negative, got {float(self.strength):g}")
        high, low = _top_two(posterior).values.unbind(-1)
        return (float(self.strength) * MARGINS[self.kind](high - low)).clamp_max(1)

    def transition_at(self, posterior: Tensor) -> Tensor:
        """``T(x)``, ``(n, K, K)`` float64: P(label l | x, class c)."""
        (n, k), rates = posterior.shape, self.flip_rates(posterior)
        first, second = _top_two(posterior).indices.unbind(-1)
        matrix, row = torch.eye(k, dtype=torch.float64).repeat(n, 1, 1), torch.arange(n)
        matrix[row, first, first], matrix[row, first, second] = 1 - rates, rates
        return matrix


MARGINS = {
    "I": lambda m: (1 - m**2) / 2,
    "II": lambda m: 1 - m**3,
    "III": lambda m: 1 - (m + m**2 + m**3) / 3,
}


def margin_strength(rate: float, posterior: Tensor, kind: str = "I") -> float:
    """The strength at which :class:`MarginBased` makes a share ``rate`` of labels wrong, expected over the classes of
    examples with these posteriors ``(n, K)``.

    Raises:
        ValueError: more than this noise can reach, which is the mean probability of the likeliest class.
    """
    from scipy import optimize

    check_rate(rate)
    top = _top_two(posterior).values[:, 0]
    reached = lambda strength: float((top * MarginBased(kind, strength).flip_rates(posterior)).mean()) - rate
    upper = 1.0
    while reached(upper) < 0:
        upper *= 2
        if upper > 1e6:
            raise ValueError(
                f"margin-based noise flips the likeliest class only, which gives a rate of at most "
                f"{rate + reached(upper):.3f} here; asked for {rate:g}"
            )
    return 0.0 if rate == 0 else float(optimize.brentq(reached, 0.0, upper, xtol=1e-12))


def _top_two(posterior: Tensor):
    return posterior.double().cpu().topk(2, dim=-1)


def _one_place(labels: Labels, annotator: Annotator) -> Tensor:
    if labels.labels.ndim != 1:
        raise ValueError(
            f"{type(annotator).__name__} noise is for one label per example, got labels of shape "
            f"{tuple(labels.labels.shape)}"
        )
    return labels.labels


__all__ = ["CIFAR10_FLIPS", "DIGIT_FLIPS", "Asymmetric", "InstanceDependent", "MarginBased", "margin_strength"]
