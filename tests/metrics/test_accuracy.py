"""Accuracy and proper scores against scikit-learn and by hand."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss

from labkit.metrics import accuracy, brier, error, mean_confidence, mean_entropy, nll
from labkit.streams import generator


def example(runs: int, n: int, K: int, scale: float = 2.0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = generator(0, "data", runs, n, K)
    return torch.from_numpy(rng.normal(0, scale, (runs, n, K))), torch.from_numpy(rng.integers(0, K, (runs, n)))


@pytest.mark.parametrize("K", [2, 3, 10])
def test_peer(K):
    logits, labels = example(4, 60, K)
    p = logits.softmax(-1).numpy()
    for run in range(4):
        y = labels[run].numpy()
        assert accuracy(logits, labels)[run].item() == pytest.approx(accuracy_score(y, p[run].argmax(1)), abs=1e-15)
        assert nll(logits, labels)[run].item() == pytest.approx(log_loss(y, p[run], labels=range(K)), abs=1e-12)
        by_class = sum(brier_score_loss(y == k, p[run, :, k]) for k in range(K))  # each class against the rest
        assert brier(logits, labels)[run].item() == pytest.approx(by_class, abs=1e-12)


def test_brier_of_two_classes_is_twice_the_binary_score():
    logits, labels = example(1, 50, 2)
    half = brier_score_loss(labels[0].numpy(), logits[0].softmax(-1)[:, 1].numpy())
    assert brier(logits, labels)[0].item() == pytest.approx(2 * half, abs=1e-13)


def test_by_hand():
    logits = torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]], dtype=torch.float64).log()
    labels = torch.tensor([1, 0])
    assert nll(logits, labels).item() == pytest.approx(-(math.log(0.3) + math.log(0.6)) / 2, abs=1e-15)
    assert brier(logits, labels).item() == pytest.approx(((0.04 + 0.49 + 0.25) + (0.16 + 0.09 + 0.01)) / 2, abs=1e-15)
    assert mean_confidence(logits).item() == pytest.approx(0.55, abs=1e-15)
    h = -sum(p * math.log(p) for p in (0.2, 0.3, 0.5, 0.6, 0.3, 0.1)) / 2
    assert mean_entropy(logits).item() == pytest.approx(h, abs=1e-15)
    assert accuracy(logits, labels).item() == error(logits, labels).item() == 0.5


def test_ties_go_to_the_lower_index():
    logits = torch.tensor([[1.0, 1.0, 0.0], [0.0, 2.0, 2.0], [3.0, 3.0, 3.0]])
    assert accuracy(logits, torch.tensor([0, 1, 0])).item() == 1.0
    assert accuracy(logits, torch.tensor([1, 2, 2])).item() == 0.0


def test_predictions_come_from_logits_where_probabilities_round_to_a_tie():
    logits = torch.tensor([[0.0, 1e-17, -5.0]], dtype=torch.float64)
    assert logits.softmax(-1)[0, 0] == logits.softmax(-1)[0, 1]
    assert accuracy(logits, torch.tensor([1])).item() == 1.0
    close = torch.tensor([[1.0, 1.0 + 1e-12, 0.0]], dtype=torch.float64)  # equal in float32
    assert accuracy(close, torch.tensor([1])).item() == 1.0


def test_ranges_and_constants():
    sure = torch.tensor([[1e4, 0.0, 0.0], [0.0, 0.0, 1e4]])
    right, wrong = torch.tensor([0, 2]), torch.tensor([1, 1])
    assert brier(sure, right) == 0 and nll(sure, right) == 0 and mean_entropy(sure) == 0 and mean_confidence(sure) == 1
    assert brier(sure, wrong) == 2 and nll(sure, wrong) == 1e4  # the probability is 0 in float64, its log is not
    flat = torch.zeros(5, 4)
    assert nll(flat, torch.tensor([0, 1, 2, 3, 0])).item() == pytest.approx(math.log(4), abs=1e-15)
    assert mean_entropy(flat).item() == pytest.approx(math.log(4), abs=1e-15)
    assert brier(flat, torch.tensor([0, 1, 2, 3, 0])).item() == pytest.approx(0.75, abs=1e-15)
    one = torch.zeros(5, 1)
    assert accuracy(one, torch.zeros(5, dtype=torch.long)) == 1 and nll(one, torch.zeros(5, dtype=torch.long)) == 0


def test_sums_over_many_examples_in_float32_keep_their_digits():
    logits = torch.tensor([0.1, 0.0], dtype=torch.float32).expand(300_000, 2)
    expected = math.log1p(math.exp(-float(logits[0, 0])))
    assert nll(logits, torch.zeros(300_000, dtype=torch.long)).item() == pytest.approx(expected, abs=1e-15)
