"""Domain adversarial training, with smoothed environment labels: features from which no environment can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from labkit.evidence import one_hot
from labkit.losses import cross_entropy, smooth, target_of
from labkit.methods.base import Batch, Method, Start
from labkit.models import discriminate


def reverse_gradient(features: Tensor, weight) -> Tensor:
    """``features`` as they are, their gradient times ``-weight``."""
    constant = features.detach()
    return constant + weight * (constant - features)


@dataclass
class DomainAdversarial(Method):
    """``CE(y) + CE_D(environment)``, where the gradient of D into the features is reversed and times ``weight``.

    The classifier and the discriminator D descend on their own losses, the features on ``CE - weight * CE_D``: both
    players move in one step. Ganin et al. (2016), "Domain-adversarial training of neural networks", section 4 (DANN).

    Environment label smoothing: D's target has ``1 - smoothing`` on the given environment and ``smoothing / (M - 1)``
    on each other one. Zhang, Wang, Liang, Zhang, Wang, Wang, Tan (2023), "Free lunch for domain adversarial training:
    environment label smoothing"; default 0.1. The schedule that their code runs is ``labkit.Ramp(0, (M - 1) / M)``,
    from hard labels to a target that is the same for all environments.

    Needs ``Data.side["environment"]``, ``(n,)`` whole numbers from 0 to M - 1 on training examples, and the model
    :class:`labkit.models.WithDiscriminator`.

    Args:
        weight: how hard the features are pushed. 0 is plain training beside an idle discriminator.
        smoothing: 0 is DANN.
        environment_noise: share of training examples whose environment is said to be another one, drawn evenly. At one
            seed a higher share contains a lower one.
    """

    weight: Any = 1.0
    smoothing: Any = 0.1
    environment_noise: Any = 0.0

    side: ClassVar[str] = "environment"

    def setup(self, start: Start):
        if self.side not in start.side:
            raise ValueError(f"domain adversarial training needs Data.side[{self.side!r}], got {sorted(start.side)}")
        if not 0 <= float(self.environment_noise) <= 1:
            raise ValueError(f"environment_noise is a share in [0, 1], got {self.environment_noise}")
        told = start.side[self.side].cpu().long()
        count, n = int(told.max()) + 1, len(told)
        wrong = torch.from_numpy(start.rng.random(n) < float(self.environment_noise))
        other = (told + torch.from_numpy(start.rng.integers(1, max(count, 2), n))) % count
        return {"environment": one_hot(torch.where(wrong, other, told), count, torch.get_default_dtype())}

    def objective(self, net, batch: Batch):
        features = net.features(batch.x)
        logits = net.head(features)
        guess = discriminate(net, reverse_gradient(features, self.weight))
        told = batch.state["environment"][batch.index].to(guess.dtype)
        count = guess.shape[-1]
        if told.shape[-1] != count:
            raise ValueError(f"the discriminator has {count} outputs, but there are {told.shape[-1]} environments")
        target = smooth(told, self.smoothing * count / (count - 1))
        loss = cross_entropy(logits, target_of(batch.evidence, logits.dtype)) + cross_entropy(guess, target)
        return loss.mean(), {}
