"""What is done to a trained model's outputs: recalibration on validation data.

>>> import torch
>>> logits = torch.tensor([[5.0, 0.0], [0.0, 5.0], [5.0, 0.0], [5.0, 0.0]])  # 99 % sure, 75 % right
>>> T = fit_temperature(logits, torch.tensor([0, 1, 0, 1]))
>>> round(apply_temperature(logits, T).softmax(-1).amax().item(), 6)
0.75
"""

from __future__ import annotations

from .confidence import choose_norm, max_softmax, normalised_max_logit
from .maps import DirichletCalibration, MatrixScaling, Recalibration, TemperatureScaling, VectorScaling
from .negative_labels import mine_negatives, negative_label_score
from .one_against_rest import BBQ, BetaCalibration, HistogramBinning, IsotonicCalibration, PlattScaling
from .temperature import apply_temperature, at_bounds, fit_temperature, fit_temperature_to_targets
from .unbiased import literal_targets, unbiased_targets

__all__ = [
    "BBQ", "BetaCalibration", "DirichletCalibration", "HistogramBinning", "IsotonicCalibration", "MatrixScaling",
    "PlattScaling", "Recalibration", "TemperatureScaling", "VectorScaling", "apply_temperature", "at_bounds",
    "choose_norm", "fit_temperature", "fit_temperature_to_targets", "literal_targets", "max_softmax", "mine_negatives",
    "negative_label_score", "normalised_max_logit", "unbiased_targets",
]  # fmt: skip
