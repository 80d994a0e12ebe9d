"""CR-DPLL: push down what is ruled out, and let all views of an example agree on one distribution over its set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from labkit.evidence import Candidates
from labkit.losses import label_distribution, outside_cross_entropy, restricted
from labkit.methods.base import Batch, Method, Start
from labkit.methods.candidates import uniform
from labkit.methods.selection import rising


@dataclass(kw_only=True)
class CRDPLL(Method):
    """``-sum_{j not in S} log(1 - p0_j) + w(t) sum_v KL(t || p_v)`` over three views v = 0, 1, 2.

    Wu, Wang, Zhang (2022), "Revisiting consistency regularization for deep partial label learning". The target is kept
    per example: 1/s on the set at first, after every visit the geometric mean of the three predictions, renormalised on
    the set (of the same pass, before the step). ``w(t) = weight min(1, t / ramp)``, t the share of training done.
    Published: weight 1, ramp 100 of 200 epochs; SGD 0.1, batch 64.

    The published view 0 is augmented weakly and the others strongly; here all three are drawn alike, and without
    augmentation all are the inputs (one pass, counted three times). The views' divergences are *summed*: a public
    toolkit averages them, which is a third of the weight. One candidate and full weight: ``-sum log(1 - p_j)`` of the
    others plus three times cross entropy.

    Kept with the run: ``targets`` ``(n, K)``, in the order of ``runs.index("train")``.
    """

    weight: Any = 1.0
    ramp: Any = 0.5

    accepts: ClassVar = (Candidates,)
    views: ClassVar = 3
    keeps: ClassVar[tuple[str, ...]] = ("targets",)

    def setup(self, start: Start):
        return {"targets": uniform(start.evidence.mask, torch.float64)}

    def objective(self, net, batch: Batch):
        mask, targets = batch.evidence.mask, batch.state["targets"]
        first = net(batch.x)
        logits = [first, *(first if view is batch.x else net(view) for view in batch.views[1:])]
        target = targets[batch.index].to(first.dtype)
        apart = sum(label_distribution(z, target) for z in logits)
        loss = outside_cross_entropy(first, mask) + self.weight * rising(batch.progress, self.ramp) * apart
        # the mean of log probabilities is that of logits, up to a number per example
        renewed = restricted(sum(z.detach().log_softmax(-1) for z in logits) / len(logits), mask)
        return loss.mean(), {"targets": targets.index_put((batch.index,), renewed.to(targets.dtype))}


__all__ = ["CRDPLL"]
