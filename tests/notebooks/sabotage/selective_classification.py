"""Notebook 01_smoothing/03_selective_classification."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

QUIET = {"runs": None, "uneven": None, "display": lambda *shown: None}


def table(plain, smoothed, normalised_plain, normalised):
    """AURC and failure AUROC (here 1 - AURC) of both scores at a = 0 and 0.2, a little different at every seed."""
    rng = np.random.default_rng(0)
    values = {
        ("max softmax", 0.0): plain,
        ("max softmax", 0.2): smoothed,
        ("normalised logit", 0.0): normalised_plain,
        ("normalised logit", 0.2): normalised,
    }
    rows = []
    for (score, a), value in values.items():
        for seed in range(SEEDS):
            area = value * (1 + 0.01 * rng.random())
            rows.append({"seed": seed, "smoothing": a, "score": score, "aurc": area, "auroc": 1 - area})
    made = pd.DataFrame(rows)
    return {**QUIET, "table": made, "uneven_table": made}


def lost(sure, doubtful):
    """The share of the logit that was lost, falling or rising along the probability of being wrong."""
    rng = np.random.default_rng(0)
    wrong = np.tile(np.linspace(0, 1, 30), SEEDS)
    seed = np.repeat(np.arange(SEEDS), 30)
    share = sure + (doubtful - sure) * wrong + 0.01 * rng.random(len(wrong))
    made = pd.DataFrame({"seed": seed, "wrong": wrong, "lost": share})
    return {**QUIET, "flat": made, "uneven_flat": made}


PAPER, NEITHER = (lambda: table(0.05, 0.07, 0.06, 0.05)), (lambda: table(0.05, 0.05, 0.05, 0.05))

CASES = {
    "smoothing-spoils-selection": (PAPER, NEITHER),
    "smoothing-misorders-failures": (PAPER, NEITHER),
    "normalisation-recovers-selection": (PAPER, NEITHER),
    "normalisation-is-for-smoothing": (PAPER, lambda: table(0.07, 0.07, 0.05, 0.05)),  # it helps both alike
    "smoothing-presses-sure-logits": (lambda: lost(0.9, 0.6), lambda: lost(0.8, 0.8)),
    "smoothing-spoils-uneven-selection": (PAPER, NEITHER),
    "normalisation-recovers-uneven-selection": (PAPER, NEITHER),
    "smoothing-presses-sure-logits-uneven": (lambda: lost(0.9, 0.6), lambda: lost(0.8, 0.8)),
}
