"""Learning from the class counts of bags: match the proportions, or maximise the likelihood of the counts."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from labkit.counts import count_posterior, noisy_count_log_likelihood
from labkit.evidence import Bags
from labkit.losses import count_nll, cross_entropy, one_against_rest_count_nll, proportion_cross_entropy
from labkit.methods.base import Method


@dataclass(kw_only=True)
class ProportionLoss(Method):
    """DLLP: the mean prediction of a bag should be its proportions, by cross entropy; a mean over bags.

    Noisy counts are brought back to proportions: what is negative counts as 0, and the rest is divided by its sum.

    Source: Ardehaly, Culotta (2017), "Co-training for demographic classification using deep learning from label
    proportions"; Tsai, Lin (2020), eq. 2.
    """

    accepts = (Bags,)

    def loss(self, logits, evidence):
        counts = evidence.counts.to(logits.dtype)
        if evidence.noise is not None:
            counts = nearest_counts(counts)
        return proportion_cross_entropy(evidence.grouped(logits), counts, evidence.present)


@dataclass(kw_only=True)
class CountLikelihood(Method):
    """Maximum likelihood of the counts of every bag, in nats per member.

    Exact for two classes, and for more while the table is small; beyond that a saddlepoint (``labkit.counts``). Where
    the evidence tells the scale of Laplace noise in its counts, the likelihood of the noisy counts.

    Source: Shukla, Zeng, Ahmed, Van den Broeck (2023), "A unified approach to count-based weakly supervised learning"
    (CountLoss). Their published code for proportions computes P(at most this count) instead.
    """

    accepts = (Bags,)

    def loss(self, logits, evidence):
        z, counts = evidence.grouped(logits), evidence.counts.to(logits.dtype)
        if evidence.noise is None:
            per_bag = count_nll(z, counts, evidence.present)
        else:
            per_bag = -noisy_count_log_likelihood(z.log_softmax(-1), counts, evidence.noise, evidence.present)
        return per_instance(per_bag, evidence)


@dataclass(kw_only=True)
class OneAgainstRestCounts(Method):
    """The composite likelihood of each class's count on its own, in nats per member; quick for many classes."""

    accepts = (Bags,)

    def loss(self, logits, evidence):
        _refuse_noise(self, evidence)
        per_bag = one_against_rest_count_nll(
            evidence.grouped(logits), evidence.counts.to(logits.dtype), evidence.present
        )
        return per_instance(per_bag, evidence)


@dataclass(kw_only=True)
class CountEM(Method):
    """Expectation-maximisation on the count likelihood: each member's posterior given the counts is its soft label.

    The posterior is that of the current weights, so one gradient step on it is one on :class:`CountLikelihood`; the
    two differ only in the value of the loss. (Wei et al., 2023, "A universal unbiased method for classification from
    aggregate observations", reach the same weights by listing all orders.)

    Source: Baručić, Kybic (2022), "Fast learning from label proportions with small bags" (who enumerate labelings).
    """

    accepts = (Bags,)

    def loss(self, logits, evidence):
        _refuse_noise(self, evidence)
        z, counts = evidence.grouped(logits), evidence.counts.to(logits.dtype)
        posterior = count_posterior(z.log_softmax(-1), counts, evidence.present)
        per_bag = (cross_entropy(z, posterior) * evidence.present).sum(-1)
        return per_instance(per_bag, evidence)


def per_instance(per_bag: torch.Tensor, evidence: Bags) -> torch.Tensor:
    """Sums over bags as values whose mean is the sum per member: a large bag weighs as much as its members do."""
    sizes = evidence.sizes.to(per_bag.dtype)
    return per_bag * (len(sizes) / sizes.sum())


def nearest_counts(counts: torch.Tensor) -> torch.Tensor:
    """Noisy counts without what is negative, ``(..., K)``; all equal where nothing is left."""
    kept = counts.clamp_min(0)
    return torch.where(kept.sum(-1, keepdim=True) > 0, kept, 1.0)


def _refuse_noise(method: Method, evidence: Bags) -> None:
    if evidence.noise is not None:
        raise TypeError(f"{type(method).__name__} takes counts at their word; noisy ones need CountLikelihood")
