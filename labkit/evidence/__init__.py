"""A label is evidence about the class.

One type per form of evidence; one generic view that all pointwise forms share: the likelihood
``P(evidence | class = c)``, a tensor of shape ``(n, classes)``. A loss that needs nothing else works for every form
(``labkit.losses.evidence_nll``); a form adds what is special about it.

To add a form (votes, bags, tags): name its tensors in ``fields`` (one row per unit) and ``shared`` (one for all
units), validate in ``__init__``, give ``likelihood`` if it is pointwise. A *unit* is what a batch draws: an example, or
(``members`` is set) a group of examples (a bag) whose rows in ``members`` name the examples it holds. The fleet
needs to know no more than this.
"""

from __future__ import annotations

from labkit.evidence.bags import Bags
from labkit.evidence.base import Evidence, one_hot, stochastic_matrix
from labkit.evidence.candidates import Candidates, Complementary
from labkit.evidence.labels import Labels, Soft, TrustedLabels

__all__ = [
    "Bags", "Candidates", "Complementary", "Evidence", "Labels", "Soft", "TrustedLabels", "one_hot",
    "stochastic_matrix",
]  # fmt: skip
