"""ABLE: pull an example towards each class of its set, as strongly as that class is believed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from labkit.evidence import Candidates, one_hot
from labkit.losses import cross_entropy, restricted, weighted_contrastive
from labkit.methods.base import Batch, Method, Start
from labkit.methods.candidates import uniform
from labkit.models import project


@dataclass(kw_only=True)
class ABLE(Method):
    """``CE(t, z) + weight L_con``: PRODEN, and a contrastive loss whose matches are weighed by the set.

    Xia, Lv, Xu, Geng (2022), "Ambiguity-induced contrastive learning for instance-dependent partial label learning".
    Both views of the batch are anchors, 2b in all, compared with all the others. With the stored target t and
    ``c_j = argmax_S p`` of example j in view 0, j (in either view) is a match of i with weight

        w_ij = sum_{c in S_i} t_ic [c_j = c] / #{l in the batch: c_l = c},

    itself taken out without giving its share to the others; ``L_con`` is the mean over anchors of
    ``-(temperature / 0.07) sum_j w_ij log softmax_{l not i}(<e_i, e_l> / temperature)``, e the embeddings of length 1.
    After the loss, ``t = p_S / sum_S p`` of view 0, of the same pass. Cross entropy sees view 0 alone.

    The authors' code looks up the t of a match weight by the place in the *batch*, which finds the first b examples of
    the data set; here it is the example's own. Model: ``WithProjection(base)``. Published: weight 1, temperature 0.07,
    SGD 0.01, batch 64, 500 epochs. weight = 0 is :class:`PRODEN` on view 0. Kept with the run: ``targets`` ``(n, K)``.
    """

    weight: Any = 1.0
    temperature: Any = 0.07

    accepts: ClassVar = (Candidates,)
    views: ClassVar = 2
    keeps: ClassVar[tuple[str, ...]] = ("targets",)

    def setup(self, start: Start):
        return {"targets": uniform(start.evidence.mask, torch.float64)}

    def objective(self, net, batch: Batch):
        mask, targets = batch.evidence.mask, batch.state["targets"]
        features = [net.features(view) for view in batch.views]
        logits = net.head(features[0])
        target, renewed = targets[batch.index].to(logits.dtype), restricted(logits.detach(), mask)

        said = one_hot(renewed.argmax(-1), logits.shape[-1], logits.dtype)  # (b, K): c_j
        match = torch.where(mask, target, 0) @ (said / said.sum(0).clamp_min(1)).mT
        e = torch.cat([project(net, f) for f in features])
        others = ~torch.eye(len(e), dtype=torch.bool, device=e.device)
        contrast = weighted_contrastive(e @ e.mT / self.temperature, match.repeat(2, 2), others).mean()
        loss = cross_entropy(logits, target).mean() + self.weight * self.temperature / 0.07 * contrast
        return loss, {"targets": targets.index_put((batch.index,), renewed.to(targets.dtype))}


__all__ = ["ABLE"]
