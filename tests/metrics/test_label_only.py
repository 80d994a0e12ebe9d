"""Validation without clean labels: by hand, against loops, and unbiased by enumeration of all labels."""

from __future__ import annotations

import math

import pytest
import torch

from labkit.annotate import biased_complement, uniform_complement
from labkit.evidence import Candidates, Complementary
from labkit.metrics import (
    accuracy,
    approximated_accuracy,
    complementary_risk,
    covering_rate,
    mean_confidence,
    nll,
    unbiased_accuracy,
    unbiased_risk,
)
from labkit.streams import generator

BY_LABEL = (unbiased_accuracy, unbiased_risk, complementary_risk)
ALL = (covering_rate, approximated_accuracy, *BY_LABEL)


def example(runs=3, n=40, K=5):
    rng = generator(0, "data", runs, n, K)
    logits = torch.from_numpy(rng.normal(0, 2, (runs, n, K)))
    sets = torch.from_numpy(rng.random((runs, n, K)) < 0.4)
    sets[..., 0] |= ~sets.any(-1)
    sets[..., 1] &= ~sets.all(-1)
    return logits, sets


def noisy(K=5):
    return 0.9 * biased_complement(K, "weak", seed=3) + 0.1 * torch.eye(K, dtype=torch.float64)


def test_by_hand():
    p = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.2, 0.2, 0.6]], dtype=torch.float64)
    sets = torch.tensor([[1, 1, 0], [1, 0, 1], [1, 1, 1]]).bool()
    assert covering_rate(p.log(), sets).item() == pytest.approx(2 / 3)
    assert approximated_accuracy(p.log(), sets).item() == pytest.approx((0.5 / 0.8 + 0 + 0.6) / 3)
    said = Complementary(torch.tensor([2, 1, 0]), 3).excluded  # the second prediction is excluded
    assert unbiased_accuracy(p.log(), said).item() == pytest.approx((1 + (1 - 2) + 1) / 3)
    log = [[math.log(v) for v in row] for row in p.tolist()]
    risk = [-sum(row) + 2 * row[label] for row, label in zip(log, (2, 1, 0))]
    assert unbiased_risk(p.log(), said).item() == pytest.approx(sum(risk) / 3)
    costs = [-math.log((1 - row[label]) / 2) for row, label in zip(p.tolist(), (2, 1, 0))]
    assert complementary_risk(p.log(), said).item() == pytest.approx(sum(costs) / 3)


@pytest.mark.parametrize("transition", [None, noisy()])
def test_against_loops(transition):
    logits, sets = example()
    q = uniform_complement(5) if transition is None else transition
    inverse = torch.linalg.inv(q).tolist()
    for r in range(len(logits)):
        told = dict.fromkeys(ALL, 0.0)
        for z, s in zip(logits[r], sets[r]):
            p = z.softmax(0).tolist()
            j, inside = max(range(5), key=p.__getitem__), [k for k in range(5) if s[k]]
            told[covering_rate] += j in inside
            told[approximated_accuracy] += p[j] / sum(p[k] for k in inside) if j in inside else 0
            for label in inside:  # the same sets taken as excluded classes
                foretold = sum(p[c] * q[c][label].item() for c in range(5))
                told[unbiased_accuracy] += inverse[label][j] / len(inside)
                told[unbiased_risk] += sum(inverse[label][c] * -math.log(p[c]) for c in range(5)) / len(inside)
                told[complementary_risk] -= math.log(foretold) / len(inside)
        for metric, value in told.items():
            options = (transition,) if metric in BY_LABEL else ()
            assert metric(logits, sets, *options)[r].item() == pytest.approx(value / 40, abs=1e-9)


@pytest.mark.parametrize("q", [uniform_complement(5), biased_complement(5, "strong"), noisy()])
def test_unbiased_over_all_labels(q):
    logits, _ = example(1, 12, 5)
    truth = torch.from_numpy(generator(1, "data").integers(0, 5, 12))
    expected = {m: 0.0 for m in BY_LABEL}
    for i in range(12):
        for label in range(5):
            said = Complementary(torch.tensor([label]), 5).excluded
            for m in expected:
                expected[m] += q[truth[i], label] * m(logits[0, i : i + 1], said, q) / 12
    assert expected[unbiased_accuracy].item() == pytest.approx(accuracy(logits[0], truth).item(), abs=1e-9)
    assert expected[unbiased_risk].item() == pytest.approx(nll(logits[0], truth).item(), abs=1e-8)


def test_complementary_risk_is_least_for_the_right_posterior():
    q, eta = noisy(), torch.tensor([0.6, 0.2, 0.1, 0.07, 0.03], dtype=torch.float64)
    said = torch.eye(5, dtype=torch.bool)
    cost = lambda p: sum((eta @ q)[k] * complementary_risk(p.log()[None], said[k : k + 1], q) for k in range(5))
    rng = generator(2, "data")
    others = [torch.from_numpy(rng.dirichlet([1] * 5)) for _ in range(30)]
    assert all(cost(eta) < cost(p) for p in others)


def test_the_price_of_a_complementary_label_is_k_minus_one():
    K, e = 10, 0.2  # a model that errs on a fifth
    excluded = e / (K - 1)
    variance = excluded * (1 - (K - 1)) ** 2 + (1 - excluded) - (1 - e) ** 2
    assert variance / (e * (1 - e)) == pytest.approx((K - 1 - e) / (1 - e))
    right, said_so = torch.zeros(1, K), torch.eye(K, dtype=torch.bool)[:1]
    right[0, 0] = 1.0
    assert unbiased_accuracy(right, said_so).item() == pytest.approx(1 - (K - 1))
    assert unbiased_accuracy(right, said_so.roll(1, 1)).item() == pytest.approx(1)


def test_identities():
    logits, sets = example()
    one = torch.zeros_like(sets).scatter(-1, sets.int().argmax(-1, keepdim=True), True)
    assert torch.allclose(unbiased_accuracy(logits, one), 1 - 4 * (1 - covering_rate(logits, ~one)))
    truth = sets.int().argmax(-1)  # all other classes excluded: ordinary labels
    assert torch.allclose(unbiased_accuracy(logits, ~one), accuracy(logits, truth))
    assert torch.allclose(unbiased_risk(logits, ~one), nll(logits, truth))
    for metric in (covering_rate, approximated_accuracy):
        assert torch.allclose(metric(logits, one), accuracy(logits, truth))
    full = torch.ones_like(sets)
    assert (covering_rate(logits, full) == 1).all()
    assert torch.allclose(approximated_accuracy(logits, full), mean_confidence(logits))  # below 1


def test_the_covering_rate_is_what_evidence_calls_agreement():
    logits, sets = example()
    for z, s in zip(logits, sets):
        assert covering_rate(z, s).item() == pytest.approx(Candidates(s).agreement(z).item())


def test_an_impossible_set_is_not_a_right_answer():
    """The public benchmark counts 1 here: its candidates' shares are all 0, so nothing is left over to be wrong."""
    logits, sets = torch.tensor([[80.0, 0.0, 1.0]]), torch.tensor([[False, True, True]])
    share = logits.softmax(-1) * sets
    theirs = 1 - (share / (share.sum(-1, keepdim=True) + 1e-12))[:, 1:].sum().item()
    assert theirs == pytest.approx(1, abs=1e-6)
    assert approximated_accuracy(logits, sets).item() == 0


def test_examples_weigh_alike_in_any_batch():
    """Public toolkits average the means of batches: 256 and 16 examples count the same."""
    logits, sets = example(1, 272, 4)
    alone = unbiased_risk(logits[0], sets[0]).item()
    parts = [unbiased_risk(logits[0, a:b], sets[0, a:b]).item() for a, b in ((0, 256), (256, 272))]
    assert alone == pytest.approx((256 * parts[0] + 16 * parts[1]) / 272)
    assert abs(alone - sum(parts) / 2) > 0.01


@pytest.mark.parametrize("metric", ALL)
def test_runs(metric):
    logits, sets = example()
    among = metric(logits, sets)
    assert among.shape == (3,) and among.dtype == torch.float64
    assert metric(logits[1], sets[1]).item() == among[1].item()
    assert torch.equal(metric(logits, sets[0])[0], among[0])  # sets shared by all runs
    broken = logits.clone()
    broken[0, 3, 2] = torch.nan
    assert metric(broken, sets)[0].isnan() and torch.equal(metric(broken, sets)[1:], among[1:])
    extreme = metric(torch.tensor([[1e4, -1e4, 0.0]]), torch.tensor([[True, False, False]]))
    assert extreme.isfinite()


def test_errors():
    logits, sets = example()
    with pytest.raises(TypeError, match="boolean"):
        covering_rate(logits, sets.double())
    with pytest.raises(ValueError, match="expected"):
        covering_rate(logits, sets[:, :7])
    with pytest.raises(ValueError, match="no class in its set"):
        covering_rate(logits, torch.zeros_like(sets))
    with pytest.raises(ValueError, match="no inverse"):
        unbiased_risk(logits, sets, torch.full((5, 5), 0.2))
    with pytest.raises(ValueError, match="transition matrix"):
        complementary_risk(logits, sets, torch.eye(4))
    with pytest.raises(TypeError, match="floating-point"):
        unbiased_accuracy(logits.long(), sets)
