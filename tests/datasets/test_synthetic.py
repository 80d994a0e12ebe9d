from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

import labkit.datasets as datasets


@pytest.mark.parametrize("options", [
    dict(), dict(covariance="per-class", priors=[0.5, 0.3, 0.2]), dict(classes=2, dimensions=1, covariance="per-class"),
    dict(classes=4, dimensions=5, covariance="per-class", separation=0.5)])
def test_posterior_against_bayes_rule_in_plain_probabilities(options):
    data = datasets.load("gaussians", n=40, **options)
    truth = datasets.gaussian_mixture(**options)
    joint = np.array([[float(truth.priors[k]) * multivariate_normal.pdf(x, truth.means[k], truth.covariances[k])
                       for k in range(data.n_classes)] for x in data.x.double().numpy()])
    np.testing.assert_allclose(data.posterior, joint / joint.sum(1, keepdims=True), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(truth.log_joint(data.x), np.log(joint), rtol=1e-9)


def test_posterior_is_calibrated_on_many_draws():
    data = datasets.load("gaussians", n=60_000, separation=1.0, priors=[0.6, 0.3, 0.1])
    for k, low in ((0, 0.2), (0, 0.6), (2, 0.1)):
        inside = (data.posterior[:, k] > low) & (data.posterior[:, k] < low + 0.1)
        rate, promised, n = (data.y[inside] == k).double().mean(), data.posterior[inside, k].mean(), int(inside.sum())
        assert n > 500 and abs(float(rate - promised)) < 4 * 0.5 / n**0.5


def test_draws_have_the_stated_moments():
    truth = datasets.gaussian_mixture(classes=3, dimensions=2, covariance="per-class", priors=[0.2, 0.3, 0.5])
    x, y = truth.sample(60_000, seed=2)
    np.testing.assert_allclose(torch.bincount(y) / 60_000, truth.priors, atol=0.01)
    for k in range(3):
        np.testing.assert_allclose(x[y == k].mean(0), truth.means[k], atol=0.06)
        np.testing.assert_allclose(np.cov(x[y == k].numpy().T), truth.covariances[k], atol=0.08)


@pytest.mark.parametrize("classes, dimensions", [(2, 1), (5, 1), (2, 2), (5, 2), (4, 6)])
def test_neighbouring_means_are_the_separation_apart(classes, dimensions):
    means = datasets.gaussian_mixture(classes, dimensions, separation=1.7).means
    np.testing.assert_allclose((means[1:] - means[:-1]).norm(dim=1), 1.7, rtol=1e-12)
    np.testing.assert_allclose(means.mean(0), 0, atol=1e-12)


def test_seed_moves_draws_and_never_the_truth():
    one, two, again = (datasets.load("gaussians", n=50, seed=s) for s in (0, 1, 0))
    assert one.fingerprint == again.fingerprint != two.fingerprint
    assert one.posterior.dtype == torch.float64 and one.x.dtype == torch.float32 and one.shape == (2,)


def test_far_away_points_stay_finite():
    truth = datasets.gaussian_mixture(covariance="per-class")
    p = truth.posterior(torch.tensor([[1e4, -1e4], [1e6, 1e6], [0.0, 0.0]]))
    assert torch.isfinite(p).all() and torch.allclose(p.sum(1), torch.ones(3, dtype=torch.float64))


def test_own_means_and_covariance():
    data = datasets.load("gaussians", n=30, means=[[0, 0, 0], [9, 9, 9]], covariance=np.diag([1, 2, 3]))
    assert data.shape == (3,) and data.n_classes == 2
    assert torch.equal(data.posterior.argmax(1), data.y)  # 9 apart in every coordinate: no overlap left


@pytest.mark.parametrize("options, message", [
    (dict(classes=1), "classes >= 2"), (dict(dimensions=0), "dimensions >= 1"),
    (dict(separation=float("nan")), "finite"),
    (dict(priors=[0.5, 0.5]), r"priors of shape \(3,\)"), (dict(priors=[0.5, 0.5, 0.5]), "sum to 1"),
    (dict(priors=[1.0, 0.0, 0.0]), "positive"), (dict(covariance="full"), "'shared', 'per-class' or an array"),
    (dict(covariance=np.eye(3)), "covariances of shape"), (dict(covariance=[[1, 2], [2, 1]]), "positive definite"),
    (dict(covariance=[[1, 0.5], [0, 1]]), "symmetric"), (dict(means=[0, 1]), "means must have shape"),
    (dict(n=0), "n must be at least 1")])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        datasets.load("gaussians", **options)
