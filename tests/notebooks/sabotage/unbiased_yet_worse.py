"""Notebook 04_partial/05_unbiased_yet_worse."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

NAMES = {"first": None, "runs": None, "display": lambda *shown: None, "p": SimpleNamespace(batch=128)}


def jittered(value):
    return value + 0.002 * np.random.default_rng(0).random(SEEDS)


def gradients(unbiased, biased):
    rows = pd.concat({"URE": pd.Series(jittered(unbiased)), "SCL-NL": pd.Series(jittered(biased))})
    return {**NAMES, "gradients": rows.rename_axis(["loss", "seed"]).to_frame("error")}


def trained(objective=-1.0, **accuracy):
    values = {"URE": 0.5, "SCL-NL": 0.5, "MCL-MAE": 0.5, "NN": 0.5, "GA": 0.5, **accuracy}
    reached = pd.DataFrame({name: jittered(value) for name, value in values.items()})
    return {**NAMES, "ended": jittered(objective), "reached": reached}


def alarms(at_work):
    rows = [{"size": 128, "seed": s, "value": v} for s, v in enumerate(jittered(at_work))]
    return {**NAMES, "alarm": pd.DataFrame([*rows, {"size": 4096, "seed": 0, "value": 0.0}])}


def better(name):
    return lambda: trained(**{name: 0.6}), lambda: trained(**{name: 0.4})


CASES = {
    "ure-is-right-on-average": (
        lambda: {**NAMES, "off": np.full(SEEDS, 1e-14)},
        lambda: {**NAMES, "off": np.full(SEEDS, 0.1)},  # another matrix than that of the labels
    ),
    "the-biased-gradient-is-nearer": (lambda: gradients(0.9, 0.6), lambda: gradients(0.6, 0.6)),
    "ure-falls-below-zero": (lambda: trained(-3.0), lambda: trained(0.3)),
    "the-biased-loss-beats-the-unbiased": better("SCL-NL"),
    "a-bounded-unbiased-loss-beats-ure": better("MCL-MAE"),
    "keeping-class-risks-above-zero-helps-ure": better("NN"),
    "gradient-ascent-helps-ure": better("GA"),
    "the-corrections-answer-to-noise": (lambda: alarms(0.9), lambda: alarms(0.1)),
}
