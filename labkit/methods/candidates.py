"""Candidate sets: every candidate counts alike, or the weights move towards one of them.

All of these look at the set alone (``Candidates.mask``), and so take complementary labels too. The likelihood of the
set ("CC", Feng et al., 2020), which also uses P(set | class) where that is known, is :class:`EvidenceLikelihood`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from labkit.evidence import Candidates, one_hot
from labkit.losses import average_loss, class_activation_target, cross_entropy, leverage_weights, leveraged, restricted
from labkit.losses.candidates import CLASS_LOSSES
from labkit.methods.base import Batch, Method, Start
from labkit.names import look_up


@dataclass(kw_only=True)
class AverageCandidates(Method):
    """``(1 / s) sum_S l_j``: the loss of every candidate counts alike, from the first epoch to the last.

    Source: Lv, Liu, Feng, Xu, Xu, An, Niu, Geng, Sugiyama (2024), "On the robustness of average losses for
    partial-label learning": bounded losses ("mae", "gce") are robust to the wrong candidates, cross entropy is not.

    Args:
        base: "cross entropy", "mae" (``2 - 2 p_j``) or "gce". q: of "gce"; published 0.7.

    Raises:
        ValueError: an unknown base.
    """

    base: str = "cross entropy"
    q: Any = 0.7

    accepts: ClassVar = (Candidates,)

    def __post_init__(self):
        look_up("base loss", self.base, CLASS_LOSSES)

    def loss(self, logits, evidence):
        return average_loss(CLASS_LOSSES[self.base](logits, self.q), evidence.mask)


@dataclass(kw_only=True)
class RC(Method):
    """Risk-consistent loss ``-sum_S w_j log p_j``: w is 1/s in the first epoch, then ``p_j / sum_S p``, a constant.

    Source: Feng, Lv, Han, Xu, Niu, Geng, An, Sugiyama (2020), "Provably consistent partial-label learning": with the
    true posterior in w the risk is that of ordinary labels, if all sets with the truth are equally likely. Here w is of
    the *present* prediction, and then the gradient is that of CC (``EvidenceLikelihood``): after the first epoch the
    two differ in name alone. The authors' code renews w by a second pass after each step and uses it at the example's
    next visit, which is :class:`PRODEN` but for that one step.
    """

    accepts: ClassVar = (Candidates,)

    def setup(self, start: Start):
        return {"first": torch.tensor(True)}

    def objective(self, net, batch: Batch):
        logits, mask = net(batch.x), batch.evidence.mask
        weights = torch.where(batch.state["first"], uniform(mask, logits.dtype), restricted(logits.detach(), mask))
        return cross_entropy(logits, weights).mean(), {}

    def end_epoch(self, state, progress):
        return {"first": torch.zeros_like(state["first"])}


@dataclass(kw_only=True)
class PRODEN(Method):
    """Cross entropy on stored targets: 1/s at first, after every visit ``p_j / sum_S p`` of that same visit.

    Source: Lv, Xu, Feng, Niu, Geng, Sugiyama (2020), "Progressive identification of true labels for partial-label
    learning". The prediction is the one the loss was made of, before the step. A candidate is what the set says, not
    what has a target above 0 (as in the authors' code, where a class whose target once rounds to 0 is lost for good).

    Kept with the run: ``targets`` ``(n, K)``, in the order of ``runs.index("train")``.
    """

    accepts: ClassVar = (Candidates,)
    keeps: ClassVar[tuple[str, ...]] = ("targets",)

    def setup(self, start: Start):
        return {"targets": self.first(start.evidence.mask)}

    def objective(self, net, batch: Batch):
        logits, mask, targets = net(batch.x), batch.evidence.mask, batch.state["targets"]
        loss = self.told(logits, mask, targets[batch.index].to(logits.dtype))
        renewed = self.renewed(logits.detach(), mask).to(targets.dtype)
        return loss.mean(), {"targets": targets.index_put((batch.index,), renewed)}

    def first(self, mask: Tensor) -> Tensor:
        """Targets before an example's first visit, ``(n, K)``; a run keeps them in its own precision."""
        return uniform(mask, torch.float64)

    def told(self, logits: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        """The loss of a batch on its stored targets, ``(b,)``."""
        return cross_entropy(logits, targets)

    def renewed(self, logits: Tensor, mask: Tensor) -> Tensor:
        """What is stored for the next visit, ``(b, K)``."""
        return restricted(logits, mask)


@dataclass(kw_only=True)
class CAVL(PRODEN):
    """Cross entropy on one candidate, the one with the largest ``|f_j - 1| f_j`` at the last visit; 1/s at the first.

    Source: Zhang, F., Feng, Han, Liu, Niu, Qin, Sugiyama (2022), "Exploiting class activation value for partial-label
    learning". Published: Adam, 1e-3, batch 64, 250 epochs. The authors' code looks after the step, and may choose a
    class outside the set (see :func:`labkit.losses.class_activation_target`). Kept: ``targets``, one-hot once visited.
    """

    def renewed(self, logits, mask):
        return one_hot(class_activation_target(logits, mask), logits.shape[-1], logits.dtype)


@dataclass(kw_only=True)
class LWS(PRODEN):
    """Leveraged weighted loss: candidates up *and*, with ``beta``, the other classes down, by stored weights.

    ``sum_S w_j psi(f_j) + beta sum_{not S} w_j psi(-f_j)``; w is 1/K everywhere at first, after every visit the
    prediction renormalised inside the set and, separately, outside it. Source: Wen, Cui, Hang, Liu, Wang, Lin (2021),
    "Leveraged weighted loss for partial label learning". (The authors' code renews w by a second pass after the step;
    a public toolkit never renews it, with beta 0, which is the average loss.) Kept: ``targets``, the w.

    Args:
        beta: published 1 or 2. form: psi, "sigmoid" or "cross entropy".

    Raises:
        ValueError: an unknown form.
    """

    beta: Any = 1.0
    form: str = "sigmoid"

    def __post_init__(self):
        if self.form not in ("sigmoid", "cross entropy"):
            raise ValueError(f"form is 'sigmoid' or 'cross entropy', got {self.form!r}")

    def first(self, mask):
        return torch.full(mask.shape, 1 / mask.shape[-1], dtype=torch.float64)

    def told(self, logits, mask, targets):
        return leveraged(logits, mask, targets, self.beta, self.form)

    def renewed(self, logits, mask):
        return leverage_weights(logits, mask)


def uniform(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """1/s on the set, 0 outside it, ``(..., K)``."""
    mask = mask.to(dtype)
    return mask / mask.sum(-1, keepdim=True)


__all__ = ["CAVL", "LWS", "PRODEN", "RC", "AverageCandidates", "uniform"]
