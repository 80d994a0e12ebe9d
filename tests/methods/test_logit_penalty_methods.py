"""MaxSup and its relatives in a fleet."""

from __future__ import annotations

import pytest
import torch

import labkit as lk
from labkit import losses
from labkit import methods as m
from labkit.evidence import Labels, Soft

QUICK = dict(epochs=2, dtype="float64", batch_size=32, progress=False, evaluate_every=1, compile=False)
METHODS = {
    "maxsup": m.MaxSup(lk.sweep(0.1, 0.5)),
    "maxsup, published schedule": m.MaxSup(lk.Ramp(0.1, 0.2)),
    "no error term": m.SmoothingWithoutErrorTerm(lk.sweep(0.1, 0.5)),
    "logit penalty": m.LogitPenalty(lk.sweep(2e-3, 0.1)),
}


@pytest.mark.parametrize("name", METHODS)
def test_alone_and_in_a_fleet_the_numbers_are_equal_and_it_learns(small, name):
    together = lk.fit(small, methods=METHODS[name], seeds=3, lanes=64, **QUICK)
    alone = lk.fit(small, methods=METHODS[name], seeds=[2], lanes=1, **QUICK)
    for x, y in zip(together.where(seed=2), alone, strict=True):
        for key, tensor in x.params.items():
            torch.testing.assert_close(tensor, y.params[key], rtol=1e-12, atol=1e-12)
    assert together.measure("accuracy")["value"].min() > 0.6  # 0.33 is chance
    if len(together) > 3:
        low, high = together[:3].weights(), together[3:].weights()
        assert not torch.equal(low["head.weight"], high["head.weight"])  # the number is used


def test_methods_hand_their_own_number_to_their_loss():
    z, y = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0, 1, 2])
    labels, t = Labels(y, 3), torch.nn.functional.one_hot(y, 3).float()
    torch.testing.assert_close(m.MaxSup(0.3).loss(z, labels), losses.maxsup(z, t, 0.3))
    torch.testing.assert_close(
        m.SmoothingWithoutErrorTerm(0.3).loss(z, labels), losses.smoothing_without_error_term(z, t, 0.3)
    )
    torch.testing.assert_close(m.LogitPenalty(0.3).loss(z, Soft(t)), losses.logit_penalty(z, t, 0.3))
    assert (m.MaxSup().weight, m.SmoothingWithoutErrorTerm().smoothing, m.LogitPenalty().weight) == (0.1, 0.1, 2e-3)


def test_half_of_smoothing_and_all_of_it_differ_only_if_something_is_wrong(small):
    """Without regularisation of wrong predictions the gradients part as soon as one prediction is wrong."""
    a, b = (
        lk.fit(small, methods=method, seeds=1, **QUICK)
        for method in (m.LabelSmoothing(0.1), m.SmoothingWithoutErrorTerm(0.1))
    )
    assert not torch.equal(a[0].params["head.weight"], b[0].params["head.weight"])
