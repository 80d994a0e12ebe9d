"""Sets of examples with one coarse label each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from labkit.datasets.base import Data
from labkit.streams import generator

LABELS = ("most frequent", "presence")


def sets_of(data: Data, size: int, count: int, groups: Sequence[Sequence[int]], label: str = "most frequent",
            seed: int = 0) -> Data:  # fmt: skip
    """``count`` sets of ``size`` different examples, each with one label: x ``(count, size, ...)``, y ``(count,)``.

    Members are drawn uniformly, so an example lies in several sets. What the label says of the members' classes:

    - "most frequent": which of ``groups`` (superclasses: lists of classes, every class in one) has the most members;
      equally frequent ones are decided at random. As in Zhang, Khan, Chen, Grossman (2023), "Enhancing instance-level
      image classification with set-level labels", who take the 20 superclasses of CIFAR-100.
    - "presence": whether any member is of a class in the one group given (1) or none is (0).

    The labels of members are not kept. ``Data.source`` says how the sets were made.

    Raises:
        ValueError: more members than examples; groups that do not fit the label.
    """
    if label not in LABELS:
        raise ValueError(f"label is one of {', '.join(LABELS)}, got {label!r}")
    if data.y.ndim != 1 or not 1 <= size <= data.n or count < 2:
        raise ValueError(f"{data.name}: expected 1 to {data.n} members, at least two sets, and one class per example; "
                         f"got size={size}, count={count}")  # fmt: skip
    flat = [int(c) for group in groups for c in group]
    whole = sorted(flat) == list(range(data.n_classes)) and len(groups) > 1
    some = len(groups) == 1 and flat and len(set(flat)) == len(flat) and set(flat) < set(range(data.n_classes))
    if not (whole if label == "most frequent" else some):
        wants = "one group of some classes" if label == "presence" else "two or more groups with every class in one"
        raise ValueError(f"a {label!r} label needs {wants} of 0 .. {data.n_classes - 1}, got {groups}")
    rng = generator(seed, "data")
    members = np.stack([rng.choice(data.n, size, replace=False) for _ in range(count)])
    names = ["+".join(data.classes[c] for c in group) for group in groups]
    group_of = np.full(data.n_classes, len(groups))
    for g, group in enumerate(groups):
        group_of[list(group)] = g
    met = (group_of[data.y.numpy()[members]][..., None] == np.arange(len(groups))).sum(1)  # (count, groups)
    if label == "most frequent":
        y = (met + 0.5 * rng.random(met.shape)).argmax(1)
    else:
        y, names = (met[:, 0] > 0).astype(np.int64), [f"no {names[0]}", f"{names[0]} present"]
    return Data(
        f"sets_of_{data.name}", data.x[torch.from_numpy(members)], torch.from_numpy(y), tuple(names),
        source=f"{count} sets of {size}, label: {label}",
    )  # fmt: skip


__all__ = ["sets_of"]
