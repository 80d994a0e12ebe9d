"""Annotators that say what an example is not."""

import numpy as np
import pytest
import torch

from labkit.annotate import ComplementaryLabels, OneOfTheShown, biased_complement, uniform_complement
from labkit.evidence import Labels

K = 5


def annotate(annotator, truth=1, n=30_000):
    return annotator(Labels(torch.full((n,), truth), K), torch.zeros(n, 1), np.random.default_rng(0))


def test_uniform_labels_exclude_every_wrong_class_alike():
    for count in (1, 3):
        evidence = annotate(ComplementaryLabels(count))
        assert (evidence.excluded.sum(1) == count).all() and evidence.transition is None
        np.testing.assert_allclose(evidence.excluded.double().mean(0), count / 4 * np.array([1, 0, 1, 1, 1]), atol=0.01)


def test_all_wrong_classes_leave_the_ordinary_label():
    evidence = annotate(ComplementaryLabels(K - 1), 3, 20)
    assert torch.equal(evidence.mask, torch.nn.functional.one_hot(torch.full((20,), 3), K).bool())


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_labels_follow_their_matrix(noise):
    matrix = biased_complement(K, "strong", noise)
    evidence = annotate(ComplementaryLabels(matrix=matrix, reveal=True), 2)
    np.testing.assert_allclose(evidence.excluded.double().mean(0), matrix[2], atol=0.01)
    torch.testing.assert_close(evidence.transition, matrix)


def test_biased_matrices_have_three_groups():
    matrix = biased_complement(10, "weak")
    for row in matrix.numpy():
        np.testing.assert_allclose(np.sort(row), np.sort([0, *[0.45 / 3] * 3, *[0.10] * 3, *[0.25 / 3] * 3]))
    assert not torch.equal(matrix, biased_complement(10, "weak", seed=1))
    torch.testing.assert_close(biased_complement(10, "none"), uniform_complement(10))
    torch.testing.assert_close(biased_complement(10, noise=0.1).diagonal(), torch.full((10,), 0.01).double())


@pytest.mark.parametrize("error", [0.0, 0.3])
def test_a_person_who_sees_four_classes(error):
    annotator = OneOfTheShown(4, error, reveal=True)
    evidence = annotate(annotator)
    np.testing.assert_allclose(evidence.excluded.double().mean(0), annotator.transition(K)[1], atol=0.01)
    assert annotator.transition(K)[1, 1] == pytest.approx(error * 4 / K)


@pytest.mark.parametrize(
    "annotator, message",
    [(ComplementaryLabels(0), "from 1 to 4"), (ComplementaryLabels(5), "from 1 to 4"),
     (ComplementaryLabels(2, torch.eye(5).roll(1, 1)), "fewer classes above 0"), (OneOfTheShown(1), "from 2 to 5"),
     (OneOfTheShown(4, 1.5), r"\[0, 1\]")],
)  # fmt: skip
def test_impossible_labels_are_refused(annotator, message):
    with pytest.raises(ValueError, match=message):
        annotate(annotator, n=10)


def test_unknown_biases_are_refused():
    with pytest.raises(ValueError, match="'weak', 'strong' or 'none'"):
        biased_complement(10, "large")
    with pytest.raises(ValueError, match="at least 4 classes"):
        biased_complement(3)
