"""Temporal smoothing in a fleet, on side information."""

from __future__ import annotations

import pytest
import torch

import labkit as lk
from labkit import methods as m

QUICK = dict(epochs=2, batch_size=64, progress=False, compile=False)


def same(a, b, tolerance=1e-12):
    """Equal logits and weights, run by run."""
    assert len(a) == len(b) > 0
    for x, y in zip(a, b):
        for kind in ("params", "logits"):
            for name, tensor in getattr(x, kind).items():
                torch.testing.assert_close(tensor, getattr(y, kind)[name], rtol=tolerance, atol=tolerance)


@pytest.fixture(scope="module")
def events():
    return lk.load("events", sequences=50, signal=3.0)


@pytest.mark.parametrize("shape", ["exp", "sigmoid"])
def test_alone_equals_in_a_fleet(events, shape):
    method = m.TemporalSmoothing(gamma=lk.sweep(0.2, 1.0), h_max=16.0, shape=shape)
    together = lk.fit(events, methods=method, seeds=3, lanes=6, dtype="float64", **QUICK)
    same(together.where(seed=1), lk.fit(events, methods=method, seeds=[1], lanes=1, dtype="float64", **QUICK))
    assert (together.where(gamma=0.2).logits() - together.where(gamma=1.0).logits()).abs().mean() > 0.01


def test_the_hard_shape_is_cross_entropy(events):
    hard = m.TemporalSmoothing(shape="hard", h=8.0, h_max=16.0)
    runs = lk.fit(events, methods={"hard": hard, "plain": m.CrossEntropy()}, seeds=2, dtype="float64", **QUICK)
    same(runs["hard"], runs["plain"])


def test_scores_follow_the_time_to_the_event(events):
    runs = lk.fit(events, methods=m.TemporalSmoothing(h_max=16.0), seeds=1, **{**QUICK, "epochs": 10})
    z, d = runs.logits()[0], events.side["time_to_event"][runs[0].index["test"]]
    danger = (z[:, 1] - z[:, 0]).sigmoid()
    mean = lambda low, high: danger[(d > low) & (d <= high)].mean()
    assert mean(0, 3) > mean(5, 9) > mean(24, 1e7)


def test_what_it_needs_is_said(small):
    with pytest.raises(ValueError, match="'time_to_event'"):
        lk.fit(small, methods=m.TemporalSmoothing(), seeds=1, **QUICK)
    with pytest.raises(ValueError, match="0 <= h_min <= h_max"):
        m.TemporalSmoothing(h_min=5.0, h_max=2.0)
