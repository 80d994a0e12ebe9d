"""The two rankings of RankMixup: slow twins, gradients, extremes, identities, the fault of the authors' code."""

from __future__ import annotations

import math

import pytest
import torch

from labkit import losses

K, N, M = 4, 6, 3


def example(seed: int = 0, scale: float = 2.0):
    g = torch.Generator().manual_seed(seed)
    raw, mixed = (scale * torch.randn(*s, generator=g, dtype=torch.float64) for s in ((N, K), (M, N, K)))
    relevance = 0.5 + 0.5 * torch.rand(M, N, generator=g, dtype=torch.float64)
    return raw, mixed, relevance, torch.rand(N, generator=g) < 0.3


def top(row):
    e = [math.exp(z - max(row)) for z in row]
    return max(e) / sum(e)


def slow_ndcg(raw, mixed, relevance):
    """For one example: ``raw`` (K,), ``mixed`` (M, K), ``relevance`` (M,), all lists."""
    ranked = [(1.0, top(raw)), *sorted(((r, top(z)) for r, z in zip(relevance, mixed)), key=lambda pair: -pair[0])]
    dcg = sum(c / math.log2(place + 2) for place, (_, c) in enumerate(ranked))
    idcg = sum(r / math.log2(place + 2) for place, (r, _) in enumerate(ranked))
    return 1 - min(dcg / idcg, idcg / dcg)


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_slow_twin(seed):
    raw, mixed, relevance, same = example(seed)
    columns = [(raw[i].tolist(), mixed[:, i].tolist(), relevance[:, i].tolist()) for i in range(N)]
    expected = torch.tensor([slow_ndcg(*c) for c in columns], dtype=torch.float64)
    torch.testing.assert_close(losses.mixup_ndcg(raw, mixed, relevance), expected, rtol=1e-12, atol=1e-12)
    for margin in (0.0, 0.1, 2.0):
        hinge = [
            0.0 if s else max(max(b) - max(a) + margin, 0)
            for a, b, s in zip(raw.tolist(), mixed[0].tolist(), same.tolist())
        ]
        found = losses.mixup_ranking(raw, mixed[0], same, margin)
        torch.testing.assert_close(found, torch.tensor(hinge, dtype=torch.float64))


def test_gradients_go_through_raw_and_mixed():
    raw, mixed, relevance, same = example(3)
    raw.requires_grad_(), mixed.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: losses.mixup_ndcg(a, b, relevance), (raw, mixed))
    assert torch.autograd.gradcheck(lambda a, b: losses.mixup_ranking(a, b[0], same, 1.0), (raw, mixed))
    a, b = torch.autograd.grad(losses.mixup_ranking(raw, mixed[0], same, 20.0).sum(), (raw, mixed))
    assert a.any() and b[0].any() and not a[same].any() and not b[0][same].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_stay_finite(dtype):
    raw = torch.tensor([[1e4, -1e4, 0, 0], [-1e4, 1e4, 1e4, 0], [0.0] * 4, [1e4] * 4], dtype=dtype, requires_grad=True)
    mixed = raw.roll(1, 0)[None]
    ndcg = losses.mixup_ndcg(raw, mixed, torch.full((1, 4), 0.7, dtype=dtype))
    ranking = losses.mixup_ranking(raw, mixed[0], torch.tensor([True, False, True, False]), 2.0)
    (ndcg.sum() + ranking.sum()).backward()
    assert ndcg.shape == ranking.shape == (4,) and ndcg.dtype == ranking.dtype == dtype
    assert ndcg.isfinite().all() and ranking.isfinite().all() and raw.grad.isfinite().all()


def two_class(confidence):
    return torch.stack([confidence.log(), (1 - confidence).log()], -1)


def test_confidences_equal_to_the_weights_cost_nothing_and_more_or_less_costs():
    relevance = torch.tensor([[0.9], [0.6], [0.75]], dtype=torch.float64)
    raw = two_class(torch.ones(1, dtype=torch.float64) - 1e-15)
    value = lambda c: float(losses.mixup_ndcg(raw, two_class(c), relevance)[0])
    assert value(relevance) == pytest.approx(0, abs=1e-12)
    assert value(relevance - 0.05) > 0.01
    assert value(relevance + 0.05) > 0.01  # too sure costs too: the minimum of both ratios


def test_order_matters_and_the_order_of_the_mixtures_does_not():
    raw, mixed, relevance, _ = example(4)
    turned = torch.tensor([2, 0, 1])
    found = losses.mixup_ndcg(raw, mixed, relevance)
    torch.testing.assert_close(losses.mixup_ndcg(raw, mixed[turned], relevance[turned]), found)
    relevance = torch.tensor([[0.9], [0.6]], dtype=torch.float64)
    raw = two_class(torch.tensor([0.95], dtype=torch.float64))
    right = losses.mixup_ndcg(raw, two_class(torch.tensor([[0.85], [0.55]], dtype=torch.float64)), relevance)
    wrong = losses.mixup_ndcg(raw, two_class(torch.tensor([[0.55], [0.85]], dtype=torch.float64)), relevance)
    assert right < wrong


def test_the_margin_is_on_logits_and_zero_exactly_when_every_gap_reaches_it():
    raw, mixed, _, _ = example(5)
    none = torch.zeros(N, dtype=torch.bool)
    gap = raw.max(1).values - mixed[0].max(1).values
    assert torch.equal(losses.mixup_ranking(raw, mixed[0], none, 0.5) == 0, gap >= 0.5)
    assert losses.mixup_ranking(raw + 100, mixed[0], none, 0.5).sum() == 0  # a raw logit can be raised for nothing


def test_pairs_of_one_class_are_left_out_example_by_example():
    """The authors multiply a mask (N,) with hinges (N, 1): their mean is the product of two means."""
    raw = torch.zeros(4, 2, dtype=torch.float64)
    mixed = torch.tensor([[3.0, 0], [1.0, 0], [0.0, 0], [0.0, 0]], dtype=torch.float64)
    same = torch.tensor([True, True, False, False])
    ours = losses.mixup_ranking(raw, mixed, same, 0.0).mean()
    theirs = ((~same).double() * (mixed.max(1, keepdim=True).values).relu()).mean()
    assert float(ours) == 0 and float(theirs) == pytest.approx(0.5 * 1.0)


def test_shapes_that_do_not_belong_together_are_refused():
    raw, mixed, relevance, _ = example(6)
    with pytest.raises(ValueError, match=r"\(M, n, K\)"):
        losses.mixup_ndcg(raw, mixed[:, :3], relevance[:, :3])
    with pytest.raises(ValueError, match=r"relevance \(M, n\)"):
        losses.mixup_ndcg(raw, mixed, relevance[:2])
