"""Notebook 03_proportions/08_real_precincts."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from tests.notebooks.sabotage import SEEDS

SAID = {"kind": "Made-up", "which": "none"}


def near(value, seed=0):
    return value + 0.01 * np.random.default_rng(seed).random(SEEDS)


def open_by(width):
    """One precinct per hand, three groups of 100 members."""
    rows = np.full((SEEDS, 3), 100)
    table = SimpleNamespace(totals=rows.sum(1))
    widths = near(width)[:, None, None] * np.ones((1, 3, 3))
    return {**SAID, "rows": rows, "table": table, "width": widths, "per_hand": lambda values: values}


def wrong(**shares):
    return {**SAID, "wrong": {name.replace("_", " "): near(v, i) for i, (name, v) in enumerate(shares.items())}}


def raked(neighbourhood, regression):
    return {**SAID, "wrong": {"neighbourhood": near(neighbourhood), "Goodman, raked": near(regression, 1)}}


def given_counts(classifier, hierarchy):
    return {**SAID, "wrong": {"LLP: given the counts": near(classifier), "hierarchy": near(hierarchy, 1)}}


def cells(coverage):
    return {**SAID, "coverage": near(coverage), "per_hand": lambda values: values}


def totals(prior, without, within):
    return {"held": {(prior, 0.0): near(without), (prior, 1.0): near(within, 1)}}


CASES = {
    "bounds-leave-less-than-half-open": (lambda: open_by(0.3), lambda: open_by(0.7)),
    "one-table-beats-the-neighbourhood": (lambda: raked(0.09, 0.04), lambda: raked(0.05, 0.05)),
    "hierarchy-beats-goodman": (
        lambda: wrong(Goodman=0.13, hierarchy=0.03),
        lambda: wrong(Goodman=0.05, hierarchy=0.05),
    ),
    "hierarchy-beats-one-classifier-given-the-counts": (
        lambda: given_counts(0.05, 0.02),
        lambda: given_counts(0.02, 0.03),
    ),
    "ecological-intervals-cover": (lambda: cells(0.95), lambda: cells(0.7)),
    "context-costs-coverage-of-totals": (
        lambda: totals("published prior", 0.95, 0.4),
        lambda: totals("published prior", 0.5, 0.8),  # the two mistakes cancel
    ),
    "context-costs-coverage-under-a-weak-prior": (
        lambda: totals("weak prior", 0.95, 0.3),
        lambda: totals("weak prior", 0.9, 0.85),
    ),
}
