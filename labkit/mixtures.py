"""Two-component mixtures of losses: which examples are learnt easily, and which only by heart.

Plain torch, a fixed number of EM rounds, no branch on values: they work inside a fleet (``Method.end_epoch``) as well
as on one vector. Values are one-dimensional, ``(n,)``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def fit_beta_mixture(values: Tensor, rounds: int = 10) -> tuple[Tensor, Tensor, Tensor]:
    """EM with moment estimates for ``sum_c w_c Beta(a_c, b_c)``: ``(a, b, w)``, each ``(2,)``.

    Component 0 starts at the left (Beta(1, 2)), component 1 at the right (Beta(2, 1)). The M-step takes the
    responsibility-weighted mean m and (biased) variance s2: ``a = m (m (1 - m) / s2 - 1)``, ``b = a (1 - m) / m``.
    Arazo, Ortego, Albert, O'Connor, McGuinness (2019), section 3.1 and the authors' ten rounds.

    Args:
        values: ``(n,)`` in [0, 1]; they are taken no closer than 1e-4 to the ends.
    """
    x = values.clamp(1e-4, 1 - 1e-4)
    a, b = x.new_tensor([1.0, 2.0]), x.new_tensor([2.0, 1.0])
    weight = x.new_tensor([0.5, 0.5])
    for _ in range(rounds):
        share = _responsibilities(x, a, b, weight)
        total = share.sum(-1).clamp_min(1e-12)
        mean = (share * x).sum(-1) / total
        variance = (share * (x - mean[:, None]) ** 2).sum(-1) / total
        # variance < mean (1 - mean) inside (0, 1); where all values are equal it is 0
        a = (mean * (mean * (1 - mean) / variance.clamp_min(1e-8) - 1)).clamp_min(1e-4)
        b = a * (1 - mean) / mean
        weight = total / total.sum()
    return a, b, weight


def beta_log_density(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Log density of each component, ``(2, n)``."""
    a, b = a[:, None], b[:, None]
    return (a - 1) * x.log() + (b - 1) * (1 - x).log() + torch.lgamma(a + b) - torch.lgamma(a) - torch.lgamma(b)


def _responsibilities(x: Tensor, a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    return torch.softmax(weight.log()[:, None] + beta_log_density(x, a, b), 0)


def beta_posterior(losses: Tensor, rounds: int = 10) -> Tensor:
    """P(wrong label | loss) under a beta mixture fitted to the same losses, ``(n,)``, never falling with the loss.

    As in Arazo et al. (2019) and their code: losses between the 5th and the 95th percentile are scaled to [0, 1] and
    fitted; the posterior is read from a table of 100 places, level after its largest value (a beta density may fall
    again at the right end, but a larger loss is no sign of a right label).
    """
    ordered, n = losses.sort().values, losses.shape[0]
    low, high = _percentile(ordered, 5), _percentile(ordered, 95)
    first, last = math.ceil(0.05 * (n - 1)), math.floor(0.95 * (n - 1))
    scale = lambda t: ((t - low - 1e-5) / (high - low + 1e-6)).clamp(1e-3, 1 - 1e-3)
    a, b, weight = fit_beta_mixture(scale(ordered[first : last + 1]), rounds)
    places = torch.linspace(0, 1, 100, device=losses.device, dtype=losses.dtype).clamp(1e-4, 1 - 1e-4)
    table = _responsibilities(places, a, b, weight)[1]
    place = torch.arange(100, device=losses.device)
    table = torch.where(place >= table.argmax(), table.amax(), table)
    return table[(100 * scale(losses)).long().clamp(0, 99)]


def _percentile(ordered: Tensor, percent: float) -> Tensor:
    """By linear interpolation, from sorted values (``torch.quantile`` cannot be stacked)."""
    place = percent / 100 * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return torch.lerp(ordered[below], ordered[above], place - below)


def fit_gaussian_mixture(values: Tensor, rounds: int = 10, floor: float = 5e-4) -> tuple[Tensor, Tensor, Tensor]:
    """EM for ``sum_c w_c Normal(mean_c, variance_c)``: ``(means, variances, weights)``, each ``(2,)``, the smaller mean
    first where the components do not cross.

    Starts from two-means (itself started at the smallest and the largest value), like scikit-learn's
    ``GaussianMixture``; ``floor`` is added to the variances (its ``reg_covar``).
    """
    right = _right_of_two_means(values)  # P(component 1 | value)
    for _ in range(rounds + 1):
        share = torch.stack([1 - right, right])
        total = share.sum(-1).clamp_min(1e-12)
        mean = (share * values).sum(-1) / total
        variance = (share * (values - mean[:, None]) ** 2).sum(-1) / total + floor
        weight = total / total.sum()
        right = _right(values, mean, variance, weight)
    return mean, variance, weight


def _right(values: Tensor, mean: Tensor, variance: Tensor, weight: Tensor) -> Tensor:
    """P(component 1 | value), ``(n,)``: one logistic function, for two components need no softmax."""
    distance = (values - mean[:, None]) ** 2 * (0.5 / variance)[:, None]
    offset = weight.log() - 0.5 * variance.log()
    return torch.sigmoid(distance[0] - distance[1] + (offset[1] - offset[0]))


def _right_of_two_means(values: Tensor, rounds: int = 20) -> Tensor:
    """1 for the values of the upper group, else 0. On a line the groups are the two sides of a threshold, and their
    means are read from running sums of the sorted values: a round costs a search, not a pass over the values."""
    ordered, n = values.sort().values, len(values)
    sums = torch.cat([values.new_zeros(1), ordered.cumsum(0)])
    low, high = ordered[:1], ordered[-1:]
    for _ in range(rounds):
        below = torch.searchsorted(ordered, (low + high) / 2, right=True)
        under = sums.gather(0, below)
        low = torch.where(below > 0, under / below.clamp_min(1), low)
        high = torch.where(below < n, (sums[-1:] - under) / (n - below).clamp_min(1), high)
    return (values > (low + high) / 2).to(values.dtype)


def gaussian_posterior(values: Tensor, rounds: int = 10, floor: float = 5e-4) -> Tensor:
    """P(the component with the smaller mean | value), ``(n,)``, values first scaled to [0, 1].

    For losses this is the probability that a label is right: Li, Socher, Hoi (2020), DivideMix, section 3.1 (10 rounds,
    floor 5e-4).
    """
    low, high = values.min(), values.max()
    x = (values - low) / (high - low).clamp_min(1e-12)
    mean, variance, weight = fit_gaussian_mixture(x, rounds, floor)
    right = _right(x, mean, variance, weight)
    return torch.where(mean[0] <= mean[1], 1 - right, right)


__all__ = [
    "beta_log_density", "beta_posterior", "fit_beta_mixture", "fit_gaussian_mixture", "gaussian_posterior",
]  # fmt: skip
