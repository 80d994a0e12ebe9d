"""SGD with momentum and AdamW as pure functions of one run, so that a learning rate may differ between runs.

Both give the numbers of ``torch.optim`` (tests compare them in float64). ``clock["rate"]`` is the schedule's factor,
``clock["step"]`` counts from 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from labkit.names import look_up

Tree = dict[str, Tensor]


@dataclass(frozen=True)
class Optimiser:
    """Number-valued fields may be a ``labkit.sweep``; they then appear as ``optimiser.<name>`` in results."""

    def init(self, params: Tree) -> dict[str, Tree]:
        raise NotImplementedError

    def update(self, params: Tree, grads: Tree, state: dict[str, Tree], clock: Tree) -> tuple[Tree, dict[str, Tree]]:
        """New parameters and new state."""
        raise NotImplementedError


@dataclass(frozen=True)
class SGD(Optimiser):
    """Stochastic gradient descent with (heavy-ball or Nesterov) momentum; weight decay is added to the gradient."""

    lr: Any = 0.05
    momentum: Any = 0.9
    weight_decay: Any = 0.0
    nesterov: bool = False

    def init(self, params):
        return {"momentum": {k: torch.zeros_like(p) for k, p in params.items()}}

    def update(self, params, grads, state, clock):
        rate = self.lr * clock["rate"]
        grads = {k: g + self.weight_decay * params[k] for k, g in grads.items()}
        velocity = {k: self.momentum * state["momentum"][k] + g for k, g in grads.items()}
        step = {k: grads[k] + self.momentum * v for k, v in velocity.items()} if self.nesterov else velocity
        return {k: p - rate * step[k] for k, p in params.items()}, {"momentum": velocity}


@dataclass(frozen=True)
class AdamW(Optimiser):
    """Adam with decoupled weight decay (Loshchilov, Hutter, 2019, algorithm 2)."""

    lr: Any = 1e-3
    beta1: Any = 0.9
    beta2: Any = 0.999
    eps: float = 1e-8
    weight_decay: Any = 1e-2

    def init(self, params):
        zeros = lambda: {k: torch.zeros_like(p) for k, p in params.items()}
        return {"first": zeros(), "second": zeros()}

    def update(self, params, grads, state, clock):
        rate, step = self.lr * clock["rate"], clock["step"]
        first = {k: self.beta1 * state["first"][k] + (1 - self.beta1) * g for k, g in grads.items()}
        second = {k: self.beta2 * state["second"][k] + (1 - self.beta2) * g * g for k, g in grads.items()}
        unbias1, unbias2 = 1 - self.beta1**step, 1 - self.beta2**step
        new = {
            k: p * (1 - rate * self.weight_decay)
            - rate / unbias1 * first[k] / ((second[k] / unbias2).sqrt() + self.eps)
            for k, p in params.items()
        }
        return new, {"first": first, "second": second}


def _cosine(t: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * t))


SCHEDULES = {"constant": lambda t: 1.0, "cosine": _cosine}


def schedule(name: str, steps: int) -> Tensor:
    """``(steps,)`` float64 factors on the learning rate: "constant", or "cosine" from 1 to (just above) 0."""
    factor = look_up("schedule", name, SCHEDULES)
    return torch.tensor([factor(i / steps) for i in range(steps)], dtype=torch.float64)
