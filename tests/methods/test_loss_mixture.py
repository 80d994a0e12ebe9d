"""Dynamic bootstrapping against a loop over examples; what it reduces to; what it finds; alone and in a fleet."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import labkit as lk
from labkit.annotate import Symmetric
from labkit.evidence import Labels
from labkit.methods import DynamicBootstrap, Mixup
from labkit.methods.base import Batch, Start
from labkit.methods.loss_mixture import imbalance
from labkit.mixtures import beta_posterior, gaussian_posterior

B, D, K, N = 6, 4, 3, 9
G = torch.Generator().manual_seed(0)
WEIGHT = torch.randn(D, K, generator=G, dtype=torch.float64)
X = torch.randn(B, D, generator=G, dtype=torch.float64)
Y = torch.tensor([0, 1, 2, 0, 1, 2])
INDEX = torch.tensor([4, 0, 7, 2, 8, 1])
NOISY = torch.linspace(0, 1, N, dtype=torch.float64)
MIX = torch.tensor(0.7, dtype=torch.float64)
OPTIONS = dict(batch_size=32, progress=False, compile=False)


def step(method, progress, mix=MIX, noisy=NOISY, scale=1.0):
    weight = (scale * WEIGHT).requires_grad_()
    state = {"losses": torch.full((N,), -1.0, dtype=torch.float64), "noisy": noisy}
    progress = torch.tensor(progress, dtype=torch.float64)
    batch = Batch(X, Labels(Y, K), INDEX, progress, state, {"weight": mix})
    loss, changed = method.objective(lambda x: x @ weight, batch)
    return loss, changed, torch.autograd.grad(loss, weight)[0]


def slow(method, progress, mix=0.7, noisy=NOISY):
    """The equation, example by example; z and w as plain numbers."""
    weight = WEIGHT.clone().requires_grad_()
    said = (X @ WEIGHT).softmax(-1).tolist()
    total, mean = 0.0, [0.0] * K
    for i in range(B):
        j = (i - 1) % B  # the partner is the one before
        log_p = F.log_softmax((mix * X[i] + (1 - mix) * X[j]) @ weight, 0)
        for who, share in ((i, mix), (j, 1 - mix)):
            w = float(noisy[INDEX[who]]) if progress >= method.warm else 0.0
            z = said[who] if method.soft else [float(k == int(np.argmax(said[who]))) for k in range(K)]
            given = -log_p[Y[who]]
            own = -sum(z[k] * log_p[k] for k in range(K))
            total = total + share * ((1 - w) * given + w * own) / B
        mean = [m + p / B for m, p in zip(mean, log_p.exp())]
    if progress >= method.warm:
        total = total + method.balance * sum(math.log(1 / K) / K - m.log() / K for m in mean)
    return total, torch.autograd.grad(total, weight)[0]


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("progress", [0.1, 0.5, 0.9])
def test_equals_the_slow_twin(soft, progress):
    method = DynamicBootstrap(soft=soft, warm=0.5, balance=0.7)
    (loss, changed, slope), (want, want_slope) = step(method, progress), slow(method, progress)
    torch.testing.assert_close(loss, want)
    torch.testing.assert_close(slope, want_slope)  # z and w are constants
    plain = F.cross_entropy(X @ WEIGHT, Y, reduction="none")
    assert set(changed) == {"losses"} and not changed["losses"].requires_grad
    torch.testing.assert_close(changed["losses"][INDEX], plain)  # of the unmixed inputs
    assert (changed["losses"][[3, 5, 6]] == -1).all()


def test_trust_in_all_labels_is_mixup_and_in_none_is_self_training():
    nobody, everybody = torch.zeros(N).double(), torch.ones(N).double()
    mixed = Mixup().objective(lambda x: x @ WEIGHT, Batch(X, Labels(Y, K), INDEX, None, {}, {"weight": MIX}))[0]
    for method, progress, noisy in (
        (DynamicBootstrap(balance=0.0), 0.9, nobody),  # all labels trusted
        (DynamicBootstrap(warm=0.5), 0.1, everybody),  # not begun
    ):
        torch.testing.assert_close(step(method, progress, noisy=noisy)[0], mixed)
    one = torch.tensor(1.0, dtype=torch.float64)
    hard = step(DynamicBootstrap(balance=0.0, warm=0.0), 0.9, one, everybody)[0]
    torch.testing.assert_close(hard, -(X @ WEIGHT).log_softmax(-1).max(-1).values.mean())
    cross_entropy = step(DynamicBootstrap(balance=0.0, warm=0.0), 0.9, one, nobody)[0]
    torch.testing.assert_close(cross_entropy, F.cross_entropy(X @ WEIGHT, Y))


@pytest.mark.parametrize("soft", [False, True])
def test_without_mixing_one_pass_gives_the_same(soft):
    one = torch.tensor(1.0, dtype=torch.float64)
    short, long = (step(DynamicBootstrap(soft=soft, alpha=a, warm=0.0), 0.9, one) for a in (0.0, 8.0))
    torch.testing.assert_close(short[0], long[0])
    torch.testing.assert_close(short[2], long[2])
    torch.testing.assert_close(short[2], slow(DynamicBootstrap(soft=soft, warm=0.0), 0.9, 1.0)[1])


def test_balance_is_the_divergence_of_the_mean_prediction():
    z = torch.randn(7, 4, generator=G, dtype=torch.float64, requires_grad=True)
    mean = z.softmax(-1).mean(0)
    slow = sum(0.25 * math.log(0.25 / float(m)) for m in mean)
    assert float(imbalance(z)) == pytest.approx(slow)
    assert torch.autograd.gradcheck(imbalance, z)
    assert float(imbalance(10 * torch.eye(4).double())) == pytest.approx(0, abs=1e-12)  # each class once
    one_class = torch.zeros(5, 4).double()
    one_class[:, 0] = 1e4
    assert 5000 < float(imbalance(one_class)) < math.inf and imbalance(z.float()).dtype == torch.float32


def test_extreme_logits_stay_finite():
    for soft in (False, True):
        loss, changed, slope = step(DynamicBootstrap(soft=soft, warm=0.0), 0.9, scale=1e4)
        assert loss.isfinite() and slope.isfinite().all() and changed["losses"].isfinite().all()


def test_the_mixture_is_refitted_to_the_remembered_losses():
    rng = np.random.default_rng(0)
    losses = torch.from_numpy(np.concatenate([rng.beta(1, 12, 300), 2 + rng.beta(8, 3, 100)]))
    state = {"losses": losses, "noisy": torch.zeros(400)}
    for name, posterior in (("beta", beta_posterior), ("gaussian", lambda v: 1 - gaussian_posterior(v))):
        ended = DynamicBootstrap(name).end_epoch(state, torch.tensor(0.5))
        assert list(ended) == ["noisy"]
        torch.testing.assert_close(ended["noisy"], posterior(losses))
        assert ended["noisy"][:300].mean() < 0.05 and ended["noisy"][300:].mean() > 0.95  # P(wrong), not P(right)


def test_mixing_weights_are_beta_and_none_is_one():
    from scipy import stats

    draw = lambda alpha: DynamicBootstrap(alpha=alpha).draw(np.random.default_rng(0), 3000, 8)["weight"]
    assert stats.kstest(draw(32.0), stats.beta(32, 32).cdf).pvalue > 0.01 and (draw(0.0) == 1).all()


def test_begins_with_the_loss_of_knowing_nothing():
    start = Start(X, Labels(Y, K), K, 0, np.random.default_rng(0), torch.arange(B))
    state = DynamicBootstrap().setup(start)
    assert state["losses"].tolist() == pytest.approx([math.log(3)] * B) and (state["noisy"] == 0).all()
    with pytest.raises(ValueError, match="beta, gaussian, got 'gamma'"):
        DynamicBootstrap("gamma")


def test_alone_and_in_a_fleet_alike_and_it_finds_the_wrong_labels():
    data = lk.load("gaussians", n=600, classes=3, separation=5.0, seed=0)
    method = DynamicBootstrap(alpha=lk.sweep(0.0, 8.0), soft=True, warm=0.3)
    fit = lambda **more: lk.fit(data, Symmetric(0.4), methods=method, epochs=8, dtype="float64", **OPTIONS, **more)
    together, alone = fit(seeds=3, lanes=8).where(seed=1), fit(seeds=[1], lanes=1)
    for a, b in zip(together, alone):
        assert a.values == b.values and not a.diverged
        for name, value in a.params.items():
            torch.testing.assert_close(value, b.params[name], rtol=1e-10, atol=1e-10)
    wrong = together.told("train") != together.labels("train")
    noisy = together.kept("noisy")
    for row, w in zip(noisy, wrong):
        assert row[w].mean() > row[~w].mean() + 0.5
    assert (together.measure("accuracy")["value"] > 0.9).all()
    hard = lk.fit(data, Symmetric(0.4), methods=DynamicBootstrap("gaussian"), epochs=4, seeds=2, **OPTIONS)
    assert not any(run.diverged for run in hard)
