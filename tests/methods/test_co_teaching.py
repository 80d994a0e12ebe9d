"""Co-teaching, co-teaching+, JoCoR: who is picked, by whom, and what is learned from it."""

from __future__ import annotations

import math

import pytest
import torch

import labkit as lk
from labkit.annotate import Symmetric
from labkit.evidence import Labels
from labkit.methods import CoTeaching, CoTeachingPlus, CrossEntropy, JoCoR
from labkit.methods.base import Batch, Start
from labkit.methods.selection import mean_over, rising, small_loss

QUICK = dict(epochs=3, batch_size=32, progress=False, compile=False, dtype="float64")
B, D, K = 12, 4, 3


def batch_of(method, seed=0, progress=1.0, n=20, labels=None):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(B, D, generator=g, dtype=torch.float64)
    y = torch.randint(0, K, (B,), generator=g) if labels is None else labels
    start = Start(torch.zeros(n, D), Labels(torch.zeros(n).long(), K), K, 0, None, torch.arange(n))
    state = {k: v.double() for k, v in method.setup(start).items()}
    where = torch.tensor(progress, dtype=torch.float64)
    return Batch(x, Labels(y, K), torch.randperm(n, generator=g)[:B], where, state, {})


def two_nets(seed=0, scale=1.0):
    g = torch.Generator().manual_seed(100 + seed)
    return [scale * torch.randn(D, K, generator=g, dtype=torch.float64) for _ in range(2)]


def run(method, batch, weights):
    """Loss, gradients per network and changed state."""
    weights = [w.clone().requires_grad_() for w in weights]
    loss, changed = method.objective(tuple((lambda x, w=w: x @ w) for w in weights), batch)
    grads = torch.autograd.grad(loss, weights)
    return float(loss.detach()), grads, changed


# ---- slow twins: python floats and loops -------------------------------------------------------------------------


def ce(logits, label):
    top = max(logits)
    return math.log(sum(math.exp(z - top) for z in logits)) + top - logits[label]


def easiest(losses, forget, candidates):
    keep = max(1, int((1 - forget) * len(candidates) + 1e-9)) if candidates else 0
    return sorted(candidates, key=lambda i: (losses[i], i))[:keep]


def slow(batch, weights, forget, kind="co", agreement=0.9):
    """Total loss and the two lists of picked examples."""
    logits = [(batch.x @ w).tolist() for w in weights]
    y = batch.evidence.labels.tolist()
    losses = [[ce(z[i], y[i]) for i in range(B)] for z in logits]
    everyone = list(range(B))
    if kind == "jocor":
        p = [[[math.exp(v - ce(row, 0) - row[0]) for v in row] for row in z] for z in logits]
        kl = lambda a, b: sum(u * math.log(u / v) for u, v in zip(a, b))
        both = lambda i: kl(p[0][i], p[1][i]) + kl(p[1][i], p[0][i])
        joint = [(1 - agreement) * (losses[0][i] + losses[1][i]) + agreement * both(i) for i in everyone]
        kept = easiest(joint, forget, everyone)
        return sum(joint[i] for i in kept) / len(kept), [kept, kept]
    if kind == "plus":
        said = [[row.index(max(row)) for row in z] for z in logits]
        among = [i for i in everyone if said[0][i] != said[1][i]]
        picked = [easiest(own, forget, among) for own in losses] if among else [everyone, everyone]
    else:
        picked = [easiest(own, forget, everyone) for own in losses]
    total = sum(sum(losses[i][j] for j in picked[1 - i]) / len(picked[1 - i]) for i in (0, 1))
    return total, picked


CASES = {
    "co": (CoTeaching, {}), "plus": (CoTeachingPlus, {"start": 0.0}), "jocor": (JoCoR, {"agreement": 0.65}),
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("rate", [0.0, 0.3, 0.5, 0.95])
@pytest.mark.parametrize("seed", range(3))
def test_is_the_algorithm(kind, rate, seed):
    make, more = CASES[kind]
    method = make(rate=rate, **more)
    batch, weights = batch_of(method, seed), two_nets(seed)
    loss, grads, changed = run(method, batch, weights)
    wants, picked = slow(batch, weights, rate, kind, more.get("agreement"))
    assert loss == pytest.approx(wants, rel=1e-12)
    book = [sum(i in own for own in picked) / 2 for i in range(B)]
    assert changed["picked_now"][batch.index].tolist() == book
    apart = (batch.x @ weights[0]).argmax(-1) != (batch.x @ weights[1]).argmax(-1)
    assert torch.equal(changed["apart_now"][batch.index] == 1, apart)
    assert int(changed["picked_now"].isnan().sum()) == 20 - B
    if kind != "jocor":  # network 1 learns from what network 2 picked, and from nothing else
        for i in (0, 1):
            w = weights[i].clone().requires_grad_()
            rows = torch.tensor(picked[1 - i])
            own = torch.nn.functional.cross_entropy(batch.x[rows] @ w, batch.evidence.labels[rows])
            torch.testing.assert_close(grads[i], torch.autograd.grad(own, w)[0])


def test_without_exchange_each_learns_what_it_picked_itself():
    method = CoTeaching(rate=0.5, exchange=False)
    batch, weights = batch_of(method), two_nets()
    _, grads, changed = run(method, batch, weights)
    _, picked = slow(batch, weights, 0.5)
    for i in (0, 1):
        w = weights[i].clone().requires_grad_()
        rows = torch.tensor(picked[i])
        own = torch.nn.functional.cross_entropy(batch.x[rows] @ w, batch.evidence.labels[rows])
        torch.testing.assert_close(grads[i], torch.autograd.grad(own, w)[0])
    assert changed["picked_now"][batch.index].tolist() == [sum(i in p for p in picked) / 2 for i in range(B)]
    assert set(picked[0]) != set(picked[1])


def test_the_mean_over_the_kept_is_a_mean():
    """The authors' code divides by the number of kept examples twice; two kept losses of 1 and 3 have the mean 2."""
    losses = torch.tensor([3.0, 9.0, 1.0, 7.0])
    kept = small_loss(losses, 0.5)
    assert kept.tolist() == [True, False, True, False]
    assert float(mean_over(losses, kept)) == 2.0
    assert float(mean_over(losses, torch.zeros(4, dtype=torch.bool))) == 0.0


def test_how_many_are_kept():
    g = torch.Generator().manual_seed(0)
    for dtype in (torch.float32, torch.float64):
        for b in (5, 10, 60, 64, 128):
            losses = torch.randn(b, generator=g).to(dtype)
            for tenths in range(10):
                forget = torch.tensor(tenths / 10, dtype=dtype)
                kept = small_loss(losses, forget)
                assert int(kept.sum()) == max(1, (10 - tenths) * b // 10)  # exact: rounding costs no example
                assert losses[kept].max() <= losses[~kept].min() if (~kept).any() else True
    assert small_loss(torch.ones(4), 0.5).tolist() == [True, True, False, False]  # equal losses: the first
    among = torch.tensor([False, True, True, False, True])
    assert small_loss(torch.tensor([0.0, 5, 4, 1, 3]), 0.5, among).tolist() == [False, False, False, False, True]
    assert not small_loss(torch.ones(3), 0.5, torch.zeros(3, dtype=torch.bool)).any()
    assert small_loss(torch.tensor([math.inf, 1.0, math.inf]), 0.0).all()


def test_the_ramp():
    at = lambda p, *a: float(rising(torch.tensor(p, dtype=torch.float64), *a))
    assert [at(p, 0.05) for p in (0.0, 0.025, 0.05, 0.9)] == pytest.approx([0, 0.5, 1, 1], abs=1e-6)
    assert [at(p, 0.2, 0.5) for p in (0.3, 0.5, 0.6, 0.7)] == pytest.approx([0, 0, 0.5, 1], abs=1e-6)
    assert at(0.0, 0.0) == 1 and at(0.3, 0.0, 0.5) == 0 and at(0.5, 0.0, 0.5) == 1
    method = CoTeaching(rate=0.4)  # published: ten of two hundred epochs
    assert float(method.forget(torch.tensor(0.025))) == pytest.approx(0.2, abs=1e-6)
    assert float(method.forget(torch.tensor(0.5))) == pytest.approx(0.4)


def test_disagreement_counts_the_first_example_and_does_not_squash():
    """The authors' code loses the example at position 0 of the data set, and applies softmax twice: a confidently
    wrong prediction costs log(1 + (K - 1) e) - 0 at most there; here it costs what cross entropy says."""
    method = CoTeachingPlus(rate=0.0, start=0.0)
    batch = batch_of(method)
    batch.index = torch.arange(B)
    first = torch.zeros(B, K, dtype=torch.float64)
    first[:, 0] = 30.0
    second = first.clone()
    second[0] = torch.tensor([0.0, 30.0, 0.0])  # the only dispute is about position 0
    batch.evidence = Labels(torch.ones(B).long(), K)
    loss, changed = method.objective((lambda x: first, lambda x: second), batch)
    assert changed["picked_now"].tolist()[:B] == [1.0] + [0.0] * (B - 1)
    assert float(loss) == pytest.approx(30.0, rel=1e-9)  # network 1 is wrong by 30 nats, network 2 right
    z = first.clone().requires_grad_()
    loss, _ = method.objective((lambda x: z, lambda x: second), batch)
    (grad,) = torch.autograd.grad(loss, z)
    torch.testing.assert_close(grad[0], torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64))
    assert not grad[1:].any()


def test_without_dispute_and_early_on():
    method, weights = CoTeachingPlus(rate=0.5, start=0.3), two_nets()
    batch = batch_of(method, progress=0.2)
    assert run(method, batch, weights)[0] == pytest.approx(run(CoTeaching(rate=0.5), batch, weights)[0])
    late = batch_of(method, progress=0.4)
    same = [weights[0], weights[0]]
    plain = torch.nn.functional.cross_entropy(late.x @ weights[0], late.evidence.labels)
    assert run(method, late, same)[0] == pytest.approx(2 * float(plain))  # no dispute: cross entropy of everybody


def test_jocor_without_agreement_or_forgetting():
    weights = two_nets()
    batch = batch_of(JoCoR())
    both = sum(torch.nn.functional.cross_entropy(batch.x @ w, batch.evidence.labels) for w in weights)
    assert run(JoCoR(rate=0.0, agreement=0.0), batch, weights)[0] == pytest.approx(float(both))
    _, grads, _ = run(JoCoR(rate=0.0, agreement=1.0), batch, weights)
    assert all(g.abs().max() > 1e-3 for g in grads)  # both networks are drawn to each other
    assert JoCoR().agreement == 0.9  # recommended; the default of the authors' code is 0.1


def test_the_book():
    method = CoTeaching(snapshots=4)
    state = {**batch_of(method).state}
    written = {}
    for epoch in range(1, 9):  # eight epochs, four lines: the second, fourth, ... are kept
        state["picked_now"] = torch.full((20,), float(epoch), dtype=torch.float64)
        state["apart_now"] = torch.tensor([epoch / 10, math.nan] * 10, dtype=torch.float64)
        state = {**state, **method.end_epoch(state, torch.tensor(epoch / 8, dtype=torch.float64))}
        assert state["picked_now"].isnan().all()
        written[epoch] = state["picked"].clone()
    assert state["picked"][:, 0].tolist() == [2.0, 4.0, 6.0, 8.0]
    assert state["disagreement"].tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert written[4][2:].isnan().all()


def test_forgetting_nothing_is_two_networks_on_their_own(small):
    fit = lambda method: lk.fit(small, Symmetric(0.3), methods=method, seeds=2, **QUICK)
    plain, two = fit(CrossEntropy()), fit(CoTeaching(rate=0.0))
    for a, b in zip(plain, two):
        for name, tensor in a.params.items():
            torch.testing.assert_close(tensor, b.params[f"0.{name}"], rtol=1e-12, atol=1e-12)
            assert not torch.equal(b.params[f"0.{name}"], b.params[f"1.{name}"])


@pytest.mark.parametrize("make", [CoTeaching, CoTeachingPlus, JoCoR])
def test_alone_and_in_a_fleet_the_numbers_are_equal(small, make):
    method = make(rate=lk.sweep(0.1, 0.4), ramp=0.3, snapshots=3)
    together = lk.fit(small, Symmetric(0.3), methods=method, seeds=3, lanes=8, **QUICK)
    alone = lk.fit(small, Symmetric(0.3), methods=method, seeds=[1], lanes=1, **QUICK)
    mine = together.where(seed=1)
    torch.testing.assert_close(mine.logits(), alone.logits(), rtol=1e-12, atol=1e-12)
    assert (together.measure("accuracy")["value"] > 0.5).all()
    for name in method.keeps:
        torch.testing.assert_close(mine.kept(name), alone.kept(name), rtol=1e-12, atol=1e-12, equal_nan=True)
    picked = together.where(rate=0.4).kept("picked")
    assert picked.shape[:2] == (3, 3) and ((picked >= 0) | picked.isnan()).all()


def test_what_it_refuses():
    with pytest.raises(ValueError, match=r"rate is a share in \[0, 1\), got 1.2"):
        CoTeaching(rate=1.2)
    CoTeaching(rate=lk.sweep(0.1, 0.2))
