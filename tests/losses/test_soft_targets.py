"""Bootstrapping, focal relatives, thresholded penalty, and which negative rate undoes which noise."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from labkit import losses

K, N = 5, 9


def example(seed: int = 0, scale: float = 2.0):
    g = torch.Generator().manual_seed(seed)
    return scale * torch.randn(N, K, generator=g, dtype=torch.float64), torch.randint(0, K, (N,), generator=g)


def one_hot(y, k=K):
    return F.one_hot(y, k).double()


def p_of(row):
    e = [math.exp(z - max(row)) for z in row]
    return [v / sum(e) for v in e]


def slow_soft_bootstrapping(p, y, beta):
    return -sum((beta * (k == y) + (1 - beta) * p[k]) * math.log(p[k]) for k in range(K))


def slow_hard_bootstrapping(p, y, beta):
    said = p.index(max(p))
    return -sum((beta * (k == y) + (1 - beta) * (k == said)) * math.log(p[k]) for k in range(K))


def slow_adaptive_focal(p, y, _):
    return -((1 - p[y]) ** (5 if p[y] < 0.2 else 3)) * math.log(p[y])


def slow_dual_focal(p, y, gamma):
    rival = max((q for q in p if q < p[y]), default=0.0)
    return -((1 - p[y] + rival) ** gamma) * math.log(p[y])


def slow_thresholded(p, y, threshold):
    h = -sum(q * math.log(q) for q in p)
    return -math.log(p[y]) + 0.5 * max(0.0, threshold - h)


LOSSES = {
    "soft_bootstrapping": (losses.soft_bootstrapping, slow_soft_bootstrapping, [1.0, 0.95, 0.3]),
    "hard_bootstrapping": (losses.hard_bootstrapping, slow_hard_bootstrapping, [1.0, 0.8, 0.3]),
    "adaptive_focal": (lambda z, t, _: losses.adaptive_focal(z, t), slow_adaptive_focal, [0.0]),
    "dual_focal": (losses.dual_focal, slow_dual_focal, [0.0, 0.5, 5.0]),
    "thresholded_confidence_penalty": (
        lambda z, t, v: losses.thresholded_confidence_penalty(z, t, 0.5, v), slow_thresholded, [0.0, 0.7, 5.0],
    ),
}  # fmt: skip
CASES = [(name, value) for name, (_, _, values) in LOSSES.items() for value in values]


@pytest.mark.parametrize(("name", "value"), CASES)
def test_equals_the_slow_twin(name, value):
    fast, slow, _ = LOSSES[name]
    logits, y = example()
    expected = [slow(p_of(z), c, value) for z, c in zip(logits.tolist(), y.tolist())]
    found = fast(logits, one_hot(y), value)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("name", "value"), [c for c in CASES if c[0] != "adaptive_focal"])
def test_gradients(name, value):
    logits, y = example(1)
    assert torch.autograd.gradcheck(lambda z: LOSSES[name][0](z, one_hot(y), value), logits.requires_grad_())


def test_the_exponent_of_adaptive_focal_is_held_constant():
    logits, y = example(1)
    logits[0] = torch.tensor([3.0, 0, 0, 0, 0])
    y[0] = 4  # p_y < 0.2 surely
    p_y = logits.softmax(1).gather(1, y[:, None])[:, 0]
    gamma = torch.where(p_y < 0.2, 5.0, 3.0).double()[:, None]
    assert set(gamma[:, 0].tolist()) == {3.0, 5.0}
    g = [torch.autograd.grad(f(v := logits.clone().requires_grad_()).sum(), v)[0] for f in (
        lambda z: losses.adaptive_focal(z, one_hot(y)), lambda z: losses.focal(z, one_hot(y), gamma))]  # fmt: skip
    torch.testing.assert_close(g[0], g[1])
    torch.testing.assert_close(losses.adaptive_focal(logits, one_hot(y), 0.2, 2.0, 2.0),
                               losses.focal(logits, one_hot(y), 2.0))  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "value"), CASES)
def test_extreme_logits_stay_finite(name, value, dtype):
    logits = torch.tensor([[1e4, -1e4, 0, 0, 0], [-1e4, 1e4, 1e4, 0, 0], [0.0] * 5, [1e4] * 5], dtype=dtype)
    for y in (torch.tensor([1, 0, 2, 3]), torch.tensor([0, 1, 2, 3])):
        logits = logits.detach().requires_grad_()
        found = LOSSES[name][0](logits, one_hot(y).to(dtype), value)
        found.sum().backward()
        assert found.dtype == dtype and found.isfinite().all() and logits.grad.isfinite().all()


def test_each_reduces_to_cross_entropy():
    logits, y = example(2)
    t, plain = one_hot(y), F.cross_entropy(logits, y, reduction="none")
    for found in (
        losses.soft_bootstrapping(logits, t, 1.0), losses.hard_bootstrapping(logits, t, 1.0),
        losses.dual_focal(logits, t, 0.0), losses.adaptive_focal(logits, t, 0.2, 0.0, 0.0),
        losses.thresholded_confidence_penalty(logits, t, 0.3, 0.0),
    ):  # fmt: skip
        torch.testing.assert_close(found, plain, rtol=1e-12, atol=1e-12)


def test_a_threshold_of_log_k_is_the_plain_penalty_and_a_constant():
    logits, y = example(3)
    capped = losses.thresholded_confidence_penalty(logits, one_hot(y), 0.3, math.log(K))
    torch.testing.assert_close(capped, losses.confidence_penalty(logits, one_hot(y), 0.3) + 0.3 * math.log(K))


def test_soft_bootstrapping_has_the_gradient_of_both_factors():
    """With p constant in the target the gradient would be beta (p - t) only."""
    logits, y = example(4)
    beta, t = 0.7, one_hot(y)
    (grad,) = torch.autograd.grad(losses.soft_bootstrapping(logits.requires_grad_(), t, beta).sum(), logits)
    p = logits.detach().softmax(1)
    h = -(p * p.log()).sum(1, keepdim=True)
    torch.testing.assert_close(grad, beta * (p - t) - (1 - beta) * p * (p.log() + h))


def test_the_rival_of_dual_focal_is_strictly_below_the_label():
    logits = torch.tensor([[2.0, 2.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    y = torch.tensor([0, 2])
    p = logits.softmax(1)
    expected = [-((1 - p[0, 0] + p[0, 2]) ** 5) * p[0, 0].log(), -((1 - p[1, 2]) ** 5) * p[1, 2].log()]
    torch.testing.assert_close(losses.dual_focal(logits, one_hot(y), 5.0), torch.stack(expected))


# ---- generalised smoothing -----------------------------------------------------------------------------------


def symmetric(noise: float, k: int) -> torch.Tensor:
    return torch.full((k, k), noise / (k - 1), dtype=torch.float64).fill_diagonal_(1 - noise)


@pytest.mark.parametrize("clean", [0.0, 0.1, -0.3])
@pytest.mark.parametrize(("noise", "k"), [(0.0, 3), (0.2, 2), (0.4, 3), (0.6, 10), (0.85, 10)])
def test_the_equivalent_rate_makes_the_noisy_loss_the_clean_one_on_average(noise, k, clean):
    """Every label that the noise could have given, with its probability."""
    g = torch.Generator().manual_seed(k)
    logits, rate = torch.randn(4, k, generator=g, dtype=torch.float64), losses.equivalent_rate(noise, k, clean)
    t = symmetric(noise, k)
    per_label = torch.stack([losses.label_smoothing(logits, one_hot(torch.full((4,), c), k), rate) for c in range(k)])
    for true in range(k):
        expected = losses.label_smoothing(logits, one_hot(torch.full((4,), true), k), clean)
        torch.testing.assert_close(t[true] @ per_label, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("noise", "k"), [(0.3, 2), (0.4, 3), (0.6, 10)])
def test_with_clean_rate_zero_it_is_backward_correction_sample_by_sample(noise, k):
    logits = torch.randn(k, k, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.arange(k)
    backward = (-torch.log_softmax(logits, 1) @ torch.linalg.inv(symmetric(noise, k)).T).gather(1, y[:, None])[:, 0]
    rate = losses.equivalent_rate(noise, k)
    torch.testing.assert_close(losses.label_smoothing(logits, one_hot(y, k), rate), backward)
    assert rate < 0


def test_equivalent_rates_known_by_heart():
    assert losses.equivalent_rate(0.0, 10, 0.1) == pytest.approx(0.1)
    assert losses.equivalent_rate(0.2, 2, 0.5) == pytest.approx((0.5 - 0.4) / (1 - 0.4))
    assert losses.equivalent_rate(0.6, 10) == pytest.approx(-2.0)
    for noise in (0.9, 0.95, -0.1):
        with pytest.raises(ValueError, match=r"from 0 to below 0\.9"):
            losses.equivalent_rate(noise, 10)
    with pytest.raises(ValueError, match="two or more"):
        losses.equivalent_rate(0.1, 1)
