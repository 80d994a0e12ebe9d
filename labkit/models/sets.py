"""Networks that read a set of inputs: one encoder for all members, a pool that forgets their order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from labkit.models.base import Architecture, Linear, Model


class MeanPool(nn.Module):
    """``(n, S, d)`` to ``(n, d)``."""

    def forward(self, members: Tensor) -> Tensor:
        return members.mean(1)


class AttentionPool(nn.Module):
    """``(n, S, d)`` to ``sum_i a_i h_i``, ``a = softmax_i(w . tanh(V h_i))``, ``(n, d)``.

    Ilse, Tomczak, Welling (2018), "Attention-based deep multiple instance learning", equations 7 and 8.
    """

    def __init__(self, dimensions: int, width: int):
        super().__init__()
        self.first, self.second = nn.Linear(dimensions, width), nn.Linear(width, 1, bias=False)

    def forward(self, members: Tensor) -> Tensor:
        weight = self.second(torch.tanh(self.first(members))).softmax(1)
        return (weight * members).sum(1)


class EachThenPool(nn.Module):
    """``(n, S, ...)``: the encoder on every member, then the pool."""

    def __init__(self, encoder: nn.Module, pool: nn.Module):
        super().__init__()
        self.encoder, self.pool = encoder, pool

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.encoder(x.flatten(0, 1)).unflatten(0, x.shape[:2]))


@dataclass(frozen=True)
class SetNet(Architecture):
    """``head(pool(e(x_1), ..., e(x_S)))`` for examples that are sets ``(S, ...)``; e is a multi-layer perceptron.

    Zaheer et al. (2017), "Deep sets", with the mean as pool; or attention (see :class:`AttentionPool`). The order of
    members makes no difference. Either pool leaves a set of one as it is, so on sets ``x[:, None]`` the penultimate
    features are those of the encoder: what Zhang, Khan, Chen, Grossman (2023), "Enhancing instance-level image
    classification with set-level labels" (FACILE), keep for the classifier of instances. (They pool with a Set
    Transformer by default, and with the two pools here.)

    Args:
        hidden: widths of the encoder's layers, at least one. pool: "mean" or "attention". width: of the attention.
    """

    hidden: tuple[int, ...] = (64,)
    pool: str = "mean"
    width: int = 16

    def __post_init__(self):
        if self.pool not in ("mean", "attention") or not self.hidden:
            raise ValueError(
                f"pool is 'mean' or 'attention' and hidden not empty, got {self.pool!r} and {self.hidden}; members "
                "without an encoder would be pooled as pixels"
            )

    def build(self, shape, image_shape, n_classes):
        if len(shape) < 2:
            raise ValueError(f"a set network needs sets (members, ...) as examples, but examples have shape {shape}")
        widths = [math.prod(shape[1:]), *self.hidden]
        encoder = nn.Sequential(nn.Flatten(), *(Linear(a, b, relu=True) for a, b in pairwise(widths)))
        pool = MeanPool() if self.pool == "mean" else AttentionPool(widths[-1], self.width)
        return Model(EachThenPool(encoder, pool), Linear(widths[-1], n_classes))


__all__ = ["AttentionPool", "EachThenPool", "MeanPool", "SetNet"]
