"""Annotators that look at the example: their exact probabilities, their draws, their pairing, what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

import labkit as lk
from labkit.annotate import CIFAR10_FLIPS, DIGIT_FLIPS, Asymmetric, InstanceDependent, MarginBased, margin_strength
from labkit.evidence import Labels
from labkit.streams import generator

K, D, N = 4, 3, 100_000
POINT = torch.tensor([[0.3, -1.1, 0.7]])


def said(annotator, labels, x, seed=0, **known):
    return annotator(Labels(labels, K), x, generator(seed, "annotation"), **known).labels


def same_place(c, n=N):
    """Many examples of class c, all at one point: their labels are draws from one row of T(x)."""
    return torch.full((n,), c), POINT.expand(n, D)


# ---- by class -------------------------------------------------------------------------------------------------------


def test_asymmetric_follows_its_map():
    matrix = Asymmetric(0.3).transition(10)
    for c in range(10):
        row = [0.0] * 10
        row[c] = 0.7 if c in DIGIT_FLIPS else 1.0
        if c in DIGIT_FLIPS:
            row[DIGIT_FLIPS[c]] += 0.3
        assert matrix[c].tolist() == pytest.approx(row)
    assert DIGIT_FLIPS == {7: 1, 2: 7, 5: 6, 6: 5, 3: 8} and CIFAR10_FLIPS == {9: 1, 2: 0, 3: 5, 5: 3, 4: 7}
    assert 1 - float(matrix.diag().mean()) == pytest.approx(0.15)  # half of the classes: half of the rate
    data = lk.load("digits")
    labels = Asymmetric(1.0)(Labels(data.y, 10), data.x, generator(0, "annotation")).labels
    assert (labels[data.y == 2] == 7).all() and (labels[data.y == 7] == 1).all()  # once, not twice
    assert torch.equal(Asymmetric(0.2, reveal=True, flips={0: 1}).transition(2)[1], torch.tensor([0, 1]).double())


@pytest.mark.parametrize("flips", [{1: 1}, [(0, 1), (0, 2)], {-1: 2}])
def test_flips_that_are_no_map_are_refused(flips):
    with pytest.raises(ValueError, match="another class for each class at most once"):
        Asymmetric(0.2, flips)


def test_flips_of_other_classes_are_refused():
    with pytest.raises(ValueError, match="class 9, but there are 4 classes"):
        said(Asymmetric(0.2, CIFAR10_FLIPS), *same_place(0, 5))


# ---- by example -----------------------------------------------------------------------------------------------------


def slow_row(annotator, c, x):
    """T(x)[c] from the definition, and the mean of a truncated normal by numerical integration."""
    w = generator(annotator.world, "annotation", 2**32).standard_normal((K, D, K))
    score = [sum(x[d] * w[c][d][l] for d in range(D)) for l in range(K)]
    total = sum(math.exp(score[l]) for l in range(K) if l != c)
    grid = np.linspace(0, 1, 20001)
    density = np.exp(-0.5 * ((grid - annotator.rate) / annotator.spread) ** 2)
    mean = np.trapezoid(grid * density, grid) / np.trapezoid(density, grid)
    return [1 - mean if l == c else mean * math.exp(score[l]) / total for l in range(K)]


@pytest.mark.parametrize("c", range(K))
def test_probabilities_are_the_definition_and_draws_follow_them(c):
    annotator = InstanceDependent(0.35, world=c)
    row = annotator.transition_at(POINT, K)[0, c]
    np.testing.assert_allclose(row, slow_row(annotator, c, POINT[0].double().tolist()), atol=1e-7)
    seen = torch.bincount(said(annotator, *same_place(c)), minlength=K) / N
    assert (seen - row).abs().max() < 4 * 0.5 / math.sqrt(N)  # four standard errors of a share of N draws, at most


def test_truncation_moves_the_mean_unless_told():
    moved, exact = (1 - float(InstanceDependent(0.1, exact=e).transition_at(POINT, K)[0, 0, 0]) for e in (False, True))
    tail, inside = stats.norm.pdf(1), stats.norm.cdf(1)  # 0.1 is one deviation from 0; the other end is far away
    assert moved == pytest.approx(0.1 + 0.1 * tail / inside, abs=1e-6) and moved == pytest.approx(0.129, abs=5e-4)
    assert exact == pytest.approx(0.1, abs=1e-12)
    assert InstanceDependent(0.0).transition_at(POINT, K)[0, 0, 0] == pytest.approx(1 - 0.1 * math.sqrt(2 / math.pi))


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1, 0.45, 0.9, 1.0])
def test_an_exact_rate_is_the_share_of_wrong_labels(rate):
    annotator, (labels, x) = InstanceDependent(rate, exact=True), same_place(1, 50_000)
    assert annotator.flip_rates(np.linspace(5e-5, 1 - 5e-5, 10_000)).mean() == pytest.approx(rate, abs=1e-4)
    wrong = (said(annotator, labels, x) != labels).double().mean()
    assert abs(float(wrong) - rate) <= 4 * math.sqrt(rate * (1 - rate) / 50_000)


@pytest.mark.parametrize("exact", [False, True])
def test_a_higher_rate_flips_a_superset_to_the_same_classes(exact):
    rng = np.random.default_rng(0)
    labels, x = torch.from_numpy(rng.integers(K, size=5000)), torch.from_numpy(rng.normal(size=(5000, D)))
    low, high = (said(InstanceDependent(r, exact=exact), labels, x) for r in (0.2, 0.5))
    assert ((high != labels) | (low == labels)).all() and (high != labels).sum() > (low != labels).sum()
    assert (low == high)[low != labels].all()


def test_noise_is_a_law_and_seeds_are_draws_from_it():
    labels, x = same_place(0, 2000)
    assert torch.equal(said(InstanceDependent(0.4), labels, x), said(InstanceDependent(0.4), labels, x))
    assert not torch.equal(said(InstanceDependent(0.4), labels, x, seed=1), said(InstanceDependent(0.4), labels, x))
    here, there = (InstanceDependent(0.4, world=w).transition_at(POINT, K) for w in (0, 1))
    assert not torch.allclose(here, there)
    at = InstanceDependent(0.4).transition_at(torch.randn(50, 1, D, generator=torch.Generator().manual_seed(0)), K)
    assert at.shape == (50, K, K) and torch.allclose(at.sum(-1), torch.ones(50, K, dtype=torch.float64))
    assert (at[:, 0, 1] - at[:1, 0, 1]).abs().max() > 0.05  # it does depend on the example


def test_no_label_falls_off_the_end_when_one_class_takes_all():
    labels, x = torch.arange(400) % K, 1e3 * torch.randn(400, D, generator=torch.Generator().manual_seed(0))
    labels_said = said(InstanceDependent(1.0, exact=True), labels, x)
    assert (labels_said != labels).all() and labels_said.min() >= 0 and labels_said.max() < K


# ---- by margin ------------------------------------------------------------------------------------------------------

ETA = torch.tensor(
    [[0.6, 0.3, 0.1, 0.0], [0.05, 0.15, 0.4, 0.4], [0.0, 1.0, 0.0, 0.0], [0.1, 0.2, 0.25, 0.45]]
).double()


def slow_flip(kind, strength, row):
    first, second = sorted(row, reverse=True)[:2]
    m = first - second
    f = {"I": 0.5 * (1 - m * m), "II": 1 - m**3, "III": 1 - (m + m * m + m**3) / 3}[kind]
    return min(1.0, strength * f)


@pytest.mark.parametrize("kind", ["I", "II", "III"])
@pytest.mark.parametrize("strength", [0.0, 0.7, 1.0, 3.0])
def test_margin_noise_is_the_definition(kind, strength):
    annotator = MarginBased(kind, strength)
    rates = annotator.flip_rates(ETA)
    np.testing.assert_allclose(rates, [slow_flip(kind, strength, row) for row in ETA.tolist()], atol=1e-12)
    assert rates[2] == 0  # nothing to confuse
    matrix = annotator.transition_at(ETA)
    for i, row in enumerate(ETA.tolist()):
        order = sorted(range(K), key=lambda c: -row[c])
        for c in range(K):
            want = [float(l == c) for l in range(K)]
            if c == order[0] and rates[i] > 0:
                want = [1 - rates[i] if l == c else rates[i] if l == order[1] else 0.0 for l in range(K)]
            assert matrix[i, c].tolist() == pytest.approx([float(v) for v in want])


def test_margin_draws_follow_the_matrix_and_are_paired():
    n = 40_000
    posterior, labels = ETA[:1].expand(n, K), torch.arange(n) % K
    low, high = (said(MarginBased("II", s), labels, torch.zeros(n, 1), posterior=posterior) for s in (0.4, 0.8))
    row = MarginBased("II", 0.4).transition_at(ETA[:1])[0]
    for c in range(K):
        seen = torch.bincount(low[labels == c], minlength=K) / (n // K)
        assert (seen - row[c]).abs().max() < 4 * 0.5 / math.sqrt(n // K)
    assert ((high != labels) | (low == labels)).all() and (high != labels).sum() > (low != labels).sum()


@pytest.mark.parametrize("kind", ["I", "II", "III"])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3])
def test_a_strength_is_found_for_a_rate(kind, rate, small):
    annotator = MarginBased(kind, margin_strength(rate, small.posterior, kind))
    share = torch.einsum("nc,ncc->", small.posterior, annotator.transition_at(small.posterior)) / small.n
    assert 1 - float(share) == pytest.approx(rate, abs=1e-9)  # expected over the classes, exactly
    wrong = [
        (
            annotator(Labels(small.y, 3), small.x, generator(s, "annotation"), posterior=small.posterior).labels
            != small.y
        )
        for s in range(20)
    ]
    assert float(torch.stack(wrong).double().mean()) == pytest.approx(
        rate, abs=0.03
    )  # classes are one draw: 600 of them


def test_a_rate_beyond_reach_is_refused(small):
    with pytest.raises(ValueError, match=r"at most 0.* here; asked for 0\.99"):
        margin_strength(0.99, small.posterior)


# ---- what is refused ------------------------------------------------------------------------------------------------


def test_there_is_no_matrix_to_reveal():
    for kind in (InstanceDependent, MarginBased):
        with pytest.raises(ValueError, match="a transition matrix for every example and none for all"):
            kind(reveal=True)


def test_other_refusals():
    labels, x = same_place(0, 5)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        said(InstanceDependent(1.2), labels, x)
    with pytest.raises(ValueError, match="spread"):
        said(InstanceDependent(0.2, spread=-0.1), labels, x)
    with pytest.raises(ValueError, match="make the spread smaller"):
        said(InstanceDependent(0.001, spread=5.0, exact=True), labels, x)
    with pytest.raises(ValueError, match="kind is one of I, II, III, got 'IV'"):
        MarginBased("IV")
    with pytest.raises(ValueError, match="not negative"):
        MarginBased("I", -1.0).flip_rates(ETA)
    with pytest.raises(ValueError, match="one label per example"):
        InstanceDependent(0.2)(Labels(torch.zeros(3, 2).long(), K), torch.zeros(3, 2), generator(0, "annotation"))


def test_they_serve_a_fleet(small):
    rates = [margin_strength(r, small.posterior, "II") for r in (0.1, 0.3)]
    options = dict(methods=lk.methods.CrossEntropy(), model="linear", seeds=2, epochs=2, progress=False, compile=False)
    runs = lk.fit(small, MarginBased("II", lk.sweep(*rates)), **options)
    assert len(runs) == 4 and list(runs.settings.columns) == ["method", "seed", "annotator.strength"]
    assert len(lk.fit(small, InstanceDependent(lk.sweep(0.1, 0.3), world=lk.sweep(0, 1)), **options)) == 8
    with pytest.raises(ValueError, match="MarginBased needs posterior"):
        lk.fit(lk.load("digits"), MarginBased(), **options)
