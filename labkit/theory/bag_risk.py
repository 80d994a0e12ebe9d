"""EasyLLP's estimate of a classifier's loss from the counts of random bags: its mean and variance, exactly.

A world of n points: point x is drawn with probability ``weights[x]``, has class c with probability
``posterior[x, c]``, and the classifier loses ``losses[x, c]`` there. A bag is k independent draws. With A the loss of a
draw, delta = y - pi its label less the prior, mu the mean loss of every class and lambda = losses[x] - mu, the mean
over a bag of ``<y~, losses>`` has the variance

    Var(A + (k - 1) <delta, mu>) / k  +  (k - 1) / k  (tr(Sigma Lambda) + tr(C C)),

Sigma = Cov(delta), Lambda = Cov(lambda), C = E[delta lambda'] (a U-statistic: the second part is its degenerate term).
One member alone has ``Var(A) + (k - 1) E[losses' Sigma losses]``. Busa-Fekete et al. (2023) bound the two; the exact
form is ours. All float64.
"""

from __future__ import annotations

import torch
from torch import Tensor


def true_risk(losses: Tensor, posterior: Tensor, weights: Tensor | None = None) -> Tensor:
    """``E[losses[x, y]]``, a 0-d tensor. ``losses``, ``posterior`` ``(n, K)``; ``weights`` ``(n,)``, alike if None."""
    losses, posterior, weights = _world(losses, posterior, weights)
    return weights @ (posterior * losses).sum(1)


def soft_label_risk(size, losses: Tensor, posterior: Tensor, weights: Tensor | None = None) -> Tensor:
    """What the un-debiased estimate (bag shares as soft labels) is on average, ``(...)`` for sizes ``(...)``:
    the true risk for a share 1/k, and for the rest the risk of labels that have nothing to do with the inputs."""
    losses, posterior, weights = _world(losses, posterior, weights)
    size = torch.as_tensor(size).double()
    unrelated = (weights @ losses) @ (weights @ posterior)
    return (true_risk(losses, posterior, weights) + (size - 1) * unrelated) / size


def one_member_variance(size, losses: Tensor, posterior: Tensor, weights: Tensor | None = None) -> Tensor:
    """Of one member's ``<y~, losses>``, true prior: linear in k. Shapes as in :func:`soft_label_risk`."""
    losses, posterior, weights = _world(losses, posterior, weights)
    size = torch.as_tensor(size).double()
    sigma = _label_covariance(posterior, weights)
    strangers = weights @ ((losses @ sigma) * losses).sum(1)
    return _variance_of_loss(losses, posterior, weights) + (size - 1) * strangers


def bag_variance(size, losses: Tensor, posterior: Tensor, weights: Tensor | None = None, prior: str = "true") -> Tensor:
    """Of the average over a bag. Shapes as in :func:`soft_label_risk`.

    Args:
        prior: "true", or "estimated": what a bag adds to the variance of the mean over many bags when the prior is
            their own class shares. Then ``sum delta = 0`` over all bags and the term in mu, which grows with k,
            vanishes; exact in the limit of many bags.
    """
    if prior not in ("true", "estimated"):
        raise ValueError(f'prior is "true" or "estimated", got {prior!r}')
    losses, posterior, weights = _world(losses, posterior, weights)
    size = torch.as_tensor(size).double()
    share, mean = weights @ posterior, weights @ losses
    joint = weights[:, None] * posterior  # P(x, y)
    toll = mean - share @ mean  # <delta, mu> by class
    known = losses + (size[..., None, None] - 1) * toll if prior == "true" else losses
    linear = (joint * known.square()).sum((-2, -1)) - (joint * known).sum((-2, -1)).square()
    apart = losses - mean
    spread = apart.mT @ (weights[:, None] * apart)
    cross = (joint - weights[:, None] * share).mT @ apart
    pairs = (_label_covariance(posterior, weights) * spread).sum() + (cross * cross.mT).sum()
    return linear / size + (size - 1) / size * pairs


def _variance_of_loss(losses, posterior, weights):
    return weights @ (posterior * losses.square()).sum(1) - true_risk(losses, posterior, weights).square()


def _label_covariance(posterior, weights):
    share = weights @ posterior
    return share.diag() - share[:, None] * share


def _world(losses, posterior, weights):
    losses, posterior = losses.double(), posterior.double()
    if losses.shape != posterior.shape or losses.ndim != 2:
        raise ValueError(
            f"losses and posterior are (points, classes), got {tuple(losses.shape)} and {tuple(posterior.shape)}"
        )
    weights = torch.full((len(losses),), 1 / len(losses)).double() if weights is None else weights.double()
    return losses, posterior, weights


def simulated(losses: Tensor, labels: Tensor, size: int, bags: int, repeats: int, generator=None) -> dict[str, Tensor]:
    """Estimates of the mean loss from ``bags`` bags of ``size`` independent draws among n labelled examples.

    Args: ``losses`` ``(n, K)`` of every class; ``labels`` ``(n,)`` class indices; ``repeats``: how many training sets.

    Returns:
        ``(repeats,)`` by name: "average, estimated prior", "average, true prior", "one member" (estimated prior) and
        "soft labels" (not debiased).
    """
    losses = losses.double()
    truth = torch.nn.functional.one_hot(labels, losses.shape[1]).double()
    drawn = torch.randint(len(losses), (repeats, bags, size), generator=generator)
    counts, first = truth[drawn].sum(2), losses[drawn[:, :, 0]]
    mean = losses[drawn].mean(2)
    estimated = counts.mean(1, keepdim=True) / size
    of = lambda prior, loss: ((counts - (size - 1) * prior) * loss).sum(-1).mean(1)
    return {
        "average, estimated prior": of(estimated, mean), "average, true prior": of(truth.mean(0), mean),
        "one member": of(estimated, first), "soft labels": (counts / size * mean).sum(-1).mean(1),
    }  # fmt: skip


def growth(table, sizes) -> tuple[float, Tensor]:
    """The exponent a of ``mean over seeds = c size^a``, by least squares on logarithms, and its jackknife.

    Args: ``table`` ``(seeds, sizes)`` values of which the means are positive; ``sizes`` ``(sizes,)``.

    Returns:
        The exponent and ``(seeds,)`` pseudo-values: their mean is the exponent less its jackknife bias, their Student
        interval its interval (Tukey, 1958). NaN where a mean without one seed is not positive.
    """
    table, x = torch.as_tensor(table).double(), torch.as_tensor(sizes).double().log()
    if table.ndim != 2 or table.shape[1] != len(x) or len(x) < 2:
        raise ValueError(f"values are (seeds, sizes) with two sizes at least, got {tuple(table.shape)}, {len(x)} sizes")
    n, x = len(table), x - x.mean()
    slope = lambda mean: (mean.log() @ x) / (x @ x)
    total = table.sum(0)
    whole = slope(total / n)
    return float(whole), n * whole - (n - 1) * slope((total - table) / (n - 1))
