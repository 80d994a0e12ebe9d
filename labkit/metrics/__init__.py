"""Metrics over many runs at once: logits (..., n, K) and labels in, one float64 number per run out.

``METRICS`` names those that a results table records; ``metric(name)`` looks one up.

>>> import torch
>>> metric("accuracy")(torch.randn(256, 100, 10), torch.arange(100) % 10).shape
torch.Size([256])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from labkit.names import look_up

from .accuracy import accuracy, brier, confidence_on_errors, error, mean_confidence, mean_entropy, nll
from .by_class import top_label
from .calibration import Reliability, classwise_ece, ece, mce, reliability
from .calibration_variants import debiased_ece, ks_error, rms_ece, top_label_ece
from .candidates import CandidateQuality, candidate_quality
from .corrected import corrected_accuracy, corrected_brier, corrected_ece, corrected_nll
from .decomposition import BrierParts, brier_parts
from .detection import fpr_at_recall, ood_auroc
from .diffusion import class_centroids, diffusion_index, nearest_classes, relative_distances
from .easy_to_hard import crossing, gap_recovered
from .events import average_precision, event_recall
from .exact import ExactCalibration, exact_calibration
from .gradients import GradientVariance, gradient_variance, max_logit_suppression
from .imbalanced import balanced_accuracy, class_recall, selection_quality, shot_accuracy
from .intervals import Bootstrap, binomial_interval, bootstrap
from .label_only import approximated_accuracy, complementary_risk, covering_rate, unbiased_accuracy, unbiased_risk
from .ordinal import far_off, macro_f1, quadratic_kappa, rank_mae, seq2hr, tri_p
from .outline import boundary_f
from .over_runs import mean, per_run
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
from .smooth import smooth_ece
from .transfer import linear_probe

__all__ = [
    "METRICS",
    "Bootstrap",
    "BrierParts",
    "CandidateQuality",
    "ExactCalibration",
    "GradientVariance",
    "Metric",
    "Reliability",
    "RiskCoverage",
    "Scatter",
    "accuracy",
    "approximated_accuracy",
    "auc",
    "augrc",
    "aurc",
    "average_precision",
    "balanced_accuracy",
    "binomial_interval",
    "bootstrap",
    "boundary_f",
    "brier",
    "brier_parts",
    "candidate_quality",
    "class_centroids",
    "class_recall",
    "classwise_ece",
    "complementary_risk",
    "confidence_on_errors",
    "corrected_accuracy",
    "corrected_brier",
    "corrected_ece",
    "corrected_nll",
    "coverage_at_risk",
    "covering_rate",
    "crossing",
    "debiased_ece",
    "dice",
    "diffusion_index",
    "ece",
    "error",
    "event_recall",
    "exact_calibration",
    "failure_auroc",
    "far_off",
    "fpr_at_recall",
    "gap_recovered",
    "gradient_variance",
    "ks_error",
    "linear_probe",
    "macro_f1",
    "max_logit_suppression",
    "mce",
    "mean_confidence",
    "mean_entropy",
    "measure",
    "metric",
    "miou",
    "nearest_classes",
    "nll",
    "ood_auroc",
    "power",
    "quadratic_kappa",
    "rank_mae",
    "relative_distances",
    "reliability",
    "risk_coverage",
    "rms_ece",
    "runs_needed",
    "selection_quality",
    "seq2hr",
    "shot_accuracy",
    "smooth_ece",
    "soft_dice_score",
    "softmax_augrc",
    "softmax_aurc",
    "template_projection",
    "top_label_ece",
    "tri_p",
    "unbiased_accuracy",
    "unbiased_risk",
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


@per_run
def _confidence(logits: Tensor, labels: Tensor) -> Tensor:
    return mean(top_label(logits)[0])


METRICS: dict[str, Metric] = {
    "accuracy": Metric(accuracy, True, "Accuracy"),
    "balanced_accuracy": Metric(balanced_accuracy, True, "Balanced accuracy"),
    "auc": Metric(auc, True, "AUC"),
    "nll": Metric(nll, False, "Negative log-likelihood", "nats"),
    "brier": Metric(brier, False, "Brier score"),
    "ece": Metric(ece, False, "ECE"),
    "ece_mass": Metric(partial(ece, binning="mass"), False, "ECE, equal mass"),
    "classwise_ece": Metric(classwise_ece, False, "Classwise ECE"),
    "top_label_ece": Metric(top_label_ece, False, "Top-label ECE"),
    "rms_ece": Metric(rms_ece, False, "RMS calibration error"),
    "mce": Metric(mce, False, "Maximum calibration error"),
    "debiased_ece": Metric(debiased_ece, False, "Debiased ECE"),
    "smooth_ece": Metric(smooth_ece, False, "Smooth ECE"),
    "ks_error": Metric(ks_error, False, "KS error"),
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


def measure(names: Iterable[str], logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Several metrics by name: what they share (softmax, predictions, bins, order) is computed once.

    Shapes, types and errors are those of each metric. Raises ValueError for an unknown name.
    """
    names = list(names)
    formulas = [_formula(metric(name).function) for name in names]
    together = per_run(lambda z, y: tuple(formula(z, y) for formula in formulas))
    return dict(zip(names, together(logits, labels)))


def _formula(function: Callable) -> Callable:
    """What ``per_run`` made the metric of."""
    if isinstance(function, partial):
        return partial(_formula(function.func), *function.args, **function.keywords)
    return function.formula


def metric(name: str) -> Metric:
    """The metric of that name; a ValueError that names the nearest known ones for any other."""
    return look_up("metric", name, METRICS)
