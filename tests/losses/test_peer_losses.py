"""Peer loss, f-divergences and CORES: slow twins, exact enumeration over all labels and pairs, signs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch.autograd.functional import hessian

from labkit.losses import (
    binary_peer_weight,
    cores,
    cross_entropy,
    f_divergence,
    floored_cross_entropy,
    peer,
    sieve_score,
)
from labkit.losses.peer import DIVERGENCES

N, K = 5, 3
G = torch.Generator().manual_seed(0)
Z, W = (torch.randn(N, K, generator=G, dtype=torch.float64) for _ in range(2))
Y, P = torch.tensor([0, 1, 2, 0, 1]), torch.tensor([2, 0, 1, 1, 1])
PRIOR = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
WRONG_IN_PUBLIC_CODE = ("reverse_kl", "squared_hellinger", "neyman")


def softmax(z):
    e = [math.exp(v - max(z)) for v in z]
    return [v / sum(e) for v in e]


# ---- slow twins ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("alpha", "floor"), [(0.0, 0.0), (1.0, 0.0), (0.7, 1e-5), (2.0, 0.01)])
def test_peer_is_the_equation(alpha, floor):
    found = peer(Z, Y, W, P, alpha, floor)
    for i in range(N):
        own, other = softmax(Z[i].tolist())[Y[i]], softmax(W[i].tolist())[P[i]]
        assert float(found[i]) == pytest.approx(-math.log(own + floor) + alpha * math.log(other + floor))


def lambert(x):
    """W e^W = x by bisection."""
    low, high = 0.0, 2.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if middle * math.exp(middle) < x else (low, middle)
    return low


CONJUGATE = {  # f*, written from the generators, and g: nothing shared with the code
    "total_variation": (lambda v: math.tanh(v) / 2, lambda t: t),
    "jensen_shannon": (lambda v: math.log(2 / (1 + math.exp(-v))), lambda t: -math.log(2 - math.exp(t))),
    "pearson": (lambda v: v, lambda t: t * t / 4 + t),
    "kl": (lambda v: v, lambda t: math.exp(t - 1)),
    "reverse_kl": (lambda v: -math.exp(-v), lambda t: -1 - math.log(-t)),
    "jeffrey": (lambda v: v, lambda t: lambert(math.exp(1 - t)) + 1 / lambert(math.exp(1 - t)) + t - 2),
    "squared_hellinger": (lambda v: 1 - math.exp(-v), lambda t: t / (1 - t)),
    "neyman": (lambda v: 1 - math.exp(-v), lambda t: 2 - 2 * math.sqrt(1 - t)),
}
GENERATOR = {  # f itself: f*(t) = sup_u (u t - f(u)), by brute force over u
    "total_variation": lambda u: abs(u - 1) / 2,
    "jensen_shannon": lambda u: -(u + 1) * math.log((1 + u) / 2) + u * math.log(u),
    "pearson": lambda u: (u - 1) ** 2,
    "kl": lambda u: u * math.log(u),
    "reverse_kl": lambda u: -math.log(u),
    "jeffrey": lambda u: (u - 1) * math.log(u),
    "squared_hellinger": lambda u: (math.sqrt(u) - 1) ** 2,
    "neyman": lambda u: (1 - u) ** 2 / u,
}


@pytest.mark.parametrize("name", DIVERGENCES)
def test_f_divergence_is_the_equation(name):
    found = f_divergence(Z, Y, W, P, name)
    g, star = CONJUGATE[name]
    for i in range(N):
        a, b = softmax(Z[i].tolist())[Y[i]], softmax(W[i].tolist())[P[i]]
        assert float(found[i]) == pytest.approx(star(g(b)) - g(a), abs=1e-12)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_conjugates_are_those_of_their_generators(name):
    g, after = DIVERGENCES[name]
    grid = np.exp(np.linspace(-12, 12, 20001))
    values = np.array([GENERATOR[name](u) for u in grid])
    for v in (0.05, 0.3, 0.6, 0.95):
        t = float(g(torch.tensor(v, dtype=torch.float64)))
        assert float(after(torch.tensor(v, dtype=torch.float64))) == pytest.approx((grid * t - values).max(), abs=2e-5)


def test_jeffreys_conjugate_is_near_its_cubic_polynomial():
    for v in (0.0, 0.2, 0.5, 1.0):
        exact = float(DIVERGENCES["jeffrey"][1](torch.tensor(v, dtype=torch.float64)))
        assert 0 <= exact - (v + v**2 / 4 + v**3 / 16) <= 0.02 * v**4 + 1e-12


# ---- signs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DIVERGENCES)
def test_the_given_label_is_pulled_and_the_peers_is_pushed(name):
    """Public code reverses v in three of them and so pushes the given label down."""
    for v in (0.01, 0.3, 0.99):
        a = torch.tensor(v, dtype=torch.float64, requires_grad=True)
        g, after = DIVERGENCES[name]
        (of_g,) = torch.autograd.grad(-g(a), a)
        (of_conjugate,) = torch.autograd.grad(after(a), a)
        assert float(of_g) < 0 < float(of_conjugate)
        if name in WRONG_IN_PUBLIC_CODE:  # there the derivative is + e^v
            assert float(of_g) == pytest.approx(-math.exp(-v))
    z = Z.clone().requires_grad_()
    f_divergence(z, Y, W, P, name).mean().backward()
    moved = (Z - 0.1 * z.grad).softmax(-1).gather(-1, Y[:, None]) - Z.softmax(-1).gather(-1, Y[:, None])
    assert (moved > 0).all()


def test_the_bound_is_tight_at_total_variation_for_certain_pairs():
    sure = 1e4 * torch.eye(K, dtype=torch.float64)[Y]  # right on every pair, and the peers' labels get nothing
    other = (Y + 1) % K
    assert -float(f_divergence(sure, Y, sure, other).mean()) == pytest.approx(math.tanh(1) / 2)


# ---- what noise does, by enumeration -------------------------------------------------------------------------------

X = 4  # points, equally likely
TRUTH = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.5, 0.1, 0.4]], dtype=torch.float64)


def peer_risk(logits, posterior, alpha):
    """Exact: every point with every label, every independent pair of a point and a label."""
    prior = posterior.mean(0)
    total = 0.0
    for i, k in itertools.product(range(X), range(K)):
        own = peer(logits[i : i + 1], torch.tensor([k]), logits[i : i + 1], torch.tensor([k]), 0.0, 0.0)
        total = total + posterior[i, k] / X * own[0]
        total = total - alpha * prior[k] / X * own[0]  # y_b is independent of x_a
    return total


def models(n):
    return torch.randn(n, X, K, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_peer_risk_under_noise_is_proportional_when_flips_ignore_the_class():
    e = [0.1, 0.25, 0.15]  # T[i, j] = e_j for i != j; symmetric noise is the case of equal e
    t = torch.tensor([[e[j] if i != j else 1 - sum(e) + e[i] for j in range(K)] for i in range(K)], dtype=torch.float64)
    for z in models(6):
        assert float(peer_risk(z, TRUTH @ t, 1.0)) == pytest.approx((1 - sum(e)) * float(peer_risk(z, TRUTH, 1.0)))
    rate = 0.4
    symmetric = torch.full((K, K), rate / (K - 1), dtype=torch.float64).fill_diagonal_(1 - rate)
    z = models(1)[0]
    slope = float(peer_risk(z, TRUTH @ symmetric, 1.0) / peer_risk(z, TRUTH, 1.0))
    assert slope == pytest.approx(1 - rate * K / (K - 1))


def test_but_not_under_any_transition_matrix():
    pair = torch.tensor([[0.6, 0.4, 0], [0, 0.6, 0.4], [0.4, 0, 0.6]], dtype=torch.float64)
    ratios = [float(peer_risk(z, TRUTH @ pair, 1.0) / peer_risk(z, TRUTH, 1.0)) for z in models(4)]
    assert np.ptp(ratios) > 0.1
    plain = [float(peer_risk(z, TRUTH @ pair, 0.0) / peer_risk(z, TRUTH, 0.0)) for z in models(4)]
    assert np.ptp(plain) > 0.01


@pytest.mark.parametrize(("posterior", "miss", "alarm"), [([0.9, 0.2, 0.6], 0.3, 0.1), ([0.1, 0.3, 0.4], 0.05, 0.4)])
def test_the_binary_weight_makes_the_noisy_peer_risk_affine(posterior, miss, alarm):
    eta = np.array(posterior)
    noisy = eta * (1 - miss) + (1 - eta) * alarm
    weight = binary_peer_weight(eta.mean(), miss, alarm)
    clean, seen = [], []
    for f in itertools.product((0, 1), repeat=3):
        f = np.array(f)
        wrong = lambda p, f=f: np.where(f == 1, 1 - p, p)
        clean.append(wrong(eta).mean())
        seen.append(wrong(noisy).mean() - weight * wrong(np.full(3, noisy.mean())).mean())
    slope, intercept = np.polyfit(clean, seen, 1)
    np.testing.assert_allclose(np.array(seen), slope * np.array(clean) + intercept, atol=1e-12)
    assert slope == pytest.approx(1 - miss - alarm)
    other = [s - 0.3 * np.where(np.array(f) == 1, 1 - noisy.mean(), noisy.mean()).mean()
             for s, f in zip(seen, itertools.product((0, 1), repeat=3))]  # fmt: skip
    assert np.abs(np.polyval(np.polyfit(clean, other, 1), clean) - other).max() > 1e-3


def test_the_binary_weight_is_one_when_classes_and_flips_are_balanced_and_undefined_at_even_labels():
    assert binary_peer_weight(0.3, 0.2, 0.2) == pytest.approx(0.0)  # symmetric noise needs no peer: risk is affine
    with pytest.raises(ValueError, match="both labels are equally frequent at P"):
        binary_peer_weight(0.5, 0.2, 0.2)


def test_cross_entropy_peer_risk_is_linear_in_the_logits():
    """So it has no minimum: only the floor, a small step or an early stop hold it."""
    risk = lambda z: peer_risk(z, TRUTH, 1.0)
    z = models(1)[0].requires_grad_()
    assert float(hessian(risk, z).abs().max()) < 1e-12
    (slope,) = torch.autograd.grad(risk(z), z)
    torch.testing.assert_close(slope, -(TRUTH - TRUTH.mean(0)) / X)
    far = (10 * models(2)[1]).requires_grad_()
    (elsewhere,) = torch.autograd.grad(risk(far), far)
    torch.testing.assert_close(elsewhere, slope)


# ---- CORES ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("beta", "floor"), [(0.0, 1e-8), (1.0, 0.0), (2.0, 1e-8)])
def test_cores_is_the_equation(beta, floor):
    found = cores(Z, Y, PRIOR, beta, floor)
    for i in range(N):
        p = softmax(Z[i].tolist())
        reward = sum(float(PRIOR[k]) * -math.log(p[k] + floor) for k in range(K))
        assert float(found[i]) == pytest.approx(-math.log(p[Y[i]]) - beta * reward)


def test_cores_is_the_peer_loss_with_the_peers_label_averaged_out():
    mean = sum(float(PRIOR[k]) * peer(Z, Y, Z, torch.full((N,), k), 0.8, 0.0) for k in range(K))
    torch.testing.assert_close(cores(Z, Y, PRIOR, 0.8, 0.0), mean)


def test_the_sieve_keeps_where_the_label_beats_the_geometric_mean():
    score = sieve_score(Z, Y)
    for i in range(N):
        p = softmax(Z[i].tolist())
        mean = math.prod(p) ** (1 / K)
        assert (float(score[i]) <= 0) == (p[Y[i]] >= mean)
        assert float(score[i]) == pytest.approx(math.log(mean) - math.log(p[Y[i]]))


# ---- the usual -----------------------------------------------------------------------------------------------------

LOSSES = {
    "peer": lambda z, w: peer(z, Y, w, P, 1.5),
    "peer without floor": lambda z, w: peer(z, Y, w, P, 1.5, 0.0),
    "cores": lambda z, w: cores(z, Y, PRIOR, 2.0),
    **{name: (lambda z, w, name=name: f_divergence(z, Y, w, P, name)) for name in DIVERGENCES},
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_extremes_shapes(name):
    loss = LOSSES[name]
    assert torch.autograd.gradcheck(loss, (Z.clone().requires_grad_(), W.clone().requires_grad_()))
    for dtype in (torch.float32, torch.float64):
        assert loss(Z.to(dtype), W.to(dtype)).dtype == dtype and loss(Z, W).shape == (N,)
        for scale in (1e4, -1e4):
            z, w = ((scale * v.sign()).to(dtype).requires_grad_() for v in (Z, W))
            value = loss(z, w).sum()
            grads = torch.autograd.grad(value, (z, w), allow_unused=True)
            assert value.isfinite() and all(g is None or g.isfinite().all() for g in grads)


def test_reductions_to_cross_entropy():
    torch.testing.assert_close(peer(Z, Y, W, P, 0.0, 0.0), cross_entropy(Z, Y))
    torch.testing.assert_close(cores(Z, Y, PRIOR, 0.0), cross_entropy(Z, Y))
    torch.testing.assert_close(floored_cross_entropy(Z)[torch.arange(N), Y], cross_entropy(Z, Y))
    assert float(floored_cross_entropy(1e4 * Z, 1e-5).max()) <= -math.log(1e-5) + 1e-9


def test_an_unknown_divergence_is_named():
    with pytest.raises(ValueError, match="unknown divergence 'hellinger'"):
        f_divergence(Z, Y, W, P, "hellinger")
