"""Who made these labels? Estimates of a transition matrix from noisy labels alone, and how wrong they are.

``transition[c, l] = P(given label l | class c)``, rows sum to 1. Functions take the probabilities or labels of one run.
"""

from labkit.estimate.anchors import anchor_points, dual_t
from labkit.estimate.consensus import clusterability, consensus, neighbour_labels
from labkit.estimate.errors import matrix_error
from labkit.estimate.latent_shift import (
    Topics,
    anchors,
    class_given_x,
    domain_bins,
    domain_given_class,
    factorise,
    matched_accuracy,
    matching,
    proportion_error,
)
from labkit.estimate.repeated import LabelModel, label_counts, repeated_labels

__all__ = [
    "LabelModel",
    "Topics",
    "anchor_points",
    "anchors",
    "class_given_x",
    "clusterability",
    "consensus",
    "domain_bins",
    "domain_given_class",
    "dual_t",
    "factorise",
    "label_counts",
    "matched_accuracy",
    "matching",
    "matrix_error",
    "neighbour_labels",
    "proportion_error",
    "repeated_labels",
]
