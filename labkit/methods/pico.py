"""PiCO: a prototype per class in an embedding decides which candidate is right, and the embedding learns from that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from labkit.evidence import Candidates, one_hot
from labkit.losses import cross_entropy, restricted, weighted_contrastive
from labkit.methods.base import Batch, Method, Start
from labkit.methods.candidates import uniform
from labkit.models import embed, project


@dataclass(kw_only=True)
class PiCO(Method):
    """``CE(t, z) + weight L_con`` with targets t that move towards the nearest prototype of the set.

    Wang, Xiao, Li, Feng, Niu, Chen, Zhao (2022), "PiCO: contrastive label disambiguation for partial label learning".
    q and k are embeddings of length 1: q of view 0, k of view 1 by a second encoder, whose weights are a moving average
    of the first one's. A step, in this order:

    1. ``c = argmax_S p`` (view 0) and ``r = argmax_S <q, prototype>``, with the prototypes before this batch;
    2. the prototype of class c_i moves by ``1 - prototype_decay`` towards q_i, one example after the other; then all
       are brought to length 1. They begin at 0;
    3. the second encoder moves by ``1 - key_decay``, then makes k;
    4. ``t = phi t + (1 - phi) e_r``, phi in a straight line from ``patience`` to ``patience_end``;
    5. the loss. ``L_con``: a match of q_i is everything of the same c among all q, all k and the queue but q_i itself,
       all matches of i alike; similarities over ``temperature``. Then k and c join the queue.

    Until ``warm``, t stays and L_con compares q_i with k_i (the match) and the queue. Published: weight 0.5,
    temperature 0.07, decays 0.99 and 0.999 (a step), queue 8192, patience 0.95 to 0.8,
    warm 1 of 800 epochs (CIFAR-10); SGD 0.01. With a few hundred steps a ``key_decay`` of 0.999 hardly leaves the
    initial weights: give less.

    Ours: an empty place of the queue is compared with nobody (published: it holds a random direction that matches
    nobody). The queue need not be a multiple of the batch. Model: ``WithProjection(base)``, whose embedding has
    ``width`` numbers. Kept with the run: ``targets`` ``(n, K)``, ``prototypes`` ``(K, width)``.
    """

    weight: Any = 0.5
    temperature: Any = 0.07
    prototype_decay: Any = 0.99
    key_decay: Any = 0.999
    patience: Any = 0.95
    patience_end: Any = 0.8
    warm: Any = 1 / 30
    queue: int = 512
    width: int = 32

    accepts: ClassVar = (Candidates,)
    views: ClassVar = 2
    keeps: ClassVar[tuple[str, ...]] = ("targets", "prototypes")

    def __post_init__(self):
        if self.queue < 1 or self.width < 2:
            raise ValueError(f"queue counts from 1 and width from 2, got {self.queue} and {self.width}")

    def setup(self, start: Start):
        k = start.n_classes
        return {
            **{f"key.{name}": p.clone() for name, p in start.params.items()},
            "targets": uniform(start.evidence.mask, torch.float64), "prototypes": torch.zeros(k, self.width),
            "queue": torch.zeros(self.queue, self.width), "said": torch.full((self.queue,), -1),
        }  # fmt: skip

    def objective(self, net, batch: Batch):
        state, mask = batch.state, batch.evidence.mask
        features = net.features(batch.views[0])
        logits, q = net.head(features), project(net, features)
        said = restricted(logits.detach(), mask).argmax(-1)
        nearest = torch.where(mask, q.detach() @ state["prototypes"].mT, -torch.inf).argmax(-1)
        moved = self.moved(state["prototypes"], q.detach(), said)

        key = {
            name: self.key_decay * state[f"key.{name}"] + (1 - self.key_decay) * p.detach()
            for name, p in net.params.items()
        }
        k = embed(net, batch.views[1], key).detach()

        begun = batch.progress >= self.warm
        old = state["targets"][batch.index].to(logits.dtype)
        phi = (1 - batch.progress) * self.patience + batch.progress * self.patience_end
        phi = torch.where(begun, phi, 1)
        target = phi * old + (1 - phi) * one_hot(nearest, logits.shape[-1], logits.dtype)

        contrast = self.contrast(q, k, state["queue"], said, state["said"], begun)
        loss = cross_entropy(logits, target).mean() + self.weight * contrast.mean()
        return (
            loss,
            {
                **{f"key.{name}": p for name, p in key.items()},
                "targets": state["targets"].index_put((batch.index,), target.to(state["targets"].dtype)),
                "prototypes": moved,
                "queue": torch.cat([k, state["queue"]])[: self.queue],  # the newest first
                "said": torch.cat([said, state["said"]])[: self.queue],
            },
        )

    def moved(self, prototypes: Tensor, q: Tensor, said: Tensor) -> Tensor:
        """``(K, e)`` after one example after the other: a class's last one counts ``1 - m``, the one before
        ``m (1 - m)``, and so on."""
        member = one_hot(said, len(prototypes), q.dtype)  # (b, K)
        later = member.sum(0) - member.cumsum(0)  # of that class, after this one
        share = (1 - self.prototype_decay) * self.prototype_decay**later * member
        left = self.prototype_decay ** member.sum(0)
        return normalize(left[:, None] * prototypes + share.mT @ q, dim=-1)

    def contrast(self, q, k, queue, said, said_before, begun) -> Tensor:
        """``(b,)``: q against all q, k and the queue by class, or, until ``begun``, q_i against k_i and queue."""
        everyone, of = torch.cat([q, k, queue]), torch.cat([said, said, said_before])
        b = len(q)
        places, own = torch.arange(len(of), device=q.device), torch.arange(b, device=q.device)[:, None]
        filled = (of >= 0).expand(b, -1)
        by_class, its_key = filled & (places != own), filled & ((places >= 2 * b) | (places == own + b))
        among = torch.where(begun, by_class, its_key)
        match = among & torch.where(begun, said[:, None] == of, places == own + b)
        weights = match / match.sum(-1, keepdim=True)
        return weighted_contrastive(q @ everyone.mT / self.temperature, weights.to(q.dtype), among)


__all__ = ["PiCO"]
