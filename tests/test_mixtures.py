"""Mixtures of losses: against scikit-learn, scipy and slow twins; in a fleet as alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.mixture import GaussianMixture

from labkit import mixtures


def losses(n: int = 600, wrong: float = 0.4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    noisy = rng.random(n) < wrong
    values = np.where(noisy, rng.gamma(9.0, 0.4, n), rng.gamma(1.5, 0.2, n))
    return torch.from_numpy(values), torch.from_numpy(noisy)


@pytest.mark.parametrize("seed", range(5))
def test_gaussian_mixture_equals_scikit_learn(seed):
    values = losses(seed=seed)[0]
    x = (values - values.min()) / (values.max() - values.min())
    peer = GaussianMixture(2, reg_covar=5e-4, max_iter=2000, tol=1e-13, random_state=seed).fit(x[:, None].numpy())
    order = peer.means_[:, 0].argsort()
    mean, variance, weight = mixtures.fit_gaussian_mixture(x, rounds=500)
    np.testing.assert_allclose(mean, peer.means_[order, 0], atol=1e-6)
    np.testing.assert_allclose(variance, peer.covariances_[order, 0, 0], atol=1e-6)
    np.testing.assert_allclose(weight, peer.weights_[order], atol=1e-6)
    clean = peer.predict_proba(x[:, None].numpy())[:, order[0]]
    np.testing.assert_allclose(mixtures.gaussian_posterior(values, rounds=500), clean, atol=1e-5)


def test_beta_density_is_scipys():
    x = torch.linspace(0.01, 0.99, 30).double()
    a, b = torch.tensor([0.7, 3.0]).double(), torch.tensor([2.0, 0.4]).double()
    ours = mixtures.beta_log_density(x, a, b)
    for c in range(2):
        np.testing.assert_allclose(ours[c], stats.beta(a[c], b[c]).logpdf(x), atol=1e-12)


def beta_twin(x, rounds=10):
    """The rounds of EM, written out with floats and scipy."""
    a, b, w = [1.0, 2.0], [2.0, 1.0], [0.5, 0.5]
    x = np.clip(x, 1e-4, 1 - 1e-4)
    for _ in range(rounds):
        density = np.array([w[c] * stats.beta(a[c], b[c]).pdf(x) for c in range(2)])
        share = density / density.sum(0)
        for c in range(2):
            mean = np.average(x, weights=share[c])
            variance = np.average((x - mean) ** 2, weights=share[c])
            a[c] = mean * (mean * (1 - mean) / variance - 1)
            b[c] = a[c] * (1 - mean) / mean
            w[c] = share[c].mean()
    return a, b, w


def test_beta_mixture_equals_its_slow_twin():
    values = losses()[0]
    x = (values / values.max()).clamp(0.001, 0.999)
    for ours, theirs in zip(mixtures.fit_beta_mixture(x), beta_twin(x.numpy())):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_beta_posterior_equals_its_slow_twin():
    values = losses()[0].numpy()
    low, high = np.percentile(values, [5, 95])
    scale = lambda v: np.clip((v - (low + 1e-5)) / (high - low + 1e-6), 0.001, 0.999)
    a, b, w = beta_twin(scale(values[(values >= low) & (values <= high)]))
    places = np.clip(np.linspace(0, 1, 100), 1e-4, 1 - 1e-4)
    density = np.array([w[c] * stats.beta(a[c], b[c]).pdf(places) for c in range(2)])
    table = (density / density.sum(0))[1]
    table[table.argmax() :] = table.max()
    expected = table[np.minimum((100 * scale(values)).astype(int), 99)]
    np.testing.assert_allclose(mixtures.beta_posterior(torch.from_numpy(values)), expected, atol=1e-9)


@pytest.mark.parametrize("posterior, sign", [(mixtures.beta_posterior, 1), (mixtures.gaussian_posterior, -1)])
def test_posteriors_find_the_wrong_labels_and_are_probabilities(posterior, sign):
    values, noisy = losses()
    p = posterior(values)
    assert p.shape == values.shape and ((p >= 0) & (p <= 1)).all()
    flagged = p > 0.5 if sign > 0 else p < 0.5
    assert (flagged == noisy).double().mean() > 0.9


def test_the_beta_posterior_never_falls_with_the_loss():
    """Wrong labels with losses alike, right ones whose losses go beyond: the densities' ratio falls again there."""
    rng = np.random.default_rng(0)
    values = torch.from_numpy(np.concatenate([rng.beta(0.5, 1.0, 600), rng.normal(0.6, 0.03, 300)])).sort().values
    p = mixtures.beta_posterior(values)
    tail = p[p.argmax() :]
    assert len(tail) > 50 and (tail == tail[0]).all()


@pytest.mark.parametrize("posterior", [mixtures.beta_posterior, mixtures.gaussian_posterior])
def test_in_a_fleet_as_alone_and_finite_where_all_losses_are_equal(posterior):
    rows = torch.stack([losses(seed=s)[0] for s in range(3)] + [torch.full((600,), 2.3).double()])
    together = torch.func.vmap(posterior)(rows)
    for row, p in zip(rows, together):
        torch.testing.assert_close(p, posterior(row), rtol=1e-10, atol=1e-12)
    assert together.isfinite().all()
