"""Robust losses against hand-written loops, what they reduce to, and errors of released code that are not repeated."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from labkit import losses
from labkit.losses.robust import FULL_MAE, REVERSE_CE

K, N = 5, 7


def random(seed: int = 0, scale: float = 2.0):
    g = torch.Generator().manual_seed(seed)
    return scale * torch.randn(N, K, generator=g, dtype=torch.float64), torch.randint(0, K, (N,), generator=g)


def p_of(row):
    e = [math.exp(z - max(row)) for z in row]
    return [v / sum(e) for v in e]


def slow_gce(p, y, q):
    return -math.log(p[y]) if q == 0 else (1 - p[y] ** q) / q


def slow_truncated(p, y, q, k):
    return slow_gce(p, y, q) if p[y] > k else slow_gce([k], 0, q)


def slow_reverse(p, y):
    return -sum(v * math.log(1.0 if k == y else 1e-4) for k, v in enumerate(p))


def slow_share(of, p, y):
    """One label's loss over that of all labels."""
    return of(p, y) / sum(of(p, k) for k in range(K))


def slow_focal(p, y, gamma):
    return -((1 - p[y]) ** gamma) * math.log(p[y])


def slow_js(p, y, w):
    one = [float(k == y) for k in range(K)]
    m = [w * t + (1 - w) * v for t, v in zip(one, p)]
    kl = lambda a: sum(x * math.log(x / z) for x, z in zip(a, m) if x > 0)
    return (w * kl(one) + (1 - w) * kl(p)) / (-(1 - w) * math.log(1 - w))


def slow_rll(p, y, a):
    return -math.log(a + p[y]) + sum(math.log(a + v) for k, v in enumerate(p) if k != y) / (K - 1)


ce = lambda p, y: -math.log(p[y])
share_ce = lambda p, y: slow_share(ce, p, y)
share_nfl = lambda p, y: slow_share(lambda a, k: slow_focal(a, k, 0.5), p, y)
share_gce = lambda p, y: slow_share(lambda a, k: slow_gce(a, k, 0.1), p, y)
power = lambda of: lambda p, y: of(p[y])

LOSSES = {
    "mae": (losses.mae, lambda p, y: sum(abs(v - (k == y)) for k, v in enumerate(p)) / FULL_MAE),
    **{f"gce {q}": (lambda z, t, q=q: losses.gce(z, t, q), lambda p, y, q=q: slow_gce(p, y, q)) for q in (0, 0.3, 1)},
    **{
        f"truncated {k}": (
            lambda z, t, k=k: losses.truncated_gce(z, t, 0.7, k),
            lambda p, y, k=k: slow_truncated(p, y, 0.7, k),
        )
        for k in (0.0, 0.3)
    },
    "sce": (lambda z, t: losses.sce(z, t, 0.1, 1.0), lambda p, y: 0.1 * ce(p, y) + slow_reverse(p, y)),
    "nce": (losses.nce, share_ce),
    "nfl": (lambda z, t: losses.nfl(z, t, 0.5), share_nfl),
    "ngce": (lambda z, t: losses.ngce(z, t, 0.1), share_gce),
    "nce + rce": (
        lambda z, t: losses.active_passive(z, t, 2.0, 0.5),
        lambda p, y: 2 * share_ce(p, y) + 0.5 * slow_reverse(p, y),
    ),
    "nfl + mae": (
        lambda z, t: losses.active_passive(z, t, 1.0, 3.0, "nfl", "mae"),
        lambda p, y: share_nfl(p, y) + 3 * (1 - p[y]),
    ),
    "ngce + agce": (
        lambda z, t: losses.active_passive(z, t, 1.0, 1.0, "ngce", "agce"),
        lambda p, y: share_gce(p, y) + (4**1.5 - (3 + p[y]) ** 1.5) / 1.5,
    ),
    "nce + aul": (
        lambda z, t: losses.active_passive(z, t, 1.0, 1.0, "nce", "aul"),
        lambda p, y: share_ce(p, y) + ((6 - p[y]) ** 1.5 - 5**1.5) / 1.5,
    ),
    "agce": (lambda z, t: losses.agce(z, t, 1.0, 2.0), power(lambda v: (2**2 - (1 + v) ** 2) / 2)),
    "agce 0": (lambda z, t: losses.agce(z, t, 0.0, 0.5), power(lambda v: (1 - v**0.5) / 0.5)),
    "aul": (lambda z, t: losses.aul(z, t, 1.5, 0.9), power(lambda v: ((1.5 - v) ** 0.9 - 0.5**0.9) / 0.9)),
    "js 0.1": (lambda z, t: losses.jensen_shannon(z, t, 0.1), lambda p, y: slow_js(p, y, 0.1)),
    "js 0.9": (lambda z, t: losses.jensen_shannon(z, t, 0.9), lambda p, y: slow_js(p, y, 0.9)),
    "rll": (lambda z, t: losses.rll(z, t, 0.1), lambda p, y: slow_rll(p, y, 0.1)),
}
MEASURED_ON_DISTRIBUTIONS = {"js 0.1", "js 0.9"}


@pytest.mark.parametrize("name", LOSSES)
def test_equals_the_slow_twin(name):
    fast, slow = LOSSES[name]
    logits, y = random()
    expected = torch.tensor([slow(p_of(z.tolist()), int(c)) for z, c in zip(logits, y)], dtype=torch.float64)
    torch.testing.assert_close(fast(logits, y), expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(fast(logits, F.one_hot(y, K).double()), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_dtype_and_shape(name):
    fast, _ = LOSSES[name]
    logits, y = random(1)
    assert torch.autograd.gradcheck(lambda z: fast(z, y), logits.requires_grad_())
    value = fast(logits.detach().float(), y)
    assert value.dtype == torch.float32 and value.shape == (N,)
    torch.testing.assert_close(value.double(), fast(logits.detach(), y), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", LOSSES)
def test_extreme_logits_stay_finite(name, dtype):
    fast, _ = LOSSES[name]
    rows = [[1e4, -1e4, 0, 0, 0], [1e4, -1e4, 0, 0, 0], [-1e4, 1e4, 1e4, 0, 0], [0.0] * 5, [1e4] * 5, [-1e4] * 5]
    logits = torch.tensor(rows, dtype=dtype).requires_grad_()
    value = fast(logits, torch.tensor([0, 1, 0, 2, 3, 4]))
    value.sum().backward()
    assert value.isfinite().all() and logits.grad.isfinite().all()


@pytest.mark.parametrize("name", sorted(set(LOSSES) - MEASURED_ON_DISTRIBUTIONS))
def test_of_a_distribution_it_is_the_average_over_labels(name):
    fast, _ = LOSSES[name]
    logits, _ = random(2)
    target = random(3)[0].softmax(-1)
    each = torch.stack([fast(logits, torch.full((N,), c)) for c in range(K)], -1)
    torch.testing.assert_close(fast(logits, target), (target * each).sum(-1))


def test_symmetric_losses_sum_to_a_constant_and_cross_entropy_does_not():
    ones = torch.ones(N, K, dtype=torch.float64)
    logits, _ = random(4)
    constant = {
        K - 1: [losses.mae, lambda z, t: losses.gce(z, t, 1.0), lambda z, t: losses.aul(z, t, 2.0, 1.0)],
        1: [losses.nce, lambda z, t: losses.nfl(z, t, 0.5), lambda z, t: losses.ngce(z, t, 0.3)],
        0: [lambda z, t: losses.rll(z, t, 0.3)],
        1 + REVERSE_CE * (K - 1): [lambda z, t: losses.active_passive(z, t, 1.0, 1.0)],
    }
    for total, symmetric in constant.items():
        for loss in symmetric:
            torch.testing.assert_close(loss(logits, ones), torch.full((N,), float(total), dtype=torch.float64))
    for loss in (losses.cross_entropy, lambda z, t: losses.gce(z, t, 0.7), lambda z, t: losses.agce(z, t, 1.0, 2.0)):
        assert loss(logits, ones).std() > 1e-2


def test_gce_runs_from_cross_entropy_to_mae_and_weighs_by_p_to_the_q():
    logits, y = random(5)
    plain = F.cross_entropy(logits, y, reduction="none")
    torch.testing.assert_close(losses.gce(logits, y, 0.0), plain, rtol=1e-14, atol=0)
    torch.testing.assert_close(losses.gce(logits, y, 1e-12), plain, rtol=1e-10, atol=0)  # (1 - p^q) / q would be lost
    torch.testing.assert_close(losses.gce(logits, y, torch.tensor(1.0)), losses.mae(logits, y))
    logits.requires_grad_()
    for q in (0.0, 0.7, 1.0):
        (grad,) = torch.autograd.grad(losses.gce(logits, y, q).sum(), logits)
        weight = logits.detach().softmax(-1).gather(1, y[:, None]) ** q
        torch.testing.assert_close(grad, weight * (logits.detach().softmax(-1) - F.one_hot(y, K)))


def test_truncation_stops_the_gradient_and_is_continuous():
    p = torch.tensor([[0.2, 0.8], [0.4999999, 0.5000001], [0.6, 0.4]], dtype=torch.float64)
    logits = p.log().requires_grad_()
    y = torch.tensor([0, 1, 0])
    value = losses.truncated_gce(logits, y, 0.7, 0.5)
    value.sum().backward()
    at_k = (1 - 0.5**0.7) / 0.7
    assert value[0].item() == pytest.approx(at_k) and value[1].item() == pytest.approx(at_k, abs=1e-6)
    assert (logits.grad[0] == 0).all() and (logits.grad[1:] != 0).all()


def test_what_else_reduces_to_what():
    logits, y = random(6)
    same = lambda a, b: torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    same(losses.sce(logits, y, 2.0, 0.0), 2 * losses.cross_entropy(logits, y))
    same(losses.sce(logits, y, 0.0, 1.0), REVERSE_CE * losses.mae(logits, y))
    same(losses.nfl(logits, y, 0.0), losses.nce(logits, y))
    same(losses.ngce(logits, y, 0.0), losses.nce(logits, y))
    same(losses.ngce(logits, y, 1.0), losses.mae(logits, y) / (K - 1))
    same(losses.agce(logits, y, 0.0, 0.7), losses.gce(logits, y, 0.7))
    for a in (1.5, 4.0):
        same(losses.agce(logits, y, a, 1.0), losses.mae(logits, y))
        same(losses.aul(logits, y, a, 1.0), losses.mae(logits, y))
    torch.testing.assert_close(
        losses.jensen_shannon(logits, y, 1e-7), losses.cross_entropy(logits, y), atol=1e-5, rtol=0
    )
    near = losses.jensen_shannon(logits, y, 1 - 1e-12)
    torch.testing.assert_close(near, losses.mae(logits, y), atol=0.1, rtol=0)  # the approach is logarithmic in 1 - w


def test_focal_weights_held_constant_change_the_gradient_only():
    logits, y = random(7)
    logits.requires_grad_()
    free, held = losses.nfl(logits, y, 0.5), losses.nfl(logits, y, 0.5, constant_weights=True)
    torch.testing.assert_close(free, held)
    gradient = lambda v: torch.autograd.grad(v.sum(), logits)[0]
    assert (gradient(free) - gradient(held)).abs().max() > 1e-2


def test_unknown_parts_are_named():
    logits, y = random()
    with pytest.raises(ValueError, match="nce"):
        losses.active_passive(logits, y, 1.0, 1.0, active="nec")
    with pytest.raises(ValueError, match="rce"):
        losses.active_passive(logits, y, 1.0, 1.0, passive="ce")


# ---- errors of released code (the formulas, not the files) -----------------------------------------------------------

Z = torch.tensor([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]], dtype=torch.float64)
Y = torch.tensor([0, 0])
P = (math.e / (math.e + 1 + 1 / math.e), 1 / (2 + math.e**2))  # p_y of the two rows: 0.6652, 0.1065


def test_mae_is_not_the_sum_of_signed_errors():
    """ICML2023_LDR sums Y - p without the absolute value: always 0, and nothing is learned."""
    signed = (F.one_hot(Y, 3) - Z.softmax(-1)).sum(-1)
    assert signed.abs().max() < 1e-12
    z = Z.clone().requires_grad_()
    value = losses.mae(z, Y)
    assert value.tolist() == pytest.approx([1 - p for p in P])
    assert torch.autograd.grad(value.sum(), z)[0].abs().max() > 0.09


def test_rll_is_not_what_the_same_code_calls_so():
    expected = []
    for row, y in zip(Z.tolist(), Y.tolist()):
        p = p_of(row)
        expected.append(-math.log(1 + p[y]) + sum(math.log(1 + p[k]) for k in range(3) if k != y) / 2)
    assert losses.rll(Z, Y, 1.0).tolist() == pytest.approx(expected)
    assert expected == pytest.approx([-0.3574, 0.2397], abs=1e-4)
    # coded: the log of a sum of exponentials that were never divided by their total
    e = torch.exp((1 - F.one_hot(Y, 3)) * Z - Z.sum(-1, keepdim=True)) + 1
    coded = -torch.log(1 + Z.softmax(-1)[range(2), Y]) + e.sum(-1).log() / 2
    assert (coded - losses.rll(Z, Y, 1.0)).abs().min() > 0.1


def test_soft_bootstrapping_adds_entropy():
    """A port subtracts (1 - beta) H(p): rewarded would be what Reed et al. (2015) punish."""
    entropy = [-sum(p * math.log(p) for p in p_of(row)) for row in Z.tolist()]
    expected = [-0.95 * math.log(p) + 0.05 * h for p, h in zip(P, entropy)]
    assert losses.soft_bootstrapping(Z, Y, 0.95).tolist() == pytest.approx(expected)
    assert expected == pytest.approx([0.4288, 2.1608], abs=1e-4)


def test_reverse_cross_entropy_normalised_is_mae_normalised():
    """Active-Passive-Losses multiplies by (K - 1) / 4; for a sum of 1 it must be 1 / (9.21 (K - 1))."""
    rce = losses.sce(Z, torch.ones(2, 3, dtype=torch.float64), 0.0, 1.0)
    assert (rce / (REVERSE_CE * 2)).tolist() == pytest.approx([1, 1])
    assert (rce * 2 / 4).tolist() == pytest.approx([REVERSE_CE, REVERSE_CE])  # as coded: far from 1
    assert round(REVERSE_CE, 4) == 9.2103
    one, other = (losses.active_passive(Z, Y, 1.0, b, passive=name) for b, name in ((1.0, "rce"), (REVERSE_CE, "mae")))
    torch.testing.assert_close(one, other)
