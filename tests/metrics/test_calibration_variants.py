"""Top-label, squared, debiased and bin-free calibration errors: slow loops, peers, enumeration, hand-made cases."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from test_calibration import ADVERSARIAL, DIGITS, binary, example, slow_bins, slow_error, slow_gaps, top
from torchmetrics.functional.classification import multiclass_calibration_error

from labkit.metrics import classwise_ece, debiased_ece, ece, ks_error, mce, rms_ece, top_label_ece
from labkit.streams import generator

cases = pytest.mark.parametrize("case", ADVERSARIAL)
binnings = pytest.mark.parametrize("binning", ["width", "mass"])


def slow_debiased(scores, hits, bins, binning):
    square = 0.0
    for row in slow_gaps(scores, hits, bins, binning):
        if row and row[0] > 1:
            count, said, was = row
            square += count / len(scores) * ((said - was) ** 2 - was * (1 - was) / (count - 1))
    return square


def slow_top_label(scores, hits, predicted, bins, binning):
    cells: dict[tuple, list[float]] = {}
    for s, h, p, b in zip(scores, hits, predicted, slow_bins(scores, bins, binning)):
        cells.setdefault((p, b), []).append(s - h)
    return sum(abs(math.fsum(cell)) for cell in cells.values()) / len(scores)


def slow_ks(scores, hits):
    return max(abs(math.fsum(s - h for s, h in zip(scores, hits) if s <= t)) for t in set(scores)) / len(scores)


@cases
@binnings
@pytest.mark.parametrize("bins", [1, 4, 15, 40])
def test_slow_loops(case, binning, bins):
    logits, labels = ADVERSARIAL[case]
    scores, hits = top(logits, labels)
    square = slow_debiased(scores, hits, bins, binning)
    assert debiased_ece(logits, labels, bins, binning, squared=True).item() == pytest.approx(square, abs=DIGITS)
    assert debiased_ece(logits, labels, bins, binning).item() == pytest.approx(math.sqrt(max(square, 0)), abs=1e-7)
    squares = sum(r[0] * (r[1] - r[2]) ** 2 for r in slow_gaps(scores, hits, bins, binning) if r) / len(scores)
    assert rms_ece(logits, labels, bins, binning).item() == pytest.approx(math.sqrt(squares), abs=DIGITS)
    predicted = logits.argmax(-1).tolist()
    expected = slow_top_label(scores, hits, predicted, bins, binning)
    assert top_label_ece(logits, labels, bins, binning).item() == pytest.approx(expected, abs=DIGITS)


@cases
def test_slow_ks(case):
    logits, labels = ADVERSARIAL[case]
    assert ks_error(logits, labels).item() == pytest.approx(slow_ks(*top(logits, labels)), abs=DIGITS)


@pytest.mark.parametrize("case", [c for c in ADVERSARIAL if c != "one class predicted"])
def test_torchmetrics_l2(case):
    logits, labels = ADVERSARIAL[case]
    p = logits.double().softmax(-1)
    theirs = multiclass_calibration_error(p, labels, num_classes=logits.shape[-1], n_bins=15, norm="l2")
    assert rms_ece(logits, labels).item() == pytest.approx(theirs.item(), abs=5e-6)  # the peer rounds to float32


@cases
def test_netcal(case):
    """Where it is installed (not asked for: it brings pyro, gpytorch, tensorboard and eleven more packages along)."""
    confidence = pytest.importorskip("netcal.metrics.confidence")
    logits, labels = ADVERSARIAL[case]
    if case == "two classes":  # taken there as a binary problem: P(class 1) is binned, not the confidence
        p = logits.softmax(-1)[:, 1]
        expected = slow_error(p.tolist(), labels.tolist(), 15, "width")
    elif len(labels.unique()) < 3:
        pytest.skip("labels of at most two values count as a binary problem there, whatever the number of classes")
    elif case in ("one class predicted", "probabilities 0 and 1"):
        pytest.skip("bins are [lo, hi) there")
    else:
        p = logits.double().softmax(-1)
        expected = ece(logits, labels).item(), mce(logits, labels).item()
    theirs = [metric(15).measure(p.numpy(), labels.numpy()) for metric in (confidence.ECE, confidence.MCE)]
    assert theirs == pytest.approx(expected, abs=1e-12)


def test_debiased_is_unbiased_by_enumeration():
    """All outcomes of two bins of three examples, each bin with one confidence and one probability of being right."""
    said, true, size = (0.6, 0.9), (0.7, 0.55), 3
    logits = binary([said[0]] * size + [said[1]] * size)
    expected = plain = 0.0
    for outcome in itertools.product((0, 1), repeat=2 * size):
        hits = torch.tensor(outcome)
        chance = math.prod(true[i // size] if h else 1 - true[i // size] for i, h in enumerate(outcome))
        expected += chance * debiased_ece(logits, 1 - hits, 15, "width", squared=True).item()
        plain += chance * rms_ece(logits, 1 - hits).item() ** 2
    exact = sum((s - t) ** 2 for s, t in zip(said, true)) / 2
    assert expected == pytest.approx(exact, abs=1e-12)
    assert plain == pytest.approx(exact + sum(t * (1 - t) / size for t in true) / 2, abs=1e-12)  # what it takes off


def test_bins_of_one_example_give_nothing():
    logits, labels = example(9, 3)
    assert debiased_ece(logits, labels, 9, "mass", squared=True).item() == 0.0
    assert rms_ece(logits, labels, 9, "mass").item() > 0


def test_confidence_hides_what_the_top_label_shows():
    """One class too sure, another not sure enough, by the same amount: together they look calibrated."""
    logits = torch.cat([binary([0.7] * 10), binary([0.7] * 10).flip(-1)])
    labels = torch.tensor([0] * 9 + [1] + [1] * 5 + [0] * 5)  # class 0: 9 of 10 right; class 1: 5 of 10
    assert ece(logits, labels).item() == pytest.approx(0, abs=DIGITS)
    assert ks_error(logits, labels).item() == pytest.approx(0, abs=DIGITS)
    assert top_label_ece(logits, labels).item() == pytest.approx(0.2, abs=DIGITS)
    assert classwise_ece(logits, labels).item() == pytest.approx(0.2, abs=DIGITS)


@binnings
@pytest.mark.parametrize("seed", range(5))
def test_order_of_the_errors(binning, seed):
    logits, labels = example(120, 4, seed=seed)
    logits = logits.round(decimals=seed % 3)  # ties too
    e, r = ece(logits, labels, 15, binning), rms_ece(logits, labels, 15, binning)
    assert e <= top_label_ece(logits, labels, 15, binning) + DIGITS
    assert e <= r + DIGITS and r <= mce(logits, labels, 15, binning) + DIGITS
    assert debiased_ece(logits, labels, 15, binning) <= r + DIGITS
    assert ks_error(logits, labels) <= ece(logits, labels, len(labels), "mass") + DIGITS  # a bin per confidence
    order = torch.from_numpy(generator(seed, "data").permutation(len(labels)))
    for f in (rms_ece, debiased_ece, top_label_ece):
        assert f(logits[order], labels[order], 15, binning).item() == pytest.approx(
            f(logits, labels, 15, binning).item(), abs=1e-7)  # fmt: skip
    assert ks_error(logits[order], labels[order]).item() == pytest.approx(ks_error(logits, labels).item(), abs=DIGITS)


def test_ks_does_not_stop_inside_a_tie():
    logits = binary([0.8] * 10)
    labels = torch.tensor([1, 1, 0, 0, 0, 0, 0, 0, 0, 0])  # the two mistakes first: stopping there would say 0.16
    assert ks_error(logits, labels).item() == pytest.approx(0, abs=DIGITS)


def test_one_class_is_always_calibrated():
    logits, labels = torch.zeros(6, 1), torch.zeros(6, dtype=torch.long)
    for f in (rms_ece, debiased_ece, top_label_ece, ks_error):
        assert f(logits, labels).item() == 0.0


def test_errors():
    logits, labels = example(10, 3)
    for f in (rms_ece, debiased_ece, top_label_ece):
        with pytest.raises(ValueError, match="bins must be a whole number from 1"):
            f(logits, labels, 0)
        with pytest.raises(ValueError, match="unknown binning"):
            f(logits, labels, 15, "widht")
