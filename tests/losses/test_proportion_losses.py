"""Losses of bags against hand-written loops, what they reduce to, and what they are not."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import losses
from labkit.losses.proportions import log_mean_prediction, log_of_the_rest

K, WIDTH = 3, 5
SIZES = [5, 3, 1, 4]


def bags(seed: int = 0, scale: float = 2.0, k: int = K):
    """Logits ``(4, 5, k)``, counts ``(4, k)`` and who is present, in bags of 5, 3, 1 and 4."""
    g = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(len(SIZES), WIDTH, k, generator=g, dtype=torch.float64)
    present = torch.arange(WIDTH) < torch.tensor(SIZES)[:, None]
    counts = torch.stack([torch.bincount(torch.randint(0, k, (s,), generator=g), minlength=k) for s in SIZES]).double()
    return logits, counts, present


def p_of(row):
    e = [math.exp(z - max(row)) for z in row]
    return [v / sum(e) for v in e]


def mean_of(members):
    rows = [p_of(z) for z in members]
    return [sum(p[c] for p in rows) / len(rows) for c in range(len(rows[0]))]


def slow_cross_entropy(members, m):
    return -sum(c / len(members) * math.log(p) for c, p in zip(m, mean_of(members)))


def slow_kl(members, m):
    shares = [c / len(members) for c in m]
    return sum(a * (math.log(a) - math.log(p)) for a, p in zip(shares, mean_of(members)) if a > 0)


def slow_squared(members, m):
    return sum((c / len(members) - p) ** 2 for c, p in zip(m, mean_of(members)))


def slow_l1(members, m):
    return sum(abs(c / len(members) - p) for c, p in zip(m, mean_of(members)))


def slow_count(members, m):
    rows, total = [p_of(z) for z in members], 0.0
    for labels in itertools.product(range(len(m)), repeat=len(members)):
        if all(labels.count(c) == m[c] for c in range(len(m))):
            total += math.prod(p[y] for p, y in zip(rows, labels))
    return -math.log(total)


def slow_one_against_rest(members, m):
    values = []
    for c in range(len(m)):
        row = [1.0]
        for q in (p_of(z)[c] for z in members):
            row = [a * (1 - q) + b * q for a, b in zip([*row, 0.0], [0.0, *row])]
        values.append(-math.log(row[int(m[c])]))
    return sum(values) / len(values)


LOSSES = {
    "proportion_cross_entropy": slow_cross_entropy, "proportion_kl": slow_kl, "proportion_squared": slow_squared,
    "proportion_l1": slow_l1, "count_nll": slow_count, "one_against_rest_count_nll": slow_one_against_rest,
}  # fmt: skip
LIKE_CROSS_ENTROPY = ["proportion_cross_entropy", "proportion_kl", "count_nll"]


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("name", LOSSES)
def test_equals_the_slow_twin(name, k):
    logits, counts, present = bags(k, k=k)
    value = getattr(losses, name)(logits, counts, present)
    slow = [LOSSES[name](z[:s].tolist(), m.int().tolist()) for z, m, s in zip(logits, counts, SIZES)]
    torch.testing.assert_close(value, torch.tensor(slow, dtype=torch.float64), rtol=1e-10, atol=1e-12)
    one = getattr(losses, name)(logits[:1], counts[:1])  # nobody is padding in the first
    torch.testing.assert_close(one, value[:1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients(name):
    logits, counts, present = bags(7)
    function = getattr(losses, name)
    assert torch.autograd.gradcheck(lambda z: function(z, counts, present), logits.requires_grad_())
    (gradient,) = torch.autograd.grad(function(logits, counts, present).sum(), logits)
    assert (gradient[~present] == 0).all() and gradient[present].abs().min() > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", LOSSES)
def test_extreme_logits_stay_finite(name, dtype):
    logits = torch.zeros(4, 6, K, dtype=dtype)
    logits[0, :, 0], logits[1, :, 1], logits[2, :3, 2], logits[3] = 1e4, -1e4, 1e4, 1e4
    logits.requires_grad_()
    for m in ([6, 0, 0], [0, 6, 0], [2, 2, 2], [0, 1, 5]):
        value = getattr(losses, name)(logits, torch.tensor([m] * 4, dtype=dtype))
        assert value.shape == (4,) and value.dtype == dtype and value.isfinite().all()
        (gradient,) = torch.autograd.grad(value.sum(), logits)
        assert gradient.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_padding_order_and_the_number_of_bags_do_not_matter(name):
    logits, counts, present = bags(2)
    function = getattr(losses, name)
    value = function(logits, counts, present)
    junk = torch.where(present[..., None], logits, 1e3 * logits.flip(1))
    torch.testing.assert_close(function(junk, counts, present), value, rtol=1e-12, atol=1e-12)
    order = torch.randperm(WIDTH, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(function(logits[:, order], counts, present[:, order]), value, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(function(logits[:1], counts[:1], present[:1]), value[:1], rtol=1e-12, atol=1e-12)
    both = torch.func.vmap(function)(logits[:, None], counts[:, None], present[:, None])[:, 0]
    torch.testing.assert_close(both, value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("k", [2, 5])
@pytest.mark.parametrize("name", LIKE_CROSS_ENTROPY)
def test_a_bag_of_one_is_cross_entropy_to_the_last_digit(name, k):
    logits = torch.randn(30, k, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = torch.arange(30) % k
    value = getattr(losses, name)(logits[:, None], F.one_hot(y, k).double())
    assert torch.equal(value, -logits.log_softmax(1).gather(1, y[:, None])[:, 0])
    torch.testing.assert_close(value, F.cross_entropy(logits, y, reduction="none"), rtol=0, atol=1e-15)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.floats(0.01, 6))
def test_divergence_is_cross_entropy_less_a_constant_and_zero_where_they_agree(seed, scale):
    logits, counts, present = bags(seed, scale)
    kl = losses.proportion_kl(logits, counts, present)
    shares = counts / counts.sum(1, keepdim=True)
    entropy = -torch.xlogy(shares, shares).sum(1)
    torch.testing.assert_close(losses.proportion_cross_entropy(logits, counts, present) - kl, entropy)
    assert (kl >= -1e-12).all()
    agree = (shares + 1e-30).log()[:, None].expand(-1, WIDTH, -1)
    for name in ("proportion_kl", "proportion_squared", "proportion_l1"):
        assert getattr(losses, name)(agree, counts, present).abs().max() < 1e-12
    slopes = [torch.func.grad(lambda z, f=f: f(z, counts, present).sum())(logits)
              for f in (losses.proportion_kl, losses.proportion_cross_entropy)]  # fmt: skip
    torch.testing.assert_close(*slopes)


def test_the_divergence_is_zero_for_any_members_of_the_right_mean():
    """The proportions do not say who is who: the first two bags cost nothing; the counts tell them apart."""
    unsure, sure = torch.zeros(4, 2, dtype=torch.float64), torch.tensor([[9.0, 0], [9, 0], [0, 9], [0, 9]]).double()
    m = torch.tensor([[2.0, 2.0]], dtype=torch.float64)
    for members in (unsure, sure):
        assert losses.proportion_kl(members[None], m).abs().max() < 1e-12
    assert losses.count_nll(unsure[None], m).item() == pytest.approx(math.log(16 / 6))
    assert losses.count_nll(sure[None], m).item() < 0.001


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.floats(0.01, 6))
def test_probabilities_are_averaged_and_not_their_logarithms(seed, scale):
    """llp-learn (dllp/_classes.py) averages log-probabilities; by Jensen that is never less, and it is another loss."""
    logits, counts, present = bags(seed, scale)
    ours = losses.proportion_cross_entropy(logits, counts, present)
    log_p, sizes = logits.log_softmax(-1), present.sum(1)
    defective = -(counts / sizes[:, None] * (log_p * present[..., None]).sum(1) / sizes[:, None]).sum(-1)
    assert (defective >= ours - 1e-12).all()
    assert defective[2] == pytest.approx(float(ours[2]))  # the bag of one
    mean = (log_p.exp() * present[..., None]).sum(1) / sizes[:, None]
    torch.testing.assert_close(log_mean_prediction(logits, present).exp(), mean)


def test_the_minimum_of_averaged_logarithms_gives_every_member_the_proportions():
    """What is wrong with it: members that are told apart perfectly cost more than ones that all look alike."""
    m = torch.tensor([[3.0, 1.0]], dtype=torch.float64)
    apart = torch.tensor([[6.0, 0], [6, 0], [6, 0], [0, 6]], dtype=torch.float64)
    alike = torch.tensor([0.75, 0.25], dtype=torch.float64).log().expand(4, 2)
    averaged = lambda z: float(-(m[0] / 4 * z.log_softmax(-1).mean(0)).sum())
    assert averaged(apart) == pytest.approx(2.2524756852) and averaged(alike) == pytest.approx(0.5623351446)
    ours = [float(losses.proportion_cross_entropy(z[None], m)) for z in (apart, alike)]
    assert ours == pytest.approx([0.5623392, 0.5623351], abs=1e-6)
    counted = [float(losses.count_nll(z[None], m)) for z in (apart, alike)]
    assert counted[0] < 0.02 and counted[1] == pytest.approx(-math.log(4 * 0.75**3 * 0.25))


def test_one_against_rest_is_the_joint_likelihood_for_two_classes_only():
    logits, counts, present = bags(5, k=2)
    exact = losses.count_nll(logits, counts, present)
    torch.testing.assert_close(
        losses.one_against_rest_count_nll(logits, counts, present), exact, rtol=1e-12, atol=1e-12
    )
    logits, counts, present = bags(5, k=4)
    composite, exact = (f(logits, counts, present) for f in (losses.one_against_rest_count_nll, losses.count_nll))
    assert (composite - exact).abs().min() > 1e-3
    assert (composite < exact).all()  # each class's count alone says less than all of them


def test_the_gradient_of_the_count_loss_is_prediction_minus_posterior():
    from labkit.counts import count_posterior

    logits, counts, present = bags(6)
    slope = torch.func.grad(lambda z: losses.count_nll(z, counts, present).sum())(logits)
    log_p = logits.log_softmax(-1)
    here = present[..., None]
    torch.testing.assert_close(slope, log_p.exp() * here - count_posterior(log_p, counts, present))
    target = count_posterior(log_p, counts, present)
    em = torch.func.grad(lambda z: (losses.cross_entropy(z, target) * present).sum())(logits)
    torch.testing.assert_close(em, slope)  # expectation-maximisation, one step


def test_the_log_of_the_rest_never_is_that_of_one_minus_one():
    log_p = torch.tensor([[40.0, 0, 0], [0, 0, 0], [1e4, 0, -1e4]], dtype=torch.float64).log_softmax(-1)
    rest = log_of_the_rest(log_p)
    torch.testing.assert_close(rest[1], torch.full((3,), 2 / 3, dtype=torch.float64).log())
    assert float(rest[0, 0]) == pytest.approx(math.log(2) - 40) and rest.isfinite().all()
    assert float(rest[2, 0]) == pytest.approx(-1e4)
