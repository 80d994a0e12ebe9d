"""Targets and corrected scores: the mean over everything an annotator might say is the clean value."""

from __future__ import annotations

import pytest
import torch

from labkit import metrics
from labkit.annotate import biased_complement, uniform_complement
from labkit.evidence import Bags, Candidates, Complementary, Labels, Soft, TrustedLabels
from labkit.posthoc import fit_temperature, fit_temperature_to_targets, literal_targets, unbiased_targets

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


def test_evidence_taken_at_its_word():
    word = lambda evidence: literal_targets(evidence).tolist()
    assert word(Labels(torch.tensor([2, 0]), 3, torch.full((3, 3), 1 / 3))) == [[0, 0, 1], [1, 0, 0]]  # no matrix
    sets = torch.tensor([[True, True, False, False], [False, False, True, False]])
    assert word(Candidates(sets, sets * torch.tensor([0.1, 0.9, 0.3, 0.2]))) == [[0.5, 0.5, 0, 0], [0, 0, 1, 0]]
    assert word(Complementary(torch.tensor([1]), 3)) == [[0.5, 0, 0.5]]
    assert word(Soft(torch.tensor([[0.25, 0.75]]))) == [[0.25, 0.75]]
    bags = Bags(torch.tensor([[3, 0, 2], [1, 1, 1]]), torch.tensor([[1.0, 2.0], [1.0, 0.0]]),
                torch.tensor([[True, True, True], [True, False, False]]))  # fmt: skip
    third = torch.tensor([[1, 2]]).double() / 3
    expected = torch.cat([third, torch.tensor([[1.0, 0.0]]).double(), third, third])
    torch.testing.assert_close(literal_targets(bags), expected, atol=1e-7, rtol=0)


def test_bags_that_cannot_be_read_example_by_example_say_so():
    with pytest.raises(ValueError, match="some lie in none"):
        literal_targets(Bags(torch.tensor([[0, 2]]), torch.tensor([[1.0, 1.0]])))
    with pytest.raises(ValueError, match="noise"):
        literal_targets(Bags(torch.tensor([[0, 1]]), torch.tensor([[0.4, 1.9]]), noise=0.5))


@pytest.mark.parametrize("case", CASES)
def test_a_temperature_from_unbiased_targets_is_that_of_the_truth(case):
    """All that might be said of ten examples, as often as its probability: the fit is that of the true labels."""
    law, evidence = CASES[case]
    truth = torch.tensor([0, 1, 2, 3, 3, 1, 0, 2, 2, 1])
    z = 2 * torch.randn(10, 4, generator=torch.Generator().manual_seed(3)).double() + 2 * EYE[truth]
    mean = law.double()[truth] @ unbiased_targets(evidence(torch.arange(4)))
    T = fit_temperature(z, truth)
    torch.testing.assert_close(fit_temperature_to_targets(z, mean), T, rtol=1e-8, atol=0)
    literal = law.double()[truth] @ literal_targets(evidence(torch.arange(4)))
    assert fit_temperature_to_targets(z, literal) > 1.5 * T  # taken at its word, the evidence asks for less confidence
