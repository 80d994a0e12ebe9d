"""Numbers that change during training."""

from __future__ import annotations

import math

import pytest
import torch

import labkit as lk
from labkit import methods as m
from labkit.fleet.timed import at_this_step

QUICK = dict(epochs=4, dtype="float64", batch_size=32, progress=False, compile=False)


def at(timed, progress):
    return float(timed.at_progress(torch.tensor(progress, dtype=torch.float64)))


def test_values_over_progress():
    assert [at(lk.Stages(0.4, 0.1, at=0.5), p) for p in (0.0, 0.49, 0.5, 1.0)] == pytest.approx([0.4, 0.4, 0.1, 0.1])
    assert [at(lk.Ramp(0.2, 0.6), p) for p in (0.0, 0.25, 1.0)] == pytest.approx([0.2, 0.3, 0.6])
    assert [at(lk.Cosine(1.0, 0.0), p) for p in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.5, 0.0])
    assert at(lk.Cosine(1.0, 0.0), 0.25) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)


def test_numbers_reach_the_fields_of_a_step():
    method = m.LabelSmoothing(lk.Stages(0.4, 0.0, at=0.9))
    at_this_step(method, {"smoothing.at": torch.tensor(0.3), "ema": torch.tensor(0.5)}, torch.tensor(0.5))
    assert float(method.smoothing) == 0.0 and float(method.ema) == 0.5


@pytest.mark.parametrize(
    ("timed", "plain"),
    [(lk.Stages(0.1, 0.3, at=2.0), 0.1), (lk.Stages(0.1, 0.3, at=0.0), 0.3), (lk.Ramp(0.2, 0.2), 0.2)],
)
def test_a_time_course_that_does_not_move_is_its_number(small, timed, plain):
    runs = lk.fit(small, methods={"a": m.LabelSmoothing(timed), "b": m.LabelSmoothing(plain)}, seeds=2, **QUICK)
    torch.testing.assert_close(runs["a"].logits(), runs["b"].logits(), rtol=1e-12, atol=1e-12)


def test_two_stages_are_one_training_after_another_by_hand(small):
    """Epochs 1 and 2 smoothed, 3 and 4 not: the weights are those of a plain loop that switches its loss."""
    runs = lk.fit(small, methods=m.LabelSmoothing(lk.Stages(0.4, 0.0, at=0.5)), seeds=[3], schedule="constant", **QUICK)
    split = small.split(3, validation=0.1, test=0.2)
    x, y = small.x.double(), small.y
    number = int(lk.streams.generator(3, "initialisation", 0).integers(2**62))
    net = lk.models.initialised(lk.models.MLP(), small, number).double()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(4):
        order = lk.streams.generator(3, "order", epoch).permutation(len(split.train))
        for step in range(len(order) // 32):
            batch = split.train[torch.from_numpy(order[step * 32 : (step + 1) * 32])]
            smoothing = 0.4 if epoch < 2 else 0.0
            loss = torch.nn.functional.cross_entropy(net(x[batch]), y[batch], label_smoothing=smoothing)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    for name, weight in net.named_parameters():
        torch.testing.assert_close(runs[0].params[name], weight.detach(), rtol=1e-10, atol=1e-10)


def test_their_own_numbers_are_swept_and_runs_keep_their_numbers(small):
    swept = m.LabelSmoothing(lk.Stages(lk.sweep(0.2, 0.4), 0.0, at=lk.sweep(0.25, 0.75)))
    together = lk.fit(small, methods=swept, seeds=2, **QUICK)
    assert list(together.settings.columns) == ["method", "seed", "smoothing.first", "smoothing.at"]
    assert len(together) == 8
    one = together.one(seed=1, **{"smoothing.first": 0.4, "smoothing.at": 0.75})
    alone = lk.fit(small, methods=m.LabelSmoothing(lk.Stages(0.4, 0.0, at=0.75)), seeds=[1], lanes=1, **QUICK)
    torch.testing.assert_close(one.logits(), alone.logits(), rtol=1e-12, atol=1e-12)
    other = together.one(seed=1, **{"smoothing.first": 0.4, "smoothing.at": 0.25})
    assert not torch.allclose(one.logits(), other.logits(), atol=1e-6)


def test_an_optimiser_may_change_too(small):
    runs = lk.fit(
        small, methods=m.CrossEntropy(), optimiser=lk.SGD(lr=0.05, weight_decay=lk.Stages(0.1, 0.0)), seeds=1, **QUICK
    )
    plain = lk.fit(small, methods=m.CrossEntropy(), seeds=1, **QUICK)
    assert not torch.allclose(runs.logits(), plain.logits(), atol=1e-6)


def test_where_one_number_is_needed_it_says_so(small):
    with pytest.raises(TypeError, match="changes during training"):
        lk.fit(small, methods=m.Mixup(lk.Ramp(0.1, 1.0)), seeds=1, **QUICK)
