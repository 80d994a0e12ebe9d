"""Notebook 01_smoothing/11_soft_dice_and_jaccard."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

NAMES = {"averaged": None, "softened": None, "display": lambda *verdicts: None}


def scores(settings: dict[tuple[str, str, str], float]):
    """The notebook's table and its ``per_seed``, from ``(labels, method, metric) -> score``."""
    rng = np.random.default_rng(0)
    rows = [
        {**dict(zip(("labels", "method", "metric"), setting)), "seed": seed, "value": value + 1e-3 * rng.random()}
        for setting, value in settings.items()
        for seed in range(SEEDS)
    ]
    results = pd.DataFrame(rows)

    def per_seed(labels, method, metric):
        chosen = results[(results["labels"] == labels) & (results["method"] == method) & (results["metric"] == metric)]
        return chosen.set_index("seed")["value"]

    return {**NAMES, "results": results, "per_seed": per_seed}


ECE = "ECE against raters"


def hardened(soft_dice, dml):
    return scores({("average", "soft Dice", ECE): soft_dice, ("average", "DML1", ECE): dml})


def jaccards(soft_jaccard, jml):
    return scores({("average", "soft Jaccard", "miou"): soft_jaccard, ("average", "JML1", "miou"): jml})


def raters(kind, dice, ece):
    """(average, the other kind) in Dice and in ECE."""
    return scores({
        ("average", "DML1", "dice"): dice[0], (kind, "DML1", "dice"): dice[1],
        ("average", "DML1", ECE): ece[0], (kind, "DML1", ECE): ece[1],
    })  # fmt: skip


def edges(hard, softened):
    return scores({("random", "JML1", "miou"): hard, ("random", "JML1, softened", "miou"): softened})


CASES = {
    "soft-dice-hardens-averaged-raters": (lambda: hardened(0.08, 0.03), lambda: hardened(0.03, 0.03)),
    "jaccard-metric-loss-gains-on-soft-masks": (lambda: jaccards(0.70, 0.72), lambda: jaccards(0.70, 0.70)),
    "averaged-raters-beat-majority-in-dice": (
        lambda: raters("majority", (0.75, 0.73), (0.05, 0.05)),
        lambda: raters("majority", (0.73, 0.73), (0.03, 0.08)),
    ),
    "averaged-raters-beat-majority-in-ece": (
        lambda: raters("majority", (0.73, 0.73), (0.03, 0.08)),
        lambda: raters("majority", (0.75, 0.73), (0.05, 0.05)),
    ),
    "averaged-raters-beat-a-random-rater-in-dice": (
        lambda: raters("random", (0.75, 0.73), (0.05, 0.05)),
        lambda: raters("random", (0.73, 0.73), (0.03, 0.08)),
    ),
    "averaged-raters-beat-a-random-rater-in-ece": (
        lambda: raters("random", (0.73, 0.73), (0.03, 0.08)),
        lambda: raters("random", (0.75, 0.73), (0.05, 0.05)),
    ),
    "boundary-smoothing-helps-jaccard-metric-loss": (lambda: edges(0.70, 0.72), lambda: edges(0.70, 0.70)),
}
