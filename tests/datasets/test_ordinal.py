from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.datasets import load_diabetes

import labkit.datasets as datasets


def test_diabetes_levels_are_quantiles_of_the_target():
    data, target = datasets.load("diabetes_levels"), load_diabetes().target
    assert tuple(data.x.shape) == (442, 10) and data.n_classes == 5 and data.test is None
    counts = torch.bincount(data.y)
    assert counts.min() >= 84 and counts.max() <= 92
    for k in range(4):  # levels do not overlap and go upwards
        assert target[data.y == k].max() <= target[data.y == k + 1].min()
    np.testing.assert_allclose(data.x.mean(0), 0, atol=1e-5)
    assert datasets.load("diabetes_levels", levels=3).n_classes == 3


def test_ordinal_posterior_is_bayes_rule_by_integration():
    data = datasets.load("ordinal", n=20, levels=4, dimensions=3, noise=0.7)
    cuts = norm.ppf([0.25, 0.5, 0.75]) * np.hypot(1, 0.7)
    fine = np.linspace(-8, 8, 160_001)
    for x, p in zip(data.x.double().numpy(), data.posterior.numpy()):
        density = norm.pdf(fine, x.sum() / np.sqrt(3), 0.7)
        level = np.searchsorted(cuts, fine)
        mass = np.array([density[level == k].sum() for k in range(4)]) * (fine[1] - fine[0])
        np.testing.assert_allclose(p, mass, atol=1e-3)


def test_ordinal_posterior_is_calibrated_and_levels_are_even():
    data = datasets.load("ordinal", n=40_000, dimensions=4)
    assert (torch.bincount(data.y) / data.n).sub(0.2).abs().max() < 0.01
    for k in range(5):
        inside = (data.posterior[:, k] > 0.15) & (data.posterior[:, k] < 0.25)
        rate, promised, n = (data.y[inside] == k).double().mean(), data.posterior[inside, k].mean(), int(inside.sum())
        assert n > 500 and abs(float(rate - promised)) < 4 * 0.5 / n**0.5


def test_seed_moves_draws_only_and_bad_options_say_so():
    a, b, again = (datasets.load("ordinal", n=50, seed=s) for s in (0, 1, 0))
    assert a.fingerprint == again.fingerprint != b.fingerprint
    for options in (dict(n=0), dict(levels=1), dict(noise=0.0), dict(noise=float("inf")), dict(dimensions=0)):
        with pytest.raises(ValueError, match="expected n >= 1"):
            datasets.load("ordinal", **options)
    with pytest.raises(ValueError, match="2 to 50 levels"):
        datasets.load("diabetes_levels", levels=1)
