"""CanDist: an unsure annotator's candidates, believed where the network is sure and dropped where it disagrees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from labkit.evidence import Candidates, one_hot
from labkit.losses import cross_entropy, label_distribution, restricted
from labkit.methods.base import Batch, Method, Start
from labkit.methods.candidates import uniform
from labkit.methods.mixup import Mixup
from labkit.methods.selection import rising

LEFT_OUT, BELIEVED, INSIDE, RELIABLE = range(4)


@dataclass(kw_only=True)
class CanDist(Method):
    """Cross entropy on targets that are refined after every epoch; the truth may be missing from a set.

    Xia, Wang, Li, Yu, Wang and others (2025), "Prompt candidates, then distill: a teacher-student framework for
    LLM-driven data annotation", equations 1 to 5 and appendix A ("distribution refinery"). With p the prediction at
    an example's last visit and q its restriction to the set, ``q_j = p_j / sum_S p``, an example's next target is

    - *inside* (argmax p in S): q;
    - *reliable* (of the inside ones that are predicted to be of one class, the share ``reliable`` with the smallest
      ``-sum q log p``): q sharpened, ``q^(1 / sharpen)`` renormalised;
    - *believed* (argmax p not in S, max p > ``threshold``): the predicted class;
    - *left out* (the other outside ones): none. Losses are divided by all examples, these included.

    At first the target is 1/s; until ``warm`` of training is done it is q. With ``consistency`` > 0 each step adds,
    weighted by ``consistency`` times a ramp from 0 to 1: for inside ones, cross entropy of a second augmentation on
    the same target; for outside ones ``KL(p || p_second)``, p a constant; and mixup of penultimate features, weight ~
    Beta(alpha, alpha), one a batch, targets mixed alike. Our reading where the paper leaves it open: predictions are
    those of the last visit (no extra pass), the direction of the KL, and that all three terms share one ramp. Sets of
    one, ``reliable = 0``, no consistency: cross entropy on the labels that the network does not contradict.

    Kept with the run: ``targets`` ``(n, K)``, zeros where left out, and ``group`` ``(n,)``: 0 left out, 1 believed,
    2 inside, 3 reliable, both as after the last epoch, in the order of ``runs.index("train")``.

    Args:
        reliable: published 0.4, 0.5, 0.6. sharpen: published 0.85; 1 leaves q. threshold: published 0.95, 0.99 or
            1, which believes nothing. warm: share of training; published as short. consistency: 0 is the refinery
            alone, in one pass. ramp: share of training that the ramp takes, from ``warm`` on. alpha: published 4.

    Raises:
        ValueError: numbers out of range.
    """

    reliable: Any = 0.5
    sharpen: Any = 0.85
    threshold: Any = 0.99
    warm: Any = 0.1
    consistency: Any = 1.0
    ramp: Any = 0.4
    alpha: Any = 4.0

    accepts: ClassVar = (Candidates,)
    views: ClassVar = 2
    keeps: ClassVar[tuple[str, ...]] = ("targets", "group")

    def __post_init__(self):
        for name in ("reliable", "threshold", "warm"):
            if isinstance(value := getattr(self, name), int | float) and not 0 <= value <= 1:
                raise ValueError(f"{name} is a share or a probability, in [0, 1]; got {value}")
        if isinstance(self.sharpen, int | float) and not 0 < self.sharpen <= 1:
            raise ValueError(f"sharpen is a temperature above 0 and at most 1, got {self.sharpen}")

    def setup(self, start: Start):
        mask = start.evidence.mask
        return {
            "mask": mask, "targets": uniform(mask, torch.float64), "group": torch.full((len(mask),), INSIDE),
            "seen": torch.where(mask, 0.0, -1e4),  # logits before the first visit: uniform on the set
        }  # fmt: skip

    def draw(self, rng, steps, batch_size):
        return Mixup(self.alpha).draw(rng, steps, batch_size)

    def objective(self, net, batch: Batch):
        features = net.features(batch.x)
        logits = net.head(features)
        target = batch.state["targets"][batch.index].to(logits.dtype)
        loss = cross_entropy(logits, target).mean()
        seen = batch.state["seen"].index_put((batch.index,), logits.detach().to(batch.state["seen"].dtype))
        if not isinstance(self.consistency, Tensor) and self.consistency == 0:
            return loss, {"seen": seen}

        second = logits if batch.views[1] is batch.x else net(batch.views[1])
        fits = batch.state["group"][batch.index] >= INSIDE
        p = logits.detach().softmax(-1)
        again = torch.where(fits, cross_entropy(second, target), label_distribution(second, p))
        blend = lambda held: batch.draws["weight"] * held + (1 - batch.draws["weight"]) * held.roll(1, 0)
        mixed = cross_entropy(net.head(blend(features)), blend(target))
        weight = self.consistency * rising(batch.progress, self.ramp, self.warm)
        return loss + weight * (again + mixed).mean(), {"seen": seen}

    def end_epoch(self, state, progress):
        # before the refinery starts every example counts as one that fits
        begun = progress >= self.warm
        targets, group = refined(state["seen"], state["mask"], self.reliable, self.sharpen, self.threshold)
        return {
            "targets": torch.where(begun, targets, restricted(state["seen"], state["mask"])),
            "group": torch.where(begun, group, INSIDE),
        }


def refined(logits: Tensor, mask: Tensor, reliable=0.5, sharpen=0.85, threshold=0.99) -> tuple[Tensor, Tensor]:
    """One refinement: targets ``(n, K)`` and groups ``(n,)`` from logits and sets ``(n, K)``; see :class:`CanDist`.

    Of the m inside examples of one predicted class the ``floor(reliable m)`` with the smallest loss are reliable; of
    equal losses the earlier example.
    """
    k = logits.shape[-1]
    said, q = one_hot(logits.argmax(-1), k, logits.dtype), restricted(logits, mask)
    inside = (said * mask).sum(-1) > 0
    by_class = said * inside[:, None]

    # ranks within a predicted class: sorted by loss, an example's rank is how many of its class came before it
    order = torch.where(inside, cross_entropy(logits, q), torch.inf).argsort(stable=True)
    before = by_class[order].cumsum(0) - by_class[order]
    rank = torch.zeros_like(before).index_put((order,), before)
    few = (rank < (reliable * by_class.sum(0) + 1e-4).floor()) & (by_class > 0)  # 1e-4: rounding costs no example
    chosen = few.any(-1)

    sure = logits.softmax(-1).amax(-1) > threshold
    group = torch.where(chosen, RELIABLE, torch.where(inside, INSIDE, torch.where(sure, BELIEVED, LEFT_OUT)))
    targets = torch.where(chosen[:, None], restricted(logits / sharpen, mask), q)
    return torch.where(inside[:, None], targets, said * sure[:, None]), group


__all__ = ["BELIEVED", "INSIDE", "LEFT_OUT", "RELIABLE", "CanDist", "refined"]
