"""RankMixup: mixtures give an order of confidences instead of a mixed label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from labkit import losses
from labkit.evidence import Labels
from labkit.losses import cross_entropy, target_of
from labkit.methods.base import Batch, Method

RANKINGS = ("margin", "ndcg")


@dataclass
class RankMixup(Method):
    """``CE(raw) + a R``, R a ranking of raw and mixed examples by confidence; no label is ever mixed.

    Noh, Park, Lee, Ham (2023), "RankMixup: ranking-based mixup training for network calibration". Inputs are mixed as
    in mixup, one ``l ~ Beta(alpha, alpha)`` a mixed batch; the i-th mixture's partner batch is the batch turned by i.

    - ``ranking="margin"`` (MRL): the mixture's largest logit stays ``margin`` below that of the raw example;
      :func:`labkit.losses.mixup_ranking`. The authors make one mixture.
    - ``ranking="ndcg"`` (M-NDCG): confidences of several mixtures follow their dominant weights ``max(l, 1 - l)``;
      :func:`labkit.losses.mixup_ndcg`. The authors make three.

    Published defaults on CIFAR-10: alpha 2, a = 0.1, margin 2 (Tiny-ImageNet: 1, 0.1, 1).

    Args:
        mixtures: how many mixed batches a step; 0 is one for "margin" and three for "ndcg".

    Raises:
        ValueError: an unknown ranking, or a negative number of mixtures.
    """

    alpha: Any = 2.0
    weight: Any = 0.1
    margin: Any = 2.0
    ranking: str = "margin"
    mixtures: int = 0

    accepts: ClassVar = (Labels,)

    def __post_init__(self):
        if self.ranking not in RANKINGS:
            raise ValueError(f"ranking is one of {', '.join(RANKINGS)}, got {self.ranking!r}")
        if self.mixtures < 0:
            raise ValueError(f"mixtures is a number of mixed batches, 0 for the default; got {self.mixtures}")

    @property
    def count(self) -> int:
        return self.mixtures or {"margin": 1, "ndcg": 3}[self.ranking]

    def draw(self, rng, steps, batch_size):
        from scipy.special import betaincinv  # the inverse distribution keeps alphas paired: one uniform, one weight

        uniform = rng.random((steps, self.count))
        return {"weight": np.asarray(betaincinv(float(self.alpha), float(self.alpha), uniform))}

    def objective(self, net, batch: Batch):
        labels, x = batch.evidence.labels, batch.x
        share = batch.draws["weight"].to(x.dtype)
        mixed, same, relevance = [], [], []
        for i in range(self.count):
            mixed.append(share[i] * x + (1 - share[i]) * x.roll(i + 1, 0))
            same.append(labels == labels.roll(i + 1, 0))
            relevance.append(torch.where(same[i], 1, torch.maximum(share[i], 1 - share[i])))

        logits = net(torch.cat([x, *mixed]))  # one pass over raw and mixed examples
        raw, others = logits[: len(x)], logits[len(x) :].unflatten(0, (self.count, len(x)))
        if self.ranking == "margin":
            ranking = torch.stack([losses.mixup_ranking(raw, o, s, self.margin) for o, s in zip(others, same)])
        else:
            ranking = losses.mixup_ndcg(raw, others, torch.stack(relevance))
        told = cross_entropy(raw, target_of(batch.evidence, raw.dtype))
        return told.mean() + self.weight * ranking.mean(), {}
