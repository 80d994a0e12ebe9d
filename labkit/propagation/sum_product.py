"""Sum-product belief propagation over labels of 0 and 1, with neighbour pairs and one count factor per bag."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from labkit.evidence import Bags
from labkit.propagation.count_factor import count_messages
from labkit.propagation.graph import Graph


@dataclass(frozen=True)
class Beliefs:
    """What propagation believes of every example.

    Attributes: ``log_odds`` ``(n,)`` of class 1; ``probs`` ``(n,)``; ``converged``: whether messages came to rest;
    ``sweeps`` taken; ``change``: the largest change of a message (log odds) in the last sweep.
    """

    log_odds: Tensor
    converged: bool
    sweeps: int
    change: float

    @property
    def probs(self) -> Tensor:
        return torch.sigmoid(self.log_odds)


def propagate(
    bags: Bags,
    graph: Graph,
    neighbour_weight: float = 10.0,
    bag_weight: float = 10.0,
    unary: Tensor | None = None,
    iterations: int = 100,
    damping: float = 0.5,
    tolerance: float = 1e-2,
) -> Beliefs:
    """Marginals of ``P(y) ~ exp(sum_i u_i y_i - l_s sum_ij kappa_ij [y_i != y_j] - l_b sum_B (sum_B y_i - m_B)^2)``.

    Havaldar, Sharma, Sareen, Shanmugam, Raghuveer (2024), "Learning from label proportions: bootstrapping supervised
    learners via belief propagation", section 3. They write the square out into one factor per pair of members; here a
    bag is one factor (:func:`count_messages`): the same energy with fewer loops. Exact where bags and edges form no
    loop, an approximation otherwise. All messages are log odds in float64; every sweep sends those between
    neighbours, then those of the bags, each new message mixed with ``damping`` parts of the old.

    Args:
        bags: :class:`labkit.Bags` of two classes; counts of class 1 may carry noise. graph: of all
            examples, also those that lie in no bag.
        neighbour_weight: l_s, published 10. bag_weight: l_b, published 10; ``math.inf``: counts are certain.
        unary: ``(n,)`` finite log odds u from elsewhere (a classifier); None is 0.
        iterations, damping: at most so many sweeps (published 100 and 0.5). tolerance: they end when no message
            changes by more.

    Raises:
        ValueError: more than two classes, negative weights, damping outside [0, 1), or a unary term of another shape.
    """
    n = graph.n
    if bags.n_classes != 2:
        raise ValueError(f"belief propagation is for two classes, got bags of {bags.n_classes}")
    if not (neighbour_weight >= 0 and bag_weight >= 0 and 0 <= damping < 1):
        raise ValueError(
            "weights are not negative and damping lies in [0, 1), got "
            f"neighbour_weight = {neighbour_weight}, bag_weight = {bag_weight}, damping = {damping}"
        )
    device = bags.members.device
    unary = torch.zeros(n, device=device) if unary is None else unary
    if unary.shape != (n,) or not unary.isfinite().all():
        raise ValueError(f"a unary term is one finite number for each of {n} examples, got {tuple(unary.shape)}")
    unary, counts = unary.double(), bags.counts[:, 1]
    source, target = torch.cat([graph.edges, graph.edges.flip(1)]).T  # message e and e + edges run against each other
    cost = neighbour_weight * torch.cat([graph.weights, graph.weights]).double()
    pairs, bag, change = torch.zeros_like(cost), torch.zeros_like(unary), float("inf")
    arriving = lambda messages: torch.zeros_like(unary).index_add(0, target, messages)
    mixed = lambda new, old: torch.where(new.isinf(), new, (1 - damping) * new + damping * old)

    sweeps = 0
    while sweeps < iterations and change > tolerance:
        before = pairs, bag
        belief = unary + bag + arriving(pairs)
        pairs = mixed(_pair_message(belief[source] - pairs.roll(len(graph.edges)), cost), pairs)
        own = (unary + arriving(pairs))[bags.members]
        told = count_messages(own, counts, bag_weight, bags.present)
        bag = mixed(torch.zeros_like(unary).index_add(0, bags.members[bags.present], told[bags.present]), bag)
        moved = [
            torch.where(a == b, 0.0, (a - b).abs()) for a, b in zip(before, (pairs, bag))
        ]  # inf - inf is no number
        change = float(torch.cat(moved).max())
        sweeps += 1
    return Beliefs(unary + bag + arriving(pairs), change <= tolerance, sweeps, change)


def _pair_message(log_odds: Tensor, cost: Tensor) -> Tensor:
    """What a neighbour with these log odds says when disagreement costs ``cost``: at most ``cost`` either way.

    ``log (e^h + e^-c) / (e^(h - c) + 1)``, odd in h; written for |h|, so that a neighbour who is sure says just c.
    """
    sure = log_odds.abs()
    return log_odds.sign() * (cost - logsigmoid(cost + sure) + logsigmoid(sure - cost))


def energy(y: Tensor, bags: Bags, graph: Graph, neighbour_weight: float = 10.0, bag_weight: float = 10.0) -> Tensor:
    """Minus the exponent of :func:`propagate` without a unary term, for labelings ``y`` ``(..., n)`` of 0 and 1."""
    y = y.double()
    cut = (y[..., graph.edges[:, 0]] - y[..., graph.edges[:, 1]]).abs() @ graph.weights.double()
    inside = torch.where(bags.present, y[..., bags.members], 0.0).sum(-1)
    return neighbour_weight * cut + bag_weight * (inside - bags.counts[:, 1].double()).square().sum(-1)
