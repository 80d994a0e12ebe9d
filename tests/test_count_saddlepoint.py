"""The saddlepoint approximation of many-class counts: its measured error, its derivative."""

from __future__ import annotations

import pytest
import torch
from bags_by_enumeration import beliefs, close
from torch.fx.experimental.proxy_tensor import make_fx

from labkit.counts import count_log_likelihood, count_posterior, tilted

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


def test_a_recorded_gradient_checks_nothing_and_its_compiled_form_can_be_kept():
    """A check (aten._linalg_check_errors) has an effect, and Inductor keeps nothing that has one."""
    log_p = torch.rand(2, 20, 5, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    counts, present = torch.tensor([[4.0] * 5, [10.0, 0, 5, 5, 0]]), torch.ones(2, 20, dtype=torch.bool)
    loss = lambda z: -count_log_likelihood(z, counts, present, method="saddlepoint").sum()
    recorded = make_fx(torch.func.grad(loss))(log_p)
    assert not [n.target for n in recorded.graph.nodes if "check" in str(n.target)]
    assert torch.equal(recorded(log_p), torch.func.grad(loss)(log_p))
