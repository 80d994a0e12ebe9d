from __future__ import annotations

import math

import pytest
import torch

import labkit as lk
from labkit import methods as m
from labkit.annotate import Symmetric
from labkit.datasets.long_tail import long_tailed
from labkit.methods.base import Batch, Start
from labkit.streams import generator

QUICK = dict(epochs=3, batch_size=32, progress=False, compile=False)
LOGITS = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.tensor([0, 1, 0, 0, 2, 0])


def start(labels, k=3, width=1):
    n = len(labels)
    return Start(torch.zeros(n, width), lk.Labels(labels, k), k, 0, generator(0, "method"), torch.arange(n))


def step(method, logits=LOGITS, labels=LABELS, index=None, progress=1.0, state=None):
    state = method.setup(start(labels, logits.shape[1])) if state is None else state
    index = torch.arange(len(labels)) if index is None else index
    batch = Batch(
        torch.zeros(len(labels), 1), lk.Labels(labels, logits.shape[1]), index, torch.tensor(progress), state, {}
    )
    return method.objective(lambda x: logits, batch)


@pytest.mark.parametrize("tau", [0.0, 1.0, 2.0])
def test_logit_adjustment_is_the_slow_twin(tau):
    loss, changed = step(m.LogitAdjustment(tau))
    counts, total = [4, 1, 1], 0.0
    for z, y in zip(LOGITS.tolist(), LABELS.tolist()):
        adjusted = [a + tau * math.log(c / 6) for a, c in zip(z, counts)]
        total += math.log(sum(math.exp(a) for a in adjusted)) - adjusted[y]
    assert loss.item() == pytest.approx(total / 6) and changed == {}
    if tau == 0:
        torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(LOGITS, LABELS))


def test_logit_adjustment_without_a_class_and_on_balanced_data():
    assert step(m.LogitAdjustment(), labels=torch.zeros(6, dtype=torch.long))[0].isfinite()
    balanced = torch.tensor([0, 1, 2, 0, 1, 2])
    plain = torch.nn.functional.cross_entropy(LOGITS, balanced)
    torch.testing.assert_close(step(m.LogitAdjustment(1.0), labels=balanced)[0], plain)


@pytest.mark.parametrize("forget, progress", [(0.0, 1.0), (0.5, 0.0), (0.5, 0.1), (0.5, 1.0), (0.34, 0.7), (1.0, 1.0)])
def test_small_loss_is_the_slow_twin(forget, progress):
    """The floor((1 - r) b) smallest, at least one; the mean over them, divided once."""
    index = torch.tensor([5, 4, 3, 2, 1, 0])
    loss, changed = step(m.SmallLoss(forget, ramp=0.2), index=index, progress=progress)
    losses = torch.nn.functional.cross_entropy(LOGITS, LABELS, reduction="none").tolist()
    rate = forget * min(1.0, progress / 0.2)
    keep = max(1, math.floor((1 - rate) * 6 + 1e-4))
    best = sorted(range(6), key=lambda i: losses[i])[:keep]
    assert loss.item() == pytest.approx(sum(losses[i] for i in best) / keep)
    assert changed["picked"].tolist() == [5 - place in best for place in range(6)]


METHODS = {"adjusted": m.LogitAdjustment(lk.sweep(0.5, 1.0)), "small": m.SmallLoss(lk.sweep(0.2, 0.4))}


@pytest.mark.parametrize("name", METHODS)
def test_alone_and_in_a_fleet_the_numbers_are_equal(name):
    data = lk.load("gaussians", n=200)
    options = dict(methods=METHODS[name], dtype="float64", **QUICK)
    together = lk.fit(data, Symmetric(0.2), seeds=3, lanes=8, **options).where(seed=1)
    alone = lk.fit(data, Symmetric(0.2), seeds=[1], lanes=1, **options)
    torch.testing.assert_close(together.logits(), alone.logits(), rtol=1e-12, atol=1e-12)
    assert (together.measure("accuracy")["value"] > 0.5).all()


def test_adjustment_finds_the_tail_of_a_clean_long_tail():
    data = long_tailed(lk.load("gaussians", n=900, separation=2.0), 20, order="given")
    methods = {"plain": m.CrossEntropy(), "adjusted": m.LogitAdjustment()}
    runs = lk.fit(data, methods=methods, seeds=2, **{**QUICK, "epochs": 10})
    recall = {name: lk.metrics.class_recall(runs[name].logits(), runs[name].labels()).mean(0) for name in methods}
    assert recall["adjusted"][2] > recall["plain"][2] + 0.1 and recall["adjusted"][0] < recall["plain"][0]
