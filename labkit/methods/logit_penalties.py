"""MaxSup and the other penalties on logits that label smoothing is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit import losses
from labkit.losses import target_of
from labkit.methods.base import Method


@dataclass
class MaxSup(Method):
    """``CE + a (max_k z_k - mean_k z_k)``: smoothing of the predicted class instead of the labelled one.

    Zhou, Li, Cheng, Yan, Dong and others (2025), "MaxSup: overcoming representation collapse in label smoothing".
    Published schedule: a grows linearly from 0.1 to 0.2, ``MaxSup(lk.Ramp(0.1, 0.2))``.
    """

    weight: Any = 0.1

    def loss(self, logits, evidence):
        return losses.maxsup(logits, target_of(evidence, logits.dtype), self.weight)


@dataclass
class SmoothingWithoutErrorTerm(Method):
    """Label smoothing whose penalty counts only the classes that lie below the label.

    Zhou et al. (2025), the "regularisation" half of :func:`labkit.losses.smoothing_decomposition`. Default a = 0.1.
    """

    smoothing: Any = 0.1

    def loss(self, logits, evidence):
        return losses.smoothing_without_error_term(logits, target_of(evidence, logits.dtype), self.smoothing)


@dataclass
class LogitPenalty(Method):
    """``CE + (beta / 2) |z|^2``. Dauphin, Cubuk (2021); default beta = 2e-3 as in Zhou et al. (2025)."""

    weight: Any = 2e-3

    def loss(self, logits, evidence):
        return losses.logit_penalty(logits, target_of(evidence, logits.dtype), self.weight)
