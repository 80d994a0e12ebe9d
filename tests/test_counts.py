"""The likelihood and the posterior of class counts, against every labelling of the bag there is."""

from __future__ import annotations

import functools
import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.counts import count_log_likelihood, count_posterior, noisy_count_log_likelihood, tilted

SIZES = {2: 8, 3: 7, 4: 6}  # the largest bag that is enumerated in every one of its counts, by classes


def beliefs(size: int, k: int, seed: int = 0, scale: float = 2.0, bags: tuple[int, ...] = ()):
    """Log probabilities of random members, ``(*bags, size, k)`` float64."""
    g = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(*bags, size, k, generator=g, dtype=torch.float64)).log_softmax(-1)


def compositions(size: int, k: int) -> list[tuple[int, ...]]:
    """Every way in which ``size`` members can be counted."""
    if k == 1:
        return [(size,)]
    return [(m, *rest) for m in range(size + 1) for rest in compositions(size - m, k - 1)]


@functools.cache
def labellings(size: int, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All ``k ** size`` labellings ``(L, size)`` and their counts ``(L, k)``."""
    every = torch.tensor(list(itertools.product(range(k), repeat=size)))
    return every, torch.stack([(every == c).sum(1) for c in range(k)], 1)


def enumerated(log_p: torch.Tensor, counts) -> torch.Tensor:
    """``log P(counts)`` of one bag ``(size, k)``: the sum over all labellings with these counts."""
    every, held = labellings(*log_p.shape)
    weight = log_p[torch.arange(len(log_p)), every].sum(1)
    return weight[(held == torch.tensor(counts)).all(1)].logsumexp(0)


def enumerated_posterior(log_p: torch.Tensor, counts) -> torch.Tensor:
    """P(member i has class c | counts): the share of the labellings that say so, ``(size, k)``."""
    every, held = labellings(*log_p.shape)
    fits = every[(held == torch.tensor(counts)).all(1)]
    share = log_p[torch.arange(len(log_p)), fits].sum(1).softmax(0)
    return torch.stack([(share[:, None] * (fits == c)).sum(0) for c in range(log_p.shape[1])], 1)


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(a, torch.as_tensor(b, dtype=a.dtype), rtol=tolerance, atol=tolerance)


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


# ---- noisy counts ----------------------------------------------------------------------------------------------------


def enumerated_noisy(log_p, said, scale):
    size, k = log_p.shape
    terms = [
        enumerated(log_p, m) - sum(abs(a - b) for a, b in zip(said, m)) / scale - k * math.log(2 * scale)
        for m in compositions(size, k)
    ]
    return torch.stack(terms).logsumexp(0)


@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0])
@pytest.mark.parametrize(("k", "size"), [(2, 6), (3, 4), (4, 3)])
def test_noisy_counts_are_enumerations(k, size, scale):
    logits = torch.randn(size, k, generator=torch.Generator().manual_seed(k), dtype=torch.float64).requires_grad_()
    said = torch.linspace(-1.3, size + 0.7, k, dtype=torch.float64)  # noise takes counts anywhere
    value = noisy_count_log_likelihood(logits.log_softmax(-1), said, scale)
    slow = enumerated_noisy(logits.log_softmax(-1), said.tolist(), scale)
    close(value, slow)
    close(torch.autograd.grad(value, logits)[0], torch.autograd.grad(slow, logits)[0])


@pytest.mark.parametrize("k", [2, 3])
def test_noisy_counts_of_bags_of_different_sizes(k):
    log_p, said = beliefs(6, k, seed=3, bags=(4,)), torch.full((4, k), 1.4, dtype=torch.float64)
    present = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 0, 0, 0, 0, 0], [0, 1, 0, 1, 1, 0], [1, 1, 0, 0, 1, 1]]).bool()
    value = noisy_count_log_likelihood(log_p, said, 0.8, present)
    for b in range(4):
        close(value[b], enumerated_noisy(log_p[b][present[b]], said[b].tolist(), 0.8))
    together = torch.func.vmap(lambda z, m, here: noisy_count_log_likelihood(z, m, 0.8, here))(log_p, said, present)
    close(together, value, 1e-12)


@pytest.mark.parametrize("k", [2, 3])
def test_little_noise_is_none_and_much_says_nothing(k):
    log_p = beliefs(5, k, seed=6).requires_grad_()
    m = torch.tensor([2, 3, 0][:k])
    exact = count_log_likelihood(log_p, m, method="exact")
    close(noisy_count_log_likelihood(log_p, m, 1e-4) + k * math.log(2e-4), exact.detach(), 1e-10)
    (posterior,) = torch.autograd.grad(noisy_count_log_likelihood(log_p, m, 1e-4), log_p)
    close(posterior, count_posterior(log_p, m, method="exact"))
    (posterior,) = torch.autograd.grad(noisy_count_log_likelihood(log_p, m, 1e9), log_p)
    close(posterior, log_p.detach().exp(), 1e-7)


# ---- what the approximation costs ------------------------------------------------------------------------------------

# (classes, size, spread of the logits) -> largest errors measured over eight bags each: nats per bag, and the posterior
# of a member (the product distribution without its correction errs up to 0.35 there). Asserted with a third to spare.
MEASURED = {
    (3, 8, 0.5): (0.036, 0.015), (3, 8, 2.0): (0.16, 0.086), (3, 8, 5.0): (0.21, 0.074),
    (3, 32, 0.5): (0.009, 0.002), (3, 32, 2.0): (0.13, 0.011), (3, 32, 5.0): (0.33, 0.060),
    (4, 16, 2.0): (0.32, 0.063), (6, 11, 2.0): (0.40, 0.087), (10, 12, 2.0): (0.47, 0.075), (10, 12, 5.0): (0.28, 0.18),
    (2, 64, 2.0): (0.016, 0.0004), (2, 256, 2.0): (0.0035, 0.0001),
}  # fmt: skip


def drawn(log_p, seed):
    """Counts of labels drawn from the beliefs themselves."""
    u = torch.rand(*log_p.shape[:-1], 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    y = (log_p.exp().cumsum(-1) < u).sum(-1).clamp(max=log_p.shape[-1] - 1)
    return torch.nn.functional.one_hot(y, log_p.shape[-1]).sum(-2)


@pytest.mark.parametrize("case", MEASURED)
def test_the_saddlepoint_errs_by_what_was_measured(case):
    k, size, scale = case
    log_p = torch.stack([beliefs(size, k, seed, scale) for seed in range(8)])
    m = torch.stack([drawn(row, seed) for seed, row in enumerate(log_p)])
    error = count_log_likelihood(log_p, m, method="saddlepoint") - count_log_likelihood(log_p, m, method="exact")
    exact, near = (count_posterior(log_p, m, method=way) for way in ("exact", "saddlepoint"))
    assert error.abs().max() < 4 / 3 * MEASURED[case][0]
    assert (near - exact).abs().max() < 4 / 3 * MEASURED[case][1]
    assert (near - exact).abs().mean() < 0.6 * (tilted(log_p, m) - exact).abs().mean()
    assert near.min() > -0.05
    close(near.sum(-1), torch.ones(8, size), 1e-9)
    close(near.sum(-2), m.double(), 1e-5)


@pytest.mark.parametrize(("k", "size"), [(2, 30), (3, 30), (10, 30)])
def test_the_derivative_of_the_saddlepoint_is_its_derivative(k, size):
    log_p = beliefs(size, k, seed=k)
    m = drawn(log_p, 1)
    slope = count_posterior(log_p, m, method="saddlepoint")
    for direction in (beliefs(size, k, seed=11), beliefs(size, k, seed=12)):
        up, down = (count_log_likelihood(log_p + h * direction, m, method="saddlepoint") for h in (1e-4, -1e-4))
        assert float((up - down) / 2e-4) == pytest.approx(float((slope * direction).sum()), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("k", [3, 10])
def test_the_tilted_members_have_the_counts_as_their_mean(k):
    log_p = beliefs(20, k, seed=1, bags=(3,))
    present = torch.arange(20) < torch.tensor([20, 11, 1])[:, None]
    m = torch.stack([drawn(row[here], 4) for row, here in zip(log_p, present)])
    q = tilted(log_p, m, present)
    close(q.sum(-2), m.double(), 1e-5)
    close(q.sum(-1), present.double(), 1e-12)
    ratio = (q / log_p.exp())[0]
    odds = ratio / ratio[:, m[0].argmax()][:, None]  # p_ik exp(t_k), normalised: one t for all members
    close(odds, odds[:1].expand_as(odds), 1e-6)


def test_the_saddlepoint_stands_matrices_without_an_inverse():
    """Large certain bags in float32 leave the covariance of the counts singular."""
    log_p = (5 * torch.randn(200, 64, 3, generator=torch.Generator().manual_seed(0))).log_softmax(-1)
    m = torch.stack([drawn(row.double(), i) for i, row in enumerate(log_p)])
    value, posterior = (f(log_p, m, method="saddlepoint") for f in (count_log_likelihood, count_posterior))
    exact = count_log_likelihood(log_p[:4].double(), m[:4], method="exact")
    assert value.isfinite().all() and posterior.isfinite().all()
    torch.testing.assert_close(value[:4].double(), exact, rtol=0, atol=0.3)
    torch.testing.assert_close(posterior.sum(1), m.float(), rtol=0, atol=0.02)


# ---- known errors of published code ----------------------------------------------------------------------------------

BAG = [0.9, 0.2, 0.4, 0.7, 0.1, 0.55]  # P(yes) of six members


def pair(q):
    q = torch.tensor(q, dtype=torch.float64)
    return torch.stack([(1 - q).log(), q.log()], -1)


def recursion(q, m, start):
    """P(count = m) if the table starts as ``start``: 1 for nobody having been counted, 0 elsewhere."""
    row = list(start)
    for p in q:
        row = [row[c] * (1 - p) + (row[c - 1] * p if c else 0.0) for c in range(m + 1)]
    return row[m]


def test_the_table_starts_at_zero_and_not_at_one():
    """CountLoss (LLP/utils/log_space_algo.py) starts its log table as log 1 everywhere: P(count <= m), not P(= m).

    So a bag of which all members are "yes" costs nothing, whatever is predicted.
    """
    for m, right in enumerate([-5.1444, -2.5356, -1.2727, -0.9719, -1.5617, -3.1245, -5.8882]):
        defective = math.log(recursion(BAG, m, [1.0] * (m + 1)))
        ours = float(count_log_likelihood(pair(BAG), torch.tensor([6 - m, m])))
        assert ours == pytest.approx(math.log(recursion(BAG, m, [1.0] + [0.0] * m)), abs=1e-12)
        assert ours == pytest.approx(right, abs=6e-5)
        upto = [float(count_log_likelihood(pair(BAG), torch.tensor([6 - c, c])).exp()) for c in range(m + 1)]
        assert defective == pytest.approx(math.log(sum(upto)), abs=1e-12)
        assert defective > ours + 0.05 or m == 0
    assert math.log(recursion(BAG, 6, [1.0] * 7)) == pytest.approx(0, abs=1e-12)


def test_posteriors_use_the_emission_of_their_own_class():
    """GLWS (src/core/nfa.py) takes 1 - q for q in the last positive step of its backward pass."""

    def defective(q, m):
        n = len(q)
        forward = [[1.0, *[0.0] * m]]
        for p in q:
            row = forward[-1]
            forward.append([row[c] * (1 - p) + (row[c - 1] * p if c else 0) for c in range(m + 1)])
        backward = [[0.0] * m + [1.0]]
        for p in reversed(q):
            row, last = backward[0], 1 - p
            backward.insert(0, [row[c] * (1 - p) + (row[c + 1] * (last if c + 1 == m else p) if c < m else 0)
                                for c in range(m + 1)])  # fmt: skip
        joint = [q[i] * sum(forward[i][c] * backward[i + 1][c + 1] for c in range(m)) for i in range(n)]
        no = [(1 - q[i]) * sum(forward[i][c] * backward[i + 1][c] for c in range(m + 1)) for i in range(n)]
        return [a / (a + b) for a, b in zip(joint, no)]

    for q, m in (([0.1, 0.2, 0.3, 0.15], 1), (BAG[1:5], 1), (BAG, 3)):
        right = enumerated_posterior(pair(q), (len(q) - m, m))[:, 1]
        ours = count_posterior(pair(q), torch.tensor([len(q) - m, m]))[:, 1]
        close(ours, right)
        wrong = torch.tensor(defective(q, m), dtype=torch.float64)
        assert (wrong - right).abs().max() > 0.09 and abs(float(wrong.sum()) - m) > 0.1


def test_clamping_takes_the_gradient_away():
    """GLWS clamps the likelihood to 1e-12, so a bag that is all but impossible teaches nothing. Ours does."""
    logits = torch.tensor([[0.0, 8.0]] * 6, dtype=torch.float64).requires_grad_()
    value = count_log_likelihood(logits.log_softmax(-1), torch.tensor([6, 0]))
    (ours,) = torch.autograd.grad(value, logits, retain_graph=True)
    (clamped,) = torch.autograd.grad(value.exp().clamp(1e-12, 1 - 1e-12).log(), logits)
    assert float(value.detach()) < math.log(1e-12) and (clamped == 0).all() and (ours[:, 0] > 0.99).all()
