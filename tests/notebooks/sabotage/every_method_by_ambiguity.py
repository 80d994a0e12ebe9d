"""Notebook 04_partial/09_every_method_by_ambiguity."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

COINS = {
    "proden": "PRODEN", "average-gce": "average, GCE", "cavl": "CAVL", "lws": "LWS", "cr-dpll": "CR-DPLL",
    "pico": "PiCO", "rq": "RQ",
}  # fmt: skip
LOOKS = {"valen": "VALEN (reduced)", "able": "ABLE", "pop": "POP"}


def table(name: str, level: str, gain: float) -> dict:
    """Accuracies by method, level and seed: everybody at 0.8, the named method ``gain`` above, at one level only."""
    everybody = ["likelihood (CC)", *COINS.values(), *LOOKS.values()]
    index = pd.MultiIndex.from_product(
        [everybody, ["0.7", "look-alikes"], range(SEEDS)], names=["method", "level", "seed"]
    )
    best = pd.Series(0.8 + np.random.default_rng(0).normal(0, 0.002, len(index)), index).sort_index()
    best[name, level] = best[name, level].to_numpy() + gain
    return {"best": best}


CASES = {
    **{
        f"{claim}-beats-tuned-likelihood": (lambda n=name: table(n, "0.7", 0.05), lambda n=name: table(n, "0.7", 0.0))
        for claim, name in COINS.items()
    },
    **{
        f"{claim}-beats-likelihood-on-look-alikes": (
            lambda n=name: table(n, "look-alikes", 0.05), lambda n=name: table(n, "look-alikes", 0.0),
        )
        for claim, name in LOOKS.items()
    },
    "early-proden-beats-the-median-of-later-methods": (
        lambda: table("PRODEN", "look-alikes", 0.05), lambda: table("PRODEN", "look-alikes", -0.05),
    ),
}  # fmt: skip
