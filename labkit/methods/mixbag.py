"""MixBag: new bags from parts of two, with proportions that are known only within an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from labkit.evidence import Bags
from labkit.losses.mixbag import INTERVALS, TERMS, half_width, interval_loss, mixed_proportions
from labkit.losses.proportions import log_mean_prediction
from labkit.methods.base import Batch
from labkit.methods.llp_vat import LLPVAT
from labkit.methods.proportions import nearest_counts

ORDERS = 512  # random orders of a bag's members per run; every bag of a step takes two of them


@dataclass(kw_only=True)
class MixBag(LLPVAT):
    """Half of the bags of a step become n_i of their members and n_j of another bag's; the loss is flat in an interval.

    Asanomi, Matsuo, Suehiro, Bise (2023), "MixBag: Bag-level data augmentation for learning from label proportions".
    Which members of which class were drawn is not known, so the target is the expected ``a alpha_i + b alpha_j``, and a
    class within :func:`labkit.losses.half_width` of it is left alone. The partner is another bag of the batch (there:
    any bag, now and then itself), n_i uniform over ``1 .. k_i - 1``, n_j = k_i - n_i (fewer where bag j is smaller). A
    bag of one is never replaced. Settings of one method:

    - ``share=0``: no mixing, :class:`ProportionLoss` to the last digit;
    - ``z=0``: mixing, the expected proportions taken at their word (point target);
    - the defaults: mixing with the published interval loss;
    - ``consistency="vat"`` or ``"pi"``: any of these on top of :class:`LLPVAT`, whose fields it has.

    Args:
        share: of the bags that are replaced. z: half-width in standard deviations; published 2.5758.
        interval: "binomial" (published), "finite" or "exact": see :func:`labkit.losses.half_width`.
        term: "cross_entropy" (published), "divergence", "squared", "l1": see :func:`labkit.losses.interval_loss`.
    """

    consistency: str = "none"
    share: Any = 0.5
    z: Any = 2.5758
    interval: str = "binomial"
    term: str = "cross_entropy"

    def __post_init__(self):
        super().__post_init__()
        for name, known in (("interval", INTERVALS), ("term", tuple(TERMS))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is one of {', '.join(known)}, got {getattr(self, name)!r}")

    def setup(self, start):
        bags: Bags = start.evidence
        known = super().setup(start)
        keys = start.rng.random((bags.members.shape[1], ORDERS)).T  # so that more padding changes no other number
        return {**known, "keys": torch.from_numpy(keys.copy())}

    def draw(self, rng, steps, batch_size):
        if batch_size < 2:
            raise ValueError("MixBag mixes bags of one batch, so a batch has at least two; raise batch_size (in bags)")
        return {
            **super().draw(rng, steps, batch_size),
            "mix": rng.random((steps, batch_size)),
            "split": rng.random((steps, batch_size)),
            "partner": rng.integers(1, batch_size, (steps, batch_size)),  # so many bags further on, never itself
            "order": rng.integers(ORDERS, size=(steps, batch_size, 2)),
        }

    def objective(self, net, batch: Batch):
        made = mix(batch, self.share)
        x = batch.x[made.rows.flatten()]
        z = net(x)
        target = mixed_proportions(*made.counts, *made.drawn)
        half = half_width(*made.counts, *made.drawn, self.z, self.interval)
        half = torch.where(made.replaced[:, None], half, -1.0)  # a bag that is whole has no interval
        mean = log_mean_prediction(z.unflatten(0, made.rows.shape), made.present)
        told = interval_loss(mean, target, half, self.term).mean()
        return told + self.consistent(net, x, z, made.present, batch), {}


@dataclass
class Mixed:
    """The bags of a step after mixing.

    Attributes: ``rows`` ``(b, S)``: which rows of ``batch.x`` their members are, ``present`` ``(b, S)``; ``counts``:
    those of each bag and of its partner, ``(b, K)`` each; ``drawn``: how many members came from each of the two,
    ``(b,)`` each; ``replaced`` ``(b,)``: False where the bag is whole (all are its own).
    """

    rows: Tensor
    present: Tensor
    counts: tuple[Tensor, Tensor]
    drawn: tuple[Tensor, Tensor]
    replaced: Tensor


def mix(batch: Batch, share) -> Mixed:
    """Replace each bag with probability ``share``; random numbers as :meth:`MixBag.draw` made them."""
    bags, draws = batch.evidence, batch.draws
    b, width = bags.members.shape
    own = torch.arange(b, device=bags.members.device)
    partner = (own + draws["partner"]) % b
    counts = bags.counts.to(batch.x.dtype) if bags.noise is None else nearest_counts(bags.counts.to(batch.x.dtype))

    size = bags.sizes
    replaced = (draws["mix"] < share) & (size > 1)
    n_own = 1 + torch.minimum((draws["split"] * (size - 1)).long(), size - 2)  # uniform over 1 .. size - 1
    n_own = torch.where(replaced, n_own, size)
    n_other = torch.minimum(size - n_own, size[partner])

    # the places of each bag in a random order, padding last: the first n of them are n members drawn blindly
    keys = batch.state["keys"][draws["order"]]  # (b, 2, S)
    shuffled = lambda who, i: torch.where(bags.present[who], keys[:, i], 2.0).argsort(-1)
    place = torch.arange(width, device=own.device).expand(b, width)
    from_other = place >= n_own[:, None]
    there = shuffled(partner, 1).gather(1, (place - n_own[:, None]).clamp_min(0))
    here = torch.where(replaced[:, None], shuffled(own, 0), place)
    rows = torch.where(replaced[:, None] & from_other, partner[:, None] * width + there, own[:, None] * width + here)
    present = torch.where(replaced[:, None], place < (n_own + n_other)[:, None], bags.present)
    return Mixed(rows, present, (counts, counts[partner]), (n_own, n_other), replaced)


__all__ = ["MixBag", "mix"]
