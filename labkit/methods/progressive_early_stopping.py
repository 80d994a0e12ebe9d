"""Progressive early stopping: later layers take in wrong labels first, so they are stopped first and trained anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from labkit.evidence import Labels, one_hot
from labkit.losses import cross_entropy
from labkit.methods.base import Batch, Method, Start


@dataclass
class ConfidentExamples(Method):
    """Cross entropy on the examples whose given label the network predicts, classes weighted to equal shares.

    The third phase of Bai, Yang, Han, Yang, Li and others (2021), "Understanding and improving early stopping for
    learning with noisy labels" (PES), NeurIPS. All three, with their published lengths on CIFAR-10:

    >>> plain, adam = lk.methods.CrossEntropy(), lk.AdamW(lr=1e-4)  # doctest: +SKIP
    >>> first = lk.fit(data, noise, methods=plain, epochs=25)  # the whole network  # doctest: +SKIP
    >>> late = ("body.3", "head")  # names of the last block and the final layer  # doctest: +SKIP
    >>> second = lk.fit(data, noise, methods=plain, start=first, fresh=late, only=late, optimiser=adam,
    ...                 epochs=7)  # doctest: +SKIP
    >>> second = lk.fit(data, noise, methods=plain, start=second, fresh=("head",), only=("head",), optimiser=adam,
    ...                 epochs=5)  # doctest: +SKIP
    >>> third = lk.fit(data, noise, methods=ConfidentExamples(first=second), start=second)  # doctest: +SKIP

    The third phase trains every layer. (In the authors' code the optimiser of that phase still holds the layers as
    they were before they were made anew, so the new ones stay as the second phase left them.) The confident examples
    of an epoch are those whose label was the larger of the mean probability over two augmentations when they were
    last seen, in the epoch before; for the first epoch ``first`` decides. The authors ask the network anew at the
    beginning of every epoch. A class that has n_c confident examples has the weight mean(n) / n_c.

    Args:
        first: the runs the phase starts from; None takes every example in the first epoch.
        balanced: False leaves the classes as they are.

    State: ``confident`` ``(n,)`` 1 or 0, kept with the run; ``seen`` alike, being filled; ``weight`` ``(K,)``.
    """

    first: Any = None
    balanced: bool = True

    accepts: ClassVar = (Labels,)
    views: ClassVar[int] = 2
    keeps: ClassVar = ("confident",)

    def setup(self, start: Start):
        labels = start.evidence.labels
        given = one_hot(labels, start.n_classes)
        agree = torch.ones(len(labels))
        if self.first is not None:
            agree = (self.first.predict_one(start.x).argmax(-1) == labels).to(given.dtype)
        return {"confident": agree, "seen": agree.clone(), "given": given, "weight": self._weight(agree, given)}

    def objective(self, net, batch: Batch):
        labels = batch.evidence.labels
        logits = [net(view) for view in batch.views]
        mean = sum(z.detach().softmax(-1) for z in logits)
        agree = (mean.argmax(-1) == labels).to(mean.dtype)
        weight = batch.state["weight"].to(mean.dtype)[labels] * batch.state["confident"][batch.index]
        loss = (weight * cross_entropy(logits[0], labels)).sum() / weight.sum().clamp_min(1e-12)
        return loss, {"seen": batch.state["seen"].index_put((batch.index,), agree)}

    def end_epoch(self, state, progress):
        return {"confident": state["seen"], "weight": self._weight(state["seen"], state["given"])}

    def _weight(self, confident, given):
        counts = confident @ given
        return counts.mean() / counts.clamp_min(1) if self.balanced else torch.ones_like(counts)
