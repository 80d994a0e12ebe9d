"""SOP against a slow twin per example, its growth, and in a fleet."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import labkit as lk
from labkit.annotate import Symmetric
from labkit.evidence import Labels
from labkit.methods import SparseOverParameterisation as SOP
from labkit.methods.base import Batch, Start

B, K, N = 4, 3, 6
INDEX = torch.tensor([5, 0, 3, 1])
Y = torch.tensor([0, 1, 2, 0])


def batch(u, v, y=Y, index=INDEX):
    zero = torch.tensor(0.0, dtype=torch.float64)
    return Batch(torch.zeros(len(y), 1), Labels(y, K), index, zero, {"u": u, "v": v}, {})


def variables(scale=0.4):
    g = torch.Generator().manual_seed(1)
    return (scale * torch.randn(*s, generator=g, dtype=torch.float64) for s in ((N,), (N, K)))


def twin(z, u, v, y, rate_u, rate_v):
    """One example, scalars and autograd over the authors' two terms, each variable by its own rule."""
    u, v, z = u.clone().requires_grad_(), v.clone().requires_grad_(), z.clone().requires_grad_()
    p = z.softmax(-1)
    up = [u**2 * (k == y) for k in range(K)]
    down = [v[k] ** 2 * (k != y) for k in range(K)]
    q = [torch.clamp(p[k].detach() + torch.clamp(up[k], 0, 1) - torch.clamp(down[k], 0, 1).detach(), min=1e-4)
         for k in range(K)]  # fmt: skip
    for_u = -torch.log(q[y] / sum(q))
    square = sum((float(k == z.argmax()) + torch.clamp(up[k], 0, 1) - torch.clamp(down[k], 0, 1) - float(k == y)) ** 2
                 for k in range(K))  # fmt: skip
    (grad_u,) = torch.autograd.grad(for_u + square, u, retain_graph=True)
    (grad_v,) = torch.autograd.grad(square, v)
    held = [torch.clamp(p[k] + torch.clamp(up[k], 0, 1).detach() - torch.clamp(down[k], 0, 1).detach(), min=1e-4)
            for k in range(K)]  # fmt: skip
    loss = -torch.log(held[y] / sum(held))
    (grad_z,) = torch.autograd.grad(loss, z)
    return float(loss.detach()), grad_z, u.detach() - rate_u * grad_u, v.detach() - rate_v * grad_v


@pytest.mark.parametrize("scale", [1e-8, 0.4, 1.5])
def test_equals_the_slow_twin(scale):
    z = torch.randn(B, K, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    u, v = variables(scale)
    loss, changed = SOP(rate_u=0.3, rate_v=0.7).objective(lambda x: z, batch(u, v))
    (grad,) = torch.autograd.grad(loss, z)
    each = [twin(z[b].detach(), u[i], v[i], int(Y[b]), 0.3, 0.7) for b, i in enumerate(INDEX.tolist())]
    assert float(loss.detach()) == pytest.approx(sum(e[0] for e in each) / B)
    torch.testing.assert_close(grad, torch.stack([e[1] for e in each]) / B)
    for b, i in enumerate(INDEX.tolist()):
        torch.testing.assert_close(changed["u"][i], each[b][2])
        torch.testing.assert_close(changed["v"][i], each[b][3])
    rest = [i for i in range(N) if i not in INDEX.tolist()]
    assert torch.equal(changed["u"][rest], u[rest]) and torch.equal(changed["v"][rest], v[rest])


def test_without_variables_it_is_cross_entropy():
    z = torch.randn(B, K, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    loss, changed = SOP().objective(lambda x: z, batch(torch.zeros(N).double(), torch.zeros(N, K).double()))
    torch.testing.assert_close(loss, F.cross_entropy(z, Y))
    assert not changed["u"].any() and not changed["v"].any()  # 0 stays 0: hence the small start


def visits(rate, wrong=True, limit=400):
    """Visits until v of the predicted class passes 0.5, where the network keeps saying class 1 of an example told 0."""
    z = torch.tensor([[0.0, 9.0, 0.0]] if wrong else [[9.0, 0.0, 0.0]], dtype=torch.float64)
    u, v = torch.full((1,), 1e-8).double(), torch.full((1, K), 1e-8).double()
    one = torch.tensor([0])
    for visit in range(1, limit):
        _, changed = SOP(rate, rate).objective(lambda x: z, batch(u, v, torch.tensor([0]), one))
        if visit == 1 and wrong:  # the square alone moves v, by the factor 1 + 4 rate
            assert float(changed["v"][0, 1] / v[0, 1]) == pytest.approx(1 + 4 * rate)
            assert float(changed["v"][0, 2] / v[0, 2]) == pytest.approx(1)
            assert float(changed["u"] / u) > 1 + 4 * rate  # u also has the cross entropy, which pulls harder
        u, v = changed["u"], changed["v"]
        if float(v[0, 1]) > 0.5:
            return visit
    return math.inf


def test_variables_wake_after_as_many_visits_as_the_growth_says():
    """68 epochs at the published 10/128, 13 at 100/128: the rate per visit decides, not the learning rate."""
    for rate, expected in ((10 / 128, 68), (100 / 128, 13)):
        assert round(math.log(1e8) / math.log(1 + 4 * rate)) == expected
        assert abs(visits(rate) - expected) <= 2  # from 1e-8 to 0.5, not to 1
    assert visits(100 / 128, wrong=False) == math.inf


def test_start_is_small_and_random():
    start = Start(torch.zeros(500, 1), Labels(torch.zeros(500).long(), K), K, 0, np.random.default_rng(0),
                  torch.arange(500))  # fmt: skip
    state = SOP().setup(start)
    assert state["u"].shape == (500,) and state["v"].shape == (500, K)
    assert float(state["v"].std()) == pytest.approx(1e-8, rel=0.1) and float(state["v"].float().square().max()) > 0


def test_alone_and_in_a_fleet_the_numbers_are_equal_and_variables_find_the_noise(small):
    method = SOP(rate_u=lk.sweep(0.3, 0.8), rate_v=0.8)
    options = dict(methods=method, epochs=20, dtype="float64", batch_size=32, compile=False, progress=False)
    together = lk.fit(small, Symmetric(0.3), seeds=3, lanes=8, **options).where(seed=1)
    alone = lk.fit(small, Symmetric(0.3), seeds=[1], lanes=1, **options)
    for a, b in zip(together, alone):
        assert a.values == b.values and not a.diverged
        for key, value in a.params.items():
            torch.testing.assert_close(value, b.params[key], rtol=1e-12, atol=1e-12)
    awake = together.kept("v").square().amax(-1) > 0.5  # V says another class is there
    wrong = together.told("train") != together.labels("train")
    assert float(awake[wrong].double().mean()) > 2.5 * float(awake[~wrong].double().mean())
