"""Corrections with a transition matrix that is known, estimated from a first network, or learned on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.func import grad

from labkit import estimate, losses
from labkit.evidence import Labels, one_hot, stochastic_matrix
from labkit.methods.base import Batch, Method, Start
from labkit.names import look_up


def _probs(warm, start: Start) -> Tensor:
    return warm.predict_one(start.x).softmax(-1)


def _features(warm, start: Start) -> Tensor:
    return start.x if warm is None else warm.predict(start.x, features=True)[0]


# name -> (runs of a first network, what the run knows) -> (K, K): made from training inputs and given labels only
ESTIMATES = {
    "anchor": lambda warm, start: estimate.anchor_points(_probs(warm, start)),
    "dual_t": lambda warm, start: estimate.dual_t(_probs(warm, start), start.evidence.labels),
    "consensus": lambda warm, start: (
        estimate.consensus(_features(warm, start).cpu(), start.evidence.labels.cpu(), start.n_classes).transition
    ),
    "learned": lambda warm, start: warm.kept("transition")[0],
}


@dataclass(kw_only=True)
class Corrected(Method):
    """Base of methods that are given a transition matrix; every run keeps its own (``runs.kept("transition")``).

    Args:
        transition: where the matrix comes from.

            - None: the annotator reveals it (``reveal=True``).
            - ``(K, K)``, rows P(given | class).
            - "anchor", "dual_t": :mod:`labkit.estimate` on the training set, by the network of ``warm``.
            - "consensus": of neighbours among the features of ``warm``, or among the inputs without it.
            - "learned": what the runs of ``warm`` kept as theirs (:class:`VolMinNet`, ...).
        warm: :class:`labkit.Runs` of a first network, one setting; a run takes the one of its own seed.

    Raises:
        ValueError: an estimate that needs ``warm`` without it, ``warm`` without an estimate, a matrix that is not
            row-stochastic, or None where the annotator reveals nothing.
    """

    transition: Any = None
    warm: Any = None

    accepts: ClassVar = (Labels,)
    keeps: ClassVar = ("transition",)

    def __post_init__(self):
        if isinstance(self.transition, str):
            look_up("estimate", self.transition, ESTIMATES)
            if self.warm is None and self.transition != "consensus":
                raise ValueError(f"transition={self.transition!r} is made from a first network: give its runs as warm")
        elif self.warm is not None:
            raise ValueError(f"what to make of warm? name an estimate, transition= one of {', '.join(ESTIMATES)}")
        elif self.transition is not None:  # tuples of floats: exact in a run's key
            self.transition = tuple(map(tuple, stochastic_matrix(self.transition).tolist()))

    def setup(self, start: Start):
        if isinstance(self.transition, str):
            return {"transition": ESTIMATES[self.transition](self.warm, start)}
        if self.transition is not None:
            return {"transition": stochastic_matrix(self.transition, start.n_classes)}
        if start.evidence.transition is None:
            raise ValueError(
                f"{type(self).__name__} needs a transition matrix: let the annotator reveal it (reveal=True), or give "
                "transition= a matrix or the name of an estimate"
            )
        return {"transition": start.evidence.transition}


@dataclass(kw_only=True)
class ForwardCorrection(Corrected):
    """Minus the log-probability of the label that was *given*: ``-log (T^t p)_y``.

    Patrini, Rozza, Menon, Nock, Qu (2017), "Making deep neural networks robust to label noise: a loss correction
    approach", theorem 2. It is lowest where p is the clean posterior. For the arguments see :class:`Corrected`.
    """

    def objective(self, net, batch: Batch):
        likelihood = batch.state["transition"].mT[batch.evidence.labels]
        return losses.evidence_nll(net(batch.x), likelihood).mean(), {}


@dataclass(kw_only=True)
class BackwardCorrection(Corrected):
    """Cross entropy against row y of the inverse of T: right on average over the noise, and without a lower bound.

    Patrini and others (2017), theorem 1; see :func:`labkit.losses.backward`. For the arguments see :class:`Corrected`.
    """

    def setup(self, start: Start):
        matrix = super().setup(start)["transition"]
        return {"transition": matrix, "targets": losses.backward_targets(matrix)}

    def objective(self, net, batch: Batch):
        return losses.backward(net(batch.x), batch.evidence.labels, batch.state["targets"]).mean(), {}


@dataclass(kw_only=True)
class Reweighting(Corrected):
    """Cross entropy weighted by ``p_y / (T^t p)_y``, held constant.

    Liu, Tao (2016); see :func:`labkit.losses.reweighting`. For the arguments see :class:`Corrected`.
    """

    def objective(self, net, batch: Batch):
        return losses.reweighting(net(batch.x), batch.evidence.labels, batch.state["transition"]).mean(), {}


def adam(state: dict[str, Tensor], name: str, gradient: Tensor, lr) -> dict[str, Tensor]:
    """One step of Adam (Kingma, Ba, 2015) on ``state[name]``; ``mean``, ``square`` and ``step`` are its memory."""
    step = state["step"] + 1
    mean = 0.9 * state["mean"] + 0.1 * gradient
    square = 0.999 * state["square"] + 0.001 * gradient**2
    moved = lr * mean / (1 - 0.9**step) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
    return {name: state[name] - moved, "mean": mean, "square": square, "step": step}


def _memory(weights: Tensor) -> dict[str, Tensor]:
    return {"mean": torch.zeros_like(weights), "square": torch.zeros_like(weights), "step": weights.new_zeros(())}


@dataclass(kw_only=True)
class TRevision(Corrected):
    """Reweighting with the gradient through the weight, and a matrix that is revised with the network.

    Xia, Liu, Wang, Han, Gong, Niu, Sugiyama (2019), "Are anchor points really indispensable in label-noise learning?".
    The loss is ``beta CE_y``, ``beta = p_y / ((T + D)^t p)_y``, gradient through beta and p; the slack D starts at 0
    and learns from the same loss. T + D is what is kept; it is not projected to the simplex. This is the third of three
    stages: train with cross entropy (``warm``), then :class:`Reweighting` with its anchors, then
    ``lk.fit(..., methods=TRevision(transition="anchor", warm=...), start=<the second runs>)``.

    Args:
        matrix_lr: of Adam on D, published 5e-7 (for 78,000 steps; Adam moves an entry by at most that a step).

    For the other arguments see :class:`Corrected`.
    """

    matrix_lr: Any = 5e-7

    def setup(self, start: Start):
        matrix = super().setup(start)["transition"]
        return {"transition": matrix, **_memory(matrix)}

    def objective(self, net, batch: Batch):
        logits, labels, matrix = net(batch.x), batch.evidence.labels, batch.state["transition"]
        fixed = logits.detach()
        gradient = grad(lambda t: losses.revision(fixed, labels, t).mean())(matrix)
        changed = adam(batch.state, "transition", gradient, self.matrix_lr)
        return losses.revision(logits, labels, matrix).mean(), changed


@dataclass(kw_only=True)
class VolMinNet(Method):
    """Forward correction with a learned matrix of least volume: ``-log (T^t p)_y + volume log |det T|``.

    Li, Liu, Han, Niu, Sugiyama (2021), "Provably end-to-end label-noise learning without anchor points", equation 4.
    ``A = I + (1 - I) sigmoid(w)``, T = A with rows divided by their sums: the diagonal is the largest entry of its row.
    Among all matrices whose columns can hold the noisy posteriors, the one of least volume is the true one if the
    clean posteriors are spread widely enough; no example need be an anchor.

    Args:
        volume: weight of the logarithm of the determinant, published 1e-4.
        initial: every w at first, published -2 (-4.5 with 100 classes).
        matrix_lr: of Adam on w, published 0.01 (MNIST, CIFAR-100).
    """

    volume: Any = 1e-4
    initial: float = -2.0
    matrix_lr: Any = 0.01

    accepts: ClassVar = (Labels,)
    keeps: ClassVar = ("transition",)

    def matrix(self, weights: Tensor) -> Tensor:
        """T of the free numbers w, both ``(K, K)``."""
        eye = torch.eye(len(weights), dtype=weights.dtype, device=weights.device)
        a = eye + (1 - eye) * weights.sigmoid()
        return a / a.sum(1, keepdim=True)

    def setup(self, start: Start):
        weights = torch.full((start.n_classes, start.n_classes), float(self.initial), dtype=torch.float64)
        return {"weights": weights, "transition": self.matrix(weights), **_memory(weights)}

    def objective(self, net, batch: Batch):
        logits, labels = net(batch.x), batch.evidence.labels

        def value(weights, z):
            t = self.matrix(weights)
            return losses.evidence_nll(z, t.mT[labels]).mean() + self.volume * torch.linalg.slogdet(t).logabsdet

        fixed = logits.detach()
        changed = adam(batch.state, "weights", grad(lambda w: value(w, fixed))(batch.state["weights"]), self.matrix_lr)
        return value(batch.state["weights"], logits), {**changed, "transition": self.matrix(changed["weights"])}


@dataclass(kw_only=True)
class NoiseAdaptation(Method):
    """A softmax layer on top that learns the matrix: ``-log (T^t p)_y`` with T = row-softmax(W), W learned jointly.

    Goldberger, Ben-Reuven (2017), "Training deep neural-networks using a noise adaptation layer", the simple model.
    Nothing in the loss prefers the true T: what keeps the hidden classes in their place is where W starts.

    Args:
        warm: :class:`labkit.Runs` of a first network: W starts at the logarithm of its confusion, how often it predicts
            a class and the given label is another (counts plus 1, so that none is 0). None: at ``(1 - noise)`` on the
            diagonal and ``noise / (K - 1)`` beside it.
        matrix_lr: of Adam on W.
    """

    noise: float = 0.1
    warm: Any = None
    matrix_lr: Any = 0.01

    accepts: ClassVar = (Labels,)
    keeps: ClassVar = ("transition",)

    def __post_init__(self):
        if not 0 < self.noise < 1:
            raise ValueError(f"noise lies between 0 and 1, got {self.noise}")

    def setup(self, start: Start):
        k = start.n_classes
        if self.warm is None:
            first = torch.full((k, k), self.noise / (k - 1), dtype=torch.float64).fill_diagonal_(1 - self.noise)
        else:
            predicted = one_hot(_probs(self.warm, start).argmax(-1), k, torch.float64)
            counts = predicted.T @ one_hot(start.evidence.labels, k, torch.float64) + 1
            first = counts / counts.sum(1, keepdim=True)
        return {"weights": first.log(), "transition": first, **_memory(first)}

    def objective(self, net, batch: Batch):
        logits, labels = net(batch.x), batch.evidence.labels
        value = lambda w, z: losses.evidence_nll(z, w.softmax(1).mT[labels]).mean()
        fixed, weights = logits.detach(), batch.state["weights"]
        changed = adam(batch.state, "weights", grad(lambda w: value(w, fixed))(weights), self.matrix_lr)
        return value(weights, logits), {**changed, "transition": changed["weights"].softmax(1)}
