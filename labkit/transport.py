"""Filling in the labels that counts hide: a plan that gives every class of a bag exactly as many members as it has.

With ``log_p`` ``(..., S, K)``, ``counts`` ``(..., K)`` and ``present`` ``(..., S)`` (False where a smaller bag is
padded). All are constants for a gradient, and work under vmap.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from labkit.counts import tilted


def entropic_assignment(
    log_p: Tensor, counts: Tensor, present: Tensor | None = None, reg=0.2, rounds: int = 40
) -> Tensor:
    """The plan Q that minimises ``-sum_ik Q_ik log p_ik - reg H(Q)`` with rows of sum 1 and columns of sum ``counts``.

    ``Q_ik`` is ``p_ik^(1/reg) exp(t_k)``, normalised over k: what Sinkhorn's alternating scaling tends to. Here t is
    found by damped Newton steps instead: after 100 scalings of confident predictions at reg = 0.2 whole members are
    still in the wrong column, after 40 Newton steps less than 1e-8 of one (float64; some 1e-4 in float32). reg = 1 is
    exponential tilting (:func:`labkit.counts.tilted`): *not* P(class of member | counts), which it approaches in large
    bags. Large reg gives all rows the bag's proportions, reg -> 0 the :func:`hard_assignment` (where it is unique).

    Source: Cuturi (2013), "Sinkhorn distances"; Dulac-Arnold, Zeghidour, Cuturi, Beyer, Vert (2019), "Deep multi-class
    learning from label proportions".

    Args:
        log_p: log probabilities, detached here. counts: may be fractions, with the bag's size as their sum.
        reg: above 0; a number or 0-d tensor. rounds: Newton steps, always this many; logits of some hundreds over a
            small reg (log p / reg beyond a thousand) want 100.

    Returns:
        ``(..., S, K)``; rows of padding are 0.
    """
    return tilted(log_p.detach() / reg, counts, present, rounds)


def hard_assignment(scores: Tensor, counts: Tensor, present: Tensor | None = None) -> Tensor:
    """Labels ``(..., S)`` that maximise the sum of ``scores[i, label_i]`` and have exactly these counts.

    Two classes: the members with the largest ``score_1 - score_0``; of equals the first, so that ties cannot break the
    counts. More: the assignment problem of members and places, solved exactly (Jonker, Volgenant; scipy) outside
    torch, so on a CUDA device not inside a training step.

    Args:
        scores: ``(..., S, K)``, such as log probabilities. counts: ``(..., K)`` whole numbers
            (:func:`labkit.counts.whole_counts`).

    Returns:
        Class indices (int64); 0 for padding.
    """
    if present is None:
        present = torch.ones_like(scores[..., 0], dtype=torch.bool)
    scores = scores.detach()
    if scores.shape[-1] == 2:
        gain = torch.where(present, scores[..., 1] - scores[..., 0], -torch.inf)
        rank = gain.argsort(dim=-1, descending=True, stable=True).argsort(-1)
        return (rank < counts[..., 1:]).long() * present
    return _assigned(scores, counts, present)


@torch.library.custom_op("labkit::assigned", mutates_args=())
def _assigned(scores: Tensor, counts: Tensor, present: Tensor) -> Tensor:
    """Exact assignment bag by bag, on the host; an operator of its own so that it can be traced and stacked."""
    from scipy.optimize import linear_sum_assignment

    *lead, size, k = scores.shape
    bags = zip(
        np.nan_to_num(scores.double().cpu().numpy()).reshape(-1, size, k),  # one diverged run must not stop a fleet
        counts.round().long().cpu().numpy().reshape(-1, k),
        present.cpu().numpy().reshape(-1, size),
    )
    labels = np.zeros((int(np.prod(lead)), size), dtype=np.int64)
    for row, (score, count, here) in zip(labels, bags):
        places = np.repeat(np.arange(k), count)  # a place for each member, named by its class
        member, place = linear_sum_assignment(score[here][:, places], maximize=True)
        row[np.flatnonzero(here)[member]] = places[place]
    return torch.from_numpy(labels.reshape(*lead, size)).to(scores.device)


@_assigned.register_fake
def _(scores, counts, present):
    return torch.empty_like(scores[..., 0], dtype=torch.int64)


@_assigned.register_vmap
def _(info, axes, *tensors):
    front = [t.expand(info.batch_size, *t.shape) if a is None else t.movedim(a, 0) for t, a in zip(tensors, axes)]
    return _assigned(*front), 0


__all__ = ["entropic_assignment", "hard_assignment"]
