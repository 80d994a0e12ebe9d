"""DivideMix: split, refine, guess, sharpen, mix, step by step."""

from __future__ import annotations

import math

import pytest
import torch

import labkit as lk
from labkit.annotate import Symmetric
from labkit.evidence import Labels
from labkit.losses import cross_entropy
from labkit.methods import CrossEntropy, DivideMix
from labkit.methods.base import Batch, Start
from labkit.methods.divide_mix import refine, sharpen
from labkit.methods.loss_mixture import imbalance
from labkit.mixtures import gaussian_posterior

QUICK = dict(epochs=4, batch_size=32, progress=False, compile=False, dtype="float64")
N, B, D, K = 11, 6, 4, 3
G = torch.Generator().manual_seed(0)
X = torch.randn(N, D, generator=G, dtype=torch.float64)
AGAIN = X + 0.1 * torch.randn(N, D, generator=G, dtype=torch.float64)
Y = torch.randint(0, K, (N,), generator=G)
W = [torch.randn(D, K, generator=G, dtype=torch.float64) for _ in range(2)]
CLEAN = torch.rand(2, N, generator=G, dtype=torch.float64)
INDEX = torch.tensor([7, 0, 3, 10, 1, 5])


def run(method, progress=0.5, weight=(0.3, 0.8), views=2, weights=W, clean=CLEAN):
    start = Start(X, Labels(Y, K), K, 0, None, torch.arange(N))
    state = {k: v.double() for k, v in method.setup(start).items()}
    state["clean"] = clean
    progress, draws = torch.tensor(progress, dtype=torch.float64), {"weight": torch.tensor(weight, dtype=torch.float64)}
    batch = Batch(X[INDEX], Labels(Y[INDEX], K), INDEX, progress, state, draws)
    batch.views = (batch.x, AGAIN[INDEX] if views == 2 else batch.x)
    return method.objective(tuple((lambda x, w=w: x @ w) for w in weights), batch)


# ---- a slow twin: python floats and loops ------------------------------------------------------------------------


def log_p(x, w):
    z = [sum(float(x[d]) * float(w[d, k]) for d in range(D)) for k in range(K)]
    top = max(z) + math.log(sum(math.exp(v - max(z)) for v in z))
    return [v - top for v in z]


def p_of(x, w):
    return [math.exp(v) for v in log_p(x, w)]


def mean(*rows):
    return [sum(row[k] for row in rows) / len(rows) for k in range(K)]


def slow_sharpen(t, temperature):
    power = [v ** (1 / temperature) for v in t]
    return [v / sum(power) for v in power]


def slow(views, weight, tau=0.5, temperature=0.5, unlabelled=25.0, ramp=1.0, penalty=1.0):
    seen = [X, AGAIN][:views]
    total = 0.0
    for net in (0, 1):
        targets, labelled = [], []
        for i in INDEX.tolist():
            w = float(CLEAN[1 - net, i])  # the other network says who is right
            own = mean(*[p_of(view[i], W[net]) for view in seen])
            both = mean(*[p_of(view[i], one) for view in seen for one in W])
            labelled.append(w > tau)
            refined = [w * (k == int(Y[i])) + (1 - w) * own[k] for k in range(K)]
            targets.append(slow_sharpen(refined if w > tau else both, temperature))
        m = max(weight[net], 1 - weight[net])
        supervised, unsupervised, predictions = [], [], []
        for b in range(B):
            other = (b - net - 1) % B
            mixed = m * X[INDEX[b]] + (1 - m) * seen[-1][INDEX[other]]
            target = [m * u + (1 - m) * v for u, v in zip(targets[b], targets[other])]
            says = log_p(mixed, W[net])
            predictions.append([math.exp(v) for v in says])
            if labelled[b]:
                supervised.append(-sum(t * v for t, v in zip(target, says)))
            else:
                unsupervised.append(sum((math.exp(v) - t) ** 2 for t, v in zip(target, says)) / K)
        total += sum(supervised) / max(len(supervised), 1)
        total += unlabelled * ramp * sum(unsupervised) / max(len(unsupervised), 1)
        average = mean(*predictions)
        total += penalty * sum(math.log((1 / K) / v) / K for v in average)
    return total


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("tau, temperature", [(0.5, 0.5), (0.3, 1.0), (1.1, 0.5), (-0.1, 0.5)])
def test_is_the_algorithm(views, tau, temperature):
    """All unlabelled (tau above 1) and all labelled (below 0) included."""
    weight = (0.3, 0.8)
    loss, changed = run(DivideMix(tau=tau, temperature=temperature), weight=weight, views=views)
    assert float(loss) == pytest.approx(slow(views, weight, tau, temperature), rel=1e-9)
    losses = changed["losses"]
    for net in (0, 1):
        for i in range(N):
            wants = -log_p(X[i], W[net])[Y[i]] if i in INDEX.tolist() else math.log(K)
            assert float(losses[net, i]) == pytest.approx(wants, rel=1e-7)  # log K was single precision
    assert changed["picked_now"][INDEX].tolist() == CLEAN.gt(tau).double().mean(0)[INDEX].tolist()


@pytest.mark.parametrize("views, passes", [(1, 4), (2, 6)])
def test_what_a_step_costs(views, passes):
    """Forward passes over the batch, of which two are differentiated; two networks alone need two."""
    calls = []
    counted = [type("W", (), {"__rmatmul__": lambda self, x, w=w: calls.append(len(x)) or x @ w})() for w in W]
    run(DivideMix(), views=views, weights=counted)
    assert calls == [B] * passes


def test_ramp_and_weights():
    method = DivideMix(warm=0.2, ramp=0.4, unlabelled=10.0, penalty=0.5)
    halfway = run(method, progress=0.4)[0]
    assert float(halfway) == pytest.approx(slow(2, (0.3, 0.8), unlabelled=10, ramp=0.5, penalty=0.5), rel=1e-6)
    assert DivideMix().ramp == pytest.approx(16 / 300) and DivideMix().warm == pytest.approx(10 / 300)


def test_before_the_warm_up_is_over_it_is_cross_entropy():
    plain = sum(float(cross_entropy(X[INDEX] @ w, Y[INDEX]).mean()) for w in W)
    loss, changed = run(DivideMix(warm=0.6), progress=0.5)
    assert float(loss) == pytest.approx(plain, rel=1e-12) and (changed["picked_now"][INDEX] == 1).all()
    entropies = sum(float(torch.special.entr((X[INDEX] @ w).softmax(-1)).sum(-1).mean()) for w in W)
    loss, _ = run(DivideMix(warm=0.6, confident=1.0), progress=0.5)
    assert float(loss) == pytest.approx(plain - entropies, rel=1e-12)


def test_trusting_every_label_is_cross_entropy():
    """w = 1, no mixing, nothing unlabelled, no penalty; sharpening leaves a one-hot target alone."""
    loss, _ = run(DivideMix(penalty=0.0), weight=(1.0, 0.0), clean=torch.ones(2, N, dtype=torch.float64))
    plain = sum(float(cross_entropy(X[INDEX] @ w, Y[INDEX]).mean()) for w in W)
    assert float(loss) == pytest.approx(plain, rel=1e-12)


def test_guesses_and_targets_are_constants():
    """The gradient is that of the mixed pass alone: targets do not move with the weights."""
    w = [v.clone().requires_grad_() for v in W]
    loss, changed = run(DivideMix(tau=1.1, penalty=0.0, unlabelled=1.0), weight=(1.0, 1.0), views=1, weights=w)
    target = sharpen(sum((X[INDEX] @ v).softmax(-1) for v in W) / 2, 0.5)
    wants = sum(((X[INDEX] @ v).softmax(-1) - target).square().mean() for v in w)
    for a, b in zip(torch.autograd.grad(loss, w), torch.autograd.grad(wants, w)):
        torch.testing.assert_close(a, b)
    assert not changed["losses"].requires_grad


def test_sharpen_refine_imbalance():
    t = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64)
    torch.testing.assert_close(sharpen(t, 0.5), torch.tensor([[0.25, 0.09, 0.04]], dtype=torch.float64) / 0.38)
    torch.testing.assert_close(sharpen(t, 1.0), t)
    hard = torch.eye(3)
    assert torch.equal(sharpen(hard, 0.5), hard)
    assert sharpen(torch.full((1, 1000), 1e-3), 0.01).isfinite().all()  # 0.001^100 alone would be 0
    torch.testing.assert_close(refine(hard, t.float(), torch.tensor([1.0, 0.5, 0.0]))[1:],
                               torch.tensor([[0.25, 0.65, 0.1], [0.5, 0.3, 0.2]]))  # fmt: skip
    assert float(imbalance(torch.eye(3) * 50)) == pytest.approx(0, abs=1e-6)
    z = torch.tensor([[2.0, 0, 0], [1.0, 0.5, 0]], dtype=torch.float64)
    p = z.softmax(-1).mean(0)
    assert float(imbalance(z)) == pytest.approx(sum(math.log(1 / 3 / v) / 3 for v in p.tolist()))
    assert imbalance(torch.tensor([[1e4, -1e4, 0.0]])).isfinite()


def test_the_mixture_is_fitted_again_after_every_epoch():
    method = DivideMix()
    state = {**method.setup(Start(X, Labels(Y, K), K, 0, None, torch.arange(N)))}
    assert (state["clean"] == 1).all() and torch.allclose(state["losses"], torch.tensor(math.log(K)))
    state["losses"] = torch.cat([torch.rand(2, 6) / 10, 3 + torch.rand(2, 5)], 1)
    clean = method.end_epoch(state, torch.tensor(0.5))["clean"]
    assert (clean[:, :6] > 0.99).all() and (clean[:, 6:] < 0.01).all()
    assert torch.equal(clean[0], gaussian_posterior(state["losses"][0]))


def test_all_warm_up_is_two_networks_under_cross_entropy(small):
    fit = lambda method: lk.fit(small, Symmetric(0.3), methods=method, seeds=2, **QUICK)
    for a, b in zip(fit(CrossEntropy()), fit(DivideMix(warm=1.0))):
        for name, tensor in a.params.items():
            torch.testing.assert_close(tensor, b.params[f"0.{name}"], rtol=1e-12, atol=1e-12)


def test_alone_and_in_a_fleet_the_numbers_are_equal(small):
    method = DivideMix(unlabelled=lk.sweep(0.0, 5.0), warm=0.5, snapshots=4)
    together = lk.fit(small, Symmetric(0.4), methods=method, seeds=3, lanes=8, **QUICK)
    alone = lk.fit(small, Symmetric(0.4), methods=method, seeds=[1], lanes=1, **QUICK)
    mine = together.where(seed=1)
    torch.testing.assert_close(mine.logits(), alone.logits(), rtol=1e-11, atol=1e-11)
    for name in method.keeps:
        torch.testing.assert_close(mine.kept(name), alone.kept(name), rtol=1e-11, atol=1e-11, equal_nan=True)
    assert (together.measure("accuracy")["value"] > 0.6).all()
    clean, right = together.kept("clean").mean(1), together.told("train") == together.labels("train")
    assert clean[right].mean() > clean[~right].mean() + 0.2


def test_with_augmentation_both_views_are_used():
    data, options = lk.load("digits").subset(200), dict(methods=DivideMix(warm=0.5), seeds=1, **QUICK)
    plain, shifted = (
        lk.fit(data, Symmetric(0.3), augmentation=a, **options) for a in (None, lk.augment.Shift(1, (8, 8)))
    )
    assert not torch.equal(plain.logits(), shifted.logits()) and shifted.logits().isfinite().all()
