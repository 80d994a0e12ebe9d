"""Hidden classes behind domains: labelled data made ready for a classifier that is told domains only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from labkit.datasets.base import Data


def latent_shift(data: Data, groups: Sequence[Sequence[int]], domains: int) -> Data:
    """``data`` with hidden class k wherever its class is one of ``groups[k]``; other classes are left out.

    The result has names, and so a network answers, for ``domains`` classes, of which only the first ``len(groups)``
    occur as hidden classes: with :class:`labkit.annotate.Domains` a network learns which domain an example comes from,
    and the hidden classes serve evaluation alone. A group of several classes is one whose members need not look alike.

    Raises:
        ValueError: a class in two groups or out of range, an empty group, or fewer domains than groups.

    >>> from labkit.datasets import load
    >>> latent_shift(load("digits"), [[0, 3], [1, 4]], domains=6).y.unique().tolist()
    [0, 1]
    """
    flat = [int(c) for group in groups for c in group]
    fits = all(len(g) for g in groups) and len(set(flat)) == len(flat) and set(flat) <= set(range(data.n_classes))
    if data.y.ndim != 1 or len(groups) < 2 or not fits:
        raise ValueError(f"{data.name}: expected two or more groups of different classes among 0 .. "
                         f"{data.n_classes - 1}, and one class per example; got {groups}")
    if domains < len(groups):
        raise ValueError(f"{len(groups)} hidden classes cannot be told apart in {domains} domains; give at least as "
                         "many domains as classes")
    hidden = torch.full((data.n_classes,), -1)
    for k, group in enumerate(groups):
        hidden[list(group)] = k
    y = hidden[data.y]
    kept = (y >= 0).nonzero().flatten()
    tested = None if data.test is None else torch.isin(kept, data.test).nonzero().flatten()
    names = ["+".join(data.classes[c] for c in group) for group in groups]
    return replace(
        data, name=f"{data.name}_domains", x=data.x[kept], y=y[kept], test=tested, posterior=None,
        classes=(*names, *(f"domain {d}" for d in range(len(groups), domains))),
        side={name: value[kept] for name, value in data.side.items()},
    )  # fmt: skip


__all__ = ["latent_shift"]
