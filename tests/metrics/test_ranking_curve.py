from __future__ import annotations

import pytest
import torch
from sklearn.metrics import roc_auc_score

from labkit.metrics import auc, metric


def test_against_scikit_learn_and_by_pairs():
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 50, 2, generator=g).round(decimals=1)  # with ties
    labels = torch.randint(2, (3, 50), generator=g)
    found = auc(logits, labels)
    for z, y, value in zip(logits, labels, found):
        score = (z[:, 1].double() - z[:, 0].double()).tolist()
        assert float(value) == pytest.approx(roc_auc_score(y, score), abs=1e-12)
        won = [(a > b) + (a == b) / 2 for a, i in zip(score, y) if i for b, j in zip(score, y) if not j]
        assert float(value) == pytest.approx(sum(won) / len(won), abs=1e-12)
    torch.testing.assert_close(auc(logits, labels[0])[0], found[0])
    assert metric("auc").higher_is_better


def test_extremes_and_refusals():
    perfect = torch.tensor([[0.0, 1e4], [1e4, 0.0]])
    assert float(auc(perfect, torch.tensor([1, 0]))) == 1 and float(auc(perfect, torch.tensor([0, 1]))) == 0
    assert float(auc(torch.zeros(4, 2), torch.tensor([0, 1, 1, 0]))) == 0.5
    assert auc(perfect, torch.tensor([1, 1])).isnan()


def test_more_classes_are_averaged_over_those_present():
    g = torch.Generator().manual_seed(1)
    logits, labels = torch.randn(2, 60, 4, generator=g), torch.randint(3, (2, 60), generator=g)
    for z, y, value in zip(logits.double(), labels, auc(logits, labels)):
        p = z.softmax(-1)
        each = [roc_auc_score(y == k, p[:, k]) for k in range(3)]  # nobody has class 3
        assert float(value) == pytest.approx(sum(each) / 3, abs=1e-12)
