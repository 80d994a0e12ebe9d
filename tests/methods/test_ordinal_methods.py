"""Ordinal smoothing in a fleet."""

from __future__ import annotations

import pytest
import torch

import labkit as lk
from labkit import methods as m
from labkit.evidence import Labels, Soft
from labkit.losses import ordinal as o

QUICK = dict(epochs=2, batch_size=32, progress=False, evaluate_every=1, compile=False)
METHODS = {
    "ordinal_smoothing": m.OrdinalSmoothing(alpha=lk.sweep(0.7, 1.5)),
    "permuted": m.OrdinalSmoothing(alpha=lk.sweep(0.7, 1.5), distance="l1", order=(2, 3, 1)),
    "gaussian_ordinal": m.GaussianOrdinal(sigma=lk.sweep(0.5, 1.0)),
    "adjacent_smoothing": m.AdjacentSmoothing(smoothing=lk.sweep(0.1, 0.3)),
}


def same(a, b, tolerance=1e-12):
    """Equal logits and weights, run by run."""
    assert len(a) == len(b) > 0
    for x, y in zip(a, b):
        for kind in ("params", "logits"):
            for name, tensor in getattr(x, kind).items():
                torch.testing.assert_close(tensor, getattr(y, kind)[name], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", METHODS)
def test_trains_and_alone_equals_in_a_fleet(small, name):
    options = {**QUICK, "dtype": "float64"}
    together = lk.fit(small, methods=METHODS[name], seeds=3, lanes=6, **options)
    same(together.where(seed=2), lk.fit(small, methods=METHODS[name], seeds=[2], lanes=1, **options))
    assert together.measure("accuracy")["value"].min() > 0.5


def test_loss_reads_the_row_of_the_label():
    z = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.tensor([4, 0, 2])
    order = (3, 5, 2, 4, 1)
    loss = m.OrdinalSmoothing(alpha=0.8, order=order).loss(z, Labels(y, 5))
    table = o.ordinal_targets(order, "l1", 0.8, dtype=torch.float64)
    torch.testing.assert_close(loss, -(table[y] * z.log_softmax(-1)).sum(-1))
    votes = torch.tensor([[0.5, 0.5, 0, 0, 0.0]], dtype=torch.float64)  # soft labels are smoothed class by class
    torch.testing.assert_close(
        m.GaussianOrdinal().loss(z[:1], Soft(votes)),
        sum(0.5 * m.GaussianOrdinal().loss(z[:1], Labels(torch.tensor([k]), 5)) for k in (0, 1)),
    )


def test_steep_is_cross_entropy(small):
    runs = lk.fit(small, methods={"sord": m.OrdinalSmoothing(alpha=60.0), "plain": m.CrossEntropy()}, seeds=2, **QUICK)
    same(runs["sord"], runs["plain"], 1e-5)


def test_an_order_of_the_wrong_length_is_said():
    with pytest.raises(ValueError, match="each of 5 classes, got 3 ranks"):
        m.OrdinalSmoothing(order=(1, 2, 3)).loss(torch.zeros(1, 5), Labels(torch.tensor([0]), 5))
