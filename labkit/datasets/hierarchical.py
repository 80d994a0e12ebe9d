"""Gaussian classes in a two-level hierarchy: classes of one group are alike, and how much is a number."""

from __future__ import annotations

import math

import numpy as np
import torch

from labkit.datasets.base import Data
from labkit.datasets.synthetic import Mixture, gaussian_mixture


def hierarchical_mixture(
    groups: int = 4, classes: int = 4, within: float = 2.5, between: float = 6.0, dimensions: int = 20
) -> Mixture:
    """``groups * classes`` equally likely Gaussian classes of identity covariance, class k in group ``k // classes``.

    Means of two classes of one group are exactly ``within`` apart, centres of two groups exactly ``between``; classes
    of different groups are therefore ``sqrt(between^2 + within^2 (classes - 1) / classes)`` apart. Both are in units of
    a class's standard deviation. ``dimensions`` beyond ``groups * classes`` hold noise only.

    Construction: mean k is ``within / sqrt(2)`` along an axis of its own, plus a shift along the diagonal of its
    group's axes that brings the group centres to their distance; the overall mean is 0.

    Raises:
        ValueError: fewer than 2 groups or 1 class a group, a distance that is not finite and >= 0, too few dimensions.
    """
    k = groups * classes
    if groups < 2 or classes < 1 or not 0 <= within < math.inf or not 0 <= between < math.inf:
        raise ValueError(
            f"expected groups >= 2, classes >= 1 and finite distances >= 0, got groups={groups}, classes={classes}, "
            f"within={within}, between={between}"
        )
    if dimensions < k:
        raise ValueError(f"{groups} x {classes} classes at these distances need {k} dimensions, got {dimensions}")
    diagonal = np.repeat(np.eye(groups), classes, axis=0).repeat(classes, axis=1) / math.sqrt(classes)  # (K, K)
    own = within / math.sqrt(2)  # centres of groups lie own / sqrt(classes) out along the diagonal before the shift
    means = own * np.eye(k) + (between / math.sqrt(2) - own / math.sqrt(classes)) * diagonal
    means = np.pad(means - means.mean(0), ((0, 0), (0, dimensions - k)))
    return gaussian_mixture(means=means)


def hierarchy(
    n: int = 4000,
    groups: int = 4,
    classes: int = 4,
    within: float = 2.5,
    between: float = 6.0,
    dimensions: int = 20,
    seed: int = 0,
) -> Data:
    """n draws from `hierarchical_mixture` (see there): x ``(n, dimensions)``, y ``(n,)``, the exact posterior.

    Classes are named "group/class" ("A/1", "A/2", "B/1"), from which `class_groups` reads the groups. ``seed`` moves
    the draws, never the means.
    """
    mixture = hierarchical_mixture(groups, classes, within, between, dimensions)
    x, y = mixture.sample(n, seed)
    names = tuple(f"{_letters(g)}/{c + 1}" for g in range(groups) for c in range(classes))
    return Data("hierarchy", x, y, names, posterior=mixture.posterior(x))


def class_groups(data: Data) -> torch.Tensor:
    """``(K,)`` int64: the number of each class's group, in order of first appearance.

    Raises ValueError where a class is not named "group/class".

    >>> class_groups(hierarchy(n=10, groups=2, classes=3)).tolist()
    [0, 0, 0, 1, 1, 1]
    """
    plain = [name for name in data.classes if "/" not in name]
    if plain:
        raise ValueError(f"{data.name}: class {plain[0]!r} names no group; names of the form 'group/class' are needed")
    numbers: dict[str, int] = {}
    return torch.tensor([numbers.setdefault(name.split("/")[0], len(numbers)) for name in data.classes])


def _letters(number: int) -> str:
    """A, B, ..., Z, AA, AB, ..."""
    rest, last = divmod(number, 26)
    return (_letters(rest - 1) if rest else "") + chr(ord("A") + last)
