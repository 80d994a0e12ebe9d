"""What a method is: plain PyTorch for one run. The fleet makes it many."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from labkit.evidence import Evidence, Labels, Soft


@dataclass
class Batch:
    """What one training step sees, for one run.

    Attributes:
        x: inputs ``(b, ...)``; for grouped evidence the members of the drawn groups, ``(b * size, ...)``.
        evidence: evidence about the ``b`` drawn units.
        index: ``(b,)`` positions of those units in the run's training set, for memory per example.
        progress: 0-d tensor, share of training done, from 0 towards 1.
        state: the method's own tensors, as ``setup`` returned and ``objective`` changed them.
        draws: this step's random numbers, as ``draw`` made them.
        side: what else is known of the examples in ``x`` (``Data.side``), name -> ``(len(x), ...)``.
        views: as many independent augmentations of the inputs as the method asks for; ``x`` is the first. Without
            augmentation all are the inputs themselves.
    """

    x: Tensor
    evidence: Evidence
    index: Tensor
    progress: Tensor
    state: dict[str, Tensor]
    draws: dict[str, Tensor]
    side: dict[str, Tensor] = field(default_factory=dict)
    views: tuple[Tensor, ...] = ()


@dataclass
class Start:
    """What a run knows before its first step (given to ``setup``): its training inputs and evidence, never truth.

    Attributes: ``x`` ``(n, ...)``, ``evidence`` over the same examples, ``n_classes``, ``seed``, ``rng`` (the run's
    "method" stream), ``train``: the positions of the training examples in the data set, ``side``: what else is known
    of them (``Data.side``), whether inputs are ``augmented`` anew for every batch, and ``params``: the initial weights,
    name -> tensor (for a copy that moves slowly behind them).
    """

    x: Tensor
    evidence: Evidence
    n_classes: int
    seed: int
    rng: np.random.Generator
    train: Tensor
    side: dict[str, Tensor] = field(default_factory=dict)
    augmented: bool = False
    params: dict[str, Tensor] = field(default_factory=dict)


@dataclass(kw_only=True)
class Method:
    """Base of all methods. A plain loss overrides ``loss``; more state or more views override ``objective``.

    Number-valued fields may be given as ``labkit.sweep(...)``: the fleet then trains one run per value. They may also
    change during training (``labkit.Stages``, ``labkit.Ramp``, ``labkit.Cosine``). Inside ``loss``/``objective`` the
    field is that run's number at that step (a 0-d tensor: use torch arithmetic, not ``if``).

    Args:
        ema: decay per step of an exponential moving average of the weights, which then is what is evaluated;
            0 evaluates the weights themselves.
    """

    ema: Any = 0.0

    accepts: ClassVar[tuple[type[Evidence], ...]] = (Labels, Soft)
    networks: ClassVar[int] = 1
    views: ClassVar[int] = 1  # augmentations of every batch
    keeps: ClassVar[tuple[str, ...]] = ()  # entries of its state that are stored with a finished run (``runs.kept``)
    kept: ClassVar[Mapping[str, Tensor]] = {}  # inside ``predict``: what ``keeps`` names, of the run that predicts

    def loss(self, logits: Tensor, evidence: Evidence) -> Tensor:
        """One value per unit, ``(b,)``, in nats."""
        raise NotImplementedError

    def objective(self, net, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The batch's scalar loss, and the entries of ``batch.state`` that change.

        ``net(x)`` gives logits, ``net.features(x)`` penultimate features; with ``networks = 2`` ``net`` is a pair.
        """
        return self.loss(net(batch.x), batch.evidence).mean(), {}

    def setup(self, start: Start) -> dict[str, Tensor]:
        """The run's own tensors before training (memory per example, a teacher's logits)."""
        return {}

    def draw(self, rng: np.random.Generator, steps: int, batch_size: int) -> dict[str, np.ndarray]:
        """An epoch's random numbers, first axis ``steps``, from the run's own stream."""
        return {}

    def predict(self, net, x: Tensor) -> Tensor:
        """Logits ``(n, K)`` for evaluation. Several networks answer with the log of their mean probability.

        What the run has learned beside its weights and ``keeps`` is ``self.kept[name]`` here.
        """
        if self.networks == 1:
            return net(x)
        log_p = torch.stack([torch.log_softmax(one(x), -1) for one in net])
        return log_p.logsumexp(0) - math.log(self.networks)

    def end_epoch(self, state: dict[str, Tensor], progress: Tensor) -> dict[str, Tensor]:
        """State entries that change when an epoch is over."""
        return {}

    @property
    def draws(self) -> bool:
        """Whether steps need random numbers of the method's own."""
        return type(self).draw is not Method.draw

    @property
    def has_epoch_end(self) -> bool:
        return type(self).end_epoch is not Method.end_epoch


def hyperparameters(thing) -> dict[str, Any]:
    """The fields of a dataclass (method, annotator, optimiser) and their values."""
    return (
        {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing)} if dataclasses.is_dataclass(thing) else {}
    )


__all__ = ["Batch", "Method", "Start", "hyperparameters"]
