"""What evidence is, and the checks that its forms share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor


class Evidence:
    """What an annotator handed us about ``n`` units, over ``n_classes`` classes."""

    fields: ClassVar[tuple[str, ...]] = ()
    shared: ClassVar[tuple[str, ...]] = ()
    members: Tensor | None = (
        None  # (units, size) positions, a field of grouped evidence; None: unit i is example i
    )
    n_classes: int

    def likelihood(self) -> Tensor:
        """``P(evidence | class = c)``, shape ``(n, classes)``. Forms that are not pointwise have none."""
        raise TypeError(f"{type(self).__name__} evidence has no likelihood per example; use a method made for it")

    def agreement(self, logits: Tensor) -> Tensor:
        """Mean likelihood of the predicted class: what a validation set with imperfect evidence can tell.

        For labels taken at their word it is accuracy on them; for candidate sets, how often the prediction lies in the
        set. Epochs are selected by it. Logits ``(n, K)``; returns a 0-d tensor.
        """
        predicted = one_hot(logits.argmax(-1), self.n_classes, logits.dtype)
        return (predicted * self.likelihood().to(logits.dtype)).sum(-1).mean()

    def tensors(self) -> dict[str, Tensor]:
        """The tensors that make this evidence, by name; absent optional ones are left out."""
        held = {name: getattr(self, name) for name in (*self.fields, *self.shared)}
        return {name: value for name, value in held.items() if value is not None}

    @classmethod
    def view(cls, n_classes: int, tensors: Mapping[str, Tensor]) -> Evidence:
        """The same form over given tensors, unchecked: what the fleet hands a method for one batch."""
        made = cls.__new__(cls)
        made.n_classes = n_classes
        for name in (*cls.fields, *cls.shared):
            setattr(made, name, tensors.get(name))
        return made

    def widened(self, size: int) -> Evidence:
        """Grouped evidence with room for ``size`` members a unit; forms of groups of one size stay as they are."""
        return self

    def __len__(self) -> int:
        return len(getattr(self, self.fields[0]))

    def __getitem__(self, index) -> Evidence:
        """Evidence about the units in ``index`` (a slice, or a tensor of positions or booleans)."""
        if isinstance(index, int):
            index = slice(index, index + 1)
        held = self.tensors()
        return self.view(self.n_classes, {k: v[index] if k in self.fields else v for k, v in held.items()})

    def to(self, device=None, dtype: torch.dtype | None = None) -> Evidence:
        """The same evidence on another device; floating-point tensors take ``dtype``."""
        moved = {k: v.to(device, dtype if v.is_floating_point() else None) for k, v in self.tensors().items()}
        return self.view(self.n_classes, moved)

    def __repr__(self) -> str:
        parts = ", ".join(f"{k} {tuple(v.shape)}" for k, v in self.tensors().items())
        return f"{type(self).__name__}({len(self)} units, {self.n_classes} classes: {parts})"


def one_hot(labels: Tensor, n_classes: int, dtype: torch.dtype | None = None) -> Tensor:
    """``(...,)`` class indices to ``(..., K)`` zeros and ones (in the default float type unless told).

    A comparison rather than ``torch.nn.functional.one_hot``: that one reads values on the host, which neither vmap
    nor a traced graph allows.
    """
    classes = torch.arange(n_classes, device=labels.device)
    return (labels[..., None] == classes).to(dtype or torch.get_default_dtype())


def stochastic_matrix(matrix, n_classes: int | None = None) -> Tensor:
    """A checked ``(K, K)`` transition matrix: entries in [0, 1], rows summing to 1 within 1e-6."""
    matrix = torch.as_tensor(matrix, dtype=torch.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or (n_classes and len(matrix) != n_classes):
        want = f"({n_classes}, {n_classes})" if n_classes else "square"
        raise ValueError(f"a transition matrix is {want}, got shape {tuple(matrix.shape)}")
    bad = (matrix < 0).any(1) | (matrix > 1).any(1) | ((matrix.sum(1) - 1).abs() > 1e-6) | matrix.isnan().any(1)
    if bad.any():
        row = int(bad.nonzero()[0])
        raise ValueError(
            f"a transition matrix has rows that are distributions (row c holds P(label | class c)); row {row} is "
            f"{[round(v, 4) for v in matrix[row].tolist()]}, with sum {float(matrix[row].sum()):.6g}"
        )
    return matrix


def whole_numbers(values, what: str, dimensions: tuple[int, ...] = (1,)) -> Tensor:
    values = torch.as_tensor(values)
    if values.is_floating_point() or values.dtype == torch.bool or values.ndim not in dimensions:
        shapes = "(n,) or (n, P)" if 2 in dimensions else "(n,)"
        raise ValueError(f"{what} are whole numbers of shape {shapes}, got {values.dtype}, shape {tuple(values.shape)}")
    return values.long()


def distributions(probs, what: str) -> Tensor:
    probs = torch.as_tensor(probs)
    probs = probs if probs.is_floating_point() else probs.to(torch.get_default_dtype())
    if probs.ndim not in (2, 3):
        raise ValueError(f"{what} have shape (examples, [places,] classes), got {tuple(probs.shape)}")
    bad = ~((probs >= 0).all(-1) & ((probs.sum(-1) - 1).abs() <= 1e-4))  # also true for NaN
    if bad.any():
        row = tuple(bad.nonzero()[0].tolist())
        raise ValueError(
            f"{int(bad.sum())} rows of {what} are not distributions; the first is row {', '.join(map(str, row))}: "
            f"{[round(v, 4) for v in probs[row].tolist()]} with sum {float(probs[row].sum()):.6g}"
        )
    return probs
