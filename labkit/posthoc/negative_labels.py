"""Strangers told by the names they prefer: labels that are surely wrong for every known class, asked beside the known.

For networks that embed pictures and names in one space (:class:`labkit.models.TwoTower`). Cosines in [-1, 1], any
leading run axes or none; a run with a NaN gives NaN (and, where words are chosen, a choice that means nothing).
"""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.metrics.over_runs import describe, mean, over_runs
from labkit.streams import generator


@torch.no_grad()
def mine_negatives(cosines: Tensor, count: int, quantile: float = 0.95) -> Tensor:
    """The ``count`` words farthest from the known names: positions ``(..., count)``, the farthest first.

    A word is as near as the ``quantile`` of its cosines to all known names (between ranks: linear), so that a few
    outlying names do not decide. Of equals the earlier word is taken.

    Args:
        cosines: ``(..., words, K)``, of each word with each known name.
        count: published: 15 % of the words, nouns and adjectives apart.
        quantile: published 0.95; 1 is the nearest name.

    Raises:
        ValueError: more words than there are, or a quantile outside [0, 1].

    Jiang, Liu, Fang, Chen, Liu, Zheng, Han (2024), "Negative label guided OOD detection with pretrained vision-language
    models", algorithm 1 (NegMining).
    """
    _check("cosines", cosines)
    if not 0 <= count <= cosines.shape[-2]:
        raise ValueError(f"expected count from 0 to the number of words, {cosines.shape[-2]}, got {count}")
    if not 0 <= quantile <= 1:
        raise ValueError(f"a quantile lies in [0, 1], got {quantile}")
    near = torch.quantile(cosines.double(), quantile, dim=-1)
    return near.sort(dim=-1, stable=True).indices[..., :count]


@torch.no_grad()
def negative_label_score(
    known: Tensor, negative: Tensor, temperature: float = 0.01, groups: int = 100, seed: int = 0
) -> Tensor:
    """How much of the softmax over known and negative names goes to the known ones: ``(..., n)``, higher is at home.

    With the cosines c of a picture, ``S = sum_known e^(c/t) / (sum_known e^(c/t) + sum_negative e^(c/t))``, computed
    for each of ``groups`` random parts of the negative names and averaged. In [0, 1]; 1 without negative names. A
    negative name can only lower the S of its part. Without negative names use :func:`max_softmax` of ``known / t``.

    Args:
        known: ``(..., n, K)``; negative: ``(..., n, M)``, M may be 0 with one group.
        temperature: t, that of the contrastive training. Published 0.01, which CLIP learned.
        groups: published 100. Their sizes differ by one at most (the authors drop a remainder; their code leaves out a
            whole group more where it is told to use fewer). seed: of the parts, the same for all runs.

    Raises:
        ValueError: shapes that do not fit, a temperature that is not positive, more groups than negative names.

    Jiang et al. (2024), equations 4 and 7.
    """
    _check("known", known)
    _check("negative", negative)
    if known.shape[:-1] != negative.shape[:-1]:
        raise ValueError(f"known {tuple(known.shape)} and negative {tuple(negative.shape)} differ before the last axis")
    m = negative.shape[-1]
    if not temperature > 0 or not 1 <= groups <= max(m, 1):
        raise ValueError(f"expected temperature > 0 and groups from 1 to the {m} negative names, got temperature="
                         f"{temperature} and groups={groups}")  # fmt: skip
    parts = torch.from_numpy(generator(seed, "method").permutation(m)).tensor_split(groups)

    def share(k: Tensor, others: Tensor) -> Tensor:
        inside = (k / temperature).logsumexp(-1)
        outside = [(others[..., part] / temperature).logsumexp(-1) for part in parts]
        return mean(torch.stack([(inside - o).sigmoid() for o in outside], -1))

    return over_runs(share, tuple(known.shape[:-2]), known, negative)


def _check(name: str, cosines: object) -> None:
    if not isinstance(cosines, Tensor) or not cosines.is_floating_point() or cosines.dim() < 2:
        raise ValueError(f"{name} must be floating-point cosines with at least two axes, got {describe(cosines)}")


__all__ = ["mine_negatives", "negative_label_score"]
