"""Notebook 03_proportions/05_belief_propagation."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

NAMES = {
    "data": SimpleNamespace(name="made up"), "p": SimpleNamespace(sizes=[8, 32, 128], large=32),
    "two_rounds": "propagation, round 2", "matching": "proportion loss",
}  # fmt: skip


def around(mean, seed):
    return pd.Series(mean + 0.003 * np.random.default_rng(seed).standard_normal(SEEDS))


def by_size(propagation, matching, counts=0.9):
    """AUC at bags of 8, 32, 128."""
    means = {"propagation, round 2": propagation, "proportion loss": matching, "count likelihood": (counts,) * 3}
    scores = {
        (size, name): around(value, 10 * i + j)
        for j, (name, values) in enumerate(means.items())
        for i, (size, value) in enumerate(zip((8, 32, 128), values))
    }
    return {**NAMES, "scores": scores}


def parts(**means):
    names = {
        "whole": "propagation", "alone": "no neighbours", "uncounted": "no counts", "first": "length 1",
        "second": "length 1, round 2",
    }  # fmt: skip
    return {**NAMES, "part": {names[k]: around(v, i) for i, (k, v) in enumerate(means.items())}}


CASES = {
    "propagation-beats-matching-in-large-bags": (
        lambda: by_size((0.99, 0.97, 0.8), (0.98, 0.93, 0.8)),
        lambda: by_size((0.99, 0.93, 0.8), (0.98, 0.93, 0.7)),  # as good in large bags, whatever it is elsewhere
    ),
    "propagation-gains-more-the-larger-the-bags": (
        lambda: by_size((0.99, 0.97, 0.9), (0.98, 0.93, 0.8)),
        lambda: by_size((0.99, 0.97, 0.81), (0.98, 0.90, 0.8)),  # it gains, but no more
    ),
    "propagation-beats-exact-counts-in-large-bags": (
        lambda: by_size((0.99, 0.97, 0.8), (0.98, 0.93, 0.8), counts=0.94),
        lambda: by_size((0.99, 0.97, 0.8), (0.98, 0.93, 0.8), counts=0.97),
    ),
    "propagation-needs-its-neighbours": (
        lambda: parts(whole=0.98, alone=0.75),
        lambda: parts(whole=0.75, alone=0.75),
    ),
    "propagation-needs-its-counts": (
        lambda: parts(whole=0.98, uncounted=0.5),
        lambda: parts(whole=0.98, uncounted=0.985),
    ),
    "a-second-round-of-propagation-helps": (
        lambda: parts(first=0.88, second=0.92),
        lambda: parts(first=0.88, second=0.88),
    ),
}
