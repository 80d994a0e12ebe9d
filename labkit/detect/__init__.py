"""Finding wrong labels: scores (higher = more likely wrong), sets of suspects, and how good they are.

Plain functions on arrays (NumPy or CPU tensors in, NumPy out), whatever model the probabilities, margins, losses or
features come from. Out-of-fold probabilities of a scikit-learn model are
``sklearn.model_selection.cross_val_predict(model, x, labels, method="predict_proba")``.

>>> import numpy as np
>>> probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9]])
>>> self_confidence([0, 0, 0, 1], probs).round(1).tolist()
[0.1, 0.2, 0.8, 0.1]
"""

from __future__ import annotations

from labkit.detect.aum import area_under_margin, below_threshold, threshold_samples
from labkit.detect.confident_learning import (
    SCORES,
    adjusted,
    confident_guess,
    confident_joint,
    label_issues,
    margin,
    self_confidence,
    thresholds,
    weighted_entropy,
)
from labkit.detect.evaluate import auprc, auroc_per_class, flagged_quality, recall_at
from labkit.detect.folds import CrossFit, cross_fit
from labkit.detect.hierarchy import by_hierarchy, tree_distances
from labkit.detect.mixture import loss_mixture
from labkit.detect.prototypes import prototype_cleaner, prototype_score
from labkit.detect.recov import cross_validations, fast_recov, mean_probs, recov, recov_cut

__all__ = [
    "SCORES", "CrossFit", "adjusted", "area_under_margin", "auprc", "auroc_per_class", "below_threshold",
    "by_hierarchy", "confident_guess", "confident_joint", "cross_fit", "cross_validations", "fast_recov",
    "flagged_quality", "label_issues", "loss_mixture", "margin", "mean_probs", "prototype_cleaner",
    "prototype_score", "recall_at", "recov", "recov_cut", "self_confidence", "threshold_samples", "thresholds",
    "tree_distances", "weighted_entropy",
]  # fmt: skip
