"""Compressed features against memorising: feature dropout, nested dropout, and co-teaching with it.

After Chen, Shen, Hu, Suykens (2021), "Boosting co-teaching with compression regularization for label noise", and Chen,
Hu, Shen, Ai, Suykens (2022), "Compressing features for learning with noisy labels", section 3. Features are those of
the penultimate layer, ``(b, N)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.fleet.step import nets
from labkit.losses import cross_entropy, target_of
from labkit.methods.base import Batch, Method
from labkit.methods.co_teaching import CoTeaching
from labkit.methods.selection import check_share, mean_over


@dataclass
class FeatureDropout(Method):
    """Cross entropy with each penultimate feature set to 0 with probability ``rate``, the others divided by 1 - rate.

    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov (2014). Networks answer with all their features. Rates
    are rounded to a 256th: one random byte a feature.

    Args:
        rate: published 0.5. width: N, the number of penultimate features (128 for "mlp").

    Raises:
        ValueError: a rate outside [0, 1), or, when training begins, another N.
    """

    rate: Any = 0.5
    width: int = 128

    def __post_init__(self):
        check_share("rate", self.rate)

    def draw(self, rng, steps, batch_size):
        return {"bytes": rng.integers(0, 256, (steps, batch_size, self.width), dtype=np.uint8)}

    def objective(self, net, batch: Batch):
        features = net.features(batch.x)
        if features.shape[-1] != self.width:
            raise ValueError(f"the network has {features.shape[-1]} penultimate features, and width is {self.width}")
        dropped = (256 * self.rate + features.new_zeros(())).round()
        kept = batch.draws["bytes"].to(features.dtype) >= dropped
        logits = net.head(features * kept / (1 - dropped / 256))
        return cross_entropy(logits, target_of(batch.evidence, logits.dtype)).mean(), {}


@dataclass
class NestedDropout(Method):
    """Cross entropy on the first k features only, k drawn for every batch: ``P(k) ~ exp(-(k / scale)^2)``, k = 1..N.

    Rippel, Gelbart, Adams (2014) for the idea; P(k) is that of Chen et al. (there is no 1/2 in the exponent). The
    first features are trained most, so they come to be ordered by importance.

    Args:
        scale: s > 0, in features; tuned per data set in the paper. Large: every k alike; to 0: only the first feature.
        k: how many features the network answers with, 0 for all. No training depends on it, so one fit and
            :func:`truncated_logits` give every k at once; :func:`best_k` chooses as the paper does.
    """

    scale: Any = 64.0
    k: Any = 0

    def draw(self, rng, steps, batch_size):
        return {"nested": rng.random(steps)}

    def objective(self, net, batch: Batch):
        features = net.features(batch.x)
        logits = net.head(features * nested_mask(batch.draws["nested"], features, self.scale))
        return cross_entropy(logits, target_of(batch.evidence, logits.dtype)).mean(), {}

    def predict(self, net, x):
        features = net.features(x)
        return net.head(features * first_features(features, self.k))


@dataclass
class NestedCoTeaching(CoTeaching):
    """Co-teaching between networks under nested dropout.

    Each network's losses are those of its first ``k`` features (0: all); it learns with a k drawn for every batch, as
    :class:`NestedDropout`. Chen et al. train the two networks with nested dropout alone first: that is ``warm``, the
    share of training before anything is forgotten. There network 1 picks from one half of the batch and network 2
    from the other; here both from all of it, as in co-teaching.

    Args:
        rate, ramp, warm, exchange: as in :class:`CoTeaching`; in the paper's second stage rate 0.2, a ramp of 5 epochs.
        scale, k: as in :class:`NestedDropout`.
    """

    scale: Any = 64.0
    k: Any = 0

    def draw(self, rng, steps, batch_size):
        return {"nested": rng.random((steps, 2))}

    def objective(self, net, batch: Batch):
        target = target_of(batch.evidence, batch.x.dtype)
        features = [one.features(batch.x) for one in net]
        logits = tuple(one.head(f.detach() * first_features(f, self.k)).detach() for one, f in zip(net, features))
        picked = self.picks([cross_entropy(z, target) for z in logits], logits, batch.progress)
        loss = 0.0
        for i in range(2):
            masked = features[i] * nested_mask(batch.draws["nested"][i], features[i], self.scale)
            loss = loss + mean_over(cross_entropy(net[i].head(masked), target), picked[1 - i if self.exchange else i])
        return loss, self.note(batch, picked, logits)

    def predict(self, net, x):
        first, second = (NestedDropout.predict(self, one, x).log_softmax(-1) for one in net)
        return torch.logaddexp(first, second) - np.log(2)


def nested_mask(uniform: Tensor, features: Tensor, scale) -> Tensor:
    """Ones for the first k of N features, then zeros, ``(N,)``: k from the ``uniform`` 0-d number in [0, 1)."""
    count = torch.arange(1, features.shape[-1] + 1, device=features.device, dtype=features.dtype)
    below = torch.softmax(-((count / scale) ** 2), -1).cumsum(-1)
    return torch.cat([torch.ones_like(below[:1]), (uniform >= below[:-1]).to(features.dtype)])


def first_features(features: Tensor, k) -> Tensor:
    """Ones for the first k of N features, then zeros, ``(N,)``; k = 0 is all."""
    place = torch.arange(features.shape[-1], device=features.device)
    return (place < k + (k == 0) * len(place)).to(features.dtype)


@torch.no_grad()
def truncated_logits(runs, x: Tensor) -> Tensor:
    """What runs answer with their first k features, for every k: ``(runs, N, n, K)``, entry k - 1 for k.

    Args:
        runs: :class:`labkit.Runs` of networks that end in a linear layer ``head``; pairs of networks answer with their
            mean probability. x: ``(n, ...)``, the same for all runs, or ``(runs, n, ...)``.
    """
    answers = []
    for i in range(len(runs)):
        own = runs[i : i + 1]
        inputs = x[i] if x.ndim > len(runs.context.data.shape) + 1 else x
        module, params = own.network(inputs.device, inputs.dtype)
        count = runs.context.methods[own[0].method].networks
        log_p = []
        for net in (nets(module, params, count),) if count == 1 else nets(module, params, count):
            weight, bias = net.params["head.weight"], net.params["head.bias"]
            parts = net.features(inputs).T[:, :, None] * weight.T[:, None]  # (N, n, K): what each feature adds
            logits = parts.cumsum(0) + bias
            log_p.append(logits if count == 1 else logits.log_softmax(-1))
        answers.append(torch.stack(log_p).logsumexp(0) - np.log(count) if count > 1 else log_p[0])
    return torch.stack(answers)


def best_k(logits: Tensor, said: Tensor, price: float = 1e-5) -> Tensor:
    """Per run the k with the best agreement with the given labels less ``price`` k, ``(runs,)`` from 1.

    Chen et al. choose on *clean* validation data; give the noisy validation labels instead.

    Args:
        logits: ``(runs, N, n, K)``, of :func:`truncated_logits`.
        said: ``(runs, n)``, given labels of the same examples.
    """
    agreement = (logits.argmax(-1) == said[:, None]).double().mean(-1)
    return 1 + (agreement - price * torch.arange(1, logits.shape[1] + 1)).argmax(-1)


__all__ = ["FeatureDropout", "NestedCoTeaching", "NestedDropout", "best_k", "truncated_logits"]
