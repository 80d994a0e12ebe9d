"""Notebook 02_noise/10_real_human_noise."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

ROBUST = ["GCE", "ELR"]


def scores(looks, dealt, symmetric, oracle=(0.95, 0.95), robust=(0.8, 0.9)):
    """Accuracies of cross entropy under three noises; oracle and robust methods under the first two."""
    rng = np.random.default_rng(0)
    values = {
        "looks": {"cross entropy": looks, "oracle": oracle[0], **dict.fromkeys(ROBUST, robust[0])},
        "dealt": {"cross entropy": dealt, "oracle": oracle[1], **dict.fromkeys(ROBUST, robust[1])},
        "symmetric": {"cross entropy": symmetric, "oracle": 0.95, **dict.fromkeys(ROBUST, 0.9)},
    }
    rows = [
        {"noise": noise, "method": method, "seed": seed, "value": value + 0.005 * rng.random()}
        for noise, methods in values.items()
        for method, value in methods.items()
        for seed in range(SEEDS)
    ]
    return {"scores": pd.DataFrame(rows), "robust": ROBUST, "who": "nobody"}


def taken(looks, dealt):
    """Shares of wrong labels repeated, (runs, epochs), rising to these values."""
    rng = np.random.default_rng(0)
    rising = np.linspace(0, 1, 10)
    make = lambda top: top * rising + 0.01 * rng.random((SEEDS, 10))
    return {"taken": {"looks": make(looks), "dealt": make(dealt)}, "who": "nobody"}


CASES = {
    "noise-that-looks-costs-more": (lambda: scores(0.7, 0.8, 0.8), lambda: scores(0.8, 0.8, 0.9)),
    "noise-that-looks-costs-more-than-symmetric": (lambda: scores(0.7, 0.7, 0.8), lambda: scores(0.8, 0.9, 0.8)),
    "noise-that-looks-widens-the-gap": (
        lambda: scores(0.7, 0.8, 0.9),
        lambda: scores(0.7, 0.8, 0.9, oracle=(0.85, 0.95)),  # the oracle falls as far as the robust methods
    ),
    "noise-that-looks-is-taken-in-faster": (lambda: taken(0.9, 0.3), lambda: taken(0.5, 0.5)),
}
