"""Notebook 04_partial/03_instance_dependent_candidates."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from labkit.fleet.tuned import tuned
from tests.notebooks.sabotage import SEEDS, made_up

LOSSES = ("average", "CC", "PRODEN", "LWS")
SEED = pd.Index(range(SEEDS), name="seed")


def accuracies(looks: float, dealt: float, gain_looks: dict | float = 0.0, gain_dealt: float = 0.0) -> dict:
    """Tuned accuracies of all losses, alone and inside POP; gains may differ by loss on sets of look-alikes."""
    rng = np.random.default_rng(0)
    by_loss = gain_looks if isinstance(gain_looks, dict) else dict.fromkeys(LOSSES, gain_looks)
    kinds = {"look-alikes": (looks, by_loss), "dealt anew": (dealt, dict.fromkeys(LOSSES, gain_dealt))}
    best = {}
    for kind, (level, gains) in kinds.items():
        seeds = level + 0.02 * rng.standard_normal(SEEDS)  # what a seed shares among all methods
        table = {name: seeds + 0.001 * rng.standard_normal(SEEDS) for name in LOSSES}
        table |= {f"POP {n}": table[n] + gains.get(n, 0.0) + 0.001 * rng.standard_normal(SEEDS) for n in LOSSES}
        best[kind] = pd.DataFrame(table, index=SEED)
    gain = {k: pd.DataFrame({n: t[f"POP {n}"] - t[n] for n in LOSSES}) for k, t in best.items()}
    return {"best": best, "gain": gain, "alone": dict.fromkeys(LOSSES), "results": {"look-alikes": None}}


def purified(kept: float, left: float) -> dict:
    """What became of the sets at the larger threshold, and elsewhere."""
    rng = np.random.default_rng(0)
    setting = lambda theta: ("POP PRODEN", ("threshold", theta), ("optimiser.lr", 0.1))
    runs = made_up({setting(0.001): (0.7, 0.9), setting(0.3): (0.9, 0.9)})
    rows = [
        {"sets": sets, "loss": "PRODEN", "seed": seed, "threshold": theta, "optimiser.lr": 0.1,
         "kept": value[0] + 0.002 * rng.standard_normal(), "left": value[1] + 0.01 * rng.standard_normal()}
        for sets, theta, value in (
            ("look-alikes", 0.3, (kept, left)), ("look-alikes", 0.001, (0.95, 0.5)), ("dealt anew", 0.3, (0.95, 0.5)),
        )
        for seed in range(SEEDS)
    ]  # fmt: skip
    pure = pd.DataFrame(rows)
    mine = pure[(pure["sets"] == "look-alikes") & (pure["threshold"] == 0.3)].set_index("seed")
    return {
        "pure": pure,
        "mine": mine,
        "tuned": tuned,
        "p": SimpleNamespace(thresholds=[0.001, 0.3]),
        "results": {"look-alikes": runs},
    }


CASES = {
    "look-alikes-cost-accuracy": (lambda: accuracies(0.7, 0.9), lambda: accuracies(0.9, 0.9)),
    "purification-helps-proden": (
        lambda: accuracies(0.7, 0.9, {"PRODEN": 0.02}),
        lambda: accuracies(0.7, 0.9, {"average": 0.1}),  # another loss gains
    ),
    "purification-helps-any-loss": (
        lambda: accuracies(0.7, 0.9, 0.02),
        lambda: accuracies(0.7, 0.9, {"PRODEN": 0.01}),  # one loss alone gains
    ),
    "purification-is-for-look-alikes": (
        lambda: accuracies(0.7, 0.9, 0.02, 0.0),
        lambda: accuracies(0.7, 0.9, 0.02, 0.02),  # as much where sets do not depend on looks
    ),
    "purified-sets-keep-the-truth": (lambda: purified(0.98, 0.8), lambda: purified(0.85, 0.8)),
    "purification-removes-wrong-candidates": (lambda: purified(0.98, 0.8), lambda: purified(0.98, 0.2)),
}
