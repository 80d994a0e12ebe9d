"""Losses of candidate sets: against loops over floats, by enumeration, at the edges, and where public code errs."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from labkit import losses
from labkit.losses.candidates import CLASS_LOSSES

K, N = 5, 8
G = torch.Generator().manual_seed(0)
Z = 2 * torch.randn(N, K, generator=G, dtype=torch.float64)
MASK = torch.rand(N, K, generator=G) < 0.5
MASK[torch.arange(N), torch.randint(0, K, (N,), generator=G)] = True
MASK[0], MASK[1] = torch.arange(K) == 2, True  # one candidate, and all of them
W = torch.rand(N, K, generator=G, dtype=torch.float64)
EXTREME = [[1e4, -1e4, 0, 0, 0], [-1e4, 1e4, 1e4, 0, 0], [0.0] * 5, [1e4] * 5, [-1e4, -1e4, -1e4, 1e4, 1e4]]
EXTREME_MASK = torch.tensor([[0, 1, 0, 0, 0], [1, 0, 0, 1, 0], [1] * 5, [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]]).bool()


def p_of(row):
    e = [math.exp(z - max(row)) for z in row]
    return [v / sum(e) for v in e]


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def base_of(row, name, q):
    return [{"cross entropy": -math.log(p), "mae": sum(abs(v - (k == j)) for k, v in enumerate(p_of(row))),
             "gce": -math.log(p) if q == 0 else (1 - p**q) / q}[name] for j, p in enumerate(p_of(row))]  # fmt: skip


def slow_average(row, inside, name, q):
    chosen = [loss for loss, c in zip(base_of(row, name, q), inside) if c]
    return sum(chosen) / len(chosen)


def slow_leveraged(row, inside, w, beta, form):
    total = 0.0
    for z, p, c, v in zip(row, p_of(row), inside, w):
        if form == "sigmoid":
            total += v * (1 / (1 + math.exp(z)) if c else beta / (1 + math.exp(-z)))
        else:
            total += v * (-math.log(p) if c else -beta * math.log(1 - p))
    return total


def slow_weights(row, inside):
    p = p_of(row)
    within = sum(v for v, c in zip(p, inside) if c)
    beyond = sum(v for v, c in zip(p, inside) if not c)
    return [v / within if c else v / beyond for v, c in zip(p, inside)]


def average(name, q=0.7):
    return lambda z, m: losses.average_loss(CLASS_LOSSES[name](z, q), m)


PAIRS = {  # ours, the slow twin, both of logits and mask; extra arguments by position of the row
    **{
        f"average {name} {q}": (average(name, q), lambda r, c, i, name=name, q=q: slow_average(r, c, name, q))
        for name, q in (("cross entropy", 0.7), ("mae", 0.7), ("gce", 0.7), ("gce", 0.0), ("gce", 1.0), ("gce", 0.01))
    },
    "average cross entropy, direct": (
        losses.average_cross_entropy,
        lambda r, c, i: slow_average(r, c, "cross entropy", 0),
    ),
    "outside": (
        losses.outside_cross_entropy,
        lambda r, c, i: sum(-math.log(1 - p) for p, inside in zip(p_of(r), c) if not inside),
    ),
    **{
        f"leveraged {form} {beta}": (
            lambda z, m, beta=beta, form=form: losses.leveraged(z, m, W[: len(z)].to(z), beta, form),
            lambda r, c, i, beta=beta, form=form: slow_leveraged(r, c, W[i].tolist(), beta, form),
        )
        for form in ("sigmoid", "cross entropy")
        for beta in (0.0, 1.0, 2.0)
    },
}


@pytest.mark.parametrize("name", PAIRS)
def test_equals_the_slow_twin(name):
    fast, slow = PAIRS[name]
    expected = [slow(Z[i].tolist(), MASK[i].tolist(), i) for i in range(N)]
    got = fast(Z, MASK)
    assert got.shape == (N,) and got.dtype == torch.float64
    torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", PAIRS)
def test_gradients(name):
    assert gradcheck(lambda z: PAIRS[name][0](z, MASK), Z.clone().requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", PAIRS)
def test_extreme_logits_stay_finite(name, dtype):
    z = torch.tensor(EXTREME, dtype=dtype, requires_grad=True)
    value = PAIRS[name][0](z, EXTREME_MASK)
    (slope,) = torch.autograd.grad(value.sum(), z)
    assert value.dtype == dtype and value.isfinite().all() and slope.isfinite().all()


@pytest.mark.parametrize("name", PAIRS)
def test_leading_dimensions_and_vmap(name):
    fast = PAIRS[name][0]
    pairs = torch.vmap(fast)(torch.stack([Z, Z]), torch.stack([MASK, MASK]))
    torch.testing.assert_close(pairs[1], fast(Z, MASK))


def test_renormalised_predictions():
    got, weights = losses.restricted(Z, MASK), losses.leverage_weights(Z, MASK)
    for i in range(N):
        row, inside = Z[i].tolist(), MASK[i].tolist()
        p = p_of(row)
        within = sum(v for v, c in zip(p, inside) if c)
        expected = [v / within if c else 0.0 for v, c in zip(p, inside)]
        torch.testing.assert_close(got[i], torch.tensor(expected, dtype=torch.float64))
        torch.testing.assert_close(weights[i], torch.tensor(slow_weights(row, inside), dtype=torch.float64))
    torch.testing.assert_close((weights * MASK).sum(-1), torch.ones(N, dtype=torch.float64))
    beyond = (weights * ~MASK).sum(-1)
    torch.testing.assert_close(beyond, 1.0 - MASK.all(1).double())  # an empty outside has none
    assert gradcheck(lambda z: losses.restricted(z, MASK), Z.clone().requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_set_that_the_network_holds_for_impossible_still_has_shares(dtype):
    """Dividing p by its sum on the set would be 0 / 0 here."""
    z, mask = torch.tensor(EXTREME, dtype=dtype), EXTREME_MASK
    inside, both = losses.restricted(z, mask), losses.leverage_weights(z, mask)
    assert inside.isfinite().all() and both.isfinite().all() and inside.dtype == both.dtype == dtype
    torch.testing.assert_close(inside.sum(-1), torch.ones(5, dtype=dtype))
    assert inside[0].tolist() == [0, 1, 0, 0, 0] and inside[3].tolist() == [0.5, 0.5, 0, 0, 0]
    assert not inside[~mask].any()
    torch.testing.assert_close(inside[4, :3], torch.full((3,), 1 / 3, dtype=dtype))


# ---- what the losses become ---------------------------------------------------------------------------------------


def test_one_candidate_is_the_ordinary_loss():
    y = torch.arange(N) % K
    one, q = F.one_hot(y, K).bool(), 0.7
    plain = F.cross_entropy(Z, y, reduction="none")
    torch.testing.assert_close(losses.average_cross_entropy(Z, one), plain)
    torch.testing.assert_close(losses.cross_entropy(Z, losses.restricted(Z, one)), plain)  # RC, PRODEN
    torch.testing.assert_close(average("mae")(Z, one), 2 * losses.mae(Z, y))
    torch.testing.assert_close(average("gce", q)(Z, one), losses.gce(Z, y, q))
    torch.testing.assert_close(losses.leveraged(Z, one, losses.leverage_weights(Z, one), 0.0, "cross entropy"), plain)
    assert torch.equal(losses.class_activation_target(Z, one), y)


def test_a_full_set_says_nothing():
    full = torch.ones(N, K, dtype=torch.bool)
    z = Z.clone().requires_grad_()
    assert not losses.outside_cross_entropy(z, full).any()
    (slope,) = torch.autograd.grad(losses.outside_cross_entropy(z, full).sum(), z)
    assert not slope.any()
    torch.testing.assert_close(losses.restricted(Z, full), Z.softmax(-1))
    mae = average("mae")(z, full)  # symmetric: the sum over all classes is a constant
    torch.testing.assert_close(mae, torch.full((N,), 2 - 2 / K, dtype=torch.float64))
    assert torch.autograd.grad(mae.sum(), z)[0].abs().max() < 1e-12
    (slope,) = torch.autograd.grad(losses.average_cross_entropy(z, full).sum(), z)
    torch.testing.assert_close(slope, Z.softmax(-1) - 1 / K)  # but the average of cross entropy pulls to uniform
    held = losses.cross_entropy(z, losses.restricted(Z, full))  # RC with the present prediction
    assert torch.autograd.grad(held.sum(), z)[0].abs().max() < 1e-12


def test_average_losses_are_losses_of_the_uniform_target():
    target = MASK.double() / MASK.sum(1, keepdim=True)
    torch.testing.assert_close(losses.average_cross_entropy(Z, MASK), losses.cross_entropy(Z, target))
    torch.testing.assert_close(average("mae")(Z, MASK), 2 * losses.mae(Z, target))
    torch.testing.assert_close(average("gce", 0.7)(Z, MASK), losses.gce(Z, target, 0.7))
    torch.testing.assert_close(average("mae")(Z, MASK), 2 - 2 * (target * Z.softmax(-1)).sum(-1))
    torch.testing.assert_close(average("gce", 1.0)(Z, MASK), average("mae")(Z, MASK) / 2)
    torch.testing.assert_close(average("gce", 0.0)(Z, MASK), average("cross entropy")(Z, MASK))


def test_jensen_the_average_is_at_least_the_likelihood_and_log_s():
    z = 4 * torch.randn(400, K, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mask = (torch.rand(400, K, generator=torch.Generator().manual_seed(2)) < 0.6) | (z == z.amax(1, keepdim=True))
    cc = losses.evidence_nll(z, mask.double())
    gap = losses.average_cross_entropy(z, mask) - cc - mask.sum(1).double().log()
    assert (gap > -1e-12).all() and gap.max() > 1
    torch.testing.assert_close(gap[mask.sum(1) == 1], torch.zeros(int((mask.sum(1) == 1).sum()), dtype=torch.float64))
    level = torch.where(mask, 1.3, z)  # candidates of one probability: equality
    cc = losses.evidence_nll(level, mask.double())
    torch.testing.assert_close(losses.average_cross_entropy(level, mask), cc + mask.sum(1).double().log())


def test_present_weights_have_the_gradient_of_the_likelihood():
    """RC with weights of the prediction itself, held constant, descends on CC: ``p - posterior``."""
    z = Z.clone().requires_grad_()
    (rc,) = torch.autograd.grad(losses.cross_entropy(z, losses.restricted(Z, MASK)).sum(), z)
    (cc,) = torch.autograd.grad(losses.evidence_nll(z, MASK.double()).sum(), z)
    torch.testing.assert_close(rc, cc)
    torch.testing.assert_close(rc, Z.softmax(-1) - losses.restricted(Z, MASK))


# ---- unbiased, by enumeration -------------------------------------------------------------------------------------


def sets_with(y, k, full=False):
    """All sets that hold y, but for the full one."""
    others = [c for c in range(k) if c != y]
    for size in range(k if full else k - 1):
        for chosen in itertools.combinations(others, size):
            yield torch.tensor([c == y or c in chosen for c in range(k)])


@pytest.mark.parametrize("k", [3, 4, 5])
def test_rc_with_the_true_posterior_is_unbiased_over_uniform_sets(k):
    g = torch.Generator().manual_seed(k)
    eta, z = torch.rand(k, generator=g, dtype=torch.float64) + 0.05, torch.randn(1, k, generator=g, dtype=torch.float64)
    eta = eta / eta.sum()
    per_class = losses.cross_entropy_of_classes(z)[0]
    wanted, risk, all_classes, average_risk, mass = float((eta * per_class).sum()), 0.0, 0.0, 0.0, 0.0
    for y in range(k):
        for mask in sets_with(y, k):
            probability = float(eta[y]) / (2 ** (k - 1) - 1)
            weights = losses.restricted(eta.log()[None], mask[None])
            risk += probability * float(losses.cross_entropy(z, weights))
            all_classes += probability * wanted / float(eta[mask].sum())
            average_risk += probability * float(losses.average_cross_entropy(z, mask[None]))
            mass += probability
    assert mass == pytest.approx(1) and risk == pytest.approx(wanted, rel=1e-12)
    assert abs(average_risk - wanted) > 1e-3  # the average is not
    assert all_classes / 2 == pytest.approx(wanted)  # the paper sums over all classes, also those outside, with a 1/2


def test_rc_is_unbiased_under_any_law_that_is_the_same_for_all_members():
    """Sizes drawn first, then members (as a public generator of "uniform" sets does): other sets, same guarantee."""
    k, g = 4, torch.Generator().manual_seed(5)
    eta = torch.rand(k, generator=g, dtype=torch.float64).softmax(-1)
    per_class, risk, mass = torch.randn(k, generator=g, dtype=torch.float64), 0.0, 0.0
    for y in range(k):
        for mask in sets_with(y, k):
            s = int(mask.sum())
            probability = float(eta[y]) * (k / s) / (2**k - 2)
            risk += probability * float((losses.restricted(eta.log(), mask) * per_class).sum())
            mass += probability
    assert mass == pytest.approx(1) and risk == pytest.approx(float((eta * per_class).sum()), rel=1e-12)


def test_bounded_symmetric_averages_keep_their_minimum_and_cross_entropy_does_not():
    """Lv et al. (2024) by enumeration: sets by flips of class c; the best prediction of a one-class example."""
    k, flip = 4, torch.tensor([0.0, 0.6, 0.2, 0.1], dtype=torch.float64)  # P(j joins | class 0)
    grid = torch.tensor([g for g in itertools.product(range(11), repeat=k) if sum(g) == 10], dtype=torch.float64) / 10
    z = (grid + 1e-9).log()
    risk = {name: torch.zeros(len(grid), dtype=torch.float64) for name in ("mae", "gce", "cross entropy")}
    for mask in sets_with(0, k, full=True):
        probability = torch.where(mask, flip, 1 - flip)[1:].prod()
        for name, total in risk.items():
            total += probability * average(name)(z, mask.expand(len(z), k))
    best = {name: grid[total.argmin()].tolist() for name, total in risk.items()}
    assert best["mae"] == [1, 0, 0, 0]
    assert best["cross entropy"][0] < 0.8 and best["cross entropy"][1] >= 0.2
    assert best["cross entropy"][0] < best["gce"][0]


# ---- CAVL and LWS, and what public code makes of them ---------------------------------------------------------------


def slow_cav(row, inside):
    best, value = None, -math.inf
    for j, (f, c) in enumerate(zip(row, inside)):
        if c and abs(f - 1) * f > value:
            best, value = j, abs(f - 1) * f
    return best


def test_class_activation_value_and_its_mask():
    got = losses.class_activation_target(Z, MASK)
    assert got.tolist() == [slow_cav(Z[i].tolist(), MASK[i].tolist()) for i in range(N)]
    # all candidates negative: a class outside, of value 0, must not win (it does where the value is multiplied)
    f, mask = torch.tensor([[-1.0, 0.5, -0.2, -0.4]]), torch.tensor([[True, False, True, True]])
    assert int(losses.class_activation_target(f, mask)) == 2
    product = ((f - 1).abs() * f * mask).argmax(-1)
    assert int(product) == 1 and not mask[0, product]
    # not the largest logit: between 1/2 and 1 the value falls
    f = torch.tensor([[0.5, 0.99, 0.0]])
    assert int(losses.class_activation_target(f, torch.ones(1, 3, dtype=torch.bool))) == 0
    assert int(f.argmax()) == 1
    extreme = torch.tensor(EXTREME)
    chosen = losses.class_activation_target(extreme, EXTREME_MASK)
    assert EXTREME_MASK.gather(1, chosen[:, None]).all()
    assert torch.equal(torch.vmap(losses.class_activation_target)(Z[None], MASK[None])[0], got)


def test_no_candidate_outside_is_ever_chosen():
    z = torch.randn(3000, K, generator=torch.Generator().manual_seed(3)) - 1.5
    mask = torch.rand(3000, K, generator=torch.Generator().manual_seed(4)) < 0.4
    mask[:, 0] |= ~mask.any(1)
    assert mask.gather(1, losses.class_activation_target(z, mask)[:, None]).all()
    defective = ((z - 1).abs() * z * mask).argmax(1)
    assert (~mask.gather(1, defective[:, None])).double().mean() > 0.2


def test_weights_that_are_never_renewed_and_no_outside_make_the_average_loss():
    """One public toolkit's LWS: 1/s inside, 0 outside, beta 0. The published weights give something else."""
    fixed = MASK.double() / MASK.sum(1, keepdim=True)
    for beta in (0.0, 2.0):
        stuck = losses.leveraged(Z, MASK, fixed, beta, "cross entropy")
        torch.testing.assert_close(stuck, losses.average_cross_entropy(Z, MASK))
    published = losses.leveraged(Z, MASK, losses.leverage_weights(Z, MASK), 1.0, "cross entropy")
    several = ~((MASK.sum(1) == 1) | MASK.all(1))
    assert ((published - stuck).abs()[several] > 0.01).all()


def test_the_leverage_pushes_both_ways():
    z = Z.clone().requires_grad_()
    one_sided, two_sided = (
        torch.autograd.grad(losses.leveraged(z, MASK, torch.full_like(W, 1 / K), beta).sum(), z)[0]
        for beta in (0.0, 2.0)
    )
    assert not one_sided[~MASK].any() and (one_sided[MASK] < 0).all() and (two_sided[~MASK] > 0).all()
    assert torch.equal(one_sided[MASK], two_sided[MASK])
    with pytest.raises(ValueError, match="form is 'sigmoid' or 'cross entropy', got 'hinge'"):
        losses.leveraged(Z, MASK, W, 1.0, "hinge")


def test_outside_cross_entropy_stays_exact_where_one_minus_p_rounds_to_zero():
    z = torch.tensor([[60.0, 0.0, 0.0]], dtype=torch.float64)
    mask = torch.tensor([[False, True, True]])
    value = float(losses.outside_cross_entropy(z, mask))
    assert value == pytest.approx(60 - math.log(2), rel=1e-12)
    assert float(losses.outside_cross_entropy(z.float(), mask)) == pytest.approx(60 - math.log(2), rel=1e-5)


def test_swept_numbers_may_be_tensors():
    for name in ("gce", "mae", "cross entropy"):
        torch.testing.assert_close(
            CLASS_LOSSES[name](Z, torch.tensor(0.7, dtype=torch.float64)), CLASS_LOSSES[name](Z, 0.7)
        )
    beta = torch.tensor(2.0, dtype=torch.float64)
    torch.testing.assert_close(losses.leveraged(Z, MASK, W, beta), losses.leveraged(Z, MASK, W, 2.0))


def test_pairwise_sigmoids():
    got = losses.pairwise_sigmoid(Z)
    assert got.shape == (N, K, K)
    for i, j in itertools.product(range(K), range(K)):
        assert float(got[3, i, j]) == pytest.approx(sigmoid(float(Z[3, i] - Z[3, j])), rel=1e-12)
    torch.testing.assert_close(got + got.mT, torch.ones_like(got))
    assert gradcheck(losses.pairwise_sigmoid, Z[:2].clone().requires_grad_())
    extreme = torch.tensor(EXTREME, requires_grad=True)
    (slope,) = torch.autograd.grad(losses.pairwise_sigmoid(extreme).sum(-1).sum(), extreme)
    assert slope.isfinite().all()
