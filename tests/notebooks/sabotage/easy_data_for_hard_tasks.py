"""Notebook 02_noise/15_easy_data_for_hard_tasks."""

from __future__ import annotations

import numpy as np
import pandas as pd

from labkit import metrics
from tests.notebooks.sabotage import SEEDS

NAMES = {"runs": None, "metrics": metrics}


def hard_tests(easy, hard, unsupervised=0.5):
    """The notebook's table of accuracies on hard tests: ``hard`` at rates 0 and 0.4."""
    rng = np.random.default_rng(0)
    level = {("easy", 0.0): easy, ("easy", 0.4): easy, ("hard", 0.0): hard[0], ("hard", 0.4): hard[1]}
    rows = [
        {"trained on": part, "rate": rate, "seed": seed, "value": value + 1e-3 * rng.random()}
        for (part, rate), value in level.items()
        for seed in range(SEEDS)
    ]
    score = pd.DataFrame(rows)
    by = score.pivot_table(index="seed", columns=["trained on", "rate"], values="value")
    return {**NAMES, "score": score, "by": by, "unsupervised": pd.Series(unsupervised, range(SEEDS))}


CASES = {
    "easy-data-recover-the-gap": (lambda: hard_tests(0.85, (0.9, 0.6)), lambda: hard_tests(0.6, (0.9, 0.6))),
    "easy-data-win-when-hard-labels-are-noisy": (
        lambda: hard_tests(0.8, (0.9, 0.6)),
        lambda: hard_tests(0.8, (0.9, 0.85)),
    ),
}
