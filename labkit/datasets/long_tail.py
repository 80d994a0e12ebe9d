"""A long tail cut into a balanced set: few classes keep their examples, many lose most of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from labkit.datasets.base import Data
from labkit.streams import generator

ORDERS = ("random", "given", "reversed")


def long_tailed(data: Data, ratio: float, test: float = 0.2, seed: int = 0, order: str = "random") -> Data:
    """The same classes with ``n_c = n ratio^(-c / (K - 1))`` training examples, c = 0 the largest; a balanced test set.

    Cao, Wei, Gaidon, Arechiga, Ma (2019), "Learning imbalanced datasets with label-distribution-aware margin loss",
    exponential profile. n is what the smallest class has left once the test set is taken, so every class can be the
    head; n_c is rounded, at least 2. Labels are to be made noisy *afterwards*: noise then spreads the head over the
    tail, and the counts of given labels hide who is rare. `tail_order` tells the order (for evaluation only).

    Args:
        data: a set with a class per example.
        ratio: largest class over smallest, from 1; published 10 to 100.
        test: share of each class for the official test set, equal over classes (of the smallest class); an official
            test set of ``data`` is used instead, cut to equal classes.
        seed: which classes are the tail (``order="random"``), and which examples stay.
        order: "random"; "given", class 0 is the head; "reversed", the last class is.

    Raises:
        ValueError: a ratio below 1, an unknown order, places with classes, or a class too small.
    """
    if data.y.ndim != 1:
        raise ValueError(f"{data.name}: a long tail needs one class per example, got labels {tuple(data.y.shape)}")
    if not ratio >= 1:
        raise ValueError(f"ratio is the largest class over the smallest, from 1; got {ratio}")
    if not 0 < test < 1:
        raise ValueError(f"test is a share of each class between 0 and 1, got {test}")
    k, rng, labels = data.n_classes, generator(seed, "data"), data.y.numpy()
    ranked = tail_order(k, seed, order)
    official = np.zeros(data.n, bool) if data.test is None else np.isin(np.arange(data.n), data.test.numpy())
    of_class = lambda c, where: rng.permutation(np.flatnonzero((labels == c) & where))
    if data.test is None:
        size = int(test * np.bincount(labels, minlength=k).min())
        tested = [of_class(c, ~official)[:size] for c in range(k)]
    else:
        size = np.bincount(labels[official], minlength=k).min()
        tested = [of_class(c, official)[:size] for c in range(k)]
    free = ~official
    free[np.concatenate(tested)] = False
    largest = np.bincount(labels[free], minlength=k).min()
    if size < 1 or largest < 2:
        raise ValueError(
            f"{data.name}: the smallest class leaves {size} test and {largest} training examples; "
            "at least 1 and 2 are needed"
        )
    counts = np.maximum(2, np.rint(largest * ratio ** (-np.arange(k) / (k - 1))).astype(int))
    kept = [of_class(c, free)[: counts[place]] for place, c in enumerate(ranked)]
    train, tests = np.sort(np.concatenate(kept)), np.sort(np.concatenate(tested))
    index = torch.from_numpy(np.concatenate([train, tests]))
    return replace(
        data,
        name=f"{data.name}_long_tailed",
        x=data.x[index],
        y=data.y[index],
        test=torch.arange(len(train), len(index)),
        posterior=None,
        side={name: value[index] for name, value in data.side.items()},
        source=f"{data.source}{'; ' if data.source else ''}long tail {counts[0]} to {counts[-1]} examples a class",
    )


def tail_order(n_classes: int, seed: int = 0, order: str = "random") -> list[int]:
    """The classes from head to tail, as `long_tailed` orders them with the same ``seed`` and ``order``."""
    if order not in ORDERS:
        raise ValueError(f"order is one of {', '.join(ORDERS)}, got {order!r}")
    classes = list(range(n_classes))
    if order == "random":
        return generator(seed, "data", 1).permutation(n_classes).tolist()
    return classes if order == "given" else classes[::-1]
