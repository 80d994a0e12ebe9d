"""Notebook 02_noise/12_every_method_by_rate."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

CLAIMS = {
    "gce": "GCE", "sce": "SCE", "apl": "NCE + RCE", "jensen-shannon": "Jensen-Shannon", "peer-loss": "peer loss",
    "mixup": "mixup", "elr": "ELR", "sop": "SOP", "cores": "CORES", "volminnet": "VolMinNet",
    "co-teaching": "co-teaching", "dividemix": "DivideMix",
}  # fmt: skip


def table(name: str, gain: float) -> dict:
    """Accuracies by method, rate and seed: everybody at 0.8, the named method ``gain`` above, at one rate only."""
    index = pd.MultiIndex.from_product(
        [["cross entropy", *CLAIMS.values()], [0.0, 0.4], range(SEEDS)], names=["method", "rate", "seed"]
    )
    noise = np.random.default_rng(0).normal(0, 0.002, len(index))
    best = pd.Series(0.8 + noise, index).sort_index()
    best[name, 0.4] = best[name, 0.4].to_numpy() + gain
    return {"best": best, "runs": None}


CASES = {
    f"{claim}-beats-tuned-cross-entropy": (lambda name=name: table(name, 0.05), lambda name=name: table(name, 0.0))
    for claim, name in CLAIMS.items()
}
