"""GenBags: its expectation is a quadratic form, drawn weights agree with it, a common shift hardly counts."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F

from labkit import losses
from labkit.losses.gen_bags import count_errors


def bags(seed=0, number=8, size=3, classes=3, ragged=True):
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(number, size, classes, generator=g, dtype=torch.float64)
    present = torch.arange(size) < (torch.randint(1, size + 1, (number, 1), generator=g) if ragged else size)
    labels = torch.randint(0, classes, (number, size), generator=g)
    return logits, (F.one_hot(labels, classes) * present[..., None]).sum(1).double(), present


def slow(logits, counts, present, block, pairs_weight):
    """The form of the sheet, by loops: sum over classes of d' C d / 2, per member of the block."""
    values, k = [], counts.shape[1]
    p = logits.softmax(-1).tolist()
    for first in range(0, len(counts), block):
        total, members = 0.0, 0
        which = range(first, first + block)
        for c in range(k):
            d = {b: sum(row[c] for row, h in zip(p[b], present[b].tolist()) if h) - float(counts[b, c]) for b in which}
            total += sum(d[a] * d[b] * pairs_weight(a, b) for a, b in itertools.product(which, which))
        members = sum(int(present[b].sum()) for b in which)
        values.append(total / 2 / members)
    return torch.tensor(values, dtype=torch.float64)


def test_the_published_covariance_and_blocks_of_other_sizes():
    four = losses.gen_bags_covariance(4)
    torch.testing.assert_close(four, 1.331 * torch.eye(4, dtype=torch.float64) - 0.33)
    assert float(four.sum()) == pytest.approx(0.044)
    for block in (2, 3, 7):
        c = losses.gen_bags_covariance(block)
        assert float(torch.linalg.eigvalsh(c)[0]) == pytest.approx(0.011, abs=1e-9)
    with pytest.raises(ValueError, match="at least 2 bags, got 1"):
        losses.gen_bags_covariance(1)


@pytest.mark.parametrize("block", [2, 4])
def test_the_expectation_is_the_quadratic_form(block):
    logits, counts, present = bags()
    beside = -0.99 / (block - 1)
    expected = slow(logits, counts, present, block, lambda a, b: 1.001 if a == b else beside)
    value = losses.gen_bags(logits, counts, present, block=block)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
    assert value.shape == (8 // block,)
    run = lambda z: losses.gen_bags(z, counts, present, block=block)
    assert torch.autograd.gradcheck(run, logits.requires_grad_())


def test_drawn_weights_have_the_quadratic_form_as_their_mean():
    logits, counts, present = bags(1)
    factor = torch.linalg.cholesky(losses.gen_bags_covariance())
    normal = torch.randn(2, 200_000, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = losses.gen_bags(logits, counts, present, normal @ factor.mT)
    torch.testing.assert_close(drawn, losses.gen_bags(logits, counts, present), rtol=0.02, atol=0)
    weights = normal[:, :3]  # and a loop over three of them
    d = count_errors(logits, counts, present)
    total = [
        sum(float((weights[g, w] * d[4 * g : 4 * g + 4, c]).sum()) ** 2 for w in range(3) for c in range(3)) / 3
        for g in range(2)
    ]
    members = present.view(2, -1).sum(1)
    expected = torch.tensor([t / 2 / int(m) for t, m in zip(total, members)], dtype=torch.float64)
    torch.testing.assert_close(losses.gen_bags(logits, counts, present, weights), expected, rtol=1e-12, atol=1e-12)


def test_two_classes_are_the_published_binary_form_and_a_common_shift_hardly_counts():
    logits, counts, _ = bags(2, number=4, classes=2, ragged=False)
    d = count_errors(logits, counts)[:, 1]
    c = losses.gen_bags_covariance()
    torch.testing.assert_close(losses.gen_bags(logits, counts)[0], d @ c @ d / 12)
    shift = torch.full((4,), 0.5, dtype=torch.float64)
    assert float(shift @ c @ shift) < 0.02 * float(1.001 * (shift * shift).sum())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_stay_finite_and_right_predictions_cost_nothing(dtype):
    rows = torch.tensor([[1e4, -1e4, 0], [-1e4, 1e4, 1e4], [0.0] * 3, [1e4] * 3], dtype=dtype)
    logits = rows[:, None].requires_grad_()
    value = losses.gen_bags(logits, torch.eye(3)[[0, 1, 2, 0]])
    value.sum().backward()
    assert value.dtype == dtype and value.isfinite().all() and logits.grad.isfinite().all()
    y = torch.tensor([[0, 1], [2, 2], [1, 1], [0, 2]])
    sure = 1e4 * F.one_hot(y, 3).to(dtype)
    assert float(losses.gen_bags(sure, F.one_hot(y, 3).sum(1))) == 0


def test_what_it_refuses():
    logits, counts, present = bags(number=6)
    with pytest.raises(ValueError, match="blocks of 4 bags, and the batch has 6"):
        losses.gen_bags(logits, counts, present)
