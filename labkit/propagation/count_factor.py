"""What a bag tells each of its members: messages of one factor on the number of members in class 1."""

from __future__ import annotations

import math

import torch
from torch import Tensor

ELEMENTS = 2**21  # bags are taken in pieces whose largest table stays below this many numbers (16 MiB)


def count_messages(log_odds: Tensor, counts: Tensor, weight: float = 10.0, present: Tensor | None = None) -> Tensor:
    """``log sum_c P_-i(c) phi(c + 1) - log sum_c P_-i(c) phi(c)`` with ``phi(c) = exp(-weight (c - count)^2)``.

    P_-i is the distribution of how many of the *other* members are in class 1 when each is, on its own, with the given
    log odds (Poisson-binomial). All leave-one-out sums of a bag of S come from one product tree, in O(S^2): counts of
    halves go up it, and what the rest allows comes down.

    Nothing is subtracted, so small numbers keep their digits, and a tilt of each bag's log odds by a common amount
    (undone in the result) puts the probability where phi is, so that they do not vanish either.

    Args:
        log_odds: ``(b, S)`` finite, of class 1 against class 0, without what this factor says.
        counts: ``(b,)`` observed counts, whole or not. weight: from 0; ``math.inf`` means the count is certain.
        present: ``(b, S)`` booleans, False for padding (its message is 0).

    Returns:
        ``(b, S)`` log odds, float64. With a certain count they can be infinite (a count of 0: nobody).

    Raises:
        ValueError: a negative weight, or certain counts that are not whole or that the bag cannot have.
    """
    b, size = log_odds.shape
    present = torch.ones(b, size, dtype=torch.bool, device=log_odds.device) if present is None else present
    counts = counts.double()
    if not weight >= 0:
        raise ValueError(f"the weight of the counts is not negative, got {weight}")
    if weight == 0:
        return torch.zeros_like(log_odds, dtype=torch.float64)
    if math.isinf(weight):
        wrong = (counts != counts.round()) | (counts < 0) | (counts > present.sum(1))
        if wrong.any():
            first = int(wrong.nonzero()[0])
            raise ValueError(
                f"a certain count is whole and from 0 to the bag's size; bag {first} of {int(present[first].sum())} "
                f"members has {float(counts[first]):g}. Give counts with noise a finite weight"
            )
    width = 2 ** math.ceil(math.log2(max(size, 1)))
    held = torch.full((b, width), -math.inf, dtype=torch.float64, device=log_odds.device)  # padding is never in class 1
    held[:, :size] = torch.where(present, log_odds.double(), -math.inf)
    piece = max(1, ELEMENTS // (width * (width // 2 + 1)))
    told = [_tree(h, c, weight) for h, c in zip(held.split(piece), counts.split(piece))]
    return torch.where(present, torch.cat(told)[:, :size], 0.0) if told else held[:, :size]


def _tree(log_odds: Tensor, counts: Tensor, weight: float) -> Tensor:
    tilt = _tilt(log_odds, counts, weight)
    tilted = log_odds + tilt
    up = [torch.stack([torch.sigmoid(-tilted), torch.sigmoid(tilted)], -1)]  # (b, members, 2): chances of 0 and 1
    while up[-1].shape[1] > 1:
        up.append(_sums(up[-1][:, 0::2], up[-1][:, 1::2]))
    count = torch.arange(up[-1].shape[-1], dtype=torch.float64, device=counts.device)
    gap = (count - counts[:, None]).square()
    log_phi = torch.where(gap == 0, 0.0, -weight * gap) - tilt * count  # where: 0 * inf is not a number
    down = _scaled((log_phi - log_phi.amax(-1, keepdim=True)).exp()[:, None])
    for level in reversed(up[:-1]):
        left, right = level[:, 0::2], level[:, 1::2]
        down = _scaled(torch.stack([_rest(right, down), _rest(left, down)], 2).flatten(1, 2))
    return down[..., 1].log() - down[..., 0].log() + tilt


def _tilt(log_odds: Tensor, counts: Tensor, weight: float, steps: int = 60) -> Tensor:
    """``(b, 1)`` the t with ``sum_i sigmoid(h_i + t) + t / (2 weight) = count``, by halving: the mode of P(c) phi(c).

    Within half a member will do: the tilt decides what can be held in a float, not the result.
    """
    high = torch.where(log_odds.isinf(), 0.0, log_odds).abs().amax(1, keepdim=True) + 40
    low, middle = -high, torch.zeros_like(high)
    for _ in range(steps):
        gap = torch.sigmoid(log_odds + middle).sum(1, keepdim=True) + middle / (2 * weight) - counts[:, None]
        if (gap.abs() < 0.5).all():
            break
        low, high = torch.where(gap > 0, low, middle), torch.where(gap > 0, middle, high)
        middle = (low + high) / 2
    return middle


def _sums(left: Tensor, right: Tensor) -> Tensor:
    """Distribution of a sum: ``out[c] = sum_d left[d] right[c - d]``, ``(..., a + 1)`` twice to ``(..., 2 a + 1)``."""
    a = left.shape[-1] - 1
    windows = torch.nn.functional.pad(left, (a, a)).unfold(-1, a + 1, 1)  # (..., 2a+1, a+1)
    return torch.matmul(windows, right.flip(-1)[..., None])[..., 0]


def _rest(other: Tensor, allowed: Tensor) -> Tensor:
    """What one half may be, given its sibling: ``out[c] = sum_d other[d] allowed[c + d]``."""
    return torch.matmul(allowed.unfold(-1, other.shape[-1], 1), other[..., None])[..., 0]


def _scaled(values: Tensor) -> Tensor:
    return values / values.amax(-1, keepdim=True)  # a factor common to a node cancels in its ratio
