"""Do a student's classes drift towards their likes when the temperature rises? Centroids, and an index of the drift.

Centroids are ``(..., K, d)``, any leading run axes or none; results are float64. A run with a NaN or infinite number
(a class without examples has a NaN centroid) gives NaN and leaves the others as they are.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .over_runs import check_labels, check_rows, describe, over_runs, spread, total


@torch.no_grad()
def class_centroids(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Mean feature of every class: features ``(..., n, d)``, labels ``(n,)`` or ``(..., n)`` -> ``(..., K, d)``.

    A class without examples has the centroid NaN. Errors are those of `within_between`.
    """
    check_rows("features", features, "d")
    labels = check_labels(labels, features, classes)

    def means(x: Tensor, y: Tensor) -> Tensor:
        member = torch.nn.functional.one_hot(y, classes).to(x.dtype)  # (runs, n, K)
        return member.transpose(1, 2) @ x / member.sum(1).unsqueeze(-1)

    return over_runs(means, tuple(features.shape[:-2]), features, labels)


@torch.no_grad()
def relative_distances(centroids: Tensor) -> Tensor:
    """``(..., K, K)`` distances between centroids ``(..., K, d)``, divided by the mean over all pairs of one run."""
    check_rows("centroids", centroids, "d")
    return over_runs(_relative, tuple(centroids.shape[:-2]), centroids)


@torch.no_grad()
def diffusion_index(reference: Tensor, centroids: Tensor, similar: Tensor) -> Tensor:
    """How far each class moved towards its similar classes, and not towards the others. Shape ``(..., K)``.

    With d(c, c') the distance between the centroids of classes c and c' divided by the mean distance of all pairs of
    classes at the same temperature (so that overall growth or shrinkage does not count),

        index(c) = mean over similar c' of (d_1 - d_T) / d_1  -  the same mean over the other c'

    d_1 from ``reference``, d_T from ``centroids``. Positive: towards similar classes. 0.1: the share of the distance
    lost to similar classes is 10 percentage points larger. 0 if nothing moved, or all by the same factor.

    The idea is the systematic diffusion of Chandrasegaran, Tran, Zhao, Cheung (2022), "Revisiting label smoothing and
    knowledge distillation compatibility: what was missing?"; they print an index of their own, and this definition,
    made precise here from their words, need not equal theirs.

    Args:
        reference: ``(..., K, d)`` centroids of the same runs at the low temperature (T = 1). Its d may differ.
        centroids: ``(..., K, d)`` at the temperature in question.
        similar: ``(K, K)`` or ``(..., K, K)`` of bool: row c marks the classes similar to c. The diagonal is not read.
            A class without similar or without dissimilar classes has the index NaN.

    Raises:
        TypeError, ValueError: other types, shapes that disagree, fewer than three classes.
    """
    check_rows("reference", reference, "d")
    check_rows("centroids", centroids, "d")
    lead, K = tuple(centroids.shape[:-2]), centroids.shape[-2]
    if tuple(reference.shape[:-1]) != (*lead, K):
        raise ValueError(
            f"reference {tuple(reference.shape)} and centroids {tuple(centroids.shape)} must be of the same runs and "
            "classes; only the number of features may differ"
        )
    if not isinstance(similar, Tensor) or similar.dtype != torch.bool:
        raise TypeError(f"similar must be a bool tensor (K, K), got {describe(similar)}")
    if K < 3:
        raise ValueError(f"similar and dissimilar classes need at least 3 classes, got {K}")
    similar = spread("similar", similar.to(centroids.device), (*lead, K, K), 2)
    return over_runs(_index, lead, reference, centroids, similar)


def nearest_classes(centroids: Tensor, count: int) -> Tensor:
    """``(..., K, K)`` bool: row c marks the ``count`` classes whose centroids are nearest to that of c.

    A stand-in for known groups (of pixel means, say). Not symmetric: c may be near to one that has nearer ones.
    """
    check_rows("centroids", centroids, "d")
    K = centroids.shape[-2]
    if not 1 <= count < K:
        raise ValueError(f"count must lie in 1..{K - 1} for {K} classes, got {count}")
    distance = torch.cdist(centroids.double(), centroids.double())
    distance = distance + torch.diag(torch.full((K,), torch.inf, dtype=torch.float64, device=centroids.device))
    return torch.zeros_like(distance, dtype=torch.bool).scatter_(-1, distance.argsort(-1)[..., :count], True)


def _relative(m: Tensor) -> Tensor:
    """(runs, K, d) -> (runs, K, K)."""
    K = m.shape[1]
    d = total((m.unsqueeze(2) - m.unsqueeze(1)).square()).sqrt()
    return d / (total(total(d)) / (K * (K - 1)))[:, None, None]


def _index(reference: Tensor, centroids: Tensor, similar: Tensor) -> Tensor:
    """(runs, K, d) twice and (runs, K, K) -> (runs, K)."""
    others = ~torch.eye(similar.shape[1], dtype=torch.bool, device=similar.device)
    start = torch.where(others, _relative(reference), 1.0)
    moved = (start - _relative(centroids)) / start
    average = lambda kept: total(torch.where(kept, moved, 0.0)) / kept.sum(-1)
    return average(similar & others) - average(~similar & others)


__all__ = ["class_centroids", "diffusion_index", "nearest_classes", "relative_distances"]
