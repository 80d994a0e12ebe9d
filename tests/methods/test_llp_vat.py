"""Consistency against loops over floats: the adversarial direction, the noise, and the ramp that does ramp."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from labkit import methods as m
from labkit.evidence import Bags
from labkit.methods.base import Batch, Start
from labkit.methods.llp_vat import adversarial_direction, divergence

D, H, K = 5, 6, 3
G = torch.Generator().manual_seed(0)
W, V = torch.randn(D, H, generator=G, dtype=torch.float64), torch.randn(H, K, generator=G, dtype=torch.float64)
X = torch.randn(8, D, generator=G, dtype=torch.float64)
NOISE = torch.randn(8, D, generator=G, dtype=torch.float64)


def net(x):
    return torch.tanh(x @ W.to(x)) @ V.to(x)


def slow_p(x):
    hidden = [math.tanh(sum(x[i] * float(W[i, h]) for i in range(D))) for h in range(H)]
    e = [math.exp(sum(hidden[h] * float(V[h, c]) for h in range(H))) for c in range(K)]
    return [v / sum(e) for v in e]


def slow_kl(x, y):
    return sum(p * math.log(p / q) for p, q in zip(slow_p(x), slow_p(y)))


def slow_direction(x, d, step=1e-5):
    """Gradient of KL(p(x) || p(x + r)) at a small multiple of d, by central differences, at length 1."""
    size = math.sqrt(sum(v * v for v in d))
    r = [1e-3 * v / size for v in d]
    slope = []
    for i in range(D):
        up, down = ([a + b + (s * step if k == i else 0) for k, (a, b) in enumerate(zip(x, r))] for s in (1, -1))
        slope.append((slow_kl(x, up) - slow_kl(x, down)) / (2 * step))
    size = math.sqrt(sum(v * v for v in slope))
    return [v / size for v in slope]


def test_the_direction_is_the_gradient_of_the_divergence_at_a_small_step():
    fast = adversarial_direction(net, X, NOISE)
    for found, x, d in zip(fast, X.tolist(), NOISE.tolist()):
        cosine = sum(a * b for a, b in zip(found.tolist(), slow_direction(x, d)))
        assert cosine > 0.999 and float(found.norm()) == pytest.approx(1)


def test_no_direction_of_the_same_length_raises_the_divergence_much_more():
    """With two classes the growth has rank one, so one power step finds the best direction: none of 2,000 beats it."""
    two = lambda x: net(x)[..., :2]
    r = 1e-3 * adversarial_direction(two, X, NOISE)
    other = torch.randn(2000, 8, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    other = 1e-3 * other / other.norm(dim=-1, keepdim=True)
    best = torch.stack([divergence(two(X), two(X + o)) for o in other]).amax(0)
    assert (divergence(two(X), two(X + r)) >= 0.999 * best).all()


def test_single_precision_finds_the_direction_that_the_published_step_does_not():
    """Regression: at xi = 1e-6 in float32 the published finite difference is rounding error; and its length, g / (|g| +
    1e-8) with g the gradient of a batch's mean, falls with the batch."""
    sure = lambda x: 4 * net(x)  # a trained network is sure
    exact = adversarial_direction(sure, X, NOISE)
    ours = adversarial_direction(sure, X.float(), NOISE.float())
    assert ((exact * ours).sum(-1) > 0.999).all()

    def published(x, d, copies):
        x, d = x.repeat(copies, 1), d.repeat(copies, 1)
        d = d / d.norm(dim=-1, keepdim=True)
        fixed = sure(x).detach()
        g = torch.func.grad(lambda r: divergence(fixed, sure(x + r)).mean())(1e-6 * d)
        return (g / (g.norm(dim=-1, keepdim=True) + 1e-8))[:8]

    theirs = published(X.float(), NOISE.float(), 1)
    cosine = (exact * theirs).sum(-1) / theirs.norm(dim=-1).clamp_min(1e-30)
    assert cosine.min() < 0.9
    short = [published(X, NOISE, copies).norm(dim=-1).mean() for copies in (1, 20, 400)]
    assert short[0] > 1.5 * short[1] > 3 * short[2]  # what it asks for is length 1 in all three
    assert (ours.norm(dim=-1) - 1).abs().max() < 1e-5


def test_a_flat_network_has_no_direction_and_nothing_breaks():
    flat = lambda x: 0 * net(x)
    assert (adversarial_direction(flat, X, NOISE) == 0).all()
    steep = lambda x: 1e4 * net(x)
    assert adversarial_direction(steep, X.float(), NOISE.float()).isfinite().all()


def batch_at(method, progress, dtype=torch.float64):
    bags = Bags(
        torch.arange(8).view(2, 4),
        torch.tensor([[2.0, 1, 0], [1, 2, 1]]),
        torch.tensor([[True] * 3 + [False], [True] * 4]),
    )
    rng = np.random.default_rng(0)
    state = method.setup(Start(X, bags, K, 0, rng, torch.arange(8)))
    draws = {k: torch.from_numpy(np.asarray(v))[0] for k, v in method.draw(rng, 1, 2).items()}
    return Batch(X.to(dtype), bags, torch.arange(2), torch.tensor(progress, dtype=dtype), state, draws)


def slow_objective(method, batch, progress):
    bags, total = batch.evidence, 0.0
    for b in range(2):
        rows = [4 * b + s for s in range(4) if bool(bags.present[b, s])]
        p = [slow_p(X[r].tolist()) for r in rows]
        mean = [sum(q[c] for q in p) / len(p) for c in range(K)]
        total -= sum(float(bags.counts[b, c]) / len(rows) * math.log(mean[c]) for c in range(K)) / 2
    table, first = batch.state["gaussian"], batch.draws["stretch"].tolist()
    own = []
    for i in range(8):
        if not bool(bags.present.flatten()[i]):
            continue
        x, d = X[i].tolist(), table[(first[i // 4] + i % 4) % len(table)].tolist()
        if method.consistency == "vat":
            length = method.eps * math.sqrt(D)
            own.append(slow_kl(x, [a + length * b for a, b in zip(x, slow_direction(x, d))]))
        else:
            beside = slow_p([a + method.noise * b for a, b in zip(x, d)])
            own.append(sum((p - q) ** 2 for p, q in zip(slow_p(x), beside)))
    ramp = math.exp(-5 * (1 - min(1.0, progress / method.ramp)) ** 2)
    return total + method.weight * ramp * sum(own) / len(own)


@pytest.mark.parametrize(
    "method", [m.LLPVAT(weight=3.0, eps=0.4), m.LLPVAT(consistency="pi", weight=3.0)], ids=["vat", "pi"]
)
@pytest.mark.parametrize("progress", [0.0, 0.2, 0.4, 0.9])
def test_the_objective_is_the_loop(method, progress):
    batch = batch_at(method, progress)
    value, changed = method.objective(net, batch)
    assert float(value) == pytest.approx(slow_objective(method, batch, progress), rel=1e-4) and changed == {}


def test_the_ramp_ramps():
    """Regression: published code with a ramp of 0.4 * epoch * L / B (MixBag) or -1 (LLPFC's copy) has one weight for
    ever. Ours begins at exp(-5) of it, rises at every step of the first 40 %, and is all of it from there on."""
    for method in (m.LLPVAT(weight=1.0), m.LLPVAT(consistency="pi", weight=1.0)):
        told = float(m.ProportionLoss().objective(net, batch_at(method, 0.0))[0])
        grid = [0.0, 0.1, 0.2, 0.3, 0.4, 0.7, 1.0]
        parts = [float(method.objective(net, batch_at(method, t))[0]) - told for t in grid]
        assert parts[0] / parts[-1] == pytest.approx(math.exp(-5), rel=1e-6)
        assert all(b > 1.2 * a for a, b in itertools.pairwise(parts[:5]))
        assert parts[4] == pytest.approx(parts[-1]) and parts[5] == pytest.approx(parts[-1])


def test_only_the_disturbed_prediction_of_vat_and_the_clean_one_of_pi_are_differentiated():
    shift = torch.zeros(K, dtype=torch.float64, requires_grad=True)
    moved = lambda x: net(x) + shift
    batch = batch_at(m.LLPVAT(), 0.9)
    z = moved(batch.x)
    place = (batch.draws["stretch"][:, None] + torch.arange(4)).flatten() % 512
    r = 0.108 * math.sqrt(D) * adversarial_direction(moved, batch.x, batch.state["gaussian"][place])
    (ours,) = torch.autograd.grad(
        m.LLPVAT(weight=1.0).consistent(moved, batch.x, z, batch.evidence.present, batch), shift
    )
    here = batch.evidence.present.flatten().double()[:, None]
    by_hand = ((moved(batch.x + r).softmax(-1) - z.softmax(-1)) * here).sum(
        0
    ) / 7  # gradient of KL in the second logits
    torch.testing.assert_close(ours, by_hand.detach())


def test_no_consistency_is_the_proportion_loss():
    for method in (m.LLPVAT(consistency="none"), m.LLPVAT(weight=0.0), m.LLPVAT(consistency="pi", weight=0.0)):
        batch = batch_at(method, 0.9)
        assert float(method.objective(net, batch)[0]) == float(m.ProportionLoss().objective(net, batch)[0])
    with pytest.raises(ValueError, match="vat, pi, none, got 'mean'"):
        m.LLPVAT(consistency="mean")
