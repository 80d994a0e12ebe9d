"""What noisy labels say about who made them: when do they determine the transition matrix?

A hidden class c with prior ``pi_c`` and p labels, drawn independently from row c of ``T``. All that data without
clean labels can ever show is the distribution of the p labels together, ``sum_c pi_c T[c, i] T[c, j] ...``. T is
*identified* if no other (prior, T) has the same distribution, up to the names of the hidden classes (a permutation of
the rows). Everything is float64 and exact: enumeration, no sampling.

Liu, Cheng, Zhang (2023), "Identifiability of label noise transition matrix", after Kruskal (1977).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor


def label_joint(prior: Tensor, transition: Tensor, labels: int) -> Tensor:
    """``(..., K, ..., K)``: the probability of every combination of that many conditionally independent labels.

    ``prior`` ``(..., K)``, ``transition`` ``(..., K, M)`` (M = K as a rule); the result has ``labels`` axes of size M.
    """
    if labels < 1:
        raise ValueError(f"the distribution of at least one label, got {labels}")
    lead = prior.shape[:-1]
    joint = prior  # (..., K, cells so far)
    joint = joint[..., None]
    for _ in range(labels):
        joint = (joint[..., None] * transition[..., None, :]).flatten(-2)
    return joint.sum(-2).reshape(*lead, *[transition.shape[-1]] * labels)


def pair_family(share: Tensor, mean: float = 0.55, product: float = 0.425) -> tuple[Tensor, Tensor]:
    """Two classes, all with the same distribution of *two* labels: ``(prior (s, 2), transition (s, 2, 2))``.

    With q the prior of class 1 (``share``, ``(s,)``), ``E[label] = mean`` and ``E[label label'] = product`` leave
    ``P(1 | 1) = mean + sqrt(v (1 - q) / q)`` and ``P(1 | 0) = mean - sqrt(v q / (1 - q))``, ``v = product - mean^2``.
    The defaults hold the counter-example of the paper's argument: q = 0.5 gives (0.9, 0.2), q = 0.4 gives
    (0.9787, 0.2642); their *third* moments are 0.3685 and 0.3860.

    Raises:
        ValueError: a share that would need probabilities outside [0, 1] (:func:`pair_family_range` says which work).
    """
    q = torch.as_tensor(share, dtype=torch.float64)
    low, high = pair_family_range(mean, product)
    if ((q < low - 1e-12) | (q > high + 1e-12)).any():
        raise ValueError(f"with these moments the prior of class 1 lies in [{low:.4f}, {high:.4f}], got {q.tolist()}")
    spread = product - mean**2
    one = (mean + (spread * (1 - q) / q).sqrt()).clamp(max=1)  # rounding at the ends of the range
    zero = (mean - (spread * q / (1 - q)).sqrt()).clamp(min=0)
    said_one = torch.stack([zero, one], -1)
    return torch.stack([1 - q, q], -1), torch.stack([1 - said_one, said_one], -1)


def pair_family_range(mean: float = 0.55, product: float = 0.425) -> tuple[float, float]:
    """The priors of class 1 for which :func:`pair_family` has probabilities in [0, 1]."""
    spread = product - mean**2
    if not (0 < mean < 1 and 0 < spread <= mean * (1 - mean)):
        raise ValueError(
            f"no two labels have mean {mean:g} and mean product {product:g}, with a hidden class behind them"
        )
    return spread / (spread + (1 - mean) ** 2), mean**2 / (spread + mean**2)


def kruskal_rank(matrix: Tensor, tolerance: float = 1e-9) -> int:
    """The largest r such that *every* r rows are linearly independent (the rank only asks it of some r rows)."""
    rows, columns = matrix.shape
    for r in range(min(rows, columns), 0, -1):
        chosen = torch.stack([matrix[list(some)] for some in itertools.combinations(range(rows), r)])
        if (torch.linalg.svdvals(chosen)[:, -1] > tolerance).all():
            return r
    return 0


def kruskal(ranks: Sequence[int], classes: int) -> bool:
    """Whether p labels with these Kruskal ranks *must* identify their matrices: ``sum ranks >= 2 K + p - 1``.

    Sufficient, and for p <= 3 the known bound; with matrices of full rank it asks for three labels, for every K >= 2.
    """
    return sum(ranks) >= 2 * classes + len(ranks) - 1


def free_directions(prior: Tensor, transition: Tensor, labels: int, tolerance: float = 1e-9) -> int:
    """In how many independent directions (prior, T) can move without moving the distribution of the labels at all.

    The ``K^2 - 1`` free numbers of a prior and a stochastic matrix, less the rank of the derivative of
    :func:`label_joint`. For a matrix of full rank: ``K (K - 1)`` with one label, ``K (K - 1) / 2`` with two (what can
    be seen is then a symmetric matrix), 0 with three.
    """
    k = len(prior)
    flat = torch.cat([prior.double(), transition.double().flatten()])
    joint = lambda v: label_joint(v[:k], v[k:].reshape(k, k), labels).flatten()
    derivative = torch.func.jacrev(joint)(flat)
    within = torch.block_diag(
        *[torch.eye(k, dtype=torch.float64)[:, 1:] - torch.eye(k, dtype=torch.float64)[:, :1]] * (k + 1)
    )
    return k**2 - 1 - int((torch.linalg.svdvals(derivative @ within) > tolerance).sum())


__all__ = ["free_directions", "kruskal", "kruskal_rank", "label_joint", "pair_family", "pair_family_range"]
