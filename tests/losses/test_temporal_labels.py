"""The fading labels against the published code's arithmetic in plain floats, their ends, limits and order."""

from __future__ import annotations

import math

import pytest
import torch

from labkit.losses import temporal as t

H = dict(h_min=2.0, h_max=24.0)
DOUBLE = dict(dtype=torch.float64)
D = torch.tensor([0.0, 1, 2, 2.5, 3, 7, 12, 12.5, 13, 23.5, 24, 24.001, 30, 1e6, math.inf], **DOUBLE)


def slow_exp(d, gamma, h_min, h_max):
    if d <= h_min:
        return 1.0
    if d > h_max:
        return 0.0
    shift = -math.log(math.exp(-gamma * h_min) - math.exp(-gamma * h_max)) / gamma
    return math.exp(-gamma * (d - shift)) - math.exp(-gamma * (h_max - shift))


def slow_sigmoid(d, gamma, h_min, h_max, h):
    """Solves for the curve by bisection on its turning point, without the closed form."""
    if d <= h_min:
        return 1.0
    if d > h_max:
        return 0.0
    s = lambda x, c: 1 / (1 + math.exp((x - c) / gamma))
    half = lambda c: (s(h, c) - s(h_max, c)) / (s(h_min, c) - s(h_max, c)) - 0.5
    low, high = h_min - 20 * gamma, h_max + 20 * gamma
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if half(middle) < 0 else (low, middle)
    return (s(d, low) - s(h_max, low)) / (s(h_min, low) - s(h_max, low))


def slow_step(d, step, h_min, h_max):
    return 1.0 if d < h_min else 0.0 if d > h_max else math.ceil((h_max - d) / step) / ((h_max - h_min) // step)


def slow_linear(d, h_min, h_max):
    return 1.0 if d <= h_min else 0.0 if d > h_max else (h_max - d) / (h_max - h_min)


CURVES = {
    "exp 0.05": (lambda d: t.q_exp(d, 0.05, **H), lambda d: slow_exp(d, 0.05, **H)),
    "exp 0.2": (lambda d: t.q_exp(d, 0.2, **H), lambda d: slow_exp(d, 0.2, **H)),
    "exp 3": (lambda d: t.q_exp(d, 3.0, **H), lambda d: slow_exp(d, 3.0, **H)),
    "sigmoid middle": (lambda d: t.q_sigmoid(d, 2.0, h=13.0, **H), lambda d: slow_sigmoid(d, 2.0, h=13.0, **H)),
    "sigmoid aside": (lambda d: t.q_sigmoid(d, 3.0, h=10.0, **H), lambda d: slow_sigmoid(d, 3.0, h=10.0, **H)),
    "step": (lambda d: t.q_step(d, 5.5, **H), lambda d: slow_step(d, 5.5, **H)),
    "linear": (lambda d: t.q_linear(d, **H), lambda d: slow_linear(d, **H)),
    "hard": (lambda d: t.q_hard(d, 12.0), lambda d: float(d <= 12)),
}
every = pytest.mark.parametrize("name", CURVES)


@every
def test_equals_the_slow_twin(name):
    fast, slow = CURVES[name]
    torch.testing.assert_close(fast(D), torch.tensor([slow(d) for d in D.tolist()], **DOUBLE), rtol=1e-9, atol=1e-9)


@every
def test_ends_and_order(name):
    q = CURVES[name][0]
    d = torch.linspace(0, 40, 4001, **DOUBLE)
    assert (q(d).diff() <= 1e-12).all() and q(d).min() == 0 and q(d).max() == 1
    if name != "hard":
        assert q(torch.tensor([0.0, H["h_min"]], **DOUBLE)).tolist() == [1, 1]
        assert float(q(torch.tensor(H["h_max"], **DOUBLE))) == pytest.approx(0, abs=1e-12)
    assert q(torch.tensor([H["h_max"] + 1e-6, 1e6, math.inf], **DOUBLE)).tolist() == [0, 0, 0]


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_and_dtype_and_whole_hours(name, dtype):
    q = CURVES[name][0]
    grid = torch.arange(30).reshape(5, 6)
    assert q(grid.to(dtype)).dtype == dtype and q(grid.to(dtype)).shape == (5, 6)
    torch.testing.assert_close(q(grid), q(grid.float()))


def test_exp_goes_from_linear_to_a_step():
    for tiny in (0.0, 1e-9):
        torch.testing.assert_close(t.q_exp(D, tiny, **H), t.q_linear(D, **H), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(t.q_exp(D, 1e3, **H), (D <= 2).double())
    swept = torch.func.vmap(lambda g: t.q_exp(D, g, **H))(torch.tensor([0.0, 0.2], **DOUBLE))
    torch.testing.assert_close(swept, torch.stack([t.q_exp(D, 0.0, **H), t.q_exp(D, 0.2, **H)]))


def test_sigmoid_passes_the_middle_and_sharpens_to_the_hard_label_without_overflow():
    for gamma, h in ((2.0, 13.0), (3.0, 10.0), (0.5, 12.0)):
        assert float(t.q_sigmoid(torch.tensor(h, **DOUBLE), gamma, h=h, **H)) == pytest.approx(0.5, abs=1e-12)
    for dtype in (torch.float32, torch.float64):  # the published code overflows here and falls back to the hard label
        d = torch.tensor([0.0, 2, 11.5, 12.5, 24, 30], dtype=dtype)
        torch.testing.assert_close(t.q_sigmoid(d, 1e-3, h=12.0, **H), t.q_hard(d, 12.0))


def test_no_smoothing_interval_is_the_hard_label():
    for q in (t.q_exp(D, 0.2, 12.0, 12.0), t.q_linear(D, 12.0, 12.0)):
        assert torch.equal(q, t.q_hard(D, 12.0))


def test_steps_of_one_hour_are_linear_at_whole_hours():
    whole = torch.arange(2, 30, **DOUBLE)
    torch.testing.assert_close(t.q_step(whole, 1.0, **H), t.q_linear(whole, **H))


@pytest.mark.parametrize(("call", "message"), [
    (lambda: t.q_step(D, 5.0, **H), "whole number of steps"),
    (lambda: t.q_sigmoid(D, 2.0, h=1.0, **H), "h_min < h < h_max"),
    (lambda: t.q_sigmoid(D, 50.0, h=4.0, **H), "no logistic curve"),
    (lambda: t.temporal_target(D, "expo", 1.0, 0.0, 1.0, 1.0), "did you mean 'exp'")])  # fmt: skip
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def loss(z, d, gamma=0.2):
    return t.temporal_smoothing(z, d, "exp", gamma, 0.0, 16.0, 8.0)


def test_loss_is_soft_binary_cross_entropy_with_its_minimum_at_q():
    g = torch.Generator().manual_seed(0)
    z, d = torch.randn(9, 2, generator=g, **DOUBLE), torch.arange(0.0, 18, 2, **DOUBLE)
    q = [slow_exp(v, 0.2, 0.0, 16.0) for v in d.tolist()]
    margin = (z[:, 1] - z[:, 0]).tolist()
    slow = [-a * -math.log1p(math.exp(-m)) - (1 - a) * -math.log1p(math.exp(m)) for a, m in zip(q, margin)]
    torch.testing.assert_close(loss(z, d), torch.tensor(slow, **DOUBLE))
    best = torch.stack([torch.zeros(3, **DOUBLE), torch.logit(torch.tensor(q[1:4], **DOUBLE))], -1).requires_grad_()
    (grad,) = torch.autograd.grad(loss(best, d[1:4]).sum(), best)
    assert grad.abs().max() < 1e-12
    assert torch.autograd.gradcheck(lambda v: loss(v, d), z.requires_grad_())


def test_hard_shape_is_cross_entropy_and_extremes_are_finite():
    z = torch.tensor([[1e4, -1e4], [-1e4, 1e4], [0.0, 0.0]], requires_grad=True)
    d = torch.tensor([3.0, 9.0, 1e6])
    ours = t.temporal_smoothing(z, d, "hard", 0.2, 0.0, 16.0, 8.0)
    torch.testing.assert_close(ours, torch.nn.functional.cross_entropy(z, (d <= 8).long(), reduction="none"))
    loss(z, d).sum().backward()
    assert z.grad.isfinite().all() and loss(z, d).isfinite().all()
    assert loss(torch.zeros(4, 6, 2), torch.ones(4, 6)).shape == (4, 6)
