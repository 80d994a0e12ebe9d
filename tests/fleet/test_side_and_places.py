"""Side information reaches methods and annotators; examples may have a class in each of many places."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

import labkit as lk
from labkit import methods as m
from labkit.annotate import Annotator, Symmetric
from labkit.datasets import Data
from labkit.evidence import Labels, Soft
from labkit.losses import cross_entropy, target_of
from labkit.methods.base import Method
from labkit.models import Architecture, Linear, Model

QUICK = dict(epochs=2, dtype="float64", batch_size=32, progress=False, compile=False)


@dataclass
class Weighted(Method):
    """Weights each example by what is known of it, at setup and in the batch: the two must be the same examples."""

    def setup(self, start):
        return {"weight": start.side["weight"]}

    def objective(self, net, batch):
        loss = cross_entropy(net(batch.x), target_of(batch.evidence, batch.x.dtype))
        apart = (batch.side["weight"] - batch.state["weight"][batch.index]).abs().sum()
        return (batch.side["weight"] * loss).mean() + 1e6 * apart, {}


@dataclass(frozen=True)
class FromPosterior(Annotator):
    needs = ("posterior",)

    def __call__(self, labels, features, rng, posterior):
        assert posterior.shape == (len(labels), labels.n_classes)
        return Soft(posterior.float())


def test_side_information_belongs_to_its_examples(small):
    ones = replace(small, side={"weight": torch.ones(small.n)})
    plain = lk.fit(small, methods=m.CrossEntropy(), seeds=2, **QUICK)
    same = lk.fit(ones, methods=Weighted(), seeds=2, **QUICK)
    torch.testing.assert_close(same.logits(), plain.logits(), rtol=1e-12, atol=1e-12)
    varied = replace(small, side={"weight": torch.rand(small.n)})
    runs = lk.fit(varied, methods=Weighted(), seeds=2, **QUICK)
    assert (torch.tensor([r.curves["train/loss"][-1] for r in runs]) < 10).all()  # no example took another's weight
    assert varied.fingerprint != ones.fingerprint != small.fingerprint


def test_side_information_follows_a_subset_and_is_checked(small):
    data = replace(small, side={"number": torch.arange(small.n)})
    part = data.subset(100)
    assert torch.equal(part.x, data.x[part.side["number"]])
    for wrong in (torch.zeros(3), "weights"):
        with pytest.raises(ValueError, match="a row for each"):
            replace(small, side={"number": wrong})
    with pytest.raises(ValueError, match="NaN"):
        replace(small, side={"number": torch.full((small.n,), float("nan"))})


def test_annotators_get_what_they_need_or_say_what_is_missing(small):
    data = lk.load("gaussians", n=200)
    runs = lk.fit(data, FromPosterior(), methods=m.CrossEntropy(), seeds=2, **QUICK)
    split = data.split(1, 0.1, 0.2)
    torch.testing.assert_close(runs[1].given["likelihood"], data.posterior[split.validation], rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match="FromPosterior needs posterior of every example, and 'wine' holds only"):
        lk.fit(lk.load("wine"), FromPosterior(), methods=m.CrossEntropy(), seeds=2, **QUICK)
    chain = Symmetric(0.5) >> FromPosterior()
    assert chain.needs == ("posterior",)
    assert isinstance(chain(Labels([0, 1], 3), None, np.random.default_rng(0), posterior=torch.eye(3)[:2]), Soft)


class Places(nn.Module):
    def forward(self, x):
        return x.reshape(len(x), -1, 2)


@dataclass(frozen=True)
class PerPlace(Architecture):
    def build(self, shape, image_shape, n_classes):
        return Model(Places(), Linear(2, n_classes))


def places(n=160, p=5) -> Data:
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((n, p, 2))).float()
    y = (x[..., 0] > 0).long() + (x[..., 1] > 0).long()
    return Data("places", x, y, ("a", "b", "c"))


def test_a_class_in_each_place_trains_and_is_measured_like_many_examples():
    data = places()
    runs = lk.fit(
        data, Symmetric(lk.sweep(0.0, 0.2)), methods=m.LabelSmoothing(0.1), model=PerPlace(), seeds=2, **QUICK
    )
    z, y = runs.logits(), runs.labels()
    assert z.shape == (4, 32, 5, 3) and y.shape == (4, 32, 5)
    by_hand = (z.argmax(-1) == y).double().mean((1, 2))
    np.testing.assert_allclose(runs.measure("accuracy")["value"], by_hand)
    np.testing.assert_allclose([r.curves["test/accuracy"][-1] for r in runs], by_hand)
    assert np.isfinite(runs.measure("nll", temperature=True)["value"]).all()
    alone = lk.fit(data, Symmetric(0.2), methods=m.LabelSmoothing(0.1), model=PerPlace(), seeds=[1], lanes=1, **QUICK)
    torch.testing.assert_close(runs.one(seed=1, **{"annotator.rate": 0.2}).logits(), alone.logits())


def test_places_train_like_examples_of_their_own():
    """Full batches of places are the same gradient as the flattened problem."""
    data = places(n=40)
    options = dict(QUICK, batch_size=24, epochs=3)
    runs = lk.fit(data, methods=m.CrossEntropy(), model=PerPlace(), seeds=[0], test=0.2, validation=0.2, **options)
    train = data.split(0, 0.2, 0.2).train
    number = int(lk.streams.generator(0, "initialisation", 0).integers(2**62))
    net = lk.models.initialised(PerPlace(), data, number).double()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    rates = [0.05 * (1 + np.cos(np.pi * i / 3)) / 2 for i in range(3)]
    for rate in rates:
        optimiser.param_groups[0]["lr"] = rate
        optimiser.zero_grad()
        z = net(data.x[train].double())
        nn.functional.cross_entropy(z.flatten(0, 1), data.y[train].flatten()).backward()
        optimiser.step()
    torch.testing.assert_close(runs[0].params["head.weight"], net.head.weight.detach(), rtol=1e-9, atol=1e-9)


def test_a_model_that_does_not_answer_in_each_place_is_refused(small):
    with pytest.raises(ValueError, match=r"gives logits \(2, 3\), and their labels need \(2, 5, 3\)"):
        lk.fit(places(), methods=m.CrossEntropy(), model="mlp", seeds=1, **QUICK)
    column = replace(small, y=small.y[:, None], posterior=None)  # a common slip
    with pytest.raises(ValueError, match=r"need \(2, 1, 3\)"):
        lk.fit(column, methods=m.CrossEntropy(), model="mlp", seeds=1, **QUICK)


def test_labels_and_shares_in_places_are_checked():
    with pytest.raises(ValueError, match="the first is 7 at position 0, 1"):
        Labels([[0, 7]], 3)
    with pytest.raises(ValueError, match="the first is row 0, 1"):
        Soft(torch.tensor([[[0.5, 0.5], [0.7, 0.7]]]))
    with pytest.raises(ValueError, match=r"outside 0 .. 2 for 3 classes, the first at y\[1, 0\] = 3"):
        Data("bad", torch.zeros(2, 1, 2), torch.tensor([[0, 1], [3, 2]]), ("a", "b", "c"))
    said = Symmetric(0.5)(Labels(torch.zeros(50, 4, dtype=torch.long), 3), None, np.random.default_rng(0))
    assert said.labels.shape == (50, 4) and 0.3 < (said.labels != 0).double().mean() < 0.7
