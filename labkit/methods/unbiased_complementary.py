"""The unbiased risk of complementary labels, as it is and with two corrections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from labkit import losses
from labkit.annotate.complementary import uniform_complement
from labkit.evidence import Complementary, stochastic_matrix
from labkit.methods.base import Batch, Method, Start

CORRECTIONS = ("none", "non-negative", "gradient ascent")


def tuples(transition) -> tuple | None:
    """A checked matrix as tuples of floats, exact in a run's key; None stays None."""
    return None if transition is None else tuple(map(tuple, stochastic_matrix(transition).tolist()))


def assumed_transition(given, start: Start) -> Tensor:
    """Q ``(K, K)`` float64: the one given, else the one that the evidence reveals, else the uniform one."""
    if given is not None:
        return stochastic_matrix(given, start.n_classes)
    revealed = start.evidence.transition
    return uniform_complement(start.n_classes) if revealed is None else revealed.double()


@dataclass(kw_only=True)
class UnbiasedComplementary(Method):
    """URE: ``sum_y Q^-1[l, y] CE_y``, on average the cross entropy of the true class, and not bounded below.

    Ishida, Niu, Menon, Sugiyama (2019); see :mod:`labkit.losses.unbiased`. Several labels of an example count as
    repeats, which is exact for uniform labels; K - 1 of them are cross entropy of the ordinary label. "none" is the
    mean over the examples. The corrections first estimate the risk of every true class, ``r_y``, with the shares that
    the complementary labels have in training (``prior`` in the state):

    - "non-negative" (URE-NN): ``sum_y max(r_y, -beta)``.
    - "gradient ascent" (URE-GA): where some ``r_y < -beta``, a step up the slope of these instead.

    Args:
        correction: "none", "non-negative" or "gradient ascent".
        beta: how far below 0 is let be, published 0. discount: of the step up, published 1 (no discount).
        transition: Q ``(K, K)``, rows P(complementary label | class). None: what the annotator reveals, or else
            uniform.

    Raises:
        ValueError: an unknown correction, a matrix that is not row-stochastic or has no inverse.
    """

    correction: str = "none"
    beta: Any = 0.0
    discount: Any = 1.0
    transition: Any = None

    accepts: ClassVar = (Complementary,)

    def __post_init__(self):
        if self.correction not in CORRECTIONS:
            raise ValueError(f"correction is one of {', '.join(CORRECTIONS)}, got {self.correction!r}")
        self.transition = tuples(self.transition)

    def setup(self, start: Start):
        inverse = losses.inverse_transition(assumed_transition(self.transition, start), start.n_classes)
        said = start.evidence.excluded.sum(0).double()
        return {"inverse": inverse, "prior": said / said.sum()}

    def objective(self, net, batch: Batch):
        per_class, excluded = losses.cross_entropy_of_classes(net(batch.x)), batch.evidence.excluded
        if self.correction == "none":
            return losses.unbiased_loss(per_class, excluded, batch.state["inverse"]).mean(), {}
        by_class = losses.risk_by_class(per_class, excluded, batch.state["inverse"], batch.state["prior"])
        if self.correction == "non-negative":
            return losses.non_negative_risk(by_class, self.beta), {}
        return losses.gradient_ascent_risk(by_class, self.beta, self.discount), {}
