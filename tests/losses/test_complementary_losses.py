"""Complementary losses: slow twins, enumeration over all labels and sets, gradients, extremes, what public code has."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch

from labkit import losses
from labkit.annotate import biased_complement, uniform_complement
from labkit.evidence import Complementary, one_hot
from labkit.losses.candidates import CLASS_LOSSES

N, K = 6, 5


def logits_of(k=K, n=N, seed=0, scale=2.0):
    return scale * torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def p_of(row):
    top = max(row)
    e = [math.exp(v - top) for v in row]
    return [v / sum(e) for v in e]


def sigmoid(v):
    return 1 / (1 + math.exp(-v))


def excluded_of(sets, k=K):
    return torch.tensor([[j in s for j in range(k)] for s in sets])


SETS = [{0}, {2, 3}, {4}, {0, 1, 2, 3}, {1, 4, 2}, {3}]
EXCLUDED = excluded_of(SETS)


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def slow_pc(f, out):
    k = len(f)
    over = lambda a: sum(sigmoid(f[a] - f[j]) for j in range(k) if j != a)
    return mean((k - 1) * over(a) - k * (k - 1) / 2 + k - 1 for a in out)


def slow_wrapper(per_class, out):
    k, s = len(per_class), len(out)
    allowed = sum(v for j, v in enumerate(per_class) if j not in out)
    return allowed - (k - 1 - s) / s * sum(per_class[j] for j in out)


def slow_lw(f, out, weighted):
    p, k = p_of(f), len(f)
    total = 0.0
    for a in out:
        u = math.log(sum(math.exp(p[a] - v) for v in p))
        total += u * (1 + (1 - p[a]) / (k - 1) if weighted else 1)
    return total / len(out)


def slow_op(f, out, weighted):
    against = p_of([-v for v in f])
    if not weighted:
        return mean(-math.log(against[a]) for a in out)
    outer, p = p_of([1 / v for v in against]), p_of(f)
    return mean((p[a] * outer[a] + 1e-6) * -math.log(against[a]) for a in out)


allowed_mass = lambda f, out: sum(v for j, v in enumerate(p_of(f)) if j not in out)
TWINS = {
    "pc": (losses.pairwise_comparison, slow_pc),
    "nl": (losses.negative_learning, lambda f, out: -math.log(allowed_mass(f, out))),
    "exp": (losses.surrogate_exponential, lambda f, out: mean(math.exp(p_of(f)[a]) for a in out)),
    "mcl log": (losses.multiple_log, lambda f, out: -(len(f) - 1) / len(out) * math.log(allowed_mass(f, out))),
    "mcl exp": (
        losses.multiple_exponential,
        lambda f, out: (len(f) - 1) / len(out) * math.exp(-allowed_mass(f, out)),
    ),
    "mcl mae": (
        lambda z, e: losses.unbiased_of_sets(losses.mae_of_classes(z), e),
        lambda f, out: slow_wrapper([2 - 2 * v for v in p_of(f)], out),
    ),
    "l-w": (losses.weighted_complementary, lambda f, out: slow_lw(f, out, True)),
    "l-uw": (lambda z, e: losses.weighted_complementary(z, e, False), lambda f, out: slow_lw(f, out, False)),
    "op": (losses.order_preserving, lambda f, out: slow_op(f, out, False)),
    "op-w": (lambda z, e: losses.order_preserving(z, e, True), lambda f, out: slow_op(f, out, True)),
    "cpe-i": (
        lambda z, e: losses.complementary_nll(z.log_softmax(-1), e),
        lambda f, out: mean(-math.log(p_of(f)[a]) for a in out),
    ),
}


@pytest.mark.parametrize("name", TWINS)
def test_equals_the_slow_twin(name):
    fast, slow = TWINS[name]
    z = logits_of(scale=1.5)
    expected = torch.tensor([slow(f, out) for f, out in zip(z.tolist(), SETS)], dtype=torch.float64)
    torch.testing.assert_close(fast(z, EXCLUDED), expected, rtol=1e-10, atol=1e-12)
    stacked = fast(z.reshape(2, 3, K), EXCLUDED.reshape(2, 3, K))  # any leading shape, and each example by itself
    torch.testing.assert_close(stacked.flatten(), expected, rtol=1e-10, atol=1e-12)
    assert fast(z.float(), EXCLUDED).dtype == torch.float32


@pytest.mark.parametrize("name", TWINS)
def test_gradients(name):
    fast, _ = TWINS[name]
    torch.autograd.gradcheck(lambda z: fast(z, EXCLUDED), (logits_of(seed=1).requires_grad_(),))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", TWINS)
def test_extreme_logits_give_finite_values_and_slopes(name, dtype):
    fast, _ = TWINS[name]
    z = torch.tensor([[1e4, -1e4, 0, 3, 3], [-1e4, 1e4, 1e4, 0, 0], [1e4] * 5], dtype=dtype).requires_grad_()
    for sets in ([{0}, {1}, {2}], [{1, 2}, {1, 2}, {0, 1, 2, 3}], [{0, 1, 3, 4}, {0}, {4}]):
        value = fast(z, excluded_of(sets))
        (slope,) = torch.autograd.grad(value.sum(), z)
        assert value.isfinite().all() and slope.isfinite().all()


# ---- unbiased, by enumeration ------------------------------------------------------------------------------------


def average_over_sets(of, y, k, s):
    """Mean over all sets of s wrong classes (uniform labels) of a loss of one example's ``excluded (1, K)``."""
    sets = list(combinations([j for j in range(k) if j != y], s))
    return sum(of(excluded_of([set(c)], k)) for c in sets) / len(sets)


@pytest.mark.parametrize("k", [4, 5])
def test_pairwise_comparison_is_unbiased(k):
    z = logits_of(k, 1, seed=2)
    for y in range(k):
        ordinary = sum(sigmoid(float(z[0, j] - z[0, y])) for j in range(k) if j != y)
        for s in range(1, k):
            mine = average_over_sets(lambda e: losses.pairwise_comparison(z, e), y, k, s)
            assert float(mine) == pytest.approx(ordinary)
        # the authors' later code also sums j = l
        code = lambda e: (k - 1) * torch.sigmoid(z[e] - z).sum() - k * (k - 1) / 2 + k - 1
        assert float(average_over_sets(code, y, k, 1)) - ordinary == pytest.approx((k - 1) / 2)


PER_CLASS = {
    **{name: lambda z, of=of: of(z, 0.7) for name, of in CLASS_LOSSES.items()},
    "squared": losses.squared_of_classes,
    "partial huber": losses.partial_huber_of_classes,
    "anything": lambda z: z.sin() * 3 - 1,
}


@pytest.mark.parametrize("k", [4, 5])
@pytest.mark.parametrize("name", PER_CLASS)
def test_the_wrapper_is_unbiased_for_any_loss_and_number_of_labels(name, k):
    per_class = PER_CLASS[name](logits_of(k, 1, seed=3))
    for y in range(k):
        for s in range(1, k):
            mine = average_over_sets(lambda e: losses.unbiased_of_sets(per_class, e), y, k, s)
            torch.testing.assert_close(mine, per_class[:, y], rtol=1e-10, atol=1e-10)
        every = excluded_of([set(range(k)) - {y}], k)
        torch.testing.assert_close(losses.unbiased_of_sets(per_class, every), per_class[:, y])


def test_a_misplaced_parenthesis_is_not_unbiased():
    """One toolkit divides ``K - 1 - s`` by ``s times the loss of the excluded``."""
    per_class = losses.squared_of_classes(logits_of(5, 1, seed=3))
    wrong = lambda e: per_class[~e].sum() - (4 - e.sum()) / (e.sum() * per_class[e].sum() + 1e-20)
    for s in (1, 2, 3):
        right = [float(average_over_sets(lambda e: losses.unbiased_of_sets(per_class, e), 0, 5, s)), per_class[0, 0]]
        assert right[0] == pytest.approx(float(right[1]))
        assert abs(float(average_over_sets(wrong, 0, 5, s)) - float(right[1])) > 0.1


def test_per_class_losses():
    z = logits_of(seed=4)
    for f, squared, huber in zip(z.tolist(), losses.squared_of_classes(z), losses.partial_huber_of_classes(z)):
        p = p_of(f)
        for j in range(K):
            assert float(squared[j]) == pytest.approx(sum((v - (i == j)) ** 2 for i, v in enumerate(p)))
            bent = -math.log(p[j]) if p[j] > 0.1 else -math.log(0.1) - p[j] / 0.1 + 1
            assert float(huber[j]) == pytest.approx(bent)
    assert (losses.partial_huber_of_classes(1e4 * z) <= 1 + math.log(10) + 1e-12).all()
    edge = torch.tensor([[math.log(0.1), math.log(0.9)]], dtype=torch.float64)  # both branches meet, with one slope
    for shift in (-1e-7, 1e-7):
        at = (edge + torch.tensor([[shift, 0.0]])).requires_grad_()
        value = losses.partial_huber_of_classes(at)[0, 0]
        assert value.item() == pytest.approx(math.log(10), abs=1e-6)
        assert float(torch.autograd.grad(value, at)[0][0, 0]) == pytest.approx(-0.9, abs=1e-5)
    torch.autograd.gradcheck(losses.partial_huber_of_classes, (z.requires_grad_(),))
    torch.autograd.gradcheck(losses.squared_of_classes, (z,))


# ---- identities --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 4, 5])
def test_all_but_one_class_excluded_is_the_ordinary_loss(k):
    z = logits_of(k, k, seed=5)
    every = ~torch.eye(k, dtype=torch.bool)
    ordinary = losses.cross_entropy(z, torch.arange(k))
    for fast in (losses.negative_learning, losses.multiple_log):
        torch.testing.assert_close(fast(z, every), ordinary)
    torch.testing.assert_close(losses.unbiased_of_sets(losses.cross_entropy_of_classes(z), every), ordinary)
    torch.testing.assert_close(losses.multiple_exponential(z, every), (-z.softmax(-1).diagonal()).exp())
    pairs = losses.pairwise_sigmoid(z)
    others = torch.stack([pairs[y, :, y].sum() - 0.5 for y in range(k)])
    torch.testing.assert_close(losses.pairwise_comparison(z, every), others)
    mae = losses.unbiased_of_sets(losses.mae_of_classes(z), every)
    torch.testing.assert_close(mae, losses.mae_of_classes(z).diagonal())


def test_factors_of_mcl():
    z, s = logits_of(seed=6), EXCLUDED.sum(-1).double()
    miss = torch.where(EXCLUDED, z.softmax(-1), 0.0).sum(-1)  # 1 - mass of the allowed
    factor = (K - 1) / s
    torch.testing.assert_close(losses.multiple_log(z, EXCLUDED), -factor * (1 - miss).log())
    torch.testing.assert_close(losses.multiple_exponential(z, EXCLUDED), factor * (miss - 1).exp())
    # one toolkit has 2 (K - 1) / s everywhere: right for MAE alone
    torch.testing.assert_close(losses.unbiased_of_sets(losses.mae_of_classes(z), EXCLUDED), 2 * factor * miss)
    one = excluded_of([{j % K} for j in range(N)])
    torch.testing.assert_close(losses.multiple_log(z, one), (K - 1) * losses.negative_learning(z, one))


@pytest.mark.parametrize("name", TWINS)
def test_a_batch_twice_as_large_has_the_same_mean(name):
    """One toolkit sums MCL over the batch, so its learning rate depends on the batch size."""
    fast, _ = TWINS[name]
    z = logits_of(seed=7)
    twice = fast(torch.cat([z, z]), torch.cat([EXCLUDED, EXCLUDED])).mean()
    torch.testing.assert_close(twice, fast(z, EXCLUDED).mean())
    torch.testing.assert_close(fast(z[2:3], EXCLUDED[2:3]), fast(z, EXCLUDED)[2:3])


def test_negative_learning_is_the_likelihood_of_the_labels():
    z, labels = logits_of(seed=8), torch.tensor([0, 3, 1, 4, 2, 2])
    told, revealed = Complementary(labels, K), Complementary(labels, K, uniform_complement(K))
    mine = losses.negative_learning(z, told.excluded)
    torch.testing.assert_close(mine, losses.evidence_nll(z, told))
    torch.testing.assert_close(mine + math.log(K - 1), losses.evidence_nll(z, revealed))


@pytest.mark.parametrize("matrix", [uniform_complement(K), biased_complement(K, "strong", noise=0.1, seed=3)])
def test_forward_in_log_space_and_decoding(matrix):
    z, labels = logits_of(seed=9), torch.tensor([0, 3, 1, 4, 2, 2])
    told = Complementary(labels, K, matrix)
    estimate = losses.log_complementary(z, matrix)
    for f, row in zip(z.tolist(), estimate.tolist()):
        p = p_of(f)
        for a in range(K):
            assert row[a] == pytest.approx(math.log(sum(p[c] * float(matrix[c, a]) for c in range(K))))
    torch.testing.assert_close(losses.complementary_nll(estimate, told.excluded), losses.evidence_nll(z, told))
    # the right posterior decodes to its class; with uniform Q the estimate decodes to argmax p
    assert losses.decode_complementary(matrix, matrix).tolist() == list(range(K))
    slow = [
        [sum(abs(math.exp(v) - float(matrix[c, a])) for a, v in enumerate(row)) for c in range(K)]
        for row in estimate.tolist()
    ]
    distances = losses.complementary_distances(estimate.exp(), matrix)
    torch.testing.assert_close(distances, torch.tensor(slow, dtype=torch.float64))
    assert losses.decode_complementary(estimate.exp(), matrix).tolist() == [row.index(min(row)) for row in slow]
    if matrix[0, 0] == 0:
        assert torch.equal(losses.decode_complementary(estimate.exp(), matrix), z.argmax(-1))
        torch.testing.assert_close(distances, (2 - 2 * z.softmax(-1)) / (K - 1))


def test_the_estimate_has_slopes_in_the_matrix():
    z, q = logits_of(seed=10), biased_complement(K, "weak", noise=0.2, seed=1)
    torch.autograd.gradcheck(losses.log_complementary, (z.requires_grad_(), q.requires_grad_()))
    zeros = uniform_complement(K).requires_grad_()
    (slope,) = torch.autograd.grad(losses.log_complementary(z.detach() * 1e4, zeros).sum(), zeros)
    assert slope.isfinite().all() and (slope.diagonal() == 0).all()
    nobody = one_hot(torch.zeros(K, dtype=torch.long), K, torch.float64)  # labels 1 to 4 come from no class
    assert losses.log_complementary(z.detach(), nobody).isfinite().all()


# ---- bounds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [3, 10])
def test_the_range_of_the_discriminative_loss(k):
    low, high = math.log(1 + (k - 1) * math.exp(-1 / (k - 1))), math.log(1 + (k - 1) * math.e)
    z = logits_of(k, 2000, seed=11, scale=4.0)
    first = excluded_of([{0}] * 2000, k)
    u, weighted = (losses.weighted_complementary(z, first, w) for w in (False, True))
    assert (u >= low).all() and (u <= high).all() and (weighted >= u).all() and (weighted <= k / (k - 1) * u).all()
    ends = torch.tensor([[-1e4] + [0.0] * (k - 1), [1e4] + [0.0] * (k - 1)], dtype=torch.float64)
    torch.testing.assert_close(
        losses.weighted_complementary(ends, first[:2], False), torch.tensor([low, high], dtype=torch.float64)
    )
    if k == 10:
        assert low == pytest.approx(2.203, abs=1e-3) and high == pytest.approx(3.237, abs=1e-3)


def test_the_weight_of_the_discriminative_loss_is_part_of_the_slope():
    z = logits_of(seed=12).requires_grad_()
    one = excluded_of([{0}] * N)
    (slope,) = torch.autograd.grad(losses.weighted_complementary(z, one).sum(), z)
    p = z.softmax(-1)
    u = losses.weighted_complementary(z, one, False)
    held = (1 + (1 - p[:, 0].detach()) / (K - 1)) * u
    assert not torch.allclose(slope, torch.autograd.grad(held.sum(), z)[0])


def test_the_exponential_surrogate_is_bounded():
    z = torch.stack([torch.linspace(-8, 8, 4001, dtype=torch.float64), torch.zeros(4001, dtype=torch.float64)], 1)
    z.requires_grad_()
    value = losses.surrogate_exponential(z, excluded_of([{0}] * 4001, 2))
    (slope,) = torch.autograd.grad(value.sum(), z)
    assert value.min() >= 1 and value.max() <= math.e and float(slope.abs().max()) == pytest.approx(0.438, abs=1e-3)


def test_the_weight_of_order_preserving_finds_the_largest_logit_however_large():
    z = torch.tensor([[20.0, 19.0, -10.0], [200.0, 199.0, -90.0], [12.0, -3.0, 2.0]])  # float32: e^290 is no number
    for excluded, c in ((excluded_of([{0}] * 3, 3), 0), (excluded_of([{1}] * 3, 3), 1)):
        against = -(-z).log_softmax(-1)[:, c]
        weight = z.softmax(-1)[:, c] if c == 0 else torch.zeros(3)
        mine = losses.order_preserving(z, excluded, weighted=True)
        torch.testing.assert_close(mine, (weight + 1e-6) * against)
    near = torch.tensor([[0.0, 0.1, 0.2, -1.0, 0.5]], dtype=torch.float64)  # where nothing is cut
    (slow,) = [slow_op(near[0].tolist(), {2}, True)]
    assert float(losses.order_preserving(near, excluded_of([{2}]), True)) == pytest.approx(slow)


def test_order_preserving_ranks_against_the_label():
    """At uniform labels the minimiser orders classes as the posterior does: over all labels the slope points there."""
    y, k = 2, 4
    z = torch.zeros(1, k, dtype=torch.float64, requires_grad=True)
    total = sum(losses.order_preserving(z, excluded_of([{a}], k)) for a in range(k) if a != y) / (k - 1)
    (slope,) = torch.autograd.grad(total.sum(), z)
    assert slope[0, y] < 0 and (slope[0, [0, 1, 3]] > 0).all()
