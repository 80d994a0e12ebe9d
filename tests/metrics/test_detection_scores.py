"""AUROC and FPR95 against scikit-learn, pairs in a loop, and ties."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score, roc_curve

from labkit.metrics import fpr_at_recall, ood_auroc
from labkit.streams import generator


def scores(n: int, m: int, coarse: bool, seed: int = 0):
    rng = generator(seed, "data", n, m)
    inside, outside = rng.normal(1, 1, n), rng.normal(0, 1, m)
    if coarse:
        inside, outside = inside.round(), outside.round()
    return torch.from_numpy(inside), torch.from_numpy(outside)


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("n, m", [(1, 1), (7, 30), (200, 90), (20, 20)])
def test_peer(n, m, coarse):
    inside, outside = scores(n, m, coarse)
    truth, score = np.r_[np.ones(n), np.zeros(m)], torch.cat([inside, outside]).numpy()
    assert ood_auroc(inside, outside).item() == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
    pairs = [(a > b) + 0.5 * (a == b) for a in inside.tolist() for b in outside.tolist()]
    assert ood_auroc(inside, outside).item() == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)
    for recall in (0.5, 0.95, 1.0):
        fpr, tpr, _ = roc_curve(truth, score, drop_intermediate=False)
        expected = fpr[np.argmax(tpr >= recall - 1e-12)]
        assert fpr_at_recall(inside, outside, recall).item() == pytest.approx(expected, abs=1e-12)


def test_by_hand():
    inside = torch.arange(20.0)  # 95 % of them is 19: those from 1 up
    assert fpr_at_recall(inside, torch.tensor([0.5, 0.0, -1.0, 1.0])).item() == 0.25
    assert fpr_at_recall(inside, torch.tensor([0.5]), 1.0).item() == 1.0
    constant = torch.full((5,), 0.3)
    assert ood_auroc(constant, constant).item() == 0.5 and fpr_at_recall(constant, constant).item() == 1.0
    assert ood_auroc(constant + 1, constant).item() == 1.0 and fpr_at_recall(constant + 1, constant).item() == 0.0


def test_runs_broadcast_and_diverged_runs():
    inside = torch.stack([scores(30, 20, True, s)[0] for s in range(4)])
    outside = scores(30, 20, True, 9)[1]
    for f in (ood_auroc, fpr_at_recall):
        together = f(inside, outside)
        assert together.shape == (4,) and together.dtype == torch.float64
        assert together.tolist() == [f(row, outside).item() for row in inside]
        broken = inside.clone()
        broken[1, 3] = math.nan
        assert f(broken, outside).isnan().tolist() == [False, True, False, False]


def test_errors():
    inside, outside = scores(5, 6, False)
    for f in (ood_auroc, fpr_at_recall):
        with pytest.raises(TypeError, match="inside must be a floating-point tensor"):
            f(inside.long(), outside)
        with pytest.raises(ValueError, match="outside must hold at least one"):
            f(inside, outside[:0])
        with pytest.raises(ValueError, match="run axes"):
            f(inside.expand(3, 5), outside.expand(2, 6))
    for recall in (0, 95, -1):
        with pytest.raises(ValueError, match=r"0\.95 for FPR95"):
            fpr_at_recall(inside, outside, recall)
