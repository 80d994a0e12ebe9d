"""Metrics over many runs at once: logits (..., n, K) and labels in, one float64 number per run out.

``METRICS`` names those that a results table records; ``metric(name)`` looks one up.

>>> import torch
>>> metric("accuracy")(torch.randn(256, 100, 10), torch.arange(100) % 10).shape
torch.Size([256])
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from labkit.names import look_up

from .accuracy import accuracy, brier, confidence_on_errors, error, mean_confidence, mean_entropy, nll
from .calibration import Reliability, classwise_ece, ece, mce, reliability
from .diffusion import class_centroids, diffusion_index, nearest_classes, relative_distances
from .easy_to_hard import crossing, gap_recovered
from .events import average_precision, event_recall
from .gradients import GradientVariance, gradient_variance, max_logit_suppression
from .imbalanced import balanced_accuracy, class_recall, selection_quality, shot_accuracy
from .ordinal import far_off, macro_f1, quadratic_kappa, rank_mae, seq2hr, tri_p
from .outline import boundary_f
from .overlap import dice, miou, soft_dice_score
from .power import power, runs_needed
from .ranking_curve import auc
from .representation import Scatter, template_projection, within_between
from .selective import (
    RiskCoverage,
    augrc,
    aurc,
    coverage_at_risk,
    failure_auroc,
    risk_coverage,
    softmax_augrc,
    softmax_aurc,
)
from .transfer import linear_probe

__all__ = [
    "METRICS",
    "GradientVariance",
    "Metric",
    "Reliability",
    "RiskCoverage",
    "Scatter",
    "accuracy",
    "auc",
    "augrc",
    "aurc",
    "average_precision",
    "balanced_accuracy",
    "boundary_f",
    "brier",
    "class_centroids",
    "class_recall",
    "classwise_ece",
    "confidence_on_errors",
    "coverage_at_risk",
    "crossing",
    "dice",
    "diffusion_index",
    "ece",
    "error",
    "event_recall",
    "failure_auroc",
    "far_off",
    "gap_recovered",
    "gradient_variance",
    "linear_probe",
    "macro_f1",
    "max_logit_suppression",
    "mce",
    "mean_confidence",
    "mean_entropy",
    "metric",
    "miou",
    "nearest_classes",
    "nll",
    "power",
    "quadratic_kappa",
    "rank_mae",
    "relative_distances",
    "reliability",
    "risk_coverage",
    "runs_needed",
    "selection_quality",
    "seq2hr",
    "shot_accuracy",
    "soft_dice_score",
    "softmax_augrc",
    "softmax_aurc",
    "template_projection",
    "tri_p",
    "within_between",
]


@dataclass(frozen=True)
class Metric:
    """A named metric: ``metric(logits (..., n, K), labels (n,) or (..., n)) -> (...)``.

    function          the function itself
    higher_is_better  True or False; None where neither is better
    label             for axes and tables
    unit              "nats", "levels" or ""
    """

    function: Callable[[Tensor, Tensor], Tensor]
    higher_is_better: bool | None
    label: str
    unit: str = ""

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        return self.function(logits, labels)


def _confidence(logits: Tensor, labels: Tensor) -> Tensor:
    return mean_confidence(logits)


METRICS: dict[str, Metric] = {
    "accuracy": Metric(accuracy, True, "Accuracy"),
    "balanced_accuracy": Metric(balanced_accuracy, True, "Balanced accuracy"),
    "auc": Metric(auc, True, "AUC"),
    "nll": Metric(nll, False, "Negative log-likelihood", "nats"),
    "brier": Metric(brier, False, "Brier score"),
    "ece": Metric(ece, False, "ECE"),
    "ece_mass": Metric(partial(ece, binning="mass"), False, "ECE, equal mass"),
    "classwise_ece": Metric(classwise_ece, False, "Classwise ECE"),
    "confidence": Metric(_confidence, None, "Mean confidence"),
    "confidence_on_errors": Metric(confidence_on_errors, False, "Mean confidence where wrong"),
    "macro_f1": Metric(macro_f1, True, "Macro F1"),
    "rank_mae": Metric(rank_mae, False, "Mean absolute rank error", "levels"),
    "far_off": Metric(far_off, False, "Share off by more than one level"),
    "quadratic_kappa": Metric(quadratic_kappa, True, "Quadratic weighted kappa"),
    "seq2hr": Metric(seq2hr, True, "Seq2HR"),
    "dice": Metric(dice, True, "Dice score"),
    "miou": Metric(miou, True, "Mean IoU"),
    "aurc": Metric(softmax_aurc, False, "AURC"),
    "augrc": Metric(softmax_augrc, False, "AUGRC"),
}


def metric(name: str) -> Metric:
    """The metric of that name; a ValueError that names the nearest known ones for any other."""
    return look_up("metric", name, METRICS)
