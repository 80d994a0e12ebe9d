"""Notebook 03_proportions/01_what_a_count_tells_you."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch

from tests.notebooks.sabotage import SEEDS


def trained(small=(0.97, 0.97), middle=(0.93, 0.93), large=(0.75, 0.75), ten=(0.95, 0.95)):
    """Accuracies (counts, proportions) per bag size."""
    rng = np.random.default_rng(0)

    def seeds(pair):
        values = [v + 0.003 * rng.standard_normal(SEEDS) for v in pair]
        return {name: pd.Series(v) for name, v in zip(("counts", "proportions"), values)}, None

    best = {("two", 4): seeds(small), ("two", 16): seeds(middle), ("two", 64): seeds(large), ("ten", 16): seeds(ten)}
    return {"p": SimpleNamespace(compared=16), "best": best}


def two_fleets(apart):
    summed = torch.randn(SEEDS, 100, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return {"em": None, "told": summed * (1 + apart), "summed": summed}


CASES = {
    "counts-beat-proportions-in-two-classes": (
        lambda: trained(middle=(0.95, 0.93)),
        lambda: trained(middle=(0.93, 0.95)),
    ),
    "counts-beat-proportions-in-ten-classes": (
        lambda: trained(ten=(0.97, 0.95)),
        lambda: trained(ten=(0.95, 0.95)),
    ),
    "counts-matter-more-in-larger-bags": (
        lambda: trained(large=(0.8, 0.75)),
        lambda: trained(small=(0.97, 0.95)),  # the gain is in the small bags
    ),
    "em-on-counts-is-the-likelihood": (
        lambda: two_fleets(1e-12),
        lambda: two_fleets(1e-3),  # another posterior: another classifier
    ),
}
