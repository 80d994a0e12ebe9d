"""Features learnt without labels, the simplest kind: principal components."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from labkit.datasets.base import Data


def principal_components(data: Data, dimensions: int) -> Data:
    """The same examples in their first ``dimensions`` principal components, x (n, dimensions), not rescaled.

    Mean and directions are those of the inputs outside the official test set (of all inputs where there is none); no
    label is used. ValueError for more dimensions than inputs or examples.
    """
    x = data.x.flatten(1).double()
    train = np.setdiff1d(np.arange(data.n), [] if data.test is None else data.test.numpy())
    seen = x[torch.from_numpy(train)]
    if not 1 <= dimensions <= min(seen.shape):
        raise ValueError(f"{data.name}: between 1 and {min(seen.shape)} dimensions are possible, got {dimensions}")
    mean = seen.mean(0)
    directions = torch.linalg.svd(seen - mean, full_matrices=False).Vh[:dimensions]
    directions = directions * directions.sum(1, keepdim=True).sign()  # a direction has no sign of its own
    return replace(
        data, name=f"{data.name}_components", x=((x - mean) @ directions.T).float(), image_shape=None,
        source=f"{data.source}{'; ' if data.source else ''}{dimensions} principal components",
    )  # fmt: skip
