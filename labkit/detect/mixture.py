"""A mixture of two kinds of losses: those of right labels and those of wrong ones."""

from __future__ import annotations

import numpy as np
import torch

from labkit.detect.base import check_labels, per_example
from labkit.names import look_up


def loss_mixture(losses, kind: str = "gaussian", labels=None) -> np.ndarray:
    """``(n,)`` score: P(wrong label | loss) under a two-component mixture of the losses ``(n,)`` (in nats).

    Args:
        kind: "gaussian" (Li, Socher, Hoi 2020, DivideMix) or "beta" (Arazo, Ortego, Albert, O'Connor, McGuinness 2019,
            "Unsupervised label noise modeling and loss correction"); see `labkit.mixtures`.
        labels: if given, one mixture per given class instead of one for all. A class of fewer than 4 examples takes
            the mixture of all.
    """
    from labkit.mixtures import beta_posterior, gaussian_posterior

    losses = per_example(losses, np.asarray(losses), "losses")
    noisy = look_up("mixture", kind, {"gaussian": lambda v: 1 - gaussian_posterior(v), "beta": beta_posterior})
    posterior = lambda values: noisy(torch.from_numpy(values)).numpy()
    if labels is None:
        return posterior(losses)
    labels = check_labels(labels)
    per_example(losses, labels, "losses")
    made = posterior(losses)
    for k in np.unique(labels):
        mine = labels == k
        if mine.sum() >= 4:
            made[mine] = posterior(losses[mine])
    return made


__all__ = ["loss_mixture"]
