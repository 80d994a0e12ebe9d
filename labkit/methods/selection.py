"""What methods share that pick examples by their loss: ranks, ramps, and a book of who was picked when."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from labkit.evidence import Labels
from labkit.methods.base import Batch, Method, Start


def rising(progress: Tensor, length, start=0.0) -> Tensor:
    """0 up to ``start``, then a straight line to 1 that takes ``length`` (shares of training), then 1."""
    tiny = 1e-9  # so that a length of 0 is a step, not 0 / 0
    return ((progress - start + tiny) / (length + tiny)).clamp(0, 1)


def small_loss(losses: Tensor, forget, among: Tensor | None = None) -> Tensor:
    """Which ``floor((1 - forget) m)`` of the m candidates have the smallest loss, at least one: ``(b,)`` bools.

    A count by rank: losses that are equal are taken in the order of the batch. Nothing is differentiated.

    Args:
        losses: ``(b,)``. forget: share of the candidates to leave out. among: ``(b,)`` bools, the candidates; all.
    """
    among = torch.ones_like(losses, dtype=torch.bool) if among is None else among
    keep = ((1 - forget) * among.sum() + 1e-4).floor().clamp_min(1)  # 1e-4: rounding must not cost an example
    rank = torch.where(among, losses.detach(), math.inf).argsort(stable=True).argsort()
    return (rank < keep) & among


def mean_over(values: Tensor, chosen: Tensor) -> Tensor:
    """The mean of ``values`` ``(b,)`` over the chosen, divided by their number *once*; 0 where there are none."""
    return torch.where(chosen, values, 0).sum() / chosen.sum().clamp_min(1)


@dataclass(kw_only=True)
class Selecting(Method):
    """Base of methods with two networks that pick examples. Kept with the finished run:

    - ``picked`` ``(snapshots, n)``: the share of the two networks that picked a training example when it was last seen
      (0, 1/2 or 1), NaN where it was not seen. Row i is the last epoch that ended in part i of the training, cut into
      ``snapshots`` equal parts; NaN where no epoch did. Examples in the order of ``runs.index("train")``.
    - ``disagreement`` ``(snapshots,)``: share of the training examples for which the two networks answered differently
      when last seen (before the step that uses the example).

    Args:
        snapshots: how many moments of the training the books hold.
    """

    snapshots: int = 20

    accepts: ClassVar = (Labels,)
    networks: ClassVar = 2
    keeps: ClassVar[tuple[str, ...]] = ("picked", "disagreement")

    def setup(self, start: Start):
        unseen = torch.full((len(start.evidence),), math.nan)
        return {
            "picked_now": unseen, "apart_now": unseen, "picked": unseen.expand(self.snapshots, -1).clone(),
            "disagreement": torch.full((self.snapshots,), math.nan),
        }  # fmt: skip

    def note(self, batch: Batch, picked: tuple[Tensor, Tensor], logits: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """State entries that change when these were picked: a pair of ``(b,)`` bools, a pair of ``(b, K)`` logits."""
        first, second = (z.detach().argmax(-1) for z in logits)
        dtype = batch.state["picked_now"].dtype
        lines = {"picked_now": (picked[0].to(dtype) + picked[1]) / 2, "apart_now": (first != second).to(dtype)}
        return {name: batch.state[name].index_put((batch.index,), line) for name, line in lines.items()}

    def end_epoch(self, state, progress):
        part = (progress * self.snapshots - 1e-4).ceil() - 1
        here = torch.arange(self.snapshots, device=progress.device) == part
        unseen = torch.full_like(state["picked_now"], math.nan)
        return {
            "picked": torch.where(here[:, None], state["picked_now"], state["picked"]),
            "disagreement": torch.where(here, state["apart_now"].nanmean(), state["disagreement"]),
            "picked_now": unseen, "apart_now": unseen,
        }  # fmt: skip


def check_share(name: str, value: Any) -> None:
    """A plain number that is a share must lie in [0, 1); sweeps and numbers that change with time are not looked at."""
    if isinstance(value, int | float) and not 0 <= value < 1:
        raise ValueError(f"{name} is a share in [0, 1), got {value}")


__all__ = ["Selecting", "check_share", "mean_over", "rising", "small_loss"]
