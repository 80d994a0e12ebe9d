"""Attacks: inside the ball, optimal where the optimum is known, and the same for runs together and alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.func import vmap

import labkit as lk
from labkit.attacks import accuracy_on, attacked, inputs_of, margin, pgd, pixel_range, robust_accuracy
from labkit.losses import cross_entropy

QUICK = dict(epochs=2, seeds=3, progress=False, compile=False)


def points(n=20, d=6, k=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=g, dtype=torch.float64)
    return x, torch.randint(0, k, (n,), generator=g), torch.randn(d, k, generator=g, dtype=torch.float64)


def curved(x):
    w = torch.sin(torch.arange(36.0, dtype=x.dtype)).reshape(6, 6)
    return torch.tanh(3 * x @ w)[..., :3]


@pytest.mark.parametrize("started", [False, True])
def test_the_path_stays_in_the_ball_and_in_the_range(started):
    x, y, _ = points()
    x = x.clamp(-1, 1)
    start = x + 5.0 if started else None  # far outside: moved into the ball
    path = pgd(curved, x, y, eps=0.3, steps=7, start=start, low=-1.0, high=1.0)
    assert path.shape == (8, *x.shape) and not path.requires_grad
    assert ((path - x).abs() <= 0.3 + 1e-12).all() and (path.abs() <= 1).all()
    assert torch.equal(path[0], (x + 0.3).clamp(max=1.0) if started else x)
    moved = (path[1:] - path[:-1]).abs()
    assert (moved <= 2.5 * 0.3 / 7 + 1e-12).all() and moved[-1].max() > 0


def test_two_classes_and_a_linear_network_the_optimum_is_in_closed_form():
    x, y, w = points(k=2)
    net = lambda v: v @ w[:, :2]
    away = w[:, 1] - w[:, 0]
    best = x + 0.2 * torch.where(y[:, None] == 0, away.sign(), -away.sign())
    for loss in (cross_entropy, margin):
        target = torch.nn.functional.one_hot(y, 2).double()
        end = pgd(net, x, target, eps=0.2, steps=3, loss=loss)[-1]
        torch.testing.assert_close(end, best)


def test_the_gradient_that_is_followed_is_that_of_the_loss():
    x, y, _ = points()
    inner = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(cross_entropy(curved(inner), y).sum(), inner)
    path = pgd(curved, x, y, eps=1.0, steps=1, step_size=0.01)
    torch.testing.assert_close(path[1], x + 0.01 * slope.sign())


def test_the_loss_at_the_end_is_not_lower_than_at_the_start():
    x, y, _ = points(200)
    path = pgd(curved, x, y, eps=0.1, steps=20)
    first, last = (cross_entropy(curved(p), y) for p in (path[0], path[-1]))
    assert (last >= first - 1e-9).double().mean() > 0.97 and last.mean() > first.mean() + 0.1


def test_no_gradient_comes_back_through_the_path():
    x, y, w = points()
    w.requires_grad_()
    path = pgd(lambda v: v @ w, x, y, eps=0.1, steps=3)
    assert not path.requires_grad
    (slope,) = torch.autograd.grad(cross_entropy(path[-1] @ w, y).mean(), w)
    p = (path[-1] @ w).softmax(-1) - torch.nn.functional.one_hot(y, 3)
    torch.testing.assert_close(slope, path[-1].T @ p / len(x))


def test_it_stacks():
    x, y, _ = points()
    radii = torch.tensor([0.1, 0.5], dtype=torch.float64)
    both = vmap(lambda eps: pgd(curved, x, y, eps, steps=4))(radii)
    for one, eps in zip(both, radii):
        torch.testing.assert_close(one, pgd(curved, x, y, eps, steps=4))


def test_margin_is_positive_where_the_prediction_is_wrong():
    logits = torch.tensor([[2.0, 1.0, -1.0], [0.0, 3.0, 1.0], [1e4, -1e4, 0.0]])
    target = torch.nn.functional.one_hot(torch.tensor([0, 2, 1]), 3).float()
    assert margin(logits, target).tolist() == [-1.0, 2.0, 2e4]


@pytest.fixture(scope="module")
def runs():
    return lk.fit(lk.load("digits").subset(400), methods=lk.methods.CrossEntropy(), batch_size=32, **QUICK)


def test_runs_together_are_attacked_as_alone_and_more_is_worse(runs):
    x, y = inputs_of(runs)
    assert x.shape == (3, 80, 64)
    np.testing.assert_allclose(robust_accuracy(runs, x, y, 0.0), runs.measure("accuracy")["value"], atol=1e-6)
    weak, strong = robust_accuracy(runs, x, y, 0.2, steps=5), robust_accuracy(runs, x, y, 0.6, steps=5)
    assert (strong < weak).all() and (weak < accuracy_on(runs, x, y)).all()
    alone = robust_accuracy(runs[1:2], x[1:2], y[1:2], 0.2, steps=5)
    np.testing.assert_allclose(alone, weak[1:2], atol=0.02)
    more = robust_accuracy(runs, x, y, 0.2, steps=5, restarts=4)
    one = robust_accuracy(runs, x, y, 0.2, steps=5, losses=(cross_entropy,))
    assert (more <= weak).all() and (weak <= one).all()


def test_attacked_points_are_images_in_the_ball_that_fool(runs):
    x, y = inputs_of(runs, at_most=50)
    low, high = pixel_range(runs.context.data)
    found = attacked(runs, x, y, 0.3, steps=5)
    assert x.shape == (3, 50, 64) and ((found - x).abs() <= 0.3 + 1e-5).all()
    assert (low, high) == pytest.approx((-0.3053 / 0.3760, 0.6947 / 0.3760))
    assert found.min() >= low - 1e-5 and found.max() <= high + 1e-5
    np.testing.assert_allclose(accuracy_on(runs, found, y), robust_accuracy(runs, x, y, 0.3, steps=5))
    train, _ = inputs_of(runs, "train", 10)
    assert torch.equal(train[2], runs.context.data.x[runs[2].index["train"][:10]])


def test_wrong_questions_are_refused(runs):
    x, y = inputs_of(runs)
    with pytest.raises(ValueError, match="eps is the radius"):
        robust_accuracy(runs, x, y, -0.1)
    with pytest.raises(ValueError, match="at least one start and one loss"):
        attacked(runs, x, y, 0.1, restarts=0)
    with pytest.raises(ValueError, match="at least one step"):
        pgd(curved, x[0], y[0], 0.1, steps=0)
    assert pixel_range(lk.load("gaussians", n=50)) == (-np.inf, np.inf)
