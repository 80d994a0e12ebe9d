"""The likelihood and the posterior of class counts, against every labelling of the bag there is."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from bags_by_enumeration import SIZES, beliefs, close, compositions, enumerated, enumerated_posterior
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.counts import count_log_likelihood, count_posterior, noisy_count_log_likelihood

# ---- exact, against enumeration --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "size"), [(k, s) for k, most in SIZES.items() for s in range(1, most + 1)])
def test_every_count_of_every_bag_is_enumerations(k, size):
    log_p, every = beliefs(size, k, seed=size), compositions(size, k)
    counts = torch.tensor(every, dtype=torch.float64)
    repeated = log_p.expand(len(every), size, k)
    value = count_log_likelihood(repeated, counts, method="exact")
    close(value, torch.stack([enumerated(log_p, m) for m in every]))
    close(value.logsumexp(0), 0.0, 1e-12)  # the counts are a distribution
    posterior = count_posterior(repeated, counts, method="exact")
    close(posterior, torch.stack([enumerated_posterior(log_p, m) for m in every]))
    close(posterior.sum(-1), torch.ones(len(every), size), 1e-12)
    close(posterior.sum(-2), counts, 1e-12)
    assert (posterior.transpose(-1, -2)[counts == 0] == 0).all()  # a class that nobody has: exactly


@pytest.mark.parametrize(("k", "size"), [(2, 8), (3, 8), (4, 8)])
def test_the_largest_bags(k, size):
    log_p, every = beliefs(size, k, seed=3), compositions(size, k)
    for m in every[:: max(1, len(every) // 12)]:
        close(count_log_likelihood(log_p, torch.tensor(m), method="exact"), enumerated(log_p, m))
        close(count_posterior(log_p, torch.tensor(m), method="exact"), enumerated_posterior(log_p, m))


@pytest.mark.parametrize(("k", "size"), [(2, 7), (3, 5), (3, 12), (4, 4)])
def test_the_gradient_is_prediction_minus_posterior(k, size):
    g = torch.Generator().manual_seed(1)
    logits = (2 * torch.randn(size, k, generator=g, dtype=torch.float64)).requires_grad_()
    m = (size - k + 1, *[1] * (k - 1))
    (gradient,) = torch.autograd.grad(
        -count_log_likelihood(logits.log_softmax(-1), torch.tensor(m), method="exact"), logits
    )
    log_p = logits.detach().log_softmax(-1)
    close(gradient, log_p.exp() - count_posterior(log_p, torch.tensor(m), method="exact"))
    if size < 8:
        (slow,) = torch.autograd.grad(-enumerated(logits.log_softmax(-1), m), logits)
        close(gradient, slow)
        close(gradient, log_p.exp() - enumerated_posterior(log_p, m))


@pytest.mark.parametrize("k", SIZES)
def test_gradcheck(k):
    logits = torch.randn(2, 4, k, generator=torch.Generator().manual_seed(k), dtype=torch.float64).requires_grad_()
    counts = torch.tensor([[4.0, *[0] * (k - 1)], [1.0, 3.0, *[0] * (k - 2)]])
    assert torch.autograd.gradcheck(lambda z: count_log_likelihood(z.log_softmax(-1), counts, method="exact"), logits)


@pytest.mark.parametrize("k", SIZES)
@pytest.mark.parametrize("width", [6, 9, 16])  # over subsets and over the lattice
def test_bags_of_different_sizes_side_by_side(k, width):
    sizes = [1, 2, 3, 4, 5, 6]
    present = torch.arange(width) < torch.tensor(sizes)[:, None]
    place = torch.rand(6, width, generator=torch.Generator().manual_seed(5)).argsort(1)
    present = present.gather(1, place)  # padding anywhere, not only at the end
    log_p = beliefs(width, k, seed=k, bags=(6,))
    counts = torch.stack([torch.bincount(torch.arange(s) * 7 % 5 % k, minlength=k) for s in sizes]).double()
    value = count_log_likelihood(log_p, counts, present, method="exact")
    posterior = count_posterior(log_p, counts, present, method="exact")
    for b in range(6):
        alone, m = log_p[b][present[b]], tuple(int(v) for v in counts[b])
        close(value[b], enumerated(alone, m))
        close(posterior[b][present[b]], enumerated_posterior(alone, m))
    assert (posterior[~present] == 0).all()
    junk = torch.where(present[..., None], log_p, 1e4 * beliefs(width, k, seed=9, bags=(6,)))
    assert torch.equal(count_log_likelihood(junk, counts, present, method="exact"), value)
    assert torch.equal(count_posterior(junk, counts, present, method="exact"), posterior)


# ---- what it reduces to ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["exact", "saddlepoint"])
@pytest.mark.parametrize("k", [2, 3, 5, 10])
def test_a_bag_of_one_is_cross_entropy_to_the_last_digit(k, method):
    logits = torch.randn(20, 1, k, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    y = torch.arange(20) % k
    log_p = logits.log_softmax(-1)
    counts = torch.nn.functional.one_hot(y, k)
    value = count_log_likelihood(log_p, counts, method=method)
    plain = log_p[:, 0].gather(1, y[:, None])[:, 0]
    if method == "exact":
        assert torch.equal(value, plain)
    close(value, plain, 1e-12)
    close(torch.autograd.grad(-value.sum(), logits)[0], (log_p.exp() - counts[:, None]).detach(), 1e-14)


def test_a_count_of_zero_has_a_loss():
    """Where some public code says that it has none: ``-sum log(1 - q)``."""
    log_p = beliefs(9, 2, seed=4)
    close(count_log_likelihood(log_p, torch.tensor([9, 0])), log_p[:, 0].sum(), 1e-12)
    close(count_log_likelihood(log_p, torch.tensor([0, 9])), log_p[:, 1].sum(), 1e-12)
    three = beliefs(9, 3, seed=4)
    for method in ("exact", "saddlepoint"):
        close(count_log_likelihood(three, torch.tensor([0, 9, 0]), method=method), three[:, 1].sum(), 1e-12)


@pytest.mark.parametrize(("k", "size"), [(2, 6), (2, 1000), (3, 7), (3, 20), (10, 12)])
def test_equal_members_are_multinomial(k, size):
    p = torch.tensor([0.5, 0.2, 0.13, 0.07, *[0.1 / 6] * 6][:k], dtype=torch.float64)
    p = p / p.sum()
    m = (
        torch.tensor([size - 2 * (k - 1), *[2] * (k - 1)])
        if size > 2 * k
        else torch.tensor([size - 2, 1, 1, *[0] * 7][:k])
    )
    m[0] = size - m[1:].sum()
    expected = math.lgamma(size + 1) + sum(v * math.log(q) - math.lgamma(v + 1) for v, q in zip(m.tolist(), p.tolist()))
    log_p = p.log().expand(size, k)
    for method in ("exact", "saddlepoint"):
        close(count_log_likelihood(log_p, m, method=method), expected, 1e-9)
        close(
            count_posterior(log_p, m, method=method),
            (m.double() / size).expand(size, k),
            1e-6 if method == "saddlepoint" else 1e-9,
        )


def test_a_class_that_cannot_be_makes_three_classes_two():
    logits = torch.randn(5, 9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    three = torch.cat([logits, torch.full_like(logits[..., :1], -1e4)], -1).log_softmax(-1)
    two = logits.log_softmax(-1)
    m = torch.tensor([[i, 9 - i] for i in range(5)])
    more = torch.cat([m, torch.zeros_like(m[:, :1])], -1)
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        value = count_log_likelihood(three[..., order], more[..., order], method="exact")
        close(value, count_log_likelihood(two, m), 1e-12)
        posterior = count_posterior(three[..., order], more[..., order], method="exact")
        close(posterior[..., order.index(0)], count_posterior(two, m)[..., 0], 1e-12)


@pytest.mark.parametrize("size", [5, 12])
def test_an_absent_class_that_could_be_is_paid_for(size):
    """``P(m, 0) = prod_i (1 - p_i3) P(m | none is 3)``."""
    log_p = beliefs(size, 3, seed=2)
    without = log_p[:, :2].logsumexp(-1)
    value = count_log_likelihood(log_p, torch.tensor([2, size - 2, 0]), method="exact")
    rest = count_log_likelihood(log_p[:, :2] - without[:, None], torch.tensor([2, size - 2]))
    close(value, without.sum() + rest, 1e-12)


@settings(max_examples=20)
@given(st.integers(2, 4), st.integers(1, 9), st.integers(0, 10_000), st.floats(0.01, 8))
def test_neither_the_order_of_members_nor_that_of_classes_matters(k, size, seed, scale):
    log_p = beliefs(size, k, seed, scale)
    g = torch.Generator().manual_seed(seed)
    m = torch.bincount(torch.randint(0, k, (size,), generator=g), minlength=k)
    members, classes = torch.randperm(size, generator=g), torch.randperm(k, generator=g)
    value, posterior = count_log_likelihood(log_p, m), count_posterior(log_p, m)
    close(count_log_likelihood(log_p[members][:, classes], m[classes]), value)
    close(count_posterior(log_p[members][:, classes], m[classes]), posterior[members][:, classes], 1e-9)
    close(posterior.sum(0), m.double(), 1e-9)
    assert float(value) <= 1e-12


def test_subsets_and_lattice_agree_where_both_could_be():
    from labkit import counts as module

    log_p, m = beliefs(9, 3, seed=8), torch.tensor([4, 3, 2])
    present = torch.arange(9) < 9
    subsets = module._over_subsets(log_p, m.double(), present)
    lattice = module._entry(module._lattice(log_p, present), m[:-1])
    close(subsets, lattice, 1e-12)
    close(subsets, enumerated(beliefs(9, 3, seed=8), (4, 3, 2)))


def test_the_two_class_tree_against_the_plain_recursion():
    for size in (1, 2, 3, 5, 17, 64, 100):
        log_p = beliefs(size, 2, seed=size)
        row = [1.0]
        for q in log_p[:, 1].exp().tolist():
            row = [a * (1 - q) + b * q for a, b in zip([*row, 0.0], [0.0, *row])]
        for m in {0, 1, size // 3, size // 2, size}:
            close(count_log_likelihood(log_p, torch.tensor([size - m, m])).exp(), row[m], 1e-11)


# ---- extremes, shapes, vmap ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["auto", "saddlepoint"])
@pytest.mark.parametrize("k", [2, 10])
def test_a_thousand_members_with_logits_of_ten_thousand_in_float32(k, method):
    logits = torch.zeros(1000, k)
    logits[torch.arange(1000), torch.arange(1000) % k] = 1e4
    logits[::7] *= -1
    logits.requires_grad_()
    every = [torch.full((k,), 1000 // k), torch.tensor([1000, *[0] * (k - 1)]), torch.tensor([1, 999, *[0] * (k - 2)])]
    for m in every:
        value = count_log_likelihood(logits.log_softmax(-1), m, method=method)
        (gradient,) = torch.autograd.grad(value, logits)
        assert value.dtype == torch.float32 and value.isfinite() and value <= 0.1
        assert gradient.isfinite().all() and (gradient.abs() <= 1 + 1e-4).all()
        posterior = count_posterior(logits.detach().log_softmax(-1), m, method=method)
        assert ((posterior >= 0) & (posterior <= 1 + 1e-4)).all()


@pytest.mark.parametrize("size", [6, 40])
def test_extremes_of_the_exact_many_class_ways(size):
    logits = torch.tensor([1e4, -1e4, 0.0]).repeat(size)[: 3 * size].view(size, 3)
    logits[0] = 1e4
    for m in ([size, 0, 0], [0, size, 0], [size - 2, 1, 1]):
        z = logits.clone().requires_grad_()
        value = count_log_likelihood(z.log_softmax(-1), torch.tensor(m), method="exact")
        value.backward()
        assert value.isfinite() and z.grad.isfinite().all()


def test_what_is_certain_and_what_is_impossible():
    sure = torch.tensor([[0.0, -math.inf]] * 3 + [[-math.inf, 0.0]] * 2)
    value = count_log_likelihood(sure, torch.tensor([3, 2]))
    assert value == 0
    close(count_posterior(sure, torch.tensor([3, 2])), sure.exp())
    never = count_log_likelihood(sure, torch.tensor([2, 3]))
    assert never.isfinite() and never < -1e20


def test_float32_keeps_six_digits_of_a_large_bag():
    log_p = beliefs(1000, 2, seed=1)
    m = torch.tensor([520, 480])
    exact, rough = count_log_likelihood(log_p, m), count_log_likelihood(log_p.float(), m)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough.double(), exact, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        count_posterior(log_p.float(), m).double(), count_posterior(log_p, m), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize(
    ("k", "size", "method"), [(2, 9, "exact"), (3, 5, "exact"), (3, 12, "exact"), (4, 9, "saddlepoint")]
)
def test_vmap_is_a_loop(k, size, method):
    log_p = beliefs(size, k, seed=1, bags=(3, 2))
    present = torch.arange(size) < torch.tensor([[size, 4], [3, size], [4, 4]])[..., None]
    counts = torch.zeros(3, 2, k, dtype=torch.float64)
    counts[..., 0] = 1
    counts[..., 1] = present.sum(-1) - 1
    for function in (count_log_likelihood, count_posterior):
        call = functools.partial(function, method=method)
        together = torch.func.vmap(call)(log_p, counts, present)
        close(together, torch.stack([call(*row) for row in zip(log_p, counts, present)]), 1e-12)
        close(together, call(log_p, counts, present), 1e-12)
    slope = lambda z, m, here: count_log_likelihood(z.log_softmax(-1), m, here, method=method).sum()
    together = torch.func.vmap(torch.func.grad(slope))(log_p, counts, present)
    close(together, torch.stack([torch.func.grad(slope)(*row) for row in zip(log_p, counts, present)]), 1e-12)


def test_what_it_refuses():
    log_p = beliefs(4, 3)
    with pytest.raises(ValueError, match="'auto', 'exact' or 'saddlepoint', got 'fft'"):
        count_log_likelihood(log_p, torch.tensor([2, 1, 1]), method="fft")
    with pytest.raises(ValueError, match="3 classes and counts have 2"):
        count_log_likelihood(log_p, torch.tensor([2, 2]))
    with pytest.raises(ValueError, match="exact counts of 10 classes in bags of 64"):
        count_log_likelihood(beliefs(64, 10), torch.tensor([64, *[0] * 9]), method="exact")
    with pytest.raises(ValueError, match="smaller bags or fewer classes"):
        noisy_count_log_likelihood(beliefs(30, 10), torch.tensor([30.0, *[0] * 9]), 1.0)
