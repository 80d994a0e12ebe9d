"""Models: shapes, stackability by absence of state, numbers of the plain layer."""

from __future__ import annotations

import pytest
import torch

import labkit as lk
from labkit.models import MODELS, Linear, initialised


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("flat", [True, False])
def test_shapes(name, flat):
    data = lk.load("digits", flat=flat)
    net = initialised(MODELS[name], data)
    x = data.x[:5]
    assert net(x).shape == (5, 10) and net.head(net.body(x)).equal(net(x))
    assert net.body(x).ndim == 2
    assert not list(net.buffers())  # a buffer would be shared by the runs of a fleet


def test_sizes_are_the_ones_the_benchmarks_name():
    count = lambda net: sum(p.numel() for p in net.parameters())
    digits = lk.load("digits")
    assert count(initialised(MODELS["mlp"], digits)) == 64 * 128 + 128 + 128 * 10 + 10
    assert count(initialised(lk.models.MLP((256, 256)), digits)) == 64 * 256 + 256 + 256 * 256 + 256 + 2570
    assert count(initialised(MODELS["linear"], digits)) == 650


def test_our_linear_is_torchs():
    torch.manual_seed(0)
    ours = Linear(7, 4).double()
    x = torch.randn(3, 7, dtype=torch.float64, requires_grad=True)
    y = torch.nn.functional.linear(x, ours.weight, ours.bias)
    torch.testing.assert_close(ours(x), y)
    a = torch.autograd.grad(ours(x).square().sum(), [x, ours.weight, ours.bias])
    b = torch.autograd.grad(y.square().sum(), [x, ours.weight, ours.bias])
    torch.testing.assert_close(a, b)
    ours.relu = True
    torch.testing.assert_close(ours(x), y.relu())


def test_examples_of_a_batch_do_not_touch():
    data = lk.load("digits", flat=False)
    for name in MODELS:
        net = initialised(MODELS[name], data)
        torch.testing.assert_close(net(data.x[:8])[:1], net(data.x[:1]), atol=1e-5, rtol=1e-5)


def test_initialisation_is_decided_by_the_number():
    data = lk.load("digits")
    weights = lambda number: initialised(MODELS["mlp"], data, number).head.weight
    assert weights(1).equal(weights(1)) and not weights(1).equal(weights(2))


def test_images_are_asked_for():
    with pytest.raises(ValueError, match=r"model 'lenet' needs images.*use 'mlp'"):
        initialised(MODELS["lenet"], lk.load("wine"))
