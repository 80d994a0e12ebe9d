"""Ranks instead of mixed labels: a mixture of two examples should be less sure than either, and by how much.

Noh, Park, Lee, Ham (2023), "RankMixup: ranking-based mixup training for network calibration".
"""

from __future__ import annotations

import torch
from torch import Tensor


def mixup_ranking(logits: Tensor, mixed_logits: Tensor, same: Tensor, margin) -> Tensor:
    """``relu(max z(mixed) - max z(raw) + m)``, 0 for pairs of one class: the mixture's largest *logit* stays m below.

    Noh et al. (2023), MRL; m = 2 on CIFAR-10, 1 on Tiny-ImageNet as run. The gradient goes through both.
    The authors' code multiplies a mask ``(n,)`` with hinges ``(n, 1)``, so there pairs of one class are not left out.

    Args:
        logits, mixed_logits: ``(n, K)``. same: ``(n,)`` bool, whether the pair's two labels agree.

    Returns:
        ``(n,)``.
    """
    hinge = (mixed_logits.max(-1).values - logits.max(-1).values + margin).relu()
    return torch.where(same, 0, hinge)


def mixup_ndcg(logits: Tensor, mixed_logits: Tensor, relevance: Tensor) -> Tensor:
    """``1 - min(DCG / IDCG, IDCG / DCG)``: confidences should follow, and equal, the dominant mixing weights.

    ``DCG = sum_r conf_r / log2(r + 1)`` over the raw example (r = 1) and its mixtures in descending order of relevance,
    IDCG the same sum of the relevances (1 for the raw example). Noh et al. (2023), M-NDCG, three
    mixtures; the minimum of both ratios is in the authors' code. 0 where confidences equal relevances.

    Args:
        logits: ``(n, K)``. mixed_logits: ``(M, n, K)``. relevance: ``(M, n)``, ``max(l, 1 - l)``, 1 for pairs of one
            class.

    Returns:
        ``(n,)``, in [0, 1).

    Raises:
        ValueError: the mixtures are not those of the examples.
    """
    if mixed_logits.shape[1:] != logits.shape or relevance.shape != mixed_logits.shape[:-1]:
        raise ValueError(
            f"expected mixed logits (M, n, K) and relevance (M, n) for logits (n, K); got {tuple(mixed_logits.shape)}, "
            f"{tuple(relevance.shape)} and {tuple(logits.shape)}"
        )
    confidence = mixed_logits.softmax(-1).max(-1).values.T  # (n, M)
    order = relevance.T.argsort(dim=-1, descending=True, stable=True)
    raw = logits.softmax(-1).max(-1).values
    ranked = torch.cat([raw[:, None], confidence.gather(-1, order)], -1)
    ideal = torch.cat([torch.ones_like(raw)[:, None], relevance.T.to(raw).gather(-1, order)], -1)
    discount = torch.arange(2, 2 + ranked.shape[-1], device=raw.device).to(raw).log2()
    dcg, idcg = (ranked / discount).sum(-1), (ideal / discount).sum(-1)
    return 1 - torch.minimum(dcg / idcg, idcg / dcg)
