"""Notebook 02_noise/04_robust_losses."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

NOISES = ("symmetric 0", "symmetric 0.3", "symmetric 0.6")


def scores(**methods: tuple[float, float, float]):
    """Accuracy of every method under the three noises, the same at the default and tuned, a little off per seed."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "noise": noise,
            "method": name.replace("_", " "),
            "how": how,
            "seed": seed,
            "value": value + 0.002 * rng.random(),
        }
        for name, values in methods.items()
        for noise, value in zip(NOISES, values)
        for how in ("default", "tuned")
        for seed in range(SEEDS)
    ]
    return pd.DataFrame(rows)


def noisy(MAE, cross_entropy, EMA=(0.96, 0.9, 0.95), mixup=(0.96, 0.9, 0.95), GCE=(0.96, 0.93, 0.86)):
    """Neither EMA nor mixup is a loss: what they lose least must not count."""
    made = scores(MAE=MAE, cross_entropy=cross_entropy, EMA=EMA, mixup=mixup, GCE=GCE)
    return {"scores": made, "cells": defaultdict(lambda: None), "p": SimpleNamespace(rates=[0.0, 0.3, 0.6])}


def ranks(ours, other=(0.9, 0.85, 0.8)):
    named = {"ALDR-KL": ours, "GCE": other, "cross_entropy": (0.8, 0.7, 0.6), "EMA": (0.99, 0.99, 0.99)}
    return {"scores": scores(**named), "display": lambda *shown: None}


def temperatures(auroc):
    rng = np.random.default_rng(0)
    return {"adaptive": None, "separation": pd.DataFrame({"temperature": auroc + 0.01 * rng.standard_normal(SEEDS)})}


def spheres(z, taylor, spherical=0.5, by_top5=0.9):
    """Each loss with a second setting that validation data refuse; of two Z-losses one is chosen by top-5."""
    rng = np.random.default_rng(0)
    settings = [
        ("Z-loss", 0.6, z, 0.8, 0.85),
        ("Z-loss", 0.5, 0.1, 0.9, by_top5),
        ("Taylor softmax", 0.6, taylor, 0.8, 0.8),
        ("Taylor softmax", 0.1, 0.99, 0.1, 0.1),
        ("spherical softmax", 0.55, spherical, 0.8, 0.8),
    ]
    rows = [
        {"method": name, "seed": seed, "validation 1": v1, "test 1": t1 + 0.002 * rng.random(),
         "validation 5": v5, "test 5": t5 + 0.002 * rng.random()}
        for name, v1, t1, v5, t5 in settings for seed in range(SEEDS)
    ]  # fmt: skip
    pick = lambda t, by: (
        t.sort_values(by, ascending=False, kind="stable").groupby("seed").head(1).set_index("seed").sort_index()
    )
    return {"ranked": pd.DataFrame(rows), "pick": pick}


CASES = {
    "mae-loses-least-from-noise": (
        lambda: noisy(MAE=(0.9, 0.89, 0.88), cross_entropy=(0.96, 0.9, 0.8)),
        lambda: noisy(MAE=(0.9, 0.8, 0.7), cross_entropy=(0.96, 0.9, 0.8)),
    ),
    "mae-underfits": (
        lambda: noisy(MAE=(0.9, 0.89, 0.88), cross_entropy=(0.96, 0.9, 0.8)),
        lambda: noisy(MAE=(0.96, 0.89, 0.88), cross_entropy=(0.96, 0.9, 0.8)),
    ),
    "aldr-ranks-best-at-default": (
        lambda: ranks((0.95, 0.9, 0.85)),
        lambda: ranks((0.85, 0.8, 0.85)),  # ahead under one of three noises only
    ),
    "aldr-ranks-best-when-tuned": (
        lambda: ranks((0.95, 0.9, 0.85)),
        lambda: ranks((0.85, 0.8, 0.85)),
    ),
    "aldr-temperatures-are-larger-for-wrong-labels": (lambda: temperatures(0.8), lambda: temperatures(0.5)),
    "z-loss-is-the-best-spherical-loss": (lambda: spheres(0.7, 0.6), lambda: spheres(0.6, 0.7)),
    "z-loss-can-be-fitted-to-top-5": (
        lambda: spheres(0.7, 0.6, by_top5=0.9),
        lambda: spheres(0.7, 0.6, by_top5=0.85),  # chosen for it, and no better
    ),
}
