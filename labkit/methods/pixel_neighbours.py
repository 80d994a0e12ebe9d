"""Segmentation, calibrated by what the labels around a pixel say: SVLS and NACL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from labkit.losses import cross_entropy, neighbour_penalty, neighbour_shares, target_of
from labkit.methods.base import Batch, Method, Start

ON = ("logits", "probabilities")


def shares_around(start: Start, kernel: str, size: int, sigma: float) -> Tensor:
    """``(n, P, K)`` shares of the classes around every pixel of the given masks, in the dtype of the inputs."""
    target = target_of(start.evidence, start.x.dtype)
    if start.x.ndim < 3 or target.ndim != 3 or target.shape[1] != start.x.shape[-2:].numel():
        raise ValueError(
            "neighbours need images (n, ..., H, W) with a label for each of their H * W pixels, got "
            f"x {tuple(start.x.shape)} and targets {tuple(target.shape)}"
        )
    masks = target.unflatten(1, start.x.shape[-2:])
    return neighbour_shares(masks, kernel, size, sigma).flatten(1, 2)


@dataclass
class SVLS(Method):
    """Cross entropy against masks blurred by their neighbours, one half the pixel's own label, one half theirs.

    Islam, Glocker (2021), "Spatially varying label smoothing"; :func:`labkit.losses.svls_target`. Published: 3 x 3,
    sigma = 1. There is no strength to choose: another sigma only weighs the neighbours differently.
    """

    size: int = 3
    sigma: float = 1.0

    def setup(self, start: Start):
        return {"target": shares_around(start, "svls", self.size, self.sigma)}

    def objective(self, net, batch: Batch):
        return cross_entropy(net(batch.x), batch.state["target"][batch.index]).mean(), {}


@dataclass
class NACL(Method):
    """``CE + weight * mean_k |tau_k - z_k| ** power``: the logits are drawn to the shares tau of classes around.

    Murugesan et al. (2023), "Trust your neighbours", and (2024), "Neighbor-aware calibration of segmentation networks";
    :func:`labkit.losses.neighbour_penalty`. Published: weight 0.1, absolute distance (power 1), 3 x 3 mean.

    Args:
        weight: of the penalty; 0 is cross entropy. kernel: "mean", or "svls" for the shares that SVLS uses.
        on: "logits", or "probabilities" (the paper's ablation).
    """

    weight: Any = 0.1
    power: int = 1
    kernel: str = "mean"
    size: int = 3
    sigma: float = 1.0
    on: str = "logits"

    def __post_init__(self):
        if self.on not in ON:
            raise ValueError(f"the penalty is on one of {ON}, got {self.on!r}")

    def setup(self, start: Start):
        return {"shares": shares_around(start, self.kernel, self.size, self.sigma)}

    def objective(self, net, batch: Batch):
        logits = net(batch.x)
        told = cross_entropy(logits, target_of(batch.evidence, logits.dtype))
        held = logits if self.on == "logits" else logits.softmax(-1)
        return (told + self.weight * neighbour_penalty(held, batch.state["shares"][batch.index], self.power)).mean(), {}
