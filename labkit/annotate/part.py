"""Wrong labels in one part of the data only."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from labkit.annotate.base import Annotator
from labkit.annotate.noise import Clean
from labkit.evidence import Labels


@dataclass(frozen=True)
class OnlyWhere(Annotator):
    """What ``noise`` says of the examples with ``Data.side[name] == value``; the others keep their label.

    ``noise`` draws for all examples, so the labels of the part are those it would have had anyway.

    Args:
        noise: any annotator that gives labels. name, value: which part.
    """

    noise: Annotator = field(default_factory=Clean)
    name: str = "part"
    value: int = 0

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.noise.needs, self.name)))

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator, **known: Tensor) -> Labels:
        said = self.noise(labels, features, rng, **{name: known[name] for name in self.noise.needs})
        if type(said) is not Labels:
            raise TypeError(f"a part's labels stand among Labels, but {type(self.noise).__name__} gives "
                            f"{type(said).__name__}")  # fmt: skip
        here = (known[self.name] == self.value).view(-1, *[1] * (labels.labels.ndim - 1))
        return Labels(torch.where(here, said.labels, labels.labels), labels.n_classes)
