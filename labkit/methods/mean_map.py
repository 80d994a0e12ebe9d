"""Label proportions through the mean operator: all that a linear classifier needs of the labels are the class means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from labkit.evidence import Bags
from labkit.methods.base import Batch, Method, Start

WORST = 1e8  # condition number beyond which class means are rounding errors


def mean_map_weights(bags: Bags) -> Tensor:
    """What an example of every bag weighs in the estimated mean operator, ``(bags, K)``: ``t_b = n diag(pi) G^-1 a_b``.

    If every bag draws its members of class c from one distribution, the bags' means are ``m_b = sum_c a_bc M_c`` on
    average, with a_b the proportions. Weighted by the sizes k_b, least squares gives the class means ``M = G^-1 sum_b
    k_b a_b m_b'`` with ``G = sum_b k_b a_b a_b'`` (Quadrianto et al. leave the k_b out; a larger bag has a better
    mean). With pi the proportions of all, ``pi_c M_c`` is the mean over examples of ``t_bc x_i``, b the bag of i.
    Weights may be negative; those of a bag add up to 1. Bags of one class: ``t_b`` is one-hot. Very many random bags
    of k: ``G / n`` tends to ``pi pi' + (diag(pi) - pi pi') / k``, and t_b to ``k (a_b - pi) + pi``, the soft labels of
    EasyLLP. Noisy counts are first moved to add up to the size of their bag, all classes alike; nothing corrects for
    their noise beyond that.

    Raises:
        ValueError: proportions from which class means cannot be told apart.
    """
    counts, shares, _ = _counts_and_shares(bags)
    return (torch.linalg.solve(counts.mT @ shares, shares.mT).mT * counts.sum(0)).to(bags.counts.dtype)


def laplacian_mean_map_weights(bags: Bags, x: Tensor, strength: float, bandwidth: float) -> Tensor:
    """The same ``(bags, K)`` for class means ``B_bc`` that may change from bag to bag, and little between similar ones.

    ``min_B sum_b w_b |m_b - sum_c a_bc B_bc|^2 + strength sum_c tr(B_c' L B_c)``, w_b the size over the mean size,
    L the Laplacian of the similarities ``exp(-|m_b - m_b'| / s)``, s = ``bandwidth`` times the median distance of two
    bags' means. ``pi_c M_c = sum_b k_b a_bc B_bc / n`` is linear in the m_b again; its weights are what is returned.

    Args:
        x: ``(n, ...)`` inputs of all training examples.

    Raises:
        ValueError: as above.
    """
    counts, shares, sizes = _counts_and_shares(bags)
    weights, (b, k) = sizes / sizes.mean(), counts.shape
    means = _sums(bags, x.double()) / sizes[:, None]
    apart = torch.cdist(means, means)
    similar = torch.exp(-apart / (bandwidth * apart[~torch.eye(b, dtype=torch.bool, device=apart.device)].median()))
    laplacian = similar.sum(1).diag() - similar

    # unknowns (class, bag): the fit couples the classes of a bag, the Laplacian the bags of a class
    fit = torch.diag_embed(torch.einsum("b,bc,bd->cdb", weights, shares, shares))  # (K, K, bags, bags)
    system = fit.transpose(1, 2).reshape(k * b, k * b) + strength * torch.block_diag(*[laplacian] * k)
    wanted = torch.diag_embed(counts).permute(1, 0, 2).reshape(k * b, k)  # sum of k_b a_bc B_bc, one column per class
    solved = torch.linalg.solve(system, wanted).unflatten(0, (k, b))
    return ((shares.mT[..., None] * solved).sum(0) * (weights / sizes)[:, None]).to(bags.counts.dtype)


def mean_operator(bags: Bags, weights: Tensor, x: Tensor) -> Tensor:
    """``pi_c M_c``, ``(K, d)``: the mean over all members of input times weight, ``(bags, K)``, of the bag."""
    return weights.mT @ _sums(bags, x).to(weights.dtype) / bags.present.sum()


def _sums(bags: Bags, x: Tensor) -> Tensor:
    return (bags.of_members(x).flatten(2) * bags.present[..., None].to(x.dtype)).sum(1)


def _counts_and_shares(bags: Bags) -> tuple[Tensor, Tensor, Tensor]:
    """Counts that add up to the sizes, proportions, sizes: doubles, and proportions that differ enough."""
    sizes = bags.sizes.double()
    counts = bags.counts.double()
    counts = counts + ((sizes - counts.sum(1)) / counts.shape[1])[:, None]
    shares = counts / sizes[:, None]
    condition = float(torch.linalg.cond(counts.mT @ shares))
    if not condition < WORST:  # also true for NaN
        raise ValueError(
            f"class means cannot be told apart from the {len(counts)} bags: the second moments of their proportions "
            f"have condition number {condition:.3g} (at most {WORST:g}). The proportions are all alike, a class is in "
            "no bag, or there are fewer bags than classes; take smaller or more skewed bags, or a method that does "
            "not solve for class means (CountLikelihood)"
        )
    return counts, shares, sizes


@dataclass
class MeanMap(Method):
    """Logistic regression with the label term replaced by its estimate from bag means, ``(t_b, z)`` for ``z_y``.

    Quadrianto, Smola, Caetano, Le (2009), "Estimating labels from label proportions": the log-likelihood of
    ``p(y | x) ~ exp(w_y x)`` is ``sum_y pi_y w_y M_y - mean_i log sum_c exp(w_c x_i)`` and needs the labels only in the
    class means M_y, which bag means and proportions give by least squares. The loss of example i of bag b is
    ``log sum_c exp(z_ic) - sum_c t_bc z_ic``, t_b from :func:`mean_map_weights`. Averaged over all examples it is the
    paper's for a linear model, and for a network that of its last layer, with class means of the features as they are
    at this step. Two classes, ``z = z_1 - z_0``: ``log(2 cosh(z / 2)) - (t_1 - t_0) z / 2``. Bags of one class, or of
    one example: cross entropy.

    It assumes that the members of one class look alike in every bag; how skewed proportions are does not matter.
    Weights outside [0, 1] let the loss fall without end, the further the larger the bags, so regularise: the paper's
    Gaussian prior on w is the weight decay of the optimiser (``lk.SGD(weight_decay=...)``).

    Raises (when training starts):
        ValueError: bags whose proportions are all alike, which say nothing of class means.
    """

    accepts: ClassVar = (Bags,)

    def weights(self, start: Start) -> Tensor:
        return mean_map_weights(start.evidence)

    def setup(self, start: Start):
        return {"weights": self.weights(start)}

    def objective(self, net, batch: Batch):
        logits, present = batch.evidence.grouped(net(batch.x)), batch.evidence.present
        weights = batch.state["weights"][batch.index][:, None]  # (b, 1, K)
        loss = logits.logsumexp(-1) - (weights * logits).sum(-1)
        return torch.where(present, loss, 0).sum() / present.sum(), {}


@dataclass
class LMM(MeanMap):
    """Mean map with class means that may change between bags, smoothly over similar bags.

    Patrini, Nock, Rivera, Caetano (2014), "(Almost) no label no cry", Laplacian mean map; K classes are ours. Weights
    from :func:`laplacian_mean_map_weights`. In the authors' code strength (gamma) is 10 and epsilon of their equation 8
    is 0; distances are divided by 1 in the units of the inputs (for bags of digits about our bandwidth 0.2); and bags
    count alike whatever their size, in the fit and in pi (right for equal sizes only). Without end, strength makes it
    :class:`MeanMap`; towards 0, each bag has means of its own. Memory grows with the square of bags times classes.

    Args:
        strength: weight of the Laplacian, above 0. bandwidth: of the similarity, in medians of the distance of two
            bags' means, above 0; ours.

    Raises:
        ValueError: a strength or bandwidth that is not positive; when training starts, as :class:`MeanMap`.
    """

    strength: Any = 10.0
    bandwidth: Any = 0.2

    def __post_init__(self):
        for name in ("strength", "bandwidth"):
            value = getattr(self, name)
            if isinstance(value, int | float) and not value > 0:
                raise ValueError(f"{name} is above 0, got {value}")

    def weights(self, start: Start) -> Tensor:
        return laplacian_mean_map_weights(start.evidence, start.x, float(self.strength), float(self.bandwidth))


__all__ = ["LMM", "MeanMap", "laplacian_mean_map_weights", "mean_map_weights", "mean_operator"]
