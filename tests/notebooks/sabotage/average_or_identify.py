"""Notebook 04_partial/02_average_or_identify."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS


def accuracies(**changed: float) -> dict:
    """Every method at 0.8 but those that are named (spaces and commas as underscores)."""
    rng = np.random.default_rng(0)
    names = [
        "average, cross entropy", "average, GCE", "average, bounded (either)", "PRODEN", "CAVL", "LWS",
        "LWS, only inside",
    ]  # fmt: skip
    plain = lambda name: "".join(c if c.isalpha() else "_" for c in name)
    made = {name: pd.Series(changed.get(plain(name), 0.8) + rng.normal(0, 0.002, SEEDS)) for name in names}
    return {"best": made, "after": made, "runs": None}


CASES = {
    "identifying-beats-averaging": (lambda: accuracies(PRODEN=0.85), lambda: accuracies()),
    "bounded-average-beats-cross-entropy-average": (
        lambda: accuracies(average__bounded__either_=0.85), lambda: accuracies(),
    ),
    "bounded-average-keeps-up-with-identification": (lambda: accuracies(), lambda: accuracies(PRODEN=0.85)),
    "class-activation-value-beats-proden": (lambda: accuracies(CAVL=0.85), lambda: accuracies(CAVL=0.75)),
    "pushing-others-down-helps-lws": (lambda: accuracies(LWS=0.85), lambda: accuracies()),
    "robust-beginning-helps-identification": (lambda: accuracies(average__GCE=0.85), lambda: accuracies()),
}  # fmt: skip
