"""Transport plans and exact assignments against slow twins, and what public code gets wrong."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch.func import vmap

from labkit.counts import count_posterior, whole_counts
from labkit.transport import entropic_assignment, hard_assignment


def bags(size, k, n=6, scale=2.0, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    log_p = (scale * torch.randn(n, size, k, generator=g, dtype=dtype)).log_softmax(-1)
    labels = torch.randint(0, k, (n, size), generator=g)
    return log_p, torch.nn.functional.one_hot(labels, k).sum(1).to(dtype)


def sinkhorn(log_p, counts, reg, rounds=20000):
    """Alternating scaling in log space over Python floats, for one bag."""
    z = [[v / reg for v in row] for row in log_p.tolist()]
    t = [0.0 if m > 0 else -math.inf for m in counts.tolist()]

    def row_of(row):
        top = max(a + b for a, b in zip(row, t))
        e = [math.exp(a + b - top) for a, b in zip(row, t)]
        return [v / sum(e) for v in e]

    for _ in range(rounds):
        plan = [row_of(row) for row in z]
        off = 0.0
        for k, m in enumerate(counts.tolist()):
            if m > 0:
                held = sum(row[k] for row in plan)
                off, t[k] = max(off, abs(held - m)), t[k] + math.log(m / held)
        if off < 1e-12:
            break
    return torch.tensor([row_of(row) for row in z], dtype=torch.float64)


@pytest.mark.parametrize(("size", "k", "reg"), [(5, 2, 1.0), (6, 3, 0.5), (8, 4, 2.0), (1, 3, 0.2)])
def test_the_plan_is_that_of_sinkhorn(size, k, reg):
    log_p, counts = bags(size, k, n=2)
    plan = entropic_assignment(log_p, counts, reg=reg)
    for mine, one, m in zip(plan, log_p, counts):
        torch.testing.assert_close(mine, sinkhorn(one, m, reg), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("reg", [10.0, 0.2, 0.05])
@pytest.mark.parametrize(("size", "k"), [(16, 10), (64, 2)])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_columns_add_up_to_the_counts_and_rows_to_one(reg, size, k, scale):
    """Alternating scaling fails this from scale 10 on: after 100 rounds whole members are in the wrong column."""
    log_p, counts = bags(size, k, scale=scale)
    rounds = 100 if scale / reg > 1000 else 40
    plan = entropic_assignment(log_p, counts, reg=reg, rounds=rounds)
    assert (plan.sum(1) - counts).abs().max() < 1e-8 and (plan.sum(2) - 1).abs().max() < 1e-12
    assert (plan >= 0).all() and (plan.masked_select((counts == 0)[:, None].expand_as(plan)) == 0).all()
    rough = entropic_assignment(log_p.float(), counts.float(), reg=reg, rounds=rounds)
    assert rough.dtype == torch.float32 and (rough.sum(1) - counts).abs().max() < 0.01


def test_its_limits_and_a_bag_of_one():
    log_p, counts = bags(12, 4)
    shares = (counts / 12)[:, None].expand_as(log_p)
    torch.testing.assert_close(entropic_assignment(log_p, counts, reg=1e9), shares, rtol=1e-7, atol=1e-7)
    hard = torch.nn.functional.one_hot(hard_assignment(log_p, counts), 4).double()
    torch.testing.assert_close(entropic_assignment(log_p, counts, reg=0.002, rounds=100), hard, rtol=0, atol=1e-3)
    log_p, counts = bags(1, 3)
    assert torch.equal(entropic_assignment(log_p, counts)[:, 0], counts)


def test_at_one_it_tilts_and_is_not_the_posterior_but_nears_it_in_large_bags():
    gaps = []
    for size in (2, 8, 32, 128):
        log_p, counts = bags(size, 2, n=20, scale=1.5)
        plan = entropic_assignment(log_p, counts, reg=1.0)
        odds = plan.log() - log_p  # log p + t: the same tilt for every member, up to the normaliser of its row
        tilt = odds[..., 1] - odds[..., 0]
        mixed = ((counts > 0).all(1))[:, None].expand_as(tilt)
        torch.testing.assert_close(tilt[mixed], tilt[:, :1].expand_as(tilt)[mixed])
        gaps.append(float((plan - count_posterior(log_p, counts)).abs().mean()))
    assert gaps[0] > 0.01 and all(a > 1.5 * b for a, b in itertools.pairwise(gaps))


def test_the_smallest_case_by_hand():
    """Two members with q = 0.9 and 0.5 of class 1, count 1: posterior 0.45 / 0.5 = 0.9, the plan has odds 3."""
    log_p = torch.tensor([[[0.1, 0.9], [0.5, 0.5]]], dtype=torch.float64).log()
    counts = torch.tensor([[1.0, 1.0]], dtype=torch.float64)
    assert float(count_posterior(log_p, counts)[0, 0, 1]) == pytest.approx(0.9)
    assert float(entropic_assignment(log_p, counts, reg=1.0)[0, 0, 1]) == pytest.approx(0.75)  # tilt by 1/3: 3, 1/3
    assert float(entropic_assignment(log_p, counts, reg=0.5)[0, 0, 1]) == pytest.approx(0.9)


def test_padding_is_nobody():
    log_p, counts = bags(7, 3)
    present = torch.ones(6, 10, dtype=torch.bool)
    present[:, [1, 4, 9]] = False
    wide = torch.zeros(6, 10, 3, dtype=torch.float64)
    wide[:, present[0]] = log_p
    plan = entropic_assignment(wide, counts, present, reg=0.3)
    torch.testing.assert_close(plan[:, present[0]], entropic_assignment(log_p, counts, reg=0.3))
    assert (plan[:, ~present[0]] == 0).all()
    for k in (2, 3):
        log_p, counts = bags(7, k)
        wide = torch.full((6, 10, k), 50.0, dtype=torch.float64)
        wide[:, present[0]] = log_p
        labels = hard_assignment(wide, counts, present)
        assert (
            torch.equal(labels[:, present[0]], hard_assignment(log_p, counts)) and (labels[:, ~present[0]] == 0).all()
        )


def by_enumeration(score, counts):
    wanted = [k for k, m in enumerate(counts.int().tolist()) for _ in range(m)]
    return max(
        float(score[torch.arange(len(wanted)), list(order)].sum()) for order in set(itertools.permutations(wanted))
    )


@pytest.mark.parametrize(("size", "k"), [(6, 2), (6, 3), (5, 4), (1, 3)])
def test_the_assignment_is_the_best_with_these_counts(size, k):
    log_p, counts = bags(size, k)
    labels = hard_assignment(log_p, counts)
    assert torch.equal(torch.nn.functional.one_hot(labels, k).sum(1), counts.long())
    value = log_p.gather(-1, labels[..., None]).sum((1, 2))
    expected = [by_enumeration(one, m) for one, m in zip(log_p, counts)]
    torch.testing.assert_close(value, torch.tensor(expected, dtype=torch.float64))


def test_two_classes_by_rank_are_the_assignment_problem():
    from labkit.transport import _assigned

    log_p, counts = bags(30, 2, n=40)
    present = torch.rand(40, 30, generator=torch.Generator().manual_seed(1)) < 0.8
    counts = torch.stack([present.sum(1) - counts[:, 1].clamp(max=15), counts[:, 1].clamp(max=15)], 1)
    assert torch.equal(hard_assignment(log_p, counts, present), _assigned(log_p, counts, present))


def test_a_large_case_against_linear_programming():
    from scipy.optimize import linprog

    log_p, counts = bags(20, 5, n=1)
    rows = np.kron(np.eye(20), np.ones(5))
    columns = np.kron(np.ones(20), np.eye(5))
    answer = linprog(
        -log_p[0].flatten().numpy(), A_eq=np.vstack([rows, columns]), b_eq=np.append(np.ones(20), counts[0].numpy())
    )
    value = log_p[0].gather(-1, hard_assignment(log_p, counts)[0][:, None]).sum()
    assert float(value) == pytest.approx(-answer.fun)


def test_ties_do_not_break_the_counts():
    """LLP-Bench labels every member at the m-th largest value positive: all of them, where all are equal."""
    for k in (2, 3):
        counts = torch.tensor([[3.0, 2.0, *[0.0] * (k - 2)]])
        labels = hard_assignment(torch.zeros(1, 5, k), counts)
        assert torch.equal(torch.nn.functional.one_hot(labels, k).sum(1).float(), counts)


def test_a_plan_that_is_not_unique_is_shared_evenly():
    plan = entropic_assignment(torch.zeros(1, 4, 2, dtype=torch.float64), torch.tensor([[1.0, 3.0]]), reg=0.01)
    torch.testing.assert_close(plan[0], torch.tensor([[0.25, 0.75]] * 4, dtype=torch.float64))


def test_whole_counts_lose_nobody():
    """Counts cut off from share times size: 0.29 * 100 = 28.999..., one member is lost and no labeling exists."""
    shares = torch.tensor([[0.29, 0.71], [1 / 3, 2 / 3], [0.5, 0.5]], dtype=torch.float64)
    assert int(0.29 * 100) == 28
    whole = whole_counts(shares, torch.tensor([100, 10, 3]))
    assert whole[0].tolist() == [29, 71] and whole[1].tolist() == [3, 7] and whole.sum(1).tolist() == [100, 10, 3]
    g = torch.Generator().manual_seed(0)
    shares, sizes = torch.rand(500, 7, generator=g), torch.randint(1, 90, (500,), generator=g)
    whole = whole_counts(shares, sizes)
    assert torch.equal(whole.sum(1).long(), sizes) and (whole >= 0).all()
    assert (whole - shares / shares.sum(1, keepdim=True) * sizes[:, None]).abs().max() < 1 + 1e-3
    counts = bags(20, 5)[1]
    assert torch.equal(whole_counts(counts.float() / 20, torch.full((6,), 20)), counts.float())


@pytest.mark.parametrize("k", [2, 4])
def test_stacked_and_recorded_they_are_the_same(k):
    from torch.fx.experimental.proxy_tensor import make_fx

    log_p, counts = bags(9, k)
    log_p, counts = log_p.view(3, 2, 9, k), counts.view(3, 2, k)
    for function in (hard_assignment, entropic_assignment):
        alone = function(log_p, counts)
        torch.testing.assert_close(vmap(function)(log_p, counts), alone)
        torch.testing.assert_close(vmap(function, in_dims=(0, None))(log_p, counts[0])[0], alone[0])
        torch.testing.assert_close(
            make_fx(lambda *given, of=function: vmap(of)(*given))(log_p, counts)(log_p, counts), alone
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("k", [2, 3])
def test_extremes_stay_finite_and_constants_for_gradients(k, dtype):
    z = torch.zeros(2, 4, k, dtype=dtype)
    z[0, :, 0], z[1, 1, 1], z[1, 2, 0] = 1e4, 1e4, -1e4
    counts = torch.tensor([[1.0, 3.0, *[0.0] * (k - 2)]] * 2, dtype=dtype)
    z.requires_grad_()
    for reg in (1.0, 0.2):
        plan = entropic_assignment(z.log_softmax(-1), counts, reg=torch.tensor(reg, dtype=dtype))
        assert plan.isfinite().all() and not plan.requires_grad and (plan.sum(1) - counts).abs().max() < 1e-2
    assert torch.equal(torch.nn.functional.one_hot(hard_assignment(z, counts), k).sum(1).to(dtype), counts)
    assert hard_assignment(torch.full_like(z, torch.nan), counts).shape == (2, 4)  # a diverged run stops nobody
