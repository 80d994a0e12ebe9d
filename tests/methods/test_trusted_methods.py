"""Trusted batches, cross entropy on the two parts, gold loss correction."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import labkit as lk
from labkit.annotate import PairFlip, Symmetric, Trusted
from labkit.evidence import Labels, TrustedLabels
from labkit.fleet.step import Net
from labkit.methods import GoldLossCorrection, TrustedCrossEntropy
from labkit.methods.base import Batch, Start
from labkit.models import MLP

D, K = torch.float64, 4
QUICK = dict(epochs=2, batch_size=32, progress=False, compile=False)


def network(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MLP((6,)).build((5,), None, K).double()
    return Net(model, dict(model.named_parameters()))


def start(n=12, trusted=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    flags = torch.arange(n) % (n // trusted) == 1
    evidence = TrustedLabels(torch.arange(n) % K, K, flags)
    x = torch.randn(n, 5, generator=g, dtype=D)
    return Start(x, evidence, K, seed, np.random.default_rng(seed), torch.arange(n))


def batch_of(method, begin, index, seed=0):
    draws = {k: torch.from_numpy(v[0]) for k, v in method.draw(np.random.default_rng(seed), 1, len(index)).items()}
    state = method.setup(begin)
    return Batch(begin.x[index], begin.evidence[index], index, torch.tensor(0.0), state, draws)


def nll(net, x, label):
    z = net(x[None])[0].detach().tolist()
    return math.log(sum(math.exp(v - max(z)) for v in z)) + max(z) - z[int(label)]


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_cross_entropy_of_the_two_parts(weight):
    method, begin, net = TrustedCrossEntropy(weight=weight, trusted_batch=7), start(), network()
    b = batch_of(method, begin, torch.tensor([0, 1, 2, 5, 7]))
    x, labels = method.trusted(b)
    held = begin.x[begin.evidence.trusted]
    assert x.shape == (7, 5) and all((row == held).all(1).any() for row in x)  # drawn from the trusted, with labels
    for row, label in zip(x, labels):
        assert begin.evidence.labels[(begin.x == row).all(1)].item() == label
    told = sum(nll(net, v, y) for v, y in zip(x, labels)) / 7
    others = [i for i in range(5) if not b.evidence.trusted[i]]
    rest = sum(nll(net, b.x[i], b.evidence.labels[i]) for i in others) / len(others)
    assert len(others) == 3
    loss, changed = method.objective(net, b)
    assert loss.item() == pytest.approx(weight * told + (1 - weight) * rest) and changed == {}


def test_batches_are_drawn_evenly():
    method, begin = TrustedCrossEntropy(trusted_batch=3000), start(trusted=3)
    x, _ = method.trusted(batch_of(method, begin, torch.tensor([0])))
    counts = [int((x == row).all(1).sum()) for row in begin.x[begin.evidence.trusted]]
    assert sum(counts) == 3000 and min(counts) > 900


class Oracle:
    """A first stage that answers with known probabilities."""

    def __init__(self, probs):
        self.probs = probs

    def predict_one(self, x):
        return self.probs.log()[: len(x)]


def test_the_matrix_is_the_mean_prediction_per_class():
    begin = start(n=12, trusted=6)  # trusted: positions 1, 3, 5, ... of classes 1, 3, 1, 3, 1, 3
    probs = torch.rand(6, K, generator=torch.Generator().manual_seed(1), dtype=D).softmax(1)
    t = GoldLossCorrection(Oracle(probs)).setup(begin)["transition"]
    torch.testing.assert_close(t[1], probs[0::2].mean(0))
    torch.testing.assert_close(t[3], probs[1::2].mean(0))
    assert torch.equal(t[[0, 2]], torch.eye(K, dtype=D)[[0, 2]])  # nobody of these classes is trusted


def test_the_loss_is_forward_correction_on_the_rest_and_cross_entropy_on_the_trusted():
    begin, net = start(n=12, trusted=6), network()
    probs = torch.rand(6, K, generator=torch.Generator().manual_seed(1), dtype=D).softmax(1)
    method, index = GoldLossCorrection(Oracle(probs)), torch.arange(6)
    state = method.setup(begin)
    loss, _ = method.objective(net, Batch(begin.x[index], begin.evidence[index], index, torch.tensor(0.0), state, {}))
    t, total = state["transition"], 0.0
    for i in range(6):
        p, y = net(begin.x[i : i + 1]).softmax(-1)[0], int(begin.evidence.labels[i])
        right = p[y] if i % 2 else sum(p[c] * t[c, y] for c in range(K))
        total -= math.log(right.item())
    assert loss.item() == pytest.approx(total / 6)


def test_the_measured_matrix_is_near_the_true_one():
    data = lk.load("gaussians", n=1200, classes=3, separation=5.0)
    noise = Trusted(PairFlip(0.3), share=0.2, balanced=True)
    options = dict(seeds=2, **{**QUICK, "epochs": 10})
    first = lk.fit(data, noise, methods=TrustedCrossEntropy(weight=0.0), **options)
    runs = lk.fit(data, noise, methods=GoldLossCorrection(first), **options)
    assert (runs.measure("accuracy")["value"] > 0.95).all()
    index = runs[0].index["train"]
    evidence = noise(Labels(data.y[index], 3), data.x[index], lk.streams.generator(0, "annotation", 0))
    begin = Start(data.x[index], evidence, 3, 0, np.random.default_rng(0), index)
    t = GoldLossCorrection(first.where(seed=0)).setup(begin)["transition"]
    assert (t - PairFlip(0.3).transition(3)).abs().max() < 0.1


@pytest.mark.parametrize("which", ["cross entropy", "gold"])
def test_alone_and_in_a_fleet_the_numbers_are_equal(small, which):
    noise = Trusted(Symmetric(lk.sweep(0.2, 0.5)), share=0.1, balanced=True)
    options = dict(dtype="float64", **QUICK)
    method = TrustedCrossEntropy(weight=0.3)
    if which == "gold":
        fixed = Trusted(Symmetric(0.5), share=0.1, balanced=True)
        noise, method = fixed, GoldLossCorrection(lk.fit(small, fixed, methods=method, seeds=3, **options))
    together = lk.fit(small, noise, methods=method, seeds=3, lanes=8, **options).where(seed=1)
    if which == "gold":
        method = GoldLossCorrection(method.warmup.where(seed=1))
    alone = lk.fit(small, noise, methods=method, seeds=[1], lanes=1, **options)
    torch.testing.assert_close(together.logits(), alone.logits(), rtol=1e-11, atol=1e-11)


def test_what_they_refuse(small):
    with pytest.raises(ValueError, match="no label is trusted"):
        lk.fit(small, Trusted(share=0.0), methods=TrustedCrossEntropy(), seeds=1, **QUICK)
    with pytest.raises(TypeError, match="learns from TrustedLabels, but the annotator gives Labels"):
        lk.fit(small, Symmetric(0.1), methods=TrustedCrossEntropy(), seeds=1, **QUICK)
    with pytest.raises(ValueError, match=r"TrustedCrossEntropy\(weight=0\)"):
        GoldLossCorrection().setup(start())
