"""Evidence that names the classes an example may have, or those it has not."""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.evidence.base import Evidence, one_hot, stochastic_matrix, whole_numbers
from labkit.evidence.labels import Labels


class Candidates(Evidence):
    """A set of classes per example, one of which is (supposed to be) the true one; an unlabelled example has them all.

    Args:
        mask: ``(n, K)`` booleans, at least one per row.
        weights: ``(n, K)``, where it is known how sets come about: ``P(this set | class c)``, times anything that does
            not depend on c. Without it every class in the set explains it equally well and no other does.

    Raises:
        ValueError: an empty set, or weights that are negative or all zero.
    """

    fields = ("mask", "weights")

    def __init__(self, mask, weights=None):
        mask = torch.as_tensor(mask)
        if mask.ndim != 2:
            raise ValueError(f"candidate sets are a boolean matrix (examples, classes), got shape {tuple(mask.shape)}")
        if mask.dtype != torch.bool and not ((mask == 0) | (mask == 1)).all():
            raise ValueError("candidate sets hold only True and False (or 1 and 0)")
        self.mask = mask.bool()
        self.n_classes = mask.shape[1]
        empty = ~self.mask.any(1)
        if empty.any():
            raise ValueError(
                f"{int(empty.sum())} candidate sets are empty, the first at position {int(empty.nonzero()[0])}; "
                "an example without information has the full set (Candidates.unlabelled)"
            )
        self.weights = None if weights is None else _weights(weights, self.mask)

    @classmethod
    def complementary(cls, not_labels, n_classes: int) -> Candidates:
        """From classes an example is *not*: ``(n,)`` one each, or ``(n, s)`` several each."""
        return cls(~_excluded(not_labels, n_classes))

    @classmethod
    def unlabelled(cls, n: int, n_classes: int) -> Candidates:
        """Full sets: nothing is known."""
        return cls(torch.ones(n, n_classes, dtype=torch.bool))

    @property
    def sizes(self) -> Tensor:
        """``(n,)`` numbers of candidates."""
        return self.mask.sum(-1)

    def likelihood(self) -> Tensor:
        return self.mask.to(torch.get_default_dtype()) if self.weights is None else self.weights

    def agreement(self, logits: Tensor) -> Tensor:
        """Covering rate: how often the predicted class lies in the set. Logits ``(n, K)``; a 0-d tensor."""
        predicted = one_hot(logits.argmax(-1), self.n_classes, logits.dtype)
        return (predicted * self.mask).sum(-1).mean()


class Complementary(Candidates):
    """Classes that an example is said *not* to have, one or several each: candidates are all the others.

    Args:
        not_labels: ``(n,)`` or ``(n, s)`` whole numbers.
        n_classes: number of classes K.
        transition: optional ``(K, K)`` row-stochastic matrix ``Q[c, l] = P(complementary label l | class c)``; a
            positive diagonal means that true classes are sometimes excluded. Several labels of one example count as
            independent draws. Without it the excluded classes are out and the others equally likely to be excluded.

    Raises:
        ValueError: labels outside the range, all classes excluded, or a matrix that is not row-stochastic.
    """

    fields = ("mask",)
    shared = ("transition",)
    weights = None

    def __init__(self, not_labels, n_classes: int, transition=None):
        super().__init__(~_excluded(not_labels, n_classes))
        self.transition = None if transition is None else stochastic_matrix(transition, n_classes)

    @property
    def excluded(self) -> Tensor:
        """``(n, K)`` booleans: said not to be this class."""
        return ~self.mask

    def likelihood(self) -> Tensor:
        if self.transition is None:
            return self.mask.to(torch.get_default_dtype())
        said = self.excluded.to(self.transition.dtype)  # sum_l said[n, l] log Q[c, l]; 0 of log 0 is 0
        log_q = self.transition.log().clamp_min(-1e30)
        return (said @ log_q.mT).exp()


def _excluded(not_labels, n_classes: int) -> Tensor:
    """``(n, K)`` booleans of classes that are ruled out."""
    wrong = whole_numbers(not_labels, "complementary labels", dimensions=(1, 2))
    wrong = wrong[:, None] if wrong.ndim == 1 else wrong
    Labels(wrong.flatten(), n_classes)  # checks the range
    return one_hot(wrong, n_classes).bool().any(1)


def _weights(weights, mask: Tensor) -> Tensor:
    weights = torch.as_tensor(weights)
    weights = weights if weights.is_floating_point() else weights.to(torch.get_default_dtype())
    if weights.shape != mask.shape:
        raise ValueError(f"weights have one number per example and class, {tuple(mask.shape)}; got {weights.shape}")
    bad = ~((weights >= 0).all(1) & weights.isfinite().all(1) & (weights > 0).any(1))
    if bad.any():
        row = int(bad.nonzero()[0])
        raise ValueError(
            f"weights are finite, not negative and somewhere above 0 in every row; row {row} is {weights[row].tolist()}"
        )
    return weights
