"""Calibration errors against slow loops, torchmetrics and hand-made cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_calibration_error

from labkit.metrics import brier, classwise_ece, ece, mce, reliability
from labkit.metrics.calibration import _bin
from labkit.streams import generator

DIGITS = 1e-13


def example(n: int, K: int, scale: float = 2.0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = generator(seed, "data", n, K)
    logits = torch.from_numpy(rng.normal(0, scale, (n, K)))
    return logits, torch.from_numpy(np.where(rng.random(n) < 0.6, logits.argmax(-1), rng.integers(0, K, n)))


def binary(confidence: list[float]) -> torch.Tensor:
    """Two-class logits whose first class is predicted with about that confidence, at least 1/2."""
    p = torch.tensor(confidence, dtype=torch.float64)
    return torch.stack([torch.logit(p), torch.zeros_like(p)], -1)


ADVERSARIAL = {
    "ties": (torch.tensor([[2.0, 0.0, 0.0]] * 9 + [[0.0, 1.0, 0.0]] * 8 + [[1.0, 1.0, 0.0]] * 6), torch.arange(23) % 3),
    "empty bins": (binary([0.52] * 3 + [0.99] * 5), torch.arange(8) % 2),
    "one class only": (example(40, 4)[0], torch.full((40,), 2)),
    "one class predicted": (example(40, 4)[0] + torch.tensor([0.0, 90.0, 0.0, 0.0]), torch.arange(40) % 4),
    "probabilities 0 and 1": (torch.eye(4).repeat(5, 1) * 1e4, torch.arange(20) // 3 % 4),
    "one example": (torch.tensor([[0.0, 1.0, 0.3]]), torch.tensor([2])),
    "few examples": (example(4, 3)[0], torch.tensor([0, 1, 2, 0])),
    "random": example(500, 10, 1.0),
    "two classes": example(300, 2),
}
cases = pytest.mark.parametrize("case", ADVERSARIAL)


# Independent slow loops ------------------------------------------------------------------------------------------

def slow_bins(scores: list[float], bins: int, binning: str) -> list[int]:
    if binning == "width":
        return [next(b for b in range(bins) if s <= (b + 1) / bins) for s in scores]
    pieces = [set(piece.tolist()) for piece in np.array_split(np.sort(scores), bins)]  # first n mod bins one longer
    return [next(b for b in range(bins) if s in pieces[b]) for s in scores]


def slow_gaps(scores, hits, bins, binning):
    """(count, mean score, mean hit) of every bin, None where empty."""
    where = slow_bins(scores, bins, binning)
    rows = []
    for b in range(bins):
        inside = [i for i, w in enumerate(where) if w == b]
        rows.append((len(inside), math.fsum(scores[i] for i in inside) / len(inside),
                     sum(hits[i] for i in inside) / len(inside)) if inside else None)
    return rows


def slow_error(scores, hits, bins, binning):
    rows = [r for r in slow_gaps(scores, hits, bins, binning) if r]
    return sum(c * abs(s - h) for c, s, h in rows) / len(scores), max(abs(s - h) for _, s, h in rows)


def top(logits, labels):
    p = logits.double().softmax(-1)
    hits = [int(row.index(max(row)) == y) for row, y in zip(logits.tolist(), labels.tolist())]
    return p.max(-1).values.tolist(), hits


@cases
@pytest.mark.parametrize("binning", ["width", "mass"])
@pytest.mark.parametrize("bins", [1, 4, 15, 40])
def test_slow_loops(case, binning, bins):
    logits, labels = ADVERSARIAL[case]
    scores, hits = top(logits, labels)
    mean_gap, max_gap = slow_error(scores, hits, bins, binning)
    assert ece(logits, labels, bins, binning).item() == pytest.approx(mean_gap, abs=DIGITS)
    assert mce(logits, labels, bins, binning).item() == pytest.approx(max_gap, abs=DIGITS)
    p, K = logits.double().softmax(-1), logits.shape[-1]
    each = [slow_error(p[:, k].tolist(), (labels == k).int().tolist(), bins, binning)[0] for k in range(K)]
    assert classwise_ece(logits, labels, bins, binning).item() == pytest.approx(sum(each) / K, abs=DIGITS)


@cases
@pytest.mark.parametrize("binning", ["width", "mass"])
def test_reliability(case, binning):
    logits, labels = ADVERSARIAL[case]
    curve = reliability(logits, labels, 12, binning)
    scores, hits = top(logits, labels)
    for b, row in enumerate(slow_gaps(scores, hits, 12, binning)):
        if row is None:
            assert curve.count[b] == 0 and curve.confidence[b].isnan() and curve.accuracy[b].isnan()
            continue
        got = (curve.count[b].item(), curve.confidence[b].item(), curve.accuracy[b].item())
        assert got == pytest.approx(row, abs=DIGITS)
        assert curve.lower[b] - DIGITS <= curve.confidence[b] <= curve.upper[b] + DIGITS
    assert curve.lower[0] == 0 and torch.equal(curve.upper[:-1], curve.lower[1:])
    assert curve.upper[-1].item() == pytest.approx(1.0 if binning == "width" else max(scores), abs=DIGITS)
    gap = (curve.count * (curve.confidence - curve.accuracy).abs()).nansum() / len(hits)
    assert gap.item() == pytest.approx(ece(logits, labels, 12, binning).item(), abs=DIGITS)


# The peer --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("case", [c for c in ADVERSARIAL if c != "one class predicted"])
def test_torchmetrics(case):
    logits, labels = ADVERSARIAL[case]
    p = logits.double().softmax(-1)  # probabilities: the peer takes logits that happen to lie in [0, 1] for such
    for norm, ours in (("l1", ece), ("max", mce)):
        theirs = multiclass_calibration_error(p, labels, num_classes=logits.shape[-1], n_bins=15, norm=norm)
        assert ours(logits, labels).item() == pytest.approx(theirs.item(), abs=2e-6)  # the peer rounds to float32


def test_torchmetrics_differs_only_on_the_edges():
    """The peer's bins are [lo, hi) with one more for a confidence of exactly 1; ours, as published, are (lo, hi]."""
    logits, labels = binary([0.96] * 4), torch.tensor([0, 0, 0, 1])
    logits, labels = torch.cat([logits, torch.tensor([[800.0, 0.0]] * 4)]), torch.cat([labels, torch.tensor([0] * 4)])
    p = logits.softmax(-1)
    assert (p.amax(-1) == 1).sum() == 4
    theirs = multiclass_calibration_error(p, labels, num_classes=2, n_bins=15, norm="l1").item()
    assert theirs == pytest.approx((4 * abs(0.96 - 0.75) + 4 * abs(1 - 1)) / 8, abs=1e-6)  # two bins
    assert ece(logits, labels).item() == pytest.approx(abs(4 * 0.96 + 4 - 7) / 8, abs=DIGITS)  # one
    all_one = logits[4:], labels[4:]
    assert ece(*all_one).item() == multiclass_calibration_error(p[4:], labels[4:], num_classes=2, n_bins=15).item() == 0


# Binning ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("K, bins, expected", [(3, 15, 4), (5, 15, 2), (5, 10, 1), (2, 2, 0), (4, 4, 0), (1, 15, 14)])
def test_a_score_on_an_edge_belongs_to_the_bin_below_it(K, bins, expected):
    curve = reliability(torch.zeros(6, K), torch.zeros(6, dtype=torch.long), bins)
    assert curve.count.tolist() == [6.0 if b == expected else 0.0 for b in range(bins)]


@pytest.mark.parametrize("bins", [1, 3, 7, 15, 49, 100])
def test_edges_are_correctly_rounded(bins):
    curve = reliability(*example(5, 3), bins)
    assert curve.upper.tolist() == [(b + 1) / bins for b in range(bins)]


@pytest.mark.parametrize("bins", [1, 2, 3, 7, 10, 15, 49, 100])
def test_the_bin_of_a_score_is_what_a_search_finds_also_one_step_beside_every_edge(bins):
    edges = torch.arange(bins + 1, dtype=torch.float64) / bins
    beside = [torch.nextafter(edges, torch.full_like(edges, to)) for to in (-1.0, 2.0)]
    scores = torch.cat([edges, *beside, torch.rand(500, dtype=torch.float64)]).clamp(0, 1)
    found = torch.searchsorted(edges[1:].contiguous(), scores).clamp(max=bins - 1)
    assert _bin(scores, bins, "width")[1].equal(found)
    assert _bin(scores[None].expand(3, -1), bins, "width")[1].equal(found.expand(3, -1))


def test_predictions_come_from_logits_where_probabilities_round_to_a_tie():
    logits = torch.tensor([[0.0, 1e-17]], dtype=torch.float64)
    for f in (ece, mce):
        assert (f(logits, torch.tensor([1])).item(), f(logits, torch.tensor([0])).item()) == (0.5, 0.5)
    assert reliability(logits, torch.tensor([1])).accuracy.nansum() == 1


def test_zero_probability_is_in_the_first_bin_and_counts():
    logits = torch.tensor([[0.0, -1e4], [0.0, -1e4], [0.0, -1e4], [-1e4, 0.0]])
    labels = torch.tensor([0, 0, 1, 1])
    # both classes: bins {0} and {1}; class 0: p=1 three times, right twice; p=0 once, right: gap 1/4 + 0
    assert classwise_ece(logits, labels).item() == pytest.approx(0.25, abs=DIGITS)


def test_classwise_counts_every_class():
    logits, labels = example(50, 3)
    wider = torch.cat([logits, torch.full((50, 3), -1e4)], 1)  # three classes that nothing ever predicts
    assert classwise_ece(wider, labels).item() == pytest.approx(classwise_ece(logits, labels).item() / 2, abs=DIGITS)


def test_equal_mass_bins_are_equal_without_ties():
    logits, labels = example(47, 4)
    assert reliability(logits, labels, 5, "mass").count.tolist() == [10, 10, 9, 9, 9]
    assert reliability(logits[:3], labels[:3], 5, "mass").count.tolist() == [1, 1, 1, 0, 0]


def test_a_tie_stays_in_the_bin_of_its_lowest_rank():
    values = [0.6, 0.7, 0.7, 0.7, 0.7, 0.8]  # runs of two: 0.6 0.7 | 0.7 0.7 | 0.7 0.8
    curve = reliability(binary(values), torch.zeros(6, dtype=torch.long), 3, "mass")
    assert curve.count.tolist() == [5, 0, 1]
    assert curve.accuracy[0] == 1 and curve.confidence[1].isnan()


def test_equal_mass_does_not_depend_on_the_order_under_heavy_ties():
    rng = generator(3, "data")
    logits = torch.from_numpy(rng.integers(0, 3, (200, 3)) * 1.0)  # a handful of confidences
    labels = torch.from_numpy(rng.integers(0, 3, 200))
    orders = [torch.from_numpy(rng.permutation(200)) for _ in range(8)]
    for f in (ece, mce, classwise_ece):
        values = [f(logits[o], labels[o], 15, "mass").item() for o in orders]
        assert max(values) - min(values) < DIGITS
    naive = []  # cutting the sorted examples wherever the count says, ties or not
    for o in orders:
        p, hit = logits[o].softmax(-1).amax(-1), (logits[o].argmax(-1) == labels[o]).double()
        pieces = np.array_split(p.sort(stable=True).indices.numpy(), 15)
        naive.append(sum(abs((p[i] - hit[i]).sum().item()) for i in pieces) / 200)
    assert max(naive) - min(naive) > 0.005  # the data is such that it matters


def test_what_calibration_means():
    logits = binary([0.8] * 10)
    right = torch.tensor([0] * 8 + [1] * 2)
    for f in (ece, mce, classwise_ece):
        assert f(logits, right).item() == pytest.approx(0, abs=DIGITS)
        assert f(logits, 1 - right).item() == pytest.approx(0.6, abs=DIGITS)
    assert ece(torch.tensor([[1e4, 0.0]] * 3), torch.tensor([1, 1, 1])).item() == 1  # sure and wrong: the largest


def test_errors():
    logits, labels = example(10, 3)
    for f in (ece, mce, classwise_ece, reliability):
        for bins in (0, -1, 2.5, True, None):
            with pytest.raises(ValueError, match="bins must be a whole number from 1"):
                f(logits, labels, bins)
        with pytest.raises(ValueError, match=r"unknown binning 'widht'; did you mean 'width'\?"):
            f(logits, labels, 15, "widht")


# Properties ------------------------------------------------------------------------------------------------------

@st.composite
def batches(draw):
    runs, n, K = draw(st.integers(1, 4)), draw(st.integers(1, 25)), draw(st.integers(1, 5))
    seed, coarse = draw(st.integers(0, 10_000)), draw(st.booleans())
    rng = generator(seed, "data")
    logits = rng.normal(0, draw(st.sampled_from([0.1, 2.0, 1e3])), (runs, n, K))
    logits = np.round(logits) if coarse else logits
    order = torch.from_numpy(rng.permutation(n))
    return torch.from_numpy(logits), torch.from_numpy(rng.integers(0, K, (runs, n))), order


@given(batches(), st.integers(1, 20), st.sampled_from(["width", "mass"]))
@settings(max_examples=25)
def test_properties(batch, bins, binning):
    logits, labels, order = batch
    for f in (ece, mce, classwise_ece):
        value = f(logits, labels, bins, binning)
        assert ((value >= 0) & (value <= 1 + DIGITS)).all()
        assert torch.allclose(f(logits[:, order], labels[:, order], bins, binning), value, rtol=0, atol=DIGITS)
        one_by_one = torch.stack([f(z, y, bins, binning) for z, y in zip(logits, labels)])
        assert torch.equal(one_by_one, value)
    assert (ece(logits, labels, bins, binning) <= mce(logits, labels, bins, binning) + DIGITS).all()
    whole = (logits.softmax(-1).amax(-1) - (logits.argmax(-1) == labels).double()).mean(-1).abs()
    assert (ece(logits, labels, bins, binning) >= whole - DIGITS).all()  # bins only add (triangle inequality)
    assert (ece(logits, labels, bins, binning).square() <= brier(logits, labels) + DIGITS).all()  # Jensen
