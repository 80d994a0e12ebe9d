"""Notebook 02_noise/05_two_networks."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch

from tests.notebooks.sabotage import SEEDS

DATA = SimpleNamespace(name="made up")


def table(**means):
    """A seeds x methods table of values about these means; underscores in names stand for what an identifier lacks."""
    rng = np.random.default_rng(0)
    names = {
        "two_networks": "two networks", "own_choice": "own choice", "co": "co-teaching", "nested": "nested dropout",
        "nested_co": "nested co-teaching", "plain": "cross entropy", "elr": "ELR", "elr_plus": "ELR+",
        "divide": "DivideMix",
    }  # fmt: skip
    columns = {names.get(name, name): mean + 0.002 * rng.standard_normal(SEEDS) for name, mean in means.items()}
    return pd.DataFrame(columns)


def accuracy(**means):
    return {"accuracy": table(**means), "data": DATA}


def memory(**means):
    return {"memory": table(**{"dropout": 0.3, "nested": 0.3, **means}), "data": DATA, "display": lambda *shown: None}


def compressed(**means):
    means = {"dropout": 0.8, "nested": 0.8, **means}
    return {**accuracy(**means), "display": lambda *shown: None}


class Books:
    """A run's book of disagreement, level over training."""

    def __init__(self, level: float):
        self.level = level

    def kept(self, name):
        assert name == "disagreement"
        return self.level + 0.005 * torch.randn(
            SEEDS, 10, generator=torch.Generator().manual_seed(int(1e3 * self.level))
        )


def disagreement(co, plus):
    answers = {"main": {"co-teaching": Books(co), "co-teaching+": Books(plus)}}
    return {"answers": answers, "main": "main", "data": DATA}


def by_k(chosen, full):
    right = torch.full((SEEDS, 8), chosen, dtype=torch.float64)
    right[:, -1] = full
    right += 0.002 * torch.randn(SEEDS, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return {"chosen_k": (right, torch.full((SEEDS,), 3)), "data": DATA}


CASES = {
    "co-teaching-beats-two-networks": (
        lambda: accuracy(co=0.85, two_networks=0.7),
        lambda: accuracy(co=0.7, two_networks=0.7),
    ),
    "exchange-beats-own-choice": (
        lambda: accuracy(co=0.85, own_choice=0.8),
        lambda: accuracy(co=0.85, own_choice=0.85),
    ),
    "co-teaching-plus-keeps-networks-apart": (lambda: disagreement(0.02, 0.1), lambda: disagreement(0.1, 0.1)),
    "divide-mix-is-best-at-half-noise": (
        lambda: accuracy(divide=0.93, co=0.85, elr_plus=0.9),
        lambda: accuracy(divide=0.93, co=0.85, elr_plus=0.93),  # one rival is enough
    ),
    "elr-plus-beats-elr": (lambda: accuracy(elr=0.88, elr_plus=0.9), lambda: accuracy(elr=0.9, elr_plus=0.88)),
    "dropout-memorises-less": (lambda: memory(plain=0.6), lambda: memory(plain=0.3)),
    "nested-dropout-memorises-less": (lambda: memory(plain=0.6), lambda: memory(plain=0.3)),
    "dropout-raises-last-epoch": (lambda: compressed(plain=0.7), lambda: compressed(plain=0.8)),
    "nested-dropout-raises-last-epoch": (lambda: compressed(plain=0.7), lambda: compressed(plain=0.8)),
    "few-features-beat-all": (lambda: by_k(0.85, 0.8), lambda: by_k(0.8, 0.8)),
    "compression-adds-to-co-teaching": (
        lambda: accuracy(co=0.85, nested_co=0.88),
        lambda: accuracy(co=0.85, nested_co=0.84),
    ),
}
