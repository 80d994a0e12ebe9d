"""DivideMix: split the examples by a mixture of their losses, drop the labels that look wrong, learn from the rest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from labkit.losses import cross_entropy, target_of
from labkit.methods.base import Batch, Start
from labkit.methods.loss_mixture import imbalance
from labkit.methods.mixup import Mixup
from labkit.methods.selection import Selecting, mean_over, rising
from labkit.mixtures import gaussian_posterior


@dataclass
class DivideMix(Selecting):
    """Two networks; each learns with the other's guess of which labels are right.

    Li, Socher, Hoi (2020), "DivideMix: learning with noisy labels as semi-supervised learning", algorithm 1. After
    every epoch two Gaussians are fitted to each network's losses; w is the probability of the one with the smaller
    mean (:func:`labkit.mixtures.gaussian_posterior`). For network 1, w is that of network 2. An example with w > tau
    counts as labelled, with the target ``w e_y + (1 - w) p`` (p: network 1's own prediction, mean over views), others
    as unlabelled, with the mean prediction of both networks; both targets are sharpened. Then MixMatch: inputs and
    targets are mixed with a partner's, with weight ``max(l, 1 - l)`` of the example itself, and

        loss = mean CE over labelled + r unlabelled * mean (p - t)^2 over unlabelled and classes
               + KL(1/K || mean p over the batch).

    r rises from 0 to 1 in the share ``ramp`` after ``warm``; before ``warm`` it is cross entropy on the unmixed batch.

    In fixed shapes. Published: a batch of 64 labelled and one of 64 unlabelled examples, a new pass for the losses at
    every epoch, both views in the mix (20 forward and 8 backward passes over 64 examples for a step of both networks).
    Here: one batch, of which each example has its own part in either mean; the loss is that of the example's last
    visit (log K before the first); the guesses are made once for both networks; the partner is the next example of
    the batch (for one network; the one after it for the other) *in its second view*. That is 2 forward passes a view
    and 2 forward and 2 backward passes of the mix: 4 and 2 without augmentation, 6 and 2 with it, against 2 and 2 of
    two networks under cross entropy; 1.3 and 1.7 times the multiplications if a backward pass is twice a forward one.
    Networks answer with their mean probability, there with the sum of their logits.

    Kept with the run besides what :class:`Selecting` keeps (picked = labelled): ``clean`` ``(2, n)``, the w's that the
    networks' own losses gave at the end.

    Args:
        unlabelled: published for CIFAR-10 25 (50 and 80 % symmetric noise), 0 (20 %, and asymmetric), 50 (90 %).
        tau: published 0.5, 0.6 at 90 %. temperature: T of ``t^(1/T)``, published 0.5. alpha: of l's Beta distribution,
            published 4; 0 is no mixing. warm: published 10 of 300 epochs. ramp: 16 of 300.
        penalty: weight of the last term; published 1. confident: weight of minus the entropy of the predictions during
            ``warm``; published 1 for asymmetric noise, else 0.
    """

    unlabelled: Any = 25.0
    tau: Any = 0.5
    temperature: Any = 0.5
    alpha: Any = 4.0
    warm: Any = 1 / 30
    ramp: Any = 16 / 300
    penalty: Any = 1.0
    confident: Any = 0.0

    views = 2
    keeps = (*Selecting.keeps, "clean")

    def setup(self, start: Start):
        n = len(start.evidence)
        return {
            **super().setup(start),
            "losses": torch.full((2, n), math.log(start.n_classes)),
            "clean": torch.ones(2, n),
        }

    def draw(self, rng, steps, batch_size):
        return {"weight": Mixup(self.alpha).draw(rng, 2 * steps, batch_size)["weight"].reshape(steps, 2)}

    def objective(self, net, batch: Batch):
        told, warm = target_of(batch.evidence, batch.x.dtype), batch.progress < self.warm
        first, last = batch.views[0], batch.views[-1]
        views = batch.views[: 1 if last is first else 2]  # without augmentation the views are one tensor
        seen = [torch.stack([one(view).detach() for one in net]) for view in views]  # (2, b, K): both networks
        p = sum(z.softmax(-1) for z in seen) / len(views)
        w = batch.state["clean"].flip(0)[:, batch.index]  # (2, b): the other network's

        labelled = (w > self.tau) | warm
        refined = sharpen(refine(told, p, w), self.temperature)
        guess = sharpen(p.mean(0), self.temperature)
        target = torch.where(labelled[..., None], torch.where(warm, told, refined), guess)
        weight = batch.draws["weight"]
        weight = torch.where(warm, 1.0, torch.maximum(weight, 1 - weight))
        z = [net[i](weight[i] * first + (1 - weight[i]) * last.roll(i + 1, 0)) for i in range(2)]
        partner = torch.stack([target[i].roll(i + 1, 0) for i in range(2)])
        mixed = weight[:, None, None] * target + (1 - weight[:, None, None]) * partner
        loss = vmap(self.of_mixed, in_dims=(0, 0, 0, None))(torch.stack(z), mixed, labelled, batch.progress).sum()

        losses = cross_entropy(seen[0], told.expand_as(p))
        changed = {"losses": batch.state["losses"].index_put((torch.arange(2)[:, None], batch.index), losses)}
        return loss, {**changed, **self.note(batch, tuple(labelled), tuple(seen[0]))}

    def of_mixed(self, z: Tensor, target: Tensor, labelled: Tensor, progress: Tensor) -> Tensor:
        """The loss of one network on mixed inputs: logits and targets ``(b, K)``, ``labelled`` ``(b,)``."""
        warm, log_p = progress < self.warm, z.log_softmax(-1)
        ramp = rising(progress, self.ramp, self.warm)
        square = (log_p.exp() - target).square().mean(-1)
        supervised = mean_over(cross_entropy(z, target), labelled)
        unsupervised = self.unlabelled * ramp * mean_over(square, ~labelled) + self.penalty * imbalance(z)
        surprise = self.confident * (log_p.exp() * log_p).sum(-1).mean()
        return supervised + torch.where(warm, surprise, unsupervised)

    def end_epoch(self, state, progress):
        clean = torch.stack([gaussian_posterior(own) for own in state["losses"]])
        return {**super().end_epoch(state, progress), "clean": clean}


def sharpen(target: Tensor, temperature) -> Tensor:
    """``t^(1/T)``, normalised: ``(n, K)`` distributions. T = 1 and one-hot rows change nothing."""
    power = (target / target.amax(-1, keepdim=True)) ** (1 / temperature)  # the largest is 1: no sum can vanish
    return power / power.sum(-1, keepdim=True)


def refine(told: Tensor, p: Tensor, w: Tensor) -> Tensor:
    """``w e_y + (1 - w) p``: label, prediction ``(..., n, K)``; probability ``(..., n)`` that the label is right."""
    return w[..., None] * told + (1 - w[..., None]) * p


__all__ = ["DivideMix", "refine", "sharpen"]
