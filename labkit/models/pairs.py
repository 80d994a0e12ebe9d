"""Networks for pairs: one body that scores two items, and two towers that embed an image and its caption."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from labkit.models.base import Architecture, Linear, Model


class EachItem(nn.Module):
    """The same layers for every item: ``(n, items, d)`` to ``(n, items, h)``."""

    def __init__(self, layers: nn.Module):
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(len(x) * x.shape[1], -1)
        return self.layers(rows).reshape(len(x), x.shape[1], -1)


class Score(Linear):
    """One number per item: ``(n, items, h)`` to ``(n, items)``."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[..., 0]


@dataclass(frozen=True)
class Scores(Architecture):
    """A reward model: examples ``(n, 2, d)`` are two items, one network gives each its score, and the two scores are
    the logits of "which is better".

    The softmax of two scores is the model of Bradley, Terry (1952): P(first is better) = sigmoid(r_1 - r_2). Raises
    ValueError for examples of another shape.
    """

    hidden: tuple[int, ...] = (64,)

    def build(self, shape, image_shape, n_classes):
        if len(shape) < 2 or shape[0] != 2 or n_classes != 2:
            raise ValueError(f"scores compare two items, examples of shape (2, ...) and two classes; got shape "
                             f"{tuple(shape)} and {n_classes} classes")  # fmt: skip
        widths = [math.prod(shape[1:]), *self.hidden]
        layers = [Linear(a, b, relu=True) for a, b in pairwise(widths)]
        return Model(EachItem(nn.Sequential(*layers)), Score(widths[-1], 1))


class Towers(nn.Module):
    """``(n, d)`` rows, image first and caption after it, to two embeddings of length 1, ``(n, 2, e)``."""

    def __init__(self, split: int, image: nn.Module, caption: nn.Module):
        super().__init__()
        self.split, self.image, self.caption = split, image, caption

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([normalize(self.image(x[:, : self.split]), dim=-1), self.describe(x[:, self.split :])], -2)

    def describe(self, captions: Tensor) -> Tensor:
        return normalize(self.caption(captions), dim=-1)


class ZeroShot(nn.Module):
    """Two towers and a prompt per class; the logits are the cosines of an image with the prompts, in [-1, 1]."""

    def __init__(self, body: Towers, prompts: Tensor):
        super().__init__()
        self.body, self.prompts = body, prompts  # prompts are no weights

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)[:, 0] @ self.body.describe(self.prompts.to(x)).mT


@dataclass(frozen=True)
class TwoTower(Architecture):
    """An image tower and a caption tower, each with one hidden layer.

    Args:
        prompts: ``(K, c)`` as nested tuples, the caption that names each class (``labkit.datasets.caption_prompts``).
            Its width says how many of the last entries of a row of x are the caption.
        hidden, embedding: widths.
    """

    prompts: tuple[tuple[float, ...], ...]
    hidden: int = 64
    embedding: int = 16

    def build(self, shape, image_shape, n_classes):
        prompts = torch.tensor(self.prompts, dtype=torch.float32)
        width = math.prod(shape) - prompts.shape[-1]
        if prompts.ndim != 2 or len(prompts) != n_classes or len(shape) != 1 or width < 1:
            raise ValueError(f"two towers need images with captions and a prompt for each of {n_classes} classes: "
                             f"got examples of shape {tuple(shape)} and prompts of {tuple(prompts.shape)}")  # fmt: skip
        tower = lambda d: nn.Sequential(Linear(d, self.hidden, relu=True), Linear(self.hidden, self.embedding))
        return ZeroShot(Towers(width, tower(width), tower(prompts.shape[-1])), prompts)
