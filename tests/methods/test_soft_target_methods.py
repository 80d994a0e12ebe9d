"""The wider smoothing family in a fleet, and the memory of online smoothing against a plain loop."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import labkit as lk
from labkit import losses
from labkit import methods as m
from labkit.annotate import Symmetric
from labkit.evidence import Labels
from labkit.methods.base import Batch, Start
from labkit.streams import generator

QUICK = dict(epochs=2, dtype="float64", batch_size=32, progress=False, evaluate_every=1, compile=False)
METHODS = {
    "negative": m.GeneralisedSmoothing(lk.sweep(-0.4, 0.2)),
    "negative after warm-up": m.GeneralisedSmoothing(lk.Stages(0.0, -0.4, at=0.3)),
    "online": m.OnlineSmoothing(lk.sweep(0.5, 0.9)),
    "annealed": m.LabelSmoothing(lk.Ramp(0.2, 0.0)),
    "soft bootstrapping": m.SoftBootstrapping(lk.sweep(0.95, 0.5)),
    "hard bootstrapping": m.HardBootstrapping(lk.sweep(0.8, 0.5)),
    "adaptive focal": m.AdaptiveFocal(threshold=lk.sweep(0.2, 0.5)),
    "dual focal": m.DualFocal(lk.sweep(5.0, 1.0)),
    "threshold": m.ThresholdedConfidencePenalty(0.5, threshold=lk.sweep(0.3, 1.0)),
}


@pytest.mark.parametrize("name", METHODS)
def test_alone_and_in_a_fleet_the_numbers_are_equal_and_it_learns(small, name):
    together = lk.fit(small, Symmetric(0.1), methods=METHODS[name], seeds=3, lanes=64, **QUICK)
    alone = lk.fit(small, Symmetric(0.1), methods=METHODS[name], seeds=[2], lanes=1, **QUICK)
    for x, y in zip(together.where(seed=2), alone, strict=True):
        for key, tensor in x.params.items():
            torch.testing.assert_close(tensor, y.params[key], rtol=1e-12, atol=1e-12)
    assert together.measure("accuracy")["value"].min() > 0.6  # 0.33 is chance
    if len(together) > 3:
        low, high = together[:3].weights(), together[3:].weights()
        assert not torch.equal(low["head.weight"], high["head.weight"])  # the number is used


def test_methods_are_their_losses():
    z, y = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0, 1, 2])
    labels, t = Labels(y, 3), F.one_hot(y, 3).float()
    same = torch.testing.assert_close
    same(m.GeneralisedSmoothing(-0.7).loss(z, labels), losses.label_smoothing(z, t, -0.7))
    same(m.SoftBootstrapping(0.6).loss(z, labels), losses.soft_bootstrapping(z, t, 0.6))
    same(m.HardBootstrapping(0.6).loss(z, labels), losses.hard_bootstrapping(z, t, 0.6))
    same(m.AdaptiveFocal(0.4, 3.0, 1.0).loss(z, labels), losses.adaptive_focal(z, t, 0.4, 3.0, 1.0))
    same(m.DualFocal(2.0).loss(z, labels), losses.dual_focal(z, t, 2.0))
    capped = losses.thresholded_confidence_penalty(z, t, 0.2, 0.6)
    same(m.ThresholdedConfidencePenalty(0.2, 0.6).loss(z, labels), capped)
    assert (m.SoftBootstrapping().beta, m.HardBootstrapping().beta, m.DualFocal().gamma) == (0.95, 0.8, 5.0)


# ---- online smoothing ----------------------------------------------------------------------------------------


def batch(logits, labels, state):
    k = logits.shape[-1]
    return Batch(logits, Labels(labels, k), torch.arange(len(labels)), torch.tensor(0.0), state, {})


def begin(k):
    start = Start(torch.zeros(2, 1), Labels(torch.zeros(2, dtype=torch.long), k), k, 0, generator(0, "method", 0),
                  torch.arange(2))  # fmt: skip
    return {name: t.double() for name, t in m.OnlineSmoothing().setup(start).items()}


def test_online_smoothing_is_the_plain_loop_over_two_epochs():
    k, method, state = 4, m.OnlineSmoothing(0.3), begin(4)
    g = torch.Generator().manual_seed(0)
    table = [[1 / k] * k for _ in range(k)]
    for _ in range(2):
        rows = {c: [] for c in range(k)}
        for _ in range(3):
            z, y = 3 * torch.randn(8, k, generator=g, dtype=torch.float64), torch.randint(0, 3, (8,), generator=g)
            loss, changed = method.objective(lambda x: x, batch(z, y, state))
            state = {**state, **changed}
            slow = 0.0
            for row, c in zip(z, y.tolist()):
                log_p = row.log_softmax(0).tolist()
                slow -= 0.3 * log_p[c] + 0.7 * sum(q * v for q, v in zip(table[c], log_p))
                if int(row.argmax()) == c:
                    rows[c].append(row.softmax(0).tolist())
            assert loss.item() == pytest.approx(slow / 8, rel=1e-12)
        state = {**state, **method.end_epoch(state, torch.tensor(0.5))}
        mean = lambda said: [sum(v) / len(said) for v in zip(*said)] if said else [1 / k] * k
        table = [mean(rows[c]) for c in range(k)]  # class 3 is never seen: uniform
        torch.testing.assert_close(state["table"], torch.tensor(table, dtype=torch.float64))
        torch.testing.assert_close(state["table"].sum(1), torch.ones(k, dtype=torch.float64))
        assert state["said"].abs().sum() == 0 and state["right"].sum() == 0


def test_sure_and_right_predictions_make_it_cross_entropy():
    k, method, state = 3, m.OnlineSmoothing(), begin(3)
    z, y = 1e4 * torch.eye(3, dtype=torch.float64), torch.arange(3)
    _, changed = method.objective(lambda x: x, batch(z, y, state))
    state = {**state, **changed}
    state.update(method.end_epoch(state, torch.tensor(0.5)))
    torch.testing.assert_close(state["table"], torch.eye(k, dtype=torch.float64))
    z = torch.randn(3, k, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    loss, _ = method.objective(lambda x: x, batch(z, y, state))
    torch.testing.assert_close(loss, F.cross_entropy(z, y))


def test_the_first_epoch_is_half_cross_entropy_half_uniform():
    z, y = (
        torch.randn(5, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64),
        torch.tensor([0, 1, 2, 0, 1]),
    )
    loss, _ = m.OnlineSmoothing().objective(lambda x: x, batch(z, y, begin(3)))
    torch.testing.assert_close(loss, F.cross_entropy(z, y, label_smoothing=0.5))
    z.requires_grad_()
    _, changed = m.OnlineSmoothing().objective(lambda x: x, batch(z, y, begin(3)))
    assert not changed["said"].requires_grad  # what was said is data for the next epoch


def test_a_schedule_reaches_the_loss(small):
    """Annealed to its end value from the start is the constant; a real ramp is not."""
    fit = lambda smoothing: lk.fit(small, methods=m.LabelSmoothing(smoothing), seeds=1, **QUICK)[0].params[
        "head.weight"
    ]
    torch.testing.assert_close(fit(lk.Ramp(0.2, 0.2)), fit(0.2), rtol=1e-12, atol=1e-12)
    assert not torch.equal(fit(lk.Ramp(0.2, 0.0)), fit(0.2))
