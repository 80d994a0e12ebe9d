"""Methods, each written for one run."""

from labkit.methods.adversarial import RegionalAdversarial
from labkit.methods.base import Batch, Method, Start
from labkit.methods.contrastive import SoftContrastive
from labkit.methods.cross_entropy import CrossEntropy, EvidenceLikelihood
from labkit.methods.distillation import Distillation
from labkit.methods.domain_adversarial import DomainAdversarial
from labkit.methods.logit_penalties import LogitPenalty, MaxSup, SmoothingWithoutErrorTerm
from labkit.methods.mixup import Mixup
from labkit.methods.ordinal import AdjacentSmoothing, GaussianOrdinal, OrdinalSmoothing
from labkit.methods.overlap import Overlap
from labkit.methods.partial_distillation import ConfidenceDistillation, SimilarityDistillation, TopKDistillation
from labkit.methods.per_example import PerExampleSmoothing
from labkit.methods.self_evolution import SelfEvolutionMixup
from labkit.methods.smoothing import ConfidencePenalty, Focal, LabelSmoothing
from labkit.methods.soft_targets import (
    AdaptiveFocal,
    DualFocal,
    GeneralisedSmoothing,
    HardBootstrapping,
    OnlineSmoothing,
    SoftBootstrapping,
    ThresholdedConfidencePenalty,
)
from labkit.methods.temporal import TemporalSmoothing
from labkit.methods.text_augmentation import RandomPolicy, SoftEDA
from labkit.names import look_up

METHODS = {
    "adaptive_focal": AdaptiveFocal,
    "adjacent_smoothing": AdjacentSmoothing,
    "confidence_distillation": ConfidenceDistillation,
    "confidence_penalty": ConfidencePenalty,
    "cross_entropy": CrossEntropy,
    "distillation": Distillation,
    "domain_adversarial": DomainAdversarial,
    "dual_focal": DualFocal,
    "evidence_likelihood": EvidenceLikelihood,
    "focal": Focal,
    "gaussian_ordinal": GaussianOrdinal,
    "generalised_smoothing": GeneralisedSmoothing,
    "hard_bootstrapping": HardBootstrapping,
    "label_smoothing": LabelSmoothing,
    "logit_penalty": LogitPenalty,
    "maxsup": MaxSup,
    "mixup": Mixup,
    "online_smoothing": OnlineSmoothing,
    "ordinal_smoothing": OrdinalSmoothing,
    "overlap": Overlap,
    "per_example_smoothing": PerExampleSmoothing,
    "random_policy": RandomPolicy,
    "regional_adversarial": RegionalAdversarial,
    "self_evolution_mixup": SelfEvolutionMixup,
    "similarity_distillation": SimilarityDistillation,
    "smoothing_without_error_term": SmoothingWithoutErrorTerm,
    "soft_eda": SoftEDA,
    "soft_bootstrapping": SoftBootstrapping,
    "soft_contrastive": SoftContrastive,
    "temporal_smoothing": TemporalSmoothing,
    "thresholded_confidence_penalty": ThresholdedConfidencePenalty,
    "top_k_distillation": TopKDistillation,
}


def get(name: str, **hyperparameters) -> Method:
    """A method by name: ``get("label_smoothing", smoothing=0.2)``."""
    return look_up("method", name, METHODS)(**hyperparameters)


__all__ = [*sorted(m.__name__ for m in METHODS.values()), "METHODS", "Batch", "Method", "Start", "get"]
