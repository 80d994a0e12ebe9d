"""Robust losses as methods: against their equations, alone and in a fleet, what they remember."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import labkit as lk
from labkit import methods as m
from labkit.annotate import Symmetric
from labkit.evidence import Labels
from labkit.methods.base import Batch, Start

QUICK = dict(epochs=2, batch_size=16, model="linear", optimiser=lk.SGD(0.3), progress=False, compile=False)
METHODS = {
    "mae": m.MAE(),
    "gce": m.GCE(lk.sweep(0.0, 0.7)),
    "truncated": m.TruncatedGCE(k=lk.sweep(0.2, 0.5), every=0.3),
    "sce": m.SCE(beta=lk.sweep(0.1, 1.0)),
    "active passive": m.ActivePassive(beta=lk.sweep(0.5, 1.0)),
    "nfl + agce": m.ActivePassive(active="nfl", passive="agce", gamma=lk.sweep(0.0, 0.5)),
    "agce": m.AGCE(q=lk.sweep(0.5, 2.0)),
    "aul": m.AUL(a=lk.sweep(1.5, 3.0)),
    "jensen shannon": m.JensenShannon(lk.sweep(0.1, 0.9)),
    "rll": m.RLL(lk.sweep(0.1, 1.0)),
    "ldr": m.LDRKL(lk.sweep(1.0, 10.0)),
    "aldr": m.ALDRKL(lk.sweep(1.0, 10.0)),
    "z": m.ZLoss(a=lk.sweep(1.0, 4.0)),
    "taylor": m.TaylorSoftmax(),
    "spherical": m.SphericalSoftmax(lk.sweep(0.001, 0.1)),
}


@pytest.fixture(scope="module")
def data():
    return lk.load("gaussians", n=160, classes=3, separation=6.0)


@pytest.mark.parametrize("name", METHODS)
def test_trains_and_alone_and_in_a_fleet_the_numbers_are_equal(data, name):
    options = dict(methods=METHODS[name], dtype="float64", **QUICK)
    together = lk.fit(data, Symmetric(0.2), seeds=3, lanes=8, **options).where(seed=1)
    alone = lk.fit(data, Symmetric(0.2), seeds=[1], lanes=1, **options)
    torch.testing.assert_close(together.logits(), alone.logits(), rtol=1e-12, atol=1e-12)
    assert (together.measure("accuracy")["value"] > (0.3 if name == "spherical" else 0.6)).all()


def start(n=4, k=3):
    return Start(torch.zeros(n, 1), Labels(torch.zeros(n, dtype=torch.long), k), k, 0, np.random.default_rng(0),
                 torch.arange(n))  # fmt: skip


def step(method, state, logits, labels, index):
    batch = Batch(torch.zeros(len(index), 1, dtype=logits.dtype), Labels(labels, logits.shape[1]), index,
                  torch.tensor(0.0), state, {})  # fmt: skip
    loss, changed = method.objective(lambda x: logits, batch)
    return loss, {**state, **changed}


LOGITS = torch.tensor([[2.0, 0, 0], [0.0, 1, 0], [0.5, 0.5, 0], [3.0, 0, 0]], dtype=torch.float64)
LABELS = torch.tensor([0, 0, 1, 2])


@pytest.mark.parametrize(
    ("method", "slow"),
    [
        (m.MAE(), lambda p: 1 - p),
        (m.GCE(), lambda p: (1 - p**0.7) / 0.7),
        (m.SCE(), lambda p: -0.1 * math.log(p) - math.log(1e-4) * (1 - p)),
        (m.AGCE(), lambda p: (4 - (1 + p) ** 2) / 2),
        (m.AUL(), lambda p: ((1.5 - p) ** 0.9 - 0.5**0.9) / 0.9),
    ],
)
def test_published_defaults(method, slow):
    loss, _ = step(method, {}, LOGITS, LABELS, torch.arange(4))
    p = [float(z.softmax(0)[c]) for z, c in zip(LOGITS, LABELS)]
    assert float(loss) == pytest.approx(sum(map(slow, p)) / 4)


def test_truncated_gce_is_the_alternation_by_hand():
    method = m.TruncatedGCE(q=0.7, k=0.5, start=1 / 3, every=1 / 12)
    state, epochs, prunings = method.setup(start()), 24, []
    p = [float(z.softmax(0)[c]) for z, c in zip(LOGITS, LABELS)]
    weight = [1.0] * 4
    for epoch in range(1, epochs + 1):
        loss, state = step(method, state, LOGITS, LABELS, torch.arange(4))
        at_k = (1 - 0.5**0.7) / 0.7
        slow = [w * (1 - v**0.7) / 0.7 + (1 - w) * at_k for w, v in zip(weight, p)]
        assert float(loss) == pytest.approx(sum(slow) / 4)
        before = state["due"]
        state = {**state, **method.end_epoch(state, torch.tensor(epoch / epochs))}
        if state["due"] != before:
            prunings.append(epoch)
            weight = [float(v > 0.5) for v in p]
        assert state["weight"].tolist() == weight
    assert prunings == [8, 10, 12, 14, 16, 18, 20, 22, 24]  # of 24 epochs: from a third on, every twelfth
    assert weight == [1, 0, 0, 0]


def test_an_example_given_up_may_come_back_and_unseen_ones_count():
    method = m.TruncatedGCE(start=0.5, every=0.5)
    state = method.setup(start())
    _, state = step(method, state, LOGITS[:2], LABELS[:2], torch.tensor([0, 3]))
    state = {**state, **method.end_epoch(state, torch.tensor(0.5))}
    assert state["weight"].tolist() == [1, 1, 1, 0]
    _, state = step(method, state, 5 * LOGITS[:1], LABELS[:1], torch.tensor([3]))
    state = {**state, **method.end_epoch(state, torch.tensor(1.0))}
    assert state["weight"].tolist() == [1, 1, 1, 1]


def test_given_up_examples_have_no_gradient():
    method, logits = m.TruncatedGCE(), LOGITS.clone().requires_grad_()
    state = {**method.setup(start()), "weight": torch.tensor([1.0, 0, 1, 0])}
    loss, _ = step(method, state, logits, LABELS, torch.arange(4))
    (grad,) = torch.autograd.grad(loss, logits)
    assert ((grad != 0).any(-1)).tolist() == [True, False, True, False]


def test_aldr_updates_each_temperature_by_the_formula_and_only_those_seen():
    method = m.ALDRKL()
    state = method.setup(start())
    assert state["temperature"].tolist() == [10.0] * 4
    index = torch.tensor([2, 0])
    loss, state = step(method, state, LOGITS[:2], LABELS[:2], index)
    total = 0.0
    for row, y, i in zip(LOGITS[:2].tolist(), LABELS.tolist(), index.tolist()):
        f = [3 * v / sum(map(abs, row)) for v in row]
        q = [math.exp(v / 10) for v in f]
        q = [v / sum(q) + 1e-5 for v in q]
        q = [v / sum(q) for v in q]
        lead = 10 - 10 * sum(v * math.log(3 * v) for v in q) / (2 * math.log(3))
        assert float(state["temperature"][i]) == pytest.approx(lead, rel=1e-6)
        ahead = [v - f[y] + 0.1 * (k != y) for k, v in enumerate(f)]
        ldr = lead * math.log(sum(math.exp(v / lead) for v in ahead) / 3)
        total += ldr - 2 * math.log(3) / 10 / 2 * (lead - 10) ** 2
    assert float(loss) == pytest.approx(total / 2, rel=1e-6)
    assert state["temperature"][[1, 3]].tolist() == [10.0, 10.0]


def test_ldr_without_normalisation_trains_like_cross_entropy(data):
    methods = {"ldr": m.LDRKL(1.0, 0.0, normalise=False), "ce": m.CrossEntropy()}
    runs = lk.fit(data, methods=methods, seeds=2, dtype="float64", **QUICK)
    torch.testing.assert_close(runs["ldr"].logits(), runs["ce"].logits(), rtol=1e-9, atol=1e-9)


def test_what_finished_runs_keep(data):
    methods = {"aldr": m.ALDRKL(1.0), "truncated": m.TruncatedGCE()}
    runs = lk.fit(data, Symmetric(0.3), methods=methods, seeds=2, **QUICK)
    n = len(runs[0].index["train"])
    temperature = runs["aldr"].kept("temperature")
    assert temperature.shape == (2, n) and (temperature >= 0.5 - 1e-6).all() and (temperature <= 1).all()
    assert temperature.std() > 0
    assert set(runs["truncated"].kept("weight").unique().tolist()) <= {0.0, 1.0}


def test_spherical_methods_answer_with_what_their_losses_read():
    x = torch.tensor([[1.0, -3.5, 0.5]])
    net = lambda v: v
    assert int(m.SphericalSoftmax().predict(net, x).argmax()) == 1  # the largest square, whatever its sign
    assert int(m.TaylorSoftmax().predict(net, x).argmax()) == 1  # and so here, for (1 + o)^2 decides
    assert int(m.ZLoss().predict(net, x).argmax()) == 0


def test_bad_names_are_said_before_training():
    with pytest.raises(ValueError, match="ngce"):
        m.ActivePassive(active="ngse")
    with pytest.raises(ValueError, match="rce"):
        m.ActivePassive(passive="ce")
