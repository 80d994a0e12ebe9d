"""Notebook 05_calibration/01_is_ece_telling_the_truth."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

import labkit as lk
from tests.notebooks.sabotage import SEEDS

WIDTH, MASS, PLAIN, DEBIASED, SMOOTH = (
    "ECE, equal width", "ECE, equal mass", "RMS, equal mass", "RMS, debiased", "smooth ECE")  # fmt: skip
RNG = np.random.default_rng(0)


def sets(value: float, spread: float = 0.001) -> np.ndarray:
    """(seeds, test sets) of numbers about ``value``."""
    return value + spread * RNG.standard_normal((SEEDS, 6))


def per_seed(value: float) -> torch.Tensor:
    return torch.from_numpy(sets(value).mean(1))


def perfect(value):
    """ECE of the truth on each test set, as the judging cell asks for it."""
    return {"p": SimpleNamespace(examples=500), "metrics": lk.metrics, "over_sets": lambda *_: sets(value)}


def biased(worse, better, large, small):
    bias = {("net", e): sets(0.0).mean(1) for e in (WIDTH, MASS, PLAIN, DEBIASED)}
    return {"names": ["net"], "np": np, "bias": {**bias, ("net", worse): sets(large).mean(1),
                                                 ("net", better): sets(-small).mean(1)}}  # fmt: skip


def of_the_truth(width, smooth):
    return {"at_claimed": {("truth", WIDTH): sets(width), ("truth", SMOOTH): sets(smooth)}}


def shaken(width, smooth):
    """The same estimates before and after the noise, which moves each by so much."""
    before, moves = sets(0.05), {WIDTH: width, SMOOTH: smooth}
    return {
        "lk": lk, "np": np, "torch": torch, "p": SimpleNamespace(examples=500), "estimates": {e: e for e in moves},
        "at_claimed": {("a = 0", e): before for e in moves},
        "logits": {"a = 0": torch.zeros(1, 1, 2, dtype=torch.float64)},
        "over_sets": lambda e, name, n: before + sets(moves[e], 0.0001),
    }  # fmt: skip


def hidden(name, seen):
    return {"with_15": {name: per_seed(seen)}, "exact": {name: SimpleNamespace(confidence=per_seed(0.1))}}


def scaled_of(top_label, confidence):
    return {"exact": {"a = 0, scaled": SimpleNamespace(top_label=per_seed(top_label), confidence=per_seed(confidence))}}


def ranked(mass, width):
    return {"right": {MASS: sets(mass).mean(1), WIDTH: sets(width).mean(1)}}


CASES = {
    "perfect-model-has-ece": (lambda: perfect(0.05), lambda: perfect(0.005)),
    "equal-mass-is-less-biased": (
        lambda: biased(WIDTH, MASS, 0.04, 0.01),
        lambda: biased(WIDTH, MASS, 0.01, 0.04),  # further off, on the other side
    ),
    "debiasing-removes-bias": (
        lambda: biased(PLAIN, DEBIASED, 0.04, 0.005),
        lambda: biased(PLAIN, DEBIASED, 0.02, 0.03),  # it takes off too much
    ),
    "smooth-ece-of-a-perfect-model": (lambda: of_the_truth(0.05, 0.02), lambda: of_the_truth(0.05, 0.05)),
    "smooth-ece-is-steady": (lambda: shaken(0.01, 0.001), lambda: shaken(0.001, 0.001)),
    "bins-hide-error": (lambda: hidden("a = 0", 0.08), lambda: hidden("a = 0", 0.1)),
    "bins-hide-error-after-scaling": (lambda: hidden("a = 0, scaled", 0.08), lambda: hidden("a = 0, scaled", 0.1)),
    "confidence-hides-classes": (lambda: scaled_of(0.06, 0.03), lambda: scaled_of(0.03, 0.03)),
    "equal-mass-ranks-better": (lambda: ranked(0.9, 0.8), lambda: ranked(0.8, 0.9)),
}
