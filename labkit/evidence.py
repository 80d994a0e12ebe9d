"""A label is evidence about the class.

One type per form of evidence; one generic view that all pointwise forms share: the likelihood
``P(evidence | class = c)``, a tensor of shape ``(n, classes)``. A loss that needs nothing else works for every form
(``labkit.losses.evidence_nll``); a form adds what is special about it.

To add a form (votes, bags, tags): name its tensors in ``fields`` (one row per unit) and ``shared`` (one for all
units), validate in ``__init__``, give ``likelihood`` if it is pointwise. A *unit* is what a batch draws: an example, or
(``members`` is set) a group of examples (a bag) whose rows in ``members`` name the examples it holds. The fleet
needs to know no more than this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor


class Evidence:
    """What an annotator handed us about ``n`` units, over ``n_classes`` classes."""

    fields: ClassVar[tuple[str, ...]] = ()
    shared: ClassVar[tuple[str, ...]] = ()
    members: Tensor | None = None  # (units, size) example positions, for grouped evidence; None: unit i is example i
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


class Labels(Evidence):
    """One class index per example (or per place in an example), possibly wrong.

    Args:
        labels: ``(n,)`` or ``(n, P)`` whole numbers in ``0 .. n_classes - 1``.
        n_classes: number of classes K.
        transition: optional ``(K, K)`` row-stochastic matrix, ``transition[c, l] = P(label l | class c)``. Without it
            a label is taken at its word: the likelihood is one-hot.

    Raises:
        ValueError: a label outside the range (how many, and the first), or a matrix that is not row-stochastic.
    """

    fields = ("labels",)
    shared = ("transition",)

    def __init__(self, labels, n_classes: int, transition=None):
        self.labels = _whole_numbers(labels, "labels", dimensions=(1, 2))
        self.n_classes = int(n_classes)
        outside = (self.labels < 0) | (self.labels >= n_classes)
        if outside.any():
            first = outside.nonzero()[0].tolist()
            raise ValueError(
                f"{int(outside.sum())} labels lie outside 0..{n_classes - 1}; the first is "
                f"{int(self.labels[tuple(first)])} at position {', '.join(map(str, first))}"
            )
        self.transition = None if transition is None else stochastic_matrix(transition, n_classes)

    def likelihood(self) -> Tensor:
        if self.transition is None:
            return one_hot(self.labels, self.n_classes)
        return self.transition.mT[self.labels]


class TrustedLabels(Labels):
    """Labels of which some are known to be right.

    Args:
        labels: as in :class:`Labels`. n_classes: number of classes K.
        trusted: ``(n,)`` booleans: this example's label is right. There the likelihood is one-hot whatever
            ``transition`` says of the others.
        transition: as in :class:`Labels`, of the labels that are not trusted.

    Raises:
        ValueError: as for :class:`Labels`; or ``trusted`` that is not one boolean per example.
    """

    fields = ("labels", "trusted")

    def __init__(self, labels, n_classes: int, trusted, transition=None):
        super().__init__(labels, n_classes, transition)
        self.trusted = torch.as_tensor(trusted)
        if self.trusted.dtype != torch.bool or self.trusted.shape != self.labels.shape[:1]:
            raise ValueError(
                f"trusted is one boolean per example, ({len(self.labels)},), got {self.trusted.dtype} of shape "
                f"{tuple(self.trusted.shape)}"
            )

    def likelihood(self) -> Tensor:
        said = super().likelihood()
        if self.transition is None:
            return said
        trusted = self.trusted.view(-1, *[1] * (said.ndim - 1))
        return torch.where(trusted, one_hot(self.labels, self.n_classes, said.dtype), said)


class Soft(Evidence):
    """A distribution over the classes per example (human votes, a teacher), or per place in an example.

    Args:
        probs: ``(n, K)`` or ``(n, P, K)``, rows not negative and summing to 1 within 1e-4.

    Raises:
        ValueError: rows that are not distributions. (Targets that leave the simplex on purpose, as in negative
            smoothing, are made by losses and never clipped there.)
    """

    fields = ("probs",)

    def __init__(self, probs):
        self.probs = _distributions(probs, "probs")
        self.n_classes = self.probs.shape[-1]

    def likelihood(self) -> Tensor:
        return self.probs


class Candidates(Evidence):
    """A set of classes per example, one of which is the true one.

    A complementary label ("it is not that") is the set of all other classes; an unlabelled example is the full set.

    Args:
        mask: ``(n, K)`` booleans, at least one per row.
    """

    fields = ("mask",)

    def __init__(self, mask):
        mask = torch.as_tensor(mask)
        if mask.ndim != 2:
            raise ValueError(f"candidate sets are a boolean matrix (examples, classes), got shape {tuple(mask.shape)}")
        if mask.dtype != torch.bool and not ((mask == 0) | (mask == 1)).all():
            raise ValueError("candidate sets hold only True and False (or 1 and 0)")
        self.mask = mask.bool()
        self.n_classes = mask.shape[1]
        empty = ~self.mask.any(1)
        if empty.any():
            raise ValueError(
                f"{int(empty.sum())} candidate sets are empty, the first at position {int(empty.nonzero()[0])}; "
                "an example without information has the full set (Candidates.unlabelled)"
            )

    @classmethod
    def complementary(cls, not_labels, n_classes: int) -> Candidates:
        """From classes an example is *not*: ``(n,)`` one each, or ``(n, s)`` several each."""
        wrong = _whole_numbers(not_labels, "complementary labels", dimensions=(1, 2))
        wrong = wrong[:, None] if wrong.ndim == 1 else wrong
        Labels(wrong.flatten(), n_classes)  # checks the range
        return cls(~one_hot(wrong, n_classes).bool().any(1))

    @classmethod
    def unlabelled(cls, n: int, n_classes: int) -> Candidates:
        """Full sets: nothing is known."""
        return cls(torch.ones(n, n_classes, dtype=torch.bool))

    def likelihood(self) -> Tensor:
        return self.mask.to(torch.get_default_dtype())


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


def _whole_numbers(values, what: str, dimensions: tuple[int, ...] = (1,)) -> Tensor:
    values = torch.as_tensor(values)
    if values.is_floating_point() or values.dtype == torch.bool or values.ndim not in dimensions:
        shapes = "(n,) or (n, P)" if 2 in dimensions else "(n,)"
        raise ValueError(f"{what} are whole numbers of shape {shapes}, got {values.dtype}, shape {tuple(values.shape)}")
    return values.long()


def _distributions(probs, what: str) -> Tensor:
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
