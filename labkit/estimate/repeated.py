"""Several noisy labels per example, drawn independently by one annotator: the likeliest prior and matrix."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class LabelModel(NamedTuple):
    """``prior`` ``(..., K)``, ``transition`` ``(..., K, K)`` and ``score`` ``(...,)``, how well they fit."""

    prior: Tensor
    transition: Tensor
    score: Tensor


def label_counts(labels, n_classes: int) -> Tensor:
    """``(K,)``, ``(K, K)`` or ``(K, K, K)``: how often each combination came among ``labels`` ``(n, p)``."""
    labels = torch.as_tensor(labels).cpu()
    flat = torch.zeros(len(labels), dtype=torch.long)
    for one in labels.T:
        flat = flat * n_classes + one
    return flat.bincount(minlength=n_classes ** labels.shape[1]).double().reshape([n_classes] * labels.shape[1])


def repeated_labels(
    counts: Tensor, labels: int, rng: np.random.Generator, starts: int = 10, steps: int = 1000
) -> LabelModel:
    """Expectation-maximisation for ``P(labels) = sum_c pi_c prod_l T[c, label_l]`` from many random starts.

    Dawid, Skene (1979) with one worker who answers several times. With one or two labels starts end at different
    matrices of *equal* likelihood; with three they agree, up to the order of the hidden classes (Liu, Cheng, Zhang,
    2023): see :mod:`labkit.theory.identifiability`.

    Args:
        counts: ``(..., K, ..., K)`` counts, or a distribution (infinite data), with ``labels`` axes of size K.
        starts: random starts, rows and prior uniform on the simplex, the same ones for every leading entry.

    Returns:
        :class:`LabelModel` with an axis of starts before K, best first; ``score`` is the mean log-likelihood per
        example in nats.
    """
    counts = torch.as_tensor(counts).double()
    if labels < 1 or counts.ndim < labels or len(set(counts.shape[counts.ndim - labels :])) != 1:
        raise ValueError(f"counts of {labels} labels end in {labels} axes of one size, got {tuple(counts.shape)}")
    lead, k = counts.shape[: counts.ndim - labels], counts.shape[-1]
    seen = counts.reshape(-1, *[k] * labels)
    orders = list(itertools.permutations(range(1, labels + 1)))
    seen = torch.stack([seen.permute(0, *order) for order in orders]).mean(0)  # labels have no order
    seen = (seen / seen.flatten(1).sum(1).reshape(-1, *[1] * labels)).reshape(len(seen), 1, k, -1)

    draw = lambda *shape: torch.from_numpy(rng.dirichlet(np.ones(k), shape))
    prior, transition = (v.expand(len(seen), *v.shape) for v in (draw(starts), draw(starts, k)))
    for _ in range(steps):
        first = prior[..., None] * transition  # P(c, first label)
        others = _others(transition, labels - 1)  # P(the other labels | c)
        joint = first.mT @ others
        ratio = torch.where(seen > 0, seen / joint.clamp_min(1e-300), 0.0)
        expected = first * (others @ ratio.mT)  # share of examples with hidden class c and that first label
        prior = expected.sum(-1)
        transition = torch.where(prior[..., None] > 0, expected / prior[..., None].clamp_min(1e-300), transition)
    joint = (prior[..., None] * transition).mT @ _others(transition, labels - 1)
    score = torch.where(seen > 0, seen * joint.clamp_min(1e-300).log(), 0.0).sum((-2, -1))
    best = score.sort(dim=-1, descending=True, stable=True).indices
    prior = prior.gather(1, best[..., None].expand_as(prior))
    transition = transition.gather(1, best[..., None, None].expand_as(transition))
    return LabelModel(*(v.reshape(*lead, *v.shape[1:]) for v in (prior, transition, score.gather(1, best))))


def _others(transition: Tensor, count: int) -> Tensor:
    """``(..., K, K^count)``: row c holds the probabilities of every combination of ``count`` labels."""
    joint = torch.ones_like(transition[..., :1])
    for _ in range(count):
        joint = (joint[..., None] * transition[..., None, :]).flatten(-2)
    return joint
