"""Notebook 02_noise/11_a_few_clean_labels."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

NAMES = {"data": SimpleNamespace(name="digits")}


def scores(**values):
    """The notebook's tables of accuracies and of corrected labels, the same numbers in both."""
    rng = np.random.default_rng(0)
    rows = [
        {"method": method.replace("_", " "), "noise": noise, "seed": seed, "share": "right now",
         "value": value + 1e-3 * rng.random()}
        for method, value in values.items()
        for noise in ("symmetric", "pair")
        for seed in range(SEEDS)
    ]  # fmt: skip
    names = {"fine tuned": "fine-tuned", "no injection": "EMLC, no injection", "no meta": "EMLC, no meta-gradient"}
    table = pd.DataFrame(rows).replace({"method": names})
    accuracy = table.groupby(["method", "seed"])["value"].mean().unstack("method")
    return {**NAMES, "measured": table, "corrected": table, "accuracy": accuracy, "right": accuracy}


def against(other):
    return lambda: scores(EMLC=0.9, **{other: 0.8}), lambda: scores(EMLC=0.9, **{other: 0.9})


CASES = {
    "emlc-beats-mlc-in-accuracy": against("MLC"),
    "emlc-beats-fine-tuning": against("fine_tuned"),
    "emlc-needs-injected-noise": against("no_injection"),
    "emlc-needs-the-meta-gradient": against("no_meta"),
    "emlc-corrects-more-labels-than-mlc": against("MLC"),
}
