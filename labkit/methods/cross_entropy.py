"""Cross entropy, and the likelihood of any pointwise evidence."""

from __future__ import annotations

from dataclasses import dataclass

from labkit.evidence import Evidence
from labkit.losses import cross_entropy, evidence_nll, target_of
from labkit.methods.base import Method


@dataclass(kw_only=True)
class CrossEntropy(Method):
    """``-sum_k t_k log p_k``: labels are taken at their word, soft labels as targets. The baseline."""

    def loss(self, logits, evidence):
        return cross_entropy(logits, target_of(evidence, logits.dtype))


@dataclass(kw_only=True)
class EvidenceLikelihood(Method):
    """``-log sum_c p_c P(evidence | c)``: maximum likelihood for any pointwise evidence.

    Cross entropy for labels, forward correction (Patrini et al., 2017) where the labels carry a transition matrix,
    the candidate-set likelihood (Jin, Ghahramani, 2002) for candidates.
    """

    accepts = (Evidence,)

    def loss(self, logits, evidence):
        return evidence_nll(logits, evidence)
