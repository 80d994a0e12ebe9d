"""The loss of a mixed bag against loops over floats, its interval by enumeration, and what it reduces to."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from labkit.losses import half_width, interval_loss, mixed_proportions, proportion_cross_entropy
from labkit.losses.mixbag import INTERVALS, TERMS
from labkit.losses.proportions import log_mean_prediction

FIRST = torch.tensor([[4.0, 3, 1], [8, 0, 0], [2, 2, 2]], dtype=torch.float64)
SECOND = torch.tensor([[1.0, 1, 6], [0, 0, 8], [0, 3, 1]], dtype=torch.float64)  # the last bag is smaller
N_FIRST, N_SECOND = torch.tensor([3, 5, 4]), torch.tensor([5, 3, 2])


def slow_half_width(first, second, n, m, z, interval):
    k, j = sum(first), sum(second)
    a, b = n / (n + m), m / (n + m)
    out = []
    for c in range(len(first)):
        p, q = first[c] / k, second[c] / j
        one, two = p * (1 - p) / n, q * (1 - q) / m
        if interval != "binomial":
            one, two = one * (k - n) / (k - 1), two * (j - m) / (j - 1)
        if interval == "exact":
            out.append(z * math.sqrt(a * a * one + b * b * two))
        else:
            out.append(a * z * math.sqrt(one) + b * z * math.sqrt(two))
    return out


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("z", [0.0, 1.0, 2.5758])
def test_the_interval_is_the_formula(interval, z):
    fast = half_width(FIRST, SECOND, N_FIRST, N_SECOND, z, interval)
    rows = zip(FIRST.tolist(), SECOND.tolist(), N_FIRST.tolist(), N_SECOND.tolist())
    slow = [slow_half_width(*row, z, interval) for row in rows]
    torch.testing.assert_close(fast, torch.tensor(slow, dtype=torch.float64), rtol=1e-12, atol=0)
    assert (fast[1] == 0).all()  # one-hot proportions: nothing is uncertain
    assert z > 0 or (fast == 0).all()


def draws(first, second, n, m):
    """Class counts of every way to take n members of one bag and m of another, all equally likely."""
    members = lambda counts: [c for c, count in enumerate(counts) for _ in range(int(count))]
    for mine in itertools.combinations(members(first), n):
        for others in itertools.combinations(members(second), m):
            yield [(mine + others).count(c) for c in range(len(first))]


def test_mean_and_variance_by_enumeration():
    """The target is the mean of the true proportions over all draws, "exact" their standard deviation; the published
    interval is wider by two mistakes."""
    for first, second, n, m in zip(FIRST, SECOND, N_FIRST.tolist(), N_SECOND.tolist()):
        every = torch.tensor(list(draws(first.tolist(), second.tolist(), n, m)), dtype=torch.float64) / (n + m)
        args = first[None], second[None], torch.tensor([n]), torch.tensor([m])
        torch.testing.assert_close(mixed_proportions(*args)[0], every.mean(0))
        binomial, finite, exact = (half_width(*args, 1.0, interval)[0] for interval in INTERVALS)
        torch.testing.assert_close(exact, every.std(0, unbiased=False), rtol=1e-9, atol=1e-12)
        assert (exact <= finite + 1e-12).all() and (finite <= binomial + 1e-12).all()


def test_a_whole_bag_is_certain_and_nothing_drawn_from_the_other_adds_nothing():
    args = FIRST, SECOND, FIRST.sum(1), torch.zeros(3)
    torch.testing.assert_close(mixed_proportions(*args), FIRST / FIRST.sum(1, keepdim=True), rtol=0, atol=0)
    assert (half_width(*args, 2.0, "exact") == 0).all() and (half_width(*args, 2.0, "finite") == 0).all()
    one = torch.tensor([[1.0, 0]]), torch.tensor([[0.0, 1]]), torch.tensor([1]), torch.tensor([0])
    assert all((half_width(*one, 2.0, interval) == 0).all() for interval in INTERVALS)  # bags of one: no 0 / 0


def random(seed=0):
    g = torch.Generator().manual_seed(seed)
    log_p = torch.randn(40, 3, generator=g, dtype=torch.float64).log_softmax(-1)
    target = torch.rand(40, 3, generator=g, dtype=torch.float64)
    target = target / target.sum(1, keepdim=True)
    target[0] = torch.tensor([1.0, 0, 0])
    half = 0.3 * torch.rand(40, 3, generator=g, dtype=torch.float64)
    half[5:10] = -1
    return log_p, target, half


SLOW = {
    "cross_entropy": lambda p, t: 0.0 if t == 0 else -t * math.log(p),
    "divergence": lambda p, t: (0.0 if t == 0 else t * math.log(t / p)) - t + p,
    "squared": lambda p, t: (p - t) ** 2,
    "l1": lambda p, t: abs(p - t),
}


@pytest.mark.parametrize("term", TERMS)
def test_the_loss_is_the_formula(term):
    log_p, target, half = random()
    slow, flat = [], 0
    for row, ts, hs in zip(log_p.exp().tolist(), target.tolist(), half.tolist()):
        inside = [t - h <= p <= t + h for p, t, h in zip(row, ts, hs)]
        flat += sum(inside)
        slow.append(sum(SLOW[term](t if i else p, t) for p, t, i in zip(row, ts, inside)))
    assert 20 < flat < 100  # both sides of the interval are met
    fast = interval_loss(log_p, target, half, term)
    torch.testing.assert_close(fast, torch.tensor(slow, dtype=torch.float64), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("term", TERMS)
def test_gradients_and_extreme_logits(term):
    log_p, target, half = random(1)
    logits = log_p.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: interval_loss(z.log_softmax(-1), target, half, term), logits)
    for dtype in (torch.float32, torch.float64):
        z = torch.tensor([[1e4, -1e4, 0], [-1e4, 1e4, 1e4]], dtype=dtype, requires_grad=True)
        t = torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0]], dtype=dtype)
        for h in (-1.0, 0.0, 0.4, 1.0):
            value = interval_loss(z.log_softmax(-1), t, torch.full_like(t, h), term)
            (grad,) = torch.autograd.grad(value.sum(), z)
            assert value.isfinite().all() and grad.isfinite().all() and value.dtype == dtype and value.shape == (2,)


def test_outside_everywhere_it_is_the_plain_loss_and_inside_everywhere_it_is_flat():
    log_p, target, _ = random(2)
    counts = 10 * target
    outside, inside = torch.full_like(target, -1.0), torch.full_like(target, 1.0)
    plain = -(target * log_p).sum(-1)
    torch.testing.assert_close(interval_loss(log_p, target, outside), plain, rtol=1e-14, atol=0)
    zero = interval_loss(log_p, target, torch.zeros_like(target))  # z = 0: inside is only what is exactly right
    torch.testing.assert_close(zero, plain, rtol=1e-14, atol=0)
    z = log_p[:, None].expand(-1, 4, -1)
    torch.testing.assert_close(proportion_cross_entropy(z, counts), plain)
    torch.testing.assert_close(log_mean_prediction(z), log_p)
    entropy = -torch.xlogy(target, target).sum(-1)
    torch.testing.assert_close(interval_loss(log_p, target, inside), entropy)
    torch.testing.assert_close(interval_loss(log_p, target, outside, "divergence"), plain - entropy)
    for term in ("divergence", "squared", "l1"):
        assert (interval_loss(log_p, target, inside, term) == 0).all()


def test_the_published_term_pushes_a_lone_class_the_wrong_way_and_the_divergence_does_not():
    """Class 0 is predicted too often, above its interval; the others are inside theirs."""
    target, half = torch.tensor([[0.3, 0.3, 0.4]]), torch.tensor([[0.05, 0.2, 0.2]])
    logits = torch.tensor([[0.5, 0.25, 0.25]]).log().requires_grad_()
    slope = {}
    for term in ("cross_entropy", "divergence", "squared", "l1"):
        value = interval_loss(logits.log_softmax(-1), target, half, term)
        slope[term] = float(torch.autograd.grad(value.sum(), logits)[0][0, 0])
    assert slope["cross_entropy"] < 0  # a step downhill raises the logit of the class that is too large
    assert slope["divergence"] > 0 and slope["squared"] > 0 and slope["l1"] > 0


def test_the_edge_belongs_to_the_interval_and_the_value_jumps_there():
    target, half = torch.tensor([[0.5, 0.5]], dtype=torch.float64), torch.tensor([[0.25, 0.25]], dtype=torch.float64)
    at, beyond = (
        interval_loss(torch.tensor([[p, 1 - p]], dtype=torch.float64).log(), target, half) for p in (0.75, 0.7501)
    )
    assert float(at) == pytest.approx(math.log(2)) and float(beyond) > float(at) + 0.1


def test_what_it_refuses():
    with pytest.raises(ValueError, match="binomial, finite, exact, got 'normal'"):
        half_width(FIRST, SECOND, N_FIRST, N_SECOND, interval="normal")
    with pytest.raises(ValueError, match="cross_entropy, divergence, squared, l1, got 'kl'"):
        interval_loss(*random(), term="kl")
