"""Evidence: validation, views, likelihoods, and the one identity behind the package."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.evidence import Candidates, Complementary, Evidence, Labels, Soft, TrustedLabels, one_hot, stochastic_matrix
from labkit.losses import evidence_nll

K = 4


def matrix(seed: int, k: int = K) -> torch.Tensor:
    return torch.rand(k, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).softmax(1)


@given(st.lists(st.integers(0, K - 1), min_size=1, max_size=20))
def test_labels_are_one_hot(labels):
    likelihood = Labels(torch.tensor(labels), K).likelihood()
    assert likelihood.shape == (len(labels), K)
    assert likelihood.argmax(1).tolist() == labels
    assert (likelihood.sum(1) == 1).all()


def test_likelihood_of_a_label_is_the_column_of_the_transition_matrix():
    t = matrix(0)
    likelihood = Labels(torch.tensor([2, 0]), K, t).likelihood()
    for i, said in enumerate((2, 0)):
        for c in range(K):
            assert likelihood[i, c] == t[c, said]


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from(["labels", "noisy", "trusted", "soft", "candidates"]))
def test_gradient_of_the_evidence_loss_is_prediction_minus_posterior(seed, form):
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(5, K, generator=g, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, K, (5,), generator=g)
    evidence = {
        "labels": lambda: Labels(labels, K),
        "noisy": lambda: Labels(labels, K, matrix(seed)),
        "trusted": lambda: TrustedLabels(labels, K, torch.rand(5, generator=g) < 0.5, matrix(seed)),
        "soft": lambda: Soft(matrix(seed)[labels]),
        "candidates": lambda: Candidates(one_hot(labels, K).bool() | (torch.rand(5, K, generator=g) < 0.5)),
    }[form]()
    evidence_nll(logits, evidence).sum().backward()
    p = logits.detach().softmax(1)
    posterior = p * evidence.likelihood().double()
    posterior /= posterior.sum(1, keepdim=True)
    torch.testing.assert_close(logits.grad, p - posterior, atol=1e-10, rtol=0)


def test_reductions_between_forms():
    logits = torch.randn(6, K, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    plain = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    others = torch.stack([torch.tensor([k for k in range(K) if k != c]) for c in labels])
    for same in (
        Labels(labels, K),
        Labels(labels, K, torch.eye(K)),
        TrustedLabels(labels, K, torch.ones(6, dtype=torch.bool), matrix(1)),
        Candidates(one_hot(labels, K).bool()),
        Candidates.complementary(others, K),
        Soft(one_hot(labels, K)),
    ):
        torch.testing.assert_close(evidence_nll(logits, same), plain, atol=1e-12, rtol=0)
    nothing = evidence_nll(logits, Candidates.unlabelled(6, K))
    torch.testing.assert_close(nothing, torch.zeros(6, dtype=torch.float64), atol=1e-12, rtol=0)


def test_trusted_labels_are_one_hot_and_the_others_follow_the_matrix():
    labels, t, trusted = torch.tensor([2, 0, 2]), matrix(0), torch.tensor([True, False, False])
    evidence = TrustedLabels(labels, K, trusted, t)
    assert evidence.likelihood()[0].tolist() == [0, 0, 1, 0]
    assert torch.equal(evidence.likelihood()[1:], Labels(labels, K, t).likelihood()[1:])
    assert torch.equal(TrustedLabels(labels, K, trusted).likelihood(), Labels(labels, K).likelihood())
    part = evidence[torch.tensor([2, 0])]
    assert isinstance(part, TrustedLabels) and part.trusted.tolist() == [False, True]
    masks = TrustedLabels(torch.tensor([[0, 1], [1, 1]]), K, torch.tensor([False, True]), t)
    assert torch.equal(masks.likelihood()[0], t.T[[0, 1]]) and masks.likelihood()[1].argmax(-1).tolist() == [1, 1]


def test_complementary_labels_are_the_other_classes():
    assert Candidates.complementary(torch.tensor([1]), 3).mask.tolist() == [[True, False, True]]


def test_indexing_and_views_keep_the_form_and_the_shared_tensors():
    evidence = Labels(torch.tensor([0, 1, 2, 3]), K, matrix(3))
    part = evidence[torch.tensor([3, 1])]
    assert isinstance(part, Labels) and part.labels.tolist() == [3, 1] and part.transition.shape == (K, K)
    assert len(evidence[1]) == 1 and len(evidence[1:]) == 3
    assert "4 units, 4 classes" in repr(evidence)
    assert evidence.to(dtype=torch.float32).transition.dtype == torch.float32


def test_agreement_is_accuracy_on_labels_and_coverage_on_candidates():
    logits = torch.tensor([[2.0, 1, 0], [0, 2, 1], [0, 1, 2]])
    assert Labels(torch.tensor([0, 1, 0]), 3).agreement(logits) == pytest.approx(2 / 3)
    assert Candidates(torch.tensor([[1, 1, 0], [0, 0, 1], [0, 0, 1]])).agreement(logits) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Labels(torch.tensor([0, 7, -1]), K), r"2 labels lie outside 0\.\.3; the first is 7 at position 1"),
        (lambda: Labels(torch.tensor([0.5]), K), "whole numbers"),
        (lambda: Labels(torch.tensor([0]), K, torch.ones(K, K)), "row 0 is"),
        (lambda: Labels(torch.tensor([0]), K, torch.eye(3)), r"\(4, 4\), got shape \(3, 3\)"),
        (lambda: TrustedLabels(torch.tensor([0, 1]), K, torch.tensor([True])), r"one boolean per example, \(2,\)"),
        (lambda: TrustedLabels(torch.tensor([0]), K, torch.tensor([1])), "boolean.*int64"),
        (lambda: Soft(torch.tensor([[0.5, 0.6]])), "first is row 0"),
        (lambda: Soft(torch.tensor([[0.5, float("nan")]])), "not distributions"),
        (lambda: Soft(torch.tensor([1.0])), "shape"),
        (lambda: Candidates(torch.tensor([[True, False], [False, False]])), "1 candidate sets are empty.*position 1"),
        (lambda: Candidates(torch.tensor([[0, 2]])), "only True and False"),
        (lambda: Candidates.complementary(torch.tensor([3]), 3), "outside"),
        (lambda: stochastic_matrix([[0.5, 0.6], [0, 1]]), "sum 1.1"),
    ],
)
def test_bad_evidence_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_form_without_a_pointwise_likelihood_says_so():
    with pytest.raises(TypeError, match="no likelihood per example"):
        Evidence.view(3, {}).likelihood()


def test_candidates_may_say_how_likely_their_set_is():
    sets = Candidates([[True, True, False]], weights=[[0.2, 0.6, 0.0]])
    assert sets.likelihood().tolist() == [pytest.approx([0.2, 0.6, 0.0])] and sets.sizes.tolist() == [2]
    assert sets[0:1].weights.shape == (1, 3)
    for weights in ([[0.0, 0.0, 0.0]], [[-0.1, 1.0, 0.0]], [[float("nan"), 1.0, 0.0]]):
        with pytest.raises(ValueError, match="weights are finite"):
            Candidates([[True, True, False]], weights=weights)
    with pytest.raises(ValueError, match="per example and class"):
        Candidates([[True, True, False]], weights=[[1.0, 1.0]])


def test_the_covering_rate_counts_predictions_inside_the_set():
    sets = Candidates([[True, True, False], [False, False, True]], weights=[[0.1, 0.9, 0.0], [0.3, 0.3, 0.4]])
    assert sets.agreement(torch.eye(3)[[0, 1]]) == 0.5


def test_complementary_labels_are_the_set_of_the_others():
    said = Complementary(torch.tensor([[0, 2], [1, 1]]), 3)
    assert said.mask.tolist() == [[False, True, False], [True, False, True]]
    assert said.likelihood().tolist() == [[0, 1, 0], [1, 0, 1]] and isinstance(said, Candidates)
    assert said.excluded.tolist() == [[True, False, True], [False, True, False]]
    with pytest.raises(ValueError, match="empty"):
        Complementary(torch.tensor([[0, 1, 2]]), 3)


def test_complementary_labels_with_a_matrix_weigh_the_classes():
    matrix = torch.tensor([[0.0, 0.7, 0.3], [0.5, 0.1, 0.4], [0.2, 0.8, 0.0]])
    said = Complementary(torch.tensor([[1, 1], [1, 2]]), 3, matrix)
    torch.testing.assert_close(said.likelihood()[0], matrix[:, 1].double())
    torch.testing.assert_close(said.likelihood()[1], (matrix[:, 1] * matrix[:, 2]).double())
    assert said[0:1].transition is not None
    with pytest.raises(ValueError, match="rows that are distributions"):
        Complementary(torch.tensor([1]), 3, matrix.T)
