"""What smoothing does to gradients: the push on the largest logit, and the variance of stochastic gradients."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from labkit.evidence import one_hot
from labkit.losses import cross_entropy, label_smoothing

from .over_runs import check_labels, check_rows, over_runs, spread


def max_logit_suppression(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """How much harder the smoothed loss pushes the largest logit down than cross entropy does, ``(..., n)`` float64.

    The gradient of ``label_smoothing - cross_entropy`` in the largest logit, measured by differentiating the losses.
    It is ``a (1[prediction = label] - 1/K)``: down by ``a (1 - 1/K)`` where the prediction is right, *up* by ``a / K``
    where it is wrong, whatever the logits are. Averaged over labels drawn from P(y | x) it is
    ``a (P(right | x) - 1/K)``: the surer the case, the harder the push.

    logits (..., n, K), labels (n,) or (..., n). NaN for a diverged run. Xia, Laurent, Franchi, Bouganis (2025),
    "Understanding why label smoothing degrades selective classification and how to fix it", section 4.
    """
    check_rows("logits", logits)
    labels = check_labels(labels, logits, logits.shape[-1])

    def push(z: Tensor, y: Tensor) -> Tensor:
        target = one_hot(y.flatten(), z.shape[-1], z.dtype).reshape(z.shape)
        extra = grad(lambda v: (label_smoothing(v, target, smoothing) - cross_entropy(v, target)).sum())(z)
        return extra.gather(-1, z.argmax(-1, keepdim=True)).squeeze(-1)

    return over_runs(push, tuple(logits.shape[:-2]), logits, labels)


class GradientVariance(NamedTuple):
    """Traces of covariances of the gradient of one random example's loss, 0-d tensors; ``total = labels + inputs``.

    labels   E_x tr Cov(g | x): what remains when only the label of a given input is random
    inputs   tr Cov(E[g | x]): what comes from drawing the input
    square   |E g|^2, the squared length of the mean gradient
    """

    total: Tensor
    labels: Tensor
    inputs: Tensor
    square: Tensor


def gradient_variance(
    module: nn.Module, params: dict[str, Tensor], x: Tensor, posterior: Tensor, smoothing: float = 0.0, piece: int = 32
) -> GradientVariance:
    """Variance of the stochastic gradient in the weights, exactly: every class of every input, by its probability.

    The random example is an input drawn evenly from ``x (n, ...)`` and a label from its row of ``posterior (n, K)``;
    its loss is cross entropy smoothed by ``smoothing``. A batch of b examples drawn so has this variance divided by b.
    Smoothing by a leaves exactly ``(1 - a)^2`` of the part ``labels``: the target's only random term is
    ``(1 - a) e_y``. The part ``inputs`` follows no such rule. Where no posterior is known, one-hot rows of the given
    labels make ``labels`` 0 and ``inputs`` the variance over the data set.

    Args:
        module, params: as ``runs.network()`` gives them; ``x`` in their dtype (float64 for exact identities).
        piece: inputs at a time; ``piece * K`` gradients are held at once.

    Quantity: Xu, Xu, Qian, Li, Jin (2020), "Towards understanding label smoothing", whose analysis bounds it.
    """
    check_rows("posterior", posterior)
    dtype = next(iter(params.values())).dtype
    q = spread("posterior", posterior.to(dtype), (len(x), posterior.shape[-1]), 2)
    classes = torch.eye(q.shape[-1], dtype=dtype, device=x.device)

    def loss(weights, one, target):
        return label_smoothing(functional_call(module, weights, (one[None],)), target[None], smoothing).squeeze(0)

    every_class = vmap(grad(loss), in_dims=(None, None, 0))
    every_input = vmap(every_class, in_dims=(None, 0, None))
    means, noise = [], []
    for part, weight in zip(x.to(dtype).split(piece), q.split(piece)):
        g = torch.cat([t.flatten(2) for t in every_input(params, part, classes).values()], -1)  # (b, K, weights)
        mean = torch.einsum("nk,nkp->np", weight, g)
        noise.append((weight * (g - mean[:, None]).square().sum(-1)).sum(-1))
        means.append(mean)
    mean, noise = torch.cat(means), torch.cat(noise).mean()
    centre = mean.mean(0)
    inputs = (mean - centre).square().sum(-1).mean()
    return GradientVariance(noise + inputs, noise, inputs, centre.square().sum())


__all__ = ["GradientVariance", "gradient_variance", "max_logit_suppression"]
