"""Notebook 03_proportions/03_easy_llp_bias_and_variance."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from labkit.theory import bag_risk
from tests.notebooks.sabotage import SEEDS

SIZES = [4, 16, 64]
P = SimpleNamespace(sizes=SIZES)
NOISE = np.random.default_rng(0)


def about(value: float) -> pd.Series:
    return pd.Series(value + 0.002 * NOISE.standard_normal(SEEDS))


def table(bias: dict[str, float], exponent: dict[str, float], step: float = 1.0) -> dict:
    """Estimates with these biases, variances ``step k^exponent`` from size 4 on and 1 at size 1."""
    rows = [
        {
            "seed": s, "size": k, "estimate": name, "bias": bias.get(name, 0.01) * (1 + 0.01 * NOISE.random()),
            "variance": (1.0 if k == 1 else step * k ** exponent[name]) * (1 + 0.01 * NOISE.random()),
        }
        for name in exponent
        for k in (1, *SIZES)
        for s in range(SEEDS)
    ]  # fmt: skip
    return {"estimates": pd.DataFrame(rows), "fixed": None, "middle": 16, "p": P, "display": lambda *shown: None}


NAMES = ("average, estimated prior", "average, true prior", "one member", "soft labels")


def biased(own: float, soft: float):
    return table({NAMES[0]: own, "soft labels": soft}, dict.fromkeys(NAMES, 1.0))


def growing(average: float, one: float, step: float = 1.0):
    return table({}, {NAMES[0]: average, NAMES[1]: average, "one member": one, "soft labels": 0.0}, step)


def trained(**at_middle):
    names = {"dllp": "DLLP", "easy": "EasyLLP", "parts": "clipped parts"}
    best = {(names[name], 16): about(value) for name, value in at_middle.items()}
    return {"best": best, "fleets": {16: None}, "middle": 16}


def error(power: float):
    values = np.array([0.01 * k**power for k in SIZES]) * (1 + 0.02 * NOISE.random((SEEDS, len(SIZES))))
    return {"excess": lambda name: values, "fleets": {16: None}, "middle": 16, "p": P, "bag_risk": bag_risk}


def unequal(easy: float, soft: float):
    return {"score": {"EasyLLP": about(easy), "soft labels": about(soft)}, "lopsided": None, "middle": 16}


CASES = {
    "easyllp-estimate-is-unbiased": (lambda: biased(0.01, 2.0), lambda: biased(0.3, 2.0)),
    "easyllp-variance-grows-like-k": (lambda: growing(1.0, 2.0), lambda: growing(1.5, 2.0)),
    "easyllp-costs-a-factor-k": (lambda: growing(1.0, 2.0, 0.5), lambda: growing(1.0, 2.0, 10.0)),
    "easyllp-average-beats-one-member": (lambda: growing(1.0, 2.0), lambda: growing(1.8, 2.0)),
    "easyllp-as-good-as-dllp": (lambda: trained(easy=0.90, dllp=0.90), lambda: trained(easy=0.80, dllp=0.90)),
    "parts-below-zero-are-noise": (lambda: trained(easy=0.80, parts=0.85), lambda: trained(easy=0.85, parts=0.85)),
    "easyllp-error-grows-at-most-like-k": (lambda: error(0.8), lambda: error(1.5)),
    "easyllp-debiasing-pays": (lambda: unequal(0.8, 0.5), lambda: unequal(0.5, 0.5)),
}
