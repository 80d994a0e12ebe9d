"""POP: candidates that the network has stopped believing in leave their sets, whatever the loss on the sets is."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from labkit.evidence import Candidates
from labkit.losses import restricted
from labkit.methods.base import Batch, Method, Start, hyperparameters
from labkit.methods.candidates import PRODEN, uniform


@dataclass(kw_only=True)
class POP(Method):
    """Trains as ``method`` does, on sets S that shrink: ``j`` leaves S where ``A_j < theta max_S A``.

    Xu, Liu, Lv, Qiao, Geng (2023), "Progressive purification for instance-dependent partial label learning". A
    ``(n, K)`` is the mean over the last ``ring`` epochs of the predictions, renormalised on S, of each example's last
    visit (before the step). Every ``every`` epochs, once ``warm`` of training is over, sets are purified; where that
    takes out fewer than ``few n K`` candidates, theta grows by ``growth``, until it reaches ``most``. The most probable
    candidate never leaves, so no set is empty; theta = 0 is ``method`` alone.

    This is the rule of the authors' code. Their paper instead takes out j where ``p_max - p_j >= e``, with an e that
    begins large and is lowered when nothing leaves: another scale, the same direction. By their numbers theta can grow
    to 1.1 times itself in 500 epochs, and takes out next to nothing in a few dozen: short runs need another. Their code
    wraps PRODEN alone, as the mean over three views; that other losses gain too is the paper's claim. A public
    benchmark's version forgets on a GPU what it took out.

    A memory of ``method`` that is called ``targets`` ``(n, K)`` takes A, renormalised on the new S, where a set has
    shrunk. Kept with the run: ``purified`` ``(n, K)`` booleans, the sets at the end, in the order of
    ``runs.index("train")``; and what ``method`` keeps, as ``own.<name>``.

    Args:
        method: takes candidate sets and asks the network about ``batch.x`` first. Its numbers are fixed ones: not
            swept, not changing.
        threshold: theta at first, published 1e-3; every other default is published too (500 epochs, warm-up of 20).

    Raises:
        TypeError: a method that does not learn from candidate sets. ValueError: numbers out of range, or numbers of
        ``method`` that are swept, change, or are an ``ema``.
    """

    method: Method = field(default_factory=PRODEN)
    threshold: Any = 1e-3
    growth: Any = 1e-3
    most: Any = 0.4
    few: Any = 1e-4
    warm: Any = 0.04
    every: int = 5
    ring: int = 5

    accepts: ClassVar = (Candidates,)
    keeps: ClassVar[tuple[str, ...]] = ("purified",)

    def __post_init__(self):
        name = type(self.method).__name__
        if not any(issubclass(Candidates, form) for form in self.method.accepts):
            takes = " or ".join(form.__name__ for form in self.method.accepts)
            raise TypeError(f"POP purifies candidate sets, and {name} learns from {takes}")
        for key, value in hyperparameters(self.method).items():
            if is_dataclass(value) or (key == "ema" and value != 0):  # a sweep, or a number that changes with time
                raise ValueError(f"{key} of {name} is {value!r}; inside POP numbers are fixed, and ema is POP's own")
        for key in ("every", "ring"):
            if not (isinstance(getattr(self, key), int) and getattr(self, key) >= 1):
                raise ValueError(f"{key} counts epochs from 1, got {getattr(self, key)!r}")
        for key in ("threshold", "most"):
            if isinstance(getattr(self, key), int | float) and not 0 <= getattr(self, key) <= 1:
                raise ValueError(f"{key} is a share of the largest probability, in [0, 1]; got {getattr(self, key)}")
        self.views, self.networks = self.method.views, self.method.networks
        self.keeps = (*type(self).keeps, *(f"own.{name}" for name in self.method.keeps))

    def setup(self, start: Start):
        mask = start.evidence.mask
        return {
            **{f"own.{k}": v for k, v in self.method.setup(start).items()},
            "purified": mask, "now": uniform(mask, torch.float64), "ring": torch.zeros(self.ring, *mask.shape),
            "epoch": torch.zeros(()).long(), "raised": torch.zeros(()),
        }  # fmt: skip

    def draw(self, rng, steps, batch_size):
        return self.method.draw(rng, steps, batch_size)

    def predict(self, net, x):
        method = copy.copy(self.method)
        method.kept = self.own(self.kept)
        return method.predict(net, x)

    def own(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {k.removeprefix("own."): v for k, v in state.items() if k.startswith("own.")}

    def objective(self, net, batch: Batch):
        purified = batch.state["purified"][batch.index]
        ears = tuple(map(Listening, net)) if self.networks > 1 else (Listening(net),)
        inner = replace(batch, evidence=shrunk(batch.evidence, purified), state=self.own(batch.state))
        loss, changed = self.method.objective(ears if self.networks > 1 else ears[0], inner)
        now = restricted(ears[0].heard[: len(purified)].detach(), purified)
        wrote = batch.state["now"].index_put((batch.index,), now.to(batch.state["now"].dtype))
        return loss, {**{f"own.{k}": v for k, v in changed.items()}, "now": wrote}

    def end_epoch(self, state, progress):
        changed = {f"own.{k}": v for k, v in self.method.end_epoch(self.own(state), progress).items()}
        purified, epoch = state["purified"], state["epoch"] + 1
        ring = torch.cat([state["now"][None], state["ring"]])[: self.ring]  # the newest first; unfilled lines are 0
        mean = torch.where(purified, ring.sum(0), 0)  # times a number that cancels: only ratios count

        theta = self.threshold * (1 + self.growth) ** state["raised"]
        due = (epoch % self.every == 0) & (progress >= self.warm)
        gone = due & purified & (mean < theta.clamp_max(1) * mean.amax(-1, keepdim=True))
        left = purified & ~gone
        quiet = due & (gone.sum() < self.few * gone.numel()) & (theta < self.most)

        held = changed.get("own.targets", state.get("own.targets"))
        if held is not None and held.shape == mean.shape:
            fresh = torch.where(left, mean, 0)
            fresh = fresh / fresh.sum(-1, keepdim=True)
            changed["own.targets"] = torch.where(gone.any(-1, keepdim=True), fresh, held)
        return {**changed, "purified": left, "ring": ring, "epoch": epoch, "raised": state["raised"] + quiet}


def shrunk(evidence: Candidates, purified: Tensor) -> Candidates:
    """The evidence without the candidates that were taken out; what was known of P(set | class) stays otherwise."""
    weights = None
    if evidence.weights is not None or getattr(evidence, "transition", None) is not None:
        weights = torch.where(evidence.mask & ~purified, 0, evidence.likelihood())
    return Candidates.view(evidence.n_classes, {"mask": purified, "weights": weights})


class Listening:
    """A network that remembers its first answer."""

    def __init__(self, net):
        self.net, self.heard = net, None

    def __call__(self, x: Tensor) -> Tensor:
        return self.note(self.net(x))

    def head(self, features: Tensor) -> Tensor:
        return self.note(self.net.head(features))

    def note(self, logits: Tensor) -> Tensor:
        self.heard = logits if self.heard is None else self.heard
        return logits

    def __getattr__(self, name):
        return getattr(self.net, name)


__all__ = ["POP", "Listening", "shrunk"]
