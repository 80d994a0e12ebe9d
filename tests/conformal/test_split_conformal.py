"""Split conformal sets: slow twins, MAPIE, exact laws of coverage, noisy calibration labels by enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from mapie.classification import SplitConformalClassifier
from mapie.conformity_scores import APSConformityScore
from scipy.stats import binom, kstest
from sklearn.base import BaseEstimator, ClassifierMixin

from labkit.conformal import aps, coverage, coverage_law, noisy_threshold, of_labels, raps, thr, threshold
from labkit.evidence import Labels
from labkit.posthoc import unbiased_targets


def drawn(n, k=5, seed=0):
    """Logits and labels drawn from them, float64."""
    g = torch.Generator().manual_seed(seed)
    z = 1.5 * torch.randn(n, k, generator=g, dtype=torch.float64)
    return z, torch.multinomial(z.softmax(-1), 1, generator=g)[:, 0]


def test_scores_equal_their_slow_twins_with_ties():
    p = torch.tensor([[0.4, 0.2, 0.2, 0.15, 0.05], [0.2] * 5], dtype=torch.float64)
    u = torch.tensor([0.25, 0.5], dtype=torch.float64)
    for row, (own, v) in enumerate(zip(p.tolist(), u.tolist())):
        for k in range(5):
            more = [q for q in own if q > own[k] + 1e-12]
            expected = sum(more) + v * own[k]
            assert aps(p.log(), u)[row, k] == pytest.approx(expected)
            rank = len(more) + 1
            assert raps(p.log(), u, 0.3, 2)[row, k] == pytest.approx(expected + 0.3 * max(rank - 2, 0))
            assert thr(p.log())[row, k] == pytest.approx(1 - own[k])
    assert torch.equal(raps(p.log(), u, 0.0), aps(p.log(), u))


def test_the_threshold_is_an_order_statistic_and_infinite_where_data_are_few():
    scores = torch.tensor([0.3, 0.1, 0.2, 0.5, 0.4, 0.9, 0.8, 0.7, 0.6])
    assert threshold(scores, 0.1) == pytest.approx(0.9)  # 10 x 0.9 = 9, not 9.000000001
    assert threshold(scores, 0.5) == pytest.approx(0.5)
    assert threshold(scores, 0.05) == math.inf
    together = threshold(torch.stack([scores, 2 * scores]), 0.3)
    assert together.tolist() == pytest.approx([0.7, 1.4])


class Given(ClassifierMixin, BaseEstimator):
    """A classifier whose inputs are its probabilities."""

    def fit(self, x, y=None):
        self.classes_ = np.arange(x.shape[1])
        self.is_fitted_ = True
        return self

    def predict_proba(self, x):
        return x

    def predict(self, x):
        return x.argmax(1)


def mapies(score, z, labels, calibration, **how):
    p = z.softmax(-1).numpy()
    peer = SplitConformalClassifier(Given().fit(p), confidence_level=0.85, conformity_score=score, random_state=0)
    peer.conformalize(p[:calibration], labels[:calibration].numpy())
    return torch.from_numpy(peer.predict_set(p[calibration:], **how)[1][:, :, 0])


def test_sets_equal_mapies():
    z, labels = drawn(400)
    q = threshold(of_labels(thr(z[:200]), labels[:200]), 0.15)
    assert torch.equal(mapies("lac", z, labels, 200), thr(z[200:]) <= q)


def test_adaptive_sets_are_as_large_as_mapies():
    """Set by set they cannot be equal: MAPIE draws its own random numbers."""
    z, labels = drawn(8000)
    u = torch.rand(8000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ours = aps(z[4000:], u[4000:]) <= threshold(of_labels(aps(z[:4000], u[:4000]), labels[:4000]), 0.15)
    how = {"conformity_score_params": {"include_last_label": "randomized"}}
    theirs = mapies(APSConformityScore(), z, labels, 4000, **how)
    assert ours.double().sum(-1).mean().item() == pytest.approx(theirs.double().sum(-1).mean().item(), rel=0.02)
    assert abs(coverage(ours, labels[4000:]) - coverage(theirs, labels[4000:])) < 0.01


def test_over_a_thousand_repetitions_coverage_is_within_exact_bounds():
    """One new example each time: hits are binomial with the share k / (n + 1) exactly, for every score."""
    n, repeats = 39, 1000
    z, labels = drawn(repeats * (n + 1))
    u = torch.rand(len(z), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for score in (thr(z), aps(z, u), raps(z, u)):
        own = of_labels(score, labels).view(repeats, n + 1)
        hits = int((own[:, -1] <= threshold(own[:, :-1], 0.1)).sum())
        low, high = binom(repeats, 36 / 40).ppf([0.0005, 0.9995])  # k = ceil(40 x 0.9) = 36
        assert low <= hits <= high


def test_the_coverage_of_one_calibration_set_is_beta():
    n, repeats = 50, 1000
    uniform = torch.rand(repeats, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exact = threshold(uniform, 0.1)  # of uniform scores the coverage of q is q
    assert kstest(exact.numpy(), coverage_law(n, 0.1).cdf).pvalue > 0.01
    assert coverage_law(n, 0.1).mean() == pytest.approx(46 / 51)
    plain = torch.quantile(uniform, 0.9, dim=1)  # without n + 1, as in public code: too little
    assert plain.mean() < 0.9 < exact.mean()


def test_noisy_threshold_with_clean_targets_is_the_threshold():
    z, labels = drawn(300)
    for score in (thr(z), aps(z), torch.round(aps(z), decimals=1)):  # ties too
        q = noisy_threshold(score, unbiased_targets(labels, 5), 0.1)
        assert q == threshold(of_labels(score, labels), 0.1)
    assert noisy_threshold(thr(z[:4]), unbiased_targets(labels[:4], 5), 0.1) == math.inf


def test_the_corrected_share_is_unbiased_by_enumeration():
    noise = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.0, 0.7]], dtype=torch.float64)
    z, truth = drawn(3, 3)
    said = torch.tensor(list(itertools.product(range(3), repeat=3)))
    weight = noise[truth, said].prod(-1)
    below = (thr(z) <= 0.6).double()
    shares = torch.stack([(unbiased_targets(Labels(row, 3, noise)) * below).sum(-1).mean() for row in said])
    assert (weight * shares).sum() == pytest.approx(below[torch.arange(3), truth].mean().item(), abs=1e-12)


def test_uniform_noise_over_covers_and_the_correction_repairs_it():
    z, labels = drawn(40_000, 10)
    noise = torch.full((10, 10), 0.04, dtype=torch.float64) + 0.6 * torch.eye(10, dtype=torch.float64)
    g = torch.Generator().manual_seed(3)
    said = torch.multinomial(noise[labels], 1, generator=g)[:, 0]
    cal, test = slice(0, 20_000), slice(20_000, None)
    score = thr(z)
    naive = threshold(of_labels(score[cal], said[cal]), 0.1)
    corrected = noisy_threshold(score[cal], unbiased_targets(Labels(said[cal], 10, noise)), 0.1)
    covered = [coverage(score[test] <= q, labels[test]) for q in (naive, corrected)]
    assert covered[0] > 0.95 and abs(covered[1] - 0.9) < 0.02


@pytest.mark.parametrize("miscoverage", [0.0, 1.0, -0.1, math.nan])
def test_a_miscoverage_must_be_a_share(miscoverage):
    with pytest.raises(ValueError, match="miscoverage is a share"):
        threshold(torch.rand(5), miscoverage)


def test_what_it_refuses():
    with pytest.raises(ValueError, match="u holds numbers"):
        aps(torch.zeros(2, 3), torch.tensor([0.5, 1.5]))
    with pytest.raises(ValueError, match="too few"):
        coverage_law(5, 0.1)
    with pytest.raises(ValueError, match="not negative"):
        raps(torch.zeros(2, 3), weight=-1.0)
    with pytest.raises(ValueError, match="labels must lie"):
        of_labels(torch.zeros(2, 3), torch.tensor([0, 3]))
