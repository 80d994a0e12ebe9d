"""Bags small enough to enumerate: the beliefs of their members, and the likelihood of a count over every labelling."""

from __future__ import annotations

import functools
import itertools

import torch

SIZES = {2: 8, 3: 7, 4: 6}  # the largest bag that is enumerated in every one of its counts, by classes


def beliefs(size: int, k: int, seed: int = 0, scale: float = 2.0, bags: tuple[int, ...] = ()):
    """Log probabilities of random members, ``(*bags, size, k)`` float64."""
    g = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(*bags, size, k, generator=g, dtype=torch.float64)).log_softmax(-1)


def compositions(size: int, k: int) -> list[tuple[int, ...]]:
    """Every way in which ``size`` members can be counted."""
    if k == 1:
        return [(size,)]
    return [(m, *rest) for m in range(size + 1) for rest in compositions(size - m, k - 1)]


@functools.cache
def labellings(size: int, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All ``k ** size`` labellings ``(L, size)`` and their counts ``(L, k)``."""
    every = torch.tensor(list(itertools.product(range(k), repeat=size)))
    return every, torch.stack([(every == c).sum(1) for c in range(k)], 1)


def enumerated(log_p: torch.Tensor, counts) -> torch.Tensor:
    """``log P(counts)`` of one bag ``(size, k)``: the sum over all labellings with these counts."""
    every, held = labellings(*log_p.shape)
    weight = log_p[torch.arange(len(log_p)), every].sum(1)
    return weight[(held == torch.tensor(counts)).all(1)].logsumexp(0)


def enumerated_posterior(log_p: torch.Tensor, counts) -> torch.Tensor:
    """P(member i has class c | counts): the share of the labellings that say so, ``(size, k)``."""
    every, held = labellings(*log_p.shape)
    fits = every[(held == torch.tensor(counts)).all(1)]
    share = log_p[torch.arange(len(log_p)), fits].sum(1).softmax(0)
    return torch.stack([(share[:, None] * (fits == c)).sum(0) for c in range(log_p.shape[1])], 1)


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(a, torch.as_tensor(b, dtype=a.dtype), rtol=tolerance, atol=tolerance)
