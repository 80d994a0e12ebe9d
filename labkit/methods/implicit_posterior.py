"""Learning from beliefs about every example, of whatever kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from labkit.evidence import Candidates, Evidence, Labels, Soft
from labkit.losses import implicit_qr, implicit_rq
from labkit.losses.implicit_posterior import FORMS
from labkit.methods.base import Method


@dataclass(kw_only=True)
class ImplicitPosterior(Method):
    """RQ or QR: the prediction against the posterior that beliefs, prediction and batch imply together.

    Source: Rolf, Malkin, Graikos, Jojic, Robinson, Jojic (2022), "Resolving label uncertainty with implicit posterior
    models"; see :mod:`labkit.losses.implicit_posterior`. Beliefs are the likelihood of the
    evidence, renormalised (candidates: 1/s each; a complementary label: all others alike; votes: their shares; a
    label with a transition matrix: its column). Published: Adam 1e-4, batches of 256, 100 epochs. The batch stands for
    the population, so classes that a small batch lacks are taken for rare.

    Args:
        direction: "RQ", ``KL(r || q)``, or "QR". A class that the evidence rules out is ruled out for good by RQ; it
            costs QR ``-log floor`` times its probability.
            Normalised QR can also settle at zero loss on classes that are ruled out (r follows q past the floor), which
            on candidate sets it does; with beliefs in all classes so does RQ, and then "free_energy" is the one to use.
        qr: form of QR, "normalised" or "free_energy" (:func:`labkit.losses.implicit_qr`).
        floor: of the beliefs in QR; published 1e-9.

    Raises:
        ValueError: an unknown direction or form.
    """

    direction: str = "RQ"
    qr: str = "normalised"
    floor: Any = 1e-9

    accepts: ClassVar = (Labels, Soft, Candidates)

    def __post_init__(self):
        if self.direction not in ("RQ", "QR"):
            raise ValueError(f"direction is 'RQ' or 'QR', got {self.direction!r}")
        if self.qr not in FORMS:
            raise ValueError(f"qr is one of {', '.join(FORMS)}, got {self.qr!r}")

    def loss(self, logits, evidence):
        beliefs = beliefs_of(evidence).to(logits.dtype)
        if self.direction == "RQ":
            return implicit_rq(logits, beliefs)
        return implicit_qr(logits, beliefs, self.qr, self.floor)


def beliefs_of(evidence: Evidence) -> Tensor:
    """``P(evidence | class)`` of pointwise evidence, renormalised over the classes, ``(n, K)``."""
    likelihood = evidence.likelihood()
    return likelihood / likelihood.sum(-1, keepdim=True)


__all__ = ["ImplicitPosterior", "beliefs_of"]
