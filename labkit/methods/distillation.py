"""Knowledge distillation from a fleet of teachers: every student learns from the teacher of its own seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit import losses
from labkit.fleet.step import nets
from labkit.losses import cross_entropy, target_of
from labkit.methods.base import Batch, Method, Start


@dataclass
class Distillation(Method):
    """``weight * T^2 KL(softmax(z_t / T) || softmax(z_s / T)) + (1 - weight) * CE(y)``.

    Hinton, Vinyals, Dean (2015), section 2. The default ``weight = 1`` is teacher only, as run by Chandrasegaran,
    Tran, Zhao, Cheung (2022).

    Args:
        teacher: :class:`labkit.Runs` of one method. A student of seed s learns from the teacher of seed s, which
            saw the same split. If the teachers form a sweep, students of each of its settings are trained, with the
            teacher's values in columns ``teacher.<name>``.
        temperature: T > 0, applied to both.
        weight: share of the teacher's term.
    """

    teacher: Any
    temperature: Any = 1.0
    weight: Any = 1.0

    def setup(self, start: Start):
        if start.augmented:  # the teacher must see what the student sees, so its weights come along
            self.module, weights = self.teacher.network(start.x.device, start.x.dtype)
            return {f"teacher.{k}": p for k, p in weights.items()}
        return {"teacher_logits": self.teacher.predict_one(start.x)}

    def _teacher_logits(self, batch: Batch):
        if "teacher_logits" in batch.state:
            return batch.state["teacher_logits"][batch.index]
        method = self.teacher.context.methods[self.teacher[0].method]
        weights = {k.removeprefix("teacher."): p for k, p in batch.state.items()}
        return method.predict(nets(self.module, weights, method.networks), batch.x)

    def objective(self, net, batch: Batch):
        logits = net(batch.x)
        taught = losses.distillation(logits, self._teacher_logits(batch), self.temperature)
        told = cross_entropy(logits, target_of(batch.evidence, logits.dtype))
        return (self.weight * taught + (1 - self.weight) * told).mean(), {}
