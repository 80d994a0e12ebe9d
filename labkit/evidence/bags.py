"""Evidence about groups of examples: how many members of a bag have each class."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from labkit.counts import count_log_likelihood, noisy_count_log_likelihood
from labkit.evidence.base import Evidence


class Bags(Evidence):
    """Class counts of bags of examples; a unit is a bag. Bags may have different sizes and do not overlap.

    Args:
        members: ``(bags, S)`` whole numbers: positions of the members, rows of smaller bags padded up to the largest.
        counts: ``(bags, K)``: how many members have each class (proportions: see :meth:`from_index`). With ``noise``
            any numbers; without it whole numbers from 0 that add up to the bag's size.
        present: ``(bags, S)`` booleans, False where ``members`` is padding; None: no padding.
        noise: scale of the Laplace noise that was added to every count, if that is known.

    Raises:
        ValueError: bags that overlap (the first example in two of them), an empty bag, counts that do not add up.
    """

    fields = ("members", "present", "counts")
    shared = ("noise",)

    def __init__(self, members, counts, present=None, noise=None):
        self.members = torch.as_tensor(members)
        if self.members.is_floating_point() or self.members.ndim != 2:
            raise ValueError(
                f"members are whole numbers (bags, largest bag), got {self.members.dtype}, {tuple(self.members.shape)}"
            )
        everywhere = torch.ones_like(self.members, dtype=torch.bool)
        self.present = everywhere if present is None else torch.as_tensor(present)
        if self.present.dtype != torch.bool or self.present.shape != self.members.shape:
            raise ValueError(
                f"present is a boolean per place of members, {tuple(self.members.shape)}; got {self.present.dtype}, "
                f"{tuple(self.present.shape)}"
            )
        empty = ~self.present.any(1)
        if empty.any():
            raise ValueError(f"bag {int(empty.nonzero()[0])} is empty; leave it out")
        self.noise = None if noise is None else torch.as_tensor(noise, dtype=torch.get_default_dtype())
        self.counts = self._checked_counts(counts)
        self.n_classes = self.counts.shape[1]
        self._refuse_overlap()
        first = self.members.gather(1, self.present.int().argmax(1, keepdim=True))
        self.members = torch.where(self.present, self.members, first)  # padding repeats a member of the same bag

    @classmethod
    def from_index(cls, bag, counts, proportions: bool = False, noise=None) -> Bags:
        """From the bag of every example.

        Args:
            bag: ``(n,)`` whole numbers ``0 .. bags - 1``, or -1 for an example that lies in none.
            counts: ``(bags, K)`` counts, or with ``proportions`` shares that add up to 1 and that times the bag's
                size are whole numbers (within 0.01 members).

        Raises:
            ValueError: a gap in the numbering of bags, or counts for another number of bags.
        """
        bag = torch.as_tensor(bag)
        if bag.is_floating_point() or bag.ndim != 1 or (bag < -1).any():
            raise ValueError(f"bag is one whole number from -1 per example, got {bag.dtype}, shape {tuple(bag.shape)}")
        counts = torch.as_tensor(counts, dtype=torch.get_default_dtype())
        sizes = torch.bincount(bag[bag >= 0], minlength=len(counts))
        if len(sizes) > len(counts) or (sizes == 0).any():
            gap = (sizes == 0).nonzero().flatten().tolist()
            raise ValueError(
                f"bags are numbered 0 .. {len(counts) - 1} (one row of counts each) without a gap; the highest number "
                f"is {len(sizes) - 1}" + (f", and nobody lies in bag {gap[0]}" if gap else "")
            )
        members, present = pad([(bag == b).nonzero().flatten() for b in range(len(counts))])
        if proportions:
            if ((counts.sum(1) - 1).abs() > 1e-4).any():
                row = int(((counts.sum(1) - 1).abs() > 1e-4).nonzero()[0])
                raise ValueError(f"proportions add up to 1; those of bag {row} add up to {float(counts[row].sum()):g}")
            exact = counts * sizes[:, None]
            if ((exact - exact.round()).abs() > 0.01).any():
                row = int(((exact - exact.round()).abs() > 0.01).any(1).nonzero()[0])
                raise ValueError(
                    f"proportions of bag {row} ({int(sizes[row])} members) are not shares of whole members: "
                    f"{counts[row].tolist()}"
                )
            counts = exact.round()
        return cls(members, counts, present, noise)

    @property
    def sizes(self) -> Tensor:
        """``(bags,)`` numbers of members."""
        return self.present.sum(-1)

    @property
    def proportions(self) -> Tensor:
        """``(bags, K)``: counts over size. (Of noisy counts: as they are, perhaps outside [0, 1].)"""
        return self.counts / self.sizes[..., None]

    def grouped(self, rows: Tensor) -> Tensor:
        """A batch's rows ``(bags * S, ...)`` by bag, ``(bags, S, ...)``."""
        return rows.unflatten(0, self.members.shape)

    def of_members(self, values: Tensor) -> Tensor:
        """Values of all examples ``(n, ...)``, gathered by bag, ``(bags, S, ...)``."""
        return values[self.members]

    def agreement(self, logits: Tensor) -> Tensor:
        """Log-likelihood of the counts, in nats per example, under the predictions for all examples ``(n, K)``."""
        log_p = self.of_members(logits.log_softmax(-1))
        counts = self.counts.to(log_p.dtype)
        if self.noise is None:
            value = count_log_likelihood(log_p, counts, self.present)
        else:
            value = noisy_count_log_likelihood(log_p, counts, self.noise, self.present)
        return value.sum() / self.present.sum()

    def _checked_counts(self, counts) -> Tensor:
        counts = torch.as_tensor(counts, dtype=torch.get_default_dtype())
        if counts.ndim != 2 or len(counts) != len(self.members) or not counts.isfinite().all():
            raise ValueError(
                f"counts are finite numbers (bags, classes) for {len(self.members)} bags, got {tuple(counts.shape)}"
            )
        if self.noise is None:
            total = counts.sum(1)
            bad = (counts < 0).any(1) | (counts != counts.round()).any(1) | (total != self.present.sum(1))
            if bad.any():
                row = int(bad.nonzero()[0])
                raise ValueError(
                    f"counts are whole numbers from 0 that add up to the size of the bag; bag {row} has "
                    f"{int(self.present[row].sum())} members and counts {counts[row].tolist()}. Counts that were made "
                    "noisy on purpose come with their scale (noise=), proportions through Bags.from_index(proportions="
                    "True)"
                )
        return counts

    def _refuse_overlap(self) -> None:
        held = self.members[self.present]
        if (held < 0).any():
            raise ValueError(f"members are positions from 0, got {int(held.min())}")
        seen, times = held.unique(return_counts=True)
        if (times > 1).any():
            twice = int(seen[times > 1][0])
            bags = ((self.members == twice) & self.present).nonzero()[:, 0].tolist()
            raise ValueError(
                f"{int((times > 1).sum())} examples lie in several bags, the first is example {twice} in bags "
                f"{bags}; the count likelihood treats bags as independent, so they must not overlap"
            )

    def widened(self, size: int) -> Bags:
        """The same bags padded up to ``size`` places: fleets stack the bags of several seeds."""
        more = size - self.members.shape[1]
        held = self.tensors()
        held["members"] = torch.cat([self.members, self.members[:, :1].expand(-1, more)], 1)  # any member will do
        held["present"] = torch.nn.functional.pad(self.present, (0, more), value=False)
        return self.view(self.n_classes, held)


def pad(groups: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Groups of positions as a rectangle ``(groups, largest)`` and where it is filled."""
    members = torch.nn.utils.rnn.pad_sequence(list(groups), batch_first=True)
    sizes = torch.tensor([len(g) for g in groups])
    return members, torch.arange(members.shape[1]) < sizes[:, None]


__all__ = ["Bags", "pad"]
