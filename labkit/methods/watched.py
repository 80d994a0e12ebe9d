"""Cross entropy under observation: what every training example looked like, epoch by epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from labkit.evidence import Labels, one_hot
from labkit.losses import cross_entropy
from labkit.methods.base import Batch, Method, Start


@dataclass
class Watched(Method):
    """Cross entropy on the given labels; writes down the loss and the logit margin of each example in each epoch.

    The margin is the given label's logit less the largest other one, ``z_y - max_{k != y} z_k``: positive where the
    network says what it was told. Its mean over epochs is the area under the margin (Pleiss, Zhang, Elenberg,
    Weinberger, 2020, "Identifying mislabeled data using the area under the margin ranking", section 3.1). Numbers are
    those of the training step itself, so they cost nothing and are taken *before* the step that uses the example.

    Kept with the finished run, each ``(epochs, n)``; training examples in the order of ``runs.index("train")``:

    - ``losses``: cross entropy against the given label, nats; ``margins``: in logits. NaN where an epoch did not show
      an example (what does not fill a last batch is left out) or did not happen: average with ``nanmean``;
    - ``said``: the predicted class (int16), -1 in those places.

    Args:
        epochs: how many epochs to write down; give what ``fit`` is given. Later epochs are trained, not recorded.

    Raises:
        ValueError: fewer than one epoch.
    """

    epochs: int = 30

    accepts: ClassVar = (Labels,)
    keeps: ClassVar[tuple[str, ...]] = ("losses", "margins", "said")

    def __post_init__(self):
        if isinstance(self.epochs, bool) or not isinstance(self.epochs, int) or self.epochs < 1:
            raise ValueError(f"epochs is the number of epochs to write down, from 1; got {self.epochs!r}")

    def setup(self, start: Start):
        n = len(start.evidence)
        nothing, nobody = torch.full((n,), math.nan), torch.full((n,), -1, dtype=torch.int16)
        page = lambda line: line.expand(self.epochs, n).clone()
        return {
            "losses": page(nothing), "margins": page(nothing), "said": page(nobody), "epoch": torch.zeros(()).long(),
            "losses_now": nothing, "margins_now": nothing, "said_now": nobody,
        }  # fmt: skip

    def objective(self, net, batch: Batch):
        logits, labels = net(batch.x), batch.evidence.labels
        loss, seen = cross_entropy(logits, labels), logits.detach()
        write = lambda name, values: batch.state[name].index_put((batch.index,), values)
        changed = {
            "losses_now": write("losses_now", loss.detach()),
            "margins_now": write("margins_now", logit_margin(seen, labels)),
            "said_now": write("said_now", seen.argmax(-1).to(torch.int16)),
        }
        return loss.mean(), changed

    def end_epoch(self, state, progress):
        """The lines of this epoch go to their places in the books; new lines begin empty."""
        here = (torch.arange(self.epochs, device=state["epoch"].device) == state["epoch"])[:, None]
        changed = {"epoch": state["epoch"] + 1}
        for name in self.keeps:
            now = state[f"{name}_now"]
            changed[name] = torch.where(here, now, state[name])
            changed[f"{name}_now"] = torch.full_like(now, math.nan if now.is_floating_point() else -1)
        return changed


def logit_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """``z_y - max_{k != y} z_k``: logits ``(n, K)``, labels ``(n,)`` -> ``(n,)``."""
    own = one_hot(labels, logits.shape[-1], logits.dtype)
    rival = torch.where(own > 0, -math.inf, logits).max(-1).values
    return (own * logits).sum(-1) - rival


__all__ = ["Watched", "logit_margin"]
