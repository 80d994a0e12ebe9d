"""Softmax, prediction and order, computed the way a CPU is quick at.

Over a last axis of ten or so, a library's softmax and largest entry work row by row and take several times as long as
the same arithmetic class by class, on ``(..., K, n)``; and arrays that come and go cost as much as what is computed in
them, so one copy is made and changed in place. On a CPU numpy sorts numbers many times faster than torch does.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .memo import shared
from .over_runs import over_classes


def by_class(logits: Tensor) -> Tensor:
    """A copy ``(..., K, n)`` of ``(..., n, K)``: each class in one piece of memory."""
    return logits.mT.clone(memory_format=torch.contiguous_format)


@shared
def parts(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """exp(z - max z) ``(..., K, n)``, its sum over classes ``(..., n)``, and the class of the largest ``(..., n)``."""
    z = by_class(logits)
    largest = z.amax(-2, keepdim=True)
    classes = z.shape[-2]
    # K counts down from the first class on, so the largest count belongs to the first of equals
    count = torch.arange(classes, 0, -1, device=z.device, dtype=torch.int16 if classes < 2**15 else torch.int32)
    which = classes - ((z == largest) * count.unsqueeze(-1)).amax(-2).long()
    z = z.sub_(largest).exp_()
    return z, over_classes(z), which


@shared
def softmax(logits: Tensor) -> Tensor:
    """Probabilities ``(..., K, n)`` of logits ``(..., n, K)``."""
    odds, whole, _ = parts(logits)
    return odds / whole.unsqueeze(-2)


def predicted(logits: Tensor) -> Tensor:
    """The class of the largest logit, ``(..., n)``; ties go to the lower index."""
    return parts(logits)[2]


@shared
def top_label(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The largest probability and its class, both ``(..., n)``."""
    _, whole, which = parts(logits)
    return 1 / whole, which


def surprise(logits: Tensor, labels: Tensor) -> Tensor:
    """-log p_y of every example, ``(..., n)``, in nats; finite also where p_y rounds to 0."""
    own = logits.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return parts(logits)[1].log() - (own - logits.gather(-1, predicted(logits).unsqueeze(-1)).squeeze(-1))


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
