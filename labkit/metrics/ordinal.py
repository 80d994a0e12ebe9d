"""How far off a prediction is, for classes in an order: class k is level k.

The contract is that of the other metrics: ``logits (..., n, K)``, ``labels (n,)`` or ``(..., n)``, one float64 number a
run; a prediction is the class of the largest logit (ties: the lower level).
"""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.names import look_up

from .by_class import confusion, predicted
from .over_runs import mean, per_run

ANSWERS = {
    "mode": predicted,
    "median": lambda logits: (logits.softmax(-1).cumsum(-1)[..., :-1] < 0.5).sum(-1),
}


@per_run
def rank_mae(logits: Tensor, labels: Tensor, answer: str = "mode") -> Tensor:
    """Mean of ``|predicted level - true level|``. Shape (...), in [0, K - 1] levels.

    ``answer``: the "mode" (likeliest level) of the predicted distribution, or its "median", the first level at which
    the cumulated probability reaches 1/2: the best answer for this error if the distribution is right.
    """
    return mean((look_up("answer", answer, ANSWERS)(logits) - labels).abs().double())


@per_run
def far_off(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of predictions more than one level off. Shape (...), in [0, 1]; it is 1 - :func:`tri_p`."""
    return mean((_off(logits, labels) > 1).double())


@per_run
def tri_p(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of predictions within one level of the truth. Shape (...), in [0, 1].

    "Tri-P" in the published code of Kuang, Song, Michoski (2024), HiSTN.
    """
    return mean((_off(logits, labels) <= 1).double())


@per_run
def quadratic_kappa(logits: Tensor, labels: Tensor) -> Tensor:
    """Quadratic weighted kappa, ``1 - sum (i - j)^2 O_ij / sum (i - j)^2 E_ij``. Shape (...), at most 1, 0 by chance.

    O counts (truth i, prediction j), E is what independent truth and prediction with the same margins would give.
    Cohen (1968), "Weighted kappa". NaN where truth and predictions are all one and the same level (0 / 0).
    """
    said, labels = predicted(logits).double(), labels.double()
    observed = mean((said - labels).square())
    # E[(i - j)^2] under independence = variance of both + squared difference of the means
    centred = lambda v: mean((v - mean(v).unsqueeze(-1)).square())
    expected = centred(said) + centred(labels) + (mean(said) - mean(labels)).square()
    return 1 - observed / expected


@per_run
def macro_f1(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over classes of ``2 TP / (2 TP + FP + FN)``; a class never seen and never said counts 0. Shape (...)."""
    count = confusion(logits, labels)
    either = count.sum(-1) + count.sum(-2)
    return mean(2 * count.diagonal(dim1=-2, dim2=-1) / either.clamp_min(1))


@per_run
def seq2hr(logits: Tensor, labels: Tensor, strict: bool = False) -> Tensor:
    """Sequential top-2 hit rate: the two likeliest levels are neighbours and one of them is true. Shape (...).

    In [0, 1]. Kuang, Song, Michoski (2024), HiSTN, as their code counts it. ``strict``: the likeliest must be true.
    """
    first = predicted(logits)
    others = logits.scatter(-1, first.unsqueeze(-1), -torch.inf)
    second = others.argmax(-1)
    hit = (first == labels) | ((second == labels) & (not strict))
    return mean((((first - second).abs() == 1) & hit).double())


def _off(logits: Tensor, labels: Tensor) -> Tensor:
    return (predicted(logits) - labels).abs().double()
