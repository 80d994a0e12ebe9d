"""Dynamic bootstrapping: a mixture model of the losses says how far to trust each label."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from labkit.evidence import Labels, one_hot
from labkit.losses import cross_entropy
from labkit.methods.base import Batch, Method, Start
from labkit.methods.mixup import Mixup
from labkit.mixtures import beta_posterior, gaussian_posterior

MIXTURES = {"beta": beta_posterior, "gaussian": lambda losses: 1 - gaussian_posterior(losses)}


@dataclass
class DynamicBootstrap(Method):
    """Cross entropy against ``(1 - w_i) e_y + w_i z_i``: the given label as far as it is trusted, else the network.

    w_i = P(wrong | loss_i) under a mixture of two components fitted to the losses of all training examples when an
    epoch ends; z_i is what the network says of the example itself: its likeliest class, or (``soft``) its
    probabilities; both are constants. Until ``warm`` of training is done, w = 0. With ``alpha > 0`` inputs and targets
    are mixed in pairs, weight ~ Beta(alpha, alpha), as in :class:`labkit.methods.Mixup`; z and the losses always come
    from unmixed inputs. From ``warm`` on, ``balance KL(uniform || mean prediction of the batch)`` is added, without
    which all examples may drift into one class.

    Arazo, Ortego, Albert, O'Connor, McGuinness (2019), "Unsupervised label noise modeling and loss correction", ICML,
    section 3. ``alpha = 0`` is their dynamic bootstrapping (hard or soft), the defaults here M-DYR. Published:
    alpha 32, balance 1 (in their scripts), warm 105 of 300 epochs with mixup only.

    What differs: the paper passes once more over the training data after each epoch for the losses, and looks w up for
    the loss at this very step. We remember an example's loss from when it was last seen, and its w from the end of the
    last epoch; a pass less each epoch. (Their pass sees augmented inputs in evaluation mode; ours is that of the step.)
    Fixed w, all alike, is static bootstrapping (Reed et al., 2015).

    Kept: ``losses`` ``(n,)`` nats, when last seen, and ``noisy`` ``(n,)``, P(wrong) as of the end of training.

    Args:
        mixture: "beta" or "gaussian". soft: whether z is a distribution. alpha: of the mixing weight, 0 for none.
        balance: weight of the regulariser. warm: share of training without bootstrapping.

    Raises:
        ValueError: an unknown mixture.
    """

    mixture: str = "beta"
    soft: bool = False
    alpha: Any = 32.0
    balance: Any = 1.0
    warm: Any = 0.35

    accepts: ClassVar = (Labels,)
    keeps: ClassVar[tuple[str, ...]] = ("losses", "noisy")

    def __post_init__(self):
        if self.mixture not in MIXTURES:
            raise ValueError(f"mixture is one of {', '.join(MIXTURES)}, got {self.mixture!r}")

    def setup(self, start: Start):
        n = len(start.evidence)
        return {"losses": torch.full((n,), math.log(start.n_classes)), "noisy": torch.zeros(n)}

    def draw(self, rng, steps, batch_size):
        return Mixup(self.alpha).draw(rng, steps, batch_size)

    def objective(self, net, batch: Batch):
        mix = batch.draws["weight"]
        blend = lambda held: mix * held + (1 - mix) * held.roll(1, 0)
        told, unmixed = batch.evidence.labels, net(batch.x)
        plain = unmixed.detach()
        k, begun = plain.shape[-1], (batch.progress >= self.warm).to(plain.dtype)

        own = plain.softmax(-1) if self.soft else one_hot(plain.argmax(-1), k, plain.dtype)
        w = begun * batch.state["noisy"][batch.index][:, None]
        target = (1 - w) * one_hot(told, k, plain.dtype) + w * own
        alone = not isinstance(self.alpha, Tensor) and self.alpha == 0  # nothing to mix: one pass does
        logits = unmixed if alone else net(blend(batch.x))
        loss = cross_entropy(logits, blend(target)).mean() + begun * self.balance * imbalance(logits)

        seen = cross_entropy(plain, told)
        return loss, {"losses": batch.state["losses"].index_put((batch.index,), seen)}

    def end_epoch(self, state, progress):
        return {"noisy": MIXTURES[self.mixture](state["losses"])}


def imbalance(logits: Tensor) -> Tensor:
    """``KL(uniform || mean_i p_i)`` of a batch ``(b, K)``, 0-d, in nats: 0 where all classes are predicted alike.

    Arazo et al. (2019), section 3 (after Tanaka, Ikami, Yamasaki, Aizawa, 2018). It asks for nothing of single
    predictions.
    """
    n, k = logits.shape
    log_mean = torch.log_softmax(logits, -1).logsumexp(0) - math.log(n)
    return -math.log(k) - log_mean.mean()


__all__ = ["DynamicBootstrap", "imbalance"]
