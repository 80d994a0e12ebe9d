"""Notebook 03_proportions/12_set_level_labels."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

WAYS = ("pixels", "PCA", "untrained", "presence of 0", "sets, attention", "sets, mean", "instance labels alone")


def probes(ours, pixels=0.8, unsupervised=0.8, alone=0.8):
    """Accuracy at five labels per class; at twenty the order is turned around and must not be looked at."""
    rng, rows = np.random.default_rng(0), []
    at_five = dict.fromkeys(WAYS, 0.5) | {
        "sets, mean": ours, "pixels": pixels, "PCA": unsupervised, "instance labels alone": alone,
    }  # fmt: skip
    for way, value in at_five.items():
        for n, accuracy in ((5, value), (20, 1.6 - value)):
            rows += [
                {"way": way, "labels": n, "seed": s, "accuracy": accuracy + 0.005 * rng.random()} for s in range(SEEDS)
            ]
    table = pd.DataFrame(rows)
    per_seed = lambda way, n: table[(table["way"] == way) & (table["labels"] == n)].set_index("seed")["accuracy"]
    return {"per_seed": per_seed, "stage1": {2000: None}, "most": 2000}


def slopes(alone, more_sets, both):
    rng = np.random.default_rng(1)
    columns = {"instance labels alone": alone, "more sets, 5 labels": more_sets, "both grow": both}
    table = pd.DataFrame({name: value + 0.02 * rng.standard_normal(SEEDS) for name, value in columns.items()})
    return {"slopes": table, "stage1": {2000: None}, "most": 2000}


CASES = {
    "set-labels-beat-raw-inputs": (lambda: probes(0.9), lambda: probes(0.9, pixels=0.9)),
    "set-labels-beat-unsupervised-features": (lambda: probes(0.9), lambda: probes(0.9, unsupervised=0.9)),
    "set-labels-beat-instance-labels-alone": (lambda: probes(0.9), lambda: probes(0.9, alone=0.9)),
    "error-falls-faster-with-sets-than-instances": (
        lambda: slopes(-0.3, -0.8, -0.3),
        lambda: slopes(-0.6, -0.2, -0.9),
    ),
    "error-falls-faster-when-sets-grow-too": (lambda: slopes(-0.6, -0.2, -0.9), lambda: slopes(-0.6, -0.9, -0.6)),
}
