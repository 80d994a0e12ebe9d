from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import labkit as lk
from labkit.models import MLP, SetNet, initialised

POOLS = ("mean", "attention")


def sets(count=60, size=3, seed=0):
    return lk.datasets.sets_of(lk.load("digits").subset(200), size, count, [range(5), range(5, 10)], seed=seed)


@pytest.mark.parametrize("pool", POOLS)
def test_the_order_of_members_makes_no_difference(pool):
    data = sets(size=5)
    net = initialised(SetNet((8,), pool), data).double()
    x = data.x.double()
    torch.testing.assert_close(net(x[:, [3, 0, 4, 1, 2]]), net(x), rtol=1e-12, atol=1e-12)
    assert (net(x.roll(1, 0)) - net(x)).abs().max() > 1e-3  # it does read its members


@pytest.mark.parametrize("pool", POOLS)
def test_pooling_is_the_slow_twin(pool):
    data = sets()
    net = initialised(SetNet((8, 6), pool), data).double()
    x = data.x.double()
    for i in range(4):
        hidden = [net.body.encoder(member[None])[0] for member in x[i]]
        if pool == "mean":
            weight = [1 / len(hidden)] * len(hidden)
        else:
            score = [net.body.pool.second(torch.tanh(net.body.pool.first(h))).exp().item() for h in hidden]
            weight = [s / sum(score) for s in score]
        pooled = sum(w * h for w, h in zip(weight, hidden))
        torch.testing.assert_close(net.body(x)[i], pooled)
        torch.testing.assert_close(net(x)[i], net.head(pooled[None])[0])


@pytest.mark.parametrize("pool", POOLS)
def test_a_set_of_one_is_its_member(pool):
    data = sets()
    net = initialised(SetNet((8,), pool), data)
    torch.testing.assert_close(net.body(data.x[:, :1]), net.body.encoder(data.x[:, 0]))


def test_sets_of_one_with_the_class_are_supervised_training():
    whole = lk.load("digits").subset(150)
    ones = replace(whole, x=whole.x[:, None], image_shape=None)
    options = dict(seeds=2, epochs=2, batch_size=16, dtype="float64", compile=False, progress=False,
                   methods=lk.methods.CrossEntropy())  # fmt: skip
    plain = lk.fit(whole, model=MLP((8,)), **options)
    pooled = lk.fit(ones, model=SetNet((8,)), **options)
    torch.testing.assert_close(pooled.logits(), plain.logits(), rtol=1e-10, atol=1e-10)
    features = pooled.predict(ones.x[:20], features=True)
    torch.testing.assert_close(features, plain.predict(whole.x[:20], features=True), rtol=1e-5, atol=1e-5)


def test_alone_and_in_a_fleet():
    options = dict(methods=lk.methods.CrossEntropy(), model=SetNet((8,), "attention"), epochs=2, batch_size=16,
                   dtype="float64", compile=False, progress=False)  # fmt: skip
    together = lk.fit(sets(), seeds=3, lanes=3, **options)
    alone = lk.fit(sets(), seeds=[1], lanes=1, **options)
    torch.testing.assert_close(together.logits()[1], alone.logits()[0], rtol=1e-12, atol=1e-12)


def test_refusals():
    with pytest.raises(ValueError, match="'mean' or 'attention'"):
        SetNet(pool="max")
    with pytest.raises(ValueError, match="hidden not empty"):
        SetNet(hidden=())
    with pytest.raises(ValueError, match="needs sets"):
        initialised(SetNet(), lk.load("digits"))
