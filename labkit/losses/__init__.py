"""Pure losses: ``(logits, evidence or target) -> one value per example``. Reduce outside."""

from labkit.losses.basic import cross_entropy, entropy, evidence_nll, target_of
from labkit.losses.smoothing import confidence_penalty, distillation, focal, label_smoothing, smooth

__all__ = [
    "confidence_penalty",
    "cross_entropy",
    "distillation",
    "entropy",
    "evidence_nll",
    "focal",
    "label_smoothing",
    "smooth",
    "target_of",
]
