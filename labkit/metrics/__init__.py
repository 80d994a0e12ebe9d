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

from .accuracy import accuracy, brier, error, mean_confidence, mean_entropy, nll
from .calibration import Reliability, classwise_ece, ece, mce, reliability
from .representation import Scatter, template_projection, within_between

__all__ = [
    "METRICS", "Metric", "Reliability", "Scatter", "accuracy", "brier", "classwise_ece", "ece", "error", "mce",
    "mean_confidence", "mean_entropy", "metric", "nll", "reliability", "template_projection", "within_between",
]


@dataclass(frozen=True)
class Metric:
    """A named metric: ``metric(logits (..., n, K), labels (n,) or (..., n)) -> (...)``.

    function          the function itself
    higher_is_better  True or False; None where neither is better
    label             for axes and tables
    unit              "nats" or ""
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
    "nll": Metric(nll, False, "Negative log-likelihood", "nats"),
    "brier": Metric(brier, False, "Brier score"),
    "ece": Metric(ece, False, "ECE"),
    "ece_mass": Metric(partial(ece, binning="mass"), False, "ECE, equal mass"),
    "classwise_ece": Metric(classwise_ece, False, "Classwise ECE"),
    "confidence": Metric(_confidence, None, "Mean confidence"),
}


def metric(name: str) -> Metric:
    """The metric of that name; a ValueError that names the nearest known ones for any other."""
    return look_up("metric", name, METRICS)
