"""Methods, each written for one run."""

from labkit.methods.base import Batch, Method, Start
from labkit.methods.cross_entropy import CrossEntropy, EvidenceLikelihood
from labkit.methods.distillation import Distillation
from labkit.methods.mixup import Mixup
from labkit.methods.smoothing import ConfidencePenalty, Focal, LabelSmoothing
from labkit.names import look_up

METHODS = {
    "confidence_penalty": ConfidencePenalty,
    "cross_entropy": CrossEntropy,
    "distillation": Distillation,
    "evidence_likelihood": EvidenceLikelihood,
    "focal": Focal,
    "label_smoothing": LabelSmoothing,
    "mixup": Mixup,
}


def get(name: str, **hyperparameters) -> Method:
    """A method by name: ``get("label_smoothing", smoothing=0.2)``."""
    return look_up("method", name, METHODS)(**hyperparameters)


__all__ = [*sorted(m.__name__ for m in METHODS.values()), "METHODS", "Batch", "Method", "Start", "get"]
