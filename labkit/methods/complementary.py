"""Methods for complementary labels whose loss of an example needs no transition matrix.

Forward correction (Yu et al., 2018) is :class:`EvidenceLikelihood` with a matrix that the annotator reveals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from labkit import losses
from labkit.evidence import Complementary
from labkit.losses.candidates import CLASS_LOSSES
from labkit.methods.base import Method
from labkit.names import look_up


@dataclass(kw_only=True)
class PairwiseComparison(Method):
    """PC: ``(K - 1) sum_{j != l} sigmoid(f_l - f_j)`` plus a constant: the excluded class below every other.

    Ishida, Niu, Hu, Sugiyama (2017); see :func:`labkit.losses.pairwise_comparison`. K - 1 labels: the ordinary pairwise
    loss ``sum_{j != y} sigmoid(f_j - f_y)``. Needs no probabilities: the logits are scores.
    """

    accepts: ClassVar = (Complementary,)

    def loss(self, logits, evidence):
        return losses.pairwise_comparison(logits, evidence.excluded)


@dataclass(kw_only=True)
class NegativeLearning(Method):
    """SCL-NL: ``-log(1 - p_l)``, with several labels ``-log(1 - sum of p over them)``; K - 1 labels: cross entropy.

    Kim, Yim, Yun, Kim (2019); Chou, Niu, Lin, Sugiyama (2020); see :func:`labkit.losses.negative_learning`. The same as
    :class:`EvidenceLikelihood` where no matrix is revealed; a matrix that is, it ignores.
    """

    accepts: ClassVar = (Complementary,)

    def loss(self, logits, evidence):
        return losses.negative_learning(logits, evidence.excluded)


@dataclass(kw_only=True)
class ExponentialSurrogate(Method):
    """SCL-EXP: ``exp(p_l)``, bounded, mean over several labels; Chou, Niu, Lin, Sugiyama (2020).

    Its slope in a logit is at most 0.44, and vanishes with p_l.
    """

    accepts: ClassVar = (Complementary,)

    def loss(self, logits, evidence):
        return losses.surrogate_exponential(logits, evidence.excluded)


# name -> losses of every class (n, K) from logits and q: what MCL's unbiased wrapper takes
WRAPPED = {
    **CLASS_LOSSES,
    "squared": lambda logits, q: losses.squared_of_classes(logits),
    "partial huber": lambda logits, q: losses.partial_huber_of_classes(logits),
}
BOUNDS = {"log": losses.multiple_log, "exp": losses.multiple_exponential}


@dataclass(kw_only=True)
class MultipleComplementary(Method):
    """MCL: any number s of uniform complementary labels, the loss scaled by ``(K - 1) / s``.

    Feng, Kaneko, Han, Niu, An, Sugiyama (2020), "Learning with multiple complementary labels". K - 1 labels: the
    ordinary loss that the form is named after (cross entropy for "log", ``exp(-p_y)`` for "exp").

    Args:
        form: "log" or "exp", bounds of :func:`labkit.losses.multiple_log` and ``multiple_exponential``; or the loss
            inside the unbiased wrapper :func:`labkit.losses.unbiased_of_sets`: "mae" (MCL-MAE, bounded), "squared",
            "gce", "partial huber" or "cross entropy" (not bounded below).
        q: of "gce", published 0.7.

    Raises:
        ValueError: an unknown form.
    """

    form: str = "log"
    q: Any = 0.7

    accepts: ClassVar = (Complementary,)

    def __post_init__(self):
        look_up("form", self.form, {**BOUNDS, **WRAPPED})

    def loss(self, logits, evidence):
        if self.form in BOUNDS:
            return BOUNDS[self.form](logits, evidence.excluded)
        return losses.unbiased_of_sets(WRAPPED[self.form](logits, self.q), evidence.excluded)


@dataclass(kw_only=True)
class DiscriminativeComplementary(Method):
    """L-W: ``(1 + w) u``, ``u = -log softmax(1 - p)_l``, ``w = (1 - p_l) / (K - 1)``; L-UW: u alone.

    Gao, Zhang (2021); see :func:`labkit.losses.weighted_complementary`. "DM" in some toolkits is L-W. For K = 10
    u lies between 2.20 and 3.24 nats, so slopes are small: it wants more steps or larger ones.

    Args:
        weighted: L-W (True) or L-UW.
    """

    weighted: bool = True

    accepts: ClassVar = (Complementary,)

    def loss(self, logits, evidence):
        return losses.weighted_complementary(logits, evidence.excluded, self.weighted)


@dataclass(kw_only=True)
class OrderPreserving(Method):
    """OP: ``-log softmax(-f)_l``; OP-W weights it by how much the network still believes l.

    Liu, Cao, Zhang, Feng, An (2023); see :func:`labkit.losses.order_preserving`. "OP" in some toolkits is OP-W.

    Args:
        weighted: OP-W (True) or OP.
    """

    weighted: bool = False

    accepts: ClassVar = (Complementary,)

    def loss(self, logits, evidence):
        return losses.order_preserving(logits, evidence.excluded, self.weighted)
