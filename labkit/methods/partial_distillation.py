"""Students that hear a part of what their teacher knows: class relations, confidence, top guesses.

After Tang, Shivanna, Zhao, Lin, Singh, Chi, Jain (2020), "Understanding and improving knowledge distillation". Teachers
and students are paired by seed as in :class:`Distillation`; the universe is :class:`LabelSmoothing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from labkit import losses
from labkit.losses import target_of
from labkit.methods.base import Batch, Method, Start
from labkit.methods.distillation import Distillation


@dataclass
class SimilarityDistillation(Method):
    """KD-sim: cross entropy against ``(1 - weight) e_y + weight softmax(S_y / scale)``.

    S holds the cosines between the teacher's last-layer class weights, so that only the relations of the classes are
    taught: the domain knowledge of Tang et al. (2020). No published defaults are known to us.

    Args:
        teacher: as in :class:`Distillation`; its networks end in a linear layer ``head``.
        scale: temperature of the cosines, > 0; near 0 it is cross entropy. weight: share of the similarities.
    """

    teacher: Any
    scale: Any = 0.3
    weight: Any = 0.5

    def setup(self, start: Start):
        (weights,) = self.teacher.weights()["head.weight"]
        return {"similarity": losses.class_similarity(weights.to(start.x))}

    def objective(self, net, batch: Batch):
        logits = net(batch.x)
        target = target_of(batch.evidence, logits.dtype)
        target = losses.similarity_target(target, batch.state["similarity"], self.scale, self.weight)
        return losses.cross_entropy(logits, target).mean(), {}


@dataclass
class ConfidenceDistillation(Distillation):
    """KD-pt: only the teacher's probability of the true class is taught, the rest is spread evenly.

    ``weight * T^2 KL(t || softmax(z / T)) + (1 - weight) * CE(y)`` with ``t_y = softmax(z_teacher / T)_y``: the
    instance knowledge of Tang et al. (2020). Arguments as in :class:`Distillation`.
    """

    def objective(self, net, batch: Batch):
        logits = net(batch.x)
        target = target_of(batch.evidence, logits.dtype)
        teacher = torch.softmax(self._teacher_logits(batch) / self.temperature, -1)
        taught = losses.soft_target(logits, losses.confidence_target(target, teacher), self.temperature)
        return (self.weight * taught + (1 - self.weight) * losses.cross_entropy(logits, target)).mean(), {}


@dataclass
class TopKDistillation(Distillation):
    """KD-topk: the teacher's ``k`` largest probabilities are taught, what is left is spread evenly over the others.

    ``weight * T^2 KL(t || softmax(z / T)) + (1 - weight) * CE(y)``. Tang et al. (2020). Arguments as in
    :class:`Distillation`, which it is for ``k`` = K; for ``k`` = 1 it is :class:`ConfidenceDistillation` on examples
    that the teacher gets right.
    """

    k: Any = 3

    def objective(self, net, batch: Batch):
        logits = net(batch.x)
        teacher = torch.softmax(self._teacher_logits(batch) / self.temperature, -1)
        taught = losses.soft_target(logits, losses.top_k_target(teacher, self.k), self.temperature)
        told = losses.cross_entropy(logits, target_of(batch.evidence, logits.dtype))
        return (self.weight * taught + (1 - self.weight) * told).mean(), {}
