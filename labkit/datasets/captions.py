"""Images with captions: many pairs share what they are about (their concept), and no caption is complete."""

from __future__ import annotations

import numpy as np
import torch

from labkit.datasets.base import Data
from labkit.datasets.bundled import digits
from labkit.datasets.images import fashion_mnist
from labkit.streams import generator

LOADERS = {"digits": digits, "fashion_mnist": fashion_mnist}


def caption_prompts(concepts: int = 8, attributes: int = 12) -> tuple[tuple[float, ...], ...]:
    """``(concepts, attributes)`` of -1 and 1, all rows different: the complete description of each concept.

    Fixed, and nested: fewer concepts are the first of more. ValueError where there are too few attributes for them.
    """
    if concepts < 2 or concepts > 2 ** (attributes - 1):
        raise ValueError(f"expected 2 to {2 ** (attributes - 1)} concepts for {attributes} attributes, got {concepts}")
    rng, rows = generator(0, "data", 1), []
    while len(rows) < concepts:
        row = tuple(rng.choice([-1.0, 1.0], attributes).tolist())
        if row not in rows:
            rows.append(row)
    return tuple(rows)


def captions(n: int = 2000, concepts: int = 8, dimensions: int = 20, separation: float = 1.0, attributes: int = 12,
             flip: float = 0.15, images: str = "gaussians", seed: int = 0) -> Data:
    """Pairs of an image and a caption: x (n, d + attributes), the image first; y and ``side["concept"]`` the concept.

    images: "gaussians": d = ``dimensions`` and an image is its concept's mean, whose entries have standard deviation
        ``separation``, plus standard normal noise; or "digits" or "fashion_mnist": the first ``concepts`` classes, at
        most n images.
    flip: a caption is its concept's prompt (`caption_prompts`) with each attribute reversed with this probability.
    seed: moves the draws, never the means or prompts. Means and prompts are nested over ``concepts``.
    """
    if not 0 <= flip <= 0.5 or n < concepts:
        raise ValueError(f"expected flip from 0 to 0.5 and n >= concepts, got flip={flip}, n={n}, concepts={concepts}")
    prompts = torch.tensor(caption_prompts(concepts, attributes))
    rng = generator(seed, "data")
    if images == "gaussians":
        means = separation * generator(0, "data", 2).standard_normal((concepts, dimensions))
        y = rng.integers(concepts, size=n)
        pictures, names = torch.from_numpy(means[y] + rng.standard_normal((n, dimensions))), range(concepts)
    elif images in LOADERS:
        data = LOADERS[images]()
        if concepts > data.n_classes:
            raise ValueError(f"{images} has {data.n_classes} classes, fewer than concepts={concepts}")
        chosen = rng.permutation(np.flatnonzero(data.y.numpy() < concepts))[:n]
        y, pictures, names = data.y.numpy()[chosen], data.x[torch.from_numpy(chosen)], data.classes[:concepts]
    else:
        raise ValueError(f"images are gaussians, {' or '.join(LOADERS)}, got {images!r}")
    y = torch.from_numpy(y)
    said = torch.where(torch.from_numpy(rng.random((len(y), attributes))) < flip, -prompts[y], prompts[y])
    return Data("captions", torch.cat([pictures.float(), said], 1), y, tuple(map(str, names)), side={"concept": y},
                source="" if images == "gaussians" else images)
