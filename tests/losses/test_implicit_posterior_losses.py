"""RQ and QR: against loops over floats, the identities that join their forms, and what they reduce to."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck

from labkit import losses

N, K = 7, 4
G = torch.Generator().manual_seed(0)
Z = 2 * torch.randn(N, K, generator=G, dtype=torch.float64)
B = torch.rand(N, K, generator=G, dtype=torch.float64) + 0.05
B = B / B.sum(-1, keepdim=True)
SETS = (torch.rand(N, K, generator=G) < 0.5) | (torch.arange(K) == torch.arange(N)[:, None] % K)
FLAT = torch.full((N, K), 1 / K, dtype=torch.float64)
ONE_HOT = torch.eye(K, dtype=torch.float64)[torch.arange(N) % K]
HARD = SETS / SETS.sum(-1, keepdim=True).double()
ROWS = torch.tensor([6, 0, 3, 5, 1, 4, 2])
FORMS = {
    "rq": losses.implicit_rq,
    "normalised": lambda z, b: losses.implicit_qr(z, b),
    "free energy": lambda z, b: losses.implicit_qr(z, b, form="free_energy"),
}


def softmax(row):
    e = [math.exp(v - max(row)) for v in row]
    return [v / sum(e) for v in e]


def slow(z, b, floor=0.0):
    """``q, r, Z, qbar`` as lists, by the definitions."""
    q = [softmax(row) for row in z.tolist()]
    s = [sum(row[k] for row in q) for k in range(K)]
    raw = [[max(p, floor) * v / t for p, v, t in zip(pi, row, s)] for pi, row in zip(b.tolist(), q)]
    normaliser = [sum(row) for row in raw]
    return q, [[v / n for v in row] for row, n in zip(raw, normaliser)], normaliser, [t / len(q) for t in s]


def kl(a, b):
    return sum(u * math.log(u / v) for u, v in zip(a, b) if u > 0)


def slow_value(name, z, b):
    floor = 0.0 if name == "rq" else 1e-9
    q, r, _, qbar = slow(z, b, floor)
    if name == "rq":
        return sum(map(kl, r, q)) / len(q)
    if name == "normalised":
        return sum(map(kl, q, r)) / len(q)
    told = sum(v * math.log(max(p, floor)) for row, pi in zip(q, b.tolist()) for v, p in zip(row, pi)) / len(q)
    return sum(v * math.log(v) for v in qbar) - told


@pytest.mark.parametrize("beliefs", [B, HARD, FLAT, ONE_HOT], ids=["soft", "sets", "flat", "one-hot"])
@pytest.mark.parametrize("name", FORMS)
def test_against_the_definitions(name, beliefs):
    values = FORMS[name](Z, beliefs)
    assert values.shape == (N,)
    assert float(values.mean()) == pytest.approx(slow_value(name, Z, beliefs), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("beliefs", [B, HARD], ids=["soft", "sets"])
def test_the_posterior_and_its_normaliser(beliefs):
    _, r, normaliser, _ = slow(Z, beliefs)
    torch.testing.assert_close(losses.implicit_posterior(Z, beliefs), torch.tensor(r, dtype=torch.float64))
    logs = torch.tensor([math.log(v) for v in normaliser], dtype=torch.float64)
    torch.testing.assert_close(losses.log_normaliser(Z, beliefs), logs)


@pytest.mark.parametrize("beliefs", [B, HARD, FLAT, ONE_HOT])
def test_the_two_forms_of_qr_differ_by_the_normaliser(beliefs):
    """(a) = (b) + mean log Z + log n: so their gradients differ."""
    a, b = FORMS["normalised"](Z, beliefs), FORMS["free energy"](Z, beliefs)
    log_z = losses.log_normaliser(Z, beliefs, floor=1e-9)
    torch.testing.assert_close(a.mean(), b.mean() + log_z.mean() + math.log(N))
    slopes = []
    for name in ("normalised", "free energy"):
        z = Z.clone().requires_grad_()
        slopes.append(torch.autograd.grad(FORMS[name](z, beliefs).mean(), z)[0])
    assert (slopes[0] - slopes[1]).abs().max() > 1e-2


@pytest.mark.parametrize("name", FORMS)
def test_nothing_is_held_constant(name):
    """The slope is that of the whole expression, through r and through the class sums, here by differences."""
    z = Z.clone().requires_grad_()
    (slope,) = torch.autograd.grad(FORMS[name](z, HARD).mean(), z)
    for i, k in ((0, 0), (3, 2), (6, 1)):
        step = torch.zeros_like(Z)
        step[i, k] = 1e-6
        difference = (slow_value(name, Z + step, HARD) - slow_value(name, Z - step, HARD)) / 2e-6
        assert float(slope[i, k]) == pytest.approx(difference, rel=1e-5, abs=1e-8)
    assert gradcheck(FORMS[name], (Z.clone().requires_grad_(), B))
    assert gradcheck(FORMS[name], (Z.clone().requires_grad_(), HARD))


def test_one_hot_beliefs_make_rq_cross_entropy_in_value_and_slope():
    labels = ONE_HOT.argmax(-1)
    z = Z.clone().requires_grad_()
    ours, plain = losses.implicit_rq(z, ONE_HOT), losses.cross_entropy(z, labels)
    torch.testing.assert_close(ours, plain)
    slope = torch.autograd.grad(ours.sum(), z, retain_graph=True)[0]
    torch.testing.assert_close(slope, torch.autograd.grad(plain.sum(), z)[0])


def test_flat_beliefs():
    q = Z.softmax(-1)
    shared = q / q.sum(0)
    torch.testing.assert_close(losses.implicit_posterior(Z, FLAT), shared / shared.sum(-1, keepdim=True))
    entropy = -(q.mean(0) * q.mean(0).log()).sum()
    torch.testing.assert_close(FORMS["free energy"](Z, FLAT).mean(), math.log(K) - entropy)


def test_divergences_are_not_negative_and_vanish_where_beliefs_agree():
    for name in ("rq", "normalised"):
        for beliefs in (B, HARD, FLAT, ONE_HOT):
            assert (FORMS[name](Z, beliefs) > -1e-12).all()
        alike = Z[:1].expand(N, K)  # all predictions alike: q / S is flat, and r = pi
        torch.testing.assert_close(FORMS[name](alike, alike.softmax(-1)), torch.zeros(N, dtype=torch.float64))
    confident = torch.cat([1e3 * torch.eye(K)] * 2).double()  # balanced and sure: flat beliefs leave it alone
    torch.testing.assert_close(losses.implicit_rq(confident, FLAT[:1].expand(2 * K, K)), torch.zeros(2 * K).double())


def test_a_sure_answer_that_no_belief_excludes_costs_nothing_but_in_the_free_energy():
    """Then r is one-hot where q is, right or wrong: beliefs that rule nothing out do not hold these forms."""
    beliefs = torch.tensor([[0.9, 0.1], [0.1, 0.9]], dtype=torch.float64)
    right = 50 * torch.eye(2, dtype=torch.float64)
    for name in ("rq", "normalised"):
        for z in (right, -right):
            assert float(FORMS[name](z, beliefs).mean()) == pytest.approx(0, abs=1e-12)
    free = [float(FORMS["free energy"](z, beliefs).mean()) for z in (right, -right)]
    assert free[1] - free[0] == pytest.approx(math.log(9))


def test_from_an_even_prediction_only_the_free_energy_moves_towards_a_noisy_label():
    """Beliefs of a label with 30 % symmetric noise, ten classes, every class once. At q = 1/K the slope in q_l is
    ``K pi_l - log pi_l`` for normalised QR, which pushes the label *down*, and ``K pi_l (log pi_l - E_pi log pi - 1)``
    for RQ, which is nearly even; ``-log pi_l`` for the free energy (all but for the class sums, here alike)."""
    beliefs = 0.7 * torch.eye(10, dtype=torch.float64) + 0.03
    moved = {}
    for name, form in FORMS.items():
        z = torch.zeros(10, 10, dtype=torch.float64, requires_grad=True)
        moved[name] = -float(torch.autograd.grad(form(z, beliefs).sum(), z)[0][0, 0])  # down the slope
    high, low = math.log(0.73), math.log(0.03)
    mean = 0.73 * high + 0.27 * low
    slopes = {
        "rq": (7.3 * (high - mean - 1), 0.3 * (low - mean - 1)),
        "normalised": (7.3 - high, 0.3 - low),
        "free energy": (-high, -low),
    }
    for name, (own, other) in slopes.items():
        assert moved[name] == pytest.approx(-(own - (own + 9 * other) / 10) / 10, abs=1e-9), name
    assert moved["normalised"] < -0.3 < abs(moved["rq"]) < 0.01 < 0.25 < moved["free energy"]


@pytest.mark.parametrize("name", FORMS)
def test_order_and_places_of_the_batch_do_not_matter_but_its_members_do(name):
    values = FORMS[name](Z, B)
    torch.testing.assert_close(FORMS[name](Z[ROWS], B[ROWS]), values[ROWS])
    six, beliefs = Z[:6].reshape(2, 3, K), B[:6].reshape(2, 3, K)
    torch.testing.assert_close(FORMS[name](six, beliefs).flatten(), FORMS[name](Z[:6], B[:6]))
    assert (values[:6] - FORMS[name](Z[:6], B[:6])).abs().max() > 1e-3


@pytest.mark.parametrize("name", FORMS)
def test_extreme_logits_stay_finite_in_value_and_slope(name):
    z = torch.tensor([[1e4, -1e4, 0, 0], [-1e4, 1e4, 1e4, 0], [0.0] * 4, [-1e4, -1e4, 1e4, 1e4]]).requires_grad_()
    for beliefs in (HARD[:4], B[:4], ONE_HOT[:4]):
        loss = FORMS[name](z, beliefs.float())
        (slope,) = torch.autograd.grad(loss.sum(), z)
        assert loss.dtype == torch.float32 and loss.isfinite().all() and slope.isfinite().all()


def test_a_ruled_out_class_costs_qr_its_floor_and_rq_nothing_special():
    z = torch.zeros(2, 2, dtype=torch.float64)
    beliefs = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    assert float(losses.implicit_rq(z, beliefs).mean()) == pytest.approx(math.log(2))
    for floor in (1e-9, 1e-3):
        free = losses.implicit_qr(z, beliefs, "free_energy", floor).mean()
        assert float(free) == pytest.approx(-math.log(2) - 0.5 * math.log(floor))
    with pytest.raises(ValueError, match="form is one of normalised, free_energy"):
        losses.implicit_qr(z, beliefs, "both")
