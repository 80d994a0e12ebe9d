"""Pure losses: ``(logits, evidence or target) -> one value per example``. Reduce outside."""

from labkit.losses.basic import cross_entropy, entropy, evidence_nll, target_of
from labkit.losses.boundary import boundary, boundary_smoothing
from labkit.losses.contrastive import contrastive, pair_targets
from labkit.losses.distributions import label_distribution
from labkit.losses.logit_penalties import logit_penalty, maxsup, smoothing_decomposition, smoothing_without_error_term
from labkit.losses.ordinal import (
    adjacent_targets,
    driveability_weights,
    gaussian_targets,
    matching_smoothing,
    ordinal_cross_entropy,
    ordinal_targets,
)
from labkit.losses.overlap import (
    dice_semimetric_1,
    dice_semimetric_2,
    jaccard_metric_1,
    jaccard_metric_2,
    overlap,
    soft_dice,
    soft_jaccard,
    tversky,
)
from labkit.losses.partial_distillation import (
    class_similarity,
    confidence_target,
    gradient_rescaling,
    similarity_target,
    soft_target,
    top_k_target,
)
from labkit.losses.smoothing import confidence_penalty, distillation, focal, label_smoothing, smooth
from labkit.losses.soft_targets import (
    adaptive_focal,
    dual_focal,
    equivalent_rate,
    hard_bootstrapping,
    soft_bootstrapping,
    thresholded_confidence_penalty,
)
from labkit.losses.temporal import q_exp, q_hard, q_linear, q_sigmoid, q_step, temporal_smoothing, temporal_target

__all__ = [
    "adaptive_focal",
    "adjacent_targets",
    "boundary",
    "boundary_smoothing",
    "class_similarity",
    "confidence_penalty",
    "confidence_target",
    "contrastive",
    "cross_entropy",
    "dice_semimetric_1",
    "dice_semimetric_2",
    "distillation",
    "driveability_weights",
    "dual_focal",
    "entropy",
    "equivalent_rate",
    "evidence_nll",
    "focal",
    "gaussian_targets",
    "gradient_rescaling",
    "hard_bootstrapping",
    "jaccard_metric_1",
    "jaccard_metric_2",
    "label_distribution",
    "label_smoothing",
    "logit_penalty",
    "matching_smoothing",
    "maxsup",
    "ordinal_cross_entropy",
    "ordinal_targets",
    "overlap",
    "pair_targets",
    "q_exp",
    "q_hard",
    "q_linear",
    "q_sigmoid",
    "q_step",
    "similarity_target",
    "smooth",
    "smoothing_decomposition",
    "smoothing_without_error_term",
    "soft_bootstrapping",
    "soft_dice",
    "soft_jaccard",
    "soft_target",
    "target_of",
    "temporal_smoothing",
    "temporal_target",
    "thresholded_confidence_penalty",
    "top_k_target",
    "tversky",
]
