"""Targets and scores from imperfect evidence that are right on average, where the annotator is known."""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.evidence import Complementary, Evidence, Labels, TrustedLabels, one_hot
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


__all__ = ["unbiased_targets"]
