"""Notebook 04_partial/08_choosing_without_labels."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS


def picks(**accuracy):
    """Test accuracy of what every criterion chose, a little off per seed, alike for all kinds of evidence."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({k.replace("_", " "): v + 0.002 * rng.random(SEEDS) for k, v in accuracy.items()})
    kinds = ("candidate sets", "uniform", "noise")
    return {"picks": dict.fromkeys(kinds, table), "pools": dict.fromkeys(kinds)}


CASES = {
    "covering-rate-chooses-nearly-as-well": (
        lambda: picks(clean_labels=0.9, covering_rate=0.897),
        lambda: picks(clean_labels=0.9, covering_rate=0.88),
    ),
    "approximated-accuracy-chooses-nearly-as-well": (
        lambda: picks(clean_labels=0.9, approximated_accuracy=0.897),
        lambda: picks(clean_labels=0.9, approximated_accuracy=0.88),
    ),
    "complementary-validation-is-a-barrier": (
        lambda: picks(clean_labels=0.9, URE=0.8, SCEL=0.88),
        lambda: picks(clean_labels=0.9, URE=0.8, SCEL=0.895),  # one of the two does
    ),
    "scel-chooses-better-than-ure": (
        lambda: picks(URE=0.8, SCEL=0.9),
        lambda: picks(URE=0.9, SCEL=0.9),
    ),
}
