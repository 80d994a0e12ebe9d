"""Targets from imperfect evidence: taken at its word, or right on average where the annotator is known."""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.evidence import Bags, Candidates, Complementary, Evidence, Labels, TrustedLabels, one_hot
from labkit.losses import target_of
from labkit.losses.correction import backward_targets
from labkit.losses.unbiased import inverse_transition


def unbiased_targets(evidence: Evidence | Tensor, n_classes: int | None = None) -> Tensor:
    """``(n, K)`` float64 rows whose mean over what an annotator might say is the one-hot row of the true class.

    Labels taken at their word: one-hot. Labels with a transition matrix T: row ``label`` of the inverse of T, so that
    ``sum_l T[c, l] inverse[l, k] = 1[c = k]``. Complementary labels with Q (uniform where it is not told): the same
    with Q, mean over the labels of an example. Rows sum to 1; entries may be negative or above 1, and the worse the
    annotator, the larger they are. The value of anything linear in the label (a loss, a Brier score, a hit) under these
    targets is unbiased.

    Natarajan, Dhillon, Ravikumar, Tewari (2013), "Learning with noisy labels", lemma 1; Ishida, Niu, Menon, Sugiyama
    (2019), "Complementary-label learning for arbitrary losses and models", theorem 1.

    Args:
        evidence: labels ``(n,)`` as a tensor, :class:`Labels` or :class:`Complementary`. n_classes: K, for a tensor.

    Raises:
        TypeError: evidence of another form. ValueError: a matrix without an inverse.
    """
    if isinstance(evidence, Tensor):
        return one_hot(evidence, n_classes, torch.float64)
    if isinstance(evidence, Complementary):
        inverse, said = inverse_transition(evidence.transition, evidence.n_classes), evidence.excluded.double()
        return said @ inverse / said.sum(-1, keepdim=True)
    if isinstance(evidence, Labels):
        told = one_hot(evidence.labels, evidence.n_classes, torch.float64)
        if evidence.transition is None:
            return told
        rows = backward_targets(evidence.transition.double())[evidence.labels]
        return torch.where(evidence.trusted[:, None], told, rows) if isinstance(evidence, TrustedLabels) else rows
    raise TypeError(
        f"unbiased targets need Labels (with a transition matrix if they are noisy) or Complementary labels, got "
        f"{type(evidence).__name__}; a map that is fitted by likelihood takes any evidence"
    )


def literal_targets(evidence: Evidence) -> Tensor:
    """``(n, K)`` float64 distributions, for evidence taken at its word: a label is true; each candidate, or class that
    is not excluded, equally likely; each member of a bag of each class as often as its bag. Soft labels as they are.

    What somebody uses who does not ask how the evidence came about: no matrix, no set probability, no posterior. If
    there are bags, every example must lie in one.

    Raises:
        TypeError: evidence of another form. ValueError: examples outside all bags, or counts with noise.
    """
    if isinstance(evidence, Candidates):
        return evidence.mask.double() / evidence.sizes[:, None]
    if isinstance(evidence, Bags):
        if evidence.noise is not None:
            raise ValueError("noisy counts are no proportions; use Bags.agreement, which knows their noise")
        held = evidence.members[evidence.present]
        if int(held.max()) >= len(held):
            raise ValueError(f"bags hold {len(held)} examples, numbered up to {int(held.max())}; some lie in none")
        shares = evidence.proportions.double().repeat_interleave(evidence.sizes, 0)
        return torch.empty_like(shares).index_copy(0, held, shares)
    return target_of(evidence, torch.float64)


__all__ = ["literal_targets", "unbiased_targets"]
