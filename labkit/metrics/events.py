"""Early event prediction: how many events are announced, at a given share of false alarms.

One example is one time step of one sequence. Scores are any number per step that grows with the danger, such as the
difference of the two logits; ``(..., n)`` with leading run axes or none, one float64 number a run out. A run with a
score that is not finite gives NaN. Facts about the steps are ``(n,)``, or ``(..., n)`` where each run has steps of its
own.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .over_runs import check_labels, describe, over_runs, spread, total


@torch.no_grad()
def average_precision(scores: Tensor, labels: Tensor) -> Tensor:
    """Area under the precision-recall curve, ``sum_i (R_i - R_(i-1)) P_i`` over distinct thresholds. Shape (...).

    No interpolation, tied scores form one threshold: scikit-learn's ``average_precision_score``. ``labels`` ``(n,)`` or
    ``(..., n)``, 1 for steps within the horizon of an event. NaN without a positive step.
    """
    _check_scores(scores)
    labels = check_labels(labels, scores.unsqueeze(-1), 2)
    return over_runs(_average_precision, tuple(scores.shape[:-1]), scores, labels)


@torch.no_grad()
def event_recall(
    scores: Tensor, time_to_event: Tensor, sequence: Tensor, step: Tensor, horizon: float, false_alarms: float = 0.2
) -> Tensor:
    """Share of events announced when at most ``false_alarms`` of the alarms are false. Shape (...), in [0, 1].

    An alarm is a step whose score reaches the threshold. It is false if no event follows within ``horizon``; the
    false-alarm rate is the share of false ones among all alarms, counted by steps (1 - precision). An event is
    announced if an alarm rises at some step in the ``horizon`` before it. The threshold is the lowest at which the rate
    is at most ``false_alarms``; where there is none, no event is announced. A run without any event gives NaN.
    The threshold is read on the data given, as a point of a precision-recall curve is. Our statement of the measure in
    Yèche, Pace, Rätsch, Kuznetsova (2023), section 5.

    Args:
        scores: ``(..., n)``. time_to_event: steps until the next event of the sequence, very large without one.
            sequence, step: which sequence, and when in it; step + time_to_event is when the event comes.

    Raises:
        ValueError: shapes that do not fit, a rate outside [0, 1), or no event within the horizon of any step.
    """
    _check_scores(scores)
    facts = (("time_to_event", time_to_event), ("sequence", sequence), ("step", step))
    ahead, who, at = (spread(name, value, tuple(scores.shape)) for name, value in facts)
    if not 0 <= false_alarms < 1:
        raise ValueError(f"false_alarms is a share of the alarms in [0, 1), got {false_alarms}")
    near = ahead <= horizon
    if not near.any():
        raise ValueError(f"no step has an event within the horizon of {horizon}; nothing to announce")
    times, time = (at[near].double() + ahead[near].double()).unique(return_inverse=True)
    names = who[near].unique(return_inverse=True)[1] * len(times) + time  # an event: which sequence, and when
    known, number = names.unique(return_inverse=True)
    event = torch.full(near.shape, len(known)).masked_scatter(near, number)  # one more for steps far from any
    recall = lambda s, n, e: _event_recall(s, n, e, len(known) + 1, 1 - false_alarms)
    return over_runs(recall, tuple(scores.shape[:-1]), scores, near, event)


def _event_recall(scores: Tensor, near: Tensor, event: Tensor, names: int, precision: float) -> Tensor:
    ordered, right, last = _ranked(scores, near)
    alarms = torch.arange(1, scores.shape[-1] + 1, dtype=torch.float64)
    good = last & (right.cumsum(-1) >= precision * alarms * (1 - 1e-12))  # a rate met exactly is met
    threshold = torch.where(good, ordered, math.inf).amin(-1, keepdim=True)
    rows = (len(scores), names)
    highest = torch.full(rows, -math.inf, dtype=scores.dtype).scatter_reduce(1, event, scores, "amax")[:, :-1]
    here = torch.zeros(rows, dtype=scores.dtype).scatter(1, event, 1.0)[:, :-1]  # which events a run has steps of
    return total((highest >= threshold) * here) / total(here)


def _average_precision(scores: Tensor, labels: Tensor) -> Tensor:
    _, right, last = _ranked(scores, labels)
    hits = right.cumsum(-1)
    alarms = torch.arange(1, scores.shape[-1] + 1, dtype=torch.float64)
    before = torch.where(last, hits, 0.0).cummax(-1).values.roll(1, -1)  # hits at the threshold before this one
    before[:, 0] = 0
    gain = torch.where(last, (hits - before) * hits / alarms, 0.0)
    return total(gain) / hits[:, -1]


def _ranked(scores: Tensor, positive: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scores in falling order, whether each is positive, and whether it is the last of those tied with it."""
    ordered, index = scores.sort(dim=-1, descending=True, stable=True)
    last = torch.ones_like(ordered, dtype=torch.bool)
    last[:, :-1] = ordered[:, :-1] > ordered[:, 1:]
    return ordered, positive.double().gather(-1, index), last


def _check_scores(scores: Tensor) -> None:
    if not isinstance(scores, Tensor) or not scores.is_floating_point() or scores.dim() < 1 or not scores.shape[-1]:
        raise TypeError(f"scores must be a floating-point tensor (..., n), got {describe(scores)}; "
                        "for two logits take z[..., 1] - z[..., 0]")  # fmt: skip
