"""Self-evolution mixup: mix features, soften each target by what the model says of that example, easy half first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from labkit.losses import cross_entropy, smooth, target_of
from labkit.methods.base import Batch, Method, Start

TOWARDS = ("model", "uniform")


@dataclass
class SelfEvolutionMixup(Method):
    """Originals with one-hot targets, and mixed pairs: features ``m h_i + (1 - m) h_j`` with ``m t_i + (1 - m) t_j``,
    where ``t_i = l e_y + (1 - l) p(x_i)``.

    Zheng, Zhong, Ding, Tian, Niu and others (2023), "Self-evolution learning for mixup". p is the model's own
    prediction for the unmixed example, a constant; m ~ Beta(alpha, alpha) per pair. First pairs are made within the
    easier half of the training set, then within the harder half. The paper's numbers could not be read. Our reading:
    l = 0.9, alpha = 1; all are mixed until a fifth of training is done, the easier half until three fifths, then the
    harder half; difficulty is the cross entropy when the example was last seen. The loss of a step is
    ``(sum_i CE_i + sum_pairs CE_ij) / (b + pairs)``. Four settings of one method:

    - ``keep=1, curriculum=False``: feature mixup (Verma et al., 2019) of the penultimate layer;
    - ``towards="uniform", curriculum=False``: with uniform smoothing, a = 1 - l;
    - ``curriculum=False``: with instance smoothing;
    - the defaults: with instance smoothing and stages.

    Args:
        alpha: of the Beta distribution, above 0. keep: l, the weight of the given label.
        towards: "model" or "uniform": where the rest of a mixed target goes.
        curriculum: whether there are stages; they begin at progress ``warm`` and change at ``turn``.
        originals: weight of the unmixed examples; 0 trains on pairs alone.
    """

    alpha: Any = 1.0
    keep: Any = 0.9
    towards: str = "model"
    curriculum: bool = True
    warm: Any = 0.2
    turn: Any = 0.6
    originals: Any = 1.0

    def __post_init__(self):
        if self.towards not in TOWARDS:
            raise ValueError(f"towards is one of {', '.join(TOWARDS)}, got {self.towards!r}")

    def setup(self, start: Start):
        return {"difficulty": torch.zeros(len(start.evidence))} if self.curriculum else {}

    def draw(self, rng, steps, batch_size):
        from scipy.special import betaincinv  # the inverse distribution keeps alphas paired: one uniform, one weight

        uniform = rng.random((steps, batch_size))
        return {"weight": np.asarray(betaincinv(float(self.alpha), float(self.alpha), uniform))}

    def objective(self, net, batch: Batch):
        features, target = net.features(batch.x), target_of(batch.evidence, batch.x.dtype)
        logits = net.head(features)
        told = cross_entropy(logits, target)
        if self.towards == "model":
            soft = self.keep * target + (1 - self.keep) * logits.detach().softmax(-1)
        else:
            soft = smooth(target, 1 - self.keep)

        changed, size = {}, len(target)
        mixed = torch.ones(size, dtype=torch.bool, device=target.device)
        if self.curriculum:
            memory = batch.state["difficulty"].index_put((batch.index,), told.detach())
            middle = memory.sort().values[(len(memory) - 1) // 2]
            mixed = (batch.progress < self.warm) | ((memory[batch.index] <= middle) == (batch.progress < self.turn))
            changed = {"difficulty": memory}

        # those that take part first, each with the next of them, the last with the first
        order = torch.argsort((~mixed).to(torch.int64), stable=True)
        place, pairs = torch.arange(size, device=target.device), mixed.sum()
        partner = order[torch.where(place + 1 < pairs, place + 1, 0)]
        weight, made = batch.draws["weight"][:, None], (place < pairs).to(target.dtype)
        blend = lambda held: weight * held[order] + (1 - weight) * held[partner]
        of_pair = cross_entropy(net.head(blend(features)), blend(soft))
        total = (self.originals * told).sum() + (made * of_pair).sum()
        return total / (self.originals * size + made.sum()).clamp_min(1), changed
