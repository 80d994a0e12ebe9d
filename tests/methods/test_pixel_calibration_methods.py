"""SVLS, NACL and adaptive label perturbation: objectives by hand, the update of the rates, and the fleet."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import labkit as lk
from labkit import losses
from labkit.annotate import Raters
from labkit.evidence import Labels
from labkit.methods import NACL, SVLS, AdaptivePerturbation, CrossEntropy
from labkit.methods.base import Batch, Start
from labkit.models import PatchNet

QUICK = dict(
    model=PatchNet(3, (4,)),
    epochs=4,
    batch_size=8,
    dtype="float64",
    progress=False,
    compile=False,
    evaluate_every=4,
    lanes=8,
)


@pytest.fixture(scope="module")
def data():
    return lk.load("digit_masks", n=40)


@pytest.fixture(scope="module")
def canvas():
    return lk.load("digit_canvas", n=40, size=16, digits=2)


def same(a, b, tolerance=1e-12):
    for x, y in zip(a, b, strict=True):
        for kind in ("params", "logits", "kept"):
            for name, tensor in getattr(x, kind).items():
                torch.testing.assert_close(tensor, getattr(y, kind)[name], rtol=tolerance, atol=tolerance)


def start(labels, k, shape, seed=0):
    n = len(labels)
    x = torch.zeros(n, 1, *shape, dtype=torch.float64)
    return Start(x, Labels(labels, k), k, seed, np.random.default_rng(seed), torch.arange(n))


LABELS = torch.randint(0, 3, (6, 20), generator=torch.Generator().manual_seed(0))
LOGITS = 2 * torch.randn(2, 20, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
INDEX = torch.tensor([4, 1])


def loss_of(method):
    state = method.setup(start(LABELS, 3, (4, 5)))
    batch = Batch(torch.zeros(2), Labels(LABELS[INDEX], 3), INDEX, torch.tensor(0.0), state, {})
    loss, changed = method.objective(lambda x: LOGITS, batch)
    assert changed == {}
    return loss.item()


@pytest.mark.parametrize("size", [3, 5])
def test_svls_is_cross_entropy_with_its_own_pictures_targets(size):
    masks = LABELS[INDEX].view(2, 4, 5)
    target = losses.svls_target(masks, 3, size).flatten(1, 2).double()
    log_p = LOGITS.log_softmax(-1)
    slow = [-sum((target[i, j] * log_p[i, j]).tolist()) for i in range(2) for j in range(20)]
    assert loss_of(SVLS(size=size)) == pytest.approx(sum(slow) / 40, rel=1e-6)  # targets are in float32 by default


@pytest.mark.parametrize("on", ["logits", "probabilities"])
@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("kernel", ["mean", "svls"])
def test_nacl_is_cross_entropy_and_the_penalty(kernel, power, on):
    masks = F.one_hot(LABELS[INDEX].view(2, 4, 5), 3).double()
    shares = losses.neighbour_shares(masks, kernel).flatten(1, 2)
    held = LOGITS if on == "logits" else LOGITS.softmax(-1)
    slow = [
        -LOGITS[i, j].log_softmax(0)[LABELS[INDEX[i], j]].item()
        + 0.3 * sum(abs(t - v) ** power for t, v in zip(shares[i, j].tolist(), held[i, j].tolist())) / 3
        for i in range(2) for j in range(20)
    ]  # fmt: skip
    assert loss_of(NACL(0.3, power, kernel, on=on)) == pytest.approx(sum(slow) / 40)


def test_identities_in_training(canvas):
    runs = lk.fit(canvas, methods={"nacl": NACL(0.0), "svls": SVLS(size=1), "plain": CrossEntropy()}, seeds=2, **QUICK)
    same(runs["nacl"], runs["plain"], 1e-10)
    same(runs["svls"], runs["plain"], 1e-10)


def test_soft_masks_are_blurred_too(data):
    runs = lk.fit(data, Raters(), methods={"svls": SVLS(), "nacl": NACL(lk.sweep(0.1, 0.3))}, seeds=2, **QUICK)
    assert all(run.diverged == 0 for run in runs)
    assert not torch.allclose(runs["svls"].logits(), runs["nacl"].logits()[:2])


@pytest.mark.parametrize(
    "method",
    [SVLS(), NACL(lk.sweep(0.1, 1.0)), AdaptivePerturbation(lk.sweep(1.0, 2.0), after=0.0, holdout=0.3, initial=0.1)],
    ids=["svls", "nacl", "perturbation"],
)
def test_alone_and_in_a_fleet_the_numbers_are_equal(data, method):
    together = lk.fit(data, methods=method, seeds=3, **QUICK)
    alone = lk.fit(data, methods=method, seeds=[1], **{**QUICK, "lanes": 1})
    same(together.where(seed=1), alone)


def test_masks_are_asked_for():
    flat = start(LABELS, 3, (4, 6))
    for method in (SVLS(), NACL()):
        with pytest.raises(ValueError, match=r"a label for each of their H \* W pixels"):
            method.setup(flat)
    with pytest.raises(ValueError, match="logits"):
        NACL(on="softmax")


# ---- adaptive label perturbation -----------------------------------------------------------------------------------

TWO = LABELS % 2


def slow_update(a, signed, accuracy, b, rate, pull):
    a = a + rate * (signed / b + pull * min(1 - accuracy - b * a, 0))
    if a < 0:
        return 0.0
    return 1 / (2 * b) - 0.01 if a >= 1 / (2 * b) else a


@pytest.mark.parametrize("progress", [0.0, 0.5])
@pytest.mark.parametrize("accuracy", [math.nan, 0.9])
def test_a_step_equals_the_loop_over_pictures(progress, accuracy):
    method = AdaptivePerturbation(2.0, rate=0.002, pull=20.0, after=0.4, holdout=0.5)
    state = method.setup(start(TWO, 2, (4, 5)))
    assert state["held"].sum() == 3 and (state["amount"] == 0).all() and state["accuracy"].isnan()
    index = torch.tensor([0, 2, 3, 5, 1])
    g = torch.Generator().manual_seed(2)
    logits = 3 * torch.randn(5, 20, 2, generator=g, dtype=torch.float64)
    amount = torch.tensor([0.01, 0.2, 0.03, 0.24, 0.0, 0.05], dtype=torch.float64)
    uniform = torch.tensor([0.02, 0.01, 0.3, 0.1, 0.0], dtype=torch.float64)
    state = {**state, "amount": amount, "accuracy": torch.tensor(accuracy, dtype=torch.float64)}
    batch = Batch(torch.zeros(5), Labels(TWO[index], 2), index, torch.tensor(progress), state, {"uniform": uniform})
    loss, changed = method.objective(lambda x: logits, batch)

    terms, right, expected = [], [], amount.tolist()
    for place, i in enumerate(index.tolist()):
        z = (logits[place, :, 1] - logits[place, :, 0]).tolist()
        y = TWO[i].tolist()
        if state["held"][i]:
            right.append(sum((v > 0) == (c == 1) for v, c in zip(z, y)) / 20)
            continue
        told = [-3 * c + 2 if uniform[place] < amount[i] else c for c in y]
        terms.append(sum(math.log1p(math.exp(v)) - t * v for v, t in zip(z, told)) / 20)
        if progress >= 0.4 and not math.isnan(accuracy):
            signed = sum((2 * c - 1) * v for v, c in zip(z, y)) / 20
            expected[i] = slow_update(expected[i], signed, accuracy, 2.0, 0.002, 20.0)
    assert terms and right
    assert loss.item() == pytest.approx(sum(terms) / len(terms))
    torch.testing.assert_close(changed["amount"], torch.tensor(expected, dtype=torch.float64))
    assert changed["right"].item() == pytest.approx(sum(right)) and changed["seen"] == len(right)


def test_the_update_climbs_stops_and_falls_back():
    method = AdaptivePerturbation()
    move = lambda a, signed, accuracy: method.updated(
        torch.tensor([a], dtype=torch.float64), torch.tensor([signed], dtype=torch.float64), torch.tensor(accuracy)
    ).item()
    assert move(0.0, 4.0, 0.9) == pytest.approx(0.004)  # one step up: 0.002 * 4 / 2
    assert move(0.0, -4.0, 0.9) == 0  # never below 0
    assert move(0.06, 4.0, 0.9) == 0  # b a = 0.12 is above 1 - 0.9: thrown back by 4 * 0.02 and cut at 0
    assert move(0.249, 4.0, 0.1) == pytest.approx(0.24)  # never 1 / (2 b)
    gentle = AdaptivePerturbation(pull=20.0)  # with a smaller pull it settles where b a = 1 - accuracy
    a = torch.zeros(1, dtype=torch.float64)
    for _ in range(500):
        a = gentle.updated(a, torch.ones(1, dtype=torch.float64), torch.tensor(0.9))
    assert 2 * a.item() == pytest.approx(0.1 + 1 / 40, rel=1e-6)  # pull (b a - 0.1) = G / b = 1 / 2


def test_an_epochs_accuracy_is_that_of_the_pictures_kept_back():
    method = AdaptivePerturbation()
    state = {"right": torch.tensor(1.5), "seen": torch.tensor(2.0), "accuracy": torch.tensor(math.nan)}
    ended = method.end_epoch(state, torch.tensor(0.5))
    assert ended["accuracy"] == 0.75 and ended["right"] == 0 and ended["seen"] == 0
    nobody = method.end_epoch({**ended, "seen": torch.zeros(())}, torch.tensor(0.6))
    assert nobody["accuracy"] == 0.75


def test_in_training_rates_rise_to_the_error_and_pictures_kept_back_teach_nothing(data):
    options = {**QUICK, "epochs": 10, "optimiser": lk.SGD(lr=0.5)}
    runs = lk.fit(data, methods=AdaptivePerturbation(rate=0.01, pull=100.0, holdout=0.25), seeds=2, **options)
    amounts = runs.kept("amount")
    assert amounts.shape == (2, 28) and ((amounts == 0).sum(1) >= 7).all() and (amounts > 0).any(1).all()
    error = 1 - runs.measure("accuracy", split="validation")["value"].to_numpy()
    assert (2 * amounts.amax(1).numpy() < error + 0.15).all()


def test_with_nothing_to_update_it_is_known_methods(data):
    m = lk.methods
    fixed = dict(rate=0.0, holdout=0.0)
    runs = lk.fit(
        data,
        methods={
            "none": AdaptivePerturbation(**fixed), "plain": CrossEntropy(),
            "always": AdaptivePerturbation(0.1, initial=1.0, **fixed), "smoothing": m.LabelSmoothing(0.2),
            "never measured": AdaptivePerturbation(holdout=0.0),
        },
        seeds=2, **QUICK,
    )  # fmt: skip
    for a, b in (("none", "plain"), ("always", "smoothing"), ("never measured", "plain")):
        torch.testing.assert_close(runs[a].logits(), runs[b].logits(), rtol=1e-10, atol=1e-10)


def test_it_is_for_two_classes(canvas):
    with pytest.raises(ValueError, match="two classes, got 4"):
        lk.fit(canvas, methods=AdaptivePerturbation(), seeds=1, **QUICK)
    with pytest.raises(ValueError, match="holdout"):
        AdaptivePerturbation(holdout=1.0)
