"""Two networks that choose each other's examples: co-teaching, co-teaching+, JoCoR.

Wrong labels are learned late, so an example with a small loss is probably right. A network that trains on its own
choice repeats its own mistakes; each of two networks therefore trains on what the *other* finds easy.

The authors' code of the first two divides the mean over the kept examples by their number once more, and that of
co-teaching+ feeds probabilities to a cross entropy and takes the example at position 0 of the data set for one without
disagreement. None of this is in the papers, nor here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit.losses import cross_entropy, symmetric_kl, target_of
from labkit.methods.base import Batch
from labkit.methods.selection import Selecting, check_share, mean_over, rising, small_loss


@dataclass
class CoTeaching(Selecting):
    """Each network trains on the ``floor((1 - r) b)`` examples of the batch with the smallest loss of the other one.

    Han, Yao, Yu, Niu, Xu, Hu, Tsang, Sugiyama (2018), "Co-teaching: robust training of deep neural networks with
    extremely noisy labels", algorithm 1. r rises in a straight line from 0 to ``rate`` during the first ``ramp`` of the
    training (here with every step, there with every epoch) and stays. The loss of a network is the mean over what it
    is given. ``rate = 0`` is two networks trained by cross entropy on their own, which answer together: the control
    that a claim for two networks needs.

    Args:
        rate: share that is forgotten in the end. Published: the noise rate itself, *which must be known*; the default
            is that of the authors' code. ramp: published 10 of 200 epochs.
        warm: share of training without forgetting before the ramp begins; published 0.
        exchange: False lets each network train on its own choice: the control that a claim for the *exchange* needs.

    Raises:
        ValueError: a rate outside [0, 1).
    """

    rate: Any = 0.2
    ramp: Any = 0.05
    warm: Any = 0.0
    exchange: bool = True

    def __post_init__(self):
        check_share("rate", self.rate)

    def forget(self, progress):
        """r, the share forgotten at this moment of the training."""
        return self.rate * rising(progress, self.ramp, self.warm)

    def picks(self, losses, logits, progress):
        """What each network picks, by its own losses: two ``(b,)`` of bools."""
        return tuple(small_loss(loss, self.forget(progress)) for loss in losses)

    def objective(self, net, batch: Batch):
        logits = tuple(one(batch.x) for one in net)
        target = target_of(batch.evidence, logits[0].dtype)
        losses = tuple(cross_entropy(z, target) for z in logits)
        picked = self.picks(losses, logits, batch.progress)
        first, second = reversed(picked) if self.exchange else picked
        return mean_over(losses[0], first) + mean_over(losses[1], second), self.note(batch, picked, logits)


@dataclass
class CoTeachingPlus(CoTeaching):
    """Co-teaching on those examples of the batch for which the two networks predict different classes.

    Yu, Han, Yao, Niu, Tsang, Sugiyama (2019), "How does disagreement help generalization against label corruption?",
    algorithm 1. Of the m examples in dispute each network picks the ``floor((1 - r) m)`` with the smallest loss, at
    least one, for the other. Up to ``start`` of the training it is co-teaching; a batch without dispute is plain cross
    entropy. The paper's other schedule, in which r goes on rising after the ramp, is left out.

    Args:
        start: share of training by co-teaching. Published: 20 of 200 epochs on CIFAR-10, 0 on MNIST, 5 on CIFAR-100.
    """

    start: Any = 0.1

    def picks(self, losses, logits, progress):
        early = progress < self.start
        dispute = logits[0].detach().argmax(-1) != logits[1].detach().argmax(-1)
        among = dispute | early
        nobody = ~among.any()
        return tuple(small_loss(loss, self.forget(progress), among) | nobody for loss in losses)


@dataclass
class JoCoR(CoTeaching):
    """Both networks train on the examples with the smallest joint loss, and are drawn towards each other.

    ``l_i = (1 - a) (CE_1 + CE_2) + a (KL(p_1 || p_2) + KL(p_2 || p_1))``, mean over the ``floor((1 - r) b)`` smallest.
    Wei, Feng, Chen, An (2020), "Combating noisy labels by agreement: a joint training method with co-regularization",
    equations 1 to 5. Both networks feel both terms. The paper halves ``rate`` for asymmetric noise: do so in the call.

    Args:
        agreement: a. Recommended 0.5 to 0.9: 0.9 on CIFAR-10 up to 50 % noise, 0.65 at 80 %; the default of the
            authors' code, 0.1, is not what they recommend.
    """

    agreement: Any = 0.9

    def objective(self, net, batch: Batch):
        logits = tuple(one(batch.x) for one in net)
        target = target_of(batch.evidence, logits[0].dtype)
        told = cross_entropy(logits[0], target) + cross_entropy(logits[1], target)
        joint = (1 - self.agreement) * told + self.agreement * symmetric_kl(*logits)
        kept = small_loss(joint, self.forget(batch.progress))
        return mean_over(joint, kept), self.note(batch, (kept, kept), logits)
