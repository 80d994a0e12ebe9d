"""Early-learning regularisation: stay close to what you said before you began to memorise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from labkit.evidence import Labels
from labkit.losses import cross_entropy, early_learning, remember, target_of
from labkit.methods.base import Batch, Method, Start
from labkit.methods.mixup import Mixup
from labkit.methods.selection import rising


@dataclass
class ELR(Method):
    """``CE(z, y) + strength log(1 - <t, p>)``, with t a running mean of the example's own predictions.

    Liu, Niles-Weed, Razavian, Fernandez-Granda (2020), "Early-learning regularization prevents memorization of noisy
    labels", equations 6 and 9. t is ``(n, K)``, begins at 0 and takes in ``(1 - decay) p`` at every visit, *before* the
    loss. Kept with the finished run: ``targets`` ``(n, K)``, in the order of ``runs.index("train")``.

    Args:
        strength: published 3 (CIFAR-10, symmetric), 1 (asymmetric), 7 (CIFAR-100); 0 is cross entropy.
        decay: per visit, so it counts epochs: published 0.7 (CIFAR-10, symmetric), 0.9 (asymmetric, CIFAR-100).
    """

    strength: Any = 3.0
    decay: Any = 0.7

    accepts: ClassVar = (Labels,)
    keeps: ClassVar[tuple[str, ...]] = ("targets",)

    def setup(self, start: Start):
        return {"targets": torch.zeros(len(start.evidence), start.n_classes)}

    def objective(self, net, batch: Batch):
        logits = net(batch.x)
        t = remember(batch.state["targets"][batch.index], logits, self.decay)
        told = cross_entropy(logits, target_of(batch.evidence, logits.dtype))
        loss = told + self.strength * early_learning(logits, t)
        return loss.mean(), {"targets": batch.state["targets"].index_put((batch.index,), t)}


@dataclass
class ELRPlus(Method):
    """ELR with two networks, each regularised towards what the *other* said before, and mixup.

    Liu et al. (2020), section 4.3 and appendix. For network 1, with h the running mean of network 2's predictions of
    the unmixed example, mixing weight l and a partner j: ``CE(z, l e_y + (1 - l) e_yj) + r strength log(1 - <q, p>)``,
    where ``q = l h_i + (1 - l) h_j`` and z, p are of the mixed input. r is 1, or rises as
    ``exp(-5 (1 - progress / ramp)^2)``.

    A reduced form: the published h comes from a moving average of the other network's *weights* (decay 0.997 a step,
    about 330 steps); here from its weights as they are, so that only h itself averages. (``ema`` averages the weights
    that are evaluated.) A batch is already in random order: the partner is the next example for one network, the one
    after it for the other. A step costs four forward and two backward passes; two networks alone, two and two.

    Args:
        strength, decay: as in :class:`ELR`. alpha: of the Beta distribution of l, one l a batch and network; published
            1, and 0 is no mixing. ramp: share of training; published 0 (CIFAR-10), or 40,000 steps (CIFAR-100, where
            the paper also renormalises the target by h, which is left out here).
    """

    strength: Any = 3.0
    decay: Any = 0.7
    alpha: Any = 1.0
    ramp: Any = 0.0

    accepts: ClassVar = (Labels,)
    networks: ClassVar = 2
    keeps: ClassVar[tuple[str, ...]] = ("targets",)

    def setup(self, start: Start):
        return {"targets": torch.zeros(2, len(start.evidence), start.n_classes)}

    def draw(self, rng, steps, batch_size):
        return {"weight": Mixup(self.alpha).draw(rng, 2 * steps, batch_size)["weight"].reshape(steps, 2)}

    def objective(self, net, batch: Batch):
        target = target_of(batch.evidence, batch.x.dtype)
        strength = self.strength * torch.exp(-5 * (1 - rising(batch.progress, self.ramp)) ** 2)
        memory, total = batch.state["targets"], 0.0
        kept = []
        for i in range(2):
            h = remember(memory[i][batch.index], net[1 - i](batch.x), self.decay)
            weight = batch.draws["weight"][i]
            blend = lambda held: weight * held + (1 - weight) * held.roll(i + 1, 0)  # noqa: B023
            logits = net[i](blend(batch.x))
            total = total + (cross_entropy(logits, blend(target)) + strength * early_learning(logits, blend(h))).mean()
            kept.append(memory[i].index_put((batch.index,), h))
        return total, {"targets": torch.stack(kept)}
