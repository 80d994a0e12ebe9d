"""Learning from label proportions by belief propagation: propagate counts to single labels, train, embed, again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from labkit.evidence import Bags
from labkit.losses import cross_entropy
from labkit.methods.base import Batch, Method, Start
from labkit.methods.proportions import nearest_counts, per_instance
from labkit.propagation import neighbour_graph, propagate


@dataclass
class BeliefPropagation(Method):
    """``CE(pseudo-label of every member) + pooled * CE(proportions of the bag | its mean embedding)``, two classes.

    Havaldar, Sharma, Sareen, Shanmugam, Raghuveer (2024), "Learning from label proportions: bootstrapping supervised
    learners via belief propagation", algorithm 1. Before training, pseudo-labels are the marginals of a Gibbs
    distribution in which neighbours agree and bags have their counts (:func:`labkit.propagation.propagate`), with the
    inputs as covariates. A second round is another fit, with the first round's runs as ``before``: their penultimate
    features are the covariates then, and the network starts anew.

    Two things differ from the published code: a bag is one exact factor instead of a pair of members each, and the
    mean embedding goes through the network's own head (theirs has a second head for bags, of one hidden layer).
    Propagation runs on the CPU in float64.

    Args:
        before: :class:`labkit.Runs` of one method on the same seeds, whose embeddings join the neighbours.
        neighbour_weight: cost of neighbours that disagree, times their similarity. Published 10; 0 is without.
        bag_weight: cost of a squared miss of a count. Published 10; ``math.inf``: certain; 0 is without.
        neighbours: of each example, published 5. scale: length of the kernel that weighs them, published 1; None is
            the median distance of neighbours, so that the weight means the same for inputs and for embeddings.
        pooled: weight of the bag's term, published 0.1.
        hard: pseudo-labels are the marginals cut at 1/2, as in the published code; False: the marginals themselves.
        unary: weight in the propagation of the log odds of ``before``; published 0, ours to try.

    State:
        pseudo: ``(n,)`` believed probability of class 1 of every training example. change: the largest change of a
        message (log odds) in the last sweep; above 0.01 propagation was stopped before it came to rest.

    Raises:
        ValueError: more than two classes; a unary weight without ``before``.
    """

    before: Any = None
    neighbour_weight: Any = 10.0
    bag_weight: Any = 10.0
    neighbours: int = 5
    scale: float | None = None
    pooled: Any = 0.1
    hard: bool = True
    unary: Any = 0.0

    accepts: ClassVar = (Bags,)
    keeps: ClassVar = ("pseudo", "change")

    def setup(self, start: Start):
        if self.unary != 0 and self.before is None:
            raise ValueError(f"unary = {self.unary} weighs the log odds of an earlier round, and `before` is None")
        covariates, unary = start.x, None
        if self.before is not None:
            covariates = self.before.predict(start.x, features=True)[0]
            logits = self.before.predict_one(start.x)
            unary = self.unary * (logits[:, 1] - logits[:, 0]).cpu()
        graph = neighbour_graph(covariates.cpu(), self.neighbours, self.scale)
        weights = float(self.neighbour_weight), float(self.bag_weight)
        found = propagate(start.evidence.to("cpu"), graph, *weights, unary=unary)
        pseudo = (found.log_odds >= 0).double() if self.hard else found.probs
        return {"pseudo": pseudo, "change": torch.tensor(found.change)}

    def objective(self, net, batch: Batch):
        bags, features = batch.evidence, net.features(batch.x)
        logits = bags.grouped(net.head(features))
        believed = batch.state["pseudo"].to(logits.dtype)[bags.members]
        told = cross_entropy(logits, torch.stack([1 - believed, believed], -1))
        here = bags.present.to(logits.dtype)
        embedding = (bags.grouped(features) * here[..., None]).sum(1) / here.sum(1, keepdim=True)
        counts = nearest_counts(bags.counts.to(logits.dtype))
        of_bag = cross_entropy(net.head(embedding), counts / counts.sum(-1, keepdim=True))
        return (per_instance((told * here).sum(1), bags) + self.pooled * of_bag).mean(), {}
