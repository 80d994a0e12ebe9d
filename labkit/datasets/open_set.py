"""Open-set noise: pictures that belong to none of the classes, under labels that say they do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from labkit.datasets.base import Data
from labkit.streams import generator


def without_classes(data: Data, outside, test: float = 0.2, seed: int = 0) -> tuple[Data, Tensor]:
    """``(data of the other classes, inputs of the classes in outside (m, ...))``, for open-set noise.

    The other classes are numbered anew and get an official test set, ``test`` of each class, drawn by ``seed`` (an
    official one is kept, less the outside classes). The outside inputs come in random order.

    Raises:
        ValueError: a class that does not exist, or fewer than two left.
    """
    outside = sorted({int(c) for c in outside})
    inside = [c for c in range(data.n_classes) if c not in outside]
    if data.y.ndim != 1 or not outside or outside[0] < 0 or outside[-1] >= data.n_classes or len(inside) < 2:
        raise ValueError(
            f"{data.name}: outside names some of the classes 0..{data.n_classes - 1} and leaves two, got {outside}"
        )
    number = torch.full((data.n_classes,), -1)
    number[torch.tensor(inside)] = torch.arange(len(inside))
    stays = (number[data.y] >= 0).nonzero().flatten()
    official = None if data.test is None else torch.isin(stays, data.test).nonzero().flatten()
    kept = replace(
        data,
        name=f"{data.name}_inside",
        x=data.x[stays],
        y=number[data.y[stays]],
        classes=tuple(data.classes[c] for c in inside),
        test=official,
        posterior=None,
        side={name: value[stays] for name, value in data.side.items()},
        source=f"{data.source}{'; ' if data.source else ''}without {', '.join(data.classes[c] for c in outside)}",
    )
    if official is None:
        kept = replace(kept, test=kept.split(seed, validation=0, test=test).test.sort().values)
    others = (number[data.y] < 0).nonzero().flatten()
    return kept, data.x[others[torch.from_numpy(generator(seed, "data").permutation(len(others)))]]


def with_outsiders(data: Data, outside: Tensor, share: float, seed: int = 0) -> tuple[Data, Tensor]:
    """Training images of a ``share`` are replaced by images in ``outside``; labels stay. Test images are not touched.

    Returns the data and which of its examples are outsiders, ``(n,)`` booleans. The mask lies *beside* the data, not in
    ``side``, because methods and annotators see ``side`` and nobody tells a learner which picture is a stranger.
    After the open-set noise of Sachdeva, Cordeiro, Belagiannis, Reid, Carneiro (2021), "EvidentialMix" (CIFAR-10 images
    replaced by others, labels kept); closed-set noise is an annotator and comes on top.

    Args:
        data: with an official test set (see `without_classes`).
        outside: ``(m, ...)`` inputs of the shape and scaling of ``data.x``; each is used at most once, the first ones
            first, so the rest can test open-set recognition.
        share: of the training examples (validation included), in [0, 1].

    Raises:
        ValueError: no official test set, another shape, a share outside [0, 1], or too few images outside.
    """
    if data.test is None:
        raise ValueError(f"{data.name} has no official test set, so any image may be tested; use without_classes first")
    if tuple(outside.shape[1:]) != data.shape or outside.dtype != data.x.dtype:
        raise ValueError(
            f"outside holds inputs {data.x.dtype} of shape {data.shape}, got {outside.dtype} of shape "
            f"{tuple(outside.shape[1:])}"
        )
    if not 0 <= share <= 1:
        raise ValueError(f"share is between 0 and 1, got {share}")
    pool = np.setdiff1d(np.arange(data.n), data.test.numpy())
    count = int(share * len(pool) + 0.5)
    if count > len(outside):
        raise ValueError(f"{data.name}: {count} images are to be replaced and only {len(outside)} are outside")
    chosen = torch.from_numpy(generator(seed, "data").permutation(pool)[:count])
    mask = torch.zeros(data.n, dtype=torch.bool)
    mask[chosen] = True
    x = data.x.clone()
    x[chosen] = outside[:count]
    said = f"{data.source}{'; ' if data.source else ''}{count} of {len(pool)} training images from outside"
    return replace(data, name=f"{data.name}_open", x=x, posterior=None, source=said), mask
