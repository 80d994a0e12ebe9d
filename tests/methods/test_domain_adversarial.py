"""Domain adversarial training: both players' gradients by hand, smoothing's two ends, noise, fleets."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import labkit as lk
from labkit.evidence import Labels
from labkit.fleet.step import Net
from labkit.methods.base import Batch, Start
from labkit.methods.domain_adversarial import DomainAdversarial, reverse_gradient
from labkit.models import MLP, WithDiscriminator, discriminate
from labkit.streams import generator

D = torch.float64


def player(environments=3, d=5, k=4, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return WithDiscriminator(MLP((6,)), environments, (7,)).build((d,), None, k).double()


def batch(environments=3, n=8, d=5, k=4):
    g = torch.Generator().manual_seed(1)
    x = torch.randn(n, d, generator=g, dtype=D)
    told = torch.nn.functional.one_hot(torch.arange(2 * n) % environments, environments).to(D)
    index = torch.randperm(2 * n, generator=g)[:n]
    return Batch(x, Labels(torch.arange(n) % k, k), index, torch.tensor(0.0), {"environment": told}, {})


def gradients(model, batch, **options):
    params = {k: p.detach().clone().requires_grad_() for k, p in model.named_parameters()}
    loss, changed = DomainAdversarial(**options).objective(Net(model, params), batch)
    assert changed == {}
    return loss.detach(), dict(zip(params, torch.autograd.grad(loss, list(params.values()))))


@pytest.mark.parametrize("weight, smoothing", [(1.0, 0.0), (0.3, 0.1), (2.0, 2 / 3)])
def test_each_player_descends_on_its_own_loss(weight, smoothing):
    """Against two separate losses, their smoothed targets written entry by entry, and ordinary autograd."""
    model, b = player(), batch()
    loss, grads = gradients(model, b, weight=weight, smoothing=smoothing)
    other = copy.deepcopy(model)
    features = other.body(b.x)
    plain = torch.nn.functional.cross_entropy(other.head(features), b.evidence.labels)
    guess = other.discriminator(features).log_softmax(-1)
    told, total = b.state["environment"][b.index].argmax(1).tolist(), 0.0
    for i, environment in enumerate(told):
        for m in range(3):
            total = total - (1 - smoothing if m == environment else smoothing / 2) * guess[i, m]
    discriminator = total / len(told)
    torch.testing.assert_close(loss, (plain + discriminator).detach())
    names, values = zip(*other.named_parameters())
    zero = lambda g, v: torch.zeros_like(v) if g is None else g
    of = lambda what: torch.autograd.grad(what, values, retain_graph=True, allow_unused=True)
    for name, value, first, second in zip(names, values, of(plain), of(discriminator)):
        sign = 1.0 if name.startswith("discriminator") else -weight
        torch.testing.assert_close(grads[name], zero(first, value) + sign * zero(second, value))


def test_reversal_is_the_identity_forwards():
    x = torch.randn(3, 2, dtype=D, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.equal(reverse_gradient(x, 0.7), x)
    (grad,) = torch.autograd.grad(reverse_gradient(x, 0.7).sum(), x)
    torch.testing.assert_close(grad, torch.full_like(x, -0.7))
    assert reverse_gradient(torch.full((1,), 1e4), 3.0).item() == 1e4


def test_with_weight_zero_the_classifier_trains_as_if_alone():
    model, b = player(), batch()
    _, grads = gradients(model, b, weight=0.0)
    loss = torch.nn.functional.cross_entropy(model.head(model.body(b.x)), b.evidence.labels)
    for name in ("body.1.weight", "head.weight"):
        (alone,) = torch.autograd.grad(loss, dict(model.named_parameters())[name], retain_graph=True)
        torch.testing.assert_close(grads[name], alone)


@pytest.mark.parametrize("smoothing, vanishes", [(2 / 3, True), (0.1, False), (0.0, False)])
def test_at_the_discriminators_optimum_uniform_targets_leave_the_encoder_alone(smoothing, vanishes):
    """Smoothing (M - 1) / M makes the target a constant: its best discriminator knows nothing and pushes nothing."""
    model, b = player(), batch(n=12)
    method = DomainAdversarial(weight=1.0, smoothing=smoothing)
    own = [p for k, p in model.named_parameters() if k.startswith("discriminator")]
    solver = torch.optim.LBFGS(own, max_iter=400, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure():
        solver.zero_grad()
        loss, _ = method.objective(Net(model, dict(model.named_parameters())), b)
        loss.backward()
        return loss

    solver.step(closure)
    features = model.body(b.x).detach().requires_grad_()
    guess = discriminate(Net(model, dict(model.named_parameters())), features)
    target = torch.full_like(guess, 1 / 3) if vanishes else None
    if vanishes:
        loss = -(target * guess.log_softmax(-1)).sum(-1).mean()
        assert float(torch.autograd.grad(loss, features)[0].abs().max()) < 1e-5
        torch.testing.assert_close(guess.softmax(-1), target, atol=1e-3, rtol=0)
    else:  # it does tell environments apart, no surer than smoothing allows
        assert guess.softmax(-1).max() > 0.7
        if smoothing:
            right = (b.state["environment"][b.index] * guess.softmax(-1)).sum(-1)
            torch.testing.assert_close(right, torch.full_like(right, 1 - smoothing), atol=0.02, rtol=0)


def noise(rate, n=3000, environments=4, seed=0):
    told = torch.arange(n) % environments
    start = Start(torch.zeros(n, 2), None, 2, seed, generator(seed, "method"), torch.arange(n), {"environment": told})
    return told, DomainAdversarial(environment_noise=rate).setup(start)["environment"]


def test_environment_noise_moves_that_share_evenly_and_is_paired():
    told, low = noise(0.2)
    _, high = noise(0.4)
    assert torch.equal(noise(0.0)[1].argmax(1), told) and torch.equal(noise(0.4)[1], high)
    assert low.shape == (3000, 4) and (low.sum(1) == 1).all()
    wrong_low, wrong_high = low.argmax(1) != told, high.argmax(1) != told
    assert abs(float(wrong_low.float().mean()) - 0.2) < 0.03 and abs(float(wrong_high.float().mean()) - 0.4) < 0.03
    assert (wrong_low <= wrong_high).all()
    assert torch.equal(low.argmax(1)[wrong_low], high.argmax(1)[wrong_low])
    shift = (high.argmax(1) - told)[wrong_high] % 4
    assert shift.bincount(minlength=4)[1:].float().div(wrong_high.sum()).sub(1 / 3).abs().max() < 0.04
    assert (noise(1.0)[1].argmax(1) != told).all()


@pytest.fixture(scope="module")
def rotated():
    return lk.load("rotated_digits", angles=(0, 20, 40))


OPTIONS = dict(
    model=WithDiscriminator(MLP((16,)), environments=2, hidden=(8,)), epochs=2, batch_size=32, validation=0.2,
    progress=False, compile=False, evaluate_every=1,
)  # fmt: skip


def test_alone_and_in_a_fleet_the_numbers_are_equal(rotated):
    method = DomainAdversarial(
        weight=lk.sweep(0.1, 1.0), smoothing=lk.Ramp(0.0, 0.5), environment_noise=lk.sweep(0.0, 0.4)
    )
    small = rotated.subset(300, test=60)
    together = lk.fit(small, methods=method, seeds=3, lanes=64, dtype="float64", **OPTIONS)
    alone = lk.fit(small, methods=method, seeds=[2], lanes=1, dtype="float64", **OPTIONS)
    assert len(together) == 12 and len(alone) == 4
    for a, b in zip(together.where(seed=2), alone):
        assert a.values == b.values
        for name in a.params:
            torch.testing.assert_close(a.params[name], b.params[name], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(a.curves["test/accuracy"], b.curves["test/accuracy"])
    clean, noisy = (together.where(environment_noise=r, weight=1.0, seed=0)[0].params for r in (0.0, 0.4))
    assert not torch.equal(clean["body.1.weight"], noisy["body.1.weight"])


def test_the_opponent_makes_environments_harder_to_tell(rotated):
    method = {"ERM": DomainAdversarial(weight=0.0, smoothing=0.0), "DANN": DomainAdversarial(weight=1.0, smoothing=0.0)}
    runs = lk.fit(rotated, methods=method, seeds=2, **{**OPTIONS, "epochs": 12})
    assert runs.measure("accuracy", split="validation")["value"].min() > 0.7

    def told_apart(run):
        index = run.index["train"]
        model = lk.models.initialised(OPTIONS["model"], rotated)
        features = lk.Runs([run], runs.context).predict(rotated.x[index], features=True)[0]
        guess = discriminate(Net(model, run.params), features).argmax(1)
        return float((guess == rotated.side["environment"][index]).float().mean())

    ours = {name: np.mean([told_apart(run) for run in runs[name]]) for name in method}
    assert ours["ERM"] > ours["DANN"] + 0.1


def test_what_is_missing_is_said(rotated):
    with pytest.raises(ValueError, match=r"needs Data.side\['environment'\]"):
        lk.fit(lk.load("digits").subset(200), methods=DomainAdversarial(), seeds=1, **OPTIONS)
    with pytest.raises(TypeError, match="no discriminator"):
        lk.fit(rotated, methods=DomainAdversarial(), seeds=1, **{**OPTIONS, "model": "mlp"})
    with pytest.raises(ValueError, match="3 outputs, but there are 2 environments"):
        lk.fit(rotated, methods=DomainAdversarial(), seeds=1, **{**OPTIONS, "model": WithDiscriminator(environments=3)})
    with pytest.raises(ValueError, match="share in"):
        lk.fit(rotated, methods=DomainAdversarial(environment_noise=1.5), seeds=1, **OPTIONS)
    with pytest.raises(ValueError, match="at least 2 environments"):
        WithDiscriminator(environments=1).build((4,), None, 3)


def test_the_base_begins_as_it_would_alone(rotated):
    alone, beside = (lk.models.initialised(a, rotated, 3) for a in (MLP((16,)), OPTIONS["model"]))
    for name, p in alone.named_parameters():
        assert torch.equal(p, dict(beside.named_parameters())[name])
