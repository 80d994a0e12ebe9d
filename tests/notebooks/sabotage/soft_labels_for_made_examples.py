"""Notebook 01_smoothing/12_soft_labels_for_made_examples."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS, made_up

NAMES = {
    "p": SimpleNamespace(per_class=[5, 20, 50]),
    "middle": 20,
    "instance": {"method": "instance", "keep": 0.9},
    "uniform_too": {"method": "uniform", "keep": 0.9},
}


def copies(few, middle, many):
    """Per size: (without copies, hard copies, soft copies)."""
    held = {}
    for size, (none, hard, soft) in {5: few, 20: middle, 50: many}.items():
        settings = {("no copies",): none, ("copies", ("smoothing", 0.0)): hard, ("copies", ("smoothing", 0.2)): soft}
        held[size] = made_up({k: (v, 0.8) for k, v in settings.items()})
    return {**NAMES, "sized": held}


def searches(searched, tuned, fixed):
    rng = np.random.default_rng(0)
    series = lambda mean: pd.Series(mean + 0.01 * rng.standard_normal(SEEDS))
    return {**NAMES, "policies": None, "searched": series(searched), "tuned": series(tuned), "fixed": series(fixed)}


def mixed(mixup=(0.7, 0.7), uniform=(0.7, 0.7), instance=(0.7, 0.7), curriculum=(0.7, 0.7)):
    return {**NAMES, "mixed": made_up({
        ("mixup",): mixup, ("uniform", ("keep", 0.9)): uniform, ("instance", ("keep", 0.9)): instance,
        ("curriculum", ("keep", 0.9)): curriculum,
    })}  # fmt: skip


FLAT = (0.7, 0.7, 0.7)
CASES = {
    "soft-copies-beat-hard-copies": (
        lambda: copies(FLAT, (0.6, 0.6, 0.8), FLAT),
        lambda: copies(FLAT, (0.6, 0.8, 0.7), FLAT),  # copies help, their soft labels do not
    ),
    "gain-of-soft-copies-shrinks-with-data": (
        lambda: copies((0.5, 0.5, 0.7), FLAT, FLAT),
        lambda: copies((0.5, 0.5, 0.7), FLAT, (0.6, 0.6, 0.9)),
    ),
    "searched-policy-beats-fixed-softeda": (lambda: searches(0.8, 0.7, 0.7), lambda: searches(0.7, 0.7, 0.8)),
    "soft-search-beats-hard-search": (
        lambda: searches(0.8, 0.7, 0.9),
        lambda: searches(0.8, 0.9, 0.5),  # better than the fixed one, but so is tuning without soft labels
    ),
    "instance-smoothing-beats-uniform-in-mixup": (
        lambda: mixed(instance=(0.9, 0.7)),
        lambda: mixed(mixup=(0.5, 0.7), uniform=(0.8, 0.7)),
    ),
    "curriculum-adds-to-mixup": (
        lambda: mixed(curriculum=(0.9, 0.7)),
        lambda: mixed(mixup=(0.5, 0.7), instance=(0.8, 0.7), curriculum=(0.8, 0.7)),
    ),
    "self-evolution-beats-mixup": (
        lambda: mixed(curriculum=(0.9, 0.7)),
        lambda: mixed(instance=(0.5, 0.7)),  # the curriculum repairs what instance smoothing broke, no more
    ),
    "instance-smoothing-calms-mixup": (
        lambda: mixed(mixup=(0.7, 0.9), instance=(0.7, 0.8)),
        lambda: mixed(mixup=(0.7, 0.9), instance=(0.6, 0.8)),  # less sure, but less often right too
    ),
}
