"""Other readings of the calibration of the top label: within classes, in squares, without sampling noise, without bins.

Shapes, types, errors and diverged runs are as in ``accuracy``, bins as in ``calibration``. conf and acc are the mean
confidence and the accuracy of a bin that holds n_b of the n examples.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .by_class import predicted, ranked
from .calibration import _counts, _gaps, _hits, _sums, _top_bins, _top_label
from .over_runs import per_run, total


@per_run
def top_label_ece(logits: Tensor, labels: Tensor, bins: int = 15, binning: str = "width") -> Tensor:
    """Calibration error given the confidence *and* the predicted class: the bins of ``ece``, each split by that class.

    sum_l sum_b (n_lb / n) |conf_lb - acc_lb|. Shape (...), in [0, 1], never below ``ece`` in the same bins: there, a
    class that is too sure and one that is not sure enough cancel. With K times as many bins it picks up more noise.
    Gupta, Ramdas (2022), "Top-label calibration and multiclass-to-binary reductions", definition 2.
    """
    confidence, hit = _top_label(logits, labels)
    _, index = _top_bins(logits, bins, binning)
    cell = predicted(logits) * bins + index
    return total(_sums(cell, confidence - hit, bins * logits.shape[-1]).abs()) / labels.shape[-1]


@per_run
def rms_ece(logits: Tensor, labels: Tensor, bins: int = 15, binning: str = "width") -> Tensor:
    """Root mean squared calibration error of the top label, sqrt(sum_b (n_b / n) (conf_b - acc_b)^2). Shape (...).

    In [0, 1], never below ``ece`` in the same bins. Naeini, Cooper, Hauskrecht (2015); the "l2" of other libraries.
    """
    count, gap, _ = _bins_of(logits, labels, bins, binning)
    return (total(count * gap.square()) / labels.shape[-1]).sqrt()


@per_run
def debiased_ece(
    logits: Tensor, labels: Tensor, bins: int = 15, binning: str = "mass", squared: bool = False
) -> Tensor:
    """``rms_ece`` less the share that sampling noise has in it: sum_b (n_b / n) [(conf - acc)^2 - acc (1-acc)/(n_b-1)].

    Its root where it is positive, else 0; with ``squared`` the sum itself, which may be negative. Bins of fewer than
    two examples give 0. Where all confidences of a bin are equal and examples independent, the sum is exactly unbiased;
    where they vary inside a bin it estimates the error of the bins, which is below that of the model (a bin can hide
    one region that is too sure and one that is not sure enough). Shape (...).

    Kumar, Liang, Ma (2019), "Verified uncertainty calibration", section 4; bins of equal mass as published.
    """
    count, gap, accuracy = _bins_of(logits, labels, bins, binning)
    noise = accuracy * (1 - accuracy) / (count - 1).clamp(min=1)
    square = total(count * (gap.square() - noise).where(count > 1, 0.0)) / labels.shape[-1]
    return square if squared else square.clamp(min=0).sqrt()


@per_run
def ks_error(logits: Tensor, labels: Tensor) -> Tensor:
    """Kolmogorov-Smirnov error: the largest |sum of confidence - hit over the k least sure examples| / n. Shape (...).

    In [0, 1], without bins. k stops only between different confidences, so the order of the examples has no say. Never
    above ``ece`` with a bin for each distinct confidence: errors of both signs cancel along the way.
    Gupta, Rahimi, Ajanthan, Mensink, Sminchisescu, Hartley (2021), "Calibration of neural networks using splines".
    """
    confidence, hit = _top_label(logits, labels)
    ordered, order = ranked(logits)
    run = (confidence - hit).gather(-1, order).cumsum(-1)
    last = torch.cat([ordered[:, 1:] != ordered[:, :-1], torch.ones_like(ordered[:, :1], dtype=torch.bool)], 1)
    return run.abs().where(last, 0.0).amax(-1) / labels.shape[-1]


def _bins_of(logits: Tensor, labels: Tensor, bins: int, binning: str) -> tuple[Tensor, Tensor, Tensor]:
    """Count, mean confidence less accuracy, and accuracy of every bin, all (runs, bins); 0 where a bin is empty."""
    count = _counts(logits, bins, binning)
    held = count.clamp(min=1)
    return count, _gaps(logits, labels, bins, binning) / held, _hits(logits, labels, bins, binning) / held


__all__ = ["debiased_ece", "ks_error", "rms_ece", "top_label_ece"]
