"""Notebook 02_noise/08_errors_in_the_test_set."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch

from tests.notebooks.sabotage import SEEDS


def column(mean, seed=0):
    return torch.from_numpy(mean + 0.005 * np.random.default_rng(seed).standard_normal(SEEDS))


def networks(**pairs):
    """on_recorded, on_right, on_wrong as (small, large); 15 % of records are wrong."""
    held = {name: {"small": column(a, 0), "large": column(b, 1)} for name, (a, b) in pairs.items()}
    wrong = torch.arange(100).expand(SEEDS, 100) < 15
    return {"data": SimpleNamespace(name="digits"), "wrong": wrong, **held}


def quality(bad_missed, good_missed):
    rows = [
        {"pictures": n, "hidden units": "16", "seed": i, "multi": skill, "missed": float(column(missed, i)[i])}
        for n, skill, missed in ((150, 0.6, bad_missed), (600, 0.7, 0.1), (2400, 0.9, good_missed))
        for i in range(SEEDS)
    ]
    return {"quality": pd.DataFrame(rows)}


def gap(single, multi):
    return {
        "first_single": column(0.8), "second_single": column(0.8 - single, 1), "first_multi": column(0.9, 2),
        "second_multi": column(0.9 - multi, 3),
    }  # fmt: skip


def reviews(found, cost):
    rows = [
        {"queue": name, "seed": i, "cost": cost, "found": float(column(share, i)[i])}
        for name, share in (("disagreement", found), ("random", cost))
        for i in range(SEEDS)
    ]
    return {"reviews": pd.DataFrame(rows)}


CASES = {
    "large-ahead-on-the-record": (
        lambda: networks(on_recorded=(0.7, 0.8)),
        lambda: networks(on_recorded=(0.8, 0.8)),
    ),
    "small-ahead-where-the-record-was-wrong": (
        lambda: networks(on_wrong=(0.7, 0.4)),
        lambda: networks(on_wrong=(0.5, 0.5)),
    ),
    "six-points-flip-the-ranking": (
        lambda: networks(on_right=(0.9, 0.92), on_wrong=(0.7, 0.4)),  # at 21 %: -0.016 + 0.063
        lambda: networks(on_right=(0.8, 0.92), on_wrong=(0.7, 0.4)),  # -0.095 + 0.063
    ),
    "best-models-are-underestimated-most": (lambda: quality(0.05, 0.15), lambda: quality(0.15, 0.05)),
    "the-drop-is-in-the-labels": (lambda: gap(0.18, 0.01), lambda: gap(0.18, -0.17)),
    "second-labels-are-ranked-second": (
        lambda: {"second_right": column(0.6)},
        lambda: {"second_right": column(1 / 9)},
    ),
    "disagreements-hold-the-errors": (lambda: reviews(0.95, 0.3), lambda: reviews(0.95, 0.9)),
}
