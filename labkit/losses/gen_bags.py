"""GenBags: random differences between bags, instead of the bags themselves.

Saket, Raghuveer, Ravindran (2022), "On combining bags to better learn from label proportions", AISTATS; the numbers
are those of the LLP-Bench code (the paper's objective could not be read). A block of B bags is combined with weights
w ~ N(0, C); of every combination the predicted and the told number of members must agree,

    (sum_b w_b d_b)^2  with  d_b = sum of the members' probabilities of a class - its count.

C has 1.001 on its diagonal and -0.99 / (B - 1) beside it, so the weights of a block nearly cancel and the loss nearly
ignores an error that all its bags share.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK, COMBINATIONS, DIAGONAL, TOTAL = 4, 60, 1.001, 0.99


def gen_bags_covariance(block: int = BLOCK) -> Tensor:
    """C, ``(B, B)`` float64: positive definite, its rows sum to 0.011 for every B of at least 2."""
    if block < 2:
        raise ValueError(f"a block combines at least 2 bags, got {block}")
    beside = -TOTAL / (block - 1)
    return torch.full((block, block), beside, dtype=torch.float64).fill_diagonal_(DIAGONAL)


def count_errors(logits: Tensor, counts: Tensor, present: Tensor | None = None) -> Tensor:
    """d, ``(b, K)``: predicted less told counts, from logits ``(b, S, K)``, counts ``(b, K)``, present ``(b, S)``."""
    p = logits.softmax(-1)
    if present is not None:
        p = torch.where(present[..., None], p, 0.0)
    return p.sum(-2) - counts.to(p.dtype)


def gen_bags(logits: Tensor, counts: Tensor, present: Tensor | None = None, weights: Tensor | None = None,
             block: int = BLOCK) -> Tensor:  # fmt: skip
    """The mean over combinations of ``(sum_b w_b d_b)^2``, per member of the block, ``(b / block,)``.

    Without ``weights`` it is the expectation over them, ``d' C d``: a quadratic loss of bags without random numbers.
    Summed over the classes and halved, so that two classes (whose errors are each other's negative) give the published
    form; K classes are ours. (The published code adds up 60 combinations; the mean leaves the learning rate alone.)

    Args:
        logits: ``(b, S, K)``. counts: ``(b, K)``. present: ``(b, S)`` booleans.
        weights: ``(b / block, combinations, block)`` drawn from N(0, C).
        block: bags that are combined with each other; neighbours in the batch, which is in random order.

    Raises:
        ValueError: a number of bags that ``block`` does not divide.
    """
    if len(logits) % block:
        raise ValueError(
            f"GenBags combines blocks of {block} bags, and the batch has {len(logits)}; choose a batch_size that is a "
            "multiple, or another block"
        )
    error = count_errors(logits, counts, present).unflatten(0, (-1, block))  # (blocks, B, K)
    if weights is None:
        covariance = gen_bags_covariance(block).to(error)
        value = (error * (covariance @ error)).sum((-2, -1))
    else:
        value = (weights.to(error.dtype) @ error).square().sum(-1).mean(-1)
    sizes = error.new_full((len(logits),), logits.shape[1]) if present is None else present.sum(-1).to(error.dtype)
    return value / (2 * sizes.unflatten(0, (-1, block)).sum(-1))
