"""Relative signal strength against its definition, and its promise against every classifier there is."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

import labkit as lk
from labkit.annotate import InstanceDependent, MarginBased, PairFlip, Symmetric
from labkit.theory import signal_strength as ss


def world(seed, points=4, k=3, sharp=1.0):
    """Random clean posteriors, a random matrix at each point, weights."""
    rng = np.random.default_rng(seed)
    eta = torch.from_numpy(rng.dirichlet(np.full(k, sharp), points))
    matrices = torch.from_numpy(rng.dirichlet(np.full(k, sharp), (points, k)))
    return eta, ss.noisy_posterior(eta, matrices), matrices, torch.from_numpy(rng.dirichlet(np.ones(points)))


def slow_strength(clean, noisy):
    ratios = []
    for j in range(len(clean)):
        above, below = max(noisy) - noisy[j], max(clean) - clean[j]
        ratios.append(math.inf if below == 0 else above / below)
    return min(ratios)


@pytest.mark.parametrize("seed", range(20))
def test_strength_and_noisy_posterior_are_their_definitions(seed):
    eta, noisy, matrices, _ = world(seed, sharp=0.5)
    for i in range(len(eta)):
        row = [sum(eta[i, c] * matrices[i, c, l] for c in range(3)) for l in range(3)]
        np.testing.assert_allclose(noisy[i], row)
    slow = [slow_strength(a, b) for a, b in zip(eta.tolist(), noisy.tolist())]
    np.testing.assert_allclose(ss.signal_strength(eta, noisy), slow)
    assert (ss.signal_strength(eta, noisy) >= 0).all()
    moved = ~torch.stack([torch.isin(b.argmax(), torch.nonzero(a == a.max())) for a, b in zip(eta, noisy)])
    assert torch.equal(ss.signal_strength(eta, noisy) == 0, moved)  # zero exactly where the likeliest class moved


def test_ties_are_infinite_and_cost_nothing():
    even = torch.full((1, 3), 1 / 3)
    assert ss.signal_strength(even, torch.tensor([[0.2, 0.5, 0.3]])) == math.inf  # c / 0 and 0 / 0
    two = torch.tensor([[0.4, 0.4, 0.2]])
    assert ss.signal_strength(two, torch.tensor([[0.6, 0.1, 0.3]])) == pytest.approx(1.5)  # only class 2 costs
    assert ss.bound(even, even, 0.7).best == 0


@pytest.mark.parametrize("k", [2, 3, 10])
@pytest.mark.parametrize("rate", [0.0, 0.2, 0.45])
def test_symmetric_noise_has_one_strength_everywhere(k, rate):
    eta = torch.from_numpy(np.random.default_rng(0).dirichlet(np.ones(k), 50))
    strength = ss.signal_strength(eta, ss.noisy_posterior(eta, Symmetric(rate).transition(k)))
    torch.testing.assert_close(strength, torch.full((50,), 1 - rate * k / (k - 1), dtype=torch.float64))
    assert ss.symmetric_strength(rate, k) == pytest.approx(1 - rate * k / (k - 1))


def test_the_majority_flips_where_it_should():
    eta = torch.eye(4, dtype=torch.float64)
    for annotator, edge in ((Symmetric, 0.75), (PairFlip, 0.5)):
        below, above = (
            ss.ignorant_floor(eta, ss.noisy_posterior(eta, annotator(edge + d).transition(4))) for d in (-0.01, 0.01)
        )
        assert below == (0.0, 0.0) and above == (1.0, 1.0)
    assert ss.symmetric_strength(0.8, 4) == 0


def test_strength_may_exceed_one():
    eta, noisy = torch.tensor([[0.55, 0.45]]), torch.tensor([[0.9, 0.1]])
    assert ss.signal_strength(eta, noisy) == pytest.approx(8.0)


@pytest.mark.parametrize("seed", range(12))
def test_the_promise_holds_for_every_classifier(seed):
    """All K^points classifiers; every level, and a grid of levels besides."""
    eta, noisy, _, weights = world(seed, sharp=[0.3, 1.0, 5.0][seed % 3])
    strength = ss.signal_strength(eta, noisy)
    for choice in itertools.product(range(3), repeat=4):
        predicted = torch.tensor(choice)
        slow = sum(float(w) * float(e.max() - e[c]) for w, e, c in zip(weights, eta, choice))
        clean, dirty = ss.excess_risk(eta, predicted, weights), ss.excess_risk(noisy, predicted, weights)
        assert float(clean) == pytest.approx(slow)
        assert ((noisy.amax(-1) - noisy[range(4), predicted]) >= strength.clamp_max(1e9)
                * (eta.amax(-1) - eta[range(4), predicted]) - 1e-9)[strength < math.inf].all()  # fmt: skip
        found = ss.bound(eta, noisy, float(dirty), weights)
        assert float(clean) <= found.best + 1e-12
        for k in np.geomspace(1e-3, 20, 60):
            total = sum(float(w) for w, m in zip(weights, strength) if m < k) + float(dirty) / k
            assert float(clean) <= total + 1e-12 and found.best <= total + 1e-12  # none of a grid is smaller


def test_under_symmetric_noise_the_promise_is_an_equation():
    eta, _, _, weights = world(3)
    noisy = ss.noisy_posterior(eta, Symmetric(0.4).transition(3))
    for choice in itertools.product(range(3), repeat=4):
        predicted = torch.tensor(choice)
        found = ss.bound(eta, noisy, float(ss.excess_risk(noisy, predicted, weights)), weights)
        assert found.best == pytest.approx(float(ss.excess_risk(eta, predicted, weights)))


def test_the_floor_is_what_endless_noisy_data_teach():
    for seed in range(10):
        eta, noisy, _, weights = world(seed, sharp=0.4)
        lost, weak = ss.ignorant_floor(eta, noisy, weights)
        best = min(
            (
                float(ss.excess_risk(noisy, torch.tensor(c), weights)),
                float(ss.excess_risk(eta, torch.tensor(c), weights)),
            )
            for c in itertools.product(range(3), repeat=4)
        )
        assert best[0] == pytest.approx(0) and best[1] == pytest.approx(lost) and lost <= weak + 1e-12


def test_on_the_mixture_the_noise_of_the_annotators_is_the_noise_of_the_theory(small):
    """Noisy labels drawn many times, against the posterior that the theory gives."""
    from labkit.evidence import Labels
    from labkit.streams import generator

    some = slice(0, 40)
    for annotator, at in (
        (InstanceDependent(0.3), InstanceDependent(0.3).transition_at(small.x[some], 3)),
        (MarginBased("II", 0.8), MarginBased("II", 0.8).transition_at(small.posterior[some])),
    ):
        noisy = ss.noisy_posterior(small.posterior[some], at)
        known = {"posterior": small.posterior[some].repeat(5000, 1)} if annotator.needs else {}
        rng = np.random.default_rng(0)
        draw = lambda: torch.multinomial(small.posterior[some], 5000, True, generator=torch.Generator().manual_seed(1))
        y = draw().T.flatten()  # 5,000 classes for each of the 40 points
        x = small.x[some].repeat(5000, 1)
        labels = annotator(Labels(y, 3), x, generator(int(rng.integers(9)), "annotation"), **known).labels
        seen = torch.stack([(labels.view(5000, 40) == c).double().mean(0) for c in range(3)], -1)
        assert (seen - noisy).abs().max() < 0.03  # four standard errors of a share of 5,000


def test_what_it_refuses():
    eta = torch.full((5, 3), 1 / 3)
    with pytest.raises(ValueError, match=r"one \(K, K\) matrix, or one for each of the 5 examples"):
        ss.noisy_posterior(eta, torch.zeros(4, 3, 3))
    with pytest.raises(ValueError, match="row 0"):
        ss.noisy_posterior(eta, torch.zeros(3, 3))
    with pytest.raises(ValueError, match="5 probabilities that sum to 1"):
        ss.excess_risk(eta, torch.zeros(5).long(), torch.ones(5))


def test_the_example_of_the_paper_head():
    """Two classes, one region where the noise leaves half of the signal, one where it turns it round."""
    eta = torch.tensor([[0.9, 0.1], [0.8, 0.2]])
    noisy = torch.tensor([[0.7, 0.3], [0.4, 0.6]])
    np.testing.assert_allclose(ss.signal_strength(eta, noisy), [0.5, 0.0], atol=1e-7)
    lost, weak = ss.ignorant_floor(eta, noisy)
    assert (lost, weak) == pytest.approx((0.3, 0.5))
    assert lk.theory.signal_strength is ss
