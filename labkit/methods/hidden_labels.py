"""Learning from label proportions by guessing the labels: one class per member, in exactly the counts of its bag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from labkit.counts import whole_counts
from labkit.evidence import Bags, one_hot
from labkit.losses import cross_entropy
from labkit.methods.base import Batch, Method, Start
from labkit.methods.proportions import ProportionLoss, nearest_counts, per_instance
from labkit.transport import hard_assignment


@dataclass(kw_only=True)
class Alternating(Method):
    """Cross entropy on guessed labels; after every epoch the most likely labels with the right counts are guessed.

    ``labels = argmax sum_i log p_i[label_i]`` over labelings with the bag's counts
    (:func:`labkit.transport.hard_assignment`; two classes: the members with the largest score). Hard EM: it ascends
    the likelihood of the best labeling, where :class:`CountEM` ascends that of the counts. p is the prediction at the
    member's last visit (refitting by epochs; public code makes a pass of its own). Labels begin at random, in the
    right counts. With ``warm``, the proportion loss trains first: hard transport in two stages.

    Source: Yu, Liu, Kumar, Jebara, Chang (2013), "pSVM for learning with label proportions" (alternating); Liu, Wang,
    Shen, Qi, Tian (2021), "Two-stage training for learning from label proportions" (with ``warm``; they add mixup and
    symmetric cross entropy). The "EM" of the package llp-learn is this method.

    Kept with the run: ``labels`` ``(bags, S)``.

    Args:
        warm: share of training with the proportion loss; 0 for alternation alone.
    """

    warm: Any = 0.0

    accepts: ClassVar = (Bags,)
    keeps: ClassVar[tuple[str, ...]] = ("labels",)

    def setup(self, start: Start):
        bags = start.evidence
        counts = bags.counts
        if bags.noise is not None:
            counts = whole_counts(nearest_counts(counts), bags.sizes)
        shape = (*bags.present.shape, start.n_classes)
        scores = torch.from_numpy(start.rng.random(shape)).to(counts)  # of random scores the best labeling is random
        labels = hard_assignment(scores, counts, bags.present)
        return {"labels": labels, "scores": scores, "counts": counts, "present": bags.present.clone()}

    def objective(self, net, batch: Batch):
        evidence, logits = batch.evidence, net(batch.x)
        z, labels = evidence.grouped(logits), batch.state["labels"][batch.index]
        told = per_instance((cross_entropy(z, labels) * evidence.present).sum(-1), evidence)
        matched = ProportionLoss().loss(logits, evidence)
        loss = torch.where(batch.progress < self.warm, matched, told)
        return loss.mean(), self.note(batch, z.detach().log_softmax(-1), labels)

    def note(self, batch: Batch, log_p: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """What is written down of the bags of a batch."""
        return {"scores": batch.state["scores"].index_put((batch.index,), log_p)}

    def end_epoch(self, state, progress):
        return {"labels": hard_assignment(state["scores"], state["counts"], state["present"])}


@dataclass(kw_only=True)
class OnlinePseudoLabels(Alternating):
    """Guessed labels by following the perturbed leader: the past of all epochs counts, and noise keeps them moving.

    After each epoch a member's classes are charged ``l_ik = 1 - p_ik`` for its present label k and
    ``max_c p_ic - p_ik`` for the others; the charges add up to C over the epochs, and the next labels are those with
    the right counts that minimise ``C + eta N(0, 1)``, with fresh noise. One epoch of cross entropy on them follows.

    Source: Matsuo, Bise, Uchida, Suehiro (2023), "Learning from label proportion with online pseudo-label decision by
    regret minimization" (made for large bags). Published: eta = 5, Adam with 3e-4, 400 epochs. Their counts are cut
    off from share times size, which loses members to rounding; here they are exact. The noise of a run is one table,
    read from another random place in every epoch. Bags that an epoch leaves out are charged nothing.

    Args:
        eta: scale of the perturbation; 0 follows the leader.
    """

    eta: Any = 5.0

    def setup(self, start: Start):
        held = super().setup(start)
        shape = held["scores"].shape
        nothing = torch.zeros_like(held["scores"])
        table = torch.from_numpy(start.rng.standard_normal(shape)).to(held["scores"])
        return {**held, "scores": nothing, "charged": nothing, "noise": table, "place": torch.zeros(()).long()}

    def draw(self, rng, steps, batch_size):
        return {"place": rng.integers(0, 2**31, steps)}

    def note(self, batch, log_p, labels):
        p = log_p.exp()
        told = one_hot(labels, p.shape[-1], p.dtype)
        charge = torch.where(told > 0, 1.0, p.amax(-1, keepdim=True)) - p
        return {"charged": batch.state["charged"].index_put((batch.index,), charge), "place": batch.draws["place"]}

    def end_epoch(self, state, progress):
        total, table = state["scores"] - state["charged"], state["noise"]  # scores: minus the charges
        here = (torch.arange(table.numel(), device=table.device) + state["place"]) % table.numel()
        noise = table.flatten()[here].view(table.shape)
        labels = hard_assignment(total + self.eta * noise, state["counts"], state["present"])
        return {"labels": labels, "scores": total, "charged": torch.zeros_like(total)}


__all__ = ["Alternating", "OnlinePseudoLabels"]
