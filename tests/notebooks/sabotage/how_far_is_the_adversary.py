"""Notebook 01_smoothing/15_how_far_is_the_adversary."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS


def arms(**means):
    """Robust test accuracy and gap per arm (training radius = test radius), as the table ``held`` of the notebook."""
    rng = np.random.default_rng(0)
    rows = [
        {"method": method, "factor": 1.0, "seed": s, "robust": robust + 0.01 * rng.standard_normal(),
         "gap": gap + 0.01 * rng.standard_normal()}
        for method, (robust, gap) in means.items()
        for s in range(SEEDS)
    ]  # fmt: skip
    held = pd.DataFrame(rows)
    at = lambda method, column: held[held["method"] == method].set_index("seed")[column]
    return {"runs": None, "held": held, "at": at}


def compared(rat, smoothed):
    return arms(**{"RAT": (rat, 0.1), "AT + smoothing": (smoothed, 0.1), "AT": (0.6, 0.1)})


def gaps(rat, plain):
    return arms(**{"RAT": (0.6, rat), "AT": (0.6, plain), "AT + smoothing": (0.6, 0.3)})


def chosen(rat, smoothed):
    noise = np.random.default_rng(1).standard_normal((2, SEEDS))
    held = {"RAT": pd.Series(rat + 0.01 * noise[0]), "AT + smoothing": pd.Series(smoothed + 0.01 * noise[1])}
    return {"runs": None, "tuned": held.__getitem__}


def transferred(white, clean, other):
    """White-box robust accuracy, and accuracy on images made on two other networks."""
    noise = np.random.default_rng(2).standard_normal((2, SEEDS))
    transfer = {"clean": clean + 0.01 * noise[0], "AT": other + 0.01 * noise[1]}
    return {**compared(white, 0.6), "transfer": transfer}


CASES = {
    "rat-beats-smoothed-adversarial-training": (lambda: compared(0.7, 0.6), lambda: compared(0.6, 0.7)),
    "rat-narrows-the-robust-gap": (lambda: gaps(0.05, 0.15), lambda: gaps(0.2, 0.15)),
    "rat-wins-with-tuned-radius": (lambda: chosen(0.7, 0.6), lambda: chosen(0.6, 0.6)),
    "rat-does-not-mask-gradients": (
        lambda: transferred(0.5, 0.8, 0.7),
        lambda: transferred(0.5, 0.8, 0.4),  # one foreign network breaks it more often than its own gradients do
    ),
}
