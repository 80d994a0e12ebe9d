"""What is done to a trained model's outputs: recalibration on validation data.

>>> import torch
>>> logits = torch.tensor([[5.0, 0.0], [0.0, 5.0], [5.0, 0.0], [5.0, 0.0]])  # 99 % sure, 75 % right
>>> T = fit_temperature(logits, torch.tensor([0, 1, 0, 1]))
>>> round(apply_temperature(logits, T).softmax(-1).amax().item(), 6)
0.75
"""

from __future__ import annotations

from .confidence import choose_norm, max_softmax, normalised_max_logit
from .temperature import apply_temperature, at_bounds, fit_temperature

__all__ = ["apply_temperature", "at_bounds", "choose_norm", "fit_temperature", "max_softmax", "normalised_max_logit"]
