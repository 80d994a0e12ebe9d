"""Ask the neighbours: soft targets from like examples in a memory, and labels corrected by prototypes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F

from labkit.evidence import Labels, one_hot
from labkit.losses import cross_entropy
from labkit.methods.base import Batch, Method, Start
from labkit.methods.selection import mean_over


@dataclass
class CollectiveBootstrapping(Method):
    """``(1 - weight) CE(y) + weight CE(b_i)``, ``b_i = sum_j w_ij g_j``: what a memory of like examples says.

    Qin, Chen, Shen, Fu, Gu and others (2023), CAPro, reduced: without text, without contrastive learning and without a
    second, slowly moving encoder. The memory holds the features of the last ``queue`` examples, this batch included.
    ``w_ij`` is the cosine of features i and j clipped to [0, 1] (plus 1e-7), divided by its sum: no softmax and no
    temperature. ``g_j = share softmax(head(f_j)) + (1 - share) softmax(<f_j, prototypes> / temperature)``, constants.
    A prototype moves by ``1 - momentum`` towards each normalised feature that is labelled with its class.

    Ours: features are centred (less the memory's mean) before they are normalised. After a ReLU all features point the
    same way, every cosine is near 1 and b is the mean answer; the paper's contrastive projector sees to that instead.

    Args:
        weight: beta, published 0.1; 0 is cross entropy. share: alpha, published 0.5. temperature: published 0.1.
        momentum: published 0.999. queue: published 8192. width: of the network's penultimate layer.
        neighbours: False asks only oneself, ``b_i = g_i``: self-bootstrapping (Reed et al., 2015, where share = 1).
        correct: after the warm-up, an example whose largest ``g_i`` reaches ``threshold`` (published 0.6) takes that
            class; else it keeps its label y if ``g_iy >= 1 / K``; else it is left out. Kept with the run: ``fate`` of
            every training example when last seen: 0 kept, 1 took another class, 2 left out.
        warm: share of training with cross entropy alone.
    """

    weight: Any = 0.1
    share: Any = 0.5
    temperature: Any = 0.1
    momentum: Any = 0.999
    queue: int = 512
    width: int = 128
    neighbours: bool = True
    correct: bool = False
    threshold: Any = 0.6
    warm: Any = 0.2

    accepts: ClassVar = (Labels,)
    keeps: ClassVar[tuple[str, ...]] = ("fate",)

    def __post_init__(self):
        if self.queue < 1 or self.width < 1:
            raise ValueError(f"queue and width count from 1, got {self.queue} and {self.width}")

    def setup(self, start: Start):
        zeros = lambda *shape: torch.zeros(shape, device=start.x.device)
        return {
            "keys": zeros(self.queue, self.width), "filled": zeros(self.queue, 1),
            "prototypes": zeros(start.n_classes, self.width),
            "fate": torch.zeros(len(start.evidence), dtype=torch.int64, device=start.x.device),
        }  # fmt: skip

    def objective(self, net, batch: Batch):
        state, labels = batch.state, batch.evidence.labels
        features = net.features(batch.x)
        logits, held = net.head(features), features.detach()
        keys = torch.cat([held, state["keys"]])[: self.queue]  # the newest first, so the batch itself is in it
        filled = torch.cat([torch.ones_like(held[:, :1]), state["filled"]])[: self.queue]
        middle = (keys * filled).sum(0) / filled.sum()
        direction = lambda f: F.normalize(f - middle, dim=-1)
        guess = lambda f: (
            self.share * net.head(f).detach().softmax(-1)
            + (1 - self.share) * (direction(f) @ state["prototypes"].mT / self.temperature).softmax(-1)
        )

        mine = guess(held)
        label, fate = self._corrected(mine, labels, batch.progress)
        asked = mine
        if self.neighbours:
            likeness = ((direction(held) @ direction(keys).mT).clamp(0, 1) + 1e-7) * filled[:, 0]
            asked = (likeness / likeness.sum(-1, keepdim=True)) @ guess(keys)
        weight = self.weight * (batch.progress >= self.warm).to(logits.dtype)
        losses = (1 - weight) * cross_entropy(logits, label) + weight * cross_entropy(logits, asked)

        # all of a class's features of this batch at once: momentum^count of the old prototype is left
        member = one_hot(label, logits.shape[-1], held.dtype) * (fate < 2)[:, None]
        count = member.sum(0)[:, None]
        left, towards = self.momentum**count, (member.mT @ direction(held)) / count.clamp_min(1)
        changed = {
            "keys": keys, "filled": filled, "fate": state["fate"].index_put((batch.index,), fate),
            "prototypes": F.normalize(left * state["prototypes"] + (1 - left) * towards, dim=-1),
        }  # fmt: skip
        return mean_over(losses, fate < 2), changed

    def _corrected(self, guess, labels, progress):
        """Labels after correction, and what happened: 0 kept, 1 changed, 2 left out."""
        if not self.correct:
            return labels, torch.zeros_like(labels)
        own = guess.gather(-1, labels[:, None])[:, 0]
        sure, best = guess.amax(-1) >= self.threshold, guess.argmax(-1)
        begun = progress >= self.warm
        label = torch.where(begun & sure, best, labels)
        lost = begun & ~sure & (own < 1 / guess.shape[-1])
        return label, torch.where(lost, 2, (label != labels).to(labels.dtype))
