"""Recalibration by a map of the logits, fitted by likelihood: to labels, or to any evidence that has a likelihood.

All maps share one interface, ``Map().fit(logits, evidence)(logits)``, for one run: logits ``(n, K)`` in, log
probabilities ``(n, K)`` in float64 out. The evidence is class indices ``(n,)``, a likelihood ``(n, K)``, or an
:class:`~labkit.evidence.Evidence`: labels with a transition matrix, candidate sets, complementary labels, bags with
counts. **Fit on validation data, never on the data that is reported on.**

Temperature lies in vector scaling and vector in matrix scaling; each starts at the optimum of the smaller one, so its
loss on the data it is fitted to is never higher. The loss of labels is convex; that of other evidence need not be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from labkit.evidence import Bags, Evidence, one_hot
from labkit.metrics.over_runs import check_labels, check_rows
from labkit.posthoc.temperature import HIGHEST, LOWEST

SMALLEST = 1e-12  # probabilities are taken no closer to 0 where their logarithm is an input


class Recalibration:
    """Base of all maps. ``fit`` returns the map itself; ``coef_`` holds what was fitted."""

    def fit(self, logits: Tensor, evidence: Evidence | Tensor) -> Recalibration:
        raise NotImplementedError

    def __call__(self, logits: Tensor) -> Tensor:
        raise NotImplementedError


@dataclass
class LikelihoodMap(Recalibration):
    """Softmax of scores with numbers ``coef``, fitted by L-BFGS (scipy) in float64 to the loss of the evidence."""

    def scores(self, coef: Tensor, z: Tensor) -> Tensor:
        """``(n, K)`` from the fitted numbers ``(m,)`` and logits ``(n, K)``."""
        raise NotImplementedError

    def start(self, z: Tensor, evidence: Evidence | Tensor) -> Tensor:
        """``(m,)`` numbers to begin with."""
        raise NotImplementedError

    def penalty(self, coef: Tensor, classes: int) -> Tensor | float:
        return 0.0

    bounds = None

    def fit(self, logits, evidence):
        """Raises ValueError for evidence of another number of examples or classes, or logits that are not finite."""
        from scipy.optimize import minimize
        from threadpoolctl import threadpool_limits

        z, evidence = checked(logits, evidence)

        def loss(numbers: np.ndarray) -> tuple[float, np.ndarray]:
            coef = torch.tensor(numbers, requires_grad=True)
            value = evidence_loss(self.scores(coef, z).log_softmax(-1), evidence) + self.penalty(coef, z.shape[-1])
            (slope,) = torch.autograd.grad(value, coef)
            return value.item(), slope.numpy()

        begin = self.start(z, evidence).numpy()
        bounds = None if self.bounds is None else [self.bounds] * len(begin)
        options = {"maxiter": 500, "ftol": 1e-13, "gtol": 1e-8}
        with threadpool_limits(1):  # vectors of a hundred numbers: threads that wait for each other cost ten times more
            found = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        better = found.fun <= loss(begin)[0]
        self.coef_ = torch.as_tensor(found.x if better else begin)
        return self

    @torch.no_grad()
    def __call__(self, logits):
        check_fitted(self)
        check_rows("logits", logits)
        return self.scores(self.coef_, logits.double()).log_softmax(-1)


@dataclass
class TemperatureScaling(LikelihoodMap):
    """``softmax(z / T)``: ``coef_`` is 1 / T, between 0.01 and 100.

    Guo, Pleiss, Sun, Weinberger (2017), eq. 9. For labels and pointwise evidence :func:`labkit.posthoc.fit_temperature`
    finds the same optimum for many runs at once; this one takes bags too. From bags T can be told only where their
    proportions differ.
    """

    bounds = (1 / HIGHEST, 1 / LOWEST)

    def scores(self, coef, z):
        return coef * z

    def start(self, z, evidence):
        tried = torch.logspace(-2, 2, 17, dtype=torch.float64)
        loss = torch.stack([evidence_loss((b * z).log_softmax(-1), evidence) for b in tried])
        return tried[loss.argmin()][None]


@dataclass
class VectorScaling(LikelihoodMap):
    """``softmax(w z + b)``, a weight and an offset a class. Guo, Pleiss, Sun, Weinberger (2017), section 4.2."""

    def scores(self, coef, z):
        weight, offset = coef.chunk(2)
        return weight * z + offset

    def start(self, z, evidence):
        scale = TemperatureScaling().fit(z, evidence).coef_.expand(z.shape[-1])
        return torch.cat([scale, torch.zeros_like(scale)])


@dataclass
class MatrixScaling(LikelihoodMap):
    """``softmax(W z + b)``. Guo, Pleiss, Sun, Weinberger (2017), section 4.2. K (K + 1) numbers: overfits easily."""

    def scores(self, coef, z):
        matrix, offset = square(coef, z.shape[-1])
        return z @ matrix.mT + offset

    def start(self, z, evidence):
        weight, offset = VectorScaling().fit(z, evidence).coef_.chunk(2)
        return torch.cat([weight.diag().flatten(), offset])


@dataclass
class DirichletCalibration(LikelihoodMap):
    """``softmax(W log p + b)`` with a penalty on what is off the diagonal (ODIR).

    Kull, Perello Nieto, Kängsepp, Silva Filho, Song, Flach (2019), "Beyond temperature scaling", eq. 5 and section 4.
    Loss plus ``off_diagonal * mean of W_ij^2 over i != j + intercept * mean of b^2``. The authors' code subtracts the
    last row of W before the penalty, so that which class is last matters; here no class is special.

    Args:
        off_diagonal: lambda. intercept: mu, None is the same. Tuned by cross-validation where published.
    """

    off_diagonal: float = 1e-3
    intercept: float | None = None

    def scores(self, coef, z):
        matrix, offset = square(coef, z.shape[-1])
        return z.log_softmax(-1).clamp_min(np.log(SMALLEST)) @ matrix.mT + offset

    def start(self, z, evidence):
        k = z.shape[-1]
        return torch.cat([torch.eye(k, dtype=z.dtype).flatten(), torch.zeros(k, dtype=z.dtype)])

    def penalty(self, coef, classes):
        matrix, offset = square(coef, classes)
        off = (matrix - matrix.diag().diag()).square().sum() / (classes * (classes - 1))
        mu = self.off_diagonal if self.intercept is None else self.intercept
        return self.off_diagonal * off + mu * offset.square().mean()


def square(coef: Tensor, k: int) -> tuple[Tensor, Tensor]:
    return coef[: k * k].view(k, k), coef[k * k :]


def evidence_loss(log_p: Tensor, evidence: Evidence | Tensor) -> Tensor:
    """``-log P(evidence)`` per example, in nats, a 0-d tensor, for log probabilities ``(n, K)``; of bags that of the
    counts, divided by the number of members."""
    if isinstance(evidence, Bags):
        return -evidence.agreement(log_p)
    likelihood = evidence.likelihood() if isinstance(evidence, Evidence) else evidence
    return -(log_p + likelihood.to(log_p.dtype).log()).logsumexp(-1).mean()


def checked(logits: Tensor, evidence: Evidence | Tensor) -> tuple[Tensor, Evidence | Tensor]:
    """Finite float64 logits of one run, and bags or a likelihood ``(n, K)``."""
    check_rows("logits", logits)
    if logits.dim() != 2:
        raise ValueError(f"a map is fitted to one run, logits (n, K), got {tuple(logits.shape)}; loop over the runs")
    if not bool(logits.isfinite().all()):
        raise ValueError("logits hold NaN or infinity; a diverged run has no recalibration")
    z = logits.detach().double()
    n, k = z.shape
    if isinstance(evidence, Bags):
        if evidence.n_classes != k or int(evidence.members[evidence.present].max()) >= n:
            raise ValueError(f"bags of {evidence.n_classes} classes over examples up to "
                             f"{int(evidence.members[evidence.present].max())} do not fit logits {(n, k)}")  # fmt: skip
        return z, evidence
    if not isinstance(evidence, Evidence) and not evidence.is_floating_point() and evidence.dtype != torch.bool:
        evidence = one_hot(check_labels(evidence, z, k), k, torch.float64)
    likelihood = (evidence.likelihood() if isinstance(evidence, Evidence) else evidence).double()
    if likelihood.shape != z.shape:
        raise ValueError(f"evidence of shape {tuple(likelihood.shape)} does not fit logits {(n, k)}")
    if bool((likelihood < 0).any()) or bool((likelihood.amax(-1) <= 0).any()):
        raise ValueError("a likelihood is not negative and above 0 for at least one class of every example")
    return z, likelihood


def check_fitted(fitted: Recalibration) -> None:
    if not hasattr(fitted, "coef_"):
        raise ValueError(f"this {type(fitted).__name__} is not fitted yet; call fit(logits, evidence) first")


__all__ = [
    "DirichletCalibration", "LikelihoodMap", "MatrixScaling", "Recalibration", "TemperatureScaling", "VectorScaling",
    "evidence_loss",
]  # fmt: skip
