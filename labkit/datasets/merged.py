"""Classes merged into groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from labkit.datasets.base import Data


def merged(data: Data, groups: Sequence[Sequence[int]], names: Sequence[str] | None = None) -> Data:
    """``data`` with one class per group of its classes; examples of classes in no group are left out.

    Args:
        groups: class indices, every class in at most one group.
        names: of the new classes; None: the old names joined by "/".

    Raises:
        ValueError: fewer than two groups, an empty one, a class that is in two or does not exist.

    >>> merged(load("digits"), [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]], ["even", "odd"])  # doctest: +SKIP
    """
    listed = [int(c) for group in groups for c in group]
    if len(groups) < 2 or not all(len(group) for group in groups):
        raise ValueError(f"merging needs at least two groups with a class in each, got {[list(g) for g in groups]}")
    if len(set(listed)) < len(listed) or not set(listed) <= set(range(data.n_classes)):
        raise ValueError(f"groups name each of the classes 0 .. {data.n_classes - 1} at most once, got {listed}")
    names = ["/".join(data.classes[c] for c in group) for group in groups] if names is None else list(names)
    if len(names) != len(groups):
        raise ValueError(f"{len(groups)} groups need as many names, got {names}")
    new = torch.full((data.n_classes,), -1)
    for place, group in enumerate(groups):
        new[list(group)] = place
    keep = (new[data.y] >= 0).flatten(1).all(1) if data.y.ndim > 1 else new[data.y] >= 0
    place = keep.cumsum(0) - 1
    test = None if data.test is None else place[data.test[keep[data.test]]]
    posterior = data.posterior
    if posterior is not None:
        posterior = torch.stack([posterior[keep][..., list(group)].sum(-1) for group in groups], -1)
        posterior = posterior / posterior.sum(-1, keepdim=True)
    return replace(
        data, x=data.x[keep], y=new[data.y][keep], classes=tuple(names), test=test, posterior=posterior,
        side={k: v[keep] for k, v in data.side.items()},
    )  # fmt: skip
