"""A method for bags under observation: what it predicted for every member, at a few moments of training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch

from labkit.evidence import Bags
from labkit.methods.base import Batch, Method, Start
from labkit.methods.proportions import ProportionLoss


@dataclass(kw_only=True)
class WatchedBags(Method):
    """Trains as ``method`` does, and writes down the members' log probabilities and guessed labels.

    Training is cut into ``pages`` equal parts; kept of each is what a bag's last visit in it found, *before* that step.
    Every way of filling in hidden labels (``labkit.counts.count_posterior``, ``labkit.transport``) can be computed from
    that afterwards. Kept with the finished run, bags in the order of the evidence:

    - ``log_p``: ``(pages, bags, S, K)``, NaN where a part did not show a bag;
    - ``guessed``: ``(pages, bags, S)`` the labels that the method trained on, -1 where it has none of its own.

    Args:
        method: one whose objective calls the network once. Its numbers are fixed ones: not swept, not changing.
        pages: how many moments.

    Raises:
        ValueError: fewer than one page.
    """

    method: Method = field(default_factory=ProportionLoss)
    pages: int = 6

    accepts: ClassVar = (Bags,)
    keeps: ClassVar[tuple[str, ...]] = ("log_p", "guessed")

    def __post_init__(self):
        if isinstance(self.pages, bool) or not isinstance(self.pages, int) or self.pages < 1:
            raise ValueError(f"pages is a whole number from 1, got {self.pages!r}")

    def setup(self, start: Start):
        shape = (self.pages, *start.evidence.present.shape)
        nothing = torch.full((*shape, start.n_classes), torch.nan)
        return {
            **{f"own.{k}": v for k, v in self.method.setup(start).items()},
            "log_p": nothing, "guessed": torch.full(shape, -1),
        }  # fmt: skip

    def draw(self, rng, steps, batch_size):
        return self.method.draw(rng, steps, batch_size)

    def own(self, state):
        return {k.removeprefix("own."): v for k, v in state.items() if k.startswith("own.")}

    def objective(self, net, batch: Batch):
        heard = []

        def listening(x):
            heard.append(net(x))
            return heard[-1]

        own = self.own(batch.state)
        inner = Batch(batch.x, batch.evidence, batch.index, batch.progress, own, batch.draws, batch.side, batch.views)
        loss, changed = self.method.objective(listening, inner)
        page = (batch.progress * self.pages).floor().long().clamp(max=self.pages - 1)
        where = (page.expand(batch.index.shape), batch.index)
        log_p = batch.evidence.grouped(heard[0].detach().log_softmax(-1))
        wrote = {"log_p": batch.state["log_p"].index_put(where, log_p)}
        if "labels" in own:
            wrote["guessed"] = batch.state["guessed"].index_put(where, own["labels"][batch.index])
        return loss, {**{f"own.{k}": v for k, v in changed.items()}, **wrote}

    def end_epoch(self, state, progress):
        return {f"own.{k}": v for k, v in self.method.end_epoch(self.own(state), progress).items()}


__all__ = ["WatchedBags"]
