"""Regional adversarial training: each setting is its formula, and a run in a fleet is the run alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import labkit as lk
from labkit.attacks import pgd
from labkit.evidence import Labels
from labkit.methods import RegionalAdversarial
from labkit.methods.base import Batch

B, D, K = 7, 5, 3


def net(x):
    w = torch.sin(torch.arange(D * K, dtype=torch.float64)).reshape(D, K)
    return torch.tanh(2 * x) @ w


def batch_of(method):
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(B, D, generator=g, dtype=torch.float64), torch.arange(B) % K
    draws = {"weights": torch.from_numpy(method.draw(np.random.default_rng(0), 1, B)["weights"][0])}
    return Batch(x, Labels(y, K), torch.arange(B), torch.tensor(0.0), {}, draws)


def slow(method, batch):
    """Loops over examples, path points and classes."""
    x, y = batch.x, batch.evidence.labels
    path = pgd(net, x, y, method.eps, method.steps)
    total = 0.0
    for i in range(B):
        if method.region:
            point = sum(float(batch.draws["weights"][i, j]) * path[j, i] for j in range(method.steps + 1))
        else:
            point = path[-1, i]
        far = max(abs(float(a)) for a in point - x[i]) / method.eps if method.distance else 1.0
        e = method.smoothing * far
        log_p = net(point[None])[0].log_softmax(-1)
        total -= sum((1 - e if k == y[i] else e / (K - 1)) * float(log_p[k]) for k in range(K))
    return total / B


@pytest.mark.parametrize("region", [False, True])
@pytest.mark.parametrize("distance", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_every_setting_is_its_formula(region, distance, smoothing):
    method = RegionalAdversarial(0.2, 4, smoothing, region=region, distance=distance)
    batch = batch_of(method)
    assert float(method.objective(net, batch)[0]) == pytest.approx(slow(method, batch), rel=1e-12)


def test_reductions():
    batch = batch_of(RegionalAdversarial())
    y = batch.evidence.labels
    end = pgd(net, batch.x, y, 0.2, 5)[-1]
    plain = RegionalAdversarial(0.2, 5, 0.0, region=False).objective(net, batch)[0]
    torch.testing.assert_close(plain, F.cross_entropy(net(end), y))
    # the published convention with e is torch's with a = e K / (K - 1)
    uniform = RegionalAdversarial(0.2, 5, 0.2, region=False, distance=False).objective(net, batch)[0]
    torch.testing.assert_close(uniform, F.cross_entropy(net(end), y, label_smoothing=0.3))
    tiny = RegionalAdversarial(1e-9, 5, 0.0).objective(net, batch)[0]
    torch.testing.assert_close(tiny, F.cross_entropy(net(batch.x), y))


def test_a_point_of_the_region_is_nearer_than_the_end_and_takes_a_harder_label():
    method = RegionalAdversarial(0.2, 5, 0.3)
    weights = method.draw(np.random.default_rng(0), 3, 1000)["weights"]
    np.testing.assert_allclose(weights.sum(-1), 1.0)
    np.testing.assert_allclose(weights.mean((0, 1)), 1 / 6, atol=0.01)
    near = RegionalAdversarial(concentration=0.1).draw(np.random.default_rng(0), 3, 1000)["weights"]
    assert np.median(near.max(-1)) > 0.7 > 0.5 > np.median(weights.max(-1))
    batch = batch_of(method)
    batch.draws["weights"] = torch.zeros(B, 6, dtype=torch.float64)
    batch.draws["weights"][:, 0] = 1.0  # the clean input: no smoothing
    torch.testing.assert_close(method.objective(net, batch)[0], F.cross_entropy(net(batch.x), batch.evidence.labels))


@pytest.mark.parametrize("method", [
    RegionalAdversarial(eps=lk.sweep(0.1, 0.3), steps=2), RegionalAdversarial(smoothing=lk.sweep(0.0, 0.2), steps=2),
    RegionalAdversarial(steps=2, region=False, distance=False)])  # fmt: skip
def test_alone_and_in_a_fleet_alike(method, small):
    options = dict(methods=method, epochs=2, dtype="float64", batch_size=32, compile=False, progress=False)
    together, alone = lk.fit(small, seeds=3, lanes=8, **options), lk.fit(small, seeds=[1], lanes=1, **options)
    for a, b in zip(together.where(seed=1), alone):
        assert a.values == b.values and not a.diverged
        for name, value in a.params.items():
            torch.testing.assert_close(value, b.params[name], rtol=1e-11, atol=1e-11)
