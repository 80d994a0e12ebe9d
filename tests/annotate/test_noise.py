"""Annotators: their matrices, their draws, their pairing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.annotate import Chain, Clean, Human, PairFlip, Symmetric, Transition
from labkit.annotate.noise import draw_labels
from labkit.evidence import Candidates, Labels
from labkit.streams import generator

N, K = 20_000, 5
CLEAN = Labels(torch.arange(N) % K, K)


def said(annotator, seed: int = 0) -> torch.Tensor:
    return annotator(CLEAN, torch.zeros(N, 1), generator(seed, "annotation")).labels


@pytest.mark.parametrize("annotator", [Symmetric(0.4), PairFlip(0.3), Transition(np.full((K, K), 0.2)), Symmetric(1.0)])
def test_labels_follow_the_matrix(annotator):
    labels, matrix = said(annotator), annotator.transition(K)
    for c in range(K):
        seen = torch.bincount(labels[CLEAN.labels == c], minlength=K) / (N // K)
        assert (seen - matrix[c]).abs().max() < 0.03  # four standard errors of a share of 4,000 are 0.03


def test_symmetric_rate_is_the_chance_of_a_wrong_label():
    t = Symmetric(0.4).transition(K)
    torch.testing.assert_close(t.diag(), torch.full((K,), 0.6, dtype=torch.float64))
    torch.testing.assert_close(t.sum(1), torch.ones(K, dtype=torch.float64))
    assert t[0, 1] == pytest.approx(0.1)


def test_pair_flip_goes_to_the_next_class():
    assert (said(PairFlip(1.0)) == (CLEAN.labels + 1) % K).all()


def test_clean_and_rate_zero_say_the_truth():
    assert (said(Clean()) == CLEAN.labels).all() and (said(Symmetric(0.0)) == CLEAN.labels).all()


def test_a_higher_rate_flips_a_superset():
    low, high = said(Symmetric(0.2)) != CLEAN.labels, said(Symmetric(0.5)) != CLEAN.labels
    assert (high | ~low).all() and high.sum() > low.sum()


def test_seeds_differ_and_repeat():
    assert (said(Symmetric(0.4), 1) == said(Symmetric(0.4), 1)).all()
    assert (said(Symmetric(0.4), 1) != said(Symmetric(0.4), 2)).any()


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.integers(2, 6))
def test_draws_invert_the_cumulative_distribution(seed, k):
    rng = np.random.default_rng(seed)
    matrix = rng.dirichlet(np.ones(k), size=k)
    classes, uniform = rng.integers(0, k, 50), rng.random(50)
    slow = []
    for c, u in zip(classes, uniform):
        order = [(c + 1 + j) % k for j in range(k)]
        total, j = 0.0, 0
        while j < k - 1 and u >= (total := total + matrix[c, order[j]]):
            j += 1
        slow.append(order[j])
    assert draw_labels(matrix, classes, uniform).tolist() == slow


def test_reveal_attaches_the_matrix_and_a_chain_multiplies_them():
    chain = Symmetric(0.2, reveal=True) >> PairFlip(0.3, reveal=True)
    evidence = chain(CLEAN, torch.zeros(N, 1), generator(0, "annotation"))
    torch.testing.assert_close(evidence.transition, Symmetric(0.2).transition(K) @ PairFlip(0.3).transition(K))
    assert said(Symmetric(0.2)).shape == (N,)
    assert Symmetric(0.2)(CLEAN, torch.zeros(N, 1), generator(0, "annotation")).transition is None


def test_chains_flatten_and_refuse_what_cannot_be_annotated():
    assert len((Clean() >> Symmetric(0.1) >> PairFlip(0.1)).links) == 3

    class ToSets(Clean):
        def __call__(self, labels, features, rng):
            return Candidates.unlabelled(len(labels), labels.n_classes)

    with pytest.raises(TypeError, match="Symmetric takes Labels, but before it in the chain there are Candidates"):
        Chain((ToSets(), Symmetric(0.1)))(CLEAN, torch.zeros(N, 1), generator(0, "annotation"))


def test_human_matrix_needs_ten_classes():
    assert Human("aggre_label").transition(10).diag().mean() > 0.85
    with pytest.raises(ValueError, match="10 classes"):
        said(Human())


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
@pytest.mark.parametrize("kind", [Symmetric, PairFlip])
def test_rates_are_probabilities(kind, rate):
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        said(kind(rate))


def test_a_matrix_that_is_not_stochastic_is_refused_when_made():
    with pytest.raises(ValueError, match="row 1"):
        Transition([[1.0, 0.0], [0.5, 0.4]])
    with pytest.raises(ValueError, match="shape"):
        said(Transition(np.eye(3)))
