"""Scores that say how sure a classifier is, for selective classification (``labkit.metrics.selective``).

``logits (..., n, K)`` of any floating type, any leading run axes or none; scores ``(..., n)`` in float64, higher is
surer. A run with a NaN or infinite logit (a diverged run) gives NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from labkit.metrics.over_runs import check_labels, check_rows, mean, over_runs, spread, total
from labkit.metrics.selective import aurc

NORMS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, math.inf)


@torch.no_grad()
def max_softmax(logits: Tensor) -> Tensor:
    """The largest softmax probability, in [1/K, 1]. Logit gaps above about 36 nats round to a tie at 1.

    Hendrycks, Gimpel (2017), "A baseline for detecting misclassified and out-of-distribution examples".
    """
    check_rows("logits", logits)
    return over_runs(lambda z: z.softmax(-1).amax(-1), tuple(logits.shape[:-2]), logits)


@torch.no_grad()
def normalised_max_logit(logits: Tensor, p: Tensor | float) -> Tensor:
    """``max_k v_k / ||v||_p`` with the centred logits ``v = z - mean(z)``. In (0, 1]; 0 where all logits are equal.

    A shift of an example's logits and a positive factor leave it as it is: only the direction of v counts. With
    p -> infinity it is 1 wherever the largest |v| is the largest v, so a large p tells little apart.

    p: a norm's exponent above 0 (``math.inf`` too), one for all runs or one per run ``(...)``.

    Cattelan, Silva (2024), "How to fix a broken confidence estimator: evaluating post-hoc methods for selective
    classification with deep neural networks"; as the cure for label smoothing: Xia, Laurent, Franchi, Bouganis (2025),
    "Understanding why label smoothing degrades selective classification and how to fix it".
    Raises ValueError for p that is not above 0 (NaN, of a diverged run, passes and gives NaN) or of another shape.
    """
    check_rows("logits", logits)
    lead = tuple(logits.shape[:-2])
    norm = torch.as_tensor(p, dtype=torch.float64, device=logits.device)
    if bool((norm <= 0).any()):
        raise ValueError(f"a norm needs an exponent p above 0, got {norm[norm <= 0].min().item():g}")
    norm = spread("p", norm, lead, 0)

    def score(z: Tensor, inverse: Tensor) -> Tensor:
        v = z - mean(z).unsqueeze(-1)
        largest = v.abs().amax(-1, keepdim=True)
        u = v / largest.where(largest > 0, 1.0)  # no power of it overflows
        length = total(u.abs().pow(1 / inverse.unsqueeze(-1))).pow(inverse)
        return u.amax(-1) / length.where(length > 0, 1.0)

    return over_runs(score, lead, logits, 1 / norm.unsqueeze(-1))  # 1 / p is finite for p = infinity


@torch.no_grad()
def choose_norm(logits: Tensor, labels: Tensor, norms: Sequence[float] = NORMS) -> Tensor:
    """Per run, the exponent among ``norms`` with the least AURC (the first of equals). Shape (...), float64.

    **Choose on validation data only.** NaN for a diverged run. Raises ValueError for an empty list.
    """
    if not len(norms):
        raise ValueError("choose_norm needs at least one exponent to choose from, such as norms=(1, 2, 4)")
    check_rows("logits", logits)
    correct = logits.argmax(-1) == check_labels(labels, logits, logits.shape[-1])
    found = torch.stack([aurc(normalised_max_logit(logits, p), correct) for p in norms])
    choice = torch.tensor([float(p) for p in norms], dtype=torch.float64, device=logits.device)[found.argmin(0)]
    return choice.where(found.isfinite().all(0), math.nan)


__all__ = ["NORMS", "choose_norm", "max_softmax", "normalised_max_logit"]
