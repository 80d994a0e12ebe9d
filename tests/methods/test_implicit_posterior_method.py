"""RQ and QR as a method: whose beliefs, which batch, alone and in a fleet."""

from __future__ import annotations

import pytest
import torch

import labkit as lk
from labkit.annotate import ComplementaryLabels, FlippedCandidates, Symmetric
from labkit.evidence import Candidates, Complementary, Labels, Soft
from labkit.losses import implicit_qr, implicit_rq
from labkit.methods import CrossEntropy, ImplicitPosterior
from labkit.methods.implicit_posterior import beliefs_of

QUICK = dict(epochs=3, batch_size=32, progress=False, compile=False, dtype="float64")
KINDS = {
    "RQ": ImplicitPosterior(),
    "QR": ImplicitPosterior(direction="QR", floor=lk.sweep(1e-9, 1e-3)),
    "QR free energy": ImplicitPosterior(direction="QR", qr="free_energy"),
}


def test_beliefs_are_the_likelihood_renormalised():
    assert beliefs_of(Candidates([[1, 1, 0], [0, 0, 1]])).tolist() == [[0.5, 0.5, 0], [0, 0, 1]]
    assert beliefs_of(Complementary([2, 0], 3)).tolist() == [[0.5, 0.5, 0], [0, 0.5, 0.5]]
    told = Labels([0, 1], 2, transition=[[0.8, 0.2], [0.4, 0.6]])  # columns of the matrix
    torch.testing.assert_close(beliefs_of(told).float(), torch.tensor([[2 / 3, 1 / 3], [1 / 4, 3 / 4]]))
    known = Candidates([[1, 1, 0]], weights=[[0.3, 0.1, 0.0]])
    torch.testing.assert_close(beliefs_of(known).float(), torch.tensor([[0.75, 0.25, 0.0]]))


def test_the_loss_is_that_of_the_batch():
    z = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sets = Candidates([[1, 1, 0], [0, 1, 1], [1, 0, 0], [1, 1, 1], [0, 0, 1]])
    beliefs = beliefs_of(sets).double()
    torch.testing.assert_close(ImplicitPosterior().loss(z, sets), implicit_rq(z, beliefs))
    for qr in ("normalised", "free_energy"):
        method = ImplicitPosterior(direction="QR", qr=qr, floor=1e-4)
        torch.testing.assert_close(method.loss(z, sets), implicit_qr(z, beliefs, qr, 1e-4))


@pytest.mark.parametrize("name", KINDS)
def test_alone_and_in_a_fleet_the_numbers_are_equal(small, name):
    together = lk.fit(small, FlippedCandidates(0.4), methods=KINDS[name], seeds=3, lanes=8, **QUICK)
    alone = lk.fit(small, FlippedCandidates(0.4), methods=KINDS[name], seeds=[1], lanes=1, **QUICK)
    torch.testing.assert_close(together.where(seed=1).logits(), alone.logits(), rtol=1e-12, atol=1e-12)
    assert (together.measure("accuracy")["value"] > 0.5).all()  # of 0.74 for the best there is


@pytest.mark.parametrize(
    "annotator, name", [(ComplementaryLabels(), "RQ"), (Symmetric(0.3, reveal=True), "QR free energy")]
)
def test_other_evidence_teaches_too(small, annotator, name):
    runs = lk.fit(small, annotator, methods=KINDS[name], seeds=2, **QUICK)
    assert (runs.measure("accuracy")["value"] > 0.65).all()


def test_rq_of_plain_labels_is_cross_entropy(small):
    a, b = (lk.fit(small, methods=method, seeds=2, **QUICK) for method in (ImplicitPosterior(), CrossEntropy()))
    torch.testing.assert_close(a.logits(), b.logits(), rtol=1e-9, atol=1e-9)
    assert beliefs_of(Soft([[0.2, 0.8]])).tolist() == [[pytest.approx(0.2), pytest.approx(0.8)]]


def test_unknown_forms_are_refused():
    with pytest.raises(ValueError, match="direction is 'RQ' or 'QR', got 'qr'"):
        ImplicitPosterior(direction="qr")
    with pytest.raises(ValueError, match="qr is one of normalised, free_energy, got 'both'"):
        ImplicitPosterior(qr="both")
