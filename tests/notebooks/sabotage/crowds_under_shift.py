"""Notebook 05_calibration/10_crowds_under_shift."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

import labkit as lk
from labkit import crowds
from labkit.streams import generator
from tests.notebooks.sabotage import SEEDS

MEAN, CLOSE, FAR = "mean of all", 1.5, 4.0


def column(mean, seed=0):
    return pd.Series(mean + 0.001 * np.random.default_rng(seed).standard_normal(SEEDS), index=range(SEEDS))


def scores(of_mean, of_majority, of_others=1.0):
    """NLL, before or after temperature, or accuracy: the same numbers for whatever the cell asks."""
    return {
        "mean": MEAN,
        "score": lambda way, metric, **at: column(of_mean if way == MEAN else of_majority, len(way)),
        "typical": lambda metric, **at: column(of_others, 9),
    }


def ranks(of_mean, of_best):
    return {
        "mean": MEAN,
        "ranks": pd.DataFrame({MEAN: column(of_mean), "GLAD": column(of_best, 1), "MACE": column(6, 2)}),
    }


def by_separation(close, far):
    gains = {CLOSE: close, FAR: far}
    return {
        "mean": MEAN,
        "p": SimpleNamespace(separations=[CLOSE, 2.5, FAR]),
        "typical": lambda metric, separation: column(1 + gains[separation], 1),
        "score": lambda way, metric, separation: column(1.0, 2),
    }


def crowd(few, many):
    data = lk.load("gaussians", n=200, classes=5, dimensions=10, separation=2.5)
    return {
        "p": SimpleNamespace(votes=[few, many], seeds=SEEDS, examples=200),
        "data": {2.5: data}, "middle": 2.5, "crowds": crowds, "generator": generator,
    }  # fmt: skip


CASES = {
    "crowd-mean-beats-majority-under-shift": (lambda: scores(1.0, 1.5), lambda: scores(1.0, 1.0)),
    "crowd-mean-beats-the-typical-way": (lambda: scores(0.9, 1.0), lambda: scores(1.1, 1.0)),
    "crowd-mean-keeps-accuracy": (lambda: scores(0.8, 0.8), lambda: scores(0.7, 0.8)),
    "crowd-mean-ranks-first-under-shift": (lambda: ranks(2.0, 3.0), lambda: ranks(4.0, 2.0)),
    "crowd-mean-leads-after-temperature": (lambda: scores(1.0, 1.1), lambda: scores(1.0, 1.0)),
    "crowd-mean-gains-most-when-subjective": (lambda: by_separation(0.5, 0.1), lambda: by_separation(0.1, 0.5)),
    "softmax-of-counts-sharpens-with-votes": (lambda: crowd(3, 15), lambda: crowd(5, 5)),
}
