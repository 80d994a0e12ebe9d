"""Softmax, prediction and order, computed the way a CPU is quick at.

Over a last axis of ten or so, a library's softmax and largest entry work row by row and take several times as long as
the same arithmetic class by class, on ``(..., K, n)``. On a CPU numpy sorts numbers many times faster than torch does,
and is quicker at exponentials, sums and comparisons.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .memo import shared
from .over_runs import over_classes


def by_class(logits: Tensor) -> Tensor:
    """``(..., n, K)`` as ``(..., K, n)``, each class in one piece of memory."""
    return logits.mT.contiguous()


def exp_(values: Tensor) -> Tensor:
    """exp in place; numpy takes half of torch's time for doubles."""
    if values.device.type != "cpu":
        return values.exp_()
    np.exp(values.numpy(), out=values.numpy())
    return values


@shared
def largest(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits by class ``(..., K, n)``, the largest of each example ``(..., 1, n)``, and its class ``(..., n)``."""
    z = by_class(logits)
    top, classes = z.amax(-2, keepdim=True), z.shape[-2]
    # K counts down from the first class on, so the largest count belongs to the first of equals
    whole = torch.int8 if classes < 2**7 else torch.int16 if classes < 2**15 else torch.int32
    count = torch.arange(classes, 0, -1, device=z.device, dtype=whole)
    if z.device.type == "cpu":
        marks = torch.from_numpy((z.numpy() == top.numpy()) * count.numpy()[:, None])
    else:
        marks = (z == top) * count.unsqueeze(-1)
    return z, top, classes - marks.amax(-2).long()


@shared
def _odds(logits: Tensor) -> tuple[Tensor, Tensor]:
    """exp(z - max z) ``(..., K, n)``, and its sum over classes ``(..., n)``. Only for :func:`softmax`, which
    writes in the first, and for those who want the second."""
    z, top, _ = largest(logits)
    each = exp_(z - top)
    return each, over_classes(each)


@shared
def softmax(logits: Tensor) -> Tensor:
    """Probabilities ``(..., K, n)`` of logits ``(..., n, K)``."""
    each, whole = _odds(logits)
    return each.div_(whole.unsqueeze(-2))  # in place: another such block would leave the core's cache


def predicted(logits: Tensor) -> Tensor:
    """The class of the largest logit, ``(..., n)``; ties go to the lower index."""
    return largest(logits)[2]


@shared
def confusion(logits: Tensor, labels: Tensor) -> Tensor:
    """How many examples of class i (rows) are predicted as j, ``(..., K, K)`` in float64."""
    classes = logits.shape[-1]
    cell = labels * classes + predicted(logits)
    count = torch.zeros(*cell.shape[:-1], classes**2, dtype=torch.double, device=cell.device)
    return count.scatter_add_(-1, cell, torch.ones_like(cell, dtype=torch.double)).unflatten(-1, (classes, classes))


@shared
def top_label(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The largest probability and its class, both ``(..., n)``."""
    return 1 / _odds(logits)[1], predicted(logits)


def surprise(logits: Tensor, labels: Tensor) -> Tensor:
    """-log p_y of every example, ``(..., n)``, in nats; finite also where p_y rounds to 0."""
    z, top, _ = largest(logits)
    own = (z.gather(-2, labels.unsqueeze(-2)) - top).squeeze(-2)
    return _odds(logits)[1].log() - own


@shared
def ranked(logits: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`ascending` of the largest probabilities."""
    return ascending(top_label(logits)[0])


def ascending(values: Tensor) -> tuple[Tensor, Tensor]:
    """``values`` sorted along the last axis, and where each came from; the order among equals is left open."""
    if values.device.type != "cpu":
        return values.sort(-1)
    order = torch.from_numpy(np.argsort(values.numpy(), axis=-1))
    return values.gather(-1, order), order
