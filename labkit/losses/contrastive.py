"""Two views of the same things, compared all with all: contrastive learning with soft targets."""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.losses.basic import cross_entropy
from labkit.losses.smoothing import smooth


def contrastive(similarity: Tensor, target: Tensor) -> Tensor:
    """Mean of row and column cross entropy, shape ``(b,)`` in nats.

    ``similarity`` is ``(b, b)``: entry (i, j) compares the first view of i with the second of j, divided by the
    temperature. Row i of ``target`` ``(b, b)`` holds what share of pair i's match goes to each j; the columns use its
    transpose. With the identity it is the loss of Radford, Kim, Hallacy and others (2021), "Learning transferable
    visual models from natural language supervision", figure 3 (InfoNCE both ways).
    """
    return (cross_entropy(similarity, target) + cross_entropy(similarity.mT, target.mT)) / 2


def pair_targets(concept: Tensor, smoothing, kind: str, dtype: torch.dtype | None = None) -> Tensor:
    """``(1 - a) I + a C`` of shape ``(b, b)``: who counts as a match of whom in a batch.

    Args:
        concept: ``(b,)`` whole numbers, what each pair is about. Pairs of one concept match each other too.
        smoothing: a. kind: "identity" (C = I: every other pair is a wrong answer), "uniform" (C = 1 / b everywhere) or
            "concept" (row i of C is uniform over the pairs of i's concept, itself among them).

    The targets of Nguyen Quoc, Le Thi Thu, Quach (2025), "A vision-language foundation model for leaf disease
    identification", are soft and know the context; their exact form could not be found, and this one is ours.
    """
    alike = torch.eye(len(concept), dtype=dtype or torch.get_default_dtype(), device=concept.device)
    if kind == "identity":
        return alike
    if kind == "uniform":
        return smooth(alike, smoothing)
    if kind == "concept":
        same = (concept[:, None] == concept[None, :]).to(alike.dtype)
        return (1 - smoothing) * alike + smoothing * same / same.sum(-1, keepdim=True)
    raise ValueError(f"kind of target is identity, uniform or concept, got {kind!r}")
