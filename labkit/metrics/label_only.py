"""How good a model is, judged by candidate sets or complementary labels alone: what may choose a setting.

Everywhere: ``logits (..., n, K)`` of any floating type, any leading run axes or none, float64 results ``(...)``.
``candidates`` / ``excluded``: booleans ``(n, K)`` or ``(..., n, K)``, True where a class may be the true one / is said
not to be (``Candidates.mask``, ``Complementary.excluded``), at least one an example. ``transition`` ``(K, K)``:
Q[c, l] = P(complementary label l | class c); None is the uniform one. Several labels of an example count as repeats of
it with one label each. A run with a NaN or infinite logit gives NaN. Everything is a mean over *examples*; two public
toolkits average over batches instead, so that the examples of a short last batch weigh more.

Which way is better: more for the covering rate, the approximated and the unbiased accuracy; less for the two risks.
Raises TypeError for logits that are not floating-point or sets that are not boolean, ValueError for shapes that do not
fit, an empty set, or a matrix without an inverse.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from labkit.annotate.complementary import uniform_complement
from labkit.evidence import one_hot, stochastic_matrix
from labkit.losses import inverse_transition, log_complementary, restricted, unbiased_loss
from labkit.losses.complementary import mean_over

from .over_runs import check_rows, describe, mean, over_runs, spread


@torch.no_grad()
def covering_rate(logits: Tensor, candidates: Tensor) -> Tensor:
    """Share of examples whose predicted class is a candidate, in [0, 1]; with full sets always 1.

    Source: Wang et al. (2025), "Realistic evaluation of deep partial-label learning algorithms" (the benchmark
    PLENCH). With one uniform complementary label it orders models as :func:`unbiased_accuracy` does.
    """
    return _measure(lambda z, s: s.gather(-1, z.argmax(-1, keepdim=True)).squeeze(-1).double(), logits, candidates)


@torch.no_grad()
def approximated_accuracy(logits: Tensor, candidates: Tensor) -> Tensor:
    """Mean of ``p_j / sum_S p`` at the predicted class j, 0 where j is no candidate; in [0, 1].

    What the accuracy would be if the truth were drawn from the model's own beliefs within the set. It believes a model
    that is sure: with full sets it is the mean confidence. Source: as :func:`covering_rate`. (The benchmark's code
    counts an example as right where every candidate's probability rounds to 0, that is, where the model is furthest
    off.)
    """

    def value(z, s):
        return restricted(z, s).gather(-1, z.argmax(-1, keepdim=True)).squeeze(-1)

    return _measure(value, logits, candidates)


@torch.no_grad()
def unbiased_accuracy(logits: Tensor, excluded: Tensor, transition: Tensor | None = None) -> Tensor:
    """``mean of Q^-1[l, j]`` at the predicted class j: on average over the labels the accuracy; any real number.

    With uniform labels ``1 - (K - 1) share of examples whose prediction is excluded``. Its variance is
    ``(K - 1 - e) / (1 - e)`` times that of an accuracy on as many clean labels, e the error. The 0-1 loss in Ishida,
    Niu, Menon, Sugiyama (2019), theorem 1.
    """
    inverse = inverse_transition(_matrix(transition, logits), logits.shape[-1])

    def value(z, x):
        return 1 - unbiased_loss(1 - one_hot(z.argmax(-1), z.shape[-1], z.dtype), x, inverse.to(z.device))

    return _measure(value, logits, excluded)


@torch.no_grad()
def unbiased_risk(logits: Tensor, excluded: Tensor, transition: Tensor | None = None) -> Tensor:
    """URE: ``mean of sum_y Q^-1[l, y] (-log p_y)``, on average the NLL of the true class, in nats; may be negative.

    Not bounded below: a model that is very sure that the excluded class is not it earns without end. Source: Ishida and
    others (2019); chooses settings in libcll and CLImage (Wang et al., 2025).
    """
    inverse = inverse_transition(_matrix(transition, logits), logits.shape[-1])
    return _measure(lambda z, x: unbiased_loss(-z.log_softmax(-1), x, inverse.to(z.device)), logits, excluded)


@torch.no_grad()
def complementary_risk(logits: Tensor, excluded: Tensor, transition: Tensor | None = None) -> Tensor:
    """SCEL: ``mean of -log (Q^T p)_l``, how well the model foretells the complementary labels, in nats; from 0.

    A proper score of the *labels*: on average least for the model that is right about them. A label that Q holds for
    impossible costs 1e30. Source: as :func:`unbiased_risk`.
    """
    q = _matrix(transition, logits)
    q = uniform_complement(logits.shape[-1]) if q is None else q
    return _measure(lambda z, x: mean_over(x, -log_complementary(z, q.to(z.device))), logits, excluded)


def _matrix(transition: Tensor | None, logits: Tensor) -> Tensor | None:
    check_rows("logits", logits)
    return None if transition is None else stochastic_matrix(transition, logits.shape[-1])


def _measure(value: Callable, logits: Tensor, sets: Tensor) -> Tensor:
    """Mean over examples of ``value(logits, sets)``, both ``(runs, n, K)``."""
    check_rows("logits", logits)
    if not isinstance(sets, Tensor) or sets.dtype != torch.bool:
        raise TypeError(
            f"sets must be a boolean tensor (n, K) or (..., n, K), got {describe(sets)}; "
            "for example Candidates.mask, or Complementary.excluded"
        )
    sets = spread("sets", sets.to(logits.device), tuple(logits.shape), fixed=2)
    if not bool(sets.any(-1).all()):
        raise ValueError("an example has no class in its set; leave out what nothing is known of")
    return over_runs(lambda z, s: mean(value(z, s)), tuple(logits.shape[:-2]), logits, sets)


__all__ = ["approximated_accuracy", "complementary_risk", "covering_rate", "unbiased_accuracy", "unbiased_risk"]
