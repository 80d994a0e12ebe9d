"""Notebook 05_calibration/05_pixels_and_neighbours."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS, made_up

RUNS = made_up({("cross entropy",): (0.8, 0.8)})  # the claims only ask them where they come from


def table(settings: dict[tuple, float]):
    """``(method, metric, third) -> one value per seed``, scattered a little."""
    rng = np.random.default_rng(0)
    values = {key: pd.Series(mean + 1e-3 * rng.random(SEEDS)) for key, mean in settings.items()}
    return values


def many(settings):
    """Names of the cells on four classes: (method, metric) or (method, metric, scaled)."""
    values = table({(*key, False)[:3]: mean for key, mean in settings.items()})
    return {"runs": RUNS, "per_seed": lambda method, metric, scaled=False: values[method, metric, scaled]}


def two(settings):
    """Names of the cells on ink and ground: (method, metric) or (method, metric, pictures)."""
    values = table({(*key, "as trained on")[:3]: mean for key, mean in settings.items()})
    return {"two": RUNS, "of_two": lambda method, metric, pictures="as trained on": values[method, metric, pictures]}


def eces(cross, svls, nacl):
    return many({
        ("cross entropy", "ece"): cross, ("SVLS", "ece"): svls, ("NACL", "ece"): nacl,
        ("cross entropy", "ece", True): nacl + 0.02,
    })  # fmt: skip


def after(cross, nacl):
    """Cross entropy far off as trained, so that forgetting the temperature shows."""
    return many({("cross entropy", "ece"): 0.05, ("cross entropy", "ece", True): cross, ("NACL", "ece"): nacl})


def overlaps(cross, nacl):
    return many({("cross entropy", "miou"): cross, ("NACL", "miou"): nacl})


def perturbation(here, noisier):
    """(cross entropy, ASLP) on pictures as trained on, and on noisier ones."""
    return two({
        ("cross entropy", "ece"): here[0], ("ASLP", "ece"): here[1],
        ("cross entropy", "ece", "noisier"): noisier[0], ("ASLP", "ece", "noisier"): noisier[1],
    })  # fmt: skip


def accuracies(cross, aslp):
    return two({("cross entropy", "accuracy"): cross, ("ASLP", "accuracy"): aslp})


CASES = {
    "nacl-lowers-ece-of-pixels": (lambda: eces(0.05, 0.02, 0.03), lambda: eces(0.03, 0.06, 0.04)),
    "nacl-calibrates-better-than-svls": (lambda: eces(0.02, 0.05, 0.03), lambda: eces(0.06, 0.03, 0.04)),
    "nacl-keeps-the-masks": (lambda: overlaps(0.70, 0.695), lambda: overlaps(0.70, 0.67)),
    "one-temperature-is-enough-for-pixels": (lambda: after(0.02, 0.018), lambda: after(0.04, 0.01)),
    "aslp-lowers-ece": (lambda: perturbation((0.05, 0.02), (0.1, 0.1)), lambda: perturbation((0.03, 0.03), (0.2, 0.1))),
    "aslp-lowers-ece-on-noisier-pictures": (
        lambda: perturbation((0.03, 0.03), (0.2, 0.1)),
        lambda: perturbation((0.05, 0.02), (0.1, 0.1)),
    ),
    "aslp-keeps-accuracy": (lambda: accuracies(0.9, 0.898), lambda: accuracies(0.9, 0.88)),
}
