"""The early-learning term, what it remembers, and the symmetric divergence, against loops over floats."""

from __future__ import annotations

import math

import torch
from torch.autograd import gradcheck

from labkit.losses import cross_entropy, early_learning, remember, symmetric_kl

K, N = 4, 6
G = torch.Generator().manual_seed(0)
LOGITS = 2 * torch.randn(N, K, generator=G, dtype=torch.float64)
LOGITS[0] = torch.tensor([12.0, 0, 0, 0])  # every probability is clipped, and their sum is 1.0002
OTHER = 2 * torch.randn(N, K, generator=G, dtype=torch.float64)
SEEN = 0.8 * torch.rand(N, K, generator=G, dtype=torch.float64).softmax(-1)


def p_of(row):
    top = max(row)
    e = [math.exp(z - top) for z in row]
    return [v / sum(e) for v in e]


def clipped(row):
    return [min(max(v, 1e-4), 1 - 1e-4) for v in p_of(row)]


def test_are_their_formulas():
    for i in range(N):
        p, q, t = clipped(LOGITS[i].tolist()), p_of(OTHER[i].tolist()), SEEN[i].tolist()
        term = math.log(1 - sum(a * b for a, b in zip(t, p)))
        assert abs(float(early_learning(LOGITS, SEEN)[i]) - term) < 1e-12
        told = [0.7 * a + 0.3 * b / sum(p) for a, b in zip(t, p)]
        torch.testing.assert_close(remember(SEEN, LOGITS, 0.7)[i], torch.tensor(told, dtype=torch.float64))
        p = p_of(LOGITS[i].tolist())
        kl = lambda a, b: sum(u * math.log(u / v) for u, v in zip(a, b))
        assert abs(float(symmetric_kl(LOGITS, OTHER)[i]) - kl(p, q) - kl(q, p)) < 1e-12


def test_gradients():
    z, w = LOGITS.clone().requires_grad_(), OTHER.clone().requires_grad_()
    assert gradcheck(lambda a: early_learning(a, SEEN), z)
    assert gradcheck(symmetric_kl, (z, w))
    assert not remember(SEEN, z, 0.7).requires_grad


def test_extreme_logits_stay_finite():
    z = torch.tensor([[1e4, -1e4, 0.0, 0.0], [-1e4, 1e4, 1e4, 0.0], [0.0, 0, 0, 0]], requires_grad=True)
    t = torch.tensor([[1.0, 0, 0, 0], [0, 0.5, 0.5, 0], [0.25] * 4])
    for value in (early_learning(z, t), symmetric_kl(z, -z), remember(t, z, 0.9)):
        assert value.isfinite().all() and value.dtype == torch.float32
    (grad,) = torch.autograd.grad(early_learning(z, t).sum() + symmetric_kl(z, -z.detach()).sum(), z)
    assert grad.isfinite().all()
    # the argument of the logarithm is at least 1e-4 even for a remembered certainty
    assert abs(float(early_learning(z.detach().double(), t.double())[0]) - math.log(1e-4)) < 1e-6


def test_the_term_is_nothing_at_first_negative_later_and_pulls_towards_memory():
    assert not early_learning(LOGITS, torch.zeros(N, K, dtype=torch.float64)).any()
    assert (early_learning(LOGITS, SEEN) < 0).all()
    z = torch.zeros(1, K, dtype=torch.float64, requires_grad=True)
    t = torch.tensor([[0.9, 0.1 / 3, 0.1 / 3, 0.1 / 3]], dtype=torch.float64)
    (grad,) = torch.autograd.grad(early_learning(z, t).sum(), z)
    assert grad[0, 0] < 0 and (grad[0, 1:] > 0).all()  # a step down the loss raises the remembered class
    # against a wrong label: strong enough, it turns the step round
    wrong = torch.tensor([1])
    (grad,) = torch.autograd.grad((cross_entropy(z, wrong) + 7 * early_learning(z, t)).sum(), z)
    assert grad[0, 1] > grad[0, 0]
    assert not symmetric_kl(LOGITS, LOGITS + 3).gt(1e-12).any()
    torch.testing.assert_close(symmetric_kl(LOGITS, OTHER), symmetric_kl(OTHER, LOGITS))
