"""Adversarial examples inside an L-infinity ball, and how often a network is right in spite of them.

Inputs are in the data's own, standardised units: for a data set with ``pixel_std`` s, a ball of radius ``eps`` here is
one of radius ``eps * s`` in pixels from 0 to 1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.func import grad, vmap

from labkit.losses import cross_entropy
from labkit.streams import generator


def margin(logits: Tensor, target: Tensor) -> Tensor:
    """``max_{k != y} z_k - z_y`` ``(n,)``: above 0 where the prediction is wrong. It does not flatten where the network
    is sure, or was taught not to be (Carlini, Wagner, 2017, "Towards evaluating the robustness of neural networks").

    ``target`` is ``(n, K)``; its largest entry names the class y.
    """
    own = target == target.max(-1, keepdim=True).values
    return logits.masked_fill(own, -torch.inf).max(-1).values - (logits * own).sum(-1)


LOSSES = (cross_entropy, margin)


def pgd(
    net: Callable[[Tensor], Tensor],
    x: Tensor,
    target: Tensor,
    eps,
    steps: int = 10,
    step_size=None,
    start: Tensor | None = None,
    loss: Callable = cross_entropy,
    low: float = -math.inf,
    high: float = math.inf,
) -> Tensor:
    """Projected gradient ascent on the loss: the whole path, ``(steps + 1, n, ...)``, from ``start`` to the end point.

    ``x_{j+1} = clip(x_j + step_size * sign(grad loss), x - eps, x + eps)``. Madry, Makelov, Schmidt, Tsipras, Vladu
    (2018), "Towards deep learning models resistant to adversarial attacks", section 2.1.

    Args:
        net: inputs to logits. x: ``(n, ...)``. target: ``(n, K)`` weights, or ``(n,)`` class indices for cross entropy.
        eps: radius, a number or 0-d tensor, from 0. step_size: 2.5 eps / steps unless given.
        start: where the path begins, ``(n, ...)``; x unless given. It is moved into the ball.
        loss: ``(logits, target) -> (n,)``, made as large as possible. low, high: what an input may be at all.

    Returns:
        Detached points; every one lies in the ball and between low and high (if x does).
    """
    if steps < 1:
        raise ValueError(f"an attack takes at least one step, got steps={steps}")
    step_size = 2.5 * eps / steps if step_size is None else step_size
    into = lambda point: torch.clamp(torch.maximum(torch.minimum(point, x + eps), x - eps), low, high)
    uphill = grad(lambda point: loss(net(point), target).sum())
    path = [into(x if start is None else start)]
    for _ in range(steps):
        path.append(into(path[-1] + step_size * uphill(path[-1]).sign()).detach())
    return torch.stack(path)


def pixel_range(data) -> tuple[float, float]:
    """The standardised values of a black and a white pixel, for ``low`` and ``high``; one channel or equal ones."""
    if data.image_shape is None:
        return -math.inf, math.inf
    bounds = [(edge - m) / s for edge in (0.0, 1.0) for m, s in zip(data.pixel_mean, data.pixel_std)]
    return min(bounds), max(bounds)


def over_runs(runs, work: Callable, *tensors: Tensor) -> Tensor:
    """``work(net, *tensors of one run)`` for every run at once. ``tensors`` are ``(runs, ...)``.

    Runs must share one architecture and have one network each.
    """
    from labkit.fleet.step import nets  # here, because methods attack too, and the fleet knows the methods
    from labkit.models import initialised

    context = runs.context
    if any(context.methods[name].networks != 1 for name in {run.method for run in runs}):
        raise ValueError("attacks are made on runs with one network each")
    module = initialised(context.architecture, context.data).to(context.dtype)
    one = lambda params, *own: work(nets(module, params, 1), *own)
    return vmap(one)(runs.weights(), *tensors)


def attacked(runs, x: Tensor, y: Tensor, eps: float, steps: int = 20, restarts: int = 2, losses=LOSSES) -> Tensor:
    """The strongest points found against each run, ``(runs, n, ...)``: the end point with the largest :func:`margin`
    of ``restarts`` attacks on each of ``losses`` from random starts, or x itself where that already is wrong.

    Args:
        x: ``(runs, n, ...)``. y: ``(runs, n)`` class indices. eps, steps: as in :func:`pgd`. losses: cross entropy and
            margin unless given; networks with smoothed labels look stronger than they are to one of them alone.
    """
    if not eps >= 0:
        raise ValueError(f"eps is the radius of a ball, 0 or more, got {eps}")
    if restarts < 1 or not losses:
        raise ValueError(f"an attack needs at least one start and one loss, got restarts={restarts}, losses={losses}")
    low, high = pixel_range(runs.context.data)
    target = torch.nn.functional.one_hot(y, runs.context.data.n_classes).to(x.dtype)
    noise = generator(0, "augmentation").uniform(-1, 1, (restarts, *x.shape[1:]))  # the same for all runs
    noise = torch.from_numpy(noise).to(x)

    def work(net, own, wanted):
        best, worst = own, margin(net(own), wanted)
        for loss, away in itertools.product(losses, noise):
            end = pgd(net, own, wanted, eps, steps, start=own + eps * away, loss=loss, low=low, high=high)[-1]
            found = margin(net(end), wanted)
            better = (found > worst) & (worst <= 0)
            best = torch.where(better.view(-1, *[1] * (own.ndim - 1)), end, best)
            worst = torch.where(better, found, worst)
        return best

    return over_runs(runs, work, x, target).detach()


def accuracy_on(runs, x: Tensor, y: Tensor) -> np.ndarray:
    """Accuracy of each run on its own inputs: ``(runs, n, ...)`` and ``(runs, n)`` to ``(runs,)``."""
    right = over_runs(runs, lambda net, own, label: (net(own).argmax(-1) == label).double().mean(), x, y)
    return right.detach().cpu().numpy()


def robust_accuracy(runs, x: Tensor, y: Tensor, eps: float, steps: int = 20, restarts: int = 2, losses=LOSSES):
    """Share of examples on which no attack of :func:`attacked` succeeds, ``(runs,)``; ``eps = 0`` is plain accuracy."""
    return accuracy_on(runs, attacked(runs, x, y, eps, steps, restarts, losses), y)


def inputs_of(runs, split: str = "test", at_most: int | None = None) -> tuple[Tensor, Tensor]:
    """Each run's own "train", "validation" or "test" examples: x ``(runs, n, ...)`` and clean y ``(runs, n)``.

    ``at_most`` keeps the first examples of it (the order is random).
    """
    index = torch.stack([run.index[split][:at_most] for run in runs])
    data = runs.context.data
    return data.x[index].to(runs.context.dtype), data.y[index]


__all__ = [
    "accuracy_on", "attacked", "inputs_of", "margin", "over_runs", "pgd", "pixel_range", "robust_accuracy",
]  # fmt: skip
