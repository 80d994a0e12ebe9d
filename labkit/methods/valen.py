"""VALEN: a second network learns how the labels of an example are distributed, and the first learns from its draws."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from labkit.evidence import Candidates
from labkit.losses import cross_entropy, dirichlet_kl, restricted
from labkit.methods.base import Batch, Method, Start
from labkit.methods.candidates import uniform

TRIES = 4  # of the rejection sampler; all are rejected less than once in 100,000 draws


@dataclass(kw_only=True)
class VALEN(Method):
    """``CE(d, z) + encoder CE(o, a) + prior KL(Dirichlet(alpha) || Dirichlet(1))``, z of the network, a of an encoder.

    Xu, Qiao, Geng, Zhang (2021), "Instance-dependent partial label learning", in a reduced form. Kept per example: o,
    the network's prediction renormalised on the set, and d, a draw of the label distribution: at every visit
    ``d ~ Dirichlet(s)`` renormalised on the set, ``s = softmax(a)_S / sum_S softmax(a) + 0.01``. The loss uses the o
    and d of the visit before. ``alpha = exp(a / 4)`` within [0.01, 30] (outside no gradient): as published, the
    distribution that is regularised is not the one that is drawn from. Until ``warm`` it is :class:`PRODEN`: d = o.

    Left out: the reconstructions (of the input, of the set, of a graph of nearest neighbours; published weights 0.01,
    0.01, 1), with the decoder and the graph. They are all that would hand a gradient back through the draw, so here
    drawing is plain sampling. What remains lets the encoder imitate the network and the network learn from random
    near-one-hot labels of the encoder's confidence (s sums to 1 + K/100, so a draw is mostly one class).

    The encoder is a second network of the same architecture with weights of its own; only the first one predicts.
    Published: all weights 1, warm 10 of 510 epochs, SGD 0.01. Kept with the run: ``targets`` ``(n, K)``, the d.
    """

    encoder: Any = 1.0
    prior: Any = 1.0
    warm: Any = 10 / 510

    accepts: ClassVar = (Candidates,)
    networks: ClassVar = 2
    keeps: ClassVar[tuple[str, ...]] = ("targets",)

    def setup(self, start: Start):
        self.classes = start.n_classes
        first = uniform(start.evidence.mask, torch.float64)
        return {"targets": first, "said": first}

    def draw(self, rng: np.random.Generator, steps, batch_size):
        shape = (steps, batch_size, self.classes)
        return {
            "normal": rng.standard_normal((*shape, TRIES)), "accept": -rng.standard_exponential((*shape, TRIES)),
            "boost": -rng.standard_exponential(shape),
        }  # fmt: skip

    def objective(self, net, batch: Batch):
        state, mask, draws = batch.state, batch.evidence.mask, batch.draws
        z, a = net[0](batch.x), net[1](batch.x)
        said, target = (state[name][batch.index].to(z.dtype) for name in ("said", "targets"))
        alpha = (a / 4).clamp(math.log(0.01), math.log(30)).exp()  # clamped first: no infinity to differentiate
        begun = batch.progress >= self.warm
        of_encoder = self.encoder * cross_entropy(a, said) + self.prior * dirichlet_kl(alpha)
        loss = cross_entropy(z, target) + torch.where(begun, of_encoder, 0)

        o = restricted(z.detach(), mask)
        # a Dirichlet renormalised on some of its classes is the Dirichlet of those
        log_gamma = log_gamma_draw(restricted(a.detach(), mask) + 0.01, **draws)
        d = torch.where(begun, restricted(log_gamma, mask), o)
        write = lambda name, values: state[name].index_put((batch.index,), values.to(state[name].dtype))
        return loss.mean(), {"targets": write("targets", d), "said": write("said", o)}

    def predict(self, net, x):
        return net[0](x)


def log_gamma_draw(shape: Tensor, normal: Tensor, accept: Tensor, boost: Tensor) -> Tensor:
    """Logarithms of Gamma(``shape``, 1) draws, like ``shape`` ``(...)``; several of them give a Dirichlet by softmax.

    Marsaglia, Tsang (2000), for shape + 1, times ``U^(1 / shape)``; in logarithms, since at shape 0.01 most draws are
    below the smallest number. The first accepted of several tries counts (the last, if none is).

    Args:
        normal, accept: ``(..., tries)`` standard normal, and logarithms of uniform numbers. boost: ``(...)`` the same.
    """
    d = shape[..., None] + 2 / 3  # shape + 1 - 1/3
    v = (1 + normal / (9 * d).sqrt()) ** 3
    log_v = v.clamp_min(1e-30).log()
    good = (v > 0) & (accept < normal.square() / 2 + d * (1 - v + log_v))
    good = good | (torch.arange(good.shape[-1], device=good.device) == good.shape[-1] - 1)
    first = good & (good.to(torch.int64).cumsum(-1) == 1)
    return torch.where(first, d.log() + log_v, 0).sum(-1) + boost / shape


__all__ = ["VALEN", "log_gamma_draw"]
