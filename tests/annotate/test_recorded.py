"""Recorded labels, labels drawn per example, the same dealt anew, the right ones alone, and the weak annotator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import labkit as lk
from labkit.annotate import (
    Chain,
    Clean,
    DealtAnew,
    DrawnFrom,
    HumanLabels,
    InstanceCandidates,
    OnlyTheRight,
    PairFlip,
    Symmetric,
    observed_transition,
    weak_posterior,
)
from labkit.evidence import Candidates, Labels

N, K = 400, 4
Y = torch.arange(N) % K
X = torch.zeros(N, 2)
CLEAN = Labels(Y, K)
rng = np.random.default_rng


@pytest.fixture(scope="module")
def weak():
    return weak_posterior(lk.load("digits"))


def test_human_labels_are_handed_on_as_recorded():
    said = torch.from_numpy(rng(0).integers(0, K, N))
    annotator = HumanLabels("worse_label")
    assert annotator.needs == ("worse_label",) and Chain((Clean(), annotator)).needs == ("worse_label",)
    for seed in (0, 1):
        assert torch.equal(annotator(CLEAN, X, rng(seed), worse_label=said).labels, said)
    with pytest.raises(ValueError, match="2 of 400 examples have no recorded 'worse_label'"):
        annotator(CLEAN, X, rng(0), worse_label=torch.cat([said[2:], torch.tensor([-1, -1])]))


def test_each_example_has_a_distribution_of_its_own():
    probs = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.0, 1.0, 0.0, 0.0]]).double().repeat(5000, 1)
    y = torch.zeros(10_000).long()
    said = DrawnFrom("p")(Labels(y, K), torch.zeros(10_000, 1), rng(0), p=probs).labels
    shares = torch.bincount(said[::2], minlength=K) / 5000
    torch.testing.assert_close(shares, torch.tensor([0.1, 0.2, 0.3, 0.4]), atol=0.02, rtol=0)
    assert (said[1::2] == 1).all()
    with pytest.raises(ValueError, match=r"expected 'p' of shape \(400, 4\), got \(10000, 4\)"):
        DrawnFrom("p")(CLEAN, X, rng(0), p=probs)


def test_draws_are_paired_with_those_of_a_matrix():
    """The same rows give the same labels as a transition matrix would at the same stream."""
    noise = Symmetric(0.4)
    rows = noise.transition(K)[Y]
    assert torch.equal(DrawnFrom("p")(CLEAN, X, rng(3), p=rows).labels, noise(CLEAN, X, rng(3)).labels)


def test_dealing_anew_keeps_the_matrix_count_by_count_and_nothing_else():
    half = torch.where(torch.arange(N) < N // 2, Y, (Y + 1) % K)  # wrong in the second half only
    inner = HumanLabels("h")
    dealt = DealtAnew(inner)
    assert dealt.needs == ("h",)
    said = dealt(CLEAN, X, rng(1), h=half).labels
    assert torch.equal(observed_transition(Y, said, K), observed_transition(Y, half, K))
    wrong = (said != Y).double()
    assert abs(float(wrong[: N // 2].mean()) - 0.5) < 0.1 and float(wrong.mean()) == 0.5
    assert not torch.equal(said, dealt(CLEAN, X, rng(2), h=half).labels)


def test_candidate_sets_are_dealt_anew_within_their_class():
    """All sets of a class stay, sizes and combinations; who has which does not, nor what was revealed of it."""
    beliefs = torch.rand(N, K, generator=torch.Generator().manual_seed(0)).double()
    inner = InstanceCandidates(0.8, beliefs="h", reveal=True)
    looks, dealt = inner(CLEAN, X, rng(1), h=beliefs), DealtAnew(inner)(CLEAN, X, rng(1), h=beliefs)
    assert looks.weights is not None and dealt.weights is None and not torch.equal(looks.mask, dealt.mask)
    assert dealt.mask.gather(1, Y[:, None]).all()
    for c in range(K):
        assert sorted(looks.mask[CLEAN.labels == c].tolist()) == sorted(dealt.mask[CLEAN.labels == c].tolist())
    rival = beliefs.scatter(1, Y[:, None], -1.0).argmax(1, keepdim=True)
    assert looks.mask.gather(1, rival).double().mean() > dealt.mask.gather(1, rival).double().mean() + 0.1


def test_only_the_right_labels_say_something():
    inner = PairFlip(0.3)
    told, oracle = inner(CLEAN, X, rng(5)).labels, OnlyTheRight(inner)(CLEAN, X, rng(5))
    assert isinstance(oracle, Candidates) and OnlyTheRight(HumanLabels("h")).needs == ("h",)
    for i in range(N):
        expected = [c == Y[i] for c in range(K)] if told[i] == Y[i] else [True] * K
        assert oracle.mask[i].tolist() == expected
    assert 0.2 < float(oracle.mask.all(1).double().mean()) < 0.4
    z = torch.randn(N, K, requires_grad=True)
    lk.losses.evidence_nll(z, oracle).sum().backward()
    assert (z.grad[told != Y].abs() < 1e-6).all() and (z.grad[told == Y].abs().sum(1) > 0).all()


def test_the_observed_matrix_is_counted_by_row():
    clean, given = torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1, 1, 1])
    torch.testing.assert_close(
        observed_transition(clean, given, 3), torch.tensor([[1 / 3, 2 / 3, 0], [0, 1, 0], [0, 0, 1]]).double()
    )


def test_the_weak_annotator_errs_as_often_as_it_says_and_where_classes_look_alike(weak):
    probs = weak.side["weak"]
    torch.testing.assert_close(probs.sum(1), torch.ones(weak.n).double())
    right = probs.gather(1, weak.y[:, None])[:, 0]
    assert 1 - float(right.mean()) == pytest.approx(0.393, abs=0.01)
    assert float(right.std()) > 0.2  # some examples are easy, some are hopeless; a matrix knows classes only
    set_to = weak_posterior(lk.load("digits"), rate=0.5).side["weak"]
    assert 1 - float(set_to.gather(1, weak.y[:, None]).mean()) == pytest.approx(0.5, abs=1e-6)
    with pytest.raises(ValueError, match=r"wrong at rates from 0\.2\d+ to 0\.900, not 0\.1; let it see more pixels"):
        weak_posterior(lk.load("digits"), rate=0.1)
    with pytest.raises(ValueError, match="folds is at least 2, got 1"):
        weak_posterior(lk.load("digits"), folds=1)


def test_beliefs_are_out_of_fold(weak):
    """An example whose clean label is changed does not change the belief about itself."""
    data = lk.load("digits")
    y = data.y.clone()
    y[7] = (y[7] + 1) % 10
    changed = weak_posterior(replace(data, y=y)).side["weak"]
    torch.testing.assert_close(changed[7], weak.side["weak"][7])
    assert not torch.allclose(changed, weak.side["weak"])


def test_tables_are_seen_through_their_first_components():
    data = weak_posterior(lk.load("wine"), pixels=(1, 2))
    assert data.side["weak"].shape == (178, 3)


def test_in_a_fleet_arms_share_their_labels_up_to_the_deal(weak):
    options = dict(methods=lk.methods.CrossEntropy(), seeds=2, epochs=1, compile=False, progress=False)
    noise = DrawnFrom()
    a, b = (lk.fit(weak, annotator, **options) for annotator in (noise, DealtAnew(noise)))
    for one, other in zip(a, b):
        (p, q), truth = (r.given["labels"] for r in (one, other)), weak.y[one.index["validation"]]
        assert torch.equal(observed_transition(truth, p, 10), observed_transition(truth, q, 10))
        assert not torch.equal(p, q)
