"""A crowd of workers, each reliable in its own measure, some not at all; their answers made into one label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from labkit import crowds
from labkit.annotate.base import Annotator, check_rate
from labkit.evidence import Evidence, Labels, Soft


@dataclass(frozen=True)
class Crowd(Annotator):
    """``votes`` of ``workers`` people answer about each example; ``by`` says how their answers become its label.

    A worker forms an opinion, drawn from the true posterior, and says it with probability ``reliability`` (uniform in
    [``least``, ``most``], once per worker); otherwise the answer comes from a habit of the worker's own (uniform on the
    simplex). The first ``spammers`` of the workers (a share) have reliability 0. The label is not used.

    At one seed ``by`` changes nothing of what is said, more votes extend fewer, and more spammers replace workers.
    Training and validation examples have crowds of their own.

    Args:
        by: a name in :data:`labkit.crowds.WAYS` or "mean of all" (:class:`~labkit.evidence.Soft`), or "majority"
            (:class:`~labkit.evidence.Labels`; ties are decided at random).

    Raises:
        ValueError: more votes than workers, none, or a probability outside [0, 1].
    """

    by: str = "normalised counts"
    votes: Any = 5
    workers: int = 20
    least: Any = 0.5
    most: Any = 1.0
    spammers: Any = 0.1

    needs: ClassVar[tuple[str, ...]] = ("posterior",)

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator, *, posterior: Tensor) -> Evidence:
        tie = rng.random(len(labels))
        said, k = self.said(posterior, rng), labels.n_classes
        if self.by == "majority":
            return Labels(torch.from_numpy(crowds.majority(said, k, tie)), k)
        return Soft(torch.from_numpy(crowds.aggregate(said, k, self.by)))

    def said(self, posterior: Tensor, rng: np.random.Generator) -> np.ndarray:
        """What everybody answers, ``(n, workers)``, -1 for those not asked, given the true ``posterior`` ``(n, K)``."""
        (n, k), workers = posterior.shape, self.workers
        if float(self.votes) != int(self.votes) or not 1 <= self.votes <= workers:
            raise ValueError(f"votes is a whole number from 1 to the {workers} workers, got {self.votes!r}")
        least, most = check_rate(self.least, "least"), check_rate(self.most, "most")
        reliable = least + (most - least) * rng.random(workers)
        reliable[: round(check_rate(self.spammers, "spammers") * workers)] = 0.0
        habits = rng.dirichlet(np.ones(k), workers).cumsum(1)
        habits[:, -1] = np.inf  # rounding must not let a draw fall off the end
        edges = posterior.double().cumsum(1).numpy()
        edges[:, -1] = np.inf
        opinion = (rng.random((n, workers))[:, :, None] >= edges[:, None]).sum(2)
        habit = (rng.random((n, workers))[:, :, None] >= habits).sum(2)
        answer = np.where(rng.random((n, workers)) < reliable, opinion, habit)
        asked = rng.random((n, workers)).argsort(1).argsort(1) < int(self.votes)
        return np.where(asked, answer, -1)
