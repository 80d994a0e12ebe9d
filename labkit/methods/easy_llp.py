"""EasyLLP: train on surrogate labels that are right on average."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from labkit.evidence import Bags
from labkit.losses import cross_entropy, easy_llp_one, easy_llp_parts, mae
from labkit.methods.base import Batch, Method, Start
from labkit.names import look_up

INSTANCES = ("all", "one")
CLIPS = ("none", "labels", "parts")
BASES = {"cross_entropy": cross_entropy, "mae": mae}  # by name: a run is known again by its fields


@dataclass
class EasyLLP(Method):
    """Every member's loss under ``y~ = k (alpha - pi) + pi``, alpha the bag's class shares, pi those of all bags.

    Busa-Fekete, Choi, Dick, Gentile, Muñoz Medina (2023), "Easy learning from label proportions"; see
    :mod:`labkit.losses.easy_llp`. Bags of size 1: cross entropy. pi is estimated before training as the class shares
    among the members of all training bags, as in LLP-Bench. Bags of a batch count alike, whatever their sizes.

    Args:
        debias: False: the bag's shares alpha are soft labels for its members (the paper's baseline).
        instances: "all": the average over the members. "one": one member per bag and step, drawn at random (LLP-Bench);
            the other members are not looked at.
        clip: "none" (the paper); "labels": no surrogate label leaves the simplex; "parts": no class's share of the
            batch's loss counts below 0 (the correction that Kiryo, Niu, du Plessis, Sugiyama, 2017, use for learning
            from positive and unlabelled data). Both are biased.
        base: the loss of a label, "cross_entropy" or "mae" (bounded). (:func:`labkit.losses.easy_llp` takes any.)

    Raises:
        ValueError: an unknown name; "parts" together with one instance per bag.
    """

    debias: bool = True
    instances: str = "all"
    clip: str = "none"
    base: str = "cross_entropy"

    accepts: ClassVar = (Bags,)
    keeps: ClassVar = ("prior",)

    def __post_init__(self):
        look_up("base", self.base, BASES)
        look_up("instances", self.instances, dict.fromkeys(INSTANCES))
        look_up("clip", self.clip, dict.fromkeys(CLIPS))
        if self.instances == "one" and self.clip == "parts":
            raise ValueError('clip="parts" is about averages over members; it needs instances="all"')

    def setup(self, start: Start):
        return {"prior": start.evidence.counts.sum(0) / start.evidence.sizes.sum()}

    def draw(self, rng, steps, batch_size):
        return {"member": rng.random((steps, batch_size))} if self.instances == "one" else {}

    def objective(self, net, batch: Batch):
        bags, prior, base = batch.evidence, batch.state["prior"], BASES[self.base]
        if self.instances == "one":
            member = torch.minimum(
                (batch.draws["member"] * bags.sizes).long(), bags.sizes - 1
            )  # place among the present
            place = (bags.present & (bags.present.cumsum(-1) - 1 == member[:, None])).int().argmax(-1)
            x = bags.grouped(batch.x)[torch.arange(len(place), device=place.device), place]
            return easy_llp_one(net(x), bags.counts, bags.sizes, prior, base, self.debias, self.clip).mean(), {}
        clip = "none" if self.clip == "parts" else self.clip
        logits = bags.grouped(net(batch.x))
        parts = easy_llp_parts(logits, bags.counts, prior, bags.present, base, self.debias, clip).mean(0)
        return (parts.clamp_min(0) if self.clip == "parts" else parts).sum(), {}
