"""Every loss against a hand-written loop, its gradient, extreme logits, and what it reduces to."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from labkit import losses

K, N = 5, 7


def random(seed: int = 0, scale: float = 2.0):
    g = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(N, K, generator=g, dtype=torch.float64)
    return logits, torch.randint(0, K, (N,), generator=g)


def p_of(row):
    top = max(row)
    e = [math.exp(z - top) for z in row]
    return [v / sum(e) for v in e]


def slow_cross_entropy(row, target):
    return -sum(t * math.log(p) for t, p in zip(target, p_of(row)))


def slow_smoothing(row, target, a):
    return slow_cross_entropy(row, [(1 - a) * t + a / K for t in target])


def slow_penalty(row, target, weight):
    return slow_cross_entropy(row, target) + weight * sum(p * math.log(p) for p in p_of(row))


def slow_focal(row, target, gamma):
    return -sum(t * (1 - p) ** gamma * math.log(p) for t, p in zip(target, p_of(row)))


def slow_distillation(row, teacher, temperature):
    p, q = p_of([z / temperature for z in row]), p_of([z / temperature for z in teacher])
    return temperature**2 * sum(b * (math.log(b) - math.log(a)) for a, b in zip(p, q))


def one_hot(y):
    return F.one_hot(y, K).double()


LOSSES = {
    "cross_entropy": (lambda z, t, v: losses.cross_entropy(z, t), lambda r, t, v: slow_cross_entropy(r, t), [0.0]),
    "label_smoothing": (losses.label_smoothing, slow_smoothing, [0.0, 0.1, 0.9, -0.5, 1.5]),
    "confidence_penalty": (losses.confidence_penalty, slow_penalty, [0.0, 0.1, 1.0]),
    "focal": (losses.focal, slow_focal, [0.0, 0.5, 2.0, 5.0]),
    "distillation": (losses.distillation, slow_distillation, [1.0, 4.0, 0.5]),
}
CASES = [(name, value) for name, (_, _, values) in LOSSES.items() for value in values]


def second(name, y):
    return random(9)[0] if name == "distillation" else one_hot(y)


@pytest.mark.parametrize(("name", "value"), CASES)
def test_equals_the_slow_twin(name, value):
    fast, slow, _ = LOSSES[name]
    logits, y = random()
    other = second(name, y)
    expected = [slow(z.tolist(), t.tolist(), value) for z, t in zip(logits, other)]
    torch.testing.assert_close(
        fast(logits, other, value), torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize(("name", "value"), CASES)
def test_gradients(name, value):
    fast, _, _ = LOSSES[name]
    logits, y = random(1)
    other = second(name, y)
    assert torch.autograd.gradcheck(lambda z: fast(z, other, value), logits.requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "value"), CASES)
def test_extreme_logits_stay_finite(name, value, dtype):
    fast, _, _ = LOSSES[name]
    logits = torch.tensor([[1e4, -1e4, 0, 0, 0], [-1e4, 1e4, 1e4, 0, 0], [0.0] * 5, [1e4] * 5], dtype=dtype)
    logits.requires_grad_()
    y = torch.tensor([1, 0, 2, 3])
    other = logits.detach().roll(1, 0) if name == "distillation" else one_hot(y).to(dtype)
    value_ = fast(logits, other, value)
    value_.sum().backward()
    assert value_.isfinite().all() and logits.grad.isfinite().all()


def test_zero_is_cross_entropy_for_all_three_regularisers():
    logits, y = random(2)
    plain = F.cross_entropy(logits, y, reduction="none")
    for loss in (losses.label_smoothing, losses.confidence_penalty, losses.focal):
        torch.testing.assert_close(loss(logits, one_hot(y), 0.0), plain, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(losses.cross_entropy(logits, y), plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("a", [0.0, 0.1, 0.5, 1.0])
def test_smoothing_is_torchs_smoothing_and_a_logit_penalty(a):
    logits, y = random(3)
    ours = losses.label_smoothing(logits, one_hot(y), a)
    torch.testing.assert_close(ours, F.cross_entropy(logits, y, label_smoothing=a, reduction="none"))
    z_y = logits.gather(1, y[:, None])[:, 0]
    torch.testing.assert_close(ours, F.cross_entropy(logits, y, reduction="none") + a * (z_y - logits.mean(1)))


def test_the_smoothed_optimum_has_the_known_logit_gap_and_value():
    a, y = 0.1, torch.tensor([2])
    logits = torch.zeros(1, K, dtype=torch.float64)
    logits[0, 2] = math.log(1 + K * (1 - a) / a)
    target = losses.smooth(one_hot(y), a)
    value = losses.label_smoothing(logits.requires_grad_(), one_hot(y), a)
    (grad,) = torch.autograd.grad(value.sum(), logits)
    assert grad.abs().max() < 1e-12
    torch.testing.assert_close(value[0].detach(), -(target * target.log()).sum())


def test_targets_outside_the_simplex_are_used_as_they_are():
    logits, _ = random(4)
    logits.requires_grad_()
    target = torch.tensor([[1.4, -0.1, -0.1, -0.1, -0.1]] * N, dtype=torch.float64) * 0.9
    losses.cross_entropy(logits, target).sum().backward()
    torch.testing.assert_close(logits.grad, logits.detach().softmax(1) * target.sum(1, keepdim=True) - target)


def test_negative_smoothing_at_the_right_rate_is_backward_correction():
    """Wei et al. (2022): under symmetric noise e, rate r = 1 - 1 / (1 - e K / (K - 1)) corrects sample by sample."""
    e = 0.3
    logits, y = random(5)
    t = torch.full((K, K), e / (K - 1), dtype=torch.float64).fill_diagonal_(1 - e)
    per_class = -torch.log_softmax(logits, 1)
    backward = (per_class @ torch.linalg.inv(t).T).gather(1, y[:, None])[:, 0]
    r = 1 - 1 / (1 - e * K / (K - 1))
    torch.testing.assert_close(losses.label_smoothing(logits, one_hot(y), r), backward)
    unbiased = (t @ (per_class @ torch.linalg.inv(t).T).T).T  # expectation over labels, per true class
    torch.testing.assert_close(unbiased, per_class)


def test_distillation_identities():
    student, _ = random(6)
    teacher, _ = random(7)
    student.requires_grad_()
    for temperature in (1.0, 3.0):
        (grad,) = torch.autograd.grad(losses.distillation(student, teacher, temperature).sum(), student)
        expected = temperature * ((student / temperature).softmax(1) - (teacher / temperature).softmax(1))
        torch.testing.assert_close(grad, expected)
    assert losses.distillation(teacher + 3.0, teacher, 2.0).abs().max() < 1e-12  # zero iff equal up to a constant
    s, t = (z - z.mean(1, keepdim=True) for z in (student.detach(), teacher))
    hot = losses.distillation(s, t, 1e4)
    torch.testing.assert_close(hot, ((s - t) ** 2).sum(1) / (2 * K), rtol=1e-3, atol=1e-3)


def test_entropy_of_certainty_is_zero_and_of_ignorance_log_k():
    logits = torch.tensor([[1e4, 0, 0, 0, 0], [0.0] * 5], dtype=torch.float64)
    torch.testing.assert_close(losses.entropy(logits), torch.tensor([0.0, math.log(K)], dtype=torch.float64))


def test_target_of_refuses_candidates():
    from labkit.evidence import Candidates

    with pytest.raises(TypeError, match="Labels or Soft"):
        losses.target_of(Candidates.unlabelled(2, 3))
