"""What runs train on: splits and evidence, drawn per seed from their own streams, stacked for the fleet."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.annotate import Annotator
from labkit.datasets import Data
from labkit.evidence import Evidence, Labels
from labkit.fleet.plan import RunPlan, describe
from labkit.streams import generator


@dataclass
class Task:
    """Data on the device, and per distinct (seed, annotator) the split and the evidence.

    Runs that share a seed and an annotator share a row; ``row[i]`` is the row of run i of the plans it was made for.
    Clean labels stay in ``truth`` for evaluation and reach no method.
    """

    x: Tensor
    truth: Tensor  # (n,) on the CPU
    n_classes: int
    train: Tensor  # (rows, n_train) positions in x
    validation: Tensor  # (rows, n_validation)
    test: Tensor  # (rows, n_test)
    form: type[Evidence]
    evidence: dict[str, Tensor]  # training evidence, (rows, units, ...), shared fields too
    held_out: dict[str, Tensor]  # validation evidence, alike; empty without a validation set
    side: dict[str, Tensor]  # name -> (n, ...)
    row: list[int]

    @property
    def members(self) -> Tensor | None:
        """Of grouped evidence: which training examples each unit holds, ``(rows, units, size)``."""
        return self.evidence.get("members")

    @property
    def units(self) -> int:
        """How many units of evidence a training set has."""
        return self.evidence[self.form.fields[0]].shape[1]

    @property
    def unit_size(self) -> int:
        """How many training examples the largest unit of evidence holds."""
        return 1 if self.members is None else self.members.shape[-1]

    def evidence_of(self, row: int) -> Evidence:
        return self.form.view(self.n_classes, {k: v[row] for k, v in self.evidence.items()})

    def given(self) -> dict[str, Tensor]:
        """What annotators said of the validation split, ``(rows, n)`` labels or ``(rows, n, K)`` likelihoods."""
        if not self.held_out or self.members is not None:
            return {}
        if self.form is Labels and "transition" not in self.held_out:
            return {"labels": self.held_out["labels"]}
        try:
            rows = [{k: v[row] for k, v in self.held_out.items()} for row in range(len(self.validation))]
            return {"likelihood": torch.stack([self.form.view(self.n_classes, r).likelihood() for r in rows])}
        except TypeError:  # a form without a likelihood per example
            return {}

    def told(self) -> dict[str, Tensor]:
        """The labels that annotators gave of the training split, as "train/labels" ``(rows, n)``."""
        labels = issubclass(self.form, Labels) and self.members is None
        return {"train/labels": self.evidence["labels"]} if labels else {}

    def to_device(self, device, dtype) -> Task:
        cast = lambda t: t.to(device, dtype if t.is_floating_point() else None)
        tree = lambda held: {k: cast(v) for k, v in held.items()}
        return Task(
            cast(self.x), self.truth, self.n_classes, self.train.to(device), self.validation.to(device),
            self.test.to(device), self.form, tree(self.evidence), tree(self.held_out),
            tree(self.side), self.row,
        )  # fmt: skip


def prepare(data: Data, plans: list[RunPlan], validation: float, test: float) -> Task:
    """Draw every split and every annotation that ``plans`` need."""
    rows: dict[tuple, int] = {}
    row, splits, seen, held = [], [], [], []
    for plan in plans:
        which = (plan.seed, repr(describe(plan.annotator)))
        if which not in rows:
            rows[which] = len(splits)
            split = data.split(plan.seed, validation=validation, test=test)
            splits.append(split)
            seen.append(_annotate(data, plan.annotator, split.train, plan.seed, 0))
            if len(split.validation):
                held.append(_annotate(data, plan.annotator, split.validation, plan.seed, 1))
        row.append(rows[which])
    form = type(seen[0])
    return Task(
        data.x, data.y, data.n_classes,
        torch.stack([s.train for s in splits]), torch.stack([s.validation for s in splits]),
        torch.stack([s.test for s in splits]), form, _stack(seen), _stack(held), data.side, row,
    )  # fmt: skip


def _annotate(data: Data, annotator: Annotator, index: Tensor, seed: int, part: int) -> Evidence:
    known = {**data.side, **({} if data.posterior is None else {"posterior": data.posterior})}
    if missing := [name for name in annotator.needs if name not in known]:
        raise ValueError(
            f"{type(annotator).__name__} needs {', '.join(missing)} of every example, and {data.name!r} "
            f"{'knows ' + ', '.join(known) if known else 'holds only inputs and classes'}"
        )
    rng = generator(seed, "annotation", part)
    labels = Labels(data.y[index], data.n_classes)
    return annotator(labels, data.x[index], rng, **{name: known[name][index] for name in annotator.needs})


def _stack(pieces: list[Evidence]) -> dict[str, Tensor]:
    if not pieces:
        return {}
    if pieces[0].members is not None:  # bags of one seed may be larger than those of another
        width = max(p.members.shape[1] for p in pieces)
        pieces = [p.widened(width) for p in pieces]
    try:
        return {name: torch.stack([p.tensors()[name] for p in pieces]) for name in pieces[0].tensors()}
    except RuntimeError as error:
        raise ValueError(f"an annotator must give evidence of one shape for every seed: {error}") from error
