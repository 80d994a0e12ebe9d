"""Annotators of candidate sets: the law of every set, by enumeration and by counting."""

import itertools

import numpy as np
import pytest
import torch

from labkit.annotate import (
    ClassCandidates,
    FlippedCandidates,
    InstanceCandidates,
    TopCandidates,
    UniformCandidates,
)
from labkit.annotate.candidates import _set_weights
from labkit.evidence import Labels

K = 4
MATRIX = np.array([[0, 0.2, 0.7, 0.1], [0.4, 0, 0.0, 1.0], [0.3, 0.3, 0, 0.5], [0.9, 0.1, 0.2, 0]])
SETS = np.array([s for s in itertools.product([False, True], repeat=K) if any(s)])


def frequencies(evidence) -> np.ndarray:
    """``(n sets,)`` share of every non-empty set."""
    code = evidence.mask.numpy() @ (1 << np.arange(K))
    return np.bincount(code, minlength=1 << K)[SETS @ (1 << np.arange(K))] / len(code)


def annotate(annotator, truth, n=40_000, **known):
    labels = Labels(torch.full((n,), truth), K)
    known = {name: value.expand(n, -1) for name, value in known.items()}
    return annotator(labels, torch.zeros(n, 1), np.random.default_rng(0), **known)


@pytest.mark.parametrize("missing, least", [(0.0, False), (0.3, False), (0.0, True)])
def test_set_weights_are_a_distribution_over_sets(missing, least):
    rate = np.broadcast_to(np.minimum(MATRIX, 0.95), (len(SETS), K, K))
    law = _set_weights(SETS, rate, missing, least)
    np.testing.assert_allclose(law.sum(0), 1, atol=1e-12)
    if least:
        assert (law[SETS.sum(1) == 1] == 0).all()


@pytest.mark.parametrize(
    "annotator",
    [FlippedCandidates(0.3, reveal=True), FlippedCandidates(0.3, missing=0.2, reveal=True),
     FlippedCandidates(0.2, at_least_two=True, reveal=True), ClassCandidates(MATRIX, reveal=True),
     ClassCandidates(MATRIX, missing=0.4, reveal=True)],
    ids=lambda a: repr(a)[:40],
)  # fmt: skip
@pytest.mark.parametrize("truth", [0, 1])
def test_sets_come_as_often_as_their_weights_say(annotator, truth):
    evidence = annotate(annotator, truth)
    rate = np.broadcast_to(annotator.joins(K, {}), (len(SETS), K, K))
    law = _set_weights(SETS, rate, annotator.missing, annotator.at_least_two)[:, truth]
    np.testing.assert_allclose(frequencies(evidence), law, atol=0.01)
    where = {tuple(s): i for i, s in enumerate(SETS)}
    own = [where[tuple(row)] for row in evidence.mask[:50].tolist()]
    np.testing.assert_allclose(evidence.weights[:50, truth], law[own])


def test_uniform_sets():
    found = frequencies(annotate(UniformCandidates(), 2))
    allowed = SETS[:, 2] & ~SETS.all(1)
    np.testing.assert_allclose(found, allowed / (2 ** (K - 1) - 1), atol=0.01)
    assert annotate(UniformCandidates(), 2).weights is None


def test_a_higher_rate_adds_candidates_only():
    low, high = (annotate(FlippedCandidates(rate), 1, 500).mask for rate in (0.2, 0.6))
    assert (high | ~low).all() and high.sum() > low.sum()
    full = annotate(FlippedCandidates(1.0), 1, 5).mask
    assert full.all()


def test_instance_dependent_sets_hold_what_looks_alike():
    belief = torch.tensor([[0.5, 0.3, 0.2, 0.0]])
    annotator = InstanceCandidates(0.4, reveal=True)
    evidence = annotate(annotator, 0, weak=belief)
    other = np.array([0, 0.3, 0.2, 0.0]) / 0.3
    want = np.minimum(0.4 * other / other.mean(), 1)
    np.testing.assert_allclose(evidence.mask.double().mean(0), [1, *want[1:]], atol=0.01)
    rate = np.broadcast_to(annotator.joins(K, {"weak": belief}), (len(SETS), K, K))
    law = _set_weights(SETS, rate, 0.0)
    np.testing.assert_allclose(law.sum(0), 1, atol=1e-12)
    np.testing.assert_allclose(frequencies(evidence), law[:, 0], atol=0.01)


def test_top_candidates_are_those_of_the_mass():
    belief = torch.tensor([[0.5, 0.3, 0.15, 0.05]])
    sets = {m: annotate(TopCandidates(m), 3, 2, weak=belief).mask[0].tolist() for m in (0.0, 0.5, 0.6, 0.8, 0.99)}
    assert [sum(s) for s in sets.values()] == [1, 1, 2, 2, 4]
    assert annotate(TopCandidates(1.0, most=2), 3, 2, weak=belief).mask[0].tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    "annotator, message",
    [(FlippedCandidates(1.2), r"\[0, 1\]"), (FlippedCandidates(0.2, missing=0.1, at_least_two=True), "together"),
     (FlippedCandidates(0.0, missing=0.5), "no other class"), (ClassCandidates(np.eye(3)), r"\(4, 4\)"),
     (TopCandidates(1.5), r"\[0, 1\]"), (InstanceCandidates(-1.0), "from 0")],
)  # fmt: skip
def test_impossible_sets_are_refused(annotator, message):
    with pytest.raises(ValueError, match=message):
        annotate(annotator, 0, 50, **({name: torch.full((1, K), 0.25) for name in annotator.needs}))
