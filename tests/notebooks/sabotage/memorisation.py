"""Notebook 02_noise/01_memorisation."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

P = SimpleNamespace(dataset="digits", epochs=20, early=3)
AUROC = "loss tells wrong from right (AUROC)"


def main(right, wrong, auroc=0.95):
    """Epochs in which right and wrong labels are first said, and the ranking of the losses after three epochs."""
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(SEEDS):
        for epoch in range(1, 21):
            lines = {
                "right label said": 0.9 * (epoch >= right + seed % 2),
                "wrong label said": 0.8 * (epoch >= wrong + seed % 3),
                AUROC: (auroc if epoch == 3 else 0.5) + 0.005 * rng.standard_normal(),
            }
            rows += [{"seed": seed, "epoch": epoch, "what": what, "value": v} for what, v in lines.items()]
    return {"p": P, "main": pd.DataFrame(rows)}


def mixtures(beta, gaussian):
    rng = np.random.default_rng(0)
    values = {"beta mixture": beta, "Gaussian mixture": gaussian}
    rows = [
        {"seed": s, "epoch": e, "mixture": m, "value": (v if e == 3 else 0.5) + 0.002 * rng.standard_normal()}
        for s in range(SEEDS) for e in (1, 3, 20) for m, v in values.items()
    ]  # fmt: skip
    return {"p": P, "found": pd.DataFrame(rows)}


CASES = {
    "wrong-labels-are-learnt-later": (lambda: main(2, 15), lambda: main(2, 4)),
    "early-losses-separate-wrong-labels": (lambda: main(2, 15, 0.97), lambda: main(2, 15, 0.8)),
    "beta-mixture-not-worse-than-gaussian": (lambda: mixtures(0.94, 0.93), lambda: mixtures(0.85, 0.93)),
}
