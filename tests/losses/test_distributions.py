"""KL to a label distribution, and the smoothed pairwise ranking loss that label smoothing is for two classes."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from labkit import losses

K, N = 4, 6


def drawn(seed=0):
    g = torch.Generator().manual_seed(seed)
    target = torch.rand(N, K, generator=g, dtype=torch.float64)
    target[0] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    target[1, 2] = 0
    return 2 * torch.randn(N, K, generator=g, dtype=torch.float64), target / target.sum(1, keepdim=True)


def test_equals_the_slow_twin_and_torch():
    logits, target = drawn()
    slow = []
    for z, d in zip(logits.tolist(), target.tolist()):
        total = sum(math.exp(v) for v in z)
        slow.append(sum(b * (math.log(b) - math.log(math.exp(a) / total)) for a, b in zip(z, d) if b > 0))
    got = losses.label_distribution(logits, target)
    torch.testing.assert_close(got, torch.tensor(slow, dtype=torch.float64), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(got, F.kl_div(logits.log_softmax(1), target, reduction="none").sum(1))


def test_gradient_is_that_of_cross_entropy():
    logits, target = drawn(1)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: losses.label_distribution(z, target), logits)
    (grad,) = torch.autograd.grad(losses.label_distribution(logits, target).sum(), logits)
    torch.testing.assert_close(grad, logits.detach().softmax(1) - target)


def test_zero_iff_equal_and_cross_entropy_for_one_hot():
    logits, target = drawn(2)
    assert losses.label_distribution(logits, logits.softmax(1)).abs().max() < 1e-12
    assert (losses.label_distribution(logits, target) > 0).all()
    hard = F.one_hot(torch.arange(N) % K, K).double()
    torch.testing.assert_close(losses.label_distribution(logits, hard), losses.cross_entropy(logits, hard))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits(dtype):
    logits = torch.tensor([[1e4, -1e4, 0, 0], [0.0] * 4, [1e4] * 4], dtype=dtype, requires_grad=True)
    target = torch.tensor([[0, 1, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4], dtype=dtype)
    value = losses.label_distribution(logits, target)
    value.sum().backward()
    assert value.dtype == dtype and value.shape == (3,)
    assert value.isfinite().all() and logits.grad.isfinite().all()


# ---- two classes: a preference between two items --------------------------------------------------------------------


@pytest.mark.parametrize("eps", [0.0, 0.05, 0.2, 0.4, 0.5])
def test_smoothing_two_scores_is_a_ranking_loss_with_a_linear_pull(eps):
    """-log sigmoid(D) + eps D, D = r_w - r_l, is K-convention smoothing with a = 2 eps (Wang et al., 2025, GRAM)."""
    g = torch.Generator().manual_seed(3)
    scores = 5 * torch.randn(50, 2, generator=g, dtype=torch.float64)
    winner = torch.randint(0, 2, (50,), generator=g)
    ours = losses.label_smoothing(scores, F.one_hot(winner, 2).double(), 2 * eps)
    gap = (scores.gather(1, winner[:, None]) - scores.gather(1, 1 - winner[:, None]))[:, 0]
    torch.testing.assert_close(ours, F.softplus(-gap) + eps * gap)
    torch.testing.assert_close(ours, (1 - eps) * F.softplus(-gap) + eps * F.softplus(gap))


@pytest.mark.parametrize("eps", [0.05, 0.2, 0.4])
def test_the_best_gap_is_the_log_odds(eps):
    gap = torch.tensor(math.log((1 - eps) / eps), dtype=torch.float64, requires_grad=True)
    target = torch.tensor([[1.0, 0.0]]).double()
    loss = lambda d: losses.label_smoothing(torch.stack([d, 0 * d])[None], target, 2 * eps)[0]
    (grad,) = torch.autograd.grad(loss(gap), gap)
    assert abs(float(grad)) < 1e-12
    for away in (-0.1, 0.1):
        assert float(loss(gap.detach() + away)) > float(loss(gap.detach()))


@pytest.mark.parametrize(("flips", "eps"), [(0.3, 0.1), (0.2, 0.2), (0.0, 0.1), (0.4, 0.0)])
def test_smoothing_on_top_of_flips_adds_up(flips, eps):
    """The expected loss over flips f is the loss with eps' = f + eps - 2 eps f."""
    gap = torch.linspace(-6, 6, 25, dtype=torch.float64)
    both = losses.label_smoothing(torch.stack([gap, 0 * gap], 1), torch.tensor([[1.0, 0.0]]).double(), 2 * eps)
    wrong = losses.label_smoothing(torch.stack([gap, 0 * gap], 1), torch.tensor([[0.0, 1.0]]).double(), 2 * eps)
    together = flips + eps - 2 * eps * flips
    torch.testing.assert_close((1 - flips) * both + flips * wrong, F.softplus(-gap) + together * gap)
