"""InfoNCE with any weights: by hand, what it reduces to, extremes; and the divergence of a Dirichlet."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from labkit import losses

A, B = 4, 6


def drawn(seed=0):
    g = torch.Generator().manual_seed(seed)
    among = torch.rand(A, B, generator=g) < 0.7
    among[:, 0] = True
    among[1] = torch.tensor([True, False, False, False, False, False])
    similarity, weights = (torch.randn(A, B, generator=g, dtype=torch.float64) for _ in range(2))
    return 3 * similarity, weights.abs(), among


def slow(similarity, weights, among):
    out = []
    for s, w, a in zip(similarity.tolist(), weights.tolist(), among.tolist()):
        total = math.log(sum(math.exp(s[j]) for j in range(B) if a[j]))
        out.append(-sum(w[j] * (s[j] - total) for j in range(B) if a[j]))
    return torch.tensor(out, dtype=torch.float64)


@pytest.mark.parametrize("seed", range(3))
def test_contrastive_equals_the_slow_twin(seed):
    s, w, among = drawn(seed)
    got = losses.weighted_contrastive(s, w, among)
    assert got.shape == (A,) and got.dtype == torch.float64
    torch.testing.assert_close(got, slow(s, w, among))
    assert losses.weighted_contrastive(s.float(), w.float(), among).dtype == torch.float32


def test_contrastive_gradient_and_extremes():
    s, w, among = drawn(1)
    assert torch.autograd.gradcheck(lambda z: losses.weighted_contrastive(z, w, among), s.requires_grad_())
    for dtype in (torch.float32, torch.float64):
        far = torch.where(torch.rand(A, B) < 0.5, -1e4, 1e4).to(dtype).requires_grad_()
        loss = losses.weighted_contrastive(far, w.to(dtype), among)
        (grad,) = torch.autograd.grad(loss.sum(), far)
        assert loss.isfinite().all() and grad.isfinite().all() and (grad[~among] == 0).all()


def test_contrastive_reduces_to_cross_entropy_and_what_is_left_out_has_no_say():
    s, w, among = drawn(2)
    everyone, hit = torch.ones_like(among), torch.tensor([2, 0, 5, 3])
    one = F.one_hot(hit, B).double()
    torch.testing.assert_close(losses.weighted_contrastive(s, one, everyone), F.cross_entropy(s, hit, reduction="none"))
    other = torch.where(among, s, 99.0)
    torch.testing.assert_close(losses.weighted_contrastive(other, w, among), losses.weighted_contrastive(s, w, among))
    assert losses.weighted_contrastive(s, w, among)[1] == pytest.approx(0)  # compared with one alone


def test_dirichlet_kl_equals_torch_and_the_slow_twin():
    g = torch.Generator().manual_seed(0)
    alpha = torch.rand(5, 4, generator=g, dtype=torch.float64) * 6 + 0.01
    got, flat = losses.dirichlet_kl(alpha), torch.ones(5, 4, dtype=torch.float64)
    P = torch.distributions.Dirichlet
    torch.testing.assert_close(got, torch.distributions.kl_divergence(P(alpha), P(flat)))
    digamma = lambda v: (math.lgamma(v + 1e-5) - math.lgamma(v - 1e-5)) / 2e-5
    for row, value in zip(alpha.tolist(), got.tolist()):
        if min(row) > 0.05:  # the difference quotient above
            total = sum(row)
            twin = math.lgamma(total) - sum(map(math.lgamma, row)) - math.lgamma(4)
            twin += sum((v - 1) * (digamma(v) - digamma(total)) for v in row)
            assert value == pytest.approx(twin, abs=1e-5)
    assert (got > 0).all() and got.shape == (5,)
    assert torch.autograd.gradcheck(losses.dirichlet_kl, alpha.requires_grad_())


def test_dirichlet_kl_is_0_at_1_and_finite_at_the_ends():
    assert losses.dirichlet_kl(torch.ones(2, 7)).abs().max() < 1e-6
    for dtype in (torch.float32, torch.float64):
        alpha = torch.tensor([[0.01] * 4, [30.0] * 4, [0.01, 30, 0.01, 1]], dtype=dtype).requires_grad_()
        value = losses.dirichlet_kl(alpha)
        (grad,) = torch.autograd.grad(value.sum(), alpha)
        assert value.dtype == dtype and value.isfinite().all() and grad.isfinite().all()
