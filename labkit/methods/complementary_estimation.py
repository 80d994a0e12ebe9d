"""Estimate which complementary label comes, then look up the class that gives such labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.func import grad

from labkit import losses
from labkit.evidence import Complementary
from labkit.methods.base import Batch, Method, Start
from labkit.methods.correction import _memory, adam
from labkit.methods.unbiased_complementary import assumed_transition, tuples

FORMS = ("identity", "fixed", "trained")


@dataclass(kw_only=True)
class ComplementaryEstimation(Method):
    """CPE: minus the log of ``t(p)_l``, the estimate of P(complementary label l | x); then the nearest row of Q.

    Lin, Lin (2023), "Reduction from complementary-label learning to probability estimates". Predictions are minus the
    L1 distances of ``t(p)`` to the rows of Q: they rank classes and are no log-probabilities (calibration cannot be
    read from them). Several labels: mean over them. The matrix is kept with the run: ``runs.kept("transition")``.

    Args:
        form: what t is.

            - "identity" (CPE-I): p itself; Q serves to decode alone.
            - "fixed" (CPE-F): ``Q^T p``, forward correction; with uniform Q decoding is argmax p.
            - "trained" (CPE-T): ``T^T p`` with T = row-softmax(W), which learns from the same loss, begins at Q and
              also decodes.
        transition: Q ``(K, K)``, rows P(complementary label | class). None: what the annotator reveals, or else
            uniform.
        matrix_lr: of Adam on W. (Public code has W in the network's own Adam.)
        floor: share of uniform labels that T begins with, so that no entry begins at 0, where it would stay; ours.

    Raises:
        ValueError: an unknown form, a floor outside (0, 1), or a matrix that is not row-stochastic.
    """

    form: str = "fixed"
    transition: Any = None
    matrix_lr: Any = 1e-3
    floor: float = 1e-3

    accepts: ClassVar = (Complementary,)
    keeps: ClassVar = ("transition",)

    def __post_init__(self):
        if self.form not in FORMS:
            raise ValueError(f"form is one of {', '.join(FORMS)}, got {self.form!r}")
        if not 0 < self.floor < 1:
            raise ValueError(f"floor lies between 0 and 1, got {self.floor}")
        self.transition = tuples(self.transition)

    def setup(self, start: Start):
        q = assumed_transition(self.transition, start)
        if self.form != "trained":
            return {"transition": q}
        first = (1 - self.floor) * q + self.floor / start.n_classes
        return {"weights": first.log(), "transition": first, **_memory(first)}

    def estimate(self, logits: Tensor, transition: Tensor) -> Tensor:
        """``log t(p)``, ``(n, K)``."""
        return logits.log_softmax(-1) if self.form == "identity" else losses.log_complementary(logits, transition)

    def objective(self, net, batch: Batch):
        logits = net(batch.x)
        value = lambda t, z: losses.complementary_nll(self.estimate(z, t), batch.evidence.excluded).mean()
        if self.form != "trained":
            return value(batch.state["transition"], logits), {}
        fixed, weights = logits.detach(), batch.state["weights"]
        slope = grad(lambda w: value(w.softmax(1), fixed))(weights)
        changed = adam(batch.state, "weights", slope, self.matrix_lr)
        return value(weights.softmax(1), logits), {**changed, "transition": changed["weights"].softmax(1)}

    def predict(self, net, x):
        q = self.kept["transition"]
        return -losses.complementary_distances(self.estimate(net(x), q).exp(), q)
