"""Easy data augmentation for texts, and how sure of its class a copy should be.

Texts are rows of word ids as in `labkit.datasets.texts`: 0 is padding, content words stand in synonym sets of equal
size, stop words have the highest ids. Everything is written for one run and stacks under vmap.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from labkit.datasets.texts import Vocabulary
from labkit.losses import label_smoothing, target_of
from labkit.methods.base import Batch, Method, Start
from labkit.streams import generator

OPERATIONS = ("replace", "insert", "swap", "delete")


def synonym(words: Tensor, uniform: Tensor, vocabulary: Vocabulary) -> Tensor:
    """Another word of the same synonym set, each with equal probability; stop words and padding stay. Ids (...)."""
    size = vocabulary.synonyms
    first = (words - 1) // size * size + 1
    other = first + (words - first + 1 + (uniform * (size - 1)).long().clamp(max=size - 2)) % size
    return torch.where((words > 0) & (words <= vocabulary.content), other, words)


def lowest(score: Tensor, allowed: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Ranks (b, L) by ``score``, places not allowed last, and a mask of the ``count`` (b,) lowest allowed ones."""
    rank = torch.where(allowed, score, 2.0 + score).argsort(-1).argsort(-1)
    return rank, allowed & (rank < count[:, None])


def edit(words: Tensor, draws: Tensor, operation: Tensor, strength: Tensor, vocabulary: Vocabulary) -> Tensor:
    """Texts changed by one of four operations each (Wei, Zou, 2019, "EDA", section 2).

    With n = max(1, round(strength * number of words)): *replace* n content words by synonyms; *insert* n synonyms of
    words of the text at random places (as far as there is padding to take); *swap* n pairs of places; *delete* each
    word with probability ``strength``, but never the last one.

    Args:
        words: (b, L) whole numbers. draws: (b, 3, L) uniform in [0, 1). operation: (b,) 0 to 3, as in `OPERATIONS`.
        strength: share of words, (b,) or a number.

    Returns:
        (b, L) ids; deleted words are 0 and may stand between others.
    """
    here = words > 0
    length = here.sum(-1)
    count = (strength * length).round().clamp_min(1)
    first, second, third = draws.unbind(-2)
    place = torch.arange(words.shape[-1], device=words.device, dtype=draws.dtype).expand(words.shape)

    _, chosen = lowest(first, here & (words <= vocabulary.content), count)
    replaced = torch.where(chosen, synonym(words, second, vocabulary), words)

    # new words go into padding first; then a stable sort by place moves each to a random one
    _, fresh = lowest(place / words.shape[-1], ~here, count)
    content = here & (words <= vocabulary.content)
    order = torch.where(content, first, torch.where(here, 2.0, 4.0) + first).argsort(-1)  # content words come first
    pick = (second * content.sum(-1, keepdim=True)).long()
    source = words.gather(-1, order.gather(-1, pick))  # without content words: a stop word is repeated
    grown = torch.where(fresh, synonym(source, third, vocabulary), words)
    key = torch.where(fresh, third * length[:, None] - 0.5, torch.where(here, place, place + words.shape[-1]))
    inserted = grown.gather(-1, key.argsort(dim=-1, stable=True))

    rank, _ = lowest(first, here, count)
    partner = rank ^ 1  # places of rank 0 and 1 change with each other, 2 and 3, ...
    pair = here & (torch.maximum(rank, partner) < torch.minimum(2 * count, length)[:, None])
    at = rank.argsort(-1).gather(-1, partner.clamp(max=words.shape[-1] - 1))  # the place that has the partner's rank
    swapped = torch.where(pair, words.gather(-1, at), words)

    spare = torch.where(here, first, -1.0)
    gone = here & (first < torch.as_tensor(strength)[..., None]) & (spare < spare.max(-1, keepdim=True).values)
    deleted = torch.where(gone, 0, words)

    made = torch.stack([replaced, inserted, swapped, deleted], -1)
    return made.gather(-1, operation[:, None, None].expand(*words.shape, 1))[..., 0]


@dataclass
class SoftEDA(Method):
    """Originals with one-hot targets, one edited copy of each with ``(1 - a) e_y + a / K``.

    Choi, Jin, Lee, Song, Kim (2023), "SoftEDA: rethinking rule-based data augmentation with soft labels": a is 0.1 to
    0.3 there, 0.2 by default, originals are not smoothed. ``smoothing = 0`` is EDA (Wei, Zou, 2019), whose usual
    strength is 0.1. There copies are made once; here anew in every step, each by one operation.

    The loss of a step is ``(sum_i CE_i + sum_i u_i CE'_i) / (b + sum_i u_i)`` over originals and copies, where u_i is
    ``copies`` with probability ``share`` and 0 otherwise.

    Args:
        strength: share of words that an operation changes. smoothing: a of copies. smoothing_original: a of originals.
        share: probability that a text's copy is used; 0 is training without augmentation. copies: weight of a copy,
            which stands for that many.
        replace, insert, swap, delete: weights of the operations, not negative and not all 0; normalised.
        vocabulary: of the texts. width: their length with padding, ``data.shape[0]``.
    """

    strength: Any = 0.1
    smoothing: Any = 0.2
    smoothing_original: Any = 0.0
    share: Any = 1.0
    copies: Any = 1.0
    replace: Any = 1.0
    insert: Any = 1.0
    swap: Any = 1.0
    delete: Any = 1.0
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    width: int = 24

    def setup(self, start: Start):
        if start.x.ndim != 2 or start.x.shape[1] != self.width:
            raise ValueError(
                f"texts have shape {tuple(start.x.shape[1:])}, but this method was made for rows of {self.width} word "
                "ids; give it width=data.shape[0]"
            )
        return {}

    def draw(self, rng, steps, batch_size):
        each = (steps, batch_size)
        return {"use": rng.random(each), "operation": rng.random(each), "words": rng.random((*each, 3, self.width))}

    def policy(self, batch: Batch) -> dict[str, Tensor]:
        """The numbers of this run: weights and strengths (4,), the others 0-d."""
        to = lambda value: torch.as_tensor(value, dtype=batch.x.dtype, device=batch.x.device)
        scalars = {name: to(getattr(self, name)) for name in ("share", "copies", "smoothing", "smoothing_original")}
        weights = torch.stack([to(getattr(self, name)) for name in OPERATIONS])
        return {**scalars, "weights": weights, "strengths": to(self.strength).expand(4)}

    def objective(self, net, batch: Batch):
        own, draws = self.policy(batch), batch.draws
        words, target = batch.x.long(), target_of(batch.evidence, batch.x.dtype)
        edges = own["weights"].cumsum(0) / own["weights"].sum()
        operation = (draws["operation"][:, None] > edges).sum(-1).clamp(max=3)
        copy = edit(words, draws["words"], operation, own["strengths"][operation], self.vocabulary).to(batch.x.dtype)
        used = own["copies"] * (draws["use"] < own["share"]).to(batch.x.dtype)
        first, second = net(torch.cat([batch.x, copy])).chunk(2)
        told = label_smoothing(first, target, own["smoothing_original"])
        made = label_smoothing(second, target, own["smoothing"])
        return (told.sum() + (used * made).sum()) / (len(target) + used.sum()), {}


@dataclass
class RandomPolicy(SoftEDA):
    """One random policy out of the search space of the AutoAugment version of SoftEDA; ``trial`` says which.

    Choi, Jin, Lee, Song, Kim (2024), "AutoAugment is what you need": share, operation weights, strengths per operation
    and both smoothings uniform in [0, 0.5], 1 to 4 copies; best validation accuracy of 100 trials proposed by TPE.
    Here the proposals are random. ``trial=lk.sweep(*range(16))`` is a search of 16 trials; every seed searches among
    its own policies.

    Args:
        trial: whole number from 0. soft: False sets both smoothings to 0, which is tuning EDA with the same budget.
    """

    trial: Any = 0
    soft: bool = True

    def setup(self, start: Start):
        rng = generator(start.seed, "method", 2**33, int(self.trial))
        share, *rest = rng.uniform(0.0, 0.5, 11)
        numbers = [share, *rest[:8], *(rest[8:] if self.soft else (0.0, 0.0)), rng.integers(1, 5)]
        return {**super().setup(start), "policy": torch.tensor(numbers, dtype=torch.float64)}

    def policy(self, batch: Batch):
        held = batch.state["policy"]
        return {
            "share": held[0], "weights": held[1:5], "strengths": held[5:9], "smoothing_original": held[9],
            "smoothing": held[10], "copies": held[11],
        }  # fmt: skip


__all__ = ["OPERATIONS", "RandomPolicy", "SoftEDA", "edit", "synonym"]
