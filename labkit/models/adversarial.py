"""A network with an opponent: a discriminator that guesses an example's environment from its features."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from torch import Tensor, nn
from torch.func import functional_call

from labkit.models.base import Architecture, Linear
from labkit.models.networks import MLP


@dataclass(frozen=True)
class WithDiscriminator(Architecture):
    """The network of ``base`` plus a discriminator on its penultimate features, trained by the same optimiser.

    Logits and features are those of ``base``, which also begins with the weights it would have alone. The
    discriminator is fully connected with ReLU and has one output per environment.

    Args:
        base: any architecture. environments: how many there are to tell apart (M, at least 2). hidden: widths of the
            discriminator's hidden layers.
    """

    base: Architecture = field(default_factory=MLP)
    environments: int = 2
    hidden: tuple[int, ...] = (64,)

    def build(self, shape, image_shape, n_classes):
        if self.environments < 2:
            raise ValueError(f"a discriminator tells at least 2 environments apart, got {self.environments}")
        model = self.base.build(shape, image_shape, n_classes)
        widths = [model.head.in_features, *self.hidden]
        layers = [Linear(a, b, relu=True) for a, b in pairwise(widths)]
        model.discriminator = nn.Sequential(*layers, Linear(widths[-1], self.environments))
        return model


def discriminate(net, features: Tensor) -> Tensor:
    """The discriminator's logits ``(n, M)`` on ``features``, with the weights of ``net``.

    Raises TypeError for a network that has no discriminator.
    """
    if not hasattr(net.module, "discriminator"):
        raise TypeError("this network has no discriminator; give fit model=WithDiscriminator(base, environments=M)")
    own = {k.removeprefix("discriminator."): v for k, v in net.params.items() if k.startswith("discriminator.")}
    return functional_call(net.module.discriminator, own, (features,))
