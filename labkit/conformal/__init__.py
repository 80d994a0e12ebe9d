"""Sets of answers with a guarantee: right as often as was asked for, whatever the model.

>>> import torch
>>> logits = torch.tensor([[2.0, 0.0, 0.0]]).repeat(9, 1)
>>> q = threshold(of_labels(thr(logits), torch.tensor([0, 0, 0, 0, 0, 0, 0, 0, 1])), miscoverage=0.2)
>>> (thr(logits[:1]) <= q).tolist()
[[True, False, False]]
"""

from __future__ import annotations

from .powerset import answers_within, p_values, powerset_score, powerset_threshold
from .scores import SCORES, aps, raps, thr
from .split import coverage, coverage_law, noisy_threshold, of_labels, threshold

__all__ = [
    "SCORES", "answers_within", "aps", "coverage", "coverage_law", "noisy_threshold", "of_labels", "p_values",
    "powerset_score", "powerset_threshold", "raps", "thr", "threshold",
]  # fmt: skip
