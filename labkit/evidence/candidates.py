"""Evidence that names the classes an example may have."""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.evidence.base import Evidence, one_hot, whole_numbers
from labkit.evidence.labels import Labels


class Candidates(Evidence):
    """A set of classes per example, one of which is the true one.

    A complementary label ("it is not that") is the set of all other classes; an unlabelled example is the full set.

    Args:
        mask: ``(n, K)`` booleans, at least one per row.
    """

    fields = ("mask",)

    def __init__(self, mask):
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

    @classmethod
    def complementary(cls, not_labels, n_classes: int) -> Candidates:
        """From classes an example is *not*: ``(n,)`` one each, or ``(n, s)`` several each."""
        wrong = whole_numbers(not_labels, "complementary labels", dimensions=(1, 2))
        wrong = wrong[:, None] if wrong.ndim == 1 else wrong
        Labels(wrong.flatten(), n_classes)  # checks the range
        return cls(~one_hot(wrong, n_classes).bool().any(1))

    @classmethod
    def unlabelled(cls, n: int, n_classes: int) -> Candidates:
        """Full sets: nothing is known."""
        return cls(torch.ones(n, n_classes, dtype=torch.bool))

    def likelihood(self) -> Tensor:
        return self.mask.to(torch.get_default_dtype())
