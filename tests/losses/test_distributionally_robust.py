"""LDR-KL and ALDR-KL: slow twins, limits, stationarity, what the authors' normalisation does."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from labkit import losses

K, N = 5, 7


def random(seed: int = 0, scale: float = 2.0):
    g = torch.Generator().manual_seed(seed)
    return scale * torch.randn(N, K, generator=g, dtype=torch.float64), torch.randint(0, K, (N,), generator=g)


def slow_ldr(f, y, lead, margin):
    ahead = [f[k] - f[y] + margin * (k != y) for k in range(len(f))]
    return lead * math.log(sum(math.exp(v / lead) for v in ahead) / len(f))


def slow_scale_free(row, softplus):
    f = [math.log(1 + math.exp(v)) for v in row] if softplus else row
    mean = sum(abs(v) for v in f) / len(f)
    return [v / mean for v in f]


def slow_adapted(f, lead, centre, penalty, floor=1e-5):
    q = [math.exp(v / lead) for v in f]
    q = [v / sum(q) + floor for v in q]
    q = [v / sum(q) for v in q]
    return centre - sum(v * math.log(len(f) * v) for v in q) / penalty


CASES = [(1.0, 0.0), (0.3, 0.1), (10.0, 0.1), (2.0, 1.0)]


@pytest.mark.parametrize(("lead", "margin"), CASES)
def test_ldr_equals_the_slow_twin_raw_and_scale_free(lead, margin):
    logits, y = random()
    for fast, of in (
        (logits, lambda r: r),
        (losses.scale_free(logits), lambda r: slow_scale_free(r, True)),
        (losses.scale_free(logits, softplus=False), lambda r: slow_scale_free(r, False)),
    ):
        expected = [slow_ldr(of(z.tolist()), int(c), lead, margin) for z, c in zip(logits, y)]
        value = losses.ldr_kl(fast, y, lead, margin)
        torch.testing.assert_close(value, torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(losses.ldr_kl(logits, F.one_hot(y, K).double(), lead), losses.ldr_kl(logits, y, lead))


def test_aldr_equals_the_slow_twin():
    logits, y = random(1)
    centre, alpha, margin = 2.0, 1.5, 0.1
    memory = torch.linspace(0.8, 2.0, N, dtype=torch.float64)
    penalty = losses.coded_penalty(alpha, K, centre)
    assert penalty == pytest.approx(alpha * math.log(K) / centre)
    scores = losses.scale_free(logits, softplus=False)
    new = losses.adapted_temperature(scores, memory, centre, penalty)
    value = losses.aldr_kl(scores, y, new, centre, penalty, margin)
    for i in range(N):
        f = slow_scale_free(logits[i].tolist(), False)
        lead = slow_adapted(f, float(memory[i]), centre, penalty)
        assert float(new[i]) == pytest.approx(lead, rel=1e-10)
        slow = slow_ldr(f, int(y[i]), lead, margin) - penalty / 2 * (lead - centre) ** 2
        assert float(value[i]) == pytest.approx(slow, rel=1e-10)


@pytest.mark.parametrize(("lead", "margin"), CASES)
def test_gradients_dtype_and_shape(lead, margin):
    logits, y = random(2)
    logits.requires_grad_()
    own = torch.linspace(0.5, 2.0, N, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: losses.ldr_kl(z, y, lead, margin), logits)
    assert torch.autograd.gradcheck(lambda z: losses.ldr_kl(losses.scale_free(z), y, lead, margin), logits)
    assert torch.autograd.gradcheck(
        lambda z: losses.aldr_kl(losses.scale_free(z, False), y, own, 2.0, 1.0, margin), logits
    )
    value = losses.ldr_kl(logits.detach().float(), y, lead, margin)
    assert value.dtype == torch.float32 and value.shape == (N,)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_stay_finite(dtype):
    rows = [
        [1e4, -1e4, 0, 0, 0],
        [-1e4, 1e4, 1e4, 0, 0],
        [0.0] * 5,
        [1e4] * 5,
        [-1e4] * 5,
        [-1e4, -1e4, -1e4, -1e4, -9990],
    ]
    y = torch.tensor([1, 0, 2, 3, 4, 0])
    for normalise in (lambda z: z, losses.scale_free):
        logits = torch.tensor(rows, dtype=dtype).requires_grad_()
        for lead in (0.1, 10.0):
            value = losses.ldr_kl(normalise(logits), y, lead, 0.1)
            new = losses.adapted_temperature(normalise(logits).detach(), lead, lead, losses.coded_penalty(2.0, 5, lead))
            (grad,) = torch.autograd.grad(value.sum(), logits)
            assert value.isfinite().all() and grad.isfinite().all() and new.isfinite().all()
            assert (new >= lead / 2 * 0.999).all() and (new <= lead * 1.001).all()
    no_scale = losses.scale_free(torch.zeros(1, 5, dtype=dtype), softplus=False)
    assert no_scale.isnan().all()  # said in the docstring, and not hidden by an epsilon


def test_one_is_cross_entropy_less_log_k_with_the_same_gradient():
    logits, y = random(3)
    logits.requires_grad_()
    plain, ours = F.cross_entropy(logits, y, reduction="none"), losses.ldr_kl(logits, y, 1.0)
    torch.testing.assert_close(ours, plain - math.log(K), rtol=1e-12, atol=1e-12)
    gradient = lambda v: torch.autograd.grad(v.sum(), logits)[0]
    torch.testing.assert_close(gradient(ours), gradient(plain))


def test_limits_of_the_temperature():
    logits, y = random(4)
    ahead = logits - logits.gather(1, y[:, None]) + 0.1 * (1 - F.one_hot(y, K).double())
    torch.testing.assert_close(losses.ldr_kl(logits, y, 1e-7, 0.1), ahead.max(-1).values, atol=1e-5, rtol=0)
    torch.testing.assert_close(losses.ldr_kl(logits, y, 1e7, 0.1), ahead.mean(-1), atol=1e-5, rtol=0)


def test_it_is_the_worst_case_over_distributions_and_convex():
    logits, y = random(5)
    ahead = logits - logits.gather(1, y[:, None]) + 0.1 * (1 - F.one_hot(y, K).double())
    value, lead = losses.ldr_kl(logits, y, 0.7, 0.1), 0.7
    gain = lambda q: (q * ahead).sum(-1) - lead * (q * (K * q).log()).sum(-1)
    torch.testing.assert_close(gain((ahead / lead).softmax(-1)), value)
    for seed in range(5):
        assert (gain(random(seed)[0].softmax(-1)) <= value + 1e-12).all()
    other = random(9)[0]
    middle = losses.ldr_kl((logits + other) / 2, y, lead, 0.1)
    assert (middle <= (value + losses.ldr_kl(other, y, lead, 0.1)) / 2 + 1e-12).all()


def test_the_adapted_temperature_is_the_maximum_and_falls_where_the_network_is_sure():
    logits, y = random(6, scale=1.0)
    centre, penalty, margin = 3.0, 4.0, 0.1
    with_margin = logits + margin * (1 - F.one_hot(y, K).double())
    lead = torch.full((N,), centre, dtype=torch.float64)
    for _ in range(200):
        lead = losses.adapted_temperature(with_margin, lead, centre, penalty, floor=0.0)
    best = losses.aldr_kl(logits, y, lead, centre, penalty, margin)
    for step in (-0.3, -0.01, 0.01, 0.3):  # a maximum over the temperature, not a minimum
        assert (losses.aldr_kl(logits, y, lead + step, centre, penalty, margin) < best).all()
    assert (lead < centre).all()
    sure, unsure = torch.tensor([[8.0, 0, 0, 0, 0], [0.1, 0, 0, 0, 0]])
    both = losses.adapted_temperature(torch.stack([sure, unsure]), centre, centre, penalty)
    assert both[0] < both[1] <= centre
    never = losses.adapted_temperature(logits, centre, centre, 1e12)
    torch.testing.assert_close(losses.aldr_kl(logits, y, never, centre, 1e12), losses.ldr_kl(logits, y, centre))


def test_scores_are_blind_to_their_scale_and_the_temperature_is_a_constant():
    logits, y = random(7)
    torch.testing.assert_close(losses.scale_free(3 * logits, False), losses.scale_free(logits, False))
    assert losses.scale_free(logits).mean(-1).tolist() == pytest.approx([1.0] * N)
    own = torch.full((N,), 2.0, dtype=torch.float64, requires_grad=True)
    assert not losses.aldr_kl(logits, y, own, 2.0, 1.0).requires_grad
