"""Notebook 04_partial/01_what_a_candidate_set_is_worth."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

P, BOUGHT = SimpleNamespace(compared=0.5), 1 - np.log2(1.5)


def spread(*columns):
    """``(name, mean) ...`` -> a column each, one row per seed."""
    rng = np.random.default_rng(0)
    return pd.DataFrame({name: mean + 0.002 * rng.standard_normal(SEEDS) for name, mean in columns})


def scored(restricted, exact):
    """Bits per example under the cautious annotator."""
    table = spread(("restricted", restricted), ("exact", exact)).rename_axis("seed")
    tidy = table.melt(ignore_index=False, var_name="belief", value_name="bits").reset_index()
    return {"scores": tidy.assign(annotator="cautious")}


def trained(labels=0.97, few=0.93, sets=0.93):
    by_share = spread((0.25, 0.9), (BOUGHT, few), (1.0, labels))
    return {"p": P, "bought": BOUGHT, "sets": None, "by_share": by_share, "by_flips": spread((0.5, sets), (0.9, 0.5))}


def informed(before=(0.95, 0.95), at=(0.5, 0.5)):
    """Accuracies (bare, known) where the next class comes along in 90 % and in all sets."""
    pairs = {0.9: before, 1.0: at}
    return {
        "cliff": {often: {"bare": None} for often in pairs},
        "informed": {often: spread(("bare", bare), ("known", known)) for often, (bare, known) in pairs.items()},
    }


CASES = {
    "sets-with-habits-need-their-likelihood": (lambda: scored(0.6, 0.3), lambda: scored(0.32, 0.3)),
    "sets-teach-nearly-as-well-as-labels": (lambda: trained(sets=0.965), lambda: trained(sets=0.94)),
    "sets-teach-more-than-the-bound-pays": (
        lambda: trained(few=0.93, sets=0.95),
        lambda: trained(few=0.96, sets=0.95),  # as many labels as the bound pays for are better
    ),
    "always-together-cannot-be-told-apart": (
        lambda: informed(at=(0.5, 0.95)),
        lambda: informed(before=(0.5, 0.95)),  # a gain before the cliff is another claim
    ),
    "knowing-the-annotator-pays-before-the-cliff": (
        lambda: informed(before=(0.9, 0.95)),
        lambda: informed(at=(0.5, 0.95)),
    ),
}
