"""Targets and corrected scores: the mean over everything an annotator might say is the clean value."""

from __future__ import annotations

import pytest
import torch

from labkit import metrics
from labkit.annotate import biased_complement, uniform_complement
from labkit.evidence import Bags, Candidates, Complementary, Labels, TrustedLabels
from labkit.posthoc import unbiased_targets

T = torch.tensor(
    [[0.6, 0.3, 0.1, 0.0], [0.1, 0.7, 0.1, 0.1], [0.2, 0.2, 0.5, 0.1], [0.0, 0.1, 0.1, 0.8]], dtype=torch.float64
)
WEAK = biased_complement(4, "weak", 0.1, 0)
EYE = torch.eye(4).double()
CASES = {
    "noisy": (T, lambda said: Labels(said, 4, T)),
    "complementary": (uniform_complement(4), lambda said: Complementary(said, 4)),
    "biased": (WEAK, lambda said: Complementary(said, 4, WEAK)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_mean_over_what_might_be_said_is_the_truth(case):
    law, evidence = CASES[case]
    targets = unbiased_targets(evidence(torch.arange(4)))
    torch.testing.assert_close(law.double() @ targets, EYE, atol=1e-12, rtol=0)
    torch.testing.assert_close(targets.sum(-1), torch.ones(4).double())


@pytest.mark.parametrize("case", CASES)
def test_scores_are_unbiased_by_enumeration(case):
    """One example of each class; all 4^4 things the annotator might say of them, weighted by their probability."""
    law, evidence = CASES[case]
    z, truth = torch.randn(4, 4, generator=torch.Generator().manual_seed(0)).double(), torch.arange(4)
    said = torch.cartesian_prod(*[torch.arange(4)] * 4)
    weight = law.double()[truth, said].prod(-1)
    targets = torch.stack([unbiased_targets(evidence(row)) for row in said])
    pairs = [
        (metrics.corrected_accuracy, metrics.accuracy), (metrics.corrected_brier, metrics.brier),
        (metrics.corrected_nll, metrics.nll),
    ]  # fmt: skip
    for corrected, clean in pairs:
        values = corrected(z.expand(len(said), 4, 4), targets)
        torch.testing.assert_close((weight * values).sum(), clean(z, truth), atol=1e-12, rtol=0)
    assert (weight * metrics.corrected_ece(z.expand(len(said), 4, 4), targets)).sum() >= metrics.ece(z, truth) - 1e-12


def test_clean_targets_give_the_ordinary_scores():
    z, labels = torch.randn(3, 50, 4, generator=torch.Generator().manual_seed(1)).double(), torch.arange(50) % 4
    targets = unbiased_targets(labels, 4)
    for binning in ("width", "mass"):
        torch.testing.assert_close(
            metrics.corrected_ece(z, targets, 7, binning), metrics.ece(z, labels, 7, binning), atol=1e-12, rtol=0
        )
    torch.testing.assert_close(metrics.corrected_accuracy(z, targets), metrics.accuracy(z, labels))
    torch.testing.assert_close(unbiased_targets(Labels(labels, 4)), targets)


def test_several_complementary_labels_and_trusted_ones():
    rows = unbiased_targets(Complementary(torch.tensor([[0, 1, 2]]), 4))
    torch.testing.assert_close(rows, EYE[3:], atol=1e-12, rtol=0)  # K - 1 of them leave one class
    trusted = unbiased_targets(TrustedLabels([1, 1], 4, [True, False], T))
    torch.testing.assert_close(trusted[0], EYE[1])
    assert not torch.equal(trusted[1], EYE[1])


@pytest.mark.parametrize(
    "evidence", [Candidates(torch.ones(2, 3, dtype=torch.bool)), Bags(torch.tensor([[0, 1]]), torch.tensor([[1, 1]]))]
)
def test_evidence_without_unbiased_targets_is_refused(evidence):
    with pytest.raises(TypeError, match="unbiased targets need"):
        unbiased_targets(evidence)


def test_a_matrix_without_an_inverse_is_named():
    with pytest.raises(ValueError, match="rank"):
        unbiased_targets(Labels([0, 1], 2, torch.full((2, 2), 0.5)))
