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


def weighted_contrastive(similarity: Tensor, weights: Tensor, among: Tensor) -> Tensor:
    """``-sum_j w_ij log(exp(s_ij) / sum_{l in among_i} exp(s_il))``, shape ``(a,)`` in nats: InfoNCE, whoever matches.

    ``similarity`` ``(a, b)`` compares anchor i with j, divided by the temperature; ``among`` ``(a, b)`` booleans says
    with whom i is compared at all (not with itself), at least one in every row; ``weights`` ``(a, b)`` are how much j
    is a match of i, ignored outside ``among``. Equal weights on the examples of i's class that sum to 1: Khosla,
    Teterwak and others (2020), "Supervised contrastive learning", equation 2 (their "out"); one 1: InfoNCE.
    """
    everyone = torch.where(among, similarity, -torch.inf).logsumexp(-1, keepdim=True)
    return torch.where(among, weights * (everyone - similarity), 0).sum(-1)
