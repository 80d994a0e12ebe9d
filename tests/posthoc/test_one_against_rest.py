"""Maps of single probabilities: peers and slow twins, ties, empty bins, imperfect evidence."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import betaln, expit
from sklearn.calibration import _sigmoid_calibration
from sklearn.isotonic import isotonic_regression

from labkit.evidence import Candidates, Labels
from labkit.metrics import brier, nll
from labkit.posthoc import BBQ, BetaCalibration, HistogramBinning, IsotonicCalibration, PlattScaling
from labkit.posthoc.one_against_rest import bin_edges, log_odds

MAPS = [PlattScaling(), BetaCalibration(), HistogramBinning(10), IsotonicCalibration(), BBQ()]


def scores(n=400, seed=0, power=2.0):
    """Probabilities that are too extreme, and answers."""
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.02, 0.98, n)
    t = (rng.random(n) < p).astype(float)
    return expit(power * log_odds(p)), t


def test_platt_equals_scikit_learn():
    p, t = scores()
    a, b = PlattScaling().fit_one(p, t)
    minus_a, minus_b = _sigmoid_calibration(log_odds(p), t)  # sigma(-(a s + b)) there
    np.testing.assert_allclose([a, b], [-minus_a, -minus_b], rtol=1e-3, atol=1e-4)


def test_beta_calibration_knows_the_identity_and_keeps_its_constraint():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.01, 0.99, 60_000)
    fitted = BetaCalibration().fit_one(p, p)  # targets equal to the scores
    np.testing.assert_allclose(fitted, [1, 1, 0], atol=1e-4)
    falling = BetaCalibration().fit_one(p, 1 - p)
    assert (falling[:2] >= 0).all()
    np.testing.assert_allclose(falling, [0, 0, log_odds((1 - p).mean())], atol=1e-5)  # nothing that rises helps


def test_isotonic_pools_ties_and_keeps_the_mean():
    p = np.array([0.1, 0.4, 0.4, 0.7, 0.9])
    t = np.array([0.0, 1.0, 0.0, 0.0, 1.0])
    fitted = IsotonicCalibration().fit_one(p, t)
    q = IsotonicCalibration().apply_one(fitted, p)
    np.testing.assert_allclose(q, [0, 1 / 3, 1 / 3, 1 / 3, 1])
    assert q.mean() == pytest.approx(t.mean())
    p, t = scores()
    order = p.argsort()
    q = IsotonicCalibration().apply_one(IsotonicCalibration().fit_one(p, t), p)
    np.testing.assert_allclose(q[order], isotonic_regression(t[order]), atol=1e-6)


def test_histogram_bins_hold_means_and_empty_ones_their_middle():
    p, t = np.array([0.05, 0.15, 0.11, 0.95]), np.array([1.0, 0.0, 1.0, 1.0])
    edges, value = HistogramBinning(10, "width").fit_one(p, t)
    np.testing.assert_allclose(value, [1.0, 0.5, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 1.0])
    edges, value = HistogramBinning(2).fit_one(p, t)
    np.testing.assert_allclose(edges, [0.13])
    np.testing.assert_allclose(value, [1.0, 0.5])


def test_equal_scores_share_a_bin():
    p = np.array([0.2] * 5 + [0.6] * 2 + [0.9])
    assert bin_edges(p, 4, "mass").tolist() == pytest.approx([0.4, 0.75])
    assert len(bin_edges(np.full(9, 0.3), 4, "mass")) == 0


def test_bbq_equals_its_formula():
    p, t = scores(60)
    fitted = BBQ().fit_one(p, t)
    root = 60 ** (1 / 3)
    logs, means = [], []
    seen = set()
    for bins in range(max(1, int(root / 10)), math.ceil(10 * root) + 1):
        edges = bin_edges(p, bins, "mass")
        if tuple(edges) in seen:
            continue
        seen.add(tuple(edges))
        place, total, mean = np.searchsorted(edges, p), 0.0, []
        for b in range(len(edges) + 1):
            low, high = ([0.0, *edges])[b], ([*edges, 1.0])[b]
            middle = (low + high) / 2
            alpha, beta = 2 / (len(edges) + 1) * middle, 2 / (len(edges) + 1) * (1 - middle)
            yes, n = t[place == b].sum(), (place == b).sum()
            total += betaln(yes + alpha, n - yes + beta) - betaln(alpha, beta)
            mean.append((yes + alpha) / (n + alpha + beta))
        logs.append(total)
        means.append(np.array(mean)[np.searchsorted(edges, [0.1, 0.5, 0.97])])
    weight = np.exp(np.array(logs) - max(logs))
    expected = (weight / weight.sum()) @ np.array(means)
    np.testing.assert_allclose(BBQ().apply_one(fitted, np.array([0.1, 0.5, 0.97])), expected, rtol=1e-9)


@pytest.mark.parametrize("fit", MAPS, ids=lambda m: type(m).__name__)
def test_it_repairs_overconfident_logits(fit):
    rng = np.random.default_rng(0)
    z = torch.from_numpy(rng.normal(size=(6000, 4)))
    labels = torch.tensor([rng.choice(4, p=row) for row in z.softmax(-1).numpy()])
    log_p = fit.fit(3 * z[:3000], labels[:3000])(3 * z[3000:])
    torch.testing.assert_close(log_p.exp().sum(-1), torch.ones(3000).double(), atol=1e-9, rtol=0)
    assert nll(log_p, labels[3000:]) < nll(3 * z[3000:], labels[3000:]) - 0.2


@pytest.mark.parametrize(
    "fit", [PlattScaling(), HistogramBinning(8), IsotonicCalibration()], ids=lambda m: type(m).__name__
)
def test_known_noise_is_taken_out(fit):
    rng = np.random.default_rng(0)
    z = torch.from_numpy(rng.normal(size=(12_000, 3)))
    labels = torch.tensor([rng.choice(3, p=row) for row in z.softmax(-1).numpy()])
    noise = torch.full((3, 3), 0.2, dtype=torch.float64) + 0.4 * torch.eye(3)
    said = torch.tensor([rng.choice(3, p=noise[c].numpy()) for c in labels])
    clean, naive, corrected = (
        brier(fit.fit(3 * z[:6000], e)(3 * z[6000:]), labels[6000:])
        for e in (labels[:6000], said[:6000], Labels(said[:6000], 3, noise))
    )
    assert corrected - clean < 0.3 * (naive - clean)


def test_bins_of_certain_scores_and_all_maps_saying_no():
    z = torch.tensor([[1e4, 0.0, 0.0], [0.0, 1e4, 0.0], [0.0, 0.0, 1e4]] * 5).double()
    labels = torch.tensor([0, 1, 2] * 5)
    for fit in MAPS:
        assert fit.fit(z, labels)(z).isfinite().all()
    wrong = IsotonicCalibration().fit(z, (labels + 1) % 3)
    torch.testing.assert_close(wrong(torch.zeros(1, 3)).exp().sum(), torch.tensor(1.0).double())


def test_what_it_refuses():
    z = torch.zeros(4, 3)
    with pytest.raises(TypeError, match="unbiased targets need"):
        PlattScaling().fit(z, Candidates(torch.ones(4, 3, dtype=torch.bool)))
    with pytest.raises(TypeError, match="counts labels"):
        BBQ().fit(torch.randn(4, 2), Labels([0, 1, 1, 0], 2, torch.tensor([[0.8, 0.2], [0.2, 0.8]])))
    with pytest.raises(ValueError, match="one run"):
        PlattScaling().fit(torch.zeros(2, 4, 3), torch.zeros(4).long())
    with pytest.raises(ValueError, match="binning"):
        HistogramBinning(3, "weight").fit(z, torch.tensor([0, 1, 2, 0]))
