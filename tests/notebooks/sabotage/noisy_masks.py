"""Notebook 02_noise/14_noisy_masks."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

SPATIAL = ("grow", "shift", "coarsen")


def scores(classes: dict[str, float], spatial: dict[str, float]):
    """The notebook's ``per_seed`` and ``average`` from method -> score (of both metrics), a little off per seed."""
    rng = np.random.default_rng(0)
    table = {
        (noise, method): pd.Series(score + 1e-3 * rng.random(SEEDS))
        for kinds, methods in ((("class",), classes), (SPATIAL, spatial))
        for noise in kinds
        for method, score in methods.items()
    }

    def per_seed(noise, method, metric):
        return table[noise, method]

    def average(method, metric):
        return sum(per_seed(kind, method, metric) for kind in SPATIAL) / len(SPATIAL)

    return {"per_seed": per_seed, "average": average, "data": SimpleNamespace(name="made up")}


def cost(classes, spatial):
    return scores({"cross entropy": classes}, {"cross entropy": spatial})


def remedy(classes, spatial=(0.70, 0.70)):
    """(cross entropy, GCE) under class noise and under spatial noise."""
    both = ("cross entropy", "GCE")
    return scores(dict(zip(both, classes)), dict(zip(both, spatial)))


CASES = {
    "spatial-noise-costs-more-miou-than-class-noise": (lambda: cost(0.80, 0.70), lambda: cost(0.70, 0.80)),
    "spatial-noise-costs-more-boundary-f-than-class-noise": (lambda: cost(0.65, 0.50), lambda: cost(0.50, 0.65)),
    "gce-helps-against-wrong-classes-of-masks": (lambda: remedy((0.70, 0.78)), lambda: remedy((0.78, 0.70))),
    # a remedy that helps everywhere alike does not carry the second claim
    "gce-helps-classes-more-than-outlines": (
        lambda: remedy((0.70, 0.78)),
        lambda: remedy((0.70, 0.78), (0.70, 0.78)),
    ),
}
