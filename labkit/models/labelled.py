"""A network with a second head that also sees the label it was given."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import functional_call

from labkit.evidence import one_hot
from labkit.models.base import Architecture, Linear
from labkit.models.networks import MLP


@dataclass(frozen=True)
class WithLabelHead(Architecture):
    """The network of ``base`` plus a small perceptron on (penultimate features, given label).

    Logits and features are those of ``base``, which also begins with the weights it would have alone. The label
    enters as one-hot: an embedding followed by a linear layer is a linear layer of the one-hot label.

    Args:
        base: any architecture. outputs: of the perceptron; 0 gives one per class. hidden: widths of its hidden layers.
    """

    base: Architecture = field(default_factory=MLP)
    outputs: int = 1
    hidden: tuple[int, ...] = (64,)

    def build(self, shape, image_shape, n_classes):
        if self.outputs < 0:
            raise ValueError(f"outputs is a whole number from 1, or 0 for one per class, got {self.outputs}")
        model = self.base.build(shape, image_shape, n_classes)
        widths = [model.head.in_features + n_classes, *self.hidden]
        layers = [Linear(a, b, relu=True) for a, b in pairwise(widths)]
        model.label_head = nn.Sequential(*layers, Linear(widths[-1], self.outputs or n_classes))
        return model


def consult(net, features: Tensor, labels: Tensor) -> Tensor:
    """The label head's answer ``(n, outputs)`` on ``features`` ``(n, d)`` and ``labels`` ``(n,)``.

    Raises TypeError for a network that has no such head.
    """
    if not hasattr(net.module, "label_head"):
        raise TypeError("this network has no label head; give fit model=WithLabelHead(base)")
    own = {k.removeprefix("label_head."): v for k, v in net.params.items() if k.startswith("label_head.")}
    classes = net.module.head.out_features
    seen = torch.cat([features, one_hot(labels, classes, features.dtype)], -1)
    return functional_call(net.module.label_head, own, (seen,))
