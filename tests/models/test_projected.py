from __future__ import annotations

import pytest
import torch

import labkit as lk
from labkit.fleet.step import Net
from labkit.models import MLP, WithProjection, embed, initialised, project

DATA = lk.load("gaussians", n=50, classes=3)


def network(number=0, **options):
    model = initialised(WithProjection(MLP((7,)), **options), DATA, number)
    return Net(model, {k: p.detach() for k, p in model.named_parameters()})


def test_embeddings_have_length_1_and_are_the_modules_own():
    net = network(outputs=5, hidden=(6,))
    features = net.features(DATA.x)
    e = project(net, features)
    raw = net.module.projection(net.module.body(DATA.x))
    assert e.shape == (50, 5)
    torch.testing.assert_close(e, raw / raw.square().sum(1, keepdim=True).sqrt())
    torch.testing.assert_close(embed(net, DATA.x), e)


def test_other_weights_can_be_put_in_their_place():
    net, other = network(), network(1)
    assert not torch.allclose(embed(net, DATA.x), embed(other, DATA.x))
    torch.testing.assert_close(embed(net, DATA.x, other.params), embed(other, DATA.x))


def test_logits_are_those_of_the_base():
    base = initialised(MLP((7,)), DATA, 0)
    torch.testing.assert_close(network()(DATA.x), base(DATA.x))


def test_what_it_refuses():
    plain = initialised(MLP((7,)), DATA, 0)
    with pytest.raises(TypeError, match="model=WithProjection"):
        project(Net(plain, dict(plain.named_parameters())), torch.zeros(2, 7))
    with pytest.raises(ValueError, match="at least 2 numbers, got outputs=1"):
        network(outputs=1)
