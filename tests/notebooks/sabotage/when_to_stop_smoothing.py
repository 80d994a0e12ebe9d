"""Notebook 01_smoothing/04_when_to_stop_smoothing."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS, made_up

NAMES = {"p": SimpleNamespace(theta=0.4, epochs=40), "display": lambda *shown: None}
TWO, REVERSE = ("two stages", ("smoothing.at", 0.5)), ("reverse", ("smoothing.at", 0.5))


def accuracies(one_hot, smoothed, two, reverse):
    settings = {("one-hot",): one_hot, ("smoothed", ("smoothing", 0.4)): smoothed, TWO: two, REVERSE: reverse}
    return {**NAMES, "runs": made_up({k: (accuracy, 0.9) for k, accuracy in settings.items()})}


def losses(one_hot, smoothed, two):
    rng = np.random.default_rng(0)
    values = {"one-hot": one_hot, "smoothed 0.4": smoothed, "two stages 0.5": two}
    rows = [
        {"setting": name, "seed": seed, "training loss": value + 0.001 * rng.random()}
        for name, value in values.items()
        for seed in range(SEEDS)
    ]
    return {**NAMES, "runs": None, "table": pd.DataFrame(rows)}


def variances(early, late):
    """Variance with smoothing, before and after half of the training, where one-hot labels have 1."""
    rng = np.random.default_rng(0)
    rows = [
        {"epoch": epoch, "seed": seed, "smoothing": a, "variance": value * (1 + 0.05 * rng.random())}
        for epoch, smoothed in ((1, early), (10, early), (40, late))
        for a, value in ((0.0, 1.0), (0.4, smoothed))
        for seed in range(SEEDS)
    ]
    return {**NAMES, "early": {40: None}, "stops": [1, 10, 40], "paths": pd.DataFrame(rows)}


CASES = {
    "smoothing-calms-gradients": (lambda: variances(0.5, 2.0), lambda: variances(1.0, 0.1)),  # late calm does not count
    "dropping-lowers-training-loss": (lambda: losses(0.2, 0.7, 0.2), lambda: losses(0.2, 0.2, 0.2)),
    "two-stages-beat-one-hot-in-training": (lambda: losses(0.2, 0.7, 0.1), lambda: losses(0.1, 0.7, 0.2)),
    "two-stages-beat-one-hot": (lambda: accuracies(0.8, 0.8, 0.9, 0.8), lambda: accuracies(0.9, 0.8, 0.8, 0.8)),
    "two-stages-beat-smoothing": (lambda: accuracies(0.8, 0.8, 0.9, 0.8), lambda: accuracies(0.8, 0.9, 0.8, 0.8)),
    "smoothing-belongs-first": (lambda: accuracies(0.8, 0.8, 0.9, 0.8), lambda: accuracies(0.8, 0.8, 0.8, 0.9)),
}
