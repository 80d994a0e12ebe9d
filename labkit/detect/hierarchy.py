"""Which labels to look at first when classes form a tree: near misses or far ones?

Parekh, Anand, Awekar (2021), "Budget sensitive reannotation of noisy relation classification data using label
hierarchy", arXiv:2112.13320: re-annotate by the distance in the hierarchy between the given label and the prediction.
Both directions are given here. The order of ties is not known to us from the paper; ours is by margin.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labkit.detect.base import check_probs
from labkit.detect.confident_learning import margin


def tree_distances(names: Sequence[str], separator: str = "/") -> np.ndarray:
    """``(K, K)`` edges between the classes' leaves; a class is named by its path from the root.

    >>> tree_distances(["A/1", "A/2", "B/1"]).tolist()
    [[0, 2, 4], [2, 0, 4], [4, 4, 0]]
    """
    paths = [str(name).split(separator) for name in names]
    if len(set(map(tuple, paths))) < len(paths):
        raise ValueError(f"two classes have the same path in {list(names)}")

    def shared(a, b):
        return next((i for i, (s, t) in enumerate(zip(a, b)) if s != t), min(len(a), len(b)))

    return np.array([[len(a) + len(b) - 2 * shared(a, b) for b in paths] for a in paths])


def by_hierarchy(labels, probs, distances, first: str = "near") -> np.ndarray:
    """``(n,)`` score: examples whose prediction disagrees with their label come first, by distance in the tree.

    Args:
        distances: ``(K, K)``, as of `tree_distances`. first: "near" or "far" disagreements. Equal distances, and the
            examples that agree (they come last), are ordered by `margin`.
    """
    if first not in ("near", "far"):
        raise ValueError(f'first is "near" or "far", got {first!r}')
    labels, probs = check_probs(labels, probs)
    distances = np.asarray(distances, dtype=np.float64)
    if distances.shape != (probs.shape[1],) * 2:
        raise ValueError(f"distances between {probs.shape[1]} classes are a square matrix, got {distances.shape}")
    far = distances[labels, probs.argmax(1)]
    level = np.where(far > 0, far if first == "far" else far.max() + 1 - far, -np.inf)
    places = np.unique(level, return_inverse=True)[1]  # 0, 1, ...: margins lie in [0, 1], so they only decide ties
    return places + 0.999 * margin(labels, probs)


__all__ = ["by_hierarchy", "tree_distances"]
