"""Overlap scores against scikit-learn and the losses, alone and among other runs."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import f1_score, jaccard_score

from labkit import losses, metrics

N, K = 200, 4


def random(seed: int = 0, runs: int = 3):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(runs, N, K, generator=g), torch.randint(0, K, (runs, N), generator=g)


def test_equal_to_scikit_learn():
    logits, labels = random()
    iou = [jaccard_score(y, z.argmax(-1), average="macro") for z, y in zip(logits, labels)]
    torch.testing.assert_close(metrics.miou(logits, labels), torch.tensor(iou, dtype=torch.float64))
    f1 = [f1_score(y, z.argmax(-1), average="macro", labels=[1, 2, 3]) for z, y in zip(logits, labels)]
    torch.testing.assert_close(metrics.dice(logits, labels), torch.tensor(f1, dtype=torch.float64))


def test_dice_and_iou_of_one_mask_are_functions_of_each_other():
    logits, labels = random(1)
    logits, labels = logits[..., :2], labels % 2
    said, true = logits.argmax(-1).bool(), labels.bool()
    iou = (said & true).sum(-1).double() / (said | true).sum(-1)
    torch.testing.assert_close(metrics.dice(logits, labels), 2 * iou / (1 + iou))


def test_hard_scores_are_one_minus_the_losses_on_hard_masks():
    logits, labels = random(2)
    hot = torch.nn.functional.one_hot
    said, true = hot(logits.argmax(-1), K).double(), hot(labels, K).double()
    expected = torch.stack([1 - losses.overlap(s[None], t[None], "jaccard") for s, t in zip(said, true)])
    torch.testing.assert_close(metrics.miou(logits, labels), expected)


def test_absent_classes_count_as_right_and_a_wrong_one_as_wrong():
    labels = torch.zeros(5, dtype=torch.long)
    right = torch.tensor([[3.0, 0, 0]] * 5)
    assert metrics.miou(right, labels) == 1 and metrics.dice(right, labels) == 1
    one_off = right.clone()
    one_off[0] = torch.tensor([0, 0, 3.0])
    torch.testing.assert_close(metrics.miou(one_off, labels).item(), (0.8 + 1 + 0) / 3)
    assert metrics.dice(one_off, labels) == 0.5


def test_soft_dice_is_one_minus_dml1():
    logits, _ = random(3)
    target = torch.rand(N, K, generator=torch.Generator().manual_seed(0)).double()
    target = target / target.sum(-1, keepdim=True)
    x = logits.double().softmax(-1)
    expected = 1 - losses.dice_semimetric_1(x[..., 1:].mT, target[..., 1:].mT.expand(3, -1, -1)).mean(-1)
    torch.testing.assert_close(metrics.soft_dice_score(logits, target), expected)
    assert metrics.soft_dice_score(target.log(), target) == pytest.approx(1.0)


@pytest.mark.parametrize("score", [metrics.miou, metrics.dice])
def test_alone_as_among_others_and_nan_for_diverged_runs(score):
    logits, labels = random(4)
    together = score(logits, labels)
    assert together.shape == (3,) and together.dtype == torch.float64
    assert torch.equal(score(logits[1], labels[1]), together[1])
    logits[0, 3, 0] = torch.nan
    again = score(logits, labels)
    assert again[0].isnan() and torch.equal(again[1:], together[1:])


def test_both_are_named_metrics():
    assert all(metrics.metric(name).higher_is_better for name in ("miou", "dice"))


def test_soft_dice_checks_its_target():
    logits, labels = random(5)
    with pytest.raises(TypeError, match="target must be a floating-point tensor"):
        metrics.soft_dice_score(logits, labels)
    with pytest.raises(ValueError, match="expected"):
        metrics.soft_dice_score(logits, torch.rand(N, K + 1))
