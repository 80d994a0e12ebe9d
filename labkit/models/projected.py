"""A network with a projection head: a few numbers of length 1 by which examples are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import normalize

from labkit.models.base import Architecture, Linear
from labkit.models.networks import MLP


@dataclass(frozen=True)
class WithProjection(Architecture):
    """The network of ``base`` plus a small perceptron on its penultimate features, for contrastive learning.

    Logits and features are those of ``base``, which also begins with the weights it would have alone.

    Args:
        base: any architecture. outputs: length of the embedding (published for PiCO and ABLE: 128). hidden: widths of
            the perceptron's hidden layers (published: one, as wide as the features).
    """

    base: Architecture = field(default_factory=MLP)
    outputs: int = 32
    hidden: tuple[int, ...] = (64,)

    def build(self, shape, image_shape, n_classes):
        if self.outputs < 2:
            raise ValueError(f"an embedding has at least 2 numbers, got outputs={self.outputs}")
        model = self.base.build(shape, image_shape, n_classes)
        widths = [model.head.in_features, *self.hidden]
        layers = [Linear(a, b, relu=True) for a, b in pairwise(widths)]
        model.projection = nn.Sequential(*layers, Linear(widths[-1], self.outputs))
        return model


def project(net, features: Tensor, params: Mapping[str, Tensor] | None = None) -> Tensor:
    """Embeddings ``(n, e)`` of length 1 of ``features`` ``(n, d)``, with the weights of ``net`` or with ``params``.

    Raises TypeError for a network that has no projection head.
    """
    if not hasattr(net.module, "projection"):
        raise TypeError("this network has no projection head; give fit model=WithProjection(base)")
    own = part(net.params if params is None else params, "projection")
    return normalize(functional_call(net.module.projection, own, (features,)), dim=-1)


def embed(net, x: Tensor, params: Mapping[str, Tensor] | None = None) -> Tensor:
    """Embeddings ``(n, e)`` of inputs ``x``, with the weights of ``net`` or with ``params`` in their place."""
    held = net.params if params is None else params
    return project(net, functional_call(net.module.body, part(held, "body"), (x,)), held)


def part(params: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {k.removeprefix(f"{name}."): v for k, v in params.items() if k.startswith(f"{name}.")}


__all__ = ["WithProjection", "embed", "project"]
