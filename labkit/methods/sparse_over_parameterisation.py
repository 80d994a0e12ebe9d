"""Sparse over-parameterisation: each example has variables of its own that can take up what is wrong with its label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from labkit.evidence import Labels, one_hot
from labkit.methods.base import Batch, Method, Start


@dataclass
class SparseOverParameterisation(Method):
    """Cross entropy of ``p + U - V`` instead of p, with ``U = u^2 Y`` and ``V = v^2 (1 - Y)`` learned per example.

    Liu, Zhu, Qu, You (2022), "Robust training under label noise by over-parameterization", ICML, equations 3 to 6.
    u says how much the given class is missing from p, v how much of another class is there in truth. With q the
    normalised ``p + U - V``, the network minimises ``-log q_y``; u that and
    ``|onehot(argmax z) + U - V - Y|^2``, v the square alone. Both begin at about 1e-8 and take plain gradient steps:
    the squares make them grow by a factor, so they stay asleep where prediction and label agree, and reach order 1
    after ``ln(1e8) / ln(1 + 4 rate)`` visits where they keep disagreeing: 68 at rate 10/128, 13 at 100/128.

    Args:
        rate_u, rate_v: step per visit: a learning rate divided by the batch size, which is what counts. Published for
            CIFAR-10 10/128 and 10/128 (symmetric noise) or 100/128 (asymmetric), in 120 epochs; fewer epochs need
            more. Above about 0.9 an update can overshoot 1, where U and V are clipped and stop learning.

    State: ``u`` ``(n,)``, ``v`` ``(n, K)``, both kept with the run.
    """

    rate_u: Any = 10 / 128
    rate_v: Any = 10 / 128

    accepts: ClassVar = (Labels,)
    keeps: ClassVar = ("u", "v")

    def setup(self, start: Start):
        n = len(start.evidence)
        draw = lambda *shape: torch.from_numpy(1e-8 * start.rng.standard_normal(shape))
        return {"u": draw(n), "v": draw(n, start.n_classes)}

    def objective(self, net, batch: Batch):
        logits, index = net(batch.x), batch.index
        given = one_hot(batch.evidence.labels, batch.evidence.n_classes, logits.dtype)
        u, v = batch.state["u"][index], batch.state["v"][index]
        said, p = one_hot(logits.argmax(-1), logits.shape[-1], logits.dtype), logits.softmax(-1)

        def of_variables(u, v):
            return (fit(p.detach(), u, v.detach(), given) + square(said, u, v, given)).sum()

        grad_u, grad_v = torch.func.grad(of_variables, argnums=(0, 1))(u, v)
        changed = {
            "u": batch.state["u"].index_put((index,), u - self.rate_u * grad_u.detach()),
            "v": batch.state["v"].index_put((index,), v - self.rate_v * grad_v.detach()),
        }
        return fit(p, u, v, given).mean(), changed


def parts(u: Tensor, v: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
    """U and V, ``(b, K)`` each, from ``u`` ``(b,)`` and ``v`` ``(b, K)``; values in [0, 1]."""
    return (u.square()[:, None] * given).clamp(0, 1), (v.square() * (1 - given)).clamp(0, 1)


def fit(p: Tensor, u: Tensor, v: Tensor, given: Tensor, floor: float = 1e-4) -> Tensor:
    """``-log q_y`` ``(b,)``, q the normalised ``p + U - V`` with entries of at least ``floor`` (the authors' 1e-4)."""
    up, down = parts(u, v, given)
    q = (p + up - down).clamp_min(floor)
    q = (q / q.sum(-1, keepdim=True)).clamp(floor, 1)
    return -(given * q.log()).sum(-1)


def square(said: Tensor, u: Tensor, v: Tensor, given: Tensor) -> Tensor:
    """``|said + U - V - given|^2`` ``(b,)``; ``said`` is the one-hot prediction."""
    up, down = parts(u, v, given)
    return (said + up - down - given).square().sum(-1)
