"""MbLS, ACLS, Brier and the soft label behind a loss: slow twins, gradients, extremes, identities."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from labkit import losses

K, N = 5, 7


def example(seed: int = 0, scale: float = 3.0):
    g = torch.Generator().manual_seed(seed)
    return scale * torch.randn(N, K, generator=g, dtype=torch.float64), torch.randint(0, K, (N,), generator=g)


def one_hot(y):
    return F.one_hot(y, K).double()


def slow_ce(row, y):
    return math.log(sum(math.exp(z) for z in row)) - row[y]


def slow_mbls(row, y, m):
    return slow_ce(row, y) + 0.3 * sum(max(max(row) - z - m, 0) for z in row) / len(row)


def slow_acls(row, y, m, power=2):
    j = row.index(max(row))
    others = sum(max(row[j] - z - m, 0) ** power for k, z in enumerate(row) if k != j)
    return slow_ce(row, y) + 0.3 * (1.5 * max(row[j] - m, 0) ** power + 0.2 * others / (len(row) - 1))


def slow_brier(row, y, m):
    p = [math.exp(z) / sum(math.exp(v) for v in row) for z in row]
    return sum((q - (k == y)) ** 2 for k, q in enumerate(p))


LOSSES = {
    "brier": (lambda z, t, m: losses.brier(z, t), slow_brier),
    "mbls": (lambda z, t, m: losses.mbls(z, t, 0.3, m), slow_mbls),
    "acls": (lambda z, t, m: losses.acls(z, t, 0.3, 1.5, 0.2, m), slow_acls),
    "conditional": (
        lambda z, t, m: losses.acls(z, t, 0.3, 1.5, 0.2, m, adaptive=False),
        lambda row, y, m: slow_acls(row, y, m, 1),
    ),
}
MARGINS = [0.0, 1.0, 4.0]


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("name", LOSSES)
def test_equals_the_slow_twin(name, margin):
    fast, slow = LOSSES[name]
    logits, y = example()
    expected = torch.tensor([slow(z, c, margin) for z, c in zip(logits.tolist(), y.tolist())], dtype=torch.float64)
    for target in (y, one_hot(y)):
        torch.testing.assert_close(fast(logits, target, margin), expected, rtol=1e-12, atol=1e-12)
    dense = fast(logits.expand(2, N, K), one_hot(y).expand(2, N, K), torch.tensor(margin))  # more axes, a swept number
    torch.testing.assert_close(dense, expected.expand(2, N), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("margin", MARGINS)
def test_gradients_of_mbls_and_brier(margin):
    logits, y = example(1)
    assert torch.autograd.gradcheck(lambda z: losses.mbls(z, y, 0.3, margin), logits.requires_grad_())
    assert torch.autograd.gradcheck(lambda z: losses.brier(z, y), logits)


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("adaptive", [True, False])
def test_gradient_of_acls_holds_the_largest_logit_constant_in_the_second_term(margin, adaptive):
    logits, y = example(1)
    loss = lambda z: losses.acls(z, y, 0.3, 1.5, 0.2, margin, adaptive).sum()
    (found,) = torch.autograd.grad(loss(v := logits.clone().requires_grad_()), v)
    rows = []
    for row, c in zip(logits.tolist(), y.tolist()):
        top, total = max(row), sum(math.exp(z) for z in row)
        slopes = []
        for k, z in enumerate(row):
            slope = math.exp(z) / total - (k == c)
            over = (z if z == top else top - z) - margin
            pull = (2 * max(over, 0) if adaptive else float(over > 0)) * 0.3
            slope += 1.5 * pull if z == top else -0.2 * pull / (K - 1)
            slopes.append(slope)
        rows.append(slopes)
    torch.testing.assert_close(found, torch.tensor(rows, dtype=torch.float64), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("name", LOSSES)
def test_extreme_logits_stay_finite(name, margin, dtype):
    logits = torch.tensor([[1e4, -1e4, 0, 0, 0], [-1e4, 1e4, 1e4, 0, 0], [0.0] * 5, [1e4] * 5], dtype=dtype)
    logits.requires_grad_()
    value = LOSSES[name][0](logits, F.one_hot(torch.tensor([1, 0, 2, 3]), K).to(dtype), margin)
    value.sum().backward()
    assert value.shape == (4,) and value.dtype == dtype
    assert value.isfinite().all() and logits.grad.isfinite().all()


def test_no_margin_is_maxsup_and_a_wide_one_is_cross_entropy():
    logits, y = example(2)
    exact = dict(rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(losses.mbls(logits, y, 0.3, 0.0), losses.maxsup(logits, y, 0.3), **exact)
    plain = losses.cross_entropy(logits, y)
    for loss in (lambda v, m: losses.mbls(logits, y, v, m), lambda v, m: losses.acls(logits, y, v, margin=m)):
        torch.testing.assert_close(loss(0.3, 1e3), plain, **exact)
        torch.testing.assert_close(loss(0.0, 1.0), plain, **exact)
    torch.testing.assert_close(losses.acls(logits, y, 0.3, 0.0, 0.0, 1.0), plain, **exact)


def test_penalties_are_means_over_classes_not_sums():
    z, y = torch.tensor([[8.0, 0.0, 0.0, 0.0]], dtype=torch.float64), torch.tensor([0])
    extra = lambda loss: float((loss - losses.cross_entropy(z, y))[0])
    assert extra(losses.mbls(z, y, 1.0, 6.0)) == pytest.approx(3 * 2 / 4)  # of K = 4, the largest with gap 0 among them
    assert extra(losses.acls(z, y, 1.0, 0.0, 1.0, 6.0)) == pytest.approx(2**2)  # of K - 1 others
    assert extra(losses.acls(z, y, 1.0, 1.0, 0.0, 6.0)) == pytest.approx(2**2)  # the raw logit, over 6


def test_acls_alone_sees_a_shift_and_ties_have_one_winner():
    logits, y = example(3)
    torch.testing.assert_close(losses.mbls(logits + 7, y, 0.3, 1.0), losses.mbls(logits, y, 0.3, 1.0))
    assert (losses.acls(logits + 7, y, 0.3, margin=1.0) > losses.acls(logits, y, 0.3, margin=1.0)).all()
    tied = torch.full((1, K), 3.0, dtype=torch.float64, requires_grad=True)
    penalty = losses.acls(tied, torch.tensor([0]), 1.0, margin=1.0) - losses.cross_entropy(tied, torch.tensor([0]))
    (grad,) = torch.autograd.grad(penalty.sum(), tied)
    assert float(penalty.detach()) == pytest.approx(4) and sorted(grad[0].tolist()) == pytest.approx(
        [0] * (K - 1) + [4]
    )


def test_implied_targets_are_the_known_ones():
    logits, y = example(4)
    t, p, a, m = one_hot(y), logits.softmax(1), 0.2, 2.0
    top = one_hot(logits.argmax(1))
    gap = logits.max(1, keepdim=True).values - logits
    implied = lambda loss: losses.implied_target(loss, logits)
    exact = dict(rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(implied(lambda z: losses.cross_entropy(z, t)), t, **exact)
    torch.testing.assert_close(implied(lambda z: losses.label_smoothing(z, t, a)), losses.smooth(t, a), **exact)
    torch.testing.assert_close(implied(lambda z: losses.maxsup(z, t, a)), t - a * top + a / K, **exact)
    beyond = (gap > m).double()
    expected = t - a / K * beyond.sum(1, keepdim=True) * top + a / K * beyond
    torch.testing.assert_close(implied(lambda z: losses.mbls(z, t, a, m)), expected, **exact)
    log_p = logits.log_softmax(1)
    expected = t - a * p * (log_p - (p * log_p).sum(1, keepdim=True))
    torch.testing.assert_close(implied(lambda z: losses.confidence_penalty(z, t, a)), expected, **exact)


def test_implied_targets_sum_to_one_unless_a_shift_matters():
    logits, y = example(5)
    for loss in (
        lambda z: losses.focal(z, one_hot(y), 2.0),
        lambda z: losses.mbls(z, y, 0.3, 1.0),
        lambda z: losses.maxsup(z, y, 0.3),
    ):
        torch.testing.assert_close(losses.implied_target(loss, logits).sum(1), torch.ones(N, dtype=torch.float64))
    target = losses.implied_target(lambda z: losses.acls(z, y, 0.3, 1.0, 0.1, 1.0), logits)
    assert not torch.allclose(target.sum(1), torch.ones(N, dtype=torch.float64))
    assert not target.requires_grad and not logits.requires_grad
