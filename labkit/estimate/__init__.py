"""Who made these labels? Estimates of a transition matrix from noisy labels alone, and how wrong they are.

``transition[c, l] = P(given label l | class c)``, rows sum to 1. Functions take the probabilities or labels of one run.
"""

from labkit.estimate.anchors import anchor_points, dual_t
from labkit.estimate.consensus import clusterability, consensus, neighbour_labels
from labkit.estimate.errors import matrix_error
from labkit.estimate.repeated import LabelModel, label_counts, repeated_labels

__all__ = [
    "LabelModel",
    "anchor_points",
    "clusterability",
    "consensus",
    "dual_t",
    "label_counts",
    "matrix_error",
    "neighbour_labels",
    "repeated_labels",
]
