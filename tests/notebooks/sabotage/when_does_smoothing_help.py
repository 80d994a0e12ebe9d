"""Notebook 01_smoothing/01_when_does_smoothing_help."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS, made_up

NAMES = {"p": SimpleNamespace(hidden=[128, 128]), "plain": {"smoothing": 0.0}, "smoothed": {"smoothing": 0.1}}


def smoothing(plain, smoothed):
    runs = made_up({("smoothing", ("smoothing", 0.0)): plain, ("smoothing", ("smoothing", 0.1)): smoothed})
    return {**NAMES, "runs": runs}


def teachers(plain, smoothed):
    of = lambda a: ("student", ("teacher.smoothing", a), ("temperature", 4.0))
    return {**NAMES, "students": made_up({of(0.0): plain, of(0.1): smoothed})}


def scatter(plain, smoothed):
    rng = np.random.default_rng(0)
    rows = [
        {"layers": "2 hidden layers", "smoothing": a, "seed": s, "value": value * (1 + 0.05 * rng.random())}
        for a, value in ((0.0, plain), (0.1, smoothed))
        for s in range(SEEDS)
    ]
    return {**NAMES, "runs": None, "clusters": pd.DataFrame(rows)}


CASES = {
    "smoothing-raises-accuracy": (lambda: smoothing((0.8, 0.9), (0.9, 0.9)), lambda: smoothing((0.9, 0.9), (0.8, 0.9))),
    "smoothing-lowers-ece": (
        lambda: smoothing((0.8, 0.95), (0.8, 0.8)),  # the unsmoothed network is too sure
        lambda: smoothing((0.9, 0.9), (0.9, 0.7)),  # smoothing makes a sound one too unsure
    ),
    "temperature-levels-smoothing": (
        lambda: smoothing((0.8, 0.95), (0.8, 0.8)),
        lambda: smoothing((0.8, 0.8), (0.8, 0.8)),  # nothing to level
    ),
    "smoothing-tightens-clusters": (lambda: scatter(0.5, 0.3), lambda: scatter(0.3, 0.3)),
    "smoothed-teachers-teach-worse": (
        lambda: teachers((0.9, 0.9), (0.8, 0.9)),
        lambda: teachers((0.8, 0.9), (0.9, 0.9)),
    ),
}
