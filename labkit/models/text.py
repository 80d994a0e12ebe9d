"""Networks for texts as rows of word ids."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from labkit.models.base import Architecture, Linear, Model


class MeanEmbedding(nn.Module):
    """``(n, L)`` word ids, 0 for padding, to the mean ``(n, d)`` of the words' vectors.

    Computed from word counts: one matrix product, which stacks better than look-ups. The vectors begin at N(0, 0.1^2).
    """

    def __init__(self, words: int, dimensions: int):
        super().__init__()
        self.weight = nn.Parameter(0.1 * torch.randn(words, dimensions))

    def forward(self, x: Tensor) -> Tensor:
        ids = x.long()
        here = (ids > 0).to(self.weight.dtype)
        counts = here.new_zeros(len(x), len(self.weight)).scatter_add(1, ids, here)
        return torch.matmul(counts, self.weight) / here.sum(-1, keepdim=True).clamp_min(1)


@dataclass(frozen=True)
class BagOfWords(Architecture):
    """Mean of word vectors, then (if ``hidden`` is given) fully connected layers with ReLU, for texts ``(L,)`` of word
    ids, 0 for padding. Without hidden layers it is fastText (Joulin, Grave, Bojanowski, Mikolov, 2017).

    The order of words makes no difference. ``words`` is the number of ids, the padding included.
    """

    words: int
    dimensions: int = 16
    hidden: tuple[int, ...] = ()

    def build(self, shape, image_shape, n_classes):
        if len(shape) != 1:
            raise ValueError(f"a bag of words needs rows of word ids, but examples have shape {tuple(shape)}")
        widths = [self.dimensions, *self.hidden]
        layers = [Linear(a, b, relu=True) for a, b in pairwise(widths)]
        return Model(nn.Sequential(MeanEmbedding(self.words, self.dimensions), *layers), Linear(widths[-1], n_classes))
